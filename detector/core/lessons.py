"""What an entity keeps of what people said of its anomalies, and of what it told of late, of which they speak."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from detector.core.models.kernel import UNTAUGHT, Array
from detector.core.models.taught import NOTHING, Taught, rows
from detector.core.text import duration

KEEP_TOLD = 32
MAX_TAUGHT = 256  # series with lessons
FEEDBACK = "by feedback"


class Told(msgspec.Struct, array_like=True):
    """A value that was told of. `check` names the anomaly that it was told in, and `episode` is the id of that.

    `at` is its time on the entity's clock, and `upper` of what is late or hangs the limit as learned.
    """

    observed: float
    expected: float
    lower: float
    upper: float
    cause: str
    at: float
    check: str = ""
    episode: str = ""


class Lessons(msgspec.Struct, array_like=True):
    """`told` is the last value of each metric that was told of, the latest at the end, and of the checks `late` and
    `hanging`. `series` are the lessons of each metric. `late` is how many seconds after it is expected a run may begin
    at least, and `hanging` multiplies the learned limit of a duration. `counts` is how often each verdict was given.
    """

    told: dict[str, Told] = {}
    series: dict[str, Taught] = {}
    late: float = 0.0
    hanging: float = 1.0
    counts: dict[str, int] = {}

    def remember(self, name: str, told: Told) -> None:
        """Keep what was told of a metric or a check; the oldest gives way."""
        self.told.pop(name, None)
        self.told[name] = told
        for oldest in list(self.told)[: max(len(self.told) - KEEP_TOLD, 0)]:
            del self.told[oldest]

    def of(self, metric: str) -> Taught:
        """What was taught of a series."""
        return self.series.get(metric, NOTHING)

    def rows(self, metrics: Sequence[str]) -> Array:
        """The same of many, as `kernel` takes it."""
        return rows([self.of(metric) for metric in metrics]) if self.series else UNTAUGHT

    def take(self, metric: str, taught: Taught) -> bool:
        """Keep a lesson. False where there are too many."""
        if taught == NOTHING:
            self.series.pop(metric, None)
            return True
        if metric not in self.series and len(self.series) >= MAX_TAUGHT:
            return False
        self.series[metric] = taught
        return True

    def settle(self, metric: str, alert: bool) -> None:
        """A value of a series with lessons was judged: what was confirmed is held for until it is calm."""
        taught = self.series[metric]
        if taught.patience == 1:
            return
        if not alert or taught.left == 1:
            taught.patience = taught.left = 1
        taught.left = max(taught.left - 1, 0)
        if taught == NOTHING:
            del self.series[metric]


class Side(NamedTuple):
    """A side of the band, as it is read."""

    word: str
    factor: float


def sides(taught: Taught) -> list[Side]:
    """Those that are not as learned."""
    return [side for side in (Side("below", taught.low), Side("above", taught.high)) if side.factor != 1.0]


def described(taught: Taught) -> list[str]:
    """What was taught of a series, in words.

    >>> described(Taught(low=1.4, causes={"drift": 2.0}))
    ['the band is 1.4 times as wide below (false positive)', 'the limit of drift is 2 times as high (false positive)']
    """
    bands = [(f"the band is {side.factor:.3g} times as wide {side.word}", side.factor) for side in sides(taught)]
    limits = [
        (f"the limit of {cause} is {factor:.3g} times as high", factor)
        for cause, factor in sorted(taught.causes.items())
    ]
    return [f"{told} ({'false positive' if factor > 1 else 'missed'})" for told, factor in bands + limits]


def note(taught: Taught) -> str:
    """What a person who is told of a value must know of the band: that people changed it; empty if they did not."""
    told = described(taught)
    return f"taught {FEEDBACK}: {', '.join(told)}" if told else ""


def listed(lessons: Lessons) -> list[str]:
    """All that was taught of an entity, a line each."""
    found = [f"{metric}: {told}" for metric in sorted(lessons.series) for told in described(lessons.series[metric])]
    if lessons.late:
        found.append(f"late: a run may begin {duration(lessons.late)} after it is expected")
    if lessons.hanging != 1.0:
        found.append(f"hanging: the learned limit is {lessons.hanging:.3g} times as long")
    return found
