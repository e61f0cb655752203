"""Deadlines by a cron expression: which minutes of which days, on the clock of a place.

The expression is parsed at the edge; here are only its numbers. A time that is skipped when clocks go forward is as
much later as they were moved, as `Deadline` has it. One that comes twice counts once, unless the expression holds for
every hour: then hours that pass count, and not those on the wall.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from detector.core.calendar import Calendar
from detector.core.schedule import LONGEST_REST, UTC_DAYS, midnight

YEARS = 9  # 29 February comes at least so often


@dataclass(frozen=True, slots=True)
class Cron:
    """The times at which a cron expression holds. `days` are of the month, `weekdays` 0 (Monday) to 6.

    `either` is cron's old rule: where both kinds of days are restricted, one of them is enough.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    zone: ZoneInfo
    holidays: bool = True

    def after(self, moment: float, calendar: Calendar = UTC_DAYS) -> float:
        """The first time later than `moment` (both seconds since 1970)."""
        return next(found for at in self._days(moment, calendar, 1) for found in self._on(at) if found > moment)

    def before(self, moment: float, calendar: Calendar = UTC_DAYS) -> float:
        """The last time earlier than `moment` (both seconds since 1970)."""
        days = self._days(moment, calendar, -1)
        return next(found for at in days for found in reversed(self._on(at)) if found < moment)

    def _days(self, moment: float, calendar: Calendar, step: int) -> Iterator[date]:
        """The days on which it holds, from that of `moment` on; of holidays no more than a month are left out."""
        day = datetime.fromtimestamp(moment, UTC).astimezone(self.zone).date() - timedelta(days=step)
        end, rested = day.year + step * YEARS, 0
        while day.year != end:
            if day.month not in self.months:
                day = _next_month(day) if step > 0 else day.replace(day=1) - timedelta(days=1)
                continue
            if self._holds(day):
                rests = not self.holidays and rested < LONGEST_REST and calendar.is_holiday(midnight(day))
                rested += rests
                if not rests:
                    yield day
            day += timedelta(days=step)
        raise ValueError("a cron expression needs a day that there is")

    def _holds(self, day: date) -> bool:
        of_month, of_week = day.day in self.days, day.weekday() in self.weekdays
        return of_month or of_week if self.either else of_month and of_week

    def _on(self, day: date) -> list[float]:
        """The times of one day, ascending."""
        folds = (0, 1) if len(self.hours) == 24 else (0,)
        walls = [datetime.combine(day, time(h, m), self.zone) for h in self.hours for m in self.minutes]
        return sorted({wall.replace(fold=fold).timestamp() for wall in walls for fold in folds if _is(wall, fold)})


def _is(wall: datetime, fold: int) -> bool:
    """The second reading of a time is another one only where the clock shows it twice."""
    return fold == 0 or wall.replace(fold=1).utcoffset() < wall.utcoffset()  # type: ignore[operator]


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)
