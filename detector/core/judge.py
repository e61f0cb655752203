"""Judge values of series, and tell what is wrong. What is normal, and what is learned, is the model's business."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Literal, NamedTuple

from detector.core.models import Model
from detector.core.models.baseline import Baseline
from detector.core.models.reading import Reading
from detector.core.state import Series
from detector.core.text import number, rounded
from detector.core.turn import CRITICAL, WARNING, Turn

SEVERE = 2 / 3
KEEP_LAST = 8
MAX_SERIES = {"job": 64, "dataset": 1_000}  # of an entity: a job's metrics are free text, columns are not
UNITS = {"duration": "seconds", "bytes": "bytes", "bytes_in": "bytes", "bytes_out": "bytes"}


class Finding(NamedTuple):
    """What is unusual about one value: it and its bounds in the unit of the metric; `score` is in [0, 1]."""

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


def unit_of(metric: str) -> str | None:
    """The unit that a metric is told in, or None for a bare number."""
    if metric in UNITS:
        return UNITS[metric]
    return "rows" if metric.startswith(("rows", "profile_rows")) else None


def judge(turn: Turn, values: Mapping[str, float], run_id: str | None) -> dict[str, int]:
    """Judge values of metrics, learn them, say what is to be said. Returns the severities of the unusual ones.

    A negative or infinite value, or none, is not a measurement: nothing is said or learned of it.
    """
    findings = observe(turn, {metric: value for metric, value in values.items() if value >= 0}, run_id)
    for finding in findings.values():
        _tell(turn, finding, run_id)
    return {metric: finding.severity for metric, finding in findings.items()}


def _tell(turn: Turn, finding: Finding, run_id: str | None) -> None:
    metric, value, unit = finding.metric, finding.observed, unit_of(finding.metric)
    lower = number(finding.lower, None if unit == "rows" else unit)
    turn.find(
        metric,
        finding.severity,
        f"{metric.replace('_', ' ')}: {number(value, unit)}, {_expected(finding, lower, number(finding.upper, unit))}",
        run_id,
        observed=rounded(value),
        expected=rounded(finding.expected),
        lower=rounded(finding.lower),
        upper=rounded(finding.upper),
        unit=unit,
        score=rounded(finding.score),
        direction=finding.direction,
        samples=finding.samples,
        last_values=[float(f"{x:.6g}") for x in turn.entity.series[metric].last[:-1]],
    )


def observe(turn: Turn, values: Mapping[str, float], run_id: str | None) -> dict[str, Finding]:
    """Judge one value of each of many metrics of an entity, and learn them. Returns what is unusual, by metric.

    What is found is for the caller to tell; what is over is told here. A value that is not finite is not a measurement,
    and series beyond `MAX_SERIES` are not watched.
    """
    found: dict[str, Finding] = {}
    for metric, value in values.items():
        series = _series(turn, metric) if math.isfinite(value) else None
        if series is None:
            continue
        model = turn.entity.models.get(metric) or model_of(turn, metric, series)
        samples = model.samples
        reading = model.judge_one(turn.at, value)
        series.last = [*series.last[-KEEP_LAST:], value]
        if reading.alert:
            found[metric] = _finding(metric, value, reading, samples)
        elif metric in turn.entity.judgement.episodes:
            turn.over(metric, _why_over(metric, value, reading), run_id)
    return found


def _series(turn: Turn, metric: str) -> Series | None:
    """What is kept of a metric; None if there are too many."""
    all_series = turn.entity.series
    if metric not in all_series:
        if len(all_series) >= MAX_SERIES[turn.entity.key.partition(":")[0]]:
            return None
        all_series[metric] = Series()
    return all_series[metric]


def model_of(turn: Turn, metric: str, series: Series) -> Model:
    """The model of a series, taken into use. What another model has left, before the configuration changed, is none."""
    model = turn.settings.model()
    if metric.endswith(")") and isinstance(model, Baseline):
        model = replace(model, dense_below=0.0)  # of a column: there are hundreds, and a dense stream keeps 130 kB
    turn.entity.models[metric] = model
    if series.model:
        with suppress(ValueError):
            model.restore(series.model)
    return model


def _finding(metric: str, value: float, reading: Reading, samples: int) -> Finding:
    vanished = value == 0 < reading.lower
    return Finding(
        metric=metric,
        severity=CRITICAL if reading.score > SEVERE or vanished else WARNING,
        observed=value,
        expected=reading.expected,
        lower=reading.lower,
        upper=reading.upper,
        score=reading.score,
        direction="low" if value < reading.expected else "high",
        cause=reading.cause,
        samples=samples,
    )


def _expected(finding: Finding, lower: str, upper: str) -> str:
    """What was expected, and on what ground: a value within its band is told for what it is part of.

    A model that knows no band (River's) says only what is about usual.
    """
    seen = f"({finding.samples} runs seen)"
    if math.isinf(finding.lower) and math.isinf(finding.upper):
        return f"{finding.cause}; usual is about {number(finding.expected, UNITS.get(finding.metric))} {seen}"
    if finding.lower <= finding.observed <= finding.upper and finding.cause:
        return f"{finding.cause}; one value alone may be {lower} to {upper} {seen}"
    return f"expected {lower} to {upper} {seen}"


def _why_over(metric: str, value: float, reading: Reading) -> str:
    if reading.cause == "new normal":
        return f"{number(value, unit_of(metric))} is the new normal"
    return "back to normal"
