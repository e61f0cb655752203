"""Numbers, durations and times as a person reads them at 3 a.m.; and nothing that a producer sends makes them fail."""

import locale
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.text import day, duration, moment, number, rounded
from tests.core.world import DAY, MONDAY


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (9_400, "rows", "9,400 rows"),
        (0, "rows", "0 rows"),
        (1, None, "1"),
        (0.123456, None, "0.123"),
        (99.96, "rows", "100 rows"),
        (1_234_567.8, "rows", "1,234,568 rows"),
        (1_200_000_000, "bytes", "1.2 GB"),
        (999, "bytes", "999 B"),
        (1_500, "bytes", "1.5 kB"),
        (0.5, "bytes", "0.5 B"),
        (2e13, "bytes", "20 TB"),
        (250, "seconds", "4 min 10 s"),
        (0.02, "seconds", "20 ms"),
        (0.0004, "seconds", "0.4 ms"),
        (0.0, "seconds", "0.0 s"),
        (-3, "rows", "-3 rows"),
        (math.inf, "rows", "any number of rows"),
        (math.nan, None, "any number"),
    ],
)
def test_a_number_is_told_in_its_unit(value: float, unit: str | None, expected: str) -> None:
    assert number(value, unit) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"),
        (0.34, "0.3 s"),
        (9.9, "9.9 s"),
        (10, "10 s"),
        (59.9, "1 min"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (3_600, "1 h"),
        (3_601, "1 h"),
        (3_900, "1 h 5 min"),
        (183_600, "2 d 3 h"),
        (172_860, "2 d"),
        (95_511, "1 d 3 h"),
        (86_399, "1 d"),
        (7_199, "2 h"),
        (math.inf, "any time"),
        (-5, "-5.0 s"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (MONDAY, "Mon 19 Jan 00:00 UTC"),
        (MONDAY + 3_661, "Mon 19 Jan 01:01:01 UTC"),
        (-1.0, "Wed 31 Dec 23:59:59 UTC"),
        (1e15, "Fri 31 Dec 23:59:59 UTC"),
        (-1e15, "Mon 1 Jan 00:00 UTC"),
    ],
)
def test_a_moment_is_told_in_utc(at: float, expected: str) -> None:
    assert moment(at) == expected


def test_a_moment_reads_the_same_wherever_the_process_runs() -> None:
    before = locale.setlocale(locale.LC_TIME)
    for name in ("de_DE.UTF-8", "ja_JP.UTF-8", "C.UTF-8", "C"):
        try:
            locale.setlocale(locale.LC_TIME, name)
        except locale.Error:
            continue
        try:
            assert moment(MONDAY) == "Mon 19 Jan 00:00 UTC"
        finally:
            locale.setlocale(locale.LC_TIME, before)


@given(st.floats(), st.sampled_from([None, "rows", "bytes", "seconds"]))
def test_no_number_makes_a_text_fail(value: float, unit: str | None) -> None:
    assert number(value, unit)
    assert duration(value)
    assert moment(value)


def test_published_numbers_have_six_digits_and_what_is_no_number_is_none() -> None:
    assert [rounded(x) for x in (1 / 3, 123_456_789.0, None, math.nan, math.inf)] == [
        0.333333,
        123_457_000.0,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("at", "now", "expected"),
    [
        (MONDAY, MONDAY + 40 * DAY, "19 January"),
        (MONDAY - 20 * DAY, MONDAY, "30 December 2025"),
        (math.nan, MONDAY, "1 January 1970"),
        (1e300, MONDAY, "31 December 9999"),
    ],
)
def test_a_day_has_its_year_where_it_is_another_one(at: float, now: float, expected: str) -> None:
    assert day(at, now) == expected
