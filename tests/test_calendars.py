"""Calendars made of names: holidays of countries and of one's own, as days since 1970."""

from datetime import UTC, date
from importlib.metadata import version

import pytest

from detector.calendars import calendar_of, releases
from detector.config import Calendar as Declared
from detector.core.calendar import Calendar
from detector.settings import code_fingerprint

EPOCH = date(1970, 1, 1)


def of(**declared: object) -> Calendar:
    return calendar_of(Declared(**declared), "calendar")  # type: ignore[arg-type]


def holidays(calendar: Calendar, year: int) -> set[str]:
    first, last = (date(year, 1, 1) - EPOCH).days, (date(year, 12, 31) - EPOCH).days
    return {
        date.fromordinal(day + EPOCH.toordinal()).isoformat()[5:] for day in calendar.holidays if first <= day <= last
    }


def test_nothing_declared_is_utc_without_holidays() -> None:
    assert of() == Calendar()
    assert of().zone is UTC


def test_a_country_has_its_public_holidays_those_included_that_are_made_up_for() -> None:
    """4 July 2021 was a Sunday, Christmas 2021 and the New Year of 2022 were Saturdays."""
    found = holidays(of(country="US"), 2021)

    assert {"07-04", "07-05", "12-24", "12-25", "12-31"} <= found
    assert "07-06" not in found


@pytest.mark.parametrize(
    ("subdivision", "epiphany"), [pytest.param("BY", True, id="bavaria"), pytest.param("BE", False, id="berlin")]
)
def test_a_part_of_a_country_has_its_own(subdivision: str, epiphany: bool) -> None:
    found = holidays(of(country="DE", subdivision=subdivision), 2026)

    assert ("01-06" in found) is epiphany
    assert {"01-01", "10-03", "12-25"} <= found


@pytest.mark.parametrize(
    ("country", "weekend"), [("US", (5, 6)), ("SA", (4, 5)), ("IL", (4, 5)), ("NO", (5, 6))], ids=str
)
def test_the_weekend_is_that_of_the_country(country: str, weekend: tuple[int, ...]) -> None:
    assert of(country=country).weekend == weekend


def test_dates_of_ones_own_are_once_or_each_year() -> None:
    calendar = of(dates=("12-24", "2026-05-15"))

    assert holidays(calendar, 2026) == {"12-24", "05-15"}
    assert holidays(calendar, 2027) == {"12-24"}


def test_a_leap_day_is_a_holiday_in_leap_years_only() -> None:
    calendar = of(dates=("02-29",))

    assert [holidays(calendar, year) for year in (2024, 2025, 2028, 2100)] == [{"02-29"}, set(), {"02-29"}, set()]


def test_dates_of_ones_own_come_beside_those_of_the_country() -> None:
    assert holidays(of(country="US", dates=("12-24",)), 2026) == holidays(of(country="US"), 2026) | {"12-24"}


def test_holidays_that_are_known_for_some_years_only_are_no_trouble() -> None:
    assert of(country="CN").holidays


def test_the_tables_of_zones_and_holidays_are_part_of_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert releases() == f"tzdata {version('tzdata')}, holidays {version('holidays')}"

    before = code_fingerprint()
    monkeypatch.setattr("detector.calendars.version", lambda _: "2999.1")
    code_fingerprint.cache_clear()
    after = code_fingerprint()
    code_fingerprint.cache_clear()

    assert before != after
