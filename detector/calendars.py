"""Calendars as the core reads them, made of names: zones of the tz database, holidays of the package `holidays`.

Both packages bring tables that change a few times a year, so their releases are part of the
fingerprint of what decides.
"""

import warnings
from collections.abc import Iterator
from datetime import UTC, date, timedelta
from functools import cache
from importlib.metadata import version

from detector.config import Calendar as Declared
from detector.config import zone
from detector.config.reading import unknown_choice
from detector.core.calendar import Calendar
from detector.errors import ConfigError

FIRST, LAST = 1970, 2100  # the years that have holidays: those of any history, and of any live log
EPOCH = date(1970, 1, 1)


def releases() -> str:
    """Which tables of zones and holidays are installed."""
    return f"tzdata {version('tzdata')}, holidays {version('holidays')}"


def calendar_of(declared: Declared, path: str) -> Calendar:
    """The calendar that was declared at `path`. Raises `ConfigError` for a country or part that is unknown."""
    public, weekend = _public(declared.country, declared.subdivision, path)
    return Calendar(
        zone=UTC if declared.timezone == "UTC" else zone(declared.timezone),
        holidays=public | frozenset(day for text in declared.dates for day in _days(text)),
        weekend=weekend,
    )


def _public(country: str | None, subdivision: str | None, path: str) -> tuple[frozenset[int], tuple[int, ...]]:
    if country is None:
        return frozenset(), Calendar().weekend
    import holidays

    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        raise ConfigError(f"{path}.country: {unknown_choice(country, known)}")
    if subdivision is not None and subdivision not in known[country]:
        raise ConfigError(f"{path}.subdivision: {unknown_choice(subdivision, known[country])}")
    return _holidays(country, subdivision)


@cache
def _holidays(country: str, subdivision: str | None) -> tuple[frozenset[int], tuple[int, ...]]:
    """Days since 1970, those included on which a holiday of a weekend is made up for; and the weekdays of rest."""
    import holidays

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are known for some years only, which is how it is
        found = holidays.country_holidays(country, subdivision, years=range(FIRST, LAST + 1))
    return frozenset((day - EPOCH).days for day in found), tuple(sorted(found.weekend))


def _days(text: str) -> Iterator[int]:
    """A date, or a day of each year that has it, as days since 1970."""
    if len(text) == len("2024-12-24"):
        yield (date.fromisoformat(text) - EPOCH).days
        return
    for year in range(FIRST, LAST + 1):
        month, day = map(int, text.split("-"))
        found = date(year, month, 1) + timedelta(days=day - 1)
        if found.month == month:
            yield (found - EPOCH).days
