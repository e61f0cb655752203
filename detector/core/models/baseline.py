"""The model that is used unless another one is named: what is normal for a metric of pipeline runs."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np

from detector.core.models import days, kernel, records
from detector.core.models.dense import Dense
from detector.core.models.kernel import Array
from detector.core.models.reading import Reading
from detector.core.models.taught import NOTHING, Taught, rows

_FORMAT, _DENSE = 1, 2
_DECIDE_AFTER = 16  # values after which the usual interval is believed
_ROW = np.zeros(1, np.intp)
_NOISE_KEPT = 4  # values that the old deviation counts for, where the noise is the new normal
_WITHOUT_LEVEL = frozenset(
    kernel.CAUSES[cause] for cause in (kernel.STUCK, kernel.ONLY_ZEROS, kernel.FIRST_LARGE, kernel.RANGE)
)
_DIRECTIONS = {"both": 0.0, "spike": 1.0, "drop": -1.0}


@dataclass(slots=True)
class Baseline:
    """A level with seasons that are earned, a scale and tails of its own: see `kernel`, which has parts and sources.

    `budget` is the share of the values of a healthy series that may raise a false alarm; `effect` multiplies the least
    effect that is told (1: a quarter of a volume); `direction` is `both`, `spike` or `drop`. A series with a value more
    often than every `dense_below` seconds is a dense stream, and goes over to `Dense` after its first 16 values; 0:
    runs are runs, however often they come.

    >>> model = Baseline()
    >>> readings = [model.judge_one(86_400.0 * day, 10_000 + 100 * (day % 3)) for day in range(30)]
    >>> any(reading.alert for reading in readings), model.judge_one(86_400.0 * 30, 412).alert
    (False, True)
    """

    kind: ClassVar[str] = "baseline"
    fractions: ClassVar[float] = kernel.TAIL_OF_FRACTIONS

    budget: float = 4.5e-4
    effect: float = 1.0
    direction: Literal["both", "spike", "drop"] = "both"
    dense_below: float = 0.0
    taught: Taught = field(init=False, repr=False, compare=False, default=NOTHING)
    _dense: Dense | None = field(init=False, repr=False, default=None)
    _first: list[tuple[float, float]] = field(init=False, repr=False, default_factory=list)
    parameters: Array = field(init=False, repr=False)
    _heads: Array = field(init=False, repr=False)
    _seasons: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse parameters that make no sense. Raises `ValueError`. `parameters` are those that `kernel` takes."""
        if not 0 < self.budget <= 0.1:
            raise ValueError("budget: must be above 0 and at most 0.1")
        if self.effect <= 0:
            raise ValueError("effect: must be above 0")
        if self.dense_below < 0:
            raise ValueError("dense_below: must be 0 or more seconds")
        if self.direction not in _DIRECTIONS:
            raise ValueError(f"direction: must be one of {', '.join(_DIRECTIONS)}")
        self._heads, self._seasons = kernel.blank(1)
        self.parameters = kernel.parameters(
            self.budget, self.effect, _DIRECTIONS[self.direction], fractions=self.fractions
        )

    def within(self, allowance: float, *, bounds: bool) -> Array:
        """The parameters where what adds up over many values may raise so few false alarms: a share of the values.

        `bounds`: whether those of values that are not told are wanted, too.
        """
        decades = math.ceil(10 * math.log10(min(self.budget, allowance)))  # few, so that they are made once
        return _parameters(self.budget, self.effect, _DIRECTIONS[self.direction], decades, bounds, self.fractions)

    def share(self, heads: Array, seasons: Array) -> None:
        """Take the state in these records, one of each, for its own: they are not copied."""
        self._heads, self._seasons = heads, seasons

    @property
    def samples(self) -> int:
        """How many values were seen."""
        return self._dense.samples if self._dense else int(self._heads["seen"][0])

    def judge_one(self, at: float, x: float) -> Reading:
        """Judge a value of the time `at` (seconds since 1970), then learn it. A number that is none is passed over."""
        return self.judge_like(at, x, ())

    def judge_like(self, at: float, x: float, like: tuple[int, ...]) -> Reading:
        """The same on a day that may be `like` other weekdays (0 is Monday) instead of its own: see `days`."""
        if not math.isfinite(x):
            return Reading(0.0, False, -math.inf, math.nan, math.inf)
        if self._dense is not None:
            self._dense.taught = self.taught
            return self._dense.judge_one(at, x)
        samples = self.samples
        reading = self._read(self._heads, self._seasons, at, x, like)
        if self.dense_below > 0 and samples < self.samples <= _DECIDE_AFTER:
            self._first.append((at, x))
            if self.samples == _DECIDE_AFTER:
                self._decide()
        return reading

    def _decide(self) -> None:
        """Whether the first values come so often that this is a dense stream, which then learns them, too."""
        first, self._first = self._first, []
        if self._heads["gap"][0] < self.dense_below:
            self._dense = Dense()
            for at, x in first:
                self._dense.judge_one(at, x)

    def score_one(self, at: float, x: float) -> float:
        """The score that `judge_one` would give, in [0, 1]; nothing is learned."""
        if not math.isfinite(x):
            return 0.0
        if self._dense is not None:
            self._dense.taught = self.taught
            return self._dense.score_one(at, x)
        return self._read(self._heads.copy(), self._seasons.copy(), at, x, ()).score

    def _read(self, heads: Array, seasons: Array, at: float, x: float, like: tuple[int, ...]) -> Reading:
        out = np.empty((1, kernel.WIDTH))
        lessons = kernel.UNTAUGHT if self.taught is NOTHING else rows([self.taught])
        days.judge_many(heads, seasons, _ROW, at, np.array([x]), self.parameters, lessons, out, like)
        return read(out[0].tolist())

    def bounds(self) -> tuple[float, float, float]:
        """(lower, expected, upper) in the unit of the values, whatever the day; infinite while nothing is known."""
        if self._dense is not None:
            return self._dense.bounds()
        lower, expected, upper = kernel.bounds(self._heads, 0)
        return lower, expected, upper

    @property
    def is_dense(self) -> bool:
        """Whether it has become a dense stream, which learns all values."""
        return self._dense is not None

    @property
    def last(self) -> tuple[float, float]:
        """When the last value came, and which it was."""
        return self._dense.last if self._dense else (float(self._heads["at"][0]), float(self._heads["last"][0]))

    def how_far(self, at: float, x: float) -> float:
        """How far out a value would be, in the distance of the limit as learned: -1 at the lower one, 1 at the upper.
        NaN while there is none.
        """
        if self._dense is not None:
            return self._dense.how_far(at, x)
        return float(kernel.how_far(self._heads.copy(), self._seasons.copy(), at, x, self.parameters))

    def unlearn(self, at: float) -> None:
        """Take what was told of a value of this time out of all that adds up over several."""
        if self._dense is not None:
            self._dense.unlearn(at)
        else:
            kernel.unlearn(self._heads, self._seasons, at)

    def excuse(self, at: float, cause: str) -> None:
        """The same of what is no anomaly. Repeats begin anew; values out of their range teach that there is none."""
        if self._dense is not None:
            self._dense.excuse(at, cause)
            return
        kernel.unlearn(self._heads, self._seasons, at)
        self._begin_again(cause)

    def _begin_again(self, cause: str) -> None:
        if cause == kernel.CAUSES[kernel.STUCK]:
            self._heads["run"], self._heads["stuck"] = 0, False
        elif cause == kernel.CAUSES[kernel.ONLY_ZEROS]:
            self._heads["zero_run"] = 0
        elif cause == kernel.CAUSES[kernel.RANGE]:
            self._heads["large"] = True

    def renew(self, at: float, x: float, cause: str) -> None:
        """The new normal, at once: x is usual at this time."""
        if self._dense is not None:
            self._dense.renew(at, x, cause)
        elif cause == kernel.CAUSES[kernel.NOISE]:
            self._heads["fitted"] = np.minimum(self._heads["fitted"], _NOISE_KEPT)
        elif cause == kernel.CAUSES[kernel.STUCK]:
            kernel.renew_repeats(self._heads)
        elif cause in _WITHOUT_LEVEL:
            self._begin_again(cause)
        elif self._heads["learned"][0] > 0:
            kernel.renew(self._heads, self._seasons, at, x, self.parameters)

    def snapshot(self) -> bytes:
        """The state, not the parameters. What the series has not come to use (hours, most often) is not in it."""
        if self._dense is not None:
            return struct.pack("<B", _DENSE) + self._dense.snapshot()
        first = np.array(self._first, np.float64).tobytes()
        return struct.pack("<BB", _FORMAT, len(self._first)) + first + records.pack(self._heads, self._seasons)

    def restore(self, snapshot: bytes) -> None:
        """Take the state that `snapshot` wrote. Raises `ValueError` for anything else, and for that of a dense stream
        where there are to be none.
        """
        if snapshot[:1] == bytes((_DENSE,)) and self.dense_below > 0:
            dense = Dense()
            dense.restore(snapshot[1:])
            self._dense = dense
            return
        start = 2 + 16 * snapshot[1] if len(snapshot) > 1 else 2
        if len(snapshot) < start or snapshot[0] != _FORMAT:
            raise ValueError("not a snapshot of a baseline")
        self._heads[:], self._seasons[:] = records.unpack(snapshot[start:], 1)
        pairs = np.frombuffer(snapshot, np.float64, 2 * snapshot[1], 2).tolist()
        self._first = list(zip(pairs[::2], pairs[1::2], strict=True))
        self._dense = None


class Calm(Baseline):
    """The baseline of a ratio, or of what many numbers have in common: nothing makes a heavy upper tail its nature."""

    __slots__ = ()
    fractions: ClassVar[float] = 0.0


@lru_cache(maxsize=256)
def _parameters(budget: float, effect: float, direction: float, decades: int, bounds: bool, fractions: float) -> Array:
    return kernel.parameters(budget, effect, direction, sums=10 ** (decades / 10), bounds=bounds, fractions=fractions)


def read(row: Sequence[float]) -> Reading:
    """What `kernel` says of one value, in words."""
    score, alert, lower, expected, upper, cause, z, season, strictness, *_ = row
    chance = kernel.budget_of(strictness) if alert else 0.0
    return Reading(score, alert > 0, lower, expected, upper, kernel.CAUSES[int(cause)], z, int(season), chance)
