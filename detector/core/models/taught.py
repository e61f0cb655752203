"""What people have taught of one series: factors of what its model has learned, so that they move along with it."""

from collections.abc import Sequence

import msgspec
import numpy as np

from detector.core.models.kernel import LESSONS, UNTAUGHT, Array

MOST, LEAST = 8.0, 0.2
WIDER, NARROWER = 1.05, 0.95  # of the distance of a value: it is just inside then, or just outside
RAISED = 2.0  # what the limit of a cause without an outside value is multiplied by, each time
PATIENCE = 3  # times as many values as usual make a new normal of what was confirmed to be wrong


class Taught(msgspec.Struct, array_like=True):
    """`low` and `high` multiply the distances of the limits from what is expected; `causes` the limits of these causes.

    `patience` multiplies how many values in a row become the new normal, while what was confirmed goes on; where a
    model has no such number, `left` is how many more alerts it holds for (0: as many as come).
    """

    low: float = 1.0
    high: float = 1.0
    causes: dict[str, float] = {}
    patience: int = 1
    left: int = 0

    def of(self, side: float) -> float:
        """The factor below what is expected (`side` is negative), or above."""
        return self.low if side < 0 else self.high

    def cause(self, name: str) -> float:
        """The factor of the limit of a cause."""
        return self.causes.get(name, 1.0)

    @property
    def narrower(self) -> bool:
        """Whether something is to be told that would not be."""
        return min(self.low, self.high) < 1

    @property
    def row(self) -> list[float]:
        """The same as `kernel` takes it."""
        limits = [self.cause(name) for name in ROW]
        return [self.low, self.high, *limits, float(self.patience)]


ROW = ("several outliers", "drift", "noise", "repeated value", "only zeros")
NOTHING = Taught()


def rows(lessons: Sequence[Taught]) -> Array:
    """The lessons of some series as `kernel` takes them: no rows at all where nothing was taught."""
    if all(one == NOTHING for one in lessons):
        return UNTAUGHT
    return np.array([one.row for one in lessons], np.float64).reshape(-1, LESSONS)
