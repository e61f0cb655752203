"""Mutes and maintenance windows: once, and by the clock of a place, also in the nights in which clocks are changed."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from math import inf
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from detector.config import zone
from detector.core.windows import FOREVER, Recurrence, Window, active, is_active, next_change

DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
JOB = "job:airflow/orders.load"
NAMES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata")
ZONES = {name: zone(name) for name in NAMES}
MON, WED, SUN = 0, 2, 6


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def berlin(
    at: str = "02:00", hours: float = 2.0, start: float = 0.0, end: float = FOREVER, **recurrence: Any
) -> Window:
    again = Recurrence(at=at, lasts=hours * HOUR, **recurrence)
    return Window(id="w", match="job:*", start=start, end=end, recurrence=again, zone="Europe/Berlin")


def once(start: float, end: float, match: str = "job:*", name: str = "w") -> Window:
    return Window(id=name, match=match, start=start, end=end)


def holds(window: Window, at: float, key: str = JOB) -> bool:
    return is_active(window, key, at, ZONES)


def spans(window: Window, since: str, until: str) -> list[tuple[str, str]]:
    """When the window begins and ends between two times (UTC), found by nothing but `next_change` and `is_active`."""
    at, last, found = utc(since), utc(until), []
    began = since if holds(window, at) else None
    while (at := next_change([window], at, ZONES)) < last:
        told = datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M")
        if holds(window, at) and began is None:
            began = told
        elif not holds(window, at) and began is not None:
            found.append((began, told))
            began = None
    return found


# ---------------------------------------------------------------- once


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param(999.9, False, id="before it begins"),
        pytest.param(1_000.0, True, id="when it begins"),
        pytest.param(1_999.9, True, id="until it ends"),
        pytest.param(2_000.0, False, id="when it ends"),
        pytest.param(float("nan"), False, id="at no time"),
        pytest.param(inf, False, id="at the end of time"),
    ],
)
def test_a_window_that_is_once_holds_from_its_start_until_its_end(at: float, expected: bool) -> None:
    assert holds(once(1_000.0, 2_000.0), at) is expected


@pytest.mark.parametrize(
    ("match", "key", "expected"),
    [
        ("job:airflow/*", JOB, True),
        ("job:airflow/orders.load", JOB, True),
        ("dataset:*", JOB, False),
        ("JOB:*", JOB, False),
        ("*", "dataset:a/b", True),
    ],
)
def test_a_window_holds_for_the_entities_that_match(match: str, key: str, expected: bool) -> None:
    assert holds(once(0.0, 10.0, match), 5.0, key) is expected


def test_a_mute_is_a_window_that_ends_by_itself() -> None:
    mute = Window(id="m", match=JOB, start=0.0, end=HOUR, kind="mute", owner="ada", reason="reload")

    assert (holds(mute, HOUR - 1), holds(mute, HOUR)) == (True, False)


def test_of_several_windows_the_first_that_holds_is_told() -> None:
    windows = [once(0, 10, "job:b/*", "other"), once(5, 20, name="first"), once(0, 30, name="second")]

    told = [active(windows, JOB, at, ZONES) for at in (1, 5, 20, 30)]

    assert [window and window.id for window in told] == ["second", "first", "second", None]


def test_the_next_change_is_the_next_beginning_or_end_of_any() -> None:
    windows = [once(10, 20), once(15, 30, "job:other/*")]

    told = [next_change(windows, after, ZONES) for after in (0, 10, 15, 20, 30)]

    assert told == [10, 15, 20, 30, inf]
    assert next_change([], 0, ZONES) == inf


# ---------------------------------------------------------------- again and again


def test_a_window_of_weekdays_holds_on_these_days_only() -> None:
    window = berlin("22:00", 3.0, days=(MON, WED))

    assert spans(window, "2026-01-19", "2026-01-30") == [
        ("01-19 21:00", "01-20 00:00"),
        ("01-21 21:00", "01-22 00:00"),
        ("01-26 21:00", "01-27 00:00"),
        ("01-28 21:00", "01-29 00:00"),
    ]


def test_weekdays_and_times_are_those_of_the_place() -> None:
    """What begins on Sunday at 23:30 in Apia is Sunday morning in UTC."""
    again = Recurrence(days=(SUN,), at="23:30", lasts=HOUR)
    window = Window(id="w", match="*", start=0.0, recurrence=again, zone="Pacific/Apia")

    assert spans(window, "2026-01-18", "2026-01-27") == [
        ("01-18 10:30", "01-18 11:30"),
        ("01-25 10:30", "01-25 11:30"),
    ]


def test_it_holds_within_its_start_and_end_only() -> None:
    window = berlin("02:00", 2.0, start=utc("2026-01-20 02:00"), end=utc("2026-01-22 01:30"))

    assert spans(window, "2026-01-18", "2026-02-18") == [
        ("01-20 02:00", "01-20 03:00"),
        ("01-21 01:00", "01-21 03:00"),
        ("01-22 01:00", "01-22 01:30"),
    ]


def test_none_begins_after_until_and_the_last_one_is_whole() -> None:
    window = berlin("02:00", 2.0, start=utc("2026-01-20"), until=utc("2026-01-21 01:00"))

    assert spans(window, "2026-01-18", "2026-02-18") == [
        ("01-20 01:00", "01-20 03:00"),
        ("01-21 01:00", "01-21 03:00"),
    ]


def test_days_that_are_taken_out_are_none() -> None:
    window = berlin("02:00", 2.0, start=utc("2026-01-20"), end=utc("2026-01-23"), without=("2026-01-21",))

    assert spans(window, "2026-01-18", "2026-02-18") == [
        ("01-20 01:00", "01-20 03:00"),
        ("01-22 01:00", "01-22 03:00"),
    ]


def test_a_window_of_whole_days_follows_on_itself() -> None:
    window = berlin("00:00", 24.0, start=utc("2026-01-20"), end=utc("2026-01-25"))

    assert spans(window, "2026-01-18", "2026-02-18") == [("01-20 00:00", "01-25 00:00")]


def test_windows_that_overlap_hold_until_the_last_one_ends() -> None:
    window = berlin("02:00", 30.0, start=utc("2026-01-20 00:00"), until=utc("2026-01-22 00:00"))

    assert spans(window, "2026-01-18", "2026-02-18") == [("01-20 00:00", "01-22 07:00")]


def test_a_window_that_is_over_never_changes_again() -> None:
    assert next_change([berlin(until=utc("2026-01-20"))], utc("2026-01-20 12:00"), ZONES) == inf
    assert next_change([berlin(end=utc("2026-01-20"))], utc("2026-01-20 12:00"), ZONES) == inf


def test_a_zone_that_was_not_handed_in_is_a_defect_of_the_caller() -> None:
    with pytest.raises(KeyError):
        is_active(berlin(), JOB, utc("2026-01-20"), {})


def test_utc_needs_no_zones() -> None:
    window = Window(id="w", match="*", start=0.0, recurrence=Recurrence(at="02:00", lasts=HOUR))

    assert [is_active(window, JOB, at * HOUR, {}) for at in (1.9, 2, 2.9, 3)] == [False, True, True, False]


# ---------------------------------------------------------------- the nights in which clocks are changed


@pytest.mark.parametrize(
    ("at", "hours", "spring", "autumn"),
    [
        pytest.param("02:00", 2, ("01:00", "02:00"), ("00:00", "03:00"), id="from the change on"),
        pytest.param("01:00", 3, ("00:00", "02:00"), ("23:00", "03:00"), id="around the change"),
        pytest.param("01:00", 1, ("00:00", "01:00"), ("23:00", "00:00"), id="until the clock is changed"),
        pytest.param("03:00", 1, ("01:00", "02:00"), ("02:00", "03:00"), id="after it"),
        pytest.param("02:30", 1.5, ("01:00", "02:00"), ("00:30", "03:00"), id="a beginning that is skipped or doubled"),
        pytest.param("01:30", 1, ("00:30", "01:30"), ("23:30", "01:30"), id="an end that is skipped or doubled"),
        pytest.param("02:15", 0.5, ("01:00", "01:30"), ("00:15", "01:45"), id="all of it skipped, or doubled"),
        pytest.param("02:30", 0.5, ("01:00", "01:30"), ("00:30", "02:00"), id="skipped up to the jump"),
        pytest.param("02:00", 1, ("01:00", "02:00"), ("00:00", "02:00"), id="just what is skipped, or doubled"),
        pytest.param("22:00", 12, ("21:00", "08:00"), ("20:00", "09:00"), id="the whole night"),
        pytest.param("00:00", 24, ("23:00", "22:00"), ("22:00", "23:00"), id="the whole day"),
    ],
)  # fmt: skip
def test_a_window_is_by_the_clock_in_both_nights(
    at: str, hours: float, spring: tuple[str, str], autumn: tuple[str, str]
) -> None:
    """In Berlin the clock jumps at 01:00 UTC: on 29 March 2026 from 02:00 to 03:00, on 25 October from 03:00 back."""
    evening = at == "22:00"
    days = (
        (("2026-03-28", spring), ("2026-10-24", autumn))
        if evening
        else (("2026-03-29", spring), ("2026-10-25", autumn))
    )

    for day, expected in days:
        noon = datetime.fromisoformat(day) - timedelta(hours=12)
        window = berlin(at, hours, days=(datetime.fromisoformat(day).weekday(),))
        found = spans(window, noon.isoformat(), (noon + timedelta(days=2)).isoformat())
        assert [(begin[-5:], end[-5:]) for begin, end in found] == [expected]


def test_on_all_other_nights_it_is_as_long_as_it_says() -> None:
    window = berlin("02:00", 2.0, start=utc("2026-01-01"), end=utc("2027-01-01"))
    lengths: dict[float, list[str]] = {}
    for begin, end in spans(window, "2025-12-31", "2027-01-02"):
        hours = (utc(f"2026-{end}") - utc(f"2026-{begin}")) / HOUR
        lengths.setdefault(hours, []).append(begin[:5])

    assert {hours: days if len(days) == 1 else len(days) for hours, days in lengths.items()} == {
        2.0: 363,
        1.0: ["03-29"],
        3.0: ["10-25"],
    }


@cache
def shown(name: str, day: str) -> list[tuple[float, datetime]]:
    """What the clock shows at each minute from noon before that day until noon after it."""
    noon = utc(f"{day} 12:00") - DAY
    instants = [noon + minute * MINUTE for minute in range(48 * 60)]
    return [(at, datetime.fromtimestamp(at, UTC).astimezone(ZONES[name]).replace(tzinfo=None)) for at in instants]


CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),  # half an hour
    ("Australia/Lord_Howe", "2026-10-04"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "day"), CHANGES, ids=[f"{name} {day}" for name, day in CHANGES])
def test_at_every_minute_of_a_night_it_is_what_the_clock_says(name: str, day: str) -> None:
    """Against the clock, read minute by minute: windows that begin and last some quarters of an hour."""
    clock, midnight = shown(name, day), datetime.fromisoformat(day)
    seen = {wall for _, wall in clock}
    for begins in range(0, 5 * 60, 15):
        for lasts in range(15, 5 * 60, 45):
            opens = midnight + timedelta(minutes=begins)
            closes = opens + timedelta(minutes=lasts)
            first = next(at for at, wall in clock if wall >= opens)
            last = next(at for at, wall in reversed(clock) if wall < closes) + MINUTE
            if closes not in seen or last <= first:
                last = first + lasts * MINUTE
            again = Recurrence(days=(opens.weekday(),), at=f"{opens:%H:%M}", lasts=lasts * MINUTE)
            window = Window(id="w", match="*", start=0.0, recurrence=again, zone=name)

            assert next_change([window], clock[0][0], ZONES) == first
            assert next_change([window], first, ZONES) == last
            for at, wall in clock[::15]:
                assert holds(window, at) is (first <= at < last), (opens, closes, wall)


def test_a_day_that_a_place_skipped_is_made_up_for_when_the_next_one_begins() -> None:
    """Samoa had no 30 December 2011."""
    window = Window(
        id="w", match="*", start=0.0, recurrence=Recurrence(days=(4,), at="02:00", lasts=2 * HOUR), zone="Pacific/Apia"
    )

    assert spans(window, "2011-12-25", "2012-01-05") == [("12-30 10:00", "12-30 12:00")]


# ---------------------------------------------------------------- properties

YEAR = int(utc("2026-01-01")), int(utc("2027-01-01"))
minutes = st.integers(YEAR[0] // 60, YEAR[1] // 60).map(lambda minute: 60.0 * minute)
near_a_change = st.sampled_from([utc("2026-03-29 01:00"), utc("2026-10-25 01:00"), utc("2026-11-01 06:00")]).flatmap(
    lambda at: st.integers(-240, 240).map(lambda minute: at + minute * MINUTE)
)
moments = minutes | near_a_change
recurrences = st.builds(
    Recurrence,
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    at=st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.integers(0, 59)),
    lasts=st.integers(1, 7 * 24 * 60).map(lambda minute: minute * MINUTE) | st.just(2 * HOUR),
    until=st.none() | moments,
    without=st.lists(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=3).map(
        lambda days: tuple(day.isoformat() for day in days)
    ),
)
windows = st.builds(
    lambda start, lasts, recurrence, name: Window(
        id="w", match="*", start=start, end=start + lasts, recurrence=recurrence, zone=name
    ),
    start=moments,
    lasts=st.integers(1, 400 * 1_440).map(lambda minute: minute * MINUTE),
    recurrence=st.none() | recurrences,
    name=st.sampled_from(NAMES),
)


@given(st.lists(windows, max_size=3), moments, st.lists(st.floats(0, 1), max_size=8))
def test_nothing_changes_before_the_next_change(these: list[Window], after: float, shares: list[float]) -> None:
    until = min(next_change(these, after, ZONES), after + 30 * DAY)
    now = [holds(window, after) for window in these]

    assert until > after
    for share in [*shares, 1 - 1e-6]:
        at = after + share * (until - after)
        if at < until:
            assert [holds(window, at) for window in these] == now


@given(windows, moments)
@example(berlin("02:00", 2.0), utc("2026-03-28 12:00"))
@example(berlin("02:00", 2.0), utc("2026-10-24 12:00"))
def test_a_window_that_does_not_overlap_itself_changes_at_the_next_change(window: Window, after: float) -> None:
    at = next_change([window], after, ZONES)
    assume(at < inf and (window.recurrence is None or window.recurrence.lasts < DAY / 2))

    assert holds(window, at) is not holds(window, at - 1e-3)


@given(windows)
def test_a_window_is_plain_data(window: Window) -> None:
    assert msgspec.json.decode(msgspec.json.encode(window), type=Window) == window
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(window), type=Window) == window


@given(windows, st.floats(allow_nan=False))
def test_a_window_is_closed_outside_its_start_and_end(window: Window, at: float) -> None:
    assert not holds(window, at) or window.start <= at < window.end


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda: Recurrence(days=()), "days: must be", id="no day"),
        pytest.param(lambda: Recurrence(days=(7,)), "days: must be", id="an eighth day"),
        pytest.param(lambda: Recurrence(at="24:00"), "at: must be", id="no time"),
        pytest.param(lambda: Recurrence(at="2:00"), "at: must be", id="a time without its zero"),
        pytest.param(lambda: Recurrence(lasts=0), "lasts: must be", id="no length"),
        pytest.param(lambda: Recurrence(lasts=7 * DAY + 1), "lasts: must be", id="more than a week"),
        pytest.param(lambda: Recurrence(lasts=float("nan")), "lasts: must be", id="a length that is no number"),
        pytest.param(lambda: Recurrence(without=("20261224",)), "without: must be", id="another way to write a date"),
        pytest.param(lambda: once(10, 10), "end: must be", id="an end at the start"),
        pytest.param(lambda: once(-1, 10), "end: must be", id="a start before 1970"),
        pytest.param(lambda: once(0, inf), "end: must be", id="no end"),
    ],
)
def test_a_window_that_never_is_cannot_be_made(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        make()
