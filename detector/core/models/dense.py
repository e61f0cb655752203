"""What is normal for dense telemetry: one value every few seconds to an hour, judged row by row.

Five parts each say how far a row leaves what the series has shown; they are added with fixed weights, and the sum is
told only where it beats its own recent maximum, so that one episode is one report. No part knows the length of the
series, or a minimum or maximum that is still to come. State is a fixed set of arrays, whatever the length.

1. *range*: how far the value lies beyond every earlier one, as a share of the range so far. Records become rarer by
   themselves, which calms a noisy series (the theory of records: R. A. Fisher and L. Tippett 1928).
2. *season*: the same for the mean of twenty residuals to the mean of the hour of the week, with a range that leaks.
3. *pattern*: surprise, -log2 p, of small blended Markov chains over means of 3, 6 and 12 rows, quantised over the
   range of these so far (prediction by partial matching: J. Cleary and I. Witten 1984), in deviations of the surprise
   that is usual for the series: an absolute surprise would alarm on every noisy one.
4. *quiet*: fall of the mean step of 100 rows below the lowest one so far.
5. *shape*: distance of a window of 16 means of 18 rows to the nearest of 96 remembered ones, a new one being remembered
   where none is near (adaptive resonance: G. Carpenter and S. Grossberg 1987), again as a record.

The measure that it was built against is of A. Lavin and S. Ahmad, "Evaluating real-time anomaly detection algorithms"
(2015); docs/decisions/0014-dense-streams.md has the figures, and what did not hold.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detector.core.models.compiled import compiled
from detector.core.models.reading import Reading
from detector.core.models.taught import NOTHING, Taught

_FORMAT = 2
_CAUSES = ("range", "season", "pattern", "quiet", "shape")
OUTLIER = "outlier"
_WIDTH = 4.0  # of the band that is shown, in deviations; the score does not use it
_LARGEST = 1e150  # differences and squares of more are no longer finite

_LEAK = 0.5 ** (1 / 5000)
_SLOW = 0.002
_LEVELS = (5, 8, 12)
_STRIDES = (3, 6, 12)
_SYMBOLS, _CONTEXTS = 4096, 2048  # sizes of the hashed tables, for each stride and number of levels
_FULL = 4000  # where the counts of a context are halved: it forgets, and fits 16 bits
_STEPS, _RESIDUALS = 100, 20
_HOURS = 168  # of a week: a day alone makes an alarm of every weekend
_HALF, _WINDOW, _SHAPES = 9, 16, 96
_NEAR = 0.03  # of the range: two windows nearer than that are one shape

# Where the plain numbers are in `num`.
_N, _LAST, _HOUR, _LOW, _HIGH, _MEAN, _VAR, _QUIETEST, _NOVELTY, _SUM, _PEAK, _AGE, _KNOWN, _SPREAD = range(14)
_BLOCK = 14  # sums of the unfinished blocks of the three strides
_SURPRISE = 17  # the last surprise of each
_LEAST, _MOST = 20, 23  # the range of the means of each
_NUMBERS = 26

_LAYOUT: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "num": (np.float64, (_NUMBERS,)),
    "tracks": (np.float64, (3, 4)),  # n, low, high, middle of what is judged as a record
    "hours": (np.float64, (2, _HOURS)),  # mean and count of each hour of the week
    "steps": (np.float64, (_STEPS,)),
    "residuals": (np.float64, (_RESIDUALS,)),
    "halves": (np.float64, (2 * _WINDOW,)),  # means of nine rows, of which two make one of a window
    "past": (np.int64, (3, 3, 3)),  # the last three symbols, of each stride and number of levels
    "symbols": (np.uint16, (3, 3, _SYMBOLS)),
    "contexts": (np.uint16, (3, 3, _CONTEXTS)),
    "shapes": (np.float64, (_SHAPES, _WINDOW)),
    "used": (np.float64, (_SHAPES,)),  # when each was last met
    "before": (np.float64, (_NUMBERS + 12 + 3,)),  # `num`, `tracks` and an hour, as they were before the last report
}
_MEANS = (_MEAN, _VAR, _PEAK, _AGE, _KNOWN, _SPREAD)
_RECORDS = (_LOW, _HIGH, _QUIETEST, _NOVELTY)
_BYTES = 1 + sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in _LAYOUT.values())


@compiled
def _record(track: Any, x: float, leak: float, warm: int) -> float:
    """How far x lies beyond the range so far, as the root of its share of that range (at most 1); then learn x."""
    if track[0] == 0:
        track[:] = x
        track[0] = 1
        return 0.0
    track[0] += 1
    size, excess = track[2] - track[1], max(x - track[2], track[1] - x, 0.0)
    share = 0.0
    if track[0] > warm and excess > 0:
        share = min(excess / size, 1.0) if size > 0 else 1.0
    track[2] = max(x, track[3] + (track[2] - track[3]) * leak)
    track[1] = min(x, track[3] + (track[1] - track[3]) * leak)
    track[3] += 0.005 * (min(max(x, track[1]), track[2]) - track[3])
    return math.sqrt(share)


@compiled
def _season(num: Any, track: Any, hours: Any, residuals: Any, hour: int, x: float) -> float:
    """Record of the mean of the last twenty residuals to the mean of their hours."""
    residual = x - hours[0, hour] if hours[1, hour] > 0 else 0.0
    known = hours[1, hour] > 0
    hours[1, hour] += 1
    hours[0, hour] += max(0.02, 1 / hours[1, hour]) * (x - hours[0, hour])
    if known:
        num[_KNOWN] += 1
        num[_SPREAD] += max(_SLOW, 1 / num[_KNOWN]) * (residual * residual - num[_SPREAD])
    residuals[int(num[_N]) % _RESIDUALS] = residual
    mean = residuals.sum() / min(_RESIDUALS, num[_N] + 1)
    return _record(track, mean, _LEAK, 50) if known else 0.0


@compiled
def _surprise(past: Any, symbols: Any, contexts: Any, levels: int, y: int) -> float:
    """-log2 p of the symbol y, summed over contexts of one to three symbols, each blended with the shorter one."""
    p, context, total = 1.0 / levels, 0, 0.0
    for order in range(4):
        if order > 0:
            context = context * (levels + 1) + past[order - 1] + 1
        key = context * 4 + order
        c = (key * 2654435761 >> 11) % _CONTEXTS
        s = ((key * 13 + y) * 2654435761 >> 11) % _SYMBOLS
        p = min((symbols[s] + p) / (contexts[c] + 1.0), 1.0)  # more than 1 only where hashes collide
        if contexts[c] >= _FULL:
            contexts[c] >>= 1
            for other in range(levels):
                symbols[((key * 13 + other) * 2654435761 >> 11) % _SYMBOLS] >>= 1
        contexts[c] += 1
        symbols[s] = min(symbols[s] + 1, 65535)
        if order > 0:
            total -= math.log2(p)
    past[2], past[1], past[0] = past[1], past[0], y
    return total


@compiled
def _pattern(num: Any, past: Any, symbols: Any, contexts: Any, x: float) -> float:
    """The mean surprise of the chains, in deviations above its own slow mean; logarithmic, for its tail is heavy."""
    n = int(num[_N])
    for s in range(3):
        num[_BLOCK + s] += x
        if n % _STRIDES[s] != 0:
            continue
        value = num[_BLOCK + s] / (1 if n == 0 else _STRIDES[s])
        num[_BLOCK + s] = 0.0
        # Over the range of the means, not of the rows: one spike must not blur every symbol that follows.
        num[_LEAST + s] = value if n == 0 else min(num[_LEAST + s], value)
        num[_MOST + s] = value if n == 0 else max(num[_MOST + s], value)
        size, total = num[_MOST + s] - num[_LEAST + s], 0.0
        for k in range(3):
            levels = _LEVELS[k]
            y = min(int((value - num[_LEAST + s]) / size * levels), levels - 1) if size > 0 else 0
            total += _surprise(past[s, k], symbols[s, k], contexts[s, k], levels, y)
        num[_SURPRISE + s] = total / 9
    surprise = num[_SURPRISE] + num[_SURPRISE + 1] + num[_SURPRISE + 2]
    z = (surprise - num[_MEAN]) / math.sqrt(num[_VAR]) if n > 50 and num[_VAR] > 0 else 0.0
    alpha, delta = max(_SLOW, 1 / (n + 1)), surprise - num[_MEAN]
    num[_MEAN] += alpha * delta
    num[_VAR] = (1 - alpha) * (num[_VAR] + alpha * delta * delta)
    return math.log1p(0.15 * max(z, 0.0))


@compiled
def _quiet(num: Any, steps: Any, x: float) -> float:
    """The root of how far the mean step fell below the lowest one so far, which is slowly forgotten."""
    n = int(num[_N])
    steps[n % _STEPS] = abs(x - num[_LAST]) if n > 0 else 0.0
    if n < _STEPS:
        return 0.0
    mean, lowest = steps.sum() / _STEPS, num[_QUIETEST]
    num[_QUIETEST] = mean if n == _STEPS or mean < lowest else lowest * 1.0002
    if n <= 3 * _STEPS or lowest <= 0:
        return 0.0
    return math.sqrt(min(1.0, max(0.0, (lowest - mean) / lowest)))


@compiled
def _shape(num: Any, track: Any, halves: Any, shapes: Any, used: Any, x: float) -> float:
    """Record of the distance to the nearest shape; it is learned every nine rows, and the longest unseen gives way."""
    n = int(num[_N])
    num[_SUM] += x
    if n % _HALF == 0:
        halves[n // _HALF % (2 * _WINDOW)] = num[_SUM] / _HALF
        num[_SUM] = 0.0
        if n + 1 >= 2 * _HALF * _WINDOW and num[_HIGH] > num[_LOW]:
            window = np.empty(_WINDOW)
            for d in range(_WINDOW):
                end = n // _HALF - 2 * d + 4 * _WINDOW
                window[d] = (halves[end % (2 * _WINDOW)] + halves[(end - 1) % (2 * _WINDOW)]) / 2
            best, nearest, oldest = math.inf, -1, 0
            for m in range(_SHAPES):
                if used[m] < used[oldest]:
                    oldest = m
                if used[m] > 0:
                    distance = np.abs(window - shapes[m]).sum() / _WINDOW / (num[_HIGH] - num[_LOW])
                    if distance < best:
                        best, nearest = distance, m
            if nearest >= 0:
                num[_NOVELTY] = best
            if best > _NEAR:
                shapes[oldest], used[oldest] = window, n
            else:
                shapes[nearest] += 0.1 * (window - shapes[nearest])
                used[nearest] = n
    return _record(track, num[_NOVELTY], _LEAK, 200)


@compiled
def _judge(
    hold: int,
    limit: float,
    hour: int,
    x: float,
    taught: Any,
    parts: Any,
    num: Any,
    tracks: Any,
    hours: Any,
    steps: Any,
    residuals: Any,
    halves: Any,
    past: Any,
    symbols: Any,
    contexts: Any,
    shapes: Any,
    used: Any,
    before: Any,
) -> float:
    """Judge x, learn it, and say the sum of the parts where it beats the recent maximum, 0 elsewhere.

    What people taught of each part divides it.
    """
    was_num, was_tracks, was_mean, was_count = num.copy(), tracks.copy(), hours[0, hour], hours[1, hour]
    first = num[_N] == 0
    num[_LOW] = x if first else min(num[_LOW], x)
    num[_HIGH] = x if first else max(num[_HIGH], x)
    parts[0] = 3 * _record(tracks[0], x, 1.0, 50)
    parts[1] = 2 * _season(num, tracks[1], hours, residuals, hour, x)
    parts[2] = _pattern(num, past, symbols, contexts, x)
    parts[3] = 2 * _quiet(num, steps, x)
    parts[4] = _shape(num, tracks[2], halves, shapes, used, x)
    num[_LAST], num[_HOUR] = x, hour
    num[_N] += 1
    parts /= taught
    total: float = parts.sum()
    if num[_AGE] > hold:
        num[_PEAK] *= 0.98
    if total > num[_PEAK]:
        if total >= limit:
            before[:_NUMBERS] = was_num
            before[_NUMBERS:-3] = was_tracks.reshape(12)
            before[-3], before[-2], before[-1] = hour, was_mean, was_count
        num[_PEAK], num[_AGE] = total, 0
        return total
    num[_AGE] += 1
    return 0.0


@dataclass(slots=True)
class Dense:
    """Judge of a value every few minutes: records, seasons, patterns, quiet and shapes, one report for each episode.

    A sum of `limit` is a score of 0.5. After a report, only what is larger is told within `hold` rows; then the bar
    sinks by 2 % a row. All values are learned, those of an episode too: what lasts becomes normal.

    >>> dense = Dense()
    >>> for row in range(300):
    ...     calm = dense.judge_one(300.0 * row, 50 + row % 7)
    >>> dense.judge_one(300.0 * 300, 500.0).cause
    'range'
    """

    kind: ClassVar[str] = "dense"

    limit: float = 0.77
    hold: int = 100
    taught: Taught = field(init=False, repr=False, compare=False, default=NOTHING)
    _state: dict[str, NDArray[Any]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse parameters that make no judge. Raises `ValueError`."""
        if not 0 < self.limit < math.inf:
            raise ValueError("limit: must be above 0")
        if self.hold < 0:
            raise ValueError("hold: must be at least 0")
        self._state = {name: np.zeros(shape, kind) for name, (kind, shape) in _LAYOUT.items()}

    @property
    def samples(self) -> int:
        """How many values were learned."""
        return int(self._state["num"][_N])

    def judge_one(self, at: float, x: float) -> Reading:
        """Judge a value of the time `at` (seconds since 1970), then learn it; what is not finite is neither."""
        hour = _hour(at)
        lower, expected, upper = self._band(hour)
        if not math.isfinite(x):
            return Reading(0.0, False, lower, expected, upper)
        missed = self._missed(hour, x)
        score, cause = self._judge(hour, x, self._state)
        if score >= 0.5 and self.taught.patience > 1:
            self.unlearn(at)
        if missed > score:
            score, cause = missed, OUTLIER
        return Reading(score, score >= 0.5, lower, expected, upper, cause)

    def _missed(self, hour: int, x: float) -> float:
        """The score of a value outside of a band that people made narrower: otherwise the band is only shown."""
        far = self._far(hour, x)
        if math.isnan(far) or self.taught.of(far) >= 1 or abs(far) <= self.taught.of(far):
            return 0.0
        return abs(far) / (abs(far) + self.taught.of(far))

    def score_one(self, at: float, x: float) -> float:
        """The score that `judge_one` would give; nothing is learned."""
        if not math.isfinite(x):
            return 0.0
        score, _ = self._judge(_hour(at), x, {name: array.copy() for name, array in self._state.items()})
        return max(score, self._missed(_hour(at), x))

    def _judge(self, hour: int, x: float, state: dict[str, NDArray[Any]]) -> tuple[float, str]:
        parts = np.zeros(len(_CAUSES))
        taught = np.array([self.taught.cause(cause) for cause in _CAUSES])
        x = min(max(float(x), -_LARGEST), _LARGEST)
        total = _judge(self.hold, self.limit, hour, x, taught, parts, *state.values())
        if total <= 0:
            return 0.0, ""
        score = total / (total + self.limit)
        return (max(score, 0.5) if total >= self.limit else min(score, 0.499999)), _CAUSES[int(parts.argmax())]

    def bounds(self) -> tuple[float, float, float]:
        """(lower, expected, upper) for the hour of the last value; infinitely wide while that hour is new."""
        return self._band(int(self._state["num"][_HOUR]))

    def _band(self, hour: int) -> tuple[float, float, float]:
        num, (mean, count) = self._state["num"], self._state["hours"][:, hour]
        expected = float(mean if count else num[_LAST])
        if not count or num[_KNOWN] < _RESIDUALS:
            return -math.inf, expected, math.inf
        reach = _WIDTH * math.sqrt(float(num[_SPREAD]))
        return expected - min(self.taught.low, 1.0) * reach, expected, expected + min(self.taught.high, 1.0) * reach

    def _far(self, hour: int, x: float) -> float:
        num, (mean, count) = self._state["num"], self._state["hours"][:, hour]
        if not count or num[_KNOWN] < _RESIDUALS or num[_SPREAD] <= 0:
            return math.nan
        return (x - float(mean)) / (_WIDTH * math.sqrt(float(num[_SPREAD])))

    @property
    def last(self) -> tuple[float, float]:
        """When the last value came, as far as it matters, and which it was."""
        return 3600.0 * float(self._state["num"][_HOUR]), float(self._state["num"][_LAST])

    def how_far(self, at: float, x: float) -> float:
        """How far a value lies from the mean of its hour: -1 at the lower end of the band that is shown, 1 at the upper
        one. NaN while there is none.
        """
        return self._far(_hour(at), x)

    def unlearn(self, at: float) -> None:
        """Ranges, means and what was told are again as they were before the last report. What shape it had, and in what
        order values came, is known from then on.
        """
        before, records = self._state["before"], list(_RECORDS)
        if before[_N]:
            self._state["num"][records] = before[records]
            self._state["tracks"][:] = before[_NUMBERS:-3].reshape(3, 4)
            self.excuse(at, "")

    def excuse(self, at: float, cause: str) -> None:
        """The means, and what was told, are again as they were before the last report; ranges hold it from now on."""
        state, before = self._state, self._state["before"]
        if not before[_N]:
            return
        means, hour = list(_MEANS), int(before[-3])
        state["num"][means] = before[means]
        state["hours"][:, hour] = before[-2:]
        state["residuals"][(int(state["num"][_N]) - 1) % _RESIDUALS] = 0.0

    def renew(self, at: float, x: float, cause: str) -> None:
        """The new normal, at once: the range and the means of all hours lie around x, as wide as they were before."""
        self.unlearn(at)
        num, track, hours = self._state["num"], self._state["tracks"][0], self._state["hours"]
        half, known = (track[2] - track[1]) / 2, hours[1] > 0
        mean = hours[0, _hour(at)] if known[_hour(at)] else track[3]
        track[1:] = x - half, x + half, x
        hours[0, known] += x - mean
        self._state["residuals"][:] = 0.0
        num[_LOW], num[_HIGH] = min(num[_LOW], x), max(num[_HIGH], x)

    def snapshot(self) -> bytes:
        """The state (not the parameters): the format, then the arrays. Always as long."""
        return bytes([_FORMAT]) + b"".join(array.tobytes() for array in self._state.values())

    def restore(self, snapshot: bytes) -> None:
        """Take the state that `snapshot` wrote. Raises `ValueError` for anything else."""
        if len(snapshot) != _BYTES or snapshot[0] != _FORMAT:
            raise ValueError("not a snapshot of a dense judge")
        offset = 1
        for name, (kind, shape) in _LAYOUT.items():
            array = np.frombuffer(snapshot, kind, math.prod(shape), offset).reshape(shape).copy()
            self._state[name] = array
            offset += array.nbytes


def _hour(at: float) -> int:
    """The hour of the week, in UTC."""
    return int(at // 3600) % _HOURS if math.isfinite(at) else 0
