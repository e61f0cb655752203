"""Any of River's estimators of anomalies or drift in the place of the baseline, for one series."""

import math
import struct
from typing import Any, ClassVar

from detector.core.models import river_bytes
from detector.core.models.reading import Reading
from detector.core.models.river_choice import SCALES, SETTINGS, Choice, Value, choose, features
from detector.core.models.taught import NOTHING, PATIENCE, Taught

_FORMAT = 0x52
_STATE = struct.Struct("<IBddddd")
_HUGE = 1e60  # a value beyond it is taken for it: River squares, and squares of squares are to be finite
_CLIP, _CLIP_DRIFT = 50.0, 4.0  # deviations: one spike is no drift
_ACCEPT = 3  # values in a row that are unusual are learned from this one on
_BELOW = 0.499999
_REACH = 4.5  # deviations that stand for the limit where people say how far out a value may be
_AROUND = 60  # values that a new normal begins with
_PATTERN = (0.1, -1.5, 0.7, -0.3, 1.5, -0.7, 0.3, -0.1, 1.1, -1.1)  # in deviations: together their square mean is 0.9


class Estimator:
    """A River estimator, named as in `river`: `estimator: anomaly.GaussianScorer`.

    Keys beside `estimator`, `threshold`, `scale` and `warmup` are the parameters of River's class. `threshold` is the
    score of River's where an alert begins. `scale` is what a value becomes first: `none`, `standard` (deviations from a
    slow mean) or `minmax` (the range that was seen lies in the middle of 0 to 1). `warmup` values are seen before there
    is a verdict. What is not given has a value for each class (`SETTINGS`).

    An estimator of anomalies does not learn what it finds, unless it is the third in a row: one spike leaves it as it
    was, and a new level is learned. Filters of River's decide that themselves until then; forecasts, `LODA` and drift
    detectors see every value. Drift is an alert at one value, after which the scale begins anew.

    >>> model = Estimator(estimator="anomaly.StandardAbsoluteDeviation")
    >>> for day in range(30):
    ...     _ = model.judge_one(86_400.0 * day, 1_000 + day % 5)
    >>> model.judge_one(0.0, 1_002).alert, model.judge_one(0.0, 5_000).alert
    (False, True)
    """

    kind: ClassVar[str] = "river"
    __slots__ = ("_choice", "_counts", "_limit", "_made", "_scale", "_warmup", "taught")

    def __init__(
        self,
        estimator: str = "anomaly.GaussianScorer",
        threshold: float | None = None,
        scale: str | None = None,
        warmup: int | None = None,
        **parameters: Value,
    ) -> None:
        """Refuse what River's class does not take. Raises `ValueError`."""
        if estimator == "anomaly.ThresholdFilter":
            # River's class has a parameter of this name, for the same thing.
            inner = SETTINGS.get(str(parameters.get("anomaly_detector", "anomaly.GaussianScorer")))
            threshold = inner.limit if threshold is None and inner is not None else threshold
            parameters["threshold"] = threshold
        elif estimator.startswith("drift.") and threshold is not None:
            parameters["threshold"], threshold = threshold, None  # drift is told or not: it can only be River's own
        self.taught: Taught = NOTHING
        self._choice: Choice = choose(estimator, tuple(sorted(parameters.items())))
        setting = self._choice.setting
        self._limit = setting.limit if threshold is None else _number("threshold", threshold)
        self._scale = setting.scale if scale is None else scale
        self._warmup = setting.warmup if warmup is None else warmup
        if setting.unit and not 0 < self._limit <= 1:
            raise ValueError(f"threshold: scores of {estimator} lie between 0 and 1")
        if self._scale not in SCALES:
            raise ValueError(f"scale: must be one of {', '.join(SCALES)}")
        if type(self._warmup) is not int or not 1 <= self._warmup <= 10_000:
            raise ValueError("warmup: must be a whole number from 1 to 10,000")
        self._made = self._choice.make()
        self._counts = _Counts()

    @property
    def samples(self) -> int:
        """How many values were seen."""
        return self._counts.samples

    @property
    def learns_all(self) -> bool:
        """Whether it learns what it finds, too."""
        setting = self._choice.setting
        return setting.learns_all or setting.shape == "drift"

    def judge_one(self, at: float, x: float) -> Reading:
        """Judge a value, then learn it or leave it. The time `at` does not matter. What is no number is passed over."""
        lower, expected, upper = self.bounds()
        if not math.isfinite(x):
            return Reading(0.0, False, lower, expected, upper)
        drift = self._choice.setting.shape == "drift"
        value = self._scaled(x)
        if drift:
            self._made.update(value)
        raw, limit = self._raw(self._made, value)
        alert = raw >= limit and self.samples >= self._warmup
        score, alert, cause = self._as_taught(x, self._score(raw, limit, alert), alert)
        if drift and self._made.drift_detected:
            self._counts.begin_scale()
        self._learn(x, value, alert)
        return Reading(
            score, alert, lower, expected, upper, cause or ("drift" if drift else "outlier") if alert else ""
        )

    def score_one(self, at: float, x: float) -> float:
        """The score that `judge_one` would give, in [0, 1]; nothing is learned."""
        if not math.isfinite(x) or self.samples < self._warmup:
            return 0.0
        made, value = self._made, self._scaled(x)
        if self._choice.setting.tries:
            made = river_bytes.copy(made, self._choice.seed)
        if self._choice.setting.shape == "drift":
            made.update(value)
        raw, limit = self._raw(made, value)
        return self._as_taught(x, self._score(raw, limit, raw >= limit), raw >= limit)[0]

    def _as_taught(self, x: float, score: float, alert: bool) -> tuple[float, bool, str]:
        """The score, whether it is an alert, and of what, after what people said: River's score knows no sides."""
        far = self.how_far(0.0, x)
        factor = 1.0 if math.isnan(far) else self.taught.of(far)
        if factor > 1 and alert and abs(far) <= factor:
            return min(score, _BELOW), False, ""
        if factor < 1 and not alert and abs(far) > factor:
            return max(score, abs(far) / (abs(far) + factor), 0.5), True, "outlier"
        return score, alert, ""

    def how_far(self, at: float, x: float) -> float:
        """How many times `_REACH` deviations a value lies from the slow mean; below it, negative. NaN while there is no
        verdict.
        """
        if self.samples < self._warmup or not self._counts.scaled or not math.isfinite(x):
            return math.nan
        return self._counts.deviations(x) / _REACH

    def unlearn(self, at: float) -> None:
        """The last value is not counted among those in a row that are learned."""
        self._counts.unusual = 0

    def excuse(self, at: float, cause: str) -> None:
        """The same of what is no anomaly. A detector of drift has begun anew when it told."""
        self.unlearn(at)

    def renew(self, at: float, x: float, cause: str) -> None:
        """The new normal, at once: begin anew with values around x, that stray as those before did. A detector of
        drift has done so.
        """
        if self._choice.setting.shape == "drift":
            return
        strays = self._counts.deviation()
        self._made, self._counts = self._choice.make(), _Counts()
        for place in range(max(self._warmup, _AROUND)):
            near = x + strays * _PATTERN[place % len(_PATTERN)]
            self._learn(near, self._scaled(near), alert=False)

    def bounds(self) -> tuple[float, float, float]:
        """What is expected is a slow mean; River knows no band, so it is infinitely wide."""
        return (-math.inf, self._counts.expected, math.inf)

    def snapshot(self) -> bytes:
        """The state, and what it is the state of: the estimator, its parameters, the release of River."""
        counts = self._counts.pack()
        return bytes((_FORMAT,)) + river_bytes.shrink(
            self._name() + b"\n" + counts + river_bytes.dump(self._made, self._choice.seed)
        )

    def restore(self, snapshot: bytes) -> None:
        """Take the state that `snapshot` wrote. Raises `ValueError` for anything else, and for another estimator's."""
        if not snapshot or snapshot[0] != _FORMAT:
            raise ValueError("not a snapshot of an estimator")
        name, _, rest = river_bytes.grow(snapshot[1:]).partition(b"\n")
        if name != self._name() or len(rest) < _STATE.size:
            raise ValueError(f"a snapshot of {name[:200]!r}, and not of {self._name()[:200]!r}")
        made = river_bytes.load(rest[_STATE.size :], self._choice.seed)
        if type(made) is not type(self._made):
            raise ValueError(f"a snapshot of {type(made).__name__}, and not of {type(self._made).__name__}")
        self._made, self._counts = made, _Counts.unpack(rest[: _STATE.size])

    def _name(self) -> bytes:
        from river.__version__ import __version__

        given = ", ".join(f"{key}={value!r}" for key, value in self._choice.given)
        return f"river {__version__} {self._choice.name}({given}) {self._scale}".replace("\n", " ").encode()

    def _scaled(self, x: float) -> float:
        if self._scale == "none":
            return max(-_HUGE, min(_HUGE, x))
        if self._scale == "minmax":
            return self._counts.within(x)
        clip = _CLIP_DRIFT if self._choice.setting.shape == "drift" else _CLIP
        return max(-clip, min(clip, self._counts.deviations(x)))

    def _raw(self, made: Any, value: float) -> tuple[float, float]:
        """River's score, and where an alert begins. River has no score where it has not seen enough: 0. Nor where its
        rolling variance is rounded to below 0, and its deviation is a complex number (a `TypeError`).
        """
        shape = self._choice.setting.shape
        if shape == "drift":
            return (1.0 if made.drift_detected else 0.0), self._limit
        try:
            shown = ({}, value) if shape == "target" else (features(value, self._choice.setting),)
            raw = float(made.score_one(*shown))
        except (ArithmeticError, LookupError, TypeError):
            return 0.0, self._limit
        if self._choice.name == "anomaly.QuantileFilter":
            return (raw if math.isfinite(raw) else 0.0), made.quantile.get() or math.inf
        return (raw if math.isfinite(raw) else 0.0), self._limit

    def _score(self, raw: float, limit: float, alert: bool) -> float:
        """In [0, 1], growing with River's, and a half or more for an alert only."""
        if self.samples < self._warmup:
            return 0.0
        if self._choice.setting.unit and raw <= 1 < math.inf:
            above = (raw - limit) / (1 - limit) if limit < 1 else 1.0
            score = 0.5 + 0.5 * above if alert else 0.5 * raw / limit
        elif limit > 0:
            score = max(raw, 0.0) / (max(raw, 0.0) + limit)
        else:
            score = 0.5 + 0.5 * (raw - limit) / (1 + abs(raw - limit))
        return min(1.0, max(0.5, score)) if alert else max(0.0, min(_BELOW, score))

    def _learn(self, x: float, value: float, alert: bool) -> None:
        choice, counts = self._choice, self._counts
        counts.unusual = min(counts.unusual + 1, _ACCEPT * PATIENCE) if alert else 0
        drift = choice.setting.shape == "drift"
        after = _ACCEPT * self.taught.patience
        accepted = not alert or drift or counts.unusual >= after
        made = self._made
        if choice.filters and alert and accepted:
            made = made.anomaly_detector
        if not drift and (accepted or choice.setting.learns_all or choice.filters):
            shown = ({}, value) if choice.setting.shape == "target" else (features(value, choice.setting),)
            made.learn_one(*shown)
        counts.see(max(-_HUGE, min(_HUGE, x)), accepted)


class _Counts:
    """What is kept beside River's object: the number of values, and the scale."""

    __slots__ = ("expected", "high", "low", "samples", "scaled", "unusual", "variance")

    def __init__(self) -> None:
        self.samples = self.unusual = self.scaled = 0
        self.expected = self.variance = self.low = self.high = 0.0

    def see(self, x: float, learned: bool) -> None:
        """Count a value; the scale follows where it is learned."""
        self.samples = min(self.samples + 1, 1 << 31)
        if not learned:
            return
        self.scaled = min(self.scaled + 1, 1_000)
        rate = max(1 / self.scaled, 0.02)
        delta = x - self.expected
        self.expected += rate * delta
        self.variance = (1 - rate) * (self.variance + rate * delta * delta)
        if self.scaled == 1:
            self.low = self.high = x
        self.low = min(x, self.low + 0.01 * (x - self.low))
        self.high = max(x, self.high + 0.01 * (x - self.high))

    def begin_scale(self) -> None:
        """After a drift, what was usual says nothing of what is."""
        self.scaled = 0
        self.variance = 0.0

    def deviations(self, x: float) -> float:
        """How many deviations from the mean; a deviation is believed to be no smaller than 2 % of it."""
        if self.scaled == 0:
            return 0.0
        return (x - self.expected) / self.deviation()

    def deviation(self) -> float:
        """The deviation as it is believed."""
        return max(math.sqrt(self.variance), 0.02 * abs(self.expected)) or 1.0

    def within(self, x: float) -> float:
        """From 0 to 1, where what was seen lies from 0.4 to 0.6: beyond it there must be room for what is unusual."""
        width = self.high - self.low
        if width <= 0.02 * abs(self.high):
            width = 0.02 * abs(self.high) or 1.0
        middle = 0.5 * (self.low + self.high)
        return max(0.0, min(1.0, 0.5 + 0.2 * (x - middle) / width))

    def pack(self) -> bytes:
        """All of it."""
        return _STATE.pack(
            self.samples, self.unusual, float(self.scaled), self.expected, self.variance, self.low, self.high
        )

    @classmethod
    def unpack(cls, data: bytes) -> "_Counts":
        """What `pack` wrote."""
        counts = cls()
        counts.samples, counts.unusual, scaled, counts.expected, *rest = _STATE.unpack(data)
        counts.scaled, (counts.variance, counts.low, counts.high) = int(scaled), rest
        return counts


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    return float(value)
