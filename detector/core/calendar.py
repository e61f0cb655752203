"""By what clock an entity lives: the wall time of its place, and the days on which less may come than usual.

Weekdays and hours are told by people's clocks, and so are the pipelines that people schedule. The tables of zones and
holidays are made outside and handed in as values: the core reads neither files nor what a machine has in /usr/share.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from math import isfinite
from typing import NamedTuple

DAY = 86_400.0
_LEAST, _MOST = -2_000_000_000.0, 250_000_000_000.0  # seconds since 1970 that datetime knows in any zone


class Moment(NamedTuple):
    """A time as people there read it: `wall` is seconds since 1970 on their clock, as if that were UTC's.

    `like` are the weekdays (0 is Monday) that this day may resemble instead of its own: those of the weekend on a
    holiday, none on any other day.
    """

    wall: float
    like: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Calendar:
    """A time zone, and the holidays in it as days since 1970 (dates on the wall). Without either it is UTC.

    >>> calendar = Calendar(holidays=frozenset({1}))
    >>> calendar.at(90_000.0), calendar.at(180_000.0)
    (Moment(wall=90000.0, like=(5, 6)), Moment(wall=180000.0, like=()))
    """

    zone: tzinfo = UTC
    holidays: frozenset[int] = frozenset()
    weekend: tuple[int, ...] = (5, 6)

    def at(self, at: float) -> Moment:
        """What `at` (seconds since 1970) is there."""
        wall = self.wall(at)
        return Moment(wall, self.weekend) if self.holidays and self.is_holiday(wall) else Moment(wall)

    def wall(self, at: float) -> float:
        """What the clock there shows at `at`. It goes back once a year where clocks are changed."""
        if self.zone is UTC or not _LEAST < at < _MOST:
            return at
        offset = datetime.fromtimestamp(at, UTC).astimezone(self.zone).utcoffset()
        return at + offset.total_seconds() if offset else at

    def instant(self, wall: float) -> float:
        """When the clock there shows `wall`: the first time of two; of a time that is skipped, as if it were not."""
        if self.zone is UTC or not _LEAST < wall < _MOST:
            return wall
        offset = datetime.fromtimestamp(wall, UTC).replace(tzinfo=self.zone).utcoffset()
        return wall - offset.total_seconds() if offset else wall

    def is_holiday(self, wall: float) -> bool:
        """Whether the day of this wall time is a holiday."""
        return bool(self.holidays) and isfinite(wall) and int(wall // DAY) in self.holidays
