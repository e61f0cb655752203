"""Which rows of a topic belong together, and when all of them have been seen. No Kafka and no clock in here.

A window of time is closed when every partition has come so far past its end that nothing older is expected; a partition
that was read to its end has come as far as the clock. What is older than the last closed window is late, and is
counted and left out. Positions are those from which everything that is still open would be read again.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from detector.profiling.sketches import Rows

AHEAD: Final = 20  # windows that one partition may be read ahead of the slowest
EMPTY: Final = 60  # windows in a row in which nothing came that are told


class Closed(NamedTuple):
    """A window all of whose rows were seen; `partition` where it is of one only."""

    start: float
    end: float
    rows: Rows
    partition: int | None = None


class Position(NamedTuple):
    """Where to go on: the next record, and the end of the last closed window."""

    offset: int
    until: float


class Windows(Protocol):
    """Sorts rows into windows."""

    late: int

    def begin(self, partition: int, position: Position) -> None:
        """A partition is read from here on."""

    def accepts(self, partition: int, offset: int, at: float) -> Rows | None:
        """Where the row goes that came `at`; None for one that is late."""

    def ended(self, partition: int) -> None:
        """The partition was read to its end."""

    def closed(self, now: float) -> list[Closed]:
        """The windows all of whose rows were seen. Each is told once."""

    def positions(self) -> dict[int, Position]:
        """Where to go on after what was closed."""

    def ahead(self, now: float) -> set[int]:
        """The partitions that should wait for the others."""


class _Partition:
    """How far a partition was read; `waits` are the first records of open windows."""

    def __init__(self, position: Position) -> None:
        self.next, self.newest, self.at_end = position.offset, -math.inf, False


class _Open:
    def __init__(self, rows: Rows) -> None:
        self.rows, self.firsts = rows, dict[int, int]()


class Tumbling:
    """Windows of `span` seconds of the records' own time, each closed `grace` seconds after its end."""

    def __init__(self, span: float, grace: float, new: Callable[[], Rows] = Rows) -> None:
        """`new` makes what counts the rows of a window. Raises `ValueError` for no span."""
        if span <= 0:
            raise ValueError("a window is longer than nothing")
        self.span, self.grace, self.late, self._new, self._empty = span, grace, 0, new, 0
        self._partitions: dict[int, _Partition] = {}
        self._open: dict[int, _Open] = {}
        self._until = -math.inf

    def begin(self, partition: int, position: Position) -> None:
        """As `Windows.begin`."""
        self._partitions[partition] = _Partition(position)
        self._until = max(self._until, position.until)

    def accepts(self, partition: int, offset: int, at: float) -> Rows | None:
        """As `Windows.accepts`."""
        known = self._partitions[partition]
        known.next, known.newest, known.at_end = offset + 1, max(known.newest, at), False
        place = math.floor(at / self.span)
        if (place + 1) * self.span <= self._until:
            self.late += 1
            return None
        found = self._open.get(place)
        if found is None:
            found = self._open[place] = _Open(self._new())
        found.firsts.setdefault(partition, offset)
        return found.rows

    def ended(self, partition: int) -> None:
        """As `Windows.ended`."""
        self._partitions[partition].at_end = True

    def _come_to(self, now: float) -> float:
        """The time before which nothing more is expected."""
        return min((_seen(known, now) for known in self._partitions.values()), default=-math.inf) - self.grace

    def closed(self, now: float) -> list[Closed]:
        """As `Windows.closed`. Windows in which nothing came are told, too, for a while: that is news."""
        come_to = self._come_to(now)
        found: list[Closed] = []
        while (place := self._first(come_to)) is not None and (place + 1) * self.span <= come_to:
            window = self._open.pop(place, None)
            self._empty = 0 if window else self._empty + 1
            rows = window.rows if window else self._new()
            self._until = (place + 1) * self.span
            found.append(Closed(place * self.span, self._until, rows))
        return found

    def _first(self, come_to: float) -> int | None:
        """The window that is closed next. After so many in which nothing came, that is known."""
        if self._until == -math.inf:
            return min(self._open, default=None)
        following = round(self._until / self.span)
        if self._empty < EMPTY or following in self._open:
            return following
        now = math.floor(come_to / self.span)
        return max(min(min(self._open, default=now), now), following)

    def positions(self) -> dict[int, Position]:
        """As `Windows.positions`."""
        firsts = [window.firsts for window in self._open.values()]
        return {
            partition: Position(min((f[partition] for f in firsts if partition in f), default=known.next), self._until)
            for partition, known in self._partitions.items()
        }

    def ahead(self, now: float) -> set[int]:
        """As `Windows.ahead`."""
        latest = self._come_to(now) + self.grace + AHEAD * self.span
        return {partition for partition, known in self._partitions.items() if known.newest > latest}


def _seen(known: _Partition, now: float) -> float:
    return max(known.newest, now) if known.at_end else known.newest


class Counted:
    """Windows of so many records of one partition, one after the other."""

    late = 0

    def __init__(self, size: int, new: Callable[[], Rows] = Rows) -> None:
        """`size` is at least one."""
        self._size, self._new = size, new
        self._next: dict[int, int] = {}
        self._open: dict[int, tuple[Rows, list[float]]] = {}
        self._first: dict[int, int] = {}
        self._done: list[Closed] = []

    def begin(self, partition: int, position: Position) -> None:
        """As `Windows.begin`."""
        self._next[partition] = position.offset

    def accepts(self, partition: int, offset: int, at: float) -> Rows | None:
        """As `Windows.accepts`."""
        rows, times = self._open.get(partition, (None, []))
        if rows is not None and rows.rows >= self._size:
            self._done.append(Closed(min(times), max(times), rows, partition))
            rows = None
        if rows is None:
            rows, times = self._new(), [at, at]
            self._open[partition], self._first[partition] = (rows, times), offset
        times[0], times[1] = min(times[0], at), max(times[1], at)
        self._next[partition] = offset + 1
        return rows

    def ended(self, partition: int) -> None:
        """Nothing: a window is closed by its rows."""

    def closed(self, now: float) -> list[Closed]:
        """As `Windows.closed`."""
        for partition, (rows, times) in list(self._open.items()):
            if rows.rows >= self._size:
                self._done.append(Closed(times[0], times[1], rows, partition))
                del self._open[partition]
        found, self._done = self._done, []
        return found

    def positions(self) -> dict[int, Position]:
        """As `Windows.positions`."""
        return {
            partition: Position(self._first[partition] if partition in self._open else after, -math.inf)
            for partition, after in self._next.items()
        }

    def ahead(self, now: float) -> set[int]:
        """None: partitions do not wait for each other."""
        return set()
