"""Which metrics of an entity go together, learned run by run, and whether they still do.

No single series shows that a run wrote a third less of what it read, where loads differ by more than that every day;
the ratio of the two does. So for each pair that goes together the ratio is a series of its own, judged by the baseline.

1. *What goes together* is read off the changes from one run to the next, in logarithms: their covariance is an
   exponential mean, each change clipped at `CLIP` deviations, so that one fault does not teach. Changes need no level
   and no trend: a shift of all together is one change in all of them.
2. *Relations* are a forest of maximal correlation (Kruskal's), so what two of three relations say is not said thrice.
   One that has lost its correlation is given up.
3. *The ratio* of a pair is x / y^b, where b is the reduced major axis: the ratio of the two deviations. It is the same
   line from either side, and is not drawn towards 0 by noise in what stands on the right, as least squares are. Where
   b may as well be 1, it is. When b is learned anew, the line turns around the mean of what was seen, so that the
   ratio stays where it is.

Sources: J. B. Kruskal, "On the shortest spanning subtree of a graph" (1956); R. J. Smith, "Use and misuse of the
reduced major axis for line-fitting" (2009).
"""

import math
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.core.models import kernel, records
from detector.core.models.baseline import Calm, read
from detector.core.models.compiled import compiled
from detector.core.models.kernel import ALERT, CAUSES, NOISE, OUTLIER, OUTLIERS, SEEN, Array
from detector.core.models.reading import Reading

MAX_METRICS = 16
MAX_RELATIONS = 8
TAKE = 0.5  # squared correlation of changes from which two metrics are a relation
GIVE_UP = 0.3
TAKE_AFTER, GIVE_UP_AFTER = 8, 30  # changes of both
RATE, MEAN_RATE = 0.02, 0.05
CLIP, CLIP_AFTER = 3.0, 8
LEAST_CHANGE = 1e-9  # a variance: what moves less does not move
ONE = 0.05  # a logarithm: a slope that near to 1 is 1
BUDGET = 2.1e-4  # of the values of one ratio: less than for a metric, since an entity has several
EFFECT = 0.19  # times the least effect of a mean: a ratio that is off by 15 %
UNIT = 1_000.0  # a ratio that is as usual
FARTHEST = 30.0  # logarithm of a ratio
TOLD = (CAUSES[OUTLIER], CAUSES[OUTLIERS], CAUSES[NOISE])

_RATIO = Calm(budget=BUDGET, effect=EFFECT)  # which judges all ratios

Matrix = NDArray[np.float32]
Counts = NDArray[np.uint8]


class Pair(NamedTuple):
    """Two metrics that go together, as one run has them.

    `reading` is of their ratio, and `broken` whether that is to be told. `fits` are (lower, expected, upper) of each
    metric for what the other one is, in its unit.
    """

    metrics: tuple[str, str]
    positive: bool
    reading: Reading
    broken: bool
    samples: int
    fits: tuple[tuple[float, float, float], tuple[float, float, float]]


class _Stored(msgspec.Struct, array_like=True):
    names: list[str]
    numbers: bytes
    counts: bytes
    ends: bytes
    lines: bytes
    pairs: bytes


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Stored)


@compiled
def _ratios(values, slots, y, ends, lines, rows, ratios) -> int:  # type: ignore[no-untyped-def]
    """The ratios of the pairs that are there: fills `rows`, which they are, and `ratios`. Returns how many.

    Fills `y` with the logarithms of the values, by their slots (-1 is none); NaN is what is not there.
    """
    y[:] = math.nan
    for i in range(len(values)):
        if slots[i] >= 0 and 0 < values[i] < math.inf:
            y[slots[i]] = math.log(values[i])
    found = 0
    for k in range(len(ends)):
        ratio = y[ends[k, 0]] - lines[k, 0] * y[ends[k, 1]] + lines[k, 1]
        if ratio == ratio:
            rows[found], ratios[found] = k, UNIT * math.exp(min(max(ratio, -FARTHEST), FARTHEST))
            found += 1
    return found


@compiled
def _squared(cov, i: int, j: int) -> float:  # type: ignore[no-untyped-def]
    """The squared correlation of two metrics; 0 where one does not move."""
    both = np.float64(cov[i, i]) * np.float64(cov[j, j])
    return np.float64(cov[i, j]) ** 2 / both if both > 0 else 0.0


@compiled
def _slope(cov, count, i: int, j: int) -> float:  # type: ignore[no-untyped-def]
    """By how much the logarithm of one metric grows with that of the other: the reduced major axis."""
    slope = math.sqrt(np.float64(cov[i, i]) / np.float64(cov[j, j]))
    unexplained = max(1.0 - _squared(cov, i, j), 0.0)
    if abs(math.log(slope)) < max(ONE, 2 * math.sqrt(unexplained / count[i, j])):
        slope = 1.0
    return slope if cov[i, j] > 0 else -slope


@compiled
def _learn(y, last, mean, cov, count) -> None:  # type: ignore[no-untyped-def]
    """Learn one run: `y` are logarithms, NaN where there is none. `cov` and `count` are symmetric, by pairs."""
    for i in range(len(y)):
        change = y[i] - last[i]
        if count[i, i] >= CLIP_AFTER and change == change:
            most = CLIP * math.sqrt(cov[i, i])
            change = min(max(change, -most), most)
        if y[i] == y[i]:
            rate = max(MEAN_RATE, 1.0 / (count[i, i] + 1.0))
            mean[i] = y[i] if last[i] != last[i] else mean[i] + rate * (y[i] - mean[i])
            last[i] = y[i]
        y[i] = change
    for i in range(len(y)):
        for j in range(i + 1):
            if y[i] == y[i] and y[j] == y[j]:
                count[i, j] = min(count[i, j] + 1, 255)
                cov[i, j] += max(RATE, 1.0 / count[i, j]) * (y[i] * y[j] - cov[i, j])
                count[j, i], cov[j, i] = count[i, j], cov[i, j]


@compiled
def _learn_and_revise(y, last, mean, cov, count, ends, lines) -> tuple[int, int, int]:  # type: ignore[no-untyped-def]
    """Learn one run, then turn the lines around the mean of what was seen, so that each ratio stays where it is.

    Returns (pair to give up, -1, -1), or (-1, first, second) for the strongest pair that is new, or (-1, -1, -1).
    """
    _learn(y, last, mean, cov, count)
    group = np.arange(len(y))
    for k in range(len(ends)):
        i, j = ends[k, 0], ends[k, 1]
        if _squared(cov, i, j) < GIVE_UP and count[i, j] >= GIVE_UP_AFTER:
            return k, -1, -1
        mine, theirs = group[i], group[j]
        for other in range(len(y)):
            if group[other] == mine:
                group[other] = theirs
        if y[i] == y[i] and y[j] == y[j] and cov[i, i] > 0 and cov[j, j] > 0:
            slope = _slope(cov, count, i, j)
            lines[k, 1] += (slope - lines[k, 0]) * mean[j]
            lines[k, 0] = slope
    best, first, second = TAKE, -1, -1
    if len(ends) < MAX_RELATIONS:
        for i in range(len(y)):
            for j in range(i):
                enough = count[i, j] >= TAKE_AFTER and cov[i, i] > LEAST_CHANGE and cov[j, j] > LEAST_CHANGE
                if enough and group[i] != group[j] and _squared(cov, i, j) > best:
                    best, first, second = _squared(cov, i, j), i, j
    return -1, first, second


class Relations:
    """Judges how up to sixteen metrics go together. Names are taken as they come; what is not above 0 is not there.

    >>> relations = Relations()
    >>> for day in range(60):
    ...     rows = 10_000.0 * (1 + day * 7 % 10 / 10)
    ...     pairs = relations.judge(86_400.0 * day, {"in": rows, "out": rows * (0.9 + day % 3 / 100)})
    >>> [pair.reading.alert for pair in pairs]
    [False]
    >>> (pair,) = relations.judge(86_400.0 * 60, {"in": 15_000.0, "out": 10_000.0})
    >>> pair.metrics, pair.reading.alert
    (('out', 'in'), True)
    """

    __slots__ = ("_count", "_cov", "_ends", "_heads", "_last", "_lines", "_mean", "_pairs", "_seasons", "_slots")

    def __init__(self) -> None:
        """Nothing was seen, and nothing goes together yet."""
        self._slots: dict[str, int] = {}
        self._last: Matrix = np.full(MAX_METRICS, np.nan, np.float32)
        self._mean: Matrix = np.zeros(MAX_METRICS, np.float32)
        self._cov: Matrix = np.zeros((MAX_METRICS, MAX_METRICS), np.float32)
        self._count: Counts = np.zeros((MAX_METRICS, MAX_METRICS), np.uint8)
        self._pairs: list[tuple[str, str]] = []
        self._ends = np.zeros((MAX_RELATIONS, 2), np.intp)
        self._lines = np.zeros((MAX_RELATIONS, 2))  # log ratio = y[first] - slope * y[second] + offset: about 0
        self._heads, self._seasons = kernel.blank(MAX_RELATIONS)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The metrics that go together."""
        return list(self._pairs)

    @property
    def names(self) -> list[str]:
        """The metrics that are looked at."""
        return list(self._slots)

    def judge(
        self,
        at: float,
        values: Mapping[str, float],
        doubted: Collection[str] = (),
        only: Collection[tuple[str, str]] | None = None,
    ) -> list[Pair]:
        """Judge the values of one run at `at` (seconds since 1970) against each other, then learn them.

        What is `doubted` is judged, but nothing is learned of it, nor of a pair that no longer goes together. With
        `only`, nothing is returned of pairs that alert nobody, but for these.
        """
        y, pairs = np.empty(MAX_METRICS), len(self._pairs)
        ends, lines, rows, ratios = self._ends[:pairs], self._lines[:pairs], np.empty(pairs, np.intp), np.empty(pairs)
        found = _ratios(*self._placed(values), y, ends, lines, rows, ratios)
        told = self._judge_ratios(at, y, rows[:found], ratios[:found], only) if found else []
        if doubted or told:
            odd = [*doubted, *(name for pair in told if pair.reading.alert for name in pair.metrics)]
            y[[self._slots[name] for name in odd if name in self._slots]] = math.nan
        used = len(self._slots)
        gone, first, second = _learn_and_revise(y[:used], self._last, self._mean, self._cov, self._count, ends, lines)
        if gone >= 0:
            self._give_up(gone)
        elif first >= 0:
            self._take_up(first, second)
        return told

    def _judge_ratios(
        self, at: float, y: Array, rows: Array, ratios: Array, only: Collection[tuple[str, str]] | None
    ) -> list[Pair]:
        """Judge the ratios of some pairs. Returns those that alert and, of the others, `only` these."""
        out, lessons = np.empty((len(rows), kernel.WIDTH)), kernel.UNTAUGHT
        alerts = kernel.judge_many(self._heads, self._seasons, rows, at, ratios, _RATIO.parameters, lessons, out)
        if not (alerts or only is None or only):
            return []
        return [
            self._pair(row, y, read(said), ratio, int(said[SEEN]))
            for row, ratio, said in zip(rows.tolist(), ratios.tolist(), out.tolist(), strict=True)
            if said[ALERT] or only is None or self._pairs[row] in only
        ]

    def renew(self, pairs: Collection[tuple[str, str]]) -> None:
        """The last ratio of each of these is the new normal, at once."""
        for row, pair in enumerate(self._pairs):
            if pair in pairs:
                ratio = Calm(budget=BUDGET, effect=EFFECT)
                ratio.share(self._heads[row : row + 1], self._seasons[row : row + 1])
                ratio.renew(*ratio.last, CAUSES[OUTLIER])

    def forget(self, name: str) -> None:
        """What went together with this metric is learned anew."""
        for row in reversed(range(len(self._pairs))):
            if name in self._pairs[row]:
                self._give_up(row)

    def connected(self, name: str) -> dict[str, float]:
        """The metrics that go with this one, itself first, each with 1 or, where it falls when this one rises, -1."""
        found = {name: 1.0}
        for _ in self._pairs:
            for (first, second), slope in zip(self._pairs, self._lines[:, 0].tolist(), strict=False):
                for here, there in ((first, second), (second, first)):
                    if here in found and there not in found:
                        found[there] = found[here] * math.copysign(1.0, slope)
        return found

    def _placed(self, values: Mapping[str, float]) -> tuple[Array, Array]:
        """The values, and the slots of their metrics: new ones take those that are left."""
        slots = list(map(self._slots.get, values, repeat(-1)))
        if -1 in slots and len(self._slots) < MAX_METRICS:
            new = sorted(name for name, value in values.items() if name not in self._slots and 0 < value < math.inf)
            for name in new[: MAX_METRICS - len(self._slots)]:
                self._slots[name] = len(self._slots)
            slots = list(map(self._slots.get, values, repeat(-1)))
        return np.array(list(values.values()), np.float64), np.array(slots, np.intp)

    def _pair(self, row: int, y: NDArray[np.float64], reading: Reading, ratio: float, samples: int) -> Pair:
        (first, second), (slope, offset) = self._ends[row].tolist(), self._lines[row].tolist()
        one, other = float(y[first]), float(y[second])
        levels = [_log_ratio(level) for level in (reading.lower, reading.expected, reading.upper)]
        of_first = sorted(_exp(level + slope * other - offset) for level in levels)
        of_second = sorted(_exp((one + offset - level) / slope) for level in levels)
        return Pair(
            self._pairs[row],
            slope > 0,
            reading,
            is_told(reading, ratio),
            samples,
            ((of_first[0], of_first[1], of_first[2]), (of_second[0], of_second[1], of_second[2])),
        )

    def _take_up(self, first: int, second: int) -> None:
        names, row = self.names, len(self._pairs)
        slope = _slope(self._cov, self._count, first, second)
        self._pairs.append((names[first], names[second]))
        self._ends[row] = first, second
        self._lines[row] = slope, slope * float(self._mean[second]) - float(self._mean[first])
        self._heads[row], self._seasons[row] = (part[0] for part in kernel.blank(1))

    def _give_up(self, row: int) -> None:
        del self._pairs[row]
        for array in (self._ends, self._lines, self._heads, self._seasons):
            array[row:-1] = array[row + 1 :].copy()

    def snapshot(self) -> bytes:
        """The state, as long as there are metrics and pairs: at most 3 kB, and 7 kB of metrics with hours."""
        used, pairs = len(self._slots), len(self._pairs)
        below = _below(used)
        numbers = np.concatenate([self._last[:used], self._mean[:used], self._cov[:used, :used][below]])
        return _encoder.encode(
            _Stored(
                self.names,
                numbers.tobytes(),
                self._count[:used, :used][below].tobytes(),
                self._ends[:pairs].astype(np.uint8).tobytes(),
                self._lines[:pairs].tobytes(),
                records.pack(self._heads[:pairs], self._seasons[:pairs]),
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Take the state that `snapshot` wrote. Raises `ValueError` for anything else, and is then as it was."""
        stored = _decoder.decode(snapshot)  # raises DecodeError, which is a ValueError
        used, pairs = len(stored.names), len(stored.ends) // 2
        cells = used * (used + 1) // 2
        told = (used, pairs, len(stored.numbers), len(stored.counts), len(stored.lines), len(set(stored.names)))
        if told != (min(used, MAX_METRICS), min(pairs, MAX_RELATIONS), 4 * (2 * used + cells), cells, 16 * pairs, used):
            raise ValueError("not a snapshot of relations")
        new = Relations()
        new._slots = {name: slot for slot, name in enumerate(stored.names)}
        numbers, below = np.frombuffer(stored.numbers, np.float32), _below(used)
        new._last[:used], new._mean[:used] = numbers[:used], numbers[used : 2 * used]
        for matrix, found in ((new._cov, numbers[2 * used :]), (new._count, np.frombuffer(stored.counts, np.uint8))):
            matrix[below] = found
            matrix.T[below] = found
        ends = np.frombuffer(stored.ends, np.uint8).reshape(pairs, 2)
        if (ends >= used).any():
            raise ValueError("not a snapshot of relations")
        new._ends[:pairs], new._lines[:pairs] = ends, np.frombuffer(stored.lines).reshape(pairs, 2)
        new._heads[:pairs], new._seasons[:pairs] = records.unpack(stored.pairs, pairs)
        new._pairs = [(stored.names[first], stored.names[second]) for first, second in ends.tolist()]
        for name in Relations.__slots__:
            setattr(self, name, getattr(new, name))


@lru_cache(maxsize=MAX_METRICS + 1)
def _below(used: int) -> tuple[Array, Array]:
    """The places of a symmetric matrix that say all of it."""
    return np.tril_indices(used)


def is_told(reading: Reading, value: float) -> bool:
    """Whether an alert of a series that is made of others is told: one that repeats or creeps is not."""
    return reading.alert and (reading.cause in TOLD or not reading.lower <= value <= reading.upper)


def _log_ratio(level: float) -> float:
    return math.log(level / UNIT) if 0 < level < math.inf else (math.inf if level > 0 else -math.inf)


def _exp(x: float) -> float:
    return math.exp(x) if x < 709.0 else math.inf
