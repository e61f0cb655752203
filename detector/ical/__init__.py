"""Windows from a calendar that people keep elsewhere: an .ics file, as Google, Outlook and others export it.

What recurs daily or weekly is one window that recurs. Every other rule is read ahead for `recurring.HORIZON`, so such a
calendar is to be read again from time to time: the ids are the same each time. What is over is left out.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from icalendar import Calendar

from detector.core.windows import Window
from detector.errors import CalendarError
from detector.ical.lines import Place, places
from detector.ical.recurring import windows
from detector.ical.vevent import Event, Problem, Wanted, event_of

__all__ = ["Wanted", "read", "read_file"]


def read_file(path: Path, wanted: Wanted) -> list[Window]:
    """The windows of an .ics file. Raises `CalendarError` that names the file, the line and the event."""
    try:
        return read(path.read_text(encoding="utf-8-sig"), wanted)
    except OSError as error:
        raise CalendarError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise CalendarError(f"{path}: is not UTF-8") from None
    except CalendarError as error:
        raise CalendarError(f"{path}: {error}") from None


def read(text: str, wanted: Wanted) -> list[Window]:
    """The windows of a calendar, in the order of its events. Raises `CalendarError` that names the line."""
    series: dict[str, list[tuple[Event, Place]]] = {}
    stand = places(text)  # first: it says better than the library what is wrong with a line
    for (calendar, vevent), place in zip(_vevents(text), stand, strict=True):
        with _told(str(vevent.get("SUMMARY", "")), place):
            event = event_of(calendar, vevent, wanted)
            series.setdefault(event.uid, []).append((event, place))
    found: list[Window] = []
    for events in series.values():
        for event, place in events:
            with _told(event.reason, place):
                found += windows(event, [other for other, _ in events], wanted)
    return found


def _vevents(text: str) -> list[tuple[Any, Any]]:
    """Each VEVENT with the calendar that it is in, in the order of the text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the library guesses at a zone: it is looked up by name here
        try:
            calendars = Calendar.from_ical(text, multiple=True)
        except Exception as error:  # the library promises no kind of error
            raise CalendarError(f"cannot be read: {error}") from error
    return [(calendar, vevent) for calendar in calendars for vevent in calendar.walk("VEVENT")]


@contextmanager
def _told(summary: str, place: Place) -> Iterator[None]:
    """Say of a problem on which line it is, and in which event."""
    try:
        yield
    except Problem as problem:
        line = place.names.get(problem.name, place.line)
        named = f"event {summary!r}" if summary else "an event"
        raise CalendarError(f"line {line}, {named}: {problem}") from None
