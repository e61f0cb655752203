"""Mutes and maintenance windows: for which entities, and when, once or again and again by the clock of a place.

People say such times by the clock on their wall, so a window from 02:00 to 04:00 is an hour long in the night in which
the clock goes forward, and three in the one in which it goes back. It begins when the clock first shows its beginning,
and ends when the clock last shows a time before its end. What is skipped begins when the clock jumps, and lasts as long
as it would.

A window names its zone; who asks hands in the zones, since the core reads no files.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from fnmatch import fnmatchcase
from math import ceil, inf
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DAY, WEEK = 86_400.0, 7 * 86_400.0
SECOND = timedelta(seconds=1)
FOREVER = 250_000_000_000.0  # in the year 9892: a number, since JSON has no infinity
Kind = Literal["mute", "maintenance"]
Zones = Mapping[str, tzinfo]
CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


class Recurrence(msgspec.Struct, frozen=True, kw_only=True):
    """On these weekdays (0 is Monday) at a time of the clock, for so many seconds of the clock.

    None begins after `until` (seconds since 1970), nor on the local dates of `without` (`2026-12-24`).
    """

    days: Annotated[tuple[int, ...], Meta(max_length=7)] = (0, 1, 2, 3, 4, 5, 6)
    at: str = "00:00"
    lasts: float = DAY
    until: float | None = None
    without: Annotated[tuple[str, ...], Meta(max_length=400)] = ()

    def __post_init__(self) -> None:
        """Refuse what never is. Raises `ValueError`."""
        if not self.days or any(day not in range(7) for day in self.days):
            raise ValueError("days: must be some of 0 (Monday) to 6 (Sunday)")
        if not CLOCK.fullmatch(self.at):
            raise ValueError("at: must be like 03:30")
        if not 0 < self.lasts <= WEEK:
            raise ValueError("lasts: must be above 0 and at most a week")
        for text in self.without:
            if date.fromisoformat(text).isoformat() != text:
                raise ValueError("without: must be dates like 2026-12-24")


Name = Annotated[str, Meta(max_length=200)]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """From `start` until `end` (seconds since 1970), for the entities whose key matches the glob.

    With a `recurrence` only at its times between the two; without one, all the time. A mute ends by itself, too.
    """

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    match: Annotated[str, Meta(min_length=1, max_length=2_100)]
    start: float
    end: float = FOREVER
    recurrence: Recurrence | None = None
    zone: Name = "UTC"
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    owner: Name = ""
    kind: Kind = "maintenance"

    def __post_init__(self) -> None:
        """Refuse what never is. Raises `ValueError`."""
        if not 0 <= self.start < self.end <= FOREVER:
            raise ValueError("end: must be after start, and both be seconds since 1970")


def is_active(window: Window, key: str, at: float, zones: Zones) -> bool:
    """Whether the window holds for this entity at this time. Raises `KeyError` for a zone that was not handed in."""
    if not window.start <= at < window.end or not fnmatchcase(key, window.match):
        return False
    for begin, end in _times(window, at, zones):
        if begin > at:
            return False
        if at < end:
            return True
    return False


def active(windows: Iterable[Window], key: str, at: float, zones: Zones) -> Window | None:
    """The first of the windows that holds for this entity at this time."""
    return next((window for window in windows if is_active(window, key, at, zones)), None)


def next_change(windows: Iterable[Window], after: float, zones: Zones) -> float:
    """When one of the windows begins or ends next, later than `after`; infinity if none ever does."""
    return min((_next(window, after, zones) for window in windows), default=inf)


def _next(window: Window, after: float, zones: Zones) -> float:
    if after >= window.end:
        return inf
    soonest = inf
    for begin, end in _times(window, after, zones):
        if end > after:
            soonest = min(soonest, end)
        if begin > after:
            return min(soonest, begin)
    return soonest


# ---------------------------------------------------------------- times


def span(opens: datetime, lasts: float, zone: tzinfo) -> tuple[float, float]:
    """When it begins and ends (seconds since 1970), by a clock that shows `opens` and runs for `lasts`."""
    closes = opens + timedelta(seconds=lasts)
    begin = _jump(opens, zone) if _is_skipped(opens, zone) else _instant(opens, zone)
    # The second before: what ends at 02:00 is over before an hour from 02:00 on comes twice.
    end = _instant(closes - SECOND, zone, fold=1) + 1.0
    return begin, begin + lasts if _is_skipped(closes, zone) or end <= begin else end


def _times(window: Window, since: float, zones: Zones) -> Iterator[tuple[float, float]]:
    """When it begins and ends, in order, at least from the last that began by `since`."""
    recurrence = window.recurrence
    if recurrence is None:
        yield window.start, window.end
        return
    zone, opens = UTC if window.zone == "UTC" else zones[window.zone], time.fromisoformat(recurrence.at)
    last = window.end if recurrence.until is None else min(window.end, recurrence.until)
    for day in _days(recurrence, max(since, window.start), zone):
        begin, end = span(datetime.combine(day, opens), recurrence.lasts, zone)
        if begin > last:
            return
        if end > window.start and begin < window.end:
            yield max(begin, window.start), min(end, window.end)


def _days(recurrence: Recurrence, since: float, zone: tzinfo) -> Iterator[date]:
    """Its days in order, from before the first that may go on at `since`: clocks have been put back by a whole day."""
    back = timedelta(days=ceil(recurrence.lasts / DAY) + 2)
    day = datetime.fromtimestamp(since, UTC).astimezone(zone).date() - back
    while True:
        if day.weekday() in recurrence.days and day.isoformat() not in recurrence.without:
            yield day
        day += timedelta(days=1)


def _instant(wall: datetime, zone: tzinfo, fold: int = 0) -> float:
    """When the clock shows `wall`: the first time of two, or the second."""
    return wall.replace(tzinfo=zone, fold=fold).timestamp()


def _is_skipped(wall: datetime, zone: tzinfo) -> bool:
    shown = datetime.fromtimestamp(_instant(wall, zone), UTC).astimezone(zone)
    return abs(shown.replace(tzinfo=None) - wall) >= SECOND


def _jump(wall: datetime, zone: tzinfo) -> float:
    """When the clock jumps over `wall`, to the second: between what it is by the old offset and by the new one."""
    before, after = int(_instant(wall, zone, fold=1)), ceil(_instant(wall, zone))
    old = datetime.fromtimestamp(before, UTC).astimezone(zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, UTC).astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return float(after)
