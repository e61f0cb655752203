"""Deadlines by cron expressions: held against the expression read minute by minute, and on nights of changed clocks."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from detector.config import Times, parse_cron
from detector.core.calendar import Calendar
from detector.core.cron import Cron
from detector.core.rules import Rules, Settings
from tests.core.world import DAY, HOUR, JOB, MINUTE, MONDAY, World, started

UTC_ZONE, BERLIN, NEW_YORK = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


def cron(text: str, zone: ZoneInfo = UTC_ZONE, holidays: bool = True) -> Cron:
    return Cron(*parse_cron(text), zone, holidays)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def moments(times: Cron, since: str, count: int, calendar: Calendar | None = None) -> list[str]:
    found, moment = [], at(since)
    for _ in range(count):
        moment = times.after(moment, calendar or Calendar())
        found.append(f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("30 3 * * 1-5", ["2026-01-23 03:30", "2026-01-26 03:30"], id="workdays"),
        pytest.param("30 3 * * mon-fri", ["2026-01-23 03:30", "2026-01-26 03:30"], id="workdays by name"),
        pytest.param("*/20 8 * * *", ["2026-01-23 08:00", "2026-01-23 08:20", "2026-01-23 08:40"], id="steps"),
        pytest.param("5/20 8 * * *", ["2026-01-23 08:05", "2026-01-23 08:25", "2026-01-23 08:45"], id="steps from"),
        pytest.param("0 6-18/6 * * *", ["2026-01-23 06:00", "2026-01-23 12:00"], id="steps in a range"),
        pytest.param("0 8,20 * * *", ["2026-01-23 08:00", "2026-01-23 20:00"], id="a list"),
        pytest.param("0 0 1 * *", ["2026-02-01 00:00", "2026-03-01 00:00"], id="monthly"),
        pytest.param("0 0 31 * *", ["2026-01-31 00:00", "2026-03-31 00:00"], id="months that have such a day"),
        pytest.param("0 0 29 feb *", ["2028-02-29 00:00", "2032-02-29 00:00"], id="leap years"),
        pytest.param("0 0 1 * fri", ["2026-01-23 00:00", "2026-01-30 00:00", "2026-02-01 00:00"], id="either day"),
        pytest.param("0 0 * * 0", ["2026-01-25 00:00", "2026-02-01 00:00"], id="Sunday is 0"),
        pytest.param("0 0 * * 7", ["2026-01-25 00:00", "2026-02-01 00:00"], id="and 7"),
        pytest.param("0 0 * * 5-7", ["2026-01-23 00:00", "2026-01-24 00:00", "2026-01-25 00:00"], id="to Sunday"),
        pytest.param("@daily", ["2026-01-23 00:00", "2026-01-24 00:00"], id="a word for it"),
    ],
)
def test_an_expression_holds_when_it_says(text: str, expected: list[str]) -> None:
    assert moments(cron(text), "2026-01-22 23:00", len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("0 3 * *", "'0 3 * *' has 4 fields; five are needed: minute, hour, day, month, weekday", id="few"),
        pytest.param("60 3 * * *", "minute: '60' is not within 0 to 59", id="too large"),
        pytest.param("0 3 0 * *", "day of the month: '0' is not within 1 to 31", id="too small"),
        pytest.param(
            "0 3 * * fryday", "day of the week: 'fryday' is not within 0 to 7 or sun to sat", id="no such day"
        ),
        pytest.param("0 3 * * 5-1", "day of the week: '5-1' ends before it begins", id="backwards"),
        pytest.param("*/0 3 * * *", "minute: '*/0' has a step of nothing", id="no step"),
        pytest.param("0 3 L * *", "day of the month: 'L' is not within 1 to 31", id="what others have added"),
        pytest.param("0 3 ? * 1#2", "day of the month: '?' is none; write a number, 1-5, 1,3,5, * or */15", id="?"),
        pytest.param("0 3 30 2 *", "'0 3 30 2 *': no such month has such a day", id="never"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_field(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        parse_cron(text)


def numbers(first: int, last: int) -> some.SearchStrategy[str]:
    one = some.integers(first, last).map(str)
    pair = some.tuples(some.integers(first, last), some.integers(first, last)).map(lambda two: f"{min(two)}-{max(two)}")
    step = some.integers(1, last).map(lambda by: f"*/{by}")
    return some.just("*") | step | some.lists(one | pair, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = some.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 28), numbers(1, 12), numbers(0, 7)).map(" ".join)
MINUTES = some.integers(int(MONDAY // 60), int((MONDAY + 700 * DAY) // 60))


@given(EXPRESSIONS, MINUTES)
@example("30 3 * * 1-5", int(MONDAY // 60))
def test_the_next_time_and_the_last_are_those_of_a_search_minute_by_minute(text: str, minute: int) -> None:
    times, parsed = cron(text), parse_cron(text)
    moment, following = minute * MINUTE, cron(text).after(minute * MINUTE)

    assert holds(parsed, following)
    assert times.before(following + MINUTE) == following
    assert times.before(following) <= moment
    for step in range(1, 200):
        if moment + step * MINUTE < following:
            assert not holds(parsed, moment + step * MINUTE)


def holds(times: Times, moment: float) -> bool:
    """Whether an expression holds in a minute: read word by word, without a search."""
    when = datetime.fromtimestamp(moment, UTC)
    minutes, hours, days, months, weekdays, either = times
    of_month, of_week = when.day in days, when.weekday() in weekdays
    day = of_month or of_week if either else of_month and of_week
    return when.second == 0 and when.minute in minutes and when.hour in hours and when.month in months and day


@pytest.mark.parametrize(
    ("text", "zone", "since", "expected"),
    [
        pytest.param(
            "30 2 * * *",
            BERLIN,
            "2026-03-28 12:00",
            ["2026-03-29 01:30", "2026-03-30 00:30"],
            id="skipped: an hour later",
        ),
        pytest.param(
            "30 2 * * *", BERLIN, "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"], id="twice: the first"
        ),
        pytest.param(
            "0 * * * *",
            BERLIN,
            "2026-10-24 23:30",
            ["2026-10-25 00:00", "2026-10-25 01:00", "2026-10-25 02:00"],
            id="every hour, also the one that comes twice",
        ),
        pytest.param(
            "0 * * * *",
            BERLIN,
            "2026-03-28 23:30",
            ["2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 02:00"],
            id="every hour, and the one that is skipped is no more than once",
        ),
        pytest.param(
            "0 3 * * *", NEW_YORK, "2026-03-07 12:00", ["2026-03-08 07:00", "2026-03-09 07:00"], id="in New York"
        ),
    ],
)
def test_an_expression_goes_by_the_clock_on_the_wall(
    text: str, zone: ZoneInfo, since: str, expected: list[str]
) -> None:
    assert moments(cron(text, zone), since, len(expected)) == expected


@given(EXPRESSIONS, MINUTES, some.sampled_from([BERLIN, NEW_YORK, ZoneInfo("Australia/Lord_Howe")]))
def test_times_come_one_after_the_other_in_any_zone(text: str, minute: int, zone: ZoneInfo) -> None:
    times, moment = cron(text, zone), minute * MINUTE
    following = times.after(moment)

    assert following > moment
    assert times.before(following) <= moment < times.after(times.before(following) - 1) + 10 * 366 * DAY


def test_an_expression_may_rest_on_holidays() -> None:
    friday = int(at("2026-01-23 00:00") // DAY)
    off = Calendar(holidays=frozenset({friday}))

    assert moments(cron("0 3 * * 1-5", holidays=False), "2026-01-22 12:00", 1, off) == ["2026-01-26 03:00"]
    assert moments(cron("0 3 * * 1-5"), "2026-01-22 12:00", 1, off) == ["2026-01-23 03:00"]


def test_an_expression_for_which_every_day_is_a_holiday_comes_all_the_same() -> None:
    days = int(MONDAY // DAY)
    always = Calendar(holidays=frozenset(range(days - 400, days + 400)))
    times = cron("0 3 * * *", holidays=False)

    assert MONDAY < times.after(MONDAY, always) < MONDAY + 40 * DAY
    assert MONDAY - 40 * DAY < times.before(MONDAY, always) < MONDAY


def test_a_job_that_was_promised_by_an_expression_misses_it_on_its_days_only() -> None:
    rules = Rules(Settings(late=None), overrides=((JOB, {"deadline": cron("0 3 * * mon,wed")}),))
    world = World(rules)
    world.ticks(MONDAY, MONDAY + 3 * HOUR - 1, every=59)

    assert started(world.said) == []
    world.ticks(MONDAY + 3 * HOUR, MONDAY + 2 * DAY + 4 * HOUR, every=MINUTE)

    assert [e.data.count for e in world.said if hasattr(e.data, "phase")] == [1, 2]  # type: ignore[union-attr]


def test_a_step_over_a_day_is_cheap_where_the_next_time_is_years_away() -> None:
    times = cron("0 0 29 2 *")

    assert times.after(at("2096-03-01 00:00")) == at("2104-02-29 00:00")
    assert timedelta(seconds=times.after(MONDAY) - MONDAY).days == 771
