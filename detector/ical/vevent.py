"""One VEVENT as plain values: what the clock of its zone shows, for how long, and how often."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from detector.config import zone as zone_of
from detector.config.zones import names
from detector.core.windows import Kind, span

USED = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
TOO_OFTEN = ("MINUTELY", "SECONDLY")
WHOLE_DAY, LONGEST = timedelta(days=1), timedelta(days=3_660)
LAST_YEAR = 9_000


class Problem(Exception):
    """What is wrong with one property of an event."""

    def __init__(self, name: str, text: str) -> None:
        """`name` is that of the property."""
        super().__init__(f"{name}: {text}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a calendar does not say of itself. `now` is in seconds since 1970.

    `zone` is for times without one, if the calendar names none for all of them; `owner` for events without organizer.
    """

    match: str
    now: float
    zone: str = "UTC"
    owner: str = ""
    kind: Kind = "maintenance"


@dataclass(frozen=True, slots=True)
class Event:
    """Begins when the clock of `zone` shows `opens`, as `rule` (an RRULE) and `more` say, but not at or on `without`.

    `instead_of` is the recurrence that it stands for, by its own clock; `cancelled` says that there is none.
    """

    uid: str
    reason: str
    owner: str
    zone: str
    opens: datetime
    lasts: timedelta
    rule: Any
    more: tuple[tuple[datetime, timedelta], ...]
    without: tuple[datetime | date, ...]
    instead_of: datetime | None
    cancelled: bool

    def span(self, opens: datetime, lasts: timedelta) -> tuple[float, float]:
        """From when until when it is (seconds since 1970), if it begins when the clock shows `opens`."""
        return span(opens, lasts.total_seconds(), zone_of(self.zone))


def event_of(calendar: Any, vevent: Any, wanted: Wanted) -> Event:
    """The values of a VEVENT. Raises `Problem`."""
    for name, text in vevent.errors:
        if name in USED:
            raise Problem(name, text)
    zones = _Zones(calendar, wanted.zone)
    uid, start = _one(vevent, "UID"), _one(vevent, "DTSTART")
    if uid is None or start is None:
        raise Problem("UID" if uid is None else "DTSTART", "is missing")
    if start.dt.year > LAST_YEAR:
        raise Problem("DTSTART", "is too far away")
    zone = zones.of("DTSTART", start)
    lasts = _lasts(vevent, zones, zone)
    instead = _one(vevent, "RECURRENCE-ID")
    if instead is not None and "RANGE" in instead.params:
        raise Problem("RECURRENCE-ID", "RANGE is not understood: let the calendar write each event by itself")
    return Event(
        uid=str(uid),
        reason=str(_one(vevent, "SUMMARY") or ""),
        owner=_owner(vevent) or wanted.owner,
        zone=zone,
        opens=_wall(start.dt),
        lasts=lasts,
        rule=_rule(vevent),
        more=tuple(_more(vevent, zones, zone, lasts)),
        without=tuple(_without(vevent, zones, zone)),
        instead_of=None if instead is None else zones.wall("RECURRENCE-ID", instead, zone),
        cancelled=str(_one(vevent, "STATUS")).upper() == "CANCELLED",
    )


class _Zones:
    """The zones of a calendar, by the names of the tz database."""

    def __init__(self, calendar: Any, unsaid: str) -> None:
        self._unsaid = str(calendar.get("X-WR-TIMEZONE", unsaid))
        self._places = {str(one.get("TZID")): str(one.get("X-LIC-LOCATION", "")) for one in calendar.walk("VTIMEZONE")}

    def of(self, name: str, value: Any) -> str:
        """The zone that the property `name` is in. Raises `Problem` for one that nobody knows."""
        said = value.params.get("TZID")
        if said is None:
            is_utc = isinstance(value.dt, datetime) and value.dt.tzinfo is not None
            return "UTC" if is_utc else self._known(name, self._unsaid)
        return self._known(name, str(said))

    def wall(self, name: str, value: Any, zone: str) -> datetime:
        """What the clock of `zone` shows at the time of the property `name`."""
        return self._moved(_wall(value.dt), self.of(name, value), zone)

    def _moved(self, wall: datetime, of: str, to: str) -> datetime:
        if of == to:
            return wall
        return wall.replace(tzinfo=zone_of(of)).astimezone(zone_of(to)).replace(tzinfo=None)

    def _known(self, name: str, said: str) -> str:
        """Outlook has names of its own, others put theirs in front: `/citadel.org/20210210_1/Europe/Berlin`."""
        parts = said.split("/")
        tails = ["/".join(parts[at:]) for at in range(len(parts))] if said.startswith("/") else [said]
        candidates = (*tails, WINDOWS_TO_OLSON.get(said, ""), self._places.get(said, ""))
        known = next((candidate for candidate in candidates if candidate in names()), None)
        if known is None:
            raise Problem(name, f"the tz database has no {said}; names are like Europe/Berlin")
        return known


def _one(vevent: Any, name: str) -> Any:
    found = vevent.get(name)
    if isinstance(found, list):
        raise Problem(name, "stands twice")
    return found


def _all(vevent: Any, name: str) -> Iterator[tuple[Any, Any]]:
    """Each value of a property that may stand several times and have several values; and the property that it is in."""
    found = vevent.get(name, [])
    for line in found if isinstance(found, list) else [found]:
        for value in line.dts:
            yield line, value


def _wall(dt: date) -> datetime:
    """What the clock shows, without its zone; midnight of a day."""
    return dt.replace(tzinfo=None) if isinstance(dt, datetime) else datetime.combine(dt, time())


def _lasts(vevent: Any, zones: _Zones, zone: str) -> timedelta:
    """How long it is by the clock of `zone`; a day that has no end is a whole one."""
    start, end, length = (_one(vevent, name) for name in ("DTSTART", "DTEND", "DURATION"))
    if end is not None:
        lasts = zones.wall("DTEND", end, zone) - _wall(start.dt)
    elif length is not None:
        lasts = length.dt
    else:
        lasts = timedelta() if isinstance(start.dt, datetime) else WHOLE_DAY
    if lasts <= timedelta():
        name = "DTEND" if end is not None else "DURATION"
        raise Problem(name, "must be after DTSTART" if end is not None else "is needed, or a DTEND: how long is it?")
    if lasts > LONGEST:
        raise Problem("DTSTART", f"it lasts {lasts.days:,} days, which is more than {LONGEST.days:,}")
    return lasts


def _rule(vevent: Any) -> Any:
    rule = _one(vevent, "RRULE")
    if rule is not None and "FREQ" not in rule:
        raise Problem("RRULE", "has no FREQ: how often is it?")
    if rule is not None and rule["FREQ"][0] in TOO_OFTEN:
        raise Problem("RRULE", f"{rule['FREQ'][0]} is too often for a window")
    if rule is not None and rule.get("INTERVAL", [1])[0] < 1:
        raise Problem("RRULE", "INTERVAL must be 1 or more")
    return rule


def _more(vevent: Any, zones: _Zones, zone: str, lasts: timedelta) -> Iterator[tuple[datetime, timedelta]]:
    """The dates that are added: some say how long they are."""
    for line, value in _all(vevent, "RDATE"):
        if not isinstance(value.dt, tuple):
            yield zones.wall("RDATE", _Value(value.dt, line.params), zone), lasts
            continue
        begin, end = value.dt
        opens = zones.wall("RDATE", _Value(begin, line.params), zone)
        if isinstance(end, timedelta):
            yield opens, end
        else:
            yield opens, zones.wall("RDATE", _Value(end, line.params), zone) - opens


def _without(vevent: Any, zones: _Zones, zone: str) -> Iterator[datetime | date]:
    """The recurrences that are taken out, by time; or all of a day."""
    for line, value in _all(vevent, "EXDATE"):
        if isinstance(value.dt, datetime):
            yield zones.wall("EXDATE", _Value(value.dt, line.params), zone)
        else:
            yield value.dt


@dataclass(frozen=True, slots=True)
class _Value:
    """One value of a list, with what is said of all of them."""

    dt: Any
    params: Any


def _owner(vevent: Any) -> str:
    organizer = _one(vevent, "ORGANIZER")
    if organizer is None:
        return ""
    return str(organizer.params.get("CN") or str(organizer).removeprefix("mailto:").removeprefix("MAILTO:"))
