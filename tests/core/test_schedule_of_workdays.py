"""A job of workdays: the rest of a weekend, once seen, is no lateness, however exactly its runs begin."""

from detector.core.schedule import DAY, Lateness, Schedule

TUESDAY = 1_768_888_800.0  # 20 January 2026, 06:00 UTC


def test_a_weekend_that_was_seen_before_is_not_late_even_by_seconds() -> None:
    schedule = Schedule()
    workdays = [TUESDAY + day * DAY for day in range(11) if (day + 1) % 7 < 5]
    for at in workdays:
        schedule.add(at, lag=0.0, rule=Lateness())

    assert schedule.late_at is not None
    assert schedule.late_at > workdays[-1] + 3 * DAY + 60.0
