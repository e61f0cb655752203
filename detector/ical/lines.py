"""Where things stand in an .ics file, and whether its lines are any: the library says neither."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from detector.errors import CalendarError

LINE = re.compile(r"([A-Za-z0-9-]+)[;:]")


@dataclass(frozen=True, slots=True)
class Place:
    """The line on which an event begins, and those of its properties; the first is line 1."""

    line: int
    names: dict[str, int] = field(default_factory=dict)


def places(text: str) -> list[Place]:
    """The places of all events, in order. Raises `CalendarError` for what is no calendar."""
    found: list[Place] = []
    inside: list[tuple[str, int]] = []
    for number, name, line in _named(text):
        value = line.partition(":")[2].strip().upper()
        if name == "BEGIN":
            inside.append((value, number))
            if value == "VEVENT":
                found.append(Place(number))
        elif not inside or inside[0][0] != "VCALENDAR":
            raise CalendarError(f"line {number}: a calendar begins with BEGIN:VCALENDAR, not with {_short(line)}")
        elif name == "END":
            began, where = inside.pop()
            if began != value:
                raise CalendarError(f"line {number}: END:{value} ends BEGIN:{began} of line {where}")
        elif inside[-1][0] == "VEVENT":
            found[-1].names.setdefault(name, number)
    if inside:
        raise CalendarError(f"line {inside[-1][1]}: BEGIN:{inside[-1][0]} has no end: is the file cut off?")
    return found


def _named(text: str) -> Iterator[tuple[int, str, str]]:
    """Number, name and text of each line; one that is folded has the number of its first part."""
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if lines and line[:1] in (" ", "\t"):
            lines[-1] = lines[-1][0], lines[-1][1] + line[1:]
        elif line:
            lines.append((number, line))
    if not lines:
        raise CalendarError("line 1: a calendar begins with BEGIN:VCALENDAR, and here is nothing")
    for number, line in lines:
        found = LINE.match(line)
        if found is None:
            raise CalendarError(f"line {number}: is no line of a calendar: {_short(line)}")
        yield number, found[1].upper(), line


def _short(line: str) -> str:
    return repr(line if len(line) <= 40 else f"{line[:40]}...")
