"""What the events of a run tell of it: metrics accumulate, come late, are unknown, or are no numbers at all."""

import math

import pytest

from detector.core.events import Dataset, RunEvent
from detector.core.jobs import MAX_DATASETS, metrics_of
from detector.core.judge import MAX_SERIES
from detector.core.lineage import MAX_NEIGHBOURS
from detector.core.messages import BOARD
from detector.core.rules import Rules, Settings
from detector.core.state import Run
from tests.core.world import HOUR, JOB, MONDAY, TABLE, World, anomalies, event, ready, started


def orders(rows: float | None = None, size: float | None = None, name: str = "orders") -> Dataset:
    return Dataset("db", name, rows=rows, bytes=size)


def learned(rows: float = 1_000, rules: Rules | None = None) -> World:
    """A world in which ten hourly runs wrote about as many rows."""
    world = ready(rules)
    for number in range(10):
        world.run(MONDAY + number * HOUR, rows=rows + number)
    world.said.clear()
    return world


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param([(0, None), (1, 7)], 7, id="what only the end tells"),
        pytest.param([(0, 7), (1, None)], 7, id="what the end leaves out was told before"),
        pytest.param([(0, 5), (1, 7)], 7, id="the newest event wins"),
        pytest.param([(1, 7), (0, 5)], 7, id="the newest event wins, whichever comes first"),
        pytest.param([(0, 5), (1, 7), (0, 5)], 7, id="a repeat of an older event changes nothing"),
        pytest.param([(1, None), (0, 5)], 5, id="an older event adds what was not known"),
        pytest.param([(0, 0), (1, None)], 0, id="zero is not unknown"),
        pytest.param([(0, None), (1, None)], None, id="what nobody tells is not measured"),
    ],
)
def test_rows_are_folded_by_the_time_of_the_events(
    told: list[tuple[float, float | None]], expected: float | None
) -> None:
    world = ready()
    for number, (at, rows) in enumerate(told):
        world.tell(event("RUNNING", MONDAY + at, outputs=(orders(rows),)), MONDAY + number)

    assert metrics_of(world.entities[JOB].runs.open["r1"]).get("rows_out") == expected


def test_rows_of_several_outputs_are_added_and_the_unknown_ones_left_out() -> None:
    run = Run("r1", 1, MONDAY, outputs={2: (2.0, None), 1: (1.0, 10.0), 3: (None, None)}, inputs={4: (5.0, 1.0)})

    assert metrics_of(run) == {"bytes_in": 1.0, "bytes_out": 10.0, "rows_in": 5.0, "rows_out": 3.0}


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_count_is_not_measured(value: float) -> None:
    run = Run("r1", 1, MONDAY, outputs={1: (value, value), 2: (3.0, None)}, metrics={"cost": value})

    assert metrics_of(run) == {"rows_out": 3.0}


def test_a_metric_cannot_take_the_name_of_a_check() -> None:
    world = ready()
    world.tell(event("START", MONDAY))
    world.tell(event("FAIL", MONDAY + 60))
    world.tell(event("START", MONDAY + 100, "r2", metrics={"failed": 3.0, "late": 1.0}))
    said = world.tell(event("COMPLETE", MONDAY + 160, "r2", metrics={"hanging": 3.0}))

    assert set(world.entities[JOB].series) == {"duration"}
    assert [a.summary for a in anomalies(said)] == ["failed: run r2 completed, after 1 min 40 s"]


def test_a_fact_that_comes_after_the_end_is_judged_once() -> None:
    world = learned()
    at = MONDAY + 10 * HOUR
    world.run(at, run_id="late facts")
    extra = event("RUNNING", at + 1, "late facts", outputs=(orders(3),))

    assert started(world.tell(extra, at + 90)) == ["rows_out"]
    assert anomalies(world.tell(extra, at + 91)) == []


def test_a_late_fact_that_is_bad_opens_the_breaker_of_a_run_that_seemed_good() -> None:
    world = learned()
    at = MONDAY + 10 * HOUR
    world.run(at, run_id="late facts")

    assert world.entities[JOB].judgement.breaker.state == "closed"
    world.tell(event("RUNNING", at + 1, "late facts", outputs=(orders(0),)), at + 90)

    assert world.entities[JOB].judgement.breaker.state == "open"


def test_a_late_fact_does_not_replace_what_was_judged() -> None:
    world = learned()
    at = MONDAY + 10 * HOUR
    world.run(at, run_id="r", rows=1_005)
    world.said.clear()

    assert anomalies(world.tell(event("OTHER", at + 90, "r", outputs=(orders(3),)))) == []


def test_what_a_failed_run_wrote_is_not_judged() -> None:
    world = learned()

    assert started(world.run(MONDAY + 10 * HOUR, state="FAIL", rows=3)) == ["failed"]


def test_a_run_whose_lineage_is_incomplete_is_not_judged_by_its_numbers() -> None:
    world = learned()
    at = MONDAY + 10 * HOUR
    world.tell(event("START", at, "partial", incomplete=True))
    said = world.tell(RunEvent("ns", "load", "partial", "COMPLETE", at + 60, metrics={"rows_read": 1.0}))

    assert started(said) == []


def test_only_the_metrics_that_are_watched_are_judged_and_kept() -> None:
    rules = Rules(Settings(metrics=frozenset({"rows", "cost"})))
    world = learned(rules=rules)
    at = MONDAY + 10 * HOUR
    world.tell(event("START", at, "r", metrics={f"m{n}": 1.0 for n in range(100)}))
    said = world.tell(event("COMPLETE", at + 9, "r", metrics={"cost": 5.0}, outputs=(orders(3),)))

    assert started(said) == ["rows"]
    assert set(world.entities[JOB].series) == {"cost"}
    assert set(world.entities[TABLE].series) == {"rows"}


def test_ten_thousand_metrics_in_one_event_are_bounded_by_name_and_not_by_order() -> None:
    names = [f"m{n:05}" for n in range(10_000)]
    kept = []
    for order in (names, names[::-1]):
        world = ready()
        world.tell(event("COMPLETE", MONDAY, metrics=dict.fromkeys(order, 1.0)))
        kept.append(list(world.entities[JOB].series))

    assert kept[0] == kept[1] == names[: MAX_SERIES["job"]]
    assert len(world.snapshots()[JOB]) < 22_000


def test_a_thousand_outputs_keep_the_neighbours_that_were_heard_of_last() -> None:
    world = ready()
    world.tell(event("COMPLETE", MONDAY, "r0", outputs=tuple(orders(1, name=f"old{n}") for n in range(1_000))))
    world.tell(event("COMPLETE", MONDAY + 60, "r1", outputs=(orders(1, name="new"),)))
    neighbours = world.entities[JOB].lineage.down

    assert len(neighbours) == MAX_NEIGHBOURS
    assert "dataset:db/new" in neighbours


@pytest.mark.slow
def test_a_run_with_more_datasets_than_are_kept_has_no_sum_and_a_small_state() -> None:
    world = ready()
    wide = [orders(1, name=f"{n}{'n' * 900}") for n in range(MAX_DATASETS + 50)]
    for end in (MAX_DATASETS - 1, MAX_DATASETS + 50):
        world.tell(event("RUNNING", MONDAY, f"r{end}", outputs=tuple(wide[:end])))
        world.tell(event("RUNNING", MONDAY, f"r{end}", outputs=tuple(wide[:end])))
    found = world.entities[JOB].runs.open

    assert metrics_of(found[f"r{MAX_DATASETS - 1}"]) == {"rows_out": MAX_DATASETS - 1.0}
    assert metrics_of(found[f"r{MAX_DATASETS + 50}"]) == {}
    assert len(world.snapshots()[JOB]) < 200_000


def test_names_may_be_empty() -> None:
    world = ready()
    world.tell(RunEvent("", "", "", "START", MONDAY, outputs=(Dataset("", ""),)))
    world.tell(RunEvent("", "", "", "FAIL", MONDAY + 1, outputs=(Dataset("", ""),), error=""))

    assert set(world.entities) == {"job:/", "dataset:/", BOARD}


@pytest.mark.parametrize("rows", [1e300, 1.7e308, 5e-324])
def test_huge_and_tiny_numbers_are_judged_without_harm(rows: float) -> None:
    world = ready()
    for number in range(20):
        world.run(MONDAY + number * HOUR, rows=rows)

    assert started(world.said) == []
    assert started(world.run(MONDAY + 20 * HOUR, rows=1_000)) == ["rows_out", "rows"]
