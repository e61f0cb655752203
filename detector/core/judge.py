"""Judge one value of one series: score, then learn. The rule of what is learned lives here, once.

A flagged value is held back, not learned: one spike must not widen the band. `new_normal_after` flagged values in a
row that agree with each other are a new normal: it is said once, and the model begins anew from them, or a real level
shift would alarm for ever.
"""

import math

from detector.core.models import Model
from detector.core.state import Series
from detector.core.text import number, rounded
from detector.core.turn import CRITICAL, INFO, WARNING, Turn

ALERT = 0.5
SEVERE = 2 / 3
KEEP_LAST = 8
AGREE = 0.5
MAX_SERIES = 64
UNITS = {"duration": "seconds", "bytes": "bytes", "bytes_in": "bytes", "bytes_out": "bytes"}


def unit_of(metric: str) -> str | None:
    """The unit that a metric is told in, or None for a bare number."""
    if metric in UNITS:
        return UNITS[metric]
    return "rows" if metric.startswith(("rows", "profile_rows")) else None


def judge(turn: Turn, metric: str, value: float, run_id: str | None) -> int:
    """Judge one value of a metric, say what is to be said, learn. Returns the severity (0 is fine).

    A negative or infinite value, or none, is not a measurement: nothing is said or learned of it.
    """
    if not 0 <= value < math.inf:
        return INFO
    all_series = turn.entity.series
    series = all_series.get(metric)
    if series is None:
        if len(all_series) >= MAX_SERIES:
            return INFO
        series = all_series[metric] = Series()
    model = turn.entity.models.get(metric) or model_of(turn, metric, series)
    score = model.score_one(value)
    severity = INFO
    if score > ALERT:
        severity = _flagged(turn, metric, series, model, value, score, run_id)
    else:
        if series.held:
            series.held = []
        model.learn_one(value)
        if metric in turn.entity.judgement.episodes:
            turn.over(metric, "back to normal", run_id)
    series.last = [*series.last[-KEEP_LAST + 1 :], value]
    return severity


def model_of(turn: Turn, metric: str, series: Series) -> Model:
    """The model of a series, taken into use."""
    model = turn.entity.models[metric] = turn.settings.model()
    if series.model:
        model.restore(series.model)
    return model


def _flagged(
    turn: Turn, metric: str, series: Series, model: Model, value: float, score: float, run_id: str | None
) -> int:
    series.held = [*series.held, value][-turn.settings.new_normal_after :]
    if len(series.held) >= turn.settings.new_normal_after and _agree(series.held):
        model.rebase(series.held)
        series.held = []
        told = number(value, unit_of(metric))
        turn.over(metric, f"{told} is the new normal ({turn.settings.new_normal_after} runs agree)", run_id)
        return INFO
    lower, expected, upper = model.bounds()
    severity = CRITICAL if score > SEVERE or (value == 0 < lower) else WARNING
    unit = unit_of(metric)
    name = metric.replace("_", " ")
    summary = (
        f"{name}: {number(value, unit)}, expected {number(lower, None if unit == 'rows' else unit)}"
        f" to {number(upper, unit)} ({model.samples} runs seen)"
    )
    turn.find(
        metric,
        severity,
        summary,
        run_id,
        observed=rounded(value),
        expected=rounded(expected),
        lower=rounded(lower),
        upper=rounded(upper),
        unit=unit,
        score=rounded(score),
        direction="low" if value < expected else "high",
        samples=model.samples,
        last_values=[float(f"{x:.6g}") for x in series.last],
    )
    return severity


def _agree(values: list[float]) -> bool:
    """Whether values lie within a factor of about 1.6 of each other."""
    return math.log1p(max(values)) - math.log1p(min(values)) <= AGREE
