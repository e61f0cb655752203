"""What judging costs: all series of a profile in one array pass, beside the same signals as River objects; how the cost
grows with columns and entities, through the whole of `step` too; and how much state a series has.

Times are of the processor, so that other work on the machine disturbs them less, and medians. Nothing here needs Kafka.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from struct import pack
from typing import Any

import numpy as np
from river.anomaly import GaussianScorer
from river.drift import PageHinkley
from river.stats import AutoCorr, EWVar
from river.time_series import HoltWinters

from bench.report import Grown, Judging
from detector.core import state
from detector.core.calendar import Moment
from detector.core.events import Observation, Profile, Profiled, Record, Statistics, Tick
from detector.core.models import kernel, records
from detector.core.models.baseline import Baseline
from detector.core.models.kernel import Array
from detector.core.pipeline import step
from detector.core.rules import Rules
from detector.core.state import Entity, Partition
from detector.core.table import SeriesTable

MONDAY, DAY, HOUR = 1_768_780_800.0, 86_400.0, 3_600.0
STATISTICS = ("count", "null_count", "distinct", "mean", "min", "max", "std", "q0.05", "q0.25", "q0.75", "q0.95")
USUAL = (10_000.0, 200.0, 9_800.0, 57.3, 1.1, 310.4, 31.7, 10.3, 25.1, 80.2, 130.9)
SERIES = 12  # of a column: nulls, distinct, mean, extremes, deviation, four quantiles, and two distances
COLUMNS, ENTITIES = 50, 64  # of what the limits are about
KNOWN = 30  # values after which a series is judged by all that it may be judged by
FEW_COLUMNS = 10  # of each of many entities


def judging(rounds: int = 40, most: int = 1_000) -> Judging:
    """Measure all of it; `most` bounds the columns and the entities up to which growth is looked at."""
    sizes = [size for size in (1, 10, 100, 1_000) if size <= most]
    entities = min(ENTITIES, most)
    apart, together, objects, lean = _side_by_side(rounds, entities)
    grown = [Grown("kernel", n, 1, _kernel(n * SERIES, 1, rounds)) for n in sizes]
    grown += [Grown("kernel", FEW_COLUMNS, n, _kernel(FEW_COLUMNS * SERIES, n, rounds)) for n in sizes]
    grown += [Grown("step", n, 1, _step(n, 1)) for n in sizes]
    grown += [Grown("step", FEW_COLUMNS, n, _step(FEW_COLUMNS, n)) for n in sizes]
    return Judging(
        series=COLUMNS * SERIES,
        entities=entities,
        apart=apart,
        together=together,
        objects=objects,
        lean=lean,
        grown=grown,
        bytes=_bytes(),
    )


def _side_by_side(rounds: int, entities: int) -> list[list[float]]:
    """Seconds a profile, in turns: the array pass for each entity of a batch and for all at once, and River's objects,
    of as many signals as the judge has and of the least that could replace it.
    """
    count = COLUMNS * SERIES
    draw = np.random.default_rng(1)
    one_by_one = [_Block(count) for _ in range(entities)]
    stacked = _Block(count * entities)
    objects, lean = [Objects() for _ in range(count)], [Lean() for _ in range(count)]
    found: list[list[float]] = [[], [], [], []]
    for number in range(KNOWN + rounds):
        at = MONDAY + number * DAY
        values = 100 * draw.lognormal(0, 0.05, (entities, count))
        row = values[0].tolist()
        taken = (
            _seconds(_judge_each, one_by_one, at, values) / entities,
            _seconds(stacked.judge, at, values.ravel()) / entities,
            _seconds(_judge_all, objects, row),
            _seconds(_judge_all, lean, row),
        )
        if number >= KNOWN:
            for times, seconds in zip(found, taken, strict=True):
                times.append(seconds)
    return found


class _Block:
    """The series of one entity as `SeriesTable` has them, or of many in one array."""

    def __init__(self, count: int) -> None:
        self.heads, self.seasons = kernel.blank(count)
        self._rows, self._out = np.arange(count), np.empty((count, kernel.WIDTH))
        self._parameters = Baseline().parameters

    def judge(self, at: float, values: Array) -> None:
        kernel.judge_many(
            self.heads, self.seasons, self._rows, at, values, self._parameters, kernel.UNTAUGHT, self._out
        )


class Lean:
    """The least of River that scores a value, knows a season, and finds drift: three objects.

    A forecast of the week, the tail probability of what it leaves unexplained, a test for drift of that.
    """

    def __init__(self) -> None:
        self._forecast = HoltWinters(alpha=0.1, beta=0.01, gamma=0.1, seasonality=7)
        self._tail = GaussianScorer(grace_period=14)
        self._drift = PageHinkley(min_instances=14, delta=0.025, threshold=0.5)
        self._seen = 0

    def judge(self, x: float) -> tuple[float, bool]:
        """The score of a value, and whether something has drifted; then it is learned."""
        residual, score = self._residual(x)
        self._drift.update(residual)
        return score, self._drift.drift_detected

    def _residual(self, x: float) -> tuple[float, float]:
        y = math.log1p(x)
        residual = y - self._forecast.forecast(1)[0] if self._seen >= 7 else 0.0
        score = self._tail.score_one(None, residual)
        self._forecast.learn_one(y)
        self._tail.learn_one(None, residual)
        self._seen += 1
        return residual, score


class Objects(Lean):
    """A River object for each signal that the judge has and River knows: seven.

    Beside those of `Lean` the deviation to the forecast and to the level, the autocorrelation of what is left, and a
    test for noise. Repeats, zeros, the turn of the month, the way back from a new normal, and which season has earned
    its place are not in River.
    """

    def __init__(self) -> None:
        super().__init__()
        self._deviation, self._slow = EWVar(0.03), EWVar(0.02)
        self._carried = AutoCorr(lag=1)
        self._drift = PageHinkley(min_instances=14, delta=0.5, threshold=9.4)
        self._noise = PageHinkley(min_instances=14, delta=3.0, threshold=30.0)

    def judge(self, x: float) -> tuple[float, bool]:
        """The score of a value, and whether something has drifted; then it is learned."""
        residual, score = self._residual(x)
        z = residual / math.sqrt(self._deviation.get() + 1e-9)
        self._deviation.update(residual)
        self._slow.update(residual)
        self._carried.update(residual)
        self._drift.update(z)
        self._noise.update(z * z)
        return score, self._drift.drift_detected or self._noise.drift_detected


def _judge_each(blocks: Sequence[_Block], at: float, values: Array) -> None:
    for block, row in zip(blocks, values, strict=True):
        block.judge(at, row)


def _judge_again(block: _Block, at: float, values: Array) -> None:
    for number, row in enumerate(values):
        block.judge(at + number * DAY, row)


def _judge_all(objects: Sequence[Lean], values: Sequence[float]) -> None:
    for one, x in zip(objects, values, strict=True):
        one.judge(x)


def _seconds(call: Callable[..., None], *arguments: Any) -> float:
    began = time.thread_time()
    call(*arguments)
    return time.thread_time() - began


def _kernel(count: int, entities: int, rounds: int) -> float:
    """Seconds for the series of one profile, where so many entities are judged in one call."""
    block, draw, taken = _Block(count * entities), np.random.default_rng(2), []
    repeats = max(1, 12_000 // (count * entities))  # a clock has no time for less
    for number in range(KNOWN + min(rounds, 20)):
        values = 100 * draw.lognormal(0, 0.05, (repeats, count * entities))
        taken.append(_seconds(_judge_again, block, MONDAY + number * repeats * DAY, values))
    return median(taken[KNOWN:]) / entities / repeats


def _profiles(columns: int, entities: int, count: int) -> Iterator[tuple[str, float, Observation]]:
    """So many profiles of each of some tables, one a day each: (the entity's key, when, what is observed)."""
    draw = np.random.default_rng(3)
    names = tuple(f"column_{number}" for number in range(columns))
    for number in range(count):
        at = MONDAY + number * DAY
        for entity in range(entities):
            cells = np.array(USUAL) * (1 + draw.uniform(-0.01, 0.01, (columns, len(USUAL))))
            cells[:, 0] = USUAL[0]
            statistics = Statistics(names, STATISTICS, pack(f"<{cells.size}d", *cells.ravel()))
            told = Profile("db", f"t{entity}", at, USUAL[0], "load", statistics=statistics)
            yield f"dataset:db/t{entity}", at, Profiled(at, told)


def _step(columns: int, entities: int) -> float:
    """Seconds for a profile of so many columns through the whole of `step`, where so many tables take turns."""
    warm = 18 if entities > 10 else KNOWN
    rules, taken = Rules(), []
    partition = Partition(0, 1, rules=rules.fingerprint)
    states: dict[str, Entity] = {}
    step(partition, states, [], Record("log", 0, 0, MONDAY, None, b""), Tick(MONDAY), rules, "topic")
    for offset, (key, at, body) in enumerate(_profiles(columns, entities, warm + 3), 1):
        states.setdefault(key, Entity(key))
        record = Record("log", 0, offset, at, key.encode(), b"")
        began = time.thread_time()
        step(partition, states, [key], record, body, rules, "topic")
        taken.append(time.thread_time() - began)
    return median(taken[warm * entities :])


def _bytes() -> dict[str, float]:
    """Bytes a series: in memory, and of what is stored, by the seasons that it has; and the whole of an entity's."""
    draw, count = np.random.default_rng(4), COLUMNS * SERIES
    found = {"in memory": float(kernel.HEAD.itemsize + kernel.SEASONS.itemsize)}
    metrics = [f"{statistic}(column_{column})" for column in range(COLUMNS) for statistic in (*STATISTICS, "drift")]
    for name, every, values in (("daily, days of the week", DAY, 60), ("hourly, every season", HOUR, 24 * 21)):
        block, table = _Block(count), SeriesTable()
        for number in range(values):
            x, at = 100 * draw.lognormal(0, 0.05, count), MONDAY + number * every
            block.judge(at, x)
            table.judge(metrics, Moment(at), x, Baseline().parameters, kernel.UNTAUGHT, np.empty((count, kernel.WIDTH)))
        if every == DAY:
            plain = block.heads.copy()
            plain[["day", "day_odd", "day_seen"]] = kernel.blank(count)[0][["day", "day_odd", "day_seen"]]
            found["daily, no season"] = len(records.pack(plain, block.seasons)) / count
        found[name] = len(records.pack(block.heads, block.seasons)) / count
        found[f"{name}, names too"] = len(state.dump(Entity("dataset:db/t", series=table))) / count
    return found
