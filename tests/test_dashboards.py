"""The dashboards: made of the code, as Grafana's own model has them, of metrics that there are.

No Grafana runs in the tests: that they open is not shown here. tests/integration/test_dashboards.py asks a Prometheus.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.boards import BOARDS, PLACE, built
from detector.telemetry import Telemetry
from tests.dashboards import RIGHTLY_EMPTY, Query, queries

ROOT = Path(__file__).parent.parent
ROWS = Telemetry().metrics.rows
OTHERS = {"ALERTS", "up", *(f"process_{name}" for name in ("cpu_seconds_total", "max_fds", "open_fds"))}
KNOWN = {row.name for row in ROWS} | {f"{row.name}_bucket" for row in ROWS if row.kind == "histogram"} | OTHERS
KNOWN |= {"process_resident_memory_bytes", "process_start_time_seconds"}
LABELS = {"job", "instance", "le", "alertname", "alertstate", *(label for row in ROWS for label in row.labels)}

each = pytest.mark.parametrize("name", BOARDS)
every = pytest.mark.parametrize("query", queries(), ids=str)


def board(name: str) -> dict[str, Any]:
    return dict(json.loads((PLACE / name).read_text(encoding="utf-8")))


def panels(name: str) -> Iterator[dict[str, Any]]:
    return (panel for panel in board(name)["panels"] if panel["type"] != "row")


@each
def test_the_file_is_what_the_code_makes(name: str) -> None:
    assert (PLACE / name).read_text(encoding="utf-8") == built(name), "python -m deploy.grafana.boards"


def test_there_is_no_file_of_no_dashboard() -> None:
    assert {path.name for path in PLACE.iterdir()} == set(BOARDS)


@each
def test_grafanas_own_model_reads_it_and_writes_the_same(name: str) -> None:
    register_default_plugins()

    read = Dashboard.from_json(board(name))

    assert json.loads(JSONEncoder().encode(read)) == board(name)


@each
def test_links_to_it_stay(name: str) -> None:
    ids = [panel["id"] for panel in board(name)["panels"]]

    assert board(name)["uid"] == {"pipelines": "detector-pipelines", "pipeline": "detector-pipeline"}.get(
        name.removesuffix(".json"), "detector-itself"
    )
    assert ids == list(range(1, len(ids) + 1))


@each
def test_data_comes_from_the_prometheus_that_is_chosen(name: str) -> None:
    asked = {json.dumps(panel["datasource"], sort_keys=True) for panel in panels(name)}
    variables = [variable["name"] for variable in board(name)["templating"]["list"]]

    assert asked == {'{"type": "prometheus", "uid": "${datasource}"}'}
    assert variables[:2] == ["datasource", "job"]
    assert all(mark["datasource"]["uid"] == "${datasource}" for mark in board(name)["annotations"]["list"])


@each
def test_a_panel_asks_a_question_says_what_it_means_and_in_which_unit(name: str) -> None:
    titles = [panel["title"] for panel in panels(name)]

    assert [title for title in titles if not title.endswith("?")] == []
    assert len(set(titles)) == len(titles)
    assert [panel["title"] for panel in panels(name) if len(panel["description"]) < 20] == []
    assert [panel["title"] for panel in panels(name) if not panel["fieldConfig"]["defaults"].get("unit")] == []


@each
def test_panels_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board(name)["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

        assert taken & cells == set(), panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@each
def test_links_lead_to_a_page_and_to_a_dashboard_that_are_there(name: str) -> None:
    text = (PLACE / name).read_text(encoding="utf-8")
    pages = re.findall(r"https://example.com/detector/(docs/[\w-]+\.md)", text)

    assert pages
    assert all((ROOT / page).exists() for page in pages)
    assert set(re.findall(r'"/d/([\w-]+)', text)) <= {board(other)["uid"] for other in BOARDS}


@every
def test_a_query_is_promql_over_metrics_and_labels_that_there_are(query: Query) -> None:
    parsed = promql_parser.parse(query.filled(entity="job:a/b"))

    text = re.sub(r'"(\\.|[^"\\])*"', '""', query.expr)
    grouped = {word.strip() for found in re.findall(r"\b(?:by|on) \(([^)]*)\)", text) for word in found.split(",")}
    selected = set(re.findall(r"[{,] *(\w+) *(?:=~|!=|!~|=)", text))
    assert isinstance(parsed, promql_parser.Expr)
    assert set(re.findall(r"\b(?:detector|process)_\w+|\bALERTS\b|\bup\b", text)) <= KNOWN
    assert grouped | selected <= LABELS


def test_what_is_rightly_empty_says_that_all_is_well() -> None:
    said = {p["title"]: p["fieldConfig"]["defaults"].get("noValue") for name in BOARDS for p in panels(name)}

    assert all(said[title] for title in RIGHTLY_EMPTY)


def test_no_query_has_columns() -> None:
    assert [row.name for row in ROWS if "column" in row.labels] == []


def test_grafana_is_told_where_dashboards_and_data_are() -> None:
    place = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((place / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((place / "dashboards" / "detector.yaml").read_text())["providers"]

    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    assert (provider["type"], provider["folder"], provider["allowUiUpdates"]) == ("file", "Detector", False)
