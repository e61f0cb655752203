"""The dashboards for Grafana, as code: `python -m deploy.grafana.boards` writes them to deploy/grafana/dashboards.

A panel's title is the question that it answers. One that is rightly empty while all is well says so in the place of
data; every other shows something always, if only a zero: an empty panel looks like a broken one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.boards import itself, pipeline, pipelines

PLACE: Final = Path(__file__).parent.parent / "dashboards"
BOARDS: Final[dict[str, Callable[[], Dashboard]]] = {
    "pipelines.json": pipelines.board,
    "pipeline.json": pipeline.board,
    "detector.json": itself.board,
}


def built(name: str) -> str:
    """The dashboard as it is in the file of that name. Panels have numbers, by which a link finds one."""
    board = BOARDS[name]().build()
    for number, panel in enumerate(board.panels or [], 1):
        panel.id_val = number
    return JSONEncoder(sort_keys=True, indent=2).encode(board) + "\n"
