"""When the next run of a job is due: learned from the times of its runs, and declared as a time of the day.

A learned schedule cannot promise "by 03:30", and a declared one cannot see that an hourly job skipped an hour; so both
are kept, and neither replaces the other.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

DAY = 86_400.0
KEEP = 16
SAME_WEEKDAY = 2


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
    """

    starts: list[float] = []
    lags: list[float] = []
    expected: float | None = None
    late_at: float | None = None

    def add(self, at: float, lag: float, rule: Lateness | None) -> None:
        """Take the start of one more run; `lag` is the time from then until its first event arrived, in seconds."""
        if at in self.starts:
            return
        self.starts = sorted([*self.starts, at])[-KEEP:]
        self.lags = [*self.lags[-6:], min(max(lag, 0.0), DAY)]
        self._expect(rule)

    def correct(self, old: float, new: float, rule: Lateness | None) -> None:
        """A run that was taken to have started at `old` started at `new`."""
        if new != old and old in self.starts:
            self.starts.remove(old)
            self.starts = sorted(self.starts if new in self.starts else [*self.starts, new])
            self._expect(rule)

    def _expect(self, rule: Lateness | None) -> None:
        """The interval that follows a run is the median of those before; of a job that runs a few times a day or less,
        of those that followed a run on the same weekday, if there are two: one that rests on Sunday is not late then.
        """
        self.expected = self.late_at = None
        if rule is None or len(self.starts) < max(rule.min_runs, 2):
            return
        starts = self.starts
        intervals = [after - before for before, after in pairwise(starts)]
        chosen = sorted(intervals)
        if chosen[len(chosen) // 2] > DAY / 4:
            last = _weekday(starts[-1])
            same = [gap for start, gap in zip(starts, intervals, strict=False) if _weekday(start) == last]
            chosen = sorted(same) if len(same) >= SAME_WEEKDAY else chosen
        interval = chosen[len(chosen) // 2]
        strayed = max(interval - chosen[0], chosen[-1] - interval)
        # The cap must not cut off what was seen before: a job of workdays rests for twice its interval each weekend.
        slack = max(rule.floor, rule.share * interval, min(3 * strayed, 2 * interval), 1.1 * strayed)
        lag = min(sorted(self.lags)[len(self.lags) // 2], interval)
        self.expected = starts[-1] + interval
        self.late_at = self.expected + slack + lag


def _weekday(at: float) -> int:
    return int(at // DAY) % 7


@dataclass(frozen=True, slots=True)
class Deadline:
    """A declared time of the day, in a time zone, by which a run must have completed; `days` are 0 (Monday) to 6."""

    at: time
    zone: ZoneInfo
    days: frozenset[int] = frozenset(range(7))

    def after(self, moment: float) -> float:
        """The first deadline later than `moment` (both seconds since 1970)."""
        return self._nearest(moment, step=1)

    def before(self, moment: float) -> float:
        """The last deadline earlier than `moment` (both seconds since 1970)."""
        return self._nearest(moment, step=-1)

    def _nearest(self, moment: float, step: int) -> float:
        day = datetime.fromtimestamp(moment, UTC).astimezone(self.zone).date() - timedelta(days=step)
        for _ in range(10):
            if day.weekday() in self.days:
                found = self._on(day)
                if (found - moment) * step > 0:
                    return found
            day += timedelta(days=step)
        raise ValueError("a deadline needs at least one day")

    def _on(self, day: date) -> float:
        return datetime.combine(day, self.at, self.zone).timestamp()
