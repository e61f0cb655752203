"""The queries of the dashboards, as Grafana asks them."""

import json
from dataclasses import dataclass

from deploy.grafana.boards import PLACE

# While all is well there is nothing to list, and such a panel says so.
RIGHTLY_EMPTY = {"Which are held back now?", "Where do anomalies go on?"}


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a panel, a variable or an annotation. `quiet`: it is rightly empty while all is well."""

    board: str
    title: str
    expr: str
    quiet: bool

    def __str__(self) -> str:
        return f"{self.board}: {self.title}"

    def filled(self, *, entity: str, job: str = "detector", interval: str = "5s", span: str = "10m") -> str:
        """The expression with Grafana's variables in it."""
        filled = self.expr.replace("$__rate_interval", interval).replace("$__interval", interval)
        filled = filled.replace("$__range", span).replace("$entity", entity).replace("$job", job)
        assert "$" not in filled, filled
        return filled


def queries() -> list[Query]:
    """Of all dashboards: of their panels, annotations, and variables (the series of which the labels are taken)."""
    found = []
    for path in sorted(PLACE.glob("*.json")):
        board, name = json.loads(path.read_text(encoding="utf-8")), path.stem
        for panel in board["panels"]:
            quiet = panel["title"] in RIGHTLY_EMPTY
            found += [Query(name, panel["title"], target["expr"], quiet) for target in panel.get("targets", [])]
        found += [Query(name, mark["name"], mark["expr"], True) for mark in board["annotations"]["list"]]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                series = variable["query"]["query"].removeprefix("label_values(").rpartition(",")[0]
                found.append(Query(name, f"variable {variable['name']}", series, False))
    return found
