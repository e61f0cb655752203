"""docs/metrics.md says what the code does: its tables are made of the code, and what it names is there."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from detector import health, logs, telemetry
from detector.config import load
from detector.gauges import MOST_ENTITIES
from detector.metrics import MOST_WORDS, Row
from detector.telemetry import Telemetry

PATH = Path(__file__).parent.parent / "docs" / "metrics.md"
PAGE = PATH.read_text(encoding="utf-8")
ROWS: list[Row] = Telemetry().metrics.rows
LABELS = {"instance", "job", "le", *(label for row in ROWS for label in row.labels)}
LEVELS = ("debug", "info", "warning", "error")


def with_table(name: str, made: str, text: str) -> str:
    """The page with what stands between the marks of a table made anew."""
    return re.sub(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", lambda _: made, text, count=1, flags=re.DOTALL)


def metrics() -> str:
    lines = [f"| `{row.name}` | {row.kind} | {named(row.labels)} | {row.about} |\n" for row in ROWS]
    return f"\n| metric | kind | labels | what |\n|---|---|---|---|\n{''.join(lines)}\n"


def named(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def events() -> str:
    """Every event that telemetry writes, with its level and the sentence of the method that writes it."""
    lines = [f"| `{event}` | {' or '.join(levels)} | {about} |\n" for event, levels, about in written()]
    return f"\n| event | level | what |\n|---|---|---|\n{''.join(lines)}\n"


def written() -> Iterator[tuple[str, list[str], str]]:
    (body,) = [
        node
        for node in ast.parse(inspect.getsource(telemetry)).body
        if isinstance(node, ast.ClassDef) and node.name == "Telemetry"
    ]
    for method in body.body:
        if not isinstance(method, ast.FunctionDef) or method.name == "_warn":
            continue
        attributes = {n.attr for n in ast.walk(method) if isinstance(n, ast.Attribute)}
        calls = [
            n for n in ast.walk(method) if isinstance(n, ast.Call) and n.args and isinstance(n.args[0], ast.Constant)
        ]
        for call in calls:
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in (*LEVELS, "_warn", "write"):
                levels = {"_warn": ["warning"], "write": [one for one in LEVELS if one in attributes]}.get(name, [name])
                assert isinstance(call.args[0], ast.Constant)
                event = str(call.args[0].value)
                yield event, levels, ABOUT.get(event) or (ast.get_docstring(method) or "").splitlines()[0]


# Events of one method that tells several.
ABOUT = {
    "anomaly_found": "An anomaly began.",
    "anomaly_ended": "An anomaly is over.",
    "anomaly_updated": "An anomaly goes on.",
    "breaker_changed": "A breaker moved.",
    "entity_quarantined": "A record was set aside, since judging it fails each time.",
    "entity_seeded": "An entity was given a history to learn.",
    "deadline_passed": "A declared deadline has passed, and was met or missed.",
    "check_not_evaluated": "A declared check lacks what it needs, and has neither passed nor failed.",
    "held": "An entity is held: something upstream is bad.",
    "released": "An entity is held no more by that root.",
    "incident": "An incident opened, changed, came back, joined another, or is over; a warning if it calls.",
    "recovery_plan": "What must be redone, or what of it was.",
    "command": "What came of a person's command.",
    "entity_expired": "An entity was silent for so long that it is forgotten.",
}


@pytest.mark.parametrize(("name", "make"), [("metrics", metrics), ("events", events)])
def test_a_table_is_what_the_code_says(name: str, make: Callable[[], str], update_golden: bool) -> None:
    made = with_table(name, make(), PATH.read_text(encoding="utf-8"))
    if update_golden:
        PATH.write_text(made, encoding="utf-8")

    assert PATH.read_text(encoding="utf-8") == made, "pytest tests/test_metrics_page.py --update-golden"


def test_every_event_has_a_sentence() -> None:
    assert [event for event, _, about in written() if not about] == []


def test_every_metric_that_is_named_is_one() -> None:
    named = set(re.findall(r"\bdetector_[a-z_]+\b", PAGE.replace("detector_*", "")))
    known = {row.name for row in ROWS}
    known |= {f"{row.name}_{part}" for row in ROWS if row.kind == "histogram" for part in ("bucket", "sum", "count")}

    assert named <= known


def test_every_label_in_a_query_is_one() -> None:
    grouped = [word for found in re.findall(r"by \(([^)]*)\)", PAGE) for word in found.split(", ")]
    selected = re.findall(r"[{,](\w+)=\"", PAGE)

    assert {*grouped, *selected} <= LABELS
    assert len(grouped) > 3


def test_examples_are_yaml() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]

    assert {key for block in blocks for key in block} >= {"scrape_configs", "metrics", "livenessProbe"}
    assert load("metrics: " + str(next(b["metrics"] for b in blocks if "metrics" in b))).metrics.entities


def test_numbers_and_keys_on_the_page_are_those_of_the_code() -> None:
    config = load("")

    assert f"({config.http.host}:{config.http.port})" in PAGE
    assert f"for {health.STUCK:.0f} seconds" in PAGE
    assert f"once in {logs.QUIET:.0f} seconds" in PAGE
    assert (MOST_WORDS, MOST_ENTITIES) == (100, 1_000)
