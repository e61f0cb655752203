"""From events to windows: one that recurs where the rule is daily or weekly, and single ones for all other rules."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dateutil.rrule import rrulestr
from icalendar import vRecur

from detector.config import zone as zone_of
from detector.core.windows import DAY, FOREVER, WEEK, Recurrence, Window
from detector.ical.vevent import Event, Problem, Wanted

HORIZON = 400 * DAY
MOST = 1_000
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
PLAIN = {"FREQ", "INTERVAL", "BYDAY", "UNTIL", "WKST"}


def windows(event: Event, series: Sequence[Event], wanted: Wanted) -> list[Window]:
    """The windows of an event that are not over. `series` are all events of its name: some stand for a recurrence.

    Raises `Problem`.
    """
    if event.cancelled:
        return []
    if event.instead_of is not None:
        found = [_single(event, event.opens, event.lasts, wanted, event.instead_of)]
    elif sum(other.instead_of is None for other in series) > 1:
        raise Problem("UID", "another event has it, too")
    elif event.rule is None and not event.more:
        found = [_single(event, event.opens, event.lasts, wanted)]
    else:
        moved = [_in_zone(other, event, other.instead_of) for other in series if other.instead_of is not None]
        found = _recurring(event, (*event.without, *moved), wanted)
    return [window for window in found if window is not None]


def _in_zone(override: Event, master: Event, wall: datetime) -> datetime:
    """What the clock of `master` shows when that of `override` shows `wall`."""
    if override.zone == master.zone:
        return wall
    there = wall.replace(tzinfo=zone_of(override.zone))
    return there.astimezone(zone_of(master.zone)).replace(tzinfo=None)


def _single(
    event: Event, opens: datetime, lasts: timedelta, wanted: Wanted, recurrence: datetime | None = None
) -> Window | None:
    """A window that is once; None if it is over. `recurrence` is what sets it apart from others of its event."""
    begin, end = event.span(opens, lasts)
    if end <= wanted.now:
        return None
    return Window(
        id=event.uid if recurrence is None else f"{event.uid}/{recurrence.isoformat(timespec='minutes')}",
        match=wanted.match,
        start=max(begin, 0.0),
        end=min(end, FOREVER),
        zone=event.zone,
        reason=event.reason,
        owner=event.owner,
        kind=wanted.kind,
    )


def _recurring(event: Event, without: tuple[datetime | date, ...], wanted: Wanted) -> list[Window | None]:
    until = None if event.rule is None else _until(event)
    if event.rule is not None and not event.more and _is_plain(event):
        return [_plain(event, without, until, wanted)]
    found: list[Window | None] = []
    for opens, lasts in _ahead(event, until, wanted.now):
        if opens in without or opens.date() in without:
            continue
        window = _single(event, opens, lasts, wanted, opens)
        if window is not None:
            found.append(window)
        if len(found) > MOST:
            raise Problem("RRULE", f"makes more than {MOST:,} windows in {HORIZON / DAY:.0f} days")
    return found


# ---------------------------------------------------------------- daily and weekly


def _is_plain(event: Event) -> bool:
    """Whether a window can recur by this rule: on weekdays, at the same time, without a count."""
    rule, seconds = event.rule, event.lasts.total_seconds()
    return (
        rule["FREQ"][0] in ("DAILY", "WEEKLY")
        and set(rule) <= PLAIN
        and rule.get("INTERVAL", [1]) == [1]
        and all(str(day).upper() in WEEKDAYS for day in rule.get("BYDAY", []))
        and event.opens.second == 0
        and seconds <= WEEK
    )


def _plain(event: Event, without: tuple[datetime | date, ...], until: float | None, wanted: Wanted) -> Window | None:
    begin, _ = event.span(event.opens, event.lasts)
    lasts = event.lasts.total_seconds()
    if until is not None and (until < begin or until + lasts + DAY <= wanted.now):
        return None
    named = [WEEKDAYS.index(str(day).upper()) for day in event.rule.get("BYDAY", [])]
    every = range(7) if event.rule["FREQ"][0] == "DAILY" else [event.opens.weekday()]
    days = {day.date() if isinstance(day, datetime) else day for day in without}
    return Window(
        id=event.uid,
        match=wanted.match,
        start=max(begin, 0.0),
        recurrence=Recurrence(
            days=tuple(sorted(set(named or every))),
            at=f"{event.opens:%H:%M}",
            lasts=lasts,
            until=until,
            without=tuple(sorted(day.isoformat() for day in days)),
        ),
        zone=event.zone,
        reason=event.reason,
        owner=event.owner,
        kind=wanted.kind,
    )


# ---------------------------------------------------------------- every other rule


def _until(event: Event) -> float | None:
    """The last time at which a recurrence may begin; of a day, its end."""
    found = event.rule.get("UNTIL")
    if not found:
        return None
    last = found[0]
    if not isinstance(last, datetime):
        last = datetime.combine(last, time.max)
    return (last if last.tzinfo else last.replace(tzinfo=zone_of(event.zone))).timestamp()


def _ahead(event: Event, until: float | None, now: float) -> Iterator[tuple[datetime, timedelta]]:
    """When it begins, and for how long, in order: up to `HORIZON` from now."""
    last = now + HORIZON if until is None else min(now + HORIZON, until)
    added = dict(event.more) if event.rule is not None else {event.opens: event.lasts, **dict(event.more)}
    found = dict.fromkeys(_by_rule(event, last), event.lasts) if event.rule is not None else {}
    for opens, lasts in sorted({**found, **added}.items()):
        if event.span(opens, lasts)[0] <= now + HORIZON:
            yield opens, lasts


def _by_rule(event: Event, last: float) -> Iterator[datetime]:
    """What the clock shows when it begins by the rule. UNTIL is left to us: it may be told in another zone."""
    ends = datetime.fromtimestamp(last, UTC).astimezone(zone_of(event.zone)).replace(tzinfo=None)
    rule: Any = vRecur({name: value for name, value in event.rule.items() if name != "UNTIL"})
    try:
        for opens in rrulestr(rule.to_ical().decode(), dtstart=event.opens):
            if opens > ends:
                return
            yield opens
    except ValueError as error:
        raise Problem("RRULE", str(error)) from None
