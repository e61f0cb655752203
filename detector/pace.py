"""When to commit: soon while there is little to do, seldom while catching up."""

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """Commit after `least` seconds while polls come back with few records, after `most` while they are full.

    A transaction costs the same for one record as for thousands; a reader of the control topic waits for it.
    """

    least: float
    most: float
    last: float = 0.0

    def due(self, now: float, busy: bool) -> bool:
        """Whether it is time to commit. `now` is a monotonic time in seconds."""
        return now - self.last >= (self.most if busy else self.least)

    def done(self, now: float) -> None:
        """A commit was made."""
        self.last = now
