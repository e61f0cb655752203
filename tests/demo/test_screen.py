"""What a person sees, on a terminal and in a pipe."""

import io

import pytest
from rich.console import Console

from detector.core.breaker import State
from detector.demo.company import BY_KEY, HOUR, entity_of
from detector.demo.faults import Fault
from detector.demo.screen import Lines, Status, opened, render, summary
from detector.demo.simulation import Held, Injected
from detector.demo.story import Story

AT = 1_772_496_000.0 + 3 * HOUR
STATUS = Status("live", AT, 600.0, rate=12.0, left=9.0, warmed_up="9,384 events were learned from.")


def anomaly(entity: str, check: str, summary: str) -> dict[str, object]:
    return {
        "type": "io.detector.anomaly.started.v1",
        "time": "2026-03-03T03:00:00Z",
        "data": {"entity": entity, "check": check, "summary": summary},
    }


def moved(entity: str, was: State, to: State) -> dict[str, object]:
    data = {"entity": entity, "from": was, "to": to, "reason": "unusual load"}
    return {"type": "io.detector.breaker.state_changed.v1", "time": "2026-03-03T03:00:00Z", "data": data}


@pytest.fixture
def story() -> Story:
    """Orders come in short; the job that reads them waits; a dashboard of another branch alarms for no reason."""
    story, orders = Story(), BY_KEY["job:airflow/ingest_orders.load"]
    story.happened([Injected(AT, Fault("short_load", orders, AT, injected_at=AT))])
    run = "0b648c5e-e682-57db-b1d9-ec42dde15d02"
    for event in (
        anomaly(entity_of("raw.orders"), "rows", f"rows: 260 rows in run {run}"),
        anomaly(entity_of("raw.order_items"), "rows", "rows: 700 rows"),
        moved(entity_of("raw.orders"), State.CLOSED, State.OPEN),
        anomaly(entity_of("stock_wall"), "rows", "rows: 5 rows"),
    ):
        story.heard(event, lambda _: 10.0, 10.2)
    story.happened([Held(AT + 900, BY_KEY["job:spark/stage_orders"], AT, entity_of("raw.orders"), directly=True)])
    return story


def drawn(story: Story, width: int, height: int) -> str:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(render(story, STATUS, width, height))
    return captured.get()


@pytest.mark.parametrize(("width", "height"), [(160, 50), (120, 34), (80, 24)])
def test_the_view_fits_the_terminal_and_shows_what_matters(story: Story, width: int, height: int) -> None:
    lines = drawn(story, width, height).splitlines()
    text = "\n".join(lines)

    assert len(lines) <= height
    assert max(len(line) for line in lines) <= width
    for shown in ("1 injected", "1 found", "1 false alarms", "only 5 % of the rows", "raw/orders", "at once", "1 open"):
        assert shown in text


def test_a_wide_terminal_names_who_is_protected_and_a_narrow_one_counts_them(story: Story) -> None:
    assert "stage_orders" in drawn(story, 120, 34).partition("what happens")[0]
    assert "stage_orders" not in drawn(story, 80, 24).partition("what happens")[0]


def test_a_pipe_gets_a_line_for_each_thing_that_happens_and_each_only_once(story: Story) -> None:
    out = io.StringIO()
    with opened(Console(file=out, width=80)) as screen:
        assert isinstance(screen, Lines)
        screen.show(story, STATUS)
        screen.show(story, STATUS)

    assert out.getvalue().splitlines() == [
        "-- live",
        "Tue 03 Mar 03:00  injected     raw/orders: only 5 % of the rows",
        "Tue 03 Mar 03:00  found        raw/orders: rows: 260 rows in run 0b648c5e",
        "Tue 03 Mar 03:00  symptom      raw/order_items: rows: 700 rows",
        "Tue 03 Mar 03:00  opened       breaker of raw/orders is open: unusual load",
        "Tue 03 Mar 03:00  false alarm  dashboards/warehouse_wall: rows: 5 rows (no fault explains this)",
        "Tue 03 Mar 03:15  protected    stage_orders waits for the breaker of raw/orders",
    ]


def test_the_summary_says_what_came_of_each_fault_and_what_to_do_next(story: Story) -> None:
    told = list(summary(story, STATUS, "Next: detector doctor"))

    assert told[0] == "Faults injected: 1; found: 1; false alarms: 1."
    assert told[1] == "  03:00  raw/orders: only 5 % of the rows; found at once; protected: stage_orders"
    assert told[-1] == "Next: detector doctor"


def test_the_json_holds_the_real_delay_and_the_false_alarm(story: Story) -> None:
    told = story.as_json()

    assert told["faults"][0]["wall_delay_s"] == 0.2
    assert told["faults"][0]["symptoms"] == 1
    assert [alarm["entity"] for alarm in told["unexplained"]] == [entity_of("stock_wall")]


def test_the_address_of_the_page_is_told_once_and_as_it_is(story: Story) -> None:
    address = "http://127.0.0.1:43191/#token=a-token-that-is-rather-long-for-one-line"
    status = Status("live", AT, 600.0, page=address)
    console = Console(width=60, file=io.StringIO(), force_terminal=False)
    lines = Lines(console)

    with console.capture() as captured:
        lines.show(story, status)
        lines.show(story, status)

    assert captured.get().count(address) == 1
