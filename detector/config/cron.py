"""Cron expressions of five fields, as people write them in crontabs and schedulers: `30 3 * * 1-5`."""

import re
from typing import Final, NamedTuple

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PART: Final = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")


class Field(NamedTuple):
    """What one of the five may be; `names` stand for numbers from `first` on."""

    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()


FIELDS: Final = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of the week", 0, 7, WEEKDAYS),
)


class Times(NamedTuple):
    """The numbers that an expression stands for. `weekdays` are 0 (Monday) to 6; `either`: one kind of day will do."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool


def parse_cron(text: str) -> Times:
    """The times of an expression. Raises `ValueError` that says which field is wrong."""
    words = ALIASES.get(text.strip().lower(), text).split()
    if len(words) != len(FIELDS):
        raise ValueError(f"{text!r} has {len(words)} fields; five are needed: minute, hour, day, month, weekday")
    minutes, hours, days, months, numbered = (_numbers(word, f) for word, f in zip(words, FIELDS, strict=True))
    weekdays = frozenset((number - 1) % 7 for number in numbered)
    either = len(days) < 31 and len(weekdays) < 7
    if not either and not any(day <= LONGEST[month - 1] for month in months for day in days):
        raise ValueError(f"{text!r}: no such month has such a day")
    return Times(tuple(sorted(minutes)), tuple(sorted(hours)), days, months, weekdays, either)


def _numbers(word: str, field: Field) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        found |= _part(part, field)
    return frozenset(found)


def _part(part: str, field: Field) -> set[int]:
    parsed = _PART.fullmatch(part)
    if parsed is None:
        raise ValueError(f"{field.name}: {part!r} is none; write a number, 1-5, 1,3,5, * or */15")
    star, low, high, by = parsed.groups()
    step = int(by or 1)
    first = field.first if star else _number(low, field)
    last = field.last if star or (by and not high) else _number(high or low, field)
    if star and field.last == 7:
        last = 6
    if step == 0:
        raise ValueError(f"{field.name}: {part!r} has a step of nothing")
    if first > last:
        raise ValueError(f"{field.name}: {part!r} ends before it begins")
    return set(range(first, last + 1, step))


def _number(word: str, field: Field) -> int:
    lowered = word.lower()
    if lowered in field.names:
        return field.first + field.names.index(lowered)
    if word.isdecimal() and field.first <= int(word) <= field.last:
        return int(word)
    names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
    raise ValueError(f"{field.name}: {word!r} is not within {field.first} to {field.last}{names}")
