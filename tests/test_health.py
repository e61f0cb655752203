"""When the process is alive and when it is ready: the rule by cases, and the facts as stages report them."""

from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread

import pytest

from detector.health import GAP, PATIENCE, STUCK, Facts, Health, decide

NOW = 5_000.0
GOOD = Facts(
    stages=("ingest", "worker"),
    turns={"ingest": NOW - 1, "worker": NOW - 1, "ticks": NOW - 1},
    assigned={"ingest": 3, "worker": 4},
    lag=5.0,
    lag_at=NOW - 1,
)
TURNS, BOTH = GOOD.turns, GOOD.assigned


@pytest.mark.parametrize(
    ("change", "alive", "said"),
    [
        pytest.param({}, True, [], id="all is well"),
        pytest.param({"turns": {}, "assigned": {}}, True, ["ingest has not", "worker has not"], id="nothing yet"),
        pytest.param({"turns": {"worker": NOW}}, True, ["ingest has not started"], id="one stage has not started"),
        pytest.param({"assigned": {**BOTH, "worker": 0}}, True, ["worker has no partitions"], id="nothing assigned"),
        pytest.param({"turns": {**TURNS, "worker": NOW - STUCK}}, True, [], id="a long round"),
        pytest.param(
            {"turns": {**TURNS, "worker": NOW - STUCK - 1}}, False, ["worker has not gone round for 301 s"], id="stuck"
        ),
        pytest.param(
            {"turns": {**TURNS, "ticks": 0.0}}, False, ["ticks has not gone round"], id="a loop that is no stage"
        ),
        pytest.param(
            {"waits": {"partition 3": ("Redis is away", NOW - PATIENCE)}}, True, ["partition 3 waits: Redis"], id="wait"
        ),
        pytest.param(
            {"waits": {"partition 3": ("Redis is away", NOW - PATIENCE - 1)}}, True, [], id="a wait said long ago"
        ),
        pytest.param({"waits": {"view": ("a", NOW), "time": ("b", NOW)}}, True, ["time waits", "view waits"], id="two"),
        pytest.param({"lag": GAP - 1}, True, [], id="time is behind by less than a gap"),
        pytest.param({"lag": GAP}, True, ["time stands still for 121 s"], id="time stands still"),
        pytest.param({"lag_at": NOW - GAP}, True, ["time stands still for 125 s"], id="nobody says what time it is"),
        pytest.param({"lag": None}, True, [], id="time is no question here"),
        pytest.param({"stopping": True}, True, ["stopping"], id="stopping"),
        pytest.param(
            {"stopping": True, "turns": {**TURNS, "worker": 0.0}},
            False,
            ["worker has not gone round", "stopping"],
            id="bo",
        ),
    ],
)
def test_the_verdict(change: dict[str, object], alive: bool, said: list[str]) -> None:
    verdict = decide(replace(GOOD, **change), NOW)  # type: ignore[arg-type]

    problems = [*verdict.stuck, *verdict.troubles]
    assert (verdict.alive, verdict.ready) == (alive, not said)
    assert len(problems) == len(said)
    assert all(problem.startswith(opening) for problem, opening in zip(problems, said, strict=True)), problems


def test_how_long_time_may_stand_still_is_configured() -> None:
    behind = replace(GOOD, lag=300.0)

    assert decide(behind, NOW, gap=600.0).ready
    assert not decide(behind, NOW, gap=200.0).ready


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    health = Health(clock=clock)
    health.stages = ("worker",)
    health.alive("worker", 3)
    return health


def test_what_stages_report_makes_the_verdict(health: Health) -> None:
    assert health.verdict().ready


def test_a_loop_that_stops_going_round_is_not_alive(health: Health, clock: Clock) -> None:
    clock.now += STUCK + 1

    assert not health.verdict().alive


def test_a_stage_that_lost_its_partitions_is_not_ready(health: Health) -> None:
    health.alive("worker", 0)

    assert health.verdict().troubles == ("worker has no partitions",)


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(lambda health: health.goes_on("partition 3"), id="it says that it goes on"),
        pytest.param(lambda health: health.only_these_wait("partition", {}), id="its kind says who waits"),
    ],
)
def test_a_wait_ends(then: Callable[[Health], None], health: Health) -> None:
    health.waits("partition 3", "Redis is away")
    waiting = health.verdict()
    then(health)

    assert (waiting.troubles, health.verdict().troubles) == (("partition 3 waits: Redis is away",), ())


def test_a_wait_that_is_not_said_again_is_over(health: Health, clock: Clock) -> None:
    health.waits("view", "Redis is away")
    clock.now += PATIENCE + 1

    assert health.verdict().ready


def test_who_waits_is_said_of_one_kind_and_leaves_the_others() -> None:
    health = Health()
    health.waits("partition 3", "a")
    health.waits("partitions", "another kind, whose name begins alike")
    health.only_these_wait("partition", {"4": "b"})

    assert {who: why for who, (why, _) in health.facts().waits.items()} == {
        "partition 4": "b",
        "partitions": "another kind, whose name begins alike",
    }


def test_going_on_without_having_waited_is_nothing() -> None:
    health = Health()
    health.goes_on("view")

    assert health.verdict().ready


def test_time_that_nobody_tells_any_more_stands_still(health: Health, clock: Clock) -> None:
    health.lag(5.0)
    soon = health.verdict()
    clock.now += GAP
    health.alive("worker", 3)

    assert (soon.ready, health.verdict().troubles[0][:25]) == (True, "time stands still for 125")


def test_facts_are_read_while_stages_report() -> None:
    """A reader that iterates over what is being changed would raise."""
    health, stop = Health(), Event()

    def report() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            health.waits(f"partition {number % 500}", "x")
            health.only_these_wait("partition", {str(number % 7): "x"})

    reporter = Thread(target=report)
    reporter.start()
    try:
        verdicts = [health.verdict().alive for _ in range(2_000)]
    finally:
        stop.set()
        reporter.join()

    assert all(verdicts)
