"""When the next run is due, as learned from the times of the runs before."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.schedule import KEEP, Lateness, Schedule
from tests.core.world import DAY, HOUR, MINUTE, MONDAY


def learned(starts: Sequence[float], rule: Lateness | None = Lateness()) -> Schedule:  # noqa: B008
    schedule = Schedule()
    for at in starts:
        schedule.add(at, 0.0, rule)
    return schedule


def false_alarms(starts: Sequence[float], rule: Lateness | None = None) -> list[float]:
    """The runs before which the job was called late."""
    schedule, late = Schedule(), []
    for at in starts:
        if schedule.late_at is not None and at > schedule.late_at:
            late.append(at)
        schedule.add(at, 0.0, rule or Lateness())
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
