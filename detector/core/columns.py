"""Judges the columns of one load: each series by itself, and all that is unusual told as one anomaly.

One fault moves many series (a join that lost half its rows moves every mean), and a person needs to be told once. What
is flagged is not learned into the references either, or the fault would be what the next load is compared with.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from detector.core import chance, profiles, references
from detector.core.emissions import Contributor
from detector.core.judge import Finding, contributor, observe, told
from detector.core.models import kernel
from detector.core.profiles import Columns, Fingerprint, Series
from detector.core.references import ALPHA, DISTANCES, MIN_QUANTILES, Categories, Load
from detector.core.state import Loads, Measured, Run
from detector.core.text import number
from detector.core.together import judge_together
from detector.core.turn import COLUMNS, INFO, KEEP_CONTRIBUTORS, SAME_DATA, WARNING, Calm, Part, Turn

MAX_GRAINS = 4
MAX_WATCHED = 900  # series of a grain
FAR = 3.0  # widths of a column's usual range, beyond which an extreme is told by itself
LEAST = 0.1  # of a distance, or of a ratio from 1: what is nearer has not changed
REPEATED = kernel.CAUSES[kernel.STUCK]
NAMED, LONGEST = 3, 100
GLOSSES = {  # what a number that nobody knows by its name says
    "drift": " (how much of the rows changed place)",
    "shift": " (how many of their usual spreads the values moved)",
    "mix": " (how much of the mix of values changed)",
    "distinct_ratio": " (times as many different values as usual)",
}
NO_LOADS = ("read", "table")
TELLING, MIN_ROWS, COMPARED = 3, 10, 3
RARE, USUAL = 0.08, 0.2  # share of loads that repeat the one before: less is news, more is how this dataset is


class Value(NamedTuple):
    """One number of a column, or of all together (""), that is unusual. `order` says how much its kind matters."""

    statistic: str
    column: str
    value: float
    order: int


def judge_columns(turn: Turn, run: Run) -> int:
    """Judge what was measured of a load, once; then forget it. Returns the worst severity; `Turn.tell` says it."""
    measured, run.measured = run.measured, None
    if measured is None:
        return INFO
    run.judged.append("columns")
    loads = turn.entity.loads.get(measured.grain)
    if loads is None:
        if len(turn.entity.loads) >= MAX_GRAINS:
            return INFO
        loads = turn.entity.loads[measured.grain] = Loads()
    columns = profiles.columns_of(measured.statistics, references.MAX_COLUMNS)
    rows = profiles.rows_of(measured.rows, columns)
    if rows == 0:
        return INFO  # nothing can be said of no rows; that there are none is told elsewhere
    at = run.ended or turn.at
    found = profiles.fingerprint(columns, at)
    repeats = rows == loads.rows and found.exact == loads.exact
    again = _same_data(turn, loads, measured, found, rows)
    load = Load(columns, rows, at, profiles.fractions_of(measured.statistics), _shares(measured, columns, rows))
    flagged, worst = _moved(turn, loads, measured, load, repeats)
    if max(again, run.severity) == INFO:
        references.learn(loads, load, {value.column for value, _ in flagged})
    return max(again, worst)


def _shares(measured: Measured, columns: Columns, rows: float | None) -> dict[str, dict[str, float]]:
    top_values = measured.statistics.top_values
    if not top_values:
        return {}
    values = dict(zip(columns.names, profiles.values_in(columns, rows).tolist(), strict=True))
    return {name: profiles.shares_of(counts, values[name]) for name, counts in top_values.items() if name in values}


def _watched(turn: Turn, metric: str) -> bool:
    return turn.settings.metrics is None or metric in turn.settings.metrics


# ---------------------------------------------------------------- the same data again


def _same_data(turn: Turn, loads: Loads, measured: Measured, found: Fingerprint, rows: float | None) -> int:
    """Whether this load is the one before once more. A dataset that often is so does not alarm."""
    check = _named(SAME_DATA, measured.grain)
    before, again = loads.rows, bool(measured.of) and measured.of == loads.of
    comparable = rows is not None and min(rows, before) >= MIN_ROWS and min(found.telling, loads.telling) >= TELLING
    repeats = comparable and rows == before and found.exact == loads.exact
    doubled = comparable and rows == 2 * before and found.shape == loads.shape
    compared, share = loads.compared, loads.repeats
    loads.exact, loads.shape, loads.telling, loads.rows = found.exact, found.shape, found.telling, rows or 0.0
    loads.of = measured.of
    if again or measured.grain in NO_LOADS or not before or not _watched(turn, check):
        return INFO  # the same rows were looked at twice, which says nothing
    loads.compared += 1
    loads.repeats += max(ALPHA, 1 / loads.compared) * (repeats - share)
    news = compared >= COMPARED and share <= RARE
    if doubled and news:
        told = (
            f"the same rows twice: {number(rows or 0.0, 'rows')} are twice the {number(before, None)} of the last load"
        )
        _again(turn, check, f"{told}, with the same means and extremes")
        return WARNING
    if repeats and news:
        told = f"this profile repeats the last one exactly in {found.telling} of {found.telling} statistics"
        _again(turn, check, f"the same data again: {told}, and has as many rows")
        return WARNING
    if not repeats:
        turn.calm[check] = Calm("other data came")
    elif loads.repeats >= USUAL:
        turn.calm[check] = Calm("this data is often loaded again, which is usual now")
    return INFO


def _again(turn: Turn, check: str, summary: str) -> None:
    turn.parts.append(Part(check, WARNING, summary, "the same data again", (), {}))


def _named(name: str, grain: str) -> str:
    return name if grain == "load" else f"{name}:{grain}"


# ---------------------------------------------------------------- columns that moved


def _moved(
    turn: Turn, loads: Loads, measured: Measured, load: Load, repeats: bool
) -> tuple[list[tuple[Value, Finding]], int]:
    """Judge the series of a load. Returns those that are told, the worst first, and how bad it is.

    That is as bad as the worst that counts alone: what supports it may be single rows.
    """
    series = [*profiles.series(load.columns, load.rows, load.at), *references.series(loads, load)]
    if measured.bytes is not None and load.rows:
        whole = np.array([len(load.columns.names)])
        series.append(Series("bytes_per_row", profiles.DISTRIBUTION, whole, np.array([measured.bytes / load.rows])))
    flagged, of, together = _observed(turn, series, load.columns.names, measured.grain)
    if repeats:  # which is told, or not, of the whole load
        flagged = [(value, finding) for value, finding in flagged if finding.cause != REPEATED]
    wanted = {metric for metric, taught in turn.entity.lessons.series.items() if taught.narrower}
    flagged = [found for found in flagged if found[1].metric in wanted or not _by_chance(*found, loads, load)]
    check = _named(COLUMNS, measured.grain)
    alone = [found for found in flagged if found[1].metric in wanted or _counts_alone(*found, loads, load)]
    if not alone:
        turn.calm[check] = Calm("back to normal, or to a new normal")
        return [], together
    _tell(turn, check, flagged, alone, of, references.changes(loads, load))
    return flagged, max(together, alone[0][1].severity)


def _observed(
    turn: Turn, series: list[Series], names: list[str], grain: str
) -> tuple[list[tuple[Value, Finding]], int, int]:
    """Judge all series, the ones that matter most first: those that are too many are not watched.

    A distance that cannot be told yet is NaN, and keeps its place until it can. Returns what is unusual, of how
    many, and the severity of what all show together.
    """
    sizes = [len(one.values) for one in series]
    of, order = np.repeat(np.arange(len(series)), sizes), np.repeat([one.order for one in series], sizes)
    columns, values = np.concatenate([s.columns for s in series]), np.concatenate([s.values for s in series])
    chosen = np.lexsort((of, columns, order))[:MAX_WATCHED]
    whole, statistics, suffix = len(names), [one.statistic for one in series], _named("", grain)
    endings = [*(f"({name}){suffix}" for name in names), suffix]
    found = zip(chosen.tolist(), of[chosen].tolist(), columns[chosen].tolist(), strict=True)
    watched = {f"{statistics[one]}{endings[column]}": place for place, one, column in found}
    if turn.settings.metrics is not None:
        watched = {metric: place for metric, place in watched.items() if _watched(turn, metric)}
    judged = observe(turn, list(watched), values[list(watched.values())])
    flagged = []
    for metric, finding in judged.findings.items():
        one, column = series[of[watched[metric]]], int(columns[watched[metric]])
        value = Value(one.statistic, "" if column == whole else names[column], finding.observed, one.order)
        if turn.entity.lessons.of(metric).narrower or not _harmless(value, finding):
            flagged.append((value, finding))
    flagged.sort(key=lambda found: (-found[1].severity, -found[1].score, found[0].order))
    is_mean = ((columns == whole) | np.array([one == "mean" for one in statistics], np.bool_)[of]).tolist()
    means = {
        metric: value
        for metric, value in zip(judged.load.metrics, judged.load.values.tolist(), strict=True)
        if is_mean[watched[metric]]
    }
    together = judge_together(turn, judged.load, judged.apart, means, grain)
    return flagged, int(np.count_nonzero(np.isfinite(values))), together


def _harmless(value: Value, finding: Finding) -> bool:
    """Nearer to what is usual than usual, or near enough; data that is newer than usual."""
    if value.statistic == "distinct_ratio":
        return 1 - LEAST < value.value < 1 + LEAST
    if value.statistic in DISTANCES:
        return finding.direction == "low" or value.value < LEAST
    return value.statistic == "age" and finding.direction == "low"


def _by_chance(value: Value, finding: Finding, loads: Loads, load: Load) -> bool:
    """Whether so few rows show such a value though nothing has changed. What is not known of a column says no."""
    name, rows = value.statistic, load.rows
    if value.column and name != "null_share":
        rows = float(profiles.values_in(load.columns, load.rows)[load.place(value.column)])
    if not rows or rows != rows:
        return False
    if name.endswith("_share"):
        return chance.share(value.value, finding.expected, rows)
    if name in ("drift", "shift"):
        apart = references.apart(loads, load, value.column)
        return apart is not None and chance.distribution(apart, rows)
    if name == "mix":
        return chance.categories(value.value, references.kinds(loads, load, value.column), rows)
    if name == "distinct_ratio":
        distinct = float(load.columns.of("distinct")[load.place(value.column)])
        return chance.distinct(distinct, distinct / max(value.value, 1e-3))
    deviation = profiles.deviation_of(load.columns, load.place(value.column)) if name == "mean" else None
    return deviation is not None and chance.mean(value.value, finding.expected, deviation, rows)


def _counts_alone(value: Value, finding: Finding, loads: Loads, load: Load) -> bool:
    """Whether this is unusual enough to be told where nothing else is: the others are told beside one that is.

    Extremes are single rows, and quantiles of few rows jump between few values: what is new about them shows in the
    distances, where there are any. A number that repeats is news of a mean, which has many digits.
    """
    if value.statistic in ("min", "max"):
        return _far_out(value, loads)
    if finding.cause == REPEATED:
        return value.order in (profiles.MEAN, profiles.STATISTIC, profiles.OTHER)
    if value.order == profiles.QUANTILE:
        now = load.quantiles[load.place(value.column)]
        return int((now == now).sum()) < MIN_QUANTILES
    return True


def _far_out(value: Value, loads: Loads) -> bool:
    """Whether an extreme lies farther outside of what a column held of late than several times the width of that."""
    usual = references.extremes(loads, value.column)
    if usual is None:
        return False
    low, high = usual
    far = FAR * (high - low)
    return not low - far <= value.value <= high + far


def _tell(
    turn: Turn,
    check: str,
    flagged: list[tuple[Value, Finding]],
    alone: list[tuple[Value, Finding]],
    of: int,
    changed: Mapping[str, Categories],
) -> None:
    named: dict[str, str] = {}
    for value, finding in [*alone, *flagged]:
        named.setdefault(value.column, _sentence(finding))
    worst = list(named.values())[:NAMED]
    more = f"; and {len(named) - len(worst)} more columns" if len(named) > len(worst) else ""
    series = f"{len(flagged)} of {of} series of columns"
    summary = f"{series} {'is' if len(flagged) == 1 else 'are'} unusual: {'; '.join(worst)}{more}"
    nothing = Categories({}, {})
    contributors = [
        _contributor(finding, changed.get(value.column, nothing) if value.statistic == "mix" else nothing)
        for value, finding in flagged[:KEEP_CONTRIBUTORS]
    ]
    brief, evidence = f"{series} (as {worst[0]})", {"contributors": contributors}
    told_of = {finding.metric: told(finding) for _, finding in flagged[:KEEP_CONTRIBUTORS]}
    turn.parts.append(Part(check, alone[0][1].severity, summary, brief, contributors, evidence, told=told_of))


def _sentence(finding: Finding) -> str:
    lower, upper = _told(finding.lower), _told(finding.upper)
    value = f"{finding.metric[:LONGEST]} {_told(finding.observed)}{GLOSSES.get(finding.metric.partition('(')[0], '')}"
    if finding.cause and finding.lower <= finding.observed <= finding.upper:
        return f"{value} ({finding.cause}; one value alone may be {lower} to {upper})"
    return f"{value}, expected {lower} to {upper}"


def _told(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "any"
    return f"{value:,.0f}" if 10_000 <= abs(value) < 1e15 else f"{value:.4g}"


def _contributor(finding: Finding, categories: Categories) -> Contributor:
    told = contributor(finding)
    return msgspec.structs.replace(told, new_values=categories.new, vanished_values=categories.vanished)
