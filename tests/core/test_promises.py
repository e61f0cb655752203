"""What was declared of time: deadlines of jobs and datasets, freshness, and how many deadlines of a month were met."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from detector.core.calendar import Calendar
from detector.core.declared.kinds import FreshWithin
from detector.core.emissions import Emission, Sla
from detector.core.events import Dataset
from detector.core.intent import KEEP_MONTHS, Intent
from detector.core.rules import Rules, Settings
from detector.core.schedule import Deadline
from tests.core.world import (
    DAY,
    HOUR,
    JOB,
    MINUTE,
    MONDAY,
    TABLE,
    World,
    anomalies,
    changes,
    event,
    found,
    profile,
    started,
)

ROWS = Dataset("db", "orders", rows=10)
FRESH = "declared:fresh_within"
AT_THREE = Deadline(time(3), ZoneInfo("UTC"))


def promised(key: str = TABLE, **settings: object) -> Rules:
    return Rules(Settings(late=None), overrides=((key, settings),))


def of(key: str, said: list[Emission]) -> list[Emission]:
    return [emission for emission in said if emission.key == key]


def figures(said: list[Emission]) -> list[Sla]:
    return [emission.data for emission in said if isinstance(emission.data, Sla)]


# ---------------------------------------------------------------- deadlines of datasets


def test_a_dataset_that_was_declared_and_never_seen_misses_its_deadline_exactly_then() -> None:
    world = World(promised(deadline=AT_THREE))
    early = world.ticks(MONDAY - HOUR, MONDAY + 3 * HOUR - 1, every=59)
    said = world.tick(MONDAY + 3 * HOUR)

    assert started(early) == []
    assert [a.summary for a in anomalies(said)] == [
        "no load has completed by Mon 19 Jan 03:00 UTC, the declared deadline; none was ever seen"
    ]


def test_a_load_that_completed_makes_the_deadline_and_trips_nothing_when_it_does_not_come() -> None:
    world = World(promised(deadline=AT_THREE))
    world.ticks(MONDAY - HOUR, MONDAY, every=MINUTE)
    world.run(MONDAY + HOUR, rows=10)
    world.ticks(MONDAY + 2 * HOUR, MONDAY + DAY + 3 * HOUR, every=MINUTE)

    assert found(of(TABLE, world.said)) == [("deadline", "started")]
    assert changes(world.said) == []
    world.run(MONDAY + DAY + 4 * HOUR, rows=10)

    assert found(of(TABLE, world.said))[-1] == ("deadline", "ended")


@pytest.mark.parametrize("state", ["FAIL", "ABORT"])
def test_a_load_that_did_not_complete_makes_no_deadline(state: str) -> None:
    world = World(promised(deadline=AT_THREE))
    world.ticks(MONDAY - HOUR, MONDAY, every=MINUTE)
    world.run(MONDAY + HOUR, rows=10, state=state)  # type: ignore[arg-type]

    assert started(of(TABLE, world.ticks(MONDAY + 2 * HOUR, MONDAY + 4 * HOUR))) == ["deadline"]


def test_what_is_read_of_a_dataset_is_no_load_of_it() -> None:
    world = World(promised(deadline=AT_THREE))
    world.ticks(MONDAY - HOUR, MONDAY, every=MINUTE)
    world.tell(profile(MONDAY + HOUR, 10, "table"))
    world.tell(profile(MONDAY + HOUR, 10, "read"))

    assert started(of(TABLE, world.ticks(MONDAY + 2 * HOUR, MONDAY + 4 * HOUR))) == ["deadline"]


# ---------------------------------------------------------------- freshness


def fresh(within: float = DAY) -> World:
    world = World(promised(checks=(FreshWithin(within=within),)))
    world.ticks(MONDAY - HOUR, MONDAY, every=MINUTE)
    return world


def test_a_dataset_that_never_came_is_stale_counted_from_when_it_was_declared() -> None:
    world = fresh()
    world.ticks(MONDAY, MONDAY + 23 * HOUR - MINUTE)

    assert found(world.said) == []
    world.tick(MONDAY + 23 * HOUR)

    assert [a.summary for a in anomalies(world.said)] == ["no load was seen in 1 d; declared within 1 d"]
    assert [(a.check, a.observed, a.upper, a.unit) for a in anomalies(world.said)] == [(FRESH, DAY, DAY, "seconds")]


@pytest.mark.parametrize("reload", [False, True])
def test_a_dataset_goes_stale_when_its_last_load_is_too_old_and_is_fresh_with_the_next(reload: bool) -> None:
    world = fresh()
    world.reload = reload
    world.run(MONDAY, rows=10)
    world.ticks(MONDAY + HOUR, MONDAY + DAY + MINUTE, every=MINUTE)

    assert found(of(TABLE, world.said)) == [(FRESH, "started")]
    assert "the last load came at Mon 19 Jan 00:01 UTC, 1 d ago" in anomalies(world.said)[0].summary
    world.run(MONDAY + 2 * DAY, rows=10)

    assert found(of(TABLE, world.said)) == [(FRESH, "started"), (FRESH, "ended")]
    assert changes(world.said) == []


def test_a_profile_of_what_came_is_a_load() -> None:
    world = fresh()
    world.tell(profile(MONDAY + 20 * HOUR, 10, "partition", partition="a"))

    assert started(world.ticks(MONDAY + 20 * HOUR, MONDAY + 40 * HOUR, every=MINUTE)) == []


def test_a_stream_that_goes_on_is_fresh() -> None:
    world = fresh(2 * HOUR)
    for hour in range(24):
        written = event("RUNNING", MONDAY + hour * HOUR, "s", outputs=(ROWS,), streaming=True)
        world.tell(written)
        world.ticks(MONDAY + hour * HOUR, MONDAY + (hour + 1) * HOUR - 1)

    assert started(of(TABLE, world.said)) == []


def test_an_old_load_that_is_told_late_does_not_make_it_fresh() -> None:
    world = fresh()
    world.ticks(MONDAY, MONDAY + 2 * DAY, every=MINUTE)
    world.tell(event("COMPLETE", MONDAY + HOUR, "old", outputs=(ROWS,)), MONDAY + 2 * DAY)

    assert found(of(TABLE, world.said)) == [(FRESH, "started")]


def test_after_an_outage_of_the_detector_freshness_waits_for_the_grace() -> None:
    world = fresh()
    back = MONDAY + 3 * DAY
    world.tick(back)

    assert found(world.said) == []
    world.ticks(back + MINUTE, back + 5 * MINUTE)

    assert found(world.said) == [(FRESH, "started")]


def test_a_load_that_comes_in_the_grace_is_in_time() -> None:
    world = fresh()
    back = MONDAY + 3 * DAY
    world.tick(back)
    world.run(back, rows=10)

    assert started(of(TABLE, world.ticks(back + MINUTE, back + HOUR))) == []


def test_what_is_promised_is_not_forgotten() -> None:
    world = World(promised("dataset:*", checks=(FreshWithin(within=DAY),)))
    world.run(MONDAY, rows=10)
    world.ticks(MONDAY, MONDAY + 200 * DAY, every=DAY)

    assert TABLE in world.entities
    assert JOB not in world.entities


# ---------------------------------------------------------------- how many were met


@pytest.mark.parametrize("reload", [False, True])
def test_each_deadline_is_said_to_be_met_or_missed_with_its_month_so_far(reload: bool) -> None:
    world = World(promised(JOB, deadline=AT_THREE, owner="team-orders"), reload)
    world.ticks(MONDAY - HOUR, MONDAY, every=MINUTE)
    for day in (0, 2):
        world.run(MONDAY + day * DAY + HOUR)
        world.ticks(MONDAY + day * DAY + 2 * HOUR, MONDAY + (day + 1) * DAY, every=MINUTE)
        world.ticks(MONDAY + (day + 1) * DAY, MONDAY + (day + 2) * DAY, every=MINUTE)
    said = figures(world.said)

    assert [(one.met, one.month, one.months["2026-01"].met) for one in said] == [
        (True, "2026-01", 1),
        (False, "2026-01", 1),
        (True, "2026-01", 2),
        (False, "2026-01", 2),
    ]
    assert said[1].deadline == MONDAY + DAY + 3 * HOUR
    assert said[1].owner == "team-orders"
    assert said[1].completed == MONDAY + HOUR + MINUTE
    assert said[1].summary == (f"{JOB}: the deadline of Tue 20 Jan 03:00 UTC was missed; 1 of 2 in 2026-01 (50 %)")


def test_deadlines_that_passed_while_time_stood_still_are_each_held_against_what_came() -> None:
    world = World(promised(JOB, deadline=AT_THREE))
    world.ticks(MONDAY - HOUR, MONDAY, every=MINUTE)
    for day in (0, 1, 3):
        world.run(MONDAY + day * DAY + HOUR, run_id=f"r{day}")
    world.ticks(MONDAY + 4 * DAY, MONDAY + 4 * DAY + HOUR)

    assert [one.met for one in figures(world.said)] == [True, True, False, True]


def test_a_run_that_was_too_late_for_its_deadline_has_missed_it_though_nobody_is_told_any_more() -> None:
    world = World(promised(JOB, deadline=AT_THREE))
    world.ticks(MONDAY - HOUR, MONDAY, every=MINUTE)
    world.run(MONDAY + 4 * HOUR)
    world.ticks(MONDAY + 5 * HOUR, MONDAY + 6 * HOUR)

    assert started(world.said) == []
    assert [one.met for one in figures(world.said)] == [False]


def test_a_job_that_is_late_each_day_misses_each_deadline() -> None:
    world = World(promised(JOB, deadline=AT_THREE))
    world.ticks(MONDAY - HOUR, MONDAY, every=MINUTE)
    for day in range(3):
        world.ticks(MONDAY + day * DAY, MONDAY + day * DAY + 4 * HOUR, every=MINUTE)
        world.run(MONDAY + day * DAY + 4 * HOUR)
        world.ticks(MONDAY + day * DAY + 5 * HOUR, MONDAY + (day + 1) * DAY, every=MINUTE)

    assert found(world.said) == 3 * [("deadline", "started"), ("deadline", "ended")]
    assert [one.met for one in figures(world.said)] == [False, False, False]


def test_the_next_run_after_one_that_was_too_late_keeps_the_next_deadline() -> None:
    world = World(promised(JOB, deadline=AT_THREE))
    world.ticks(MONDAY - HOUR, MONDAY + 4 * HOUR, every=MINUTE)
    world.run(MONDAY + 4 * HOUR, run_id="late")
    world.run(MONDAY + 5 * HOUR, run_id="hourly")
    world.ticks(MONDAY + 6 * HOUR, MONDAY + DAY + 4 * HOUR, every=MINUTE)

    assert [one.met for one in figures(world.said)] == [False, True]


def test_a_run_of_the_next_day_keeps_its_own_deadline_and_not_the_one_that_was_missed() -> None:
    world = World(promised(JOB, deadline=AT_THREE))
    world.ticks(MONDAY - HOUR, MONDAY + DAY + HOUR, every=MINUTE)
    world.run(MONDAY + DAY + HOUR)
    world.ticks(MONDAY + DAY + 2 * HOUR, MONDAY + DAY + 4 * HOUR, every=MINUTE)

    assert found(world.said) == [("deadline", "started"), ("deadline", "ended")]
    assert [one.met for one in figures(world.said)] == [False, True]


def test_a_run_that_was_too_late_while_nobody_looked_keeps_no_other_deadline() -> None:
    world = World(promised(JOB, deadline=AT_THREE))
    world.ticks(MONDAY - HOUR, MONDAY, every=MINUTE)
    world.run(MONDAY + 4 * HOUR)
    world.ticks(MONDAY + 5 * HOUR, MONDAY + DAY + 4 * HOUR, every=MINUTE)

    assert [one.met for one in figures(world.said)] == [False, False]
    assert found(world.said) == [("deadline", "started")]


def test_the_month_is_that_of_the_deadlines_own_clock() -> None:
    zone = ZoneInfo("Pacific/Auckland")
    eve = datetime(2026, 1, 31, 20, tzinfo=UTC).timestamp()  # 1 February there
    world = World(promised(JOB, deadline=Deadline(time(9), zone)))
    world.ticks(eve - HOUR, eve, every=MINUTE)

    assert [one.month for one in figures(world.said)] == ["2026-02"]


def test_months_are_kept_for_a_year_and_one() -> None:
    intent = Intent()
    for number in range(40):
        intent.count(f"{2023 + number // 12}-{number % 12 + 1:02}", met=number % 2 == 0)

    assert len(intent.months) == KEEP_MONTHS
    assert list(intent.months)[-1] == "2026-04"
    assert intent.months["2026-04"] == (0, 1)


def test_a_deadline_that_is_no_longer_declared_is_over() -> None:
    world = World(promised(JOB, deadline=AT_THREE))
    world.ticks(MONDAY, MONDAY + 4 * HOUR, every=MINUTE)
    world.rules = Rules(fingerprint="another")
    world.tick(MONDAY + 5 * HOUR)

    assert found(world.said) == [("deadline", "started"), ("deadline", "ended")]


@pytest.mark.slow
def test_where_every_day_is_a_holiday_a_deadline_comes_all_the_same() -> None:
    always = Calendar(holidays=frozenset(range(int(MONDAY // DAY) - 100, int(MONDAY // DAY) + 100)))
    deadline = Deadline(time(3), ZoneInfo("UTC"), holidays=False)
    world = World(promised(JOB, deadline=deadline, calendar=always))
    world.ticks(MONDAY, MONDAY + 35 * DAY, every=MINUTE)

    assert started(world.said) == ["deadline"]


def test_after_a_long_gap_only_the_last_deadlines_are_counted() -> None:
    world = World(promised(JOB, deadline=AT_THREE))
    world.tick(MONDAY)
    world.ticks(MONDAY + 200 * DAY, MONDAY + 200 * DAY + 10 * MINUTE)

    assert len(figures(world.said)) == 60
    assert figures(world.said)[-1].deadline == MONDAY + 199 * DAY + 3 * HOUR
    assert found(world.said) == [("deadline", "started")]
