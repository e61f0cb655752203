"""Time is data: what ticks do, in what order they ever come, and what a silence of theirs means."""

from datetime import time
from zoneinfo import ZoneInfo

import pytest

from detector.core.emissions import BreakerChange
from detector.core.events import Dataset, DatasetObserved, Tick
from detector.core.pipeline import MAX_DUE
from detector.core.rules import Rules, Settings
from detector.core.schedule import Deadline
from detector.core.state import NEVER
from tests.core.world import (
    DAY,
    HOUR,
    JOB,
    MINUTE,
    MONDAY,
    TABLE,
    World,
    beats,
    breakers,
    changes,
    checked,
    event,
    found,
    ready,
    started,
)


def test_the_clock_is_the_highest_tick() -> None:
    world = World()
    for at in (MONDAY, MONDAY + 5, MONDAY + 5, MONDAY - HOUR, MONDAY + 10):
        world.tick(at)

    assert world.partition.clock == MONDAY + 10


def test_a_tick_that_is_repeated_or_behind_says_nothing_and_is_not_counted() -> None:
    world = World()
    world.tick(MONDAY)

    assert world.tick(MONDAY) == []
    assert world.put(None, Tick(MONDAY - HOUR), MONDAY) == []
    assert world.partition.ignored_ticks == 0


def test_a_tick_that_is_far_ahead_of_its_append_time_is_ignored_and_counted() -> None:
    world = World()
    world.tick(MONDAY)

    assert world.put(None, Tick(MONDAY + 65.1), MONDAY + 5) == []
    assert (world.partition.clock, world.partition.ignored_ticks) == (MONDAY, 1)
    world.put(None, Tick(MONDAY + 65), MONDAY + 5)

    assert (world.partition.clock, world.partition.ignored_ticks) == (MONDAY + 65, 1)


def test_a_tick_at_no_time_moves_nothing() -> None:
    world = World()
    world.tick(MONDAY)
    world.put(None, Tick(float("nan")), MONDAY + 5)
    world.put(None, Tick(float("inf")), MONDAY + 5)

    assert world.partition.clock == MONDAY


def test_a_heartbeat_is_sent_every_fifteen_seconds_to_the_partition_itself() -> None:
    world = World(partition=3, count=4)
    world.ticks(MONDAY, MONDAY + MINUTE, every=5)

    assert [(beat.partition, beat.clock - MONDAY) for beat in beats(world.said)] == [(3, 15 * n) for n in range(5)]
    assert {(e.key, e.partition, e.topic) for e in world.said} == {("heartbeat:3", 3, "breakers")}


def test_heartbeats_stop_when_time_stands_still() -> None:
    world = ready()
    for number in range(100):
        world.run(MONDAY + number)

    assert beats(world.said) == []


# ---------------------------------------------------------------- grace


def due_at_five_past_ten() -> World:
    world = ready()
    for number in range(10):
        world.run(MONDAY + number * HOUR)
    world.said.clear()
    return world


LATE_AT = MONDAY + 10 * HOUR + 5 * MINUTE


def test_after_a_gap_lateness_waits_for_a_grace_and_then_comes() -> None:
    world = due_at_five_past_ten()
    back = LATE_AT + HOUR
    said = world.ticks(back, back + 5 * MINUTE - 5, every=5)

    assert started(said) == []
    assert started(world.tick(back + 5 * MINUTE)) == ["late"]


def test_what_arrives_within_the_grace_is_not_late() -> None:
    world = due_at_five_past_ten()
    back = LATE_AT + HOUR
    world.tick(back)
    world.run(MONDAY + 10 * HOUR)
    world.run(MONDAY + 11 * HOUR)

    assert started(world.ticks(back + 5, back + 10 * MINUTE, every=5)) == []


def test_ticks_that_come_a_little_late_are_no_gap() -> None:
    world = due_at_five_past_ten()
    world.ticks(MONDAY + 9 * HOUR, LATE_AT - MINUTE)
    world.tick(LATE_AT + MINUTE)  # exactly two minutes after the last one

    assert started(world.said) == ["late"]


def test_the_first_tick_of_all_begins_with_a_grace() -> None:
    world = World()
    for number in range(10):
        world.run(MONDAY + number * HOUR)
    said = world.ticks(LATE_AT + HOUR, LATE_AT + HOUR + 4 * MINUTE)

    assert started(said) == []
    assert started(world.tick(LATE_AT + HOUR + 5 * MINUTE)) == ["late"]


def test_the_grace_holds_hanging_and_deadlines_back_and_no_breaker() -> None:
    world = ready(Rules(Settings(max_duration=300)))
    world.tell(event("START", MONDAY))
    world.tell(event("FAIL", MONDAY, "r2"))
    back = MONDAY + HOUR
    said = world.tick(back)

    assert started(said) == []
    assert changes(said) == [("open", "half_open")]
    assert started(world.ticks(back + MINUTE, back + 5 * MINUTE)) == ["hanging"]


# ---------------------------------------------------------------- who is due


def test_a_tick_concerns_only_those_that_are_due() -> None:
    world = ready()
    for number in range(50):
        world.run(MONDAY, name=f"job{number}")
    world.tell(event("START", MONDAY, name="hangs"))
    touched_before = {key: entity.at for key, entity in world.entities.items()}
    world.tick(MONDAY + MINUTE)

    assert {key: entity.at for key, entity in world.entities.items()} == touched_before


def test_no_entity_is_due_again_at_once_after_a_tick() -> None:
    world = ready(Rules(Settings(max_duration=300)))
    for number in range(10):
        world.run(MONDAY + number * HOUR, state="FAIL" if number == 9 else "COMPLETE", rows=10)
    world.tell(event("START", MONDAY + 9.5 * HOUR, "hangs"))
    world.tell(event("COMPLETE", MONDAY + 9.6 * HOUR, "waits"))
    for now in range(int(MONDAY + 9.5 * HOUR), int(MONDAY + 30 * HOUR), 300):
        world.tick(float(now))

        assert all(due > now for due in world.partition.due.values())


@pytest.mark.slow
def test_the_queue_of_due_times_stays_small_however_often_they_change() -> None:
    world = ready()
    for number in range(5_000):
        world.run(MONDAY + number * 61, name=f"job{number % 3}")

    assert len(world.partition.queue) <= 2 * len(world.partition.due) + 1_001


# ---------------------------------------------------------------- forgetting


def test_an_entity_that_is_silent_for_ninety_days_is_forgotten_at_the_end_of_the_day() -> None:
    world = ready()
    world.tell(checked(MONDAY, success=False))
    last = MONDAY + 91 * DAY
    world.ticks(MONDAY + HOUR, last - HOUR, every=HOUR)

    assert TABLE in world.partition.due
    said = world.tick(last)

    assert TABLE not in world.partition.due
    assert found(said) == [("assertion", "ended")]
    assert [(e.topic, e.key, e.data) for e in said if e.data is None] == [("breakers", TABLE, None)]


def test_an_entity_that_speaks_again_lives_on() -> None:
    world = ready()
    world.run(MONDAY, rows=1)
    world.run(MONDAY + 80 * DAY, rows=1)
    world.ticks(MONDAY + 80 * DAY, MONDAY + 100 * DAY, every=HOUR)

    assert set(world.partition.due) == {JOB, TABLE}


def test_what_was_forgotten_begins_anew() -> None:
    world = ready()
    world.tell(checked(MONDAY, success=False))
    world.tick(MONDAY + 91 * DAY)
    said = world.tell(checked(MONDAY + 91 * DAY, success=False))

    assert found(said) == [("assertion", "started")]
    assert [value.sequence for value in breakers(said)] == [0]


def test_a_job_with_a_deadline_is_never_forgotten() -> None:
    world = World(Rules(overrides=((JOB, {"deadline": Deadline(time(3), ZoneInfo("UTC"))}),)))
    world.ticks(MONDAY, MONDAY + 200 * DAY, every=6 * HOUR)

    assert JOB in world.partition.due


# ---------------------------------------------------------------- another configuration


def changed(world: World, rules: Rules) -> World:
    """The same partition after a restart with other rules."""
    world.rules = rules
    world.restart()
    world.said.clear()
    return world


def test_switching_a_breaker_off_closes_an_open_one_and_says_so() -> None:
    world = ready()
    world.run(MONDAY, state="FAIL")
    changed(world, Rules(Settings(mode="off"), fingerprint="other"))
    said = world.tick(MONDAY + 5)

    assert changes(said) == [("open", "half_open"), ("half_open", "closed")]
    assert [(value.state, value.mode) for value in breakers(said)] == [("closed", "off")]


def test_a_breaker_that_is_off_says_nothing_more_but_the_findings() -> None:
    world = ready(Rules(Settings(mode="off")))
    said = world.run(MONDAY, state="FAIL")

    assert (started(said), changes(said)) == (["failed"], [])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(Settings(mode="shadow"), [("open", "shadow", "allow")], id="another mode is told anew"),
        pytest.param(Settings(on_unknown="block"), [("open", "enforce", "block")], id="another rule for unknown, too"),
        pytest.param(Settings(wait=60), [], id="what readers do not see is not"),
    ],
)
def test_readers_are_told_of_other_settings_without_waiting_for_a_run(
    settings: Settings, expected: list[tuple[str, str, str]]
) -> None:
    world = ready()
    world.run(MONDAY, state="FAIL")
    changed(world, Rules(settings, fingerprint="other"))
    said = world.tick(MONDAY + 5)

    assert [(v.state, v.mode, v.on_unknown) for v in breakers(said)] == expected
    assert breakers(world.tick(MONDAY + 10)) == []


def test_a_shadow_breaker_moves_and_says_that_nobody_is_stopped() -> None:
    said = ready(Rules(Settings(mode="shadow"))).run(MONDAY, state="FAIL")
    change = next(e.data for e in said if isinstance(e.data, BreakerChange))

    assert changes(said) == [("closed", "open")]
    assert change.summary.endswith("(shadow: nobody is stopped)")


@pytest.mark.slow
def test_a_crowd_is_told_of_other_settings_over_several_ticks_each_once() -> None:
    world = ready()
    crowd = MAX_DUE + 500
    described = DatasetObserved("described", MONDAY, MONDAY, Dataset("db", "t"), None, None, None)
    for number in range(crowd):
        world.put(f"dataset:db/t{number}", described, MONDAY)
    changed(world, Rules(Settings(mode="shadow"), fingerprint="other"))
    told = [len(breakers(world.tick(MONDAY + 5 * n))) for n in range(1, 5)]

    assert told == [MAX_DUE, 500, 0, 0]


def test_nothing_waits_for_ever() -> None:
    world = ready()
    world.tell(checked(MONDAY, success=True))

    assert world.partition.due[TABLE] < NEVER
