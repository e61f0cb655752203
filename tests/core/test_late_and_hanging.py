"""What time alone tells of a job: its run has not begun, has not ended, or did not make its declared deadline."""

from datetime import UTC, datetime, time
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from detector.core.breaker import State
from detector.core.calendar import Calendar
from detector.core.events import RunState
from detector.core.rules import Hanging, Rules, Settings
from detector.core.schedule import Deadline, Lateness
from tests.core.world import (
    DAY,
    HOUR,
    JOB,
    MINUTE,
    MONDAY,
    TABLE,
    World,
    anomalies,
    breakers,
    changes,
    event,
    found,
    ready,
    started,
)

LAST = MONDAY + 9 * HOUR
FRIDAY = MONDAY + 25 * DAY
LATE_AT = LAST + HOUR + 5 * MINUTE


def hourly(rules: Rules | None = None, takes: float = 60.0, runs: int = 10) -> World:
    """An hourly job whose last run began at `LAST`; the clock stands a while before it could be late."""
    world = ready(rules)
    for number in range(runs):
        world.ticks(MONDAY + (number - 0.75) * HOUR, MONDAY + number * HOUR, every=MINUTE)
        world.run(MONDAY + number * HOUR, takes=takes)
    world.said.clear()
    world.ticks(LAST + MINUTE, LAST + HOUR, every=MINUTE)
    return world


# ---------------------------------------------------------------- late


def test_a_run_that_does_not_begin_is_late_at_the_first_tick_from_then_on() -> None:
    world = hourly()
    before = world.ticks(LAST + HOUR, LATE_AT - 5, every=5)

    assert started(before) == []
    assert started(world.tick(LATE_AT)) == ["late"]
    assert started(world.ticks(LATE_AT + 5, LATE_AT + HOUR)) == []


@pytest.mark.parametrize("reload", [False, True], ids=["in memory", "read back before each record"])
@pytest.mark.parametrize(
    ("calendar", "expected"),
    [
        pytest.param(Calendar(), [FRIDAY], id="without a calendar"),
        pytest.param(Calendar(holidays=frozenset({int(FRIDAY // DAY)})), [], id="with one"),
    ],
)
def test_a_job_of_workdays_is_not_late_on_a_holiday(calendar: Calendar, expected: list[float], reload: bool) -> None:
    """It runs at nine; the holiday is the Friday of the fourth week."""
    world = ready(Rules(Settings(calendar=calendar), gap=2 * HOUR), reload=reload)
    runs = [MONDAY + day * DAY + 9 * HOUR for day in range(29) if day % 7 < 5 and day != 25]
    late: list[float] = []
    for before, after in pairwise(runs):
        world.run(before)
        said = world.ticks(before + HOUR, after - MINUTE, every=HOUR)
        late += [one.expected - 9 * HOUR for one in anomalies(said) if one.check == "late" and one.expected]

    assert [at for at in late if at > MONDAY + 14 * DAY] == expected


def test_a_late_verdict_says_when_the_run_was_expected() -> None:
    world = hourly()
    late = anomalies(world.ticks(LAST + HOUR, LATE_AT))[0]

    assert (late.severity, late.expected, late.upper, late.samples) == ("warning", LAST + HOUR, LATE_AT, 10)
    assert late.summary == (
        "no run has begun; one was expected at Mon 19 Jan 10:00 UTC and is late since Mon 19 Jan 10:05 UTC"
        " (learned from 10 runs; the last began at Mon 19 Jan 09:00 UTC)"
    )


def test_the_run_that_was_late_ends_the_episode_when_it_begins() -> None:
    world = hourly()
    world.ticks(LAST + HOUR, LATE_AT)

    assert found(world.tell(event("START", LATE_AT + 60))) == [("late", "ended")]


def test_a_run_that_goes_on_keeps_the_next_one_away_and_it_is_not_late() -> None:
    world = hourly()
    world.tell(event("START", LAST + HOUR))
    world.ticks(LAST + HOUR + MINUTE, LAST + 4 * HOUR)

    assert "late" not in started(world.said)


def test_an_old_run_whose_end_was_lost_does_not_hide_that_the_job_stands_still() -> None:
    world = ready()
    world.tell(event("START", MONDAY - 2 * HOUR, "zombie"))
    for number in range(10):
        world.run(MONDAY + number * HOUR)
    world.ticks(MONDAY + 9 * HOUR + MINUTE, MONDAY + 12 * HOUR)

    assert "late" in started(world.said)


def test_an_event_from_a_clock_that_is_years_ahead_does_not_end_lateness_for_ever() -> None:
    world = hourly()
    world.tell(event("START", MONDAY + 9_000 * DAY, "strange"), LAST + HOUR)
    world.tell(event("COMPLETE", MONDAY + 9_000 * DAY, "strange"), LAST + HOUR + 1)
    world.ticks(LAST + HOUR + MINUTE, LAST + 4 * HOUR)

    assert started(world.said) == ["duration", "late"]


def test_a_job_that_is_not_to_be_late_is_not() -> None:
    world = hourly(Rules(Settings(late=None)))

    assert started(world.ticks(LAST + HOUR, LAST + DAY, every=HOUR)) == []


def test_datasets_are_not_late() -> None:
    world = ready()
    for number in range(10):
        world.run(MONDAY + number * HOUR, rows=10)
    world.ticks(MONDAY + 10 * HOUR, MONDAY + 15 * HOUR)

    assert {a.entity for a in anomalies(world.said)} == {JOB}
    assert TABLE in world.entities


def test_events_that_are_not_of_a_runs_life_do_not_begin_one() -> None:
    world = hourly()
    world.tell(event("OTHER", LAST + HOUR, "metadata"))

    assert started(world.ticks(LAST + HOUR, LATE_AT)) == ["late"]


# ---------------------------------------------------------------- hanging


def test_a_run_hangs_when_it_takes_three_times_what_is_usual() -> None:
    world = hourly(takes=1_000)
    world.tell(event("START", LAST + HOUR, "slow"))
    hangs_at = LAST + HOUR + 3 * 1_000
    said = world.ticks(LAST + HOUR + 10, hangs_at - 10, every=10)

    assert started(said) == []
    said = world.tick(hangs_at)

    assert started(said) == ["hanging"]
    assert anomalies(said)[0].severity == "critical"
    assert anomalies(said)[0].summary == "run slow has not ended after 50 min: 16 min 40 s is usual (10 runs seen)"
    assert found(world.ticks(hangs_at + 10, hangs_at + 2 * HOUR)) == []


def test_a_quick_job_does_not_hang_before_ten_minutes() -> None:
    world = hourly(takes=10)
    world.tell(event("START", LAST + HOUR))

    assert started(world.ticks(LAST + HOUR, LAST + HOUR + 9.5 * MINUTE)) == []
    assert started(world.ticks(LAST + HOUR + 10 * MINUTE, LAST + HOUR + 11 * MINUTE)) == ["hanging"]


def test_a_declared_longest_duration_holds_from_the_first_run_on() -> None:
    world = ready(Rules(Settings(max_duration=300)))
    world.tell(event("START", MONDAY))
    said = world.ticks(MONDAY + 10, MONDAY + 300, every=10)

    assert [a.summary for a in anomalies(said)] == ["run r1 has not ended after 5 min: at most 5 min was declared"]


def test_the_declared_and_the_learned_limit_both_hold() -> None:
    world = hourly(Rules(Settings(max_duration=4 * HOUR)), takes=1_000)
    world.tell(event("START", LAST + HOUR))

    assert started(world.ticks(LAST + HOUR, LAST + 2 * HOUR)) == ["hanging"]


def test_a_run_that_hung_ends_the_episode_with_its_end_and_not_with_anothers() -> None:
    world = ready(Rules(Settings(max_duration=300)))
    world.tell(event("START", MONDAY, "hangs"))
    world.ticks(MONDAY + 10, MONDAY + 300, every=10)
    world.said.clear()
    world.run(MONDAY + 310, run_id="other")

    assert found(world.said) == []
    assert found(world.tell(event("COMPLETE", MONDAY + 400, "hangs"))) == [("hanging", "ended")]


def test_a_run_that_hangs_and_fails_is_both() -> None:
    world = ready(Rules(Settings(max_duration=300)))
    world.tell(event("START", MONDAY))
    world.ticks(MONDAY + 10, MONDAY + 300, every=10)

    assert found(world.tell(event("FAIL", MONDAY + 310))) == [("hanging", "ended"), ("failed", "started")]


@pytest.mark.parametrize("state", ["START", "RUNNING"])
def test_a_run_hangs_whose_start_came_or_that_says_that_it_goes_on(state: RunState) -> None:
    world = ready(Rules(Settings(max_duration=300)))
    world.tell(event(state, MONDAY))

    assert started(world.ticks(MONDAY, MONDAY + 400)) == ["hanging"]


def test_events_about_a_run_that_never_started_do_not_hang() -> None:
    world = ready(Rules(Settings(max_duration=300)))
    world.tell(event("OTHER", MONDAY))

    assert started(world.ticks(MONDAY, MONDAY + DAY, every=HOUR)) == []


def test_a_start_in_the_future_is_watched_from_now_on() -> None:
    world = ready(Rules(Settings(max_duration=300)))
    world.tell(event("START", MONDAY + 9_000 * DAY), MONDAY)

    assert started(world.ticks(MONDAY, MONDAY + 400)) == ["hanging"]


def test_runs_that_are_not_to_hang_do_not() -> None:
    world = hourly(Rules(Settings(hanging=None)))
    world.tell(event("START", LAST + HOUR))

    assert "hanging" not in started(world.ticks(LAST + HOUR, LAST + 3 * DAY, every=HOUR))


def test_too_few_durations_are_no_reason_to_call_a_run_hanging() -> None:
    world = ready(Rules(Settings(hanging=Hanging(min_runs=5))))
    for number in range(4):
        world.run(MONDAY + number * HOUR)
    world.tell(event("START", MONDAY + 5 * HOUR))

    assert started(world.ticks(MONDAY + 5 * HOUR, MONDAY + DAY, every=HOUR)) == []


# ---------------------------------------------------------------- declared deadlines

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("zone", "moment", "after", "before"),
    [
        pytest.param(ZoneInfo("UTC"), "2026-01-19 00:00", "2026-01-19 03:30", "2026-01-18 03:30", id="in UTC"),
        pytest.param(ZoneInfo("UTC"), "2026-01-19 03:30", "2026-01-20 03:30", "2026-01-18 03:30", id="at the deadline"),
        pytest.param(BERLIN, "2026-01-19 00:00", "2026-01-19 02:30", "2026-01-18 02:30", id="winter in Berlin"),
        pytest.param(BERLIN, "2026-07-19 00:00", "2026-07-19 01:30", "2026-07-18 01:30", id="summer in Berlin"),
        pytest.param(NEW_YORK, "2026-01-19 00:00", "2026-01-19 08:30", "2026-01-18 08:30", id="winter in New York"),
        pytest.param(BERLIN, "2026-03-28 12:00", "2026-03-29 01:30", "2026-03-28 02:30", id="clocks go forward"),
        pytest.param(BERLIN, "2026-10-24 12:00", "2026-10-25 02:30", "2026-10-24 01:30", id="clocks go back"),
        pytest.param(
            ZoneInfo("Pacific/Kiritimati"), "2026-01-19 00:00", "2026-01-19 13:30", "2026-01-18 13:30", id="UTC+14"
        ),
    ],
)
def test_a_deadline_is_a_time_of_the_day_where_it_was_declared(
    zone: ZoneInfo, moment: str, after: str, before: str
) -> None:
    deadline = Deadline(time(3, 30), zone)

    assert (deadline.after(at(moment)), deadline.before(at(moment))) == (at(after), at(before))


def test_a_deadline_that_the_clock_skips_is_an_hour_later_and_one_that_comes_twice_is_the_first() -> None:
    deadline = Deadline(time(2, 30), BERLIN)

    assert deadline.after(at("2026-03-28 12:00")) == at("2026-03-29 01:30")  # 03:30 in summer time
    assert deadline.after(at("2026-10-24 12:00")) == at("2026-10-25 00:30")  # 02:30 in summer time


def test_a_deadline_of_some_days_only_skips_the_others() -> None:
    workdays = Deadline(time(3, 30), ZoneInfo("UTC"), frozenset(range(5)))
    mondays = Deadline(time(3, 30), ZoneInfo("UTC"), frozenset({0}))

    assert workdays.after(at("2026-01-23 04:00")) == at("2026-01-26 03:30")
    assert workdays.before(at("2026-01-26 03:00")) == at("2026-01-23 03:30")
    assert mondays.after(at("2026-01-19 03:30")) == at("2026-01-26 03:30")
    assert mondays.before(at("2026-01-19 03:30")) == at("2026-01-12 03:30")


NEW_YEAR = Calendar(holidays=frozenset({int(at("2026-01-01 00:00") // DAY)}))


@pytest.mark.parametrize(
    ("holidays", "moment", "after", "before"),
    [
        pytest.param(True, "2026-01-01 00:00", "2026-01-01 02:30", "2025-12-31 02:30", id="it holds on holidays, too"),
        pytest.param(False, "2026-01-01 00:00", "2026-01-02 02:30", "2025-12-31 02:30", id="or not on these"),
        pytest.param(False, "2026-01-01 12:00", "2026-01-02 02:30", "2025-12-31 02:30", id="on the holiday itself"),
        pytest.param(False, "2026-01-02 12:00", "2026-01-03 02:30", "2026-01-02 02:30", id="the days after are others"),
    ],
)
def test_whether_a_deadline_holds_on_holidays_is_declared(holidays: bool, moment: str, after: str, before: str) -> None:
    deadline = Deadline(time(3, 30), BERLIN, holidays=holidays)

    found = (deadline.after(at(moment), NEW_YEAR), deadline.before(at(moment), NEW_YEAR))

    assert found == (at(after), at(before))


def test_a_deadline_for_which_every_day_is_a_holiday_comes_all_the_same() -> None:
    always = Calendar(holidays=frozenset(range(int(MONDAY // DAY) - 1_000, int(MONDAY // DAY) + 1_000)))
    deadline = Deadline(time(3, 30), BERLIN, holidays=False)

    assert MONDAY < deadline.after(MONDAY, always) < MONDAY + 40 * DAY
    assert MONDAY - 40 * DAY < deadline.before(MONDAY, always) < MONDAY


@pytest.mark.parametrize(("holidays", "expected"), [(True, ["deadline"]), (False, [])])
def test_a_job_that_rests_on_a_holiday_misses_no_deadline_that_does_not_hold_then(
    holidays: bool, expected: list[str]
) -> None:
    off = Calendar(holidays=frozenset({int(MONDAY // DAY) + 1}))
    deadline = Deadline(time(3, 30), ZoneInfo("UTC"), holidays=holidays)
    world = ready(Rules(Settings(late=None, deadline=deadline, calendar=off)))
    world.run(MONDAY + HOUR)
    said = world.ticks(MONDAY + 2 * HOUR, MONDAY + 2 * DAY)
    world.run(MONDAY + 2 * DAY + HOUR)

    assert started(said) == expected
    assert started(world.ticks(MONDAY + 2 * DAY + 2 * HOUR, MONDAY + 3 * DAY)) == []


def test_a_deadline_without_days_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        Deadline(time(3, 30), BERLIN, frozenset()).after(MONDAY)


def promised(clock: time = time(3, 30), zone: ZoneInfo = BERLIN, days: frozenset[int] = frozenset(range(7))) -> Rules:
    return Rules(overrides=((JOB, {"deadline": Deadline(clock, zone, days), "late": None}),))


def test_a_job_that_was_declared_and_never_seen_misses_its_deadline_exactly_then() -> None:
    world = World(promised())
    due = at("2026-01-19 02:30")
    said = world.ticks(due - HOUR, due - 1, every=1)

    assert started(said) == []
    said = world.tick(due)

    assert started(said) == ["deadline"]
    assert anomalies(said)[0].entity == JOB
    assert anomalies(said)[0].severity == "critical"
    assert anomalies(said)[0].summary == (
        "no run has completed by Mon 19 Jan 02:30 UTC, the declared deadline; none was ever seen"
    )


def test_a_run_that_completed_since_the_last_deadline_makes_this_one() -> None:
    world = World(promised())
    world.ticks(MONDAY - HOUR, MONDAY)
    world.run(MONDAY + HOUR)

    assert started(world.ticks(MONDAY + 2 * HOUR, MONDAY + 10 * HOUR)) == []


@pytest.mark.parametrize("state", ["FAIL", "ABORT"])
def test_a_run_that_did_not_complete_does_not_make_the_deadline(state: RunState) -> None:
    world = World(promised())
    world.ticks(MONDAY - HOUR, MONDAY)
    world.run(MONDAY + HOUR, state=state)

    assert "deadline" in started(world.ticks(MONDAY + 2 * HOUR, MONDAY + 10 * HOUR))


def test_a_run_that_hangs_does_not_make_the_deadline() -> None:
    world = World(promised())
    world.ticks(MONDAY - HOUR, MONDAY)
    world.tell(event("START", MONDAY + HOUR))

    assert "deadline" in started(world.ticks(MONDAY + 2 * HOUR, MONDAY + 3 * HOUR))


def test_yesterdays_run_does_not_make_todays_deadline_and_todays_ends_the_episode() -> None:
    world = World(promised())
    world.ticks(MONDAY - HOUR, MONDAY)
    world.run(MONDAY + HOUR)
    world.ticks(MONDAY + 2 * HOUR, MONDAY + DAY + 3 * HOUR, every=MINUTE)

    assert found(world.said) == [("deadline", "started")]
    world.run(MONDAY + DAY + 4 * HOUR)

    assert found(world.said)[1:] == [("deadline", "ended")]


def test_a_deadline_that_is_missed_every_day_is_one_episode() -> None:
    world = World(promised())
    world.ticks(MONDAY, MONDAY + 3 * DAY, every=MINUTE)

    assert found(world.said) == [("deadline", "started"), ("deadline", "updated"), ("deadline", "updated")]


def test_a_completion_that_a_wrong_clock_puts_far_ahead_does_not_make_all_deadlines() -> None:
    world = World(promised())
    world.ticks(MONDAY - HOUR, MONDAY)
    world.tell(event("COMPLETE", MONDAY + 9_000 * DAY), MONDAY + 60)

    assert started(world.ticks(MONDAY + HOUR, MONDAY + 30 * HOUR)) == ["deadline"]


def test_a_deadline_on_workdays_is_not_missed_on_a_saturday() -> None:
    world = World(promised(days=frozenset(range(5))))
    friday = MONDAY + 4 * DAY
    world.ticks(friday - HOUR, friday, every=MINUTE)
    world.run(friday + HOUR)

    assert started(world.ticks(friday + 2 * HOUR, friday + 3 * DAY, every=10 * MINUTE)) == []
    assert started(world.ticks(friday + 3 * DAY + HOUR, friday + 3 * DAY + 3 * HOUR)) == ["deadline"]


@pytest.mark.parametrize("first", ["2026-03-27 01:00", "2026-10-23 01:00"], ids=["forward", "back"])
def test_a_daily_run_before_its_local_deadline_makes_it_when_the_clocks_change(first: str) -> None:
    world = World(promised(time(6, 0)))
    world.ticks(at(first) - HOUR, at(first))
    for day in range(5):
        local = datetime.fromtimestamp(at(first), BERLIN).replace(hour=5, minute=30, tzinfo=None)
        begins = local.replace(day=local.day + day, tzinfo=BERLIN).timestamp()
        world.ticks(world.partition.clock + 10 * MINUTE, begins, every=10 * MINUTE)
        world.run(begins, takes=60)

    assert started(world.said) == []


def test_a_declared_job_is_watched_in_its_own_partition_only() -> None:
    said = [World(promised(), partition=number, count=4).ticks(MONDAY, MONDAY + 4 * HOUR) for number in range(4)]

    assert sorted(len(started(one)) for one in said) == [0, 0, 0, 1]


def test_a_deadline_that_is_switched_off_for_one_job_declares_nothing() -> None:
    world = World(Rules(overrides=((JOB, {"deadline": None}), ("job:*", {"deadline": Deadline(time(3), BERLIN)}))))

    assert world.rules.declared == ()
    world.ticks(MONDAY, MONDAY + HOUR)

    assert world.partition.due == {}


def test_learned_lateness_and_the_declared_deadline_hold_side_by_side() -> None:
    rules = Rules(Settings(late=Lateness(), deadline=Deadline(time(10, 3), ZoneInfo("UTC"))))
    world = hourly(rules)
    world.entities[JOB].runs.completed = 0.0  # as if every run had failed
    world.entities[JOB].intent.made.clear()

    assert started(world.ticks(LAST + HOUR, LATE_AT)) == ["deadline", "late"]


def test_what_time_alone_tells_moves_no_breaker() -> None:
    hanging = hourly(takes=1_000)
    hanging.tell(event("START", LAST + HOUR, "slow"))
    said = [
        *hourly().ticks(LAST + HOUR, LAST + 3 * HOUR),
        *hanging.ticks(LAST + HOUR, LAST + 3 * HOUR),
        *World(promised()).ticks(at("2026-01-19 02:00"), at("2026-01-19 03:00")),
    ]

    assert {"late", "deadline", "hanging"} <= set(started(said))
    assert changes(said) == []
    assert {value.state for value in breakers(said)} == {State.CLOSED}
