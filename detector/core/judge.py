"""Judge values of series, and tell what is wrong. What is normal, and what is learned, is the model's business."""

import math
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from itertools import compress
from typing import Literal, NamedTuple, Protocol

import msgspec
import numpy as np

from detector.core import sentences
from detector.core.calendar import Moment
from detector.core.emissions import SEVERITIES, Contributor
from detector.core.lessons import Lessons, Told, note
from detector.core.load import Load
from detector.core.models import Model, kernel
from detector.core.models.baseline import Baseline
from detector.core.models.kernel import ALERT, LOWER, SEEN, SIDE, UPPER, Array, Z
from detector.core.models.reading import Reading
from detector.core.rules import DAY
from detector.core.text import number, rounded, unit_of
from detector.core.together import CHECK, judge_together
from detector.core.turn import CRITICAL, SLOW, WARNING, Calm, Part, Turn

SEVERE = 2 / 3
QUARTER = 91 * DAY
PASSES = 2  # over the series of a load: what it moved, and its columns; each may use half of the budget
LEAST_CHANCE = kernel.budget_of(kernel.STRICTEST)
EXCUSED = 0.5  # of the distance of a limit as it was before people moved it, roughly: the scale is not known here
MAX_SERIES = {"job": 64, "dataset": 1_000}  # of an entity: a job's metrics are free text, columns are not
DRIFT, ONLY_ZEROS, NEW_NORMAL = (kernel.CAUSES[n] for n in (kernel.DRIFT, kernel.ONLY_ZEROS, kernel.NEW_NORMAL))
HOLDS = 8


class Finding(NamedTuple):
    """What is unusual about one value: it and its bounds in the unit of the metric; `score` is in [0, 1].

    `chance` is that of a value of a healthy series to look so unusual, 0 where the model cannot tell. `season` are the
    bits of the reading. `at` is the time of the value, in seconds since 1970, and `wall` that on the entity's clock.
    `taught` is what people said of the series before.
    """

    metric: str
    severity: int
    observed: float
    expected: float
    lower: float
    upper: float
    score: float
    direction: Literal["low", "high"]
    cause: str
    samples: int
    chance: float = 0.0
    season: int = 0
    at: float = 0.0
    wall: float = 0.0
    taught: str = ""

    @property
    def warming_up(self) -> bool:
        """Whether so few values were seen that only what is absurd is told."""
        return self.samples < kernel.WARM


class Judged(msgspec.Struct, frozen=True):
    """What one pass over many series found, by metric, and all that was judged.

    `excused` are those of which it was said that such a value is no anomaly.
    """

    findings: dict[str, Finding]
    load: Load
    excused: Collection[str] = ()

    @property
    def apart(self) -> set[str]:
        """What is unusual by itself, told or not: it says nothing of what several show together."""
        return {*self.findings, *self.excused}


def judge(turn: Turn, values: Mapping[str, float]) -> dict[str, int]:
    """Judge values of metrics and learn them. Returns the severities of the unusual ones; `Turn.tell` says them.

    A negative or infinite value, or none, is not a measurement: nothing is said or learned of it.
    """
    if not min(values.values(), default=0.0) >= 0:
        values = {metric: value for metric, value in values.items() if value >= 0}
    judged = observe(turn, list(values), np.array(list(values.values()), np.float64))
    load, metrics = judged.load, judged.load.metrics
    if len(metrics) < len(values):
        values = {metric: values[metric] for metric in metrics}
    severities: dict[str, int] = {}
    for metric, finding in judged.findings.items():
        turn.parts.append(_part(turn, finding))
        severities[metric] = finding.severity
    turn.entity.series.keep(metrics, values, load.side.tolist(), turn.at)
    together = judge_together(turn, load, judged.apart, values, "")
    return severities | {CHECK: together} if together else severities


def _part(turn: Turn, finding: Finding) -> Part:
    metric, unit, series = finding.metric, unit_of(finding.metric), turn.entity.series
    last = [*series.last.get(metric, ()), finding.observed]
    evidence = {
        "observed": rounded(finding.observed),
        "expected": rounded(finding.expected),
        "lower": rounded(finding.lower),
        "upper": rounded(finding.upper),
        "unit": unit,
        "score": rounded(finding.score),
        "direction": finding.direction,
        "cause": finding.cause or None,
        "seasons": sentences.seasons(finding.season),
        "samples": finding.samples,
        "warming_up": finding.warming_up,
        "last_values": [float(f"{x:.6g}") for x in last[:-1]],
        "taught": finding.taught or None,
    }
    return Part(
        metric,
        finding.severity,
        sentences.of_value(finding, last, unit),
        f"{metric.replace('_', ' ')} ({number(finding.observed, unit)})",
        [contributor(finding)],
        evidence,
        finding.taught or sentences.since_when(finding, series.outside.get(metric, (0, 0))),
        HOLDS if finding.cause in SLOW else 0,
        {metric: told(finding)},
    )


def told(finding: Finding) -> Told:
    """A finding as far as people may have something to say of it."""
    return Told(finding.observed, finding.expected, finding.lower, finding.upper, finding.cause, finding.wall)


def contributor(finding: Finding) -> Contributor:
    """A finding as one series of several that are told together."""
    return Contributor(
        metric=finding.metric,
        severity=SEVERITIES[finding.severity],
        observed=rounded(finding.observed),
        expected=rounded(finding.expected),
        lower=rounded(finding.lower),
        upper=rounded(finding.upper),
        score=rounded(finding.score),
        direction=finding.direction,
        taught=finding.taught or None,
    )


def observe(turn: Turn, metrics: list[str], values: Array) -> Judged:
    """Judge one value of each of many metrics of an entity, and learn them: all that the baseline judges in one pass.

    What is found is for the caller to tell; what may be over is noted. A value that is not finite is not a measurement,
    and series beyond `MAX_SERIES` are not watched. A metric comes once.
    """
    moment = turn.settings.calendar.at(turn.at)
    lessons, usual, unusual = turn.entity.lessons, _usual(turn.settings.model), turn.unusual()
    metrics, values = _watched(turn, metrics, values)
    metrics, values, passed = _in_order(usual, metrics, values)
    if not metrics:
        return Judged({}, Load(metrics, values, np.empty((0, kernel.WIDTH))))
    allowance = _allowance(turn, metrics)
    alone: dict[int, Reading] = {}
    out, alerts = np.zeros((len(metrics), kernel.WIDTH)), 0
    if isinstance(usual, Baseline) and passed:
        parameters = usual.within(max(allowance / len(metrics), LEAST_CHANCE), bounds=True)
        taught, passing = lessons.rows(metrics[:passed]), slice(passed)
        alerts = turn.entity.series.judge(metrics[:passed], moment, values[passing], parameters, taught, out[passing])
    for place in range(passed, len(metrics)):
        alone[place] = _judge_alone(turn, metrics[place], moment, float(values[place]), out[place])
        alerts += alone[place].alert
    load = Load(metrics, values, out, alone)
    findings = _findings(turn, load, moment, unusual) if alerts or unusual else {}
    excused = _settle(lessons, metrics, values, out) if lessons.series else ()
    told = _within_budget(findings, len(metrics), allowance, unusual) if findings else findings
    load.unusual = told.keys()
    turn.judged.append(load)
    return Judged(told, load, excused)


def _judge_alone(turn: Turn, metric: str, moment: Moment, value: float, out: Array) -> Reading:
    """Judge a value by a model of its own, which may be of any kind; `out` takes what `kernel` would have said."""
    model = turn.entity.series.model(metric, turn.settings.model)
    model.taught, samples = turn.entity.lessons.of(metric), model.samples
    said = reading_of(model, moment, value)
    out[ALERT], out[Z], out[SEEN] = said.alert, said.z, samples
    out[LOWER : UPPER + 1] = said.lower, said.expected, said.upper
    out[SIDE] = (value > said.upper) - (value < said.lower)
    return said


def _findings(turn: Turn, load: Load, moment: Moment, unusual: Collection[str]) -> dict[str, Finding]:
    """What is unusual of a load; what is so no more is noted."""
    found: dict[str, Finding] = {}
    table, lessons = turn.entity.series, turn.entity.lessons
    for place in _worth_telling(load, unusual):
        metric, value, reading = load.metrics[place], float(load.values[place]), load.reading(place)
        samples = int(load.said[place, SEEN])
        if reading.alert:
            last = [*table.last.get(metric, ()), value]
            finding = _finding(metric, value, reading, samples, last, turn.at, moment.wall)
            found[metric] = _as_taught(finding, lessons) if metric in lessons.series else finding
        else:
            turn.calm[metric] = _calm(turn, metric, value, reading, samples)
    return found


def _settle(lessons: Lessons, metrics: list[str], values: Array, out: Array) -> list[str]:
    """Let the lessons know what was judged. Returns the metrics with a value that would be told without them, or so."""
    excused = []
    for place, metric in enumerate(metrics):
        if metric not in lessons.series:
            continue
        lower, expected, upper = out[place, LOWER : UPPER + 1]
        factor = lessons.of(metric).of(values[place] - expected)
        limit = (upper if values[place] > expected else lower) - expected
        if factor > 1 and values[place] != expected and not factor * (values[place] - expected) / limit < EXCUSED:
            excused.append(metric)
        lessons.settle(metric, bool(out[place, ALERT] > 0))
    return excused


def _watched(turn: Turn, metrics: list[str], values: Array) -> tuple[list[str], Array]:
    """The metrics with a finite value that have a series, or may have one."""
    table = turn.entity.series
    room = MAX_SERIES[turn.entity.key.partition(":")[0]] - len(table)
    if not kernel.are_finite(values):
        finite = np.isfinite(values)
        metrics, values = list(compress(metrics, finite.tolist())), values[finite]
    if room < len(metrics):
        new = np.array(table.unknown(metrics), np.bool_)
        if new.sum() > room:
            kept = ~new | (np.cumsum(new) <= room)
            metrics, values = list(compress(metrics, kept.tolist())), values[kept]
    return metrics, values


def _in_order(usual: Model, metrics: list[str], values: Array) -> tuple[list[str], Array, int]:
    """Those that are judged in one pass first, and how many these are."""
    if type(usual) is Baseline and not usual.dense_below:
        return metrics, values, len(metrics)
    passed = np.array([_in_one_pass(usual, metric) for metric in metrics], np.bool_)
    order = np.argsort(~passed, kind="stable")
    return [metrics[place] for place in order.tolist()], values[order], int(passed.sum())


def _in_one_pass(usual: Model, metric: str) -> bool:
    """Series of columns are no dense streams: there are hundreds of them, and a dense stream keeps 130 kB."""
    if type(usual) is not Baseline:
        return False
    return usual.dense_below == 0 or metric.endswith(")") or metric.rpartition(":")[0].endswith(")")


def _worth_telling(load: Load, episodes: Collection[str]) -> list[int]:
    """Where there is an alert, or an episode that may be over: for the rest no objects are made."""
    told = load.said[:, ALERT] > 0
    if episodes:
        told |= np.fromiter((metric in episodes for metric in load.metrics), np.bool_, len(load.metrics))
    return np.flatnonzero(told).tolist()


@lru_cache(maxsize=64)
def _usual(make: Callable[[], Model]) -> Model:
    """A model as the settings make it, to ask for its kind and its parameters: it never sees a value."""
    return make()


def model_of(turn: Turn, metric: str) -> Model:
    """The model of a series, for what it says beside its readings; good until the entity's next series comes."""
    usual = _usual(turn.settings.model)
    if isinstance(usual, Baseline) and _in_one_pass(usual, metric):
        return turn.entity.series.baseline(metric, usual)
    return turn.entity.series.model(metric, turn.settings.model)


def usual_of(turn: Turn, metric: str) -> tuple[float, int]:
    """What is usual of a series, whatever the day, and how many values it has seen."""
    usual = _usual(turn.settings.model)
    if isinstance(usual, Baseline) and _in_one_pass(usual, metric):
        return turn.entity.series.usual(metric)
    model = turn.entity.series.model(metric, turn.settings.model)
    return model.bounds()[1], model.samples


class Judge(Protocol):
    """What judges values one at a time, and then learns them: a model, or what stands for one."""

    def judge_one(self, at: float, x: float) -> Reading: ...


def reading_of(model: Judge, moment: Moment, x: float) -> Reading:
    """What a model says of a value, which it then learns. Only the baseline knows weekdays, and so holidays."""
    if moment.like and isinstance(model, Baseline):
        return model.judge_like(moment.wall, x, moment.like)
    return model.judge_one(moment.wall, x)


def _finding(
    metric: str, value: float, reading: Reading, samples: int, last: list[float], at: float, wall: float
) -> Finding:
    vanished = value == 0 < reading.lower
    return Finding(
        metric=metric,
        severity=CRITICAL if reading.score > SEVERE or vanished else WARNING,
        observed=value,
        expected=math.nan if reading.cause == ONLY_ZEROS else reading.expected,
        lower=reading.lower,
        upper=reading.upper,
        score=reading.score,
        direction=_direction(value, reading, last),
        cause=reading.cause,
        samples=samples,
        chance=reading.chance,
        season=reading.season,
        at=at,
        wall=wall,
    )


def _as_taught(finding: Finding, lessons: Lessons) -> Finding:
    """What people asked to be told of is no matter of chance."""
    taught = lessons.of(finding.metric)
    return finding._replace(taught=note(taught), chance=0.0 if taught.narrower else finding.chance)


def _within_budget(
    findings: dict[str, Finding], of: int, allowance: float, episodes: Collection[str]
) -> dict[str, Finding]:
    """Those of the findings about so many series that leave so many false alarms, and those that go on.

    Many that are a little unusual at once are as good as one that is very much so: Y. Benjamini and Y. Hochberg,
    "Controlling the false discovery rate" (1995). `allowance` is for all series together.
    """
    room = 0.0
    for rank, chance in enumerate(sorted(finding.chance for finding in findings.values()), 1):
        if chance <= rank * max(allowance / of, LEAST_CHANCE):
            room = chance
    return {m: finding for m, finding in findings.items() if finding.chance <= room or m in episodes}


def _allowance(turn: Turn, metrics: list[str]) -> float:
    """How many false alarms one pass over these series may raise. As many as it will, while nobody knows how often."""
    gap = turn.entity.series.gap(metrics[0])
    return turn.settings.budget * gap / QUARTER / PASSES if gap > 0 else math.inf


def _direction(value: float, reading: Reading, last: list[float]) -> Literal["low", "high"]:
    """On which side of what is usual. What is expected follows a slow drift, and may have come to its other side: the
    model knows, or else the last values tell. Too many zeros are too little of what else there is.
    """
    if reading.cause == DRIFT:
        begin, end = sentences.trend(last, reading.season)
        went = reading.z or end - begin
        if went:
            return "low" if went < 0 else "high"
    return "low" if value < reading.expected or reading.cause == ONLY_ZEROS else "high"


def _calm(turn: Turn, metric: str, value: float, reading: Reading, samples: int) -> Calm:
    unit, episode = unit_of(metric), turn.entity.judgement.episodes.get(metric)
    told_of = episode.cause if episode and episode.count == 1 else ""
    evidence = {
        "observed": rounded(value),
        "expected": rounded(reading.expected),
        "lower": rounded(reading.lower),
        "upper": rounded(reading.upper),
        "unit": unit,
        "cause": reading.cause or None,
        "samples": samples,
    }
    renewed = reading.cause == NEW_NORMAL
    return Calm(sentences.back(value, reading.expected, unit, told_of, renewed), evidence, renewed)
