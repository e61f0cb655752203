"""A band around an exponentially weighted mean, in log space: the simplest model, and easy to explain."""

import math
import struct
from dataclasses import dataclass, field
from typing import ClassVar

from detector.core.models.reading import Reading
from detector.core.models.taught import NOTHING, Taught

_STATE = struct.Struct("<BIddB")
_HELD = struct.Struct("<d")
_FORMAT = 2
_ALERT = 0.5
_AGREE = 0.5
_MOST_HELD = 255


@dataclass(slots=True)
class Band:
    """Exponentially weighted mean and variance of log(1 + x), and a band of `width` deviations around the mean.

    The first 1/alpha values weigh the same, so that a young mean is not its first value; from there on the recursion
    is the one of `river.stats.EWMean` and `river.stats.EWVar`. `floor` is the smallest deviation that is believed, as
    a share of the value: what differs by less than width * floor is never an anomaly. A flagged value is held back, not
    learned; `new_normal_after` of them in a row, all within a factor of 1.6, are where the band begins anew.

    Source: T. Finch, "Incremental calculation of weighted mean and variance" (2009), section 9.

    >>> band = Band()
    >>> for day, rows in enumerate((100, 104, 98, 101, 99, 103, 97)):
    ...     _ = band.judge_one(86_400.0 * day, rows)
    >>> band.score_one(0.0, 101) < 0.5, band.score_one(0.0, 20) > 0.66
    (True, True)
    """

    kind: ClassVar[str] = "band"

    alpha: float = 0.1
    width: float = 5.0
    floor: float = 0.05
    warmup: int = 7
    new_normal_after: int = 3
    taught: Taught = field(default=NOTHING, init=False, repr=False, compare=False)
    samples: int = field(default=0, init=False)
    _mean: float = field(default=0.0, init=False)
    _var: float = field(default=0.0, init=False)
    _held: list[float] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Refuse parameters that make no band. Raises `ValueError`."""
        if not 0 < self.alpha <= 1:
            raise ValueError("alpha: must be above 0 and at most 1")
        if self.width <= 0 or self.floor <= 0:
            raise ValueError("width and floor: must be above 0")
        if self.warmup < 1:
            raise ValueError("warmup: must be at least 1")
        if not 1 <= self.new_normal_after <= 255:
            raise ValueError("new_normal_after: must be 1 to 255")

    def judge_one(self, at: float, x: float) -> Reading:
        """Judge a value (a count, bytes, or seconds; not negative), then learn it or hold it back."""
        score = self.score_one(at, x)
        lower, expected, upper = self.bounds()
        if score <= _ALERT:
            self._held = []
            self._learn(x)
            return Reading(min(score, 0.499999), False, lower, expected, upper)
        after = min(self.new_normal_after * self.taught.patience, _MOST_HELD)
        self._held = [*self._held, x][-after:]
        if len(self._held) == after and _agree(self._held):
            self._begin_anew(self._held)
            return Reading(0.499999, False, lower, expected, upper, "new normal")
        return Reading(score, True, lower, expected, upper, "outlier")

    def score_one(self, at: float, x: float) -> float:
        """How far x is from the expected value, in [0, 1): 0 is the mean, 0.5 the edge of the band, 2/3 twice that.

        The time `at` does not matter.
        """
        if self.samples < self.warmup or not 0 <= x < math.inf:
            return 0.0
        distance = (math.log1p(x) - self._mean) / self._deviation()
        return abs(distance) / (abs(distance) + self.width * self.taught.of(distance))

    def bounds(self) -> tuple[float, float, float]:
        """(lower, expected, upper) in the unit of the values; infinitely wide before `warmup` values."""
        if self.samples < self.warmup:
            return (0.0, _unlog(self._mean), math.inf)
        reach = self.width * self._deviation()
        lower, upper = self._mean - self.taught.low * reach, self._mean + self.taught.high * reach
        return max(0.0, _unlog(lower)), _unlog(self._mean), _unlog(upper)

    def how_far(self, at: float, x: float) -> float:
        """How far out a value is, in the distance of the limit as learned: -1 at the lower one, 1 at the upper."""
        if self.samples < self.warmup or not 0 <= x < math.inf:
            return math.nan
        return (math.log1p(x) - self._mean) / (self.width * self._deviation())

    def unlearn(self, at: float) -> None:
        """Values that were held back are not counted for a new normal."""
        self._held = []

    def excuse(self, at: float, cause: str) -> None:
        """The same of what is no anomaly."""
        self.unlearn(at)

    def renew(self, at: float, x: float, cause: str) -> None:
        """The new normal, at once: the values that were held back, if they agree with x; else x alone."""
        held = [*self._held, x]
        self._begin_anew(held[:-1] if len(held) > 1 and _agree(held) else [x])

    def _learn(self, x: float) -> None:
        if not 0 <= x < math.inf:
            return
        self.samples += 1
        alpha = max(self.alpha, 1 / self.samples)
        delta = math.log1p(x) - self._mean
        self._mean += alpha * delta
        self._var = (1 - alpha) * (self._var + alpha * delta * delta)

    def _begin_anew(self, held: list[float]) -> None:
        """From values that were held back. The old variance is kept, since so few say little of it."""
        var = self._var
        self.samples, self._mean, self._var, self._held = 0, 0.0, 0.0, []
        for x in held:
            self._learn(x)
        self._var = max(self._var, var)
        self.samples = max(self.samples, self.warmup)

    def _deviation(self) -> float:
        """The deviation, no less than `floor`, and wider while few values were seen."""
        few = 1 + 2 / max(self.samples, 1)
        return max(math.sqrt(self._var), self.floor) * few

    def snapshot(self) -> bytes:
        """The state (not the parameters), in 22 bytes and 8 for each value held back; the first is the format."""
        head = _STATE.pack(_FORMAT, self.samples, self._mean, self._var, len(self._held))
        return head + b"".join(map(_HELD.pack, self._held))

    def restore(self, snapshot: bytes) -> None:
        """Take the state that `snapshot` wrote. Raises `ValueError` for anything else."""
        if len(snapshot) < _STATE.size or snapshot[0] != _FORMAT:
            raise ValueError("not a snapshot of a band")
        _, samples, mean, var, count = _STATE.unpack_from(snapshot)
        if len(snapshot) != _STATE.size + count * _HELD.size:
            raise ValueError("not a snapshot of a band")
        self.samples, self._mean, self._var = samples, mean, var
        self._held = [x for (x,) in _HELD.iter_unpack(snapshot[_STATE.size :])]


def _agree(values: list[float]) -> bool:
    """Whether values lie within a factor of about 1.6 of each other."""
    return math.log1p(max(values)) - math.log1p(min(values)) <= _AGREE


def _unlog(y: float) -> float:
    """The inverse of log1p, but for what no float holds."""
    return math.expm1(min(y, 709.0))
