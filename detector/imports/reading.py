"""Values of somebody else's file, of which nobody knows the types: what is not as expected is not there."""

from collections.abc import Iterator, Mapping
from typing import Any

UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "wk", "week", "weeks"), "w"),
}


def tables(value: Any) -> Iterator[Mapping[str, Any]]:
    """The tables of a list."""
    for one in value if isinstance(value, list) else ():
        if isinstance(one, Mapping):
            yield one


def table(value: Any) -> Mapping[str, Any]:
    """A table, empty if this is none."""
    return value if isinstance(value, Mapping) else {}


def words(value: Any) -> list[str]:
    """The texts of a list, or one text."""
    found = value if isinstance(value, list) else [value]
    return [one for one in found if isinstance(one, str)]


def number(value: Any) -> float | None:
    """A number, or None."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def duration(count: Any, unit: Any) -> str | None:
    """A duration as the configuration writes it; None for what is none, or has a unit that may mean several."""
    amount, written = number(count), UNITS.get(str(unit).lower())
    if amount is None or amount <= 0 or written is None:
        return None
    return f"{amount:g}{written}"
