"""A band around an exponentially weighted mean, in log space: counts, bytes and seconds vary by factors."""

import math
import struct
from dataclasses import dataclass, field
from typing import ClassVar

_STATE = struct.Struct("<BIdd")
_FORMAT = 1


@dataclass(slots=True)
class Band:
    """Exponentially weighted mean and variance of log(1 + x), and a band of `width` deviations around the mean.

    The first 1/alpha values weigh the same, so that a young mean is not its first value; from there on the recursion
    is the one of `river.stats.EWMean` and `river.stats.EWVar`. `floor` is the smallest deviation that is believed, as
    a share of the value: what differs by less than width * floor is never an anomaly.

    Source: T. Finch, "Incremental calculation of weighted mean and variance" (2009), section 9.

    >>> band = Band()
    >>> for rows in (100, 104, 98, 101, 99, 103, 97):
    ...     band.learn_one(rows)
    >>> band.score_one(101) < 0.5, band.score_one(20) > 0.66
    (True, True)
    """

    kind: ClassVar[str] = "band"

    alpha: float = 0.1
    width: float = 5.0
    floor: float = 0.05
    warmup: int = 7
    samples: int = field(default=0, init=False)
    _mean: float = field(default=0.0, init=False)
    _var: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Refuse parameters that make no band. Raises `ValueError`."""
        if not 0 < self.alpha <= 1:
            raise ValueError("alpha: must be above 0 and at most 1")
        if self.width <= 0 or self.floor <= 0:
            raise ValueError("width and floor: must be above 0")
        if self.warmup < 1:
            raise ValueError("warmup: must be at least 1")

    def learn_one(self, x: float) -> None:
        """Take one value (a count, bytes, or seconds; not negative) into mean and variance."""
        if not 0 <= x < math.inf:
            return
        self.samples += 1
        alpha = max(self.alpha, 1 / self.samples)
        delta = math.log1p(x) - self._mean
        self._mean += alpha * delta
        self._var = (1 - alpha) * (self._var + alpha * delta * delta)

    def score_one(self, x: float) -> float:
        """How far x is from the expected value, in [0, 1): 0 is the mean, 0.5 the edge of the band, 2/3 twice that."""
        if self.samples < self.warmup or not 0 <= x < math.inf:
            return 0.0
        distance = abs(math.log1p(x) - self._mean) / self._deviation()
        return distance / (distance + self.width)

    def bounds(self) -> tuple[float, float, float]:
        """(lower, expected, upper) in the unit of the values; infinitely wide before `warmup` values."""
        if self.samples < self.warmup:
            return (0.0, _unlog(self._mean), math.inf)
        reach = self.width * self._deviation()
        return max(0.0, _unlog(self._mean - reach)), _unlog(self._mean), _unlog(self._mean + reach)

    def rebase(self, values: list[float]) -> None:
        """Begin anew from a few values: a new normal. The old variance is kept, since so few say little of it."""
        var = self._var
        self.samples, self._mean, self._var = 0, 0.0, 0.0
        for x in values:
            self.learn_one(x)
        self._var = max(self._var, var)
        self.samples = max(self.samples, self.warmup)

    def _deviation(self) -> float:
        """The deviation, no less than `floor`, and wider while few values were seen."""
        few = 1 + 2 / max(self.samples, 1)
        return max(math.sqrt(self._var), self.floor) * few

    def snapshot(self) -> bytes:
        """The state (not the parameters), in 21 bytes; the first is the format."""
        return _STATE.pack(_FORMAT, self.samples, self._mean, self._var)

    def restore(self, snapshot: bytes) -> None:
        """Take the state that `snapshot` wrote. Raises `ValueError` for anything else."""
        if len(snapshot) != _STATE.size or snapshot[0] != _FORMAT:
            raise ValueError("not a snapshot of a band")
        _, self.samples, self._mean, self._var = _STATE.unpack(snapshot)


def _unlog(y: float) -> float:
    """The inverse of log1p, but for what no float holds."""
    return math.expm1(min(y, 709.0))
