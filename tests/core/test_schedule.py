"""When the next run is due, as learned from the times of the runs before."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.config import zone
from detector.core.calendar import Calendar
from detector.core.schedule import KEEP, Lateness, Schedule
from tests.core.world import DAY, HOUR, MINUTE, MONDAY


def learned(starts: Sequence[float], rule: Lateness | None = Lateness()) -> Schedule:  # noqa: B008
    schedule = Schedule()
    for at in starts:
        schedule.add(at, 0.0, rule)
    return schedule


def false_alarms(
    starts: Sequence[float],
    rule: Lateness | None = None,
    calendar: Calendar = Calendar(),  # noqa: B008
) -> list[float]:
    """The runs before which the job was called late."""
    schedule, late = Schedule(), []
    for at in starts:
        if schedule.late_at is not None and at > schedule.late_at:
            late.append(at)
        schedule.add(at, 0.0, rule or Lateness(), calendar)
    return late


def local(zone: str, first: datetime, days: int, hours: Sequence[int] = (3,)) -> list[float]:
    """Runs at these hours of the day in a time zone."""
    return [
        (first + timedelta(days=day)).replace(hour=hour, tzinfo=ZoneInfo(zone)).timestamp()
        for day in range(days)
        for hour in hours
    ]


def test_an_hourly_job_is_late_five_minutes_after_its_hour() -> None:
    schedule = learned([MONDAY + n * HOUR for n in range(6)])

    assert (schedule.expected, schedule.late_at) == (MONDAY + 6 * HOUR, MONDAY + 6 * HOUR + 5 * MINUTE)


def test_the_minute_of_the_hour_is_learned_exactly() -> None:
    schedule = learned([MONDAY + 17 * MINUTE + n * HOUR for n in range(6)])

    assert schedule.expected == MONDAY + 17 * MINUTE + 6 * HOUR


def test_a_daily_job_is_late_after_a_twentieth_of_a_day() -> None:
    schedule = learned([MONDAY + n * DAY for n in range(10)])

    assert schedule.late_at == MONDAY + 10 * DAY + 0.05 * DAY


def test_nothing_is_expected_before_enough_runs_were_seen() -> None:
    assert learned([MONDAY + n * HOUR for n in range(4)]).late_at is None
    assert learned([MONDAY + n * HOUR for n in range(5)]).late_at is not None


def test_a_job_whose_first_events_arrive_late_has_that_much_more_time() -> None:
    schedule = Schedule()
    for number in range(6):
        schedule.add(MONDAY + number * HOUR, 120.0, Lateness())

    assert schedule.late_at == MONDAY + 6 * HOUR + 5 * MINUTE + 120


def test_the_order_in_which_runs_are_told_does_not_matter() -> None:
    starts = [MONDAY + n * HOUR + n % 3 for n in range(10)]

    assert learned(starts).late_at == learned(sorted(starts, key=lambda at: at % 7)).late_at


def test_two_runs_at_one_time_are_one_start() -> None:
    assert learned([MONDAY + n // 2 * HOUR for n in range(12)]).starts == [MONDAY + n * HOUR for n in range(6)]


def test_a_corrected_start_leaves_the_schedule_as_if_it_had_been_told_right() -> None:
    wrong = learned([*(MONDAY + n * HOUR for n in range(8)), MONDAY + 8 * HOUR + 1_000])
    wrong.correct(MONDAY + 8 * HOUR + 1_000, MONDAY + 8 * HOUR, Lateness())

    assert wrong.late_at == learned([MONDAY + n * HOUR for n in range(9)]).late_at


def test_a_schedule_that_is_not_to_be_judged_expects_nothing() -> None:
    assert learned([MONDAY + n * HOUR for n in range(10)], None).late_at is None


def jitter(starts: Sequence[float], by: float, seed: int = 1) -> list[float]:
    random = Random(seed)
    return [at + random.uniform(-by, by) for at in starts]


BERLIN_SPRING = datetime(2026, 3, 16, tzinfo=UTC)  # the clocks go forward on 29 March, and back on 25 October
BERLIN_AUTUMN = datetime(2026, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "starts",
    [
        pytest.param([MONDAY + n * HOUR for n in range(100)], id="hourly to the second"),
        pytest.param(jitter([MONDAY + n * HOUR for n in range(200)], 4 * MINUTE), id="hourly, give or take 4 minutes"),
        pytest.param([MONDAY + n * DAY for n in range(60)], id="daily to the second"),
        pytest.param(jitter([MONDAY + n * DAY for n in range(100)], HOUR / 3), id="daily, give or take 20 minutes"),
        pytest.param([MONDAY + n * 7 * DAY for n in range(20)], id="weekly"),
        pytest.param([MONDAY + n * 60 for n in range(300)], id="every minute"),
        pytest.param([MONDAY + d * DAY + h * HOUR for d in range(20) for h in (3, 6)], id="at three and at six"),
        pytest.param(
            [MONDAY + d * DAY + h * HOUR for d in range(20) for h in range(8, 19)][11:],
            id="hourly in business hours, once the first night was seen",
        ),
        pytest.param(local("Europe/Berlin", BERLIN_SPRING, 28), id="daily at three in Berlin, clocks go forward"),
        pytest.param(local("Europe/Berlin", BERLIN_AUTUMN, 28), id="daily at three in Berlin, clocks go back"),
    ],
)
def test_a_job_that_keeps_its_schedule_is_not_called_late(starts: list[float]) -> None:
    assert [at for at in false_alarms(starts) if at > starts[0] + DAY] == []


def workdays(weeks: int, by: float = 0.0) -> list[float]:
    return jitter([MONDAY + (7 * week + day) * DAY for week in range(weeks) for day in range(5)], by)


def test_a_job_of_workdays_is_late_on_no_weekend_but_the_first() -> None:
    assert [round((at - MONDAY) / DAY) for at in false_alarms(workdays(12, by=10 * MINUTE))] == [7]


def test_a_job_of_workdays_is_late_on_the_workday_that_it_misses() -> None:
    starts = workdays(4)
    schedule = learned(starts[:-2])  # the last Thursday and Friday are missing

    assert schedule.late_at is not None
    assert starts[-2] < schedule.late_at < starts[-2] + DAY / 4


@given(st.lists(st.floats(0, 30 * DAY), min_size=6, max_size=40), st.floats(0, DAY))
def test_no_job_however_irregular_is_late_before_its_next_run_is_expected(pauses: list[float], lag: float) -> None:
    schedule, at = Schedule(), MONDAY
    for pause in pauses:
        at += pause
        schedule.add(at, lag, Lateness())
    if schedule.late_at is None or schedule.expected is None:
        return

    assert len(schedule.starts) <= KEEP
    assert schedule.starts[-1] <= schedule.expected < schedule.late_at


# ---------------------------------------------------------------- by a calendar


def days_off(*texts: str) -> frozenset[int]:
    return frozenset(datetime.fromisoformat(text).replace(tzinfo=UTC).toordinal() - EPOCH for text in texts)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
BERLIN = Calendar(zone("Europe/Berlin"))
CHRISTMAS = Calendar(zone("Europe/Berlin"), days_off("2026-12-25", "2026-12-26", "2027-01-01"))
WORKDAYS = [
    at
    for at in local("Europe/Berlin", datetime(2026, 11, 30, tzinfo=UTC), 56)
    if datetime.fromtimestamp(at, BERLIN.zone).weekday() < 5
]


@given(st.lists(st.floats(0, 30 * DAY), min_size=2, max_size=40))
def test_a_calendar_of_nothing_changes_no_schedule(pauses: list[float]) -> None:
    plain, given_one, at = Schedule(), Schedule(), MONDAY
    for pause in pauses:
        at += pause
        plain.add(at, 0.0, Lateness())
        given_one.add(at, 0.0, Lateness(), Calendar(zone("UTC")))

    assert plain == given_one


@pytest.mark.parametrize("start", [BERLIN_SPRING, BERLIN_AUTUMN], ids=["clocks go forward", "clocks go back"])
def test_a_job_of_the_wall_clock_is_expected_at_its_hour_after_a_change_of_clocks(start: datetime) -> None:
    starts = local("Europe/Berlin", start, 20, hours=(3, 11, 19))
    schedule = Schedule()
    for before, after in pairwise(starts):
        schedule.add(before, 0.0, Lateness(), BERLIN)
        if before > starts[30]:
            assert schedule.expected is not None
            assert schedule.late_at is not None
            changes = BERLIN.wall(after) - after != BERLIN.wall(before) - before
            assert schedule.expected - after in ((0, HOUR) if changes else (0,))
            assert after < schedule.late_at < schedule.expected + HOUR


def test_without_a_zone_the_same_job_is_called_late_when_clocks_go_back() -> None:
    starts = local("Europe/Berlin", BERLIN_AUTUMN, 28, hours=(0, 6, 12, 18))

    assert [at for at in false_alarms(starts) if at > starts[30]] != []
    assert [at for at in false_alarms(starts, calendar=BERLIN) if at > starts[30]] == []


@pytest.mark.parametrize("start", [BERLIN_SPRING, BERLIN_AUTUMN], ids=["clocks go forward", "clocks go back"])
def test_a_job_that_goes_by_hours_and_not_by_the_wall_is_not_called_late_either(start: datetime) -> None:
    starts = [start.timestamp() + n * 8 * HOUR for n in range(80)]

    assert false_alarms(starts, calendar=BERLIN) == []


def test_an_hourly_job_is_late_as_ever_over_a_change_of_clocks() -> None:
    """Its interval is what it is, whatever the clocks show."""
    starts = [datetime(2026, 10, 24, 18, tzinfo=UTC).timestamp() + n * HOUR for n in range(12)]
    schedule = Schedule()
    for at in starts:
        schedule.add(at, 0.0, Lateness(), BERLIN)
        if len(schedule.starts) >= 5:
            assert schedule.late_at == at + HOUR + 5 * MINUTE


def without_holidays(starts: Sequence[float], calendar: Calendar) -> list[float]:
    return [at for at in starts if not calendar.is_holiday(calendar.wall(at))]


def test_a_job_that_rests_on_weekends_is_not_late_on_a_holiday() -> None:
    starts = without_holidays(WORKDAYS, CHRISTMAS)
    learned_by = starts[11]

    assert [at for at in false_alarms(starts, calendar=CHRISTMAS) if at > learned_by] == []


def test_after_a_holiday_such_a_job_is_expected_on_its_next_day_and_late_as_soon_as_ever() -> None:
    """Friday, 1 January, is a holiday: the next run is on Monday, and Tuesday's is as exactly due as before."""
    starts = without_holidays(WORKDAYS, CHRISTMAS)
    fourth, fifth, sixth = (local("Europe/Berlin", datetime(2027, 1, day, tzinfo=UTC), 1)[0] for day in (4, 5, 6))
    schedule = Schedule()

    expected, slack = {}, {}
    for at in starts:
        schedule.add(at, 0.0, Lateness(), CHRISTMAS)
        if schedule.expected is not None and schedule.late_at is not None:
            expected[at], slack[at] = schedule.expected, schedule.late_at - schedule.expected

    last_of_the_year = max(at for at in starts if at < fourth)
    assert [expected[last_of_the_year], expected[fourth], expected[fifth]] == [fourth, fifth, sixth]
    assert max(slack[last_of_the_year], slack[fourth]) < DAY / 4


def test_a_job_that_runs_on_sundays_is_late_on_a_holiday() -> None:
    every_day = local("Europe/Berlin", datetime(2026, 12, 1, tzinfo=UTC), 24)  # up to 24 December
    schedule = Schedule()
    for at in every_day:
        schedule.add(at, 0.0, Lateness(), CHRISTMAS)

    assert schedule.expected == every_day[-1] + DAY
    assert CHRISTMAS.is_holiday(CHRISTMAS.wall(schedule.expected))


def test_a_job_of_workdays_that_has_run_on_a_holiday_is_late_on_the_next_one() -> None:
    """It ran on Christmas, so the New Year is a day like any other."""
    starts = [at for at in WORKDAYS if at < datetime(2027, 1, 1, tzinfo=UTC).timestamp()]
    schedule = Schedule()
    for at in starts:
        schedule.add(at, 0.0, Lateness(), CHRISTMAS)

    assert schedule.expected == starts[-1] + DAY


def test_a_calendar_in_which_every_day_is_a_holiday_ends_no_program() -> None:
    calendar = Calendar(holidays=frozenset(range(int(MONDAY // DAY) + 14, int(MONDAY // DAY) + 1_000)))
    schedule = Schedule()
    for at in workdays(2):
        schedule.add(at, 0.0, Lateness(), calendar)

    assert schedule.expected is not None
