"""When the next run of a job is due: learned from the times of its runs, and declared as a time of the day.

A learned schedule cannot promise "by 03:30", and a declared one cannot see that an hourly job skipped an hour; so both
are kept, and neither replaces the other.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from operator import sub
from zoneinfo import ZoneInfo

import msgspec

from detector.core.calendar import Calendar

DAY, HOUR = 86_400.0, 3_600.0
KEEP = 16
UTC_DAYS = Calendar()
SAME_WEEKDAY = 2
LONGEST_REST = 31


@dataclass(frozen=True, slots=True)
class Lateness:
    """How a learned schedule is read: after `min_runs` runs; late by more than `floor` seconds, a `share` of the
    interval, and three times what the runs have strayed before, whichever is most."""

    min_runs: int = 5
    floor: float = 300.0
    share: float = 0.05


class Schedule(msgspec.Struct, array_like=True):
    """The times of the last runs (seconds since 1970, ascending), and how long their first events took to arrive.

    `expected` is when the next run is expected, `late_at` after when it is late; None while too few runs were seen.
    `unwatched` is the start after which nobody looked for a while: how long the next one took to come is not known.
    """

    starts: list[float] = []
    lags: list[float] = []
    expected: float | None = None
    late_at: float | None = None
    unwatched: float | None = None

    def add(self, at: float, lag: float, rule: Lateness | None, calendar: Calendar = UTC_DAYS) -> None:
        """Take the start of one more run; `lag` is the time from then until its first event arrived, in seconds."""
        if at in self.starts:
            return
        self.starts = sorted([*self.starts, at])[-KEEP:]
        self.lags = [*self.lags[-6:], min(max(lag, 0.0), DAY)]
        self._expect(rule, calendar)

    def correct(self, old: float, new: float, rule: Lateness | None, calendar: Calendar = UTC_DAYS) -> None:
        """A run that was taken to have started at `old` started at `new`."""
        if new != old and old in self.starts:
            self.starts.remove(old)
            self.starts = sorted(self.starts if new in self.starts else [*self.starts, new])
            self._expect(rule, calendar)

    def precede(self, history: "Schedule") -> None:
        """Learn the runs of a history that ended before, or while, this was watched. Nothing is late until a run comes:
        what should have come since the history was perhaps not seen.
        """
        self.starts = sorted({*history.starts, *self.starts})[-KEEP:]
        self.lags = [*history.lags, *self.lags][-7:]
        self.unwatched = history.starts[-1] if history.starts else self.unwatched
        self.expected = self.late_at = None

    def _expect(self, rule: Lateness | None, calendar: Calendar) -> None:
        """The interval that follows a run is the median of those before; of a job that runs a few times a day or less,
        of those that followed a run on the same weekday, if there are two: one that rests on Sunday is not late then.

        Such a job goes by the clock of its place, and one that rests on weekends is taken to rest on holidays, too.
        """
        self.expected = self.late_at = None
        if rule is None or len(self.starts) < max(rule.min_runs, 2):
            return
        starts, befores, afters = self.starts, self.starts[:-1], self.starts[1:]
        if self.unwatched in befores:
            place = befores.index(self.unwatched)
            del befores[place], afters[place]
        if not befores:
            return
        chosen = sorted(map(sub, afters, befores))
        if chosen[len(chosen) // 2] > DAY / 4:
            watched = list(zip(map(calendar.wall, befores), map(calendar.wall, afters), strict=True))
            chosen = _of_days(watched, starts, calendar)
        interval = chosen[len(chosen) // 2]
        strayed = max(interval - chosen[0], chosen[-1] - interval)
        # The cap must not cut off what was seen before: a job of workdays rests for twice its interval each weekend.
        slack = max(rule.floor, rule.share * interval, min(3 * strayed, 2 * interval), 1.1 * strayed)
        lag = min(sorted(self.lags)[len(self.lags) // 2], interval)
        self.expected = _next(self.starts, interval, calendar)
        self.late_at = self.expected + slack + lag


def _of_days(watched: list[tuple[float, float]], starts: list[float], calendar: Calendar) -> list[float]:
    """The intervals to choose from after the last start, ascending; those over a holiday are not as usual.

    `watched` are pairs of starts (wall time), of which the second is known to be the next one.
    """
    walls = [calendar.wall(start) for start in starts]
    rests = _rests(walls, calendar)
    pairs = [pair for pair in watched if not (rests and _spans_holiday(*pair, calendar))] or watched
    last = _weekday(walls[-1])
    chosen = [max(after - before, 0.0) for before, after in pairs]  # clocks may go back in between
    same = [gap for gap, (before, _) in zip(chosen, pairs, strict=True) if _weekday(before) == last]
    return sorted(same if len(same) >= SAME_WEEKDAY else chosen)


def _rests(starts: list[float], calendar: Calendar) -> bool:
    """Whether a job has run on no day of a weekend, and on no holiday, for at least a week."""
    free = (_weekday(start) in calendar.weekend or calendar.is_holiday(start) for start in starts)
    return starts[-1] - starts[0] >= 7 * DAY and not any(free)


def _spans_holiday(before: float, after: float, calendar: Calendar) -> bool:
    """Whether a holiday lies between two days."""
    return any(calendar.is_holiday(day * DAY) for day in range(int(before // DAY) + 1, int(after // DAY)))


def _next(starts: list[float], interval: float, calendar: Calendar) -> float:
    """When the next run is due: on the night in which clocks are changed, by the later of the two clocks.

    Whether a job goes by the clock on the wall or by hours that passed cannot be told before. What runs more often
    than every two hours goes by the latter.
    """
    due = starts[-1] + interval
    if interval < 2 * HOUR:
        return due
    walls = [calendar.wall(start) for start in starts]
    expected = walls[-1] + interval
    moved = _after_holidays(expected, walls, calendar) if interval > DAY / 4 else expected
    return max(due, calendar.instant(moved))


def _after_holidays(expected: float, walls: list[float], calendar: Calendar) -> float:
    """Of a job that rests on holidays: the same time of the next day that is none, and a weekday that it runs on."""
    if not (calendar.is_holiday(expected) and _rests(walls, calendar)):
        return expected
    weekdays = {_weekday(start) for start in walls}
    days = (expected + day * DAY for day in range(1, LONGEST_REST))
    return next((d for d in days if _weekday(d) in weekdays and not calendar.is_holiday(d)), expected)


def _weekday(wall: float) -> int:
    """0 is Monday."""
    return (int(wall // DAY) + 3) % 7


@dataclass(frozen=True, slots=True)
class Deadline:
    """A declared time of the day, in a time zone, by which a run must have completed.

    `days` are 0 (Monday) to 6; `holidays` says whether it holds on the holidays of a calendar, too.
    """

    at: time
    zone: ZoneInfo
    days: frozenset[int] = frozenset(range(7))
    holidays: bool = True

    def after(self, moment: float, calendar: Calendar = UTC_DAYS) -> float:
        """The first deadline later than `moment` (both seconds since 1970)."""
        return self._nearest(moment, calendar, step=1)

    def before(self, moment: float, calendar: Calendar = UTC_DAYS) -> float:
        """The last deadline earlier than `moment` (both seconds since 1970)."""
        return self._nearest(moment, calendar, step=-1)

    def _nearest(self, moment: float, calendar: Calendar, step: int) -> float:
        day = datetime.fromtimestamp(moment, UTC).astimezone(self.zone).date() - timedelta(days=step)
        for tried in range(10 + LONGEST_REST):
            rests = not self.holidays and tried < LONGEST_REST and calendar.is_holiday(midnight(day))
            if day.weekday() in self.days and not rests:
                found = self._on(day)
                if (found - moment) * step > 0:
                    return found
            day += timedelta(days=step)
        raise ValueError("a deadline needs at least one day")

    def _on(self, day: date) -> float:
        return datetime.combine(day, self.at, self.zone).timestamp()


def midnight(day: date) -> float:
    """When a date begins, as a wall time."""
    return datetime.combine(day, time(), UTC).timestamp()
