"""Which runs are open, which are over: events come twice, in any order, days late, or never."""

import pytest

from detector.core.events import RunEvent, RunState
from detector.core.ledger import KEEP_ENDED, MAX_OPEN
from detector.core.rules import Rules, Settings
from tests.core.world import DAY, HOUR, JOB, MONDAY, World, event, found, ready, started

Told = tuple[RunState, float]


def severities(world: World, key: str = JOB) -> list[int]:
    """How the judged runs ended, in the order of their judgement."""
    return [outcome.severity for outcome in world.entities[key].judgement.outcomes]


def tell(told: list[Told], sends_start: bool = True) -> World:
    """The events of run r1 of a job that has run before, each a second after the other, and a minute of ticks."""
    world = ready()
    if sends_start:
        world.run(MONDAY - HOUR)
    else:
        world.tell(event("COMPLETE", MONDAY - HOUR, "r0"))
    for number, (state, at) in enumerate(told):
        world.tell(event(state, MONDAY + at), MONDAY + 100 + number)
    world.ticks(MONDAY + 100 + len(told), MONDAY + 200, every=5)
    return world


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param([("START", 0), ("COMPLETE", 9)], [0], id="a run that starts and completes is judged once"),
        pytest.param([("START", 0), ("FAIL", 9)], [2], id="a run that starts and fails is critical"),
        pytest.param([("START", 0), ("ABORT", 9)], [1], id="a run that is aborted is a warning"),
        pytest.param([("START", 0), ("START", 0), ("COMPLETE", 9), ("COMPLETE", 9)], [0], id="all told twice"),
        pytest.param([("START", 0), ("FAIL", 9), ("START", 0), ("FAIL", 9)], [2], id="a batch told again in order"),
        pytest.param([("COMPLETE", 9), ("START", 0)], [0], id="the end comes before the start"),
        pytest.param([("FAIL", 9), ("START", 0)], [2], id="the failure comes before the start"),
        pytest.param([("COMPLETE", 9)], [0], id="the start never comes"),
        pytest.param([("FAIL", 9)], [2], id="a failure without a start, as of a DAG of Airflow"),
        pytest.param([("OTHER", 0), ("START", 1), ("COMPLETE", 9)], [0], id="OTHER comes before START"),
        pytest.param([("START", 0), ("COMPLETE", 9), ("OTHER", 12)], [0], id="OTHER comes after the end"),
        pytest.param([("RUNNING", 5), ("COMPLETE", 9), ("START", 0)], [0], id="RUNNING first, START last"),
        pytest.param(
            [("START", 0), ("START", 1), ("COMPLETE", 5), ("COMPLETE", 9)],
            [0],
            id="Spark says START and COMPLETE twice",
        ),
        pytest.param(
            [("START", 0), ("COMPLETE", 9), ("START", 50), ("COMPLETE", 59)], [0], id="a cleared run is a new attempt"
        ),
        pytest.param(
            [("START", 0), ("FAIL", 9), ("START", 50), ("FAIL", 59)], [2], id="a cleared run that fails again"
        ),
        pytest.param(
            [("START", 0), ("FAIL", 9), ("START", 50), ("COMPLETE", 59)], [0], id="a cleared run mends its outcome"
        ),
        pytest.param(
            [("START", 0), ("FAIL", 9), ("COMPLETE", 59), ("START", 50)], [0], id="a cleared run out of order"
        ),
        pytest.param([("START", 0), ("COMPLETE", 9), ("FAIL", 12)], [2], id="a failure after a completion counts"),
        pytest.param([("FAIL", 12), ("COMPLETE", 9)], [2], id="the last end counts, whichever comes first"),
        pytest.param([("START", 0)], [], id="a run that goes on is not judged"),
    ],
)
def test_a_run_is_judged_by_what_its_events_say_in_any_order(told: list[Told], expected: list[int]) -> None:
    world = tell(told)

    assert severities(world)[1:] == expected


def test_the_repeats_of_an_old_attempt_do_not_touch_the_new_one() -> None:
    world = tell([("START", 0), ("FAIL", 9), ("START", 50)])
    world.said.clear()
    for state, at in (("START", 0.0), ("FAIL", 9.0), ("FAIL", 9.0)):
        world.tell(event(state, MONDAY + at), MONDAY + 210)  # type: ignore[arg-type]

    assert found(world.said) == []
    assert world.entities[JOB].runs.open["r1"].ended is None


def test_an_attempt_whose_end_came_before_its_start_leaves_no_run_open() -> None:
    world = tell([("START", 0), ("FAIL", 9), ("FAIL", 59), ("START", 50)])

    assert world.entities[JOB].runs.open == {}


def test_the_repeat_of_a_runs_end_is_no_new_run_even_days_and_many_runs_later() -> None:
    world = ready()
    world.run(MONDAY, state="FAIL", run_id="old")
    for number in range(KEEP_ENDED + 20):
        world.run(MONDAY + HOUR + number * 600, run_id=f"r{number}")
    world.said.clear()
    for state, at in (("START", MONDAY), ("FAIL", MONDAY + 60)):
        world.tell(event(state, at, "old"), MONDAY + 2 * DAY)  # type: ignore[arg-type]
    world.ticks(MONDAY + 2 * DAY, MONDAY + 2 * DAY + 60)

    assert "failed" not in started(world.said)
    assert "old" not in world.entities[JOB].runs.open


def test_an_end_that_a_wrong_clock_puts_far_ahead_does_not_hide_the_runs_after_it() -> None:
    world = ready(Rules(Settings(metrics=frozenset())))
    world.tell(event("START", MONDAY, "strange"))
    world.tell(event("COMPLETE", MONDAY + 9_000 * DAY, "strange"), MONDAY + 60)
    for number in range(KEEP_ENDED + 20):
        world.run(MONDAY + HOUR + number * 600, run_id=f"r{number}")
    last = MONDAY + 2 * DAY
    world.tick(last)
    world.run(last, state="FAIL")

    assert started(world.said) == ["failed"]


def test_runs_in_parallel_are_kept_apart() -> None:
    world = ready()
    for number in range(3):
        world.tell(event("START", MONDAY + number, f"r{number}"))
    world.tell(event("FAIL", MONDAY + 60, "r1"))
    world.tell(event("COMPLETE", MONDAY + 61, "r0"))

    assert severities(world) == [2, 0]
    assert list(world.entities[JOB].runs.open) == ["r2"]


def test_more_open_runs_than_are_kept_drop_the_oldest_and_judge_the_rest() -> None:
    world = ready()
    for number in range(MAX_OPEN + 10):
        world.tell(event("START", MONDAY + number, f"r{number}"))

    assert len(world.entities[JOB].runs.open) == MAX_OPEN
    assert "r9" not in world.entities[JOB].runs.open
    for number in range(MAX_OPEN + 10):
        world.tell(event("COMPLETE", MONDAY + 100 + number, f"r{number}"), MONDAY + 200)
    world.ticks(MONDAY + 201, MONDAY + 240, every=5)

    assert world.entities[JOB].runs.open == {}
    assert len(world.entities[JOB].runs.ended) == MAX_OPEN + 10


def test_a_run_that_waits_for_its_start_is_judged_however_many_others_begin() -> None:
    world = ready()
    world.run(MONDAY - HOUR)
    world.tell(event("RUNNING", MONDAY, "waits"))
    for number in range(MAX_OPEN - 1):
        world.tell(event("START", MONDAY + number, f"r{number}"))
    world.tell(event("COMPLETE", MONDAY + 90, "waits"))
    world.tell(event("START", MONDAY + 91, "one more"))

    assert "waits" in world.entities[JOB].runs.closed


@pytest.mark.parametrize("at", [float("nan"), float("inf"), float("-inf")])
def test_an_event_at_no_time_is_no_event(at: float) -> None:
    world = ready()
    world.tell(event("START", at), MONDAY)
    world.tell(event("START", MONDAY))
    world.tell(event("COMPLETE", at), MONDAY + 9)

    assert world.entities[JOB].runs.open["r1"].started == MONDAY
    assert world.entities[JOB].runs.open["r1"].ended is None


def test_an_end_waits_ten_seconds_for_its_start_if_the_job_sends_starts() -> None:
    world = ready()
    world.run(MONDAY - HOUR)
    world.tell(event("COMPLETE", MONDAY + 3))
    world.tick(MONDAY + 5)

    assert len(severities(world)) == 1
    world.tick(MONDAY + 10)

    assert len(severities(world)) == 2


def test_an_end_does_not_wait_if_the_job_never_sends_a_start() -> None:
    world = tell([], sends_start=False)
    world.tell(event("COMPLETE", MONDAY + 250))

    assert severities(world) == [0, 0]


def test_a_failure_is_told_at_once_even_without_its_start() -> None:
    world = ready()
    world.run(MONDAY - HOUR)

    assert started(world.tell(event("FAIL", MONDAY))) == ["failed"]


def test_a_run_that_waits_for_its_start_is_judged_when_the_next_one_begins() -> None:
    world = ready()
    world.run(MONDAY - HOUR)
    world.tell(event("COMPLETE", MONDAY))
    world.tell(event("START", MONDAY + 1, "r2"))

    assert severities(world) == [0, 0]


def test_a_run_without_an_end_is_forgotten_after_a_week() -> None:
    world = ready()
    world.tell(RunEvent("ns", "load", "r1", "START", MONDAY))
    world.ticks(MONDAY + HOUR, MONDAY + 7 * DAY - HOUR, every=HOUR)

    assert "r1" in world.entities[JOB].runs.open
    world.tick(MONDAY + 7 * DAY)

    assert world.entities[JOB].runs.open == {}
