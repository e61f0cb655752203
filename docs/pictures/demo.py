"""Draws demo.svg, the picture of the demo: a frame of the demo's live view, as a terminal shows it.

python docs/pictures/demo.py

A frame can differ a little from one run to the next, as the demo's own page says.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from detector import demo
from detector.demo.screen import Screen, Status, render
from detector.demo.story import Story

WIDTH, HEIGHT = 120, 34
SEED, SECONDS = 7, 45.0
MOMENT = datetime(2026, 3, 3, 5, 25, tzinfo=UTC).timestamp()
# Without the web fonts that rich would fetch: a picture in a page may load nothing.
FORMAT = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


class Picture:
    """A screen of the demo that keeps the frame of one moment."""

    drawn = False

    def show(self, story: Story, status: Status) -> None:
        """Draw, when the moment has come."""
        if self.drawn or status.simulated < MOMENT:
            return
        self.drawn, status.page = True, ""
        console = Console(record=True, width=WIDTH, height=HEIGHT, file=StringIO(), force_terminal=True)
        console.print(render(story, status, WIDTH, HEIGHT))
        svg = console.export_svg(title="detector demo", code_format=FORMAT, unique_id="demo")
        text = "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"
        (Path(__file__).parent / "demo.svg").write_text(text, encoding="utf-8")


@contextmanager
def opened(_: Console) -> Iterator[Screen]:
    """Instead of a terminal."""
    yield Picture()


if __name__ == "__main__":
    demo.opened = opened  # type: ignore[assignment]
    demo.main(SECONDS, SEED, False, Console(file=StringIO()))
