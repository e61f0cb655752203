"""By what clock an entity lives: wall time, holidays, and what the judge makes of them."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.config import zone
from detector.core.calendar import Calendar
from detector.core.judge import reading_of
from detector.core.models import MODELS, Model, kernel
from detector.core.models.baseline import Baseline, read
from detector.core.models.reading import Reading
from detector.core.rules import Rules, Settings
from detector.core.table import SeriesTable
from tests.core.test_judge import Series
from tests.core.world import DAY, HOUR, MONDAY, found

BERLIN = Calendar(zone("Europe/Berlin"))
EPOCH = date(1970, 1, 1)


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def days(*texts: str) -> frozenset[int]:
    return frozenset((date.fromisoformat(text) - EPOCH).days for text in texts)


# ---------------------------------------------------------------- wall time


@given(st.floats(allow_nan=False))
def test_without_a_calendar_time_is_as_it_was_bit_for_bit(at: float) -> None:
    assert Calendar().at(at) == (at, ())
    assert Calendar().instant(at) == at


@pytest.mark.parametrize(
    ("at", "wall"),
    [
        pytest.param("2026-01-15 02:00", "2026-01-15 03:00", id="in winter"),
        pytest.param("2026-07-15 02:00", "2026-07-15 04:00", id="in summer"),
        pytest.param("2026-03-29 00:59", "2026-03-29 01:59", id="before the clock goes forward"),
        pytest.param("2026-03-29 01:00", "2026-03-29 03:00", id="an hour is skipped"),
        pytest.param("2026-10-25 00:30", "2026-10-25 02:30", id="before the clock goes back"),
        pytest.param("2026-10-25 01:30", "2026-10-25 02:30", id="an hour comes twice"),
        pytest.param("2028-02-28 23:30", "2028-02-29 00:30", id="a leap day begins earlier in the east"),
        pytest.param("1969-12-31 23:30", "1970-01-01 00:30", id="before 1970"),
    ],
)
def test_the_clock_on_the_wall(at: str, wall: str) -> None:
    assert BERLIN.wall(utc(at)) == utc(wall)


@pytest.mark.parametrize(
    ("wall", "at"),
    [
        pytest.param("2026-10-25 02:30", "2026-10-25 00:30", id="of two times the first"),
        pytest.param("2026-03-29 02:30", "2026-03-29 01:30", id="a time that is skipped is as long after midnight"),
    ],
)
def test_a_time_that_there_is_twice_or_not_at_all(wall: str, at: str) -> None:
    assert BERLIN.instant(utc(wall)) == utc(at)


@given(
    st.integers(0, 4_102_444_800),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_wall_time_leads_back_but_for_the_second_of_two(at: int, name: str) -> None:
    calendar = Calendar(zone(name))
    back = calendar.instant(calendar.wall(at))

    assert calendar.wall(back) == calendar.wall(at)
    assert at - back in (0, 1_800, 3_600)


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -1e300, 1e300])
def test_a_time_that_no_calendar_has_is_left_as_it_is(at: float) -> None:
    calendar = Calendar(zone("Europe/Berlin"), days("2026-01-01"))

    assert str(calendar.at(at)) == str(Calendar().at(at))


def test_a_holiday_begins_and_ends_at_midnight_on_the_wall() -> None:
    calendar = Calendar(zone("Europe/Berlin"), days("2026-12-25"), weekend=(4, 5))
    hours = [utc("2026-12-24 22:59"), utc("2026-12-24 23:00"), utc("2026-12-25 22:59"), utc("2026-12-25 23:00")]

    assert [calendar.at(at).like for at in hours] == [(), (4, 5), (4, 5), ()]


def test_a_leap_day_can_be_a_holiday() -> None:
    calendar = Calendar(holidays=days("2028-02-29"))

    assert [calendar.is_holiday(utc("2028-02-28") + day * DAY) for day in range(3)] == [False, True, False]


# ---------------------------------------------------------------- judging


def readings(calendar: Calendar, series: Iterable[tuple[float, float]], model: Model | None = None) -> list[Reading]:
    model = model or Baseline()
    return [reading_of(model, calendar.at(at), x) for at, x in series]


def business(count: int, rests: frozenset[int] = frozenset(), seed: int = 1) -> list[tuple[float, float]]:
    """A load each day at three in the night: on a Sunday, and on days of rest, a third of the rows of other days."""
    random = Random(seed)
    made = []
    for day in range(count):
        at = MONDAY + day * DAY + 3 * HOUR
        less = day % 7 == 6 or int(at // DAY) in rests
        made.append((at, float(round((3_000 if less else 9_000) * (1 + random.gauss(0, 0.04))))))
    return made


HOLIDAY = MONDAY + 72 * DAY + 3 * HOUR  # a Wednesday, after ten weeks
ON_WEDNESDAY = Calendar(holidays=frozenset({int(HOLIDAY // DAY)}))


@pytest.mark.parametrize(
    ("rows", "calendar", "alert"),
    [
        pytest.param(3_000.0, Calendar(), True, id="without a calendar a holiday is a loss of rows"),
        pytest.param(3_000.0, ON_WEDNESDAY, False, id="as little as on a Sunday is usual on a holiday"),
        pytest.param(9_000.0, ON_WEDNESDAY, False, id="as much as on a Wednesday is usual, too"),
        pytest.param(700.0, ON_WEDNESDAY, True, id="8 % of a Wednesday is found: a Sunday has a third"),
        pytest.param(0.0, ON_WEDNESDAY, True, id="no rows at all are found"),
        pytest.param(20_000.0, ON_WEDNESDAY, True, id="too much is found"),
        pytest.param(3_000.0, Calendar(holidays=frozenset({int(HOLIDAY // DAY) + 1})), True, id="the day before"),
        pytest.param(3_000.0, Calendar(holidays=frozenset({int(HOLIDAY // DAY) - 1})), True, id="the day after"),
    ],
)
def test_a_holiday_may_be_like_its_weekday_or_like_the_weekend(rows: float, calendar: Calendar, alert: bool) -> None:
    assert readings(calendar, [*business(72), (HOLIDAY, rows)])[-1].alert is alert


def test_a_drop_on_a_holiday_is_found_where_sundays_are_as_busy_as_other_days() -> None:
    random = Random(3)
    steady = [(at, float(round(9_000 * (1 + random.gauss(0, 0.04))))) for at, _ in business(72)]

    assert readings(ON_WEDNESDAY, [*steady, (HOLIDAY, 720.0)])[-1].alert


def test_the_verdict_on_a_holiday_shows_the_day_that_it_is_like() -> None:
    like_sunday = readings(ON_WEDNESDAY, [*business(72), (HOLIDAY, 3_050.0)])[-1]
    like_wednesday = readings(ON_WEDNESDAY, [*business(72), (HOLIDAY, 9_050.0)])[-1]

    assert like_sunday.lower < 3_050 < like_sunday.upper < 9_000
    assert 3_050 < like_wednesday.lower < 9_050 < like_wednesday.upper


def test_of_verdicts_that_all_alarm_the_least_odd_is_told() -> None:
    said = readings(ON_WEDNESDAY, [*business(72), (HOLIDAY, 700.0)])[-1]

    assert said.alert
    assert 700 < said.lower < 3_000 < said.upper < 6_000


def test_a_holiday_of_a_daily_series_stays_one_of_a_daily_series() -> None:
    """The Sunday before is six days back from a Saturday, and the value before it is one day away all the same."""
    saturday = MONDAY + 75 * DAY + 3 * HOUR
    series = [*business(75), (saturday, 3_000.0)]
    like_sunday = readings(Calendar(holidays=frozenset({int(saturday // DAY)})), series)[-1]
    sunday = readings(Calendar(), [*business(76), (saturday + DAY, 3_000.0)])[-1]

    assert not like_sunday.alert
    assert like_sunday.lower == pytest.approx(sunday.lower, rel=0.05)
    assert like_sunday.upper == pytest.approx(sunday.upper, rel=0.05)


@pytest.mark.parametrize("rows", [3_000.0, 700.0, 0.0, 90_000.0])
def test_what_a_holiday_has_that_its_weekday_has_not_is_not_learned(rows: float) -> None:
    one, other = Baseline(), Baseline()
    readings(ON_WEDNESDAY, [*business(72), (HOLIDAY, rows)], one)
    readings(ON_WEDNESDAY, business(72), other)

    assert one.snapshot() == other.snapshot()


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=60), st.sets(st.integers(0, 60)))
def test_what_no_day_finds_unusual_is_judged_and_learned_as_if_there_were_no_holidays(
    values: list[float], off: set[int]
) -> None:
    """Up to the first value that its own weekday finds unusual on a holiday, both models are one."""
    calendar = Calendar(holidays=frozenset(int(MONDAY // DAY) + day for day in off))
    series = [(MONDAY + day * DAY, x) for day, x in enumerate(values)]
    given_one, plain = Baseline(), Baseline()

    for day, (at, x) in enumerate(series):
        said, before = reading_of(given_one, calendar.at(at), x), plain.judge_one(at, x)
        if before.alert and day in off:
            assert said.score <= before.score or not said.alert
            return
        assert (said, given_one.snapshot()) == (before, plain.snapshot())


def test_days_of_rest_each_month_leave_the_weekdays_as_they_are() -> None:
    """Thirteen holidays in a year and a half, of which none alarms; the Wednesdays between them do not get wider."""
    rests = frozenset(int(MONDAY // DAY) + 72 + 28 * n for n in range(13))
    calendar = Calendar(holidays=rests)

    said = readings(calendar, business(500, rests))
    without = readings(Calendar(), business(500, rests))

    off = [day for day in range(500) if int(MONDAY // DAY) + day in rests]
    assert not any(reading.alert for reading in said)
    assert sum(without[day].alert for day in off) >= 1
    assert said[499 - 499 % 7 + 2].lower > 6_000


def test_the_weekend_is_that_of_the_country() -> None:
    """Fridays are quiet, Sundays are not."""
    quiet_fridays = [(at - 2 * DAY, x) for at, x in business(77)][2:]
    holiday = quiet_fridays[-1][0] + 4 * DAY
    known = frozenset({int(holiday // DAY)})

    said = [
        readings(Calendar(holidays=known, weekend=weekend), [*quiet_fridays, (holiday, 3_000.0)])[-1].alert
        for weekend in ((4, 5), (5, 6))
    ]

    assert said == [False, True]


def hourly(count: int, seed: int = 1, start: float = utc("2026-02-02 00:00")) -> list[tuple[float, float]]:
    """Rows of each hour; twenty times as many at noon as at midnight, by the clock of Berlin."""
    random = Random(seed)
    made = []
    for n in range(count):
        at = start + n * HOUR
        hour = BERLIN.wall(at) // HOUR % 24
        made.append((at, float(round(200 * (1 + 19 * (1 - abs(hour - 12) / 12)) * (1 + random.gauss(0, 0.03))))))
    return made


@pytest.mark.parametrize(
    ("start", "change"),
    [
        pytest.param("2026-02-02 00:00", "2026-03-29 01:00", id="the clock goes forward"),
        pytest.param("2026-08-31 00:00", "2026-10-25 01:00", id="the clock goes back"),
    ],
)
def test_an_hourly_series_keeps_its_hours_over_a_change_of_clocks(start: str, change: str) -> None:
    series = hourly(70 * 24, start=utc(start))
    after = [at >= utc(change) for at, _ in series]

    told = {
        name: sum(reading.alert for reading, late in zip(readings(calendar, series), after, strict=True) if late)
        for name, calendar in (("berlin", BERLIN), ("utc", Calendar()))
    }

    assert told["berlin"] == 0
    assert told["utc"] >= 2


@pytest.mark.parametrize("step", [60.0, 15 * 60.0, HOUR, DAY], ids=["minute", "quarter", "hour", "day"])
def test_a_clock_that_goes_back_leaves_the_interval_of_a_series_positive(step: float) -> None:
    """A negative one would double with every value, and any series would be taken for one of many values a day."""
    model, autumn = Baseline(), utc("2026-10-25 01:00")
    readings(BERLIN, [(autumn + (n - 50) * step, 100.0 + n % 7) for n in range(200)], model)

    assert 0.5 * step <= model._heads["gap"][0] <= 2 * step


def test_two_first_values_that_came_in_disorder_make_no_daily_series_hourly() -> None:
    model = Baseline()
    for day in (1, 0, *range(2, 40)):
        model.judge_one(MONDAY + day * DAY, 1_000.0 + day % 5)

    assert model._heads["gap"][0] > DAY / 2


def test_a_restored_model_goes_on_through_holidays_and_changes_of_clocks_as_the_one_that_was_not() -> None:
    calendar = Calendar(zone("Europe/Berlin"), days("2026-03-25", "2026-03-31", "2026-04-03"))
    series = hourly(70 * 24)
    series = [(at, x * (0.3 if calendar.at(at).like else 1.0)) for at, x in series]
    whole = Baseline()
    expected = [reading_of(whole, calendar.at(at), x) for at, x in series]

    model, said = Baseline(), []
    for number, (at, x) in enumerate(series):
        said.append(reading_of(model, calendar.at(at), x))
        if number % 100 == 99 or calendar.at(at).like:
            bytes_, model = model.snapshot(), Baseline()
            model.restore(bytes_)

    assert said == expected
    assert model.snapshot() == whole.snapshot()


def test_many_series_in_one_pass_are_judged_by_a_calendar_as_one_by_one() -> None:
    """Busy ones, quiet ones and faulty ones on each holiday, and a clock that goes back."""
    count, random = 8, Random(5)
    calendar = Calendar(zone("Europe/Berlin"), frozenset(int(MONDAY // DAY) + 30 + 9 * n for n in range(30)))
    models, table, alerts = [Baseline() for _ in range(count)], SeriesTable(), 0
    names = [f"s{n}" for n in range(count)]
    for day, (at, x) in enumerate(business(300)):
        at = at + HOUR if day % 40 else at - DAY - HOUR  # some come in disorder
        moment = calendar.at(at)
        less = [random.choice([1.0, 0.33, 0.05]) if moment.like else 1.0 for _ in range(count)]
        values = np.array([round(x * (1 + random.gauss(0, 0.03)) * share) for share in less], np.float64)
        out = np.zeros((count, kernel.WIDTH))
        table.judge(names, moment, values, models[0].parameters, kernel.UNTAUGHT, out)
        one_by_one = [reading_of(model, moment, float(x)) for model, x in zip(models, values, strict=True)]
        assert one_by_one == [read(row) for row in out.tolist()]
        alerts += sum(reading.alert for reading in one_by_one)

    assert alerts > 20
    assert all(
        table.baseline(name, Baseline()).snapshot() == m.snapshot() for name, m in zip(names, models, strict=True)
    )


@pytest.mark.parametrize("kind", MODELS)
def test_every_model_runs_by_a_calendar(kind: str) -> None:
    """Those without weekdays judge a holiday as any day."""
    said = readings(ON_WEDNESDAY, [*business(72), (HOLIDAY, 9_000.0)], MODELS[kind]())
    plain = readings(Calendar(), [*business(72), (HOLIDAY, 9_000.0)], MODELS[kind]())

    assert said == plain


# ---------------------------------------------------------------- through the entity


@pytest.mark.parametrize(
    ("calendar", "said"),
    [
        pytest.param(Calendar(), [("rows", "started")], id="without"),
        pytest.param(Calendar(holidays=frozenset({int(MONDAY // DAY) + 73})), [], id="with"),
    ],
)
def test_an_entity_is_judged_by_its_calendar(calendar: Calendar, said: list[tuple[str, str]]) -> None:
    series = Series(Settings(calendar=calendar), step=DAY)  # the first value is of Tuesday
    series.see(*[x for _, x in business(73)][1:])
    series.said.clear()

    assert found(series.see(3_000.0)) == said


def test_entities_have_calendars_by_rules() -> None:
    rules = Rules(overrides=(("job:de/*", {"calendar": BERLIN}),))

    assert [rules.of(key).calendar for key in ("job:de/a", "job:us/a")] == [BERLIN, Calendar()]
