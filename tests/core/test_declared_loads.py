"""What a dataset says of the checks that were declared of its loads: episodes, the breaker, and what lacks."""

import numpy as np
import pytest

from detector.core.breaker import State
from detector.core.declared import Check
from detector.core.declared.kinds import Between, NotNull, RowCountBetween, Unique
from detector.core.emissions import Emission, Unevaluated
from detector.core.events import Dataset, Statistics
from detector.core.rules import Rules, Settings
from tests.core.world import (
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    TABLE,
    World,
    anomalies,
    changes,
    event,
    found,
    profile,
    ready,
    started,
)

POSITIVE = Between(column="amount", min=0)
NAME = "declared:between(amount)"


def declared(*checks: Check, reload: bool = False) -> World:
    return ready(Rules(Settings(checks=checks)), reload=reload)


def amounts(minimum: float, column: str = "amount") -> Statistics:
    values = np.array([minimum, minimum + 90 + minimum / 7, 0.0], "<f8").tobytes()
    return Statistics((column,), ("min", "mean", "null_count"), values)


def load(world: World, at: float, minimum: float, run_id: str | None = None) -> list[Emission]:
    """A run that writes the table and tells its statistics."""
    written = Dataset("db", "orders", rows=1_000 + minimum, profile=amounts(minimum))
    return world.tell(event("COMPLETE", at, run_id or f"r{at}", outputs=(written,)))


def unevaluated(said: list[Emission]) -> list[Unevaluated]:
    return [emission.data for emission in said if isinstance(emission.data, Unevaluated)]


@pytest.mark.parametrize("reload", [False, True])
def test_a_check_that_fails_is_told_with_its_numbers_until_it_passes(reload: bool) -> None:
    world = declared(POSITIVE, reload=reload)
    load(world, MONDAY, 2)
    failed = anomalies(load(world, MONDAY + HOUR, -3.5, "bad"))
    load(world, MONDAY + 2 * HOUR, -4)
    load(world, MONDAY + 3 * HOUR, 3)

    assert found(world.said) == [(NAME, "started"), (NAME, "updated"), (NAME, "ended")]
    assert failed[0].summary == "amount: minimum -3.5, declared at least 0"
    assert (failed[0].severity, failed[0].run_id) == ("critical", "bad")
    assert (failed[0].observed, failed[0].lower, failed[0].upper, failed[0].direction) == (-3.5, 0, None, "low")
    assert anomalies(world.said)[-1].summary == (
        "declared:between(amount): passes again (amount: min 3, declared at least 0), after 2 h (seen 2 times)"
    )


def test_a_critical_check_opens_the_breaker_and_the_next_good_load_closes_it() -> None:
    world = declared(POSITIVE)
    load(world, MONDAY, 1)
    load(world, MONDAY + HOUR, -1)

    assert changes(world.said) == [("closed", "open")]
    assert world.entities[TABLE].judgement.breaker.reason == "amount: minimum -1, declared at least 0"
    load(world, MONDAY + 2 * HOUR, 1)

    assert changes(world.said)[-1] == ("half_open", "closed")


def test_a_warning_opens_no_breaker_by_itself() -> None:
    world = declared(Between(column="amount", min=0, severity="warning"))
    load(world, MONDAY, -1)

    assert [a.severity for a in anomalies(world.said)] == ["warning"]
    assert changes(world.said) == []


def test_a_load_that_tells_nothing_of_a_check_does_not_mend_what_it_said() -> None:
    world = declared(POSITIVE)
    load(world, MONDAY, -1)
    world.run(MONDAY + HOUR, rows=1_000)

    assert world.entities[TABLE].judgement.breaker.state is State.OPEN
    assert found(world.said) == [(NAME, "started")]


def test_statistics_that_come_after_the_end_of_the_run_are_held_against_the_checks() -> None:
    world = declared(POSITIVE)
    world.run(MONDAY, rows=1_000, run_id="r1")
    late = Dataset("db", "orders", profile=amounts(-2))
    world.tell(event("OTHER", MONDAY + 2 * MINUTE, "r1", outputs=(late,)))

    assert started(world.said) == [NAME]
    assert changes(world.said) == [("closed", "open")]


def test_one_load_is_held_against_a_check_once() -> None:
    world = declared(RowCountBetween(min=2_000))
    world.run(MONDAY, rows=1_000, run_id="r1")
    world.tell(event("COMPLETE", MONDAY + HOUR, "r1", outputs=(Dataset("db", "orders", rows=1_000, files=3),)))

    assert found(world.said) == [("declared:row_count_between", "started")]


@pytest.mark.parametrize("state", ["FAIL", "ABORT"])
def test_what_a_run_that_failed_wrote_is_not_held_against_anything(state: str) -> None:
    world = declared(RowCountBetween(min=2_000))
    world.run(MONDAY, state=state, rows=1_000)  # type: ignore[arg-type]

    assert started([e for e in world.said if e.key == TABLE]) == []


def test_what_a_run_has_read_is_not_held_against_anything() -> None:
    world = declared(POSITIVE)
    read = Dataset("db", "orders", rows=10, profile=amounts(-2))
    world.tell(event("COMPLETE", MONDAY, inputs=(read,)))

    assert [name for name in started(world.said) if name == NAME] == []


def test_a_check_of_one_grain_does_not_look_at_others() -> None:
    world = declared(RowCountBetween(min=500, grain="partition"))
    world.tell(profile(MONDAY, 3))
    world.tell(profile(MONDAY + HOUR, 3, "partition", partition="a"))

    assert [a.since for a in anomalies(world.said)] == [MONDAY + HOUR]


def test_a_grain_that_never_comes_is_said_to_lack_after_a_week() -> None:
    world = declared(RowCountBetween(min=500, grain="table"))
    for day in range(10):
        world.tick(MONDAY + day * DAY)
        world.run(MONDAY + day * DAY, rows=1_000 + day)

    assert [one.reason for one in unevaluated(world.said)] == ["no profile of grain table came"]


def test_what_fails_at_one_grain_is_not_mended_by_another() -> None:
    world = declared(RowCountBetween(min=500))
    world.tell(profile(MONDAY, 3, "partition", partition="a"))
    world.tell(profile(MONDAY + HOUR, 900))

    assert found(world.said) == [("declared:row_count_between", "started")]
    world.tell(profile(MONDAY + 2 * HOUR, 900, "partition", partition="b"))

    assert found(world.said)[-1] == ("declared:row_count_between", "ended")


def test_checks_are_told_one_by_one() -> None:
    world = declared(POSITIVE, RowCountBetween(max=10, severity="warning"), NotNull(column="amount"))
    load(world, MONDAY, -1)

    assert started(world.said) == [NAME, "declared:row_count_between"]


def test_a_check_that_lacks_what_it_needs_is_said_to_once_and_neither_passes_nor_fails() -> None:
    world = declared(Unique(column="amount"))
    for hour in range(5):
        load(world, MONDAY + hour * HOUR, hour)
    (said,) = unevaluated(world.said)

    assert said.check == "declared:unique(amount)"
    assert said.reason == "amount: the profile has no distinct of it"
    assert said.summary == f"{TABLE}: unique(amount) could not be evaluated: {said.reason}"
    assert found(world.said) == []


def test_statistics_that_come_by_themselves_are_not_missed_at_the_end_of_the_run() -> None:
    world = declared(POSITIVE)
    for hour in range(0, 10 * 24, 6):
        world.ticks(MONDAY + hour * HOUR, MONDAY + hour * HOUR)
        world.run(MONDAY + hour * HOUR, rows=1_000 + hour)
        world.tell(profile(MONDAY + hour * HOUR + 300, 1_000 + hour, statistics=amounts(1 + hour)))

    assert unevaluated(world.said) == []


def test_statistics_that_never_come_are_said_to_lack_after_a_week() -> None:
    world = declared(POSITIVE)
    for day in range(10):
        world.tick(MONDAY + day * DAY)
        world.run(MONDAY + day * DAY, rows=1_000 + day)
    (said,) = unevaluated(world.said)

    assert said.reason == "amount: no statistics of columns came with the load"


def test_a_failed_check_that_cannot_be_evaluated_for_a_week_is_over() -> None:
    world = declared(POSITIVE)
    load(world, MONDAY, -1)
    for day in range(1, 9):
        world.tick(MONDAY + day * DAY)
        written = Dataset("db", "orders", rows=1_000, profile=amounts(day, "other"))
        world.tell(event("COMPLETE", MONDAY + day * DAY, f"r{day}", outputs=(written,)))
    ended = [a for a in anomalies(world.said) if (a.check, a.phase) == (NAME, "ended")]

    assert len(ended) == 1
    assert "it could not be evaluated for a week: amount: the profile has no such column" in ended[0].summary
    assert len(unevaluated(world.said)) == 1


def test_what_is_no_longer_declared_is_over() -> None:
    world = declared(POSITIVE)
    load(world, MONDAY, -1)
    world.rules = Rules(fingerprint="another")
    world.tick(MONDAY + HOUR)

    assert found(world.said)[-1] == (NAME, "ended")
    assert world.entities[TABLE].intent.checks == {}


def test_checks_of_all_rules_that_match_hold_and_the_first_of_one_name_counts() -> None:
    overrides: tuple[tuple[str, dict[str, object]], ...] = (
        (TABLE, {"checks": (POSITIVE,), "tags": ("a", "b")}),
        ("*", {"checks": (Between(column="amount", min=5), NotNull(column="id")), "tags": ("b", "c")}),
    )
    rules = Rules(overrides=overrides)

    assert rules.of(TABLE).checks == (POSITIVE, NotNull(column="id"))
    assert rules.of(TABLE).tags == ("a", "b", "c")
    assert rules.of("job:ns/load").checks == ()


@pytest.mark.parametrize(
    ("worst", "told", "moves"),
    [
        pytest.param(2, "critical", [("closed", "open")], id="critical"),
        pytest.param(1, "warning", [], id="no worse than a warning"),
        pytest.param(0, "info", [], id="for information only"),
    ],
)
def test_nothing_is_told_as_worse_than_its_owner_says(worst: int, told: str, moves: list[tuple[str, str]]) -> None:
    world = ready(Rules(Settings(checks=(POSITIVE,), worst=worst)))
    load(world, MONDAY, -1)

    assert [a.severity for a in anomalies(world.said)] == [told]
    assert changes(world.said) == moves
