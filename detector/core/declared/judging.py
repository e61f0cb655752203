"""Holds a load against what was declared of it. A check that fails is told by itself, by its name, until it passes.

What could not be evaluated is neither: it is said where it was never known how the check goes, or not for a week. A
load without statistics says nothing, since these may come by themselves.
"""

from detector.core.declared import LoadCheck
from detector.core.declared.check import Facts, Outcome
from detector.core.emissions import SEVERITIES, Unevaluated
from detector.core.intent import Standing
from detector.core.profiles import columns_of, rows_of
from detector.core.promises import named
from detector.core.state import Run
from detector.core.text import rounded
from detector.core.turn import DECLARED, INFO, Turn

UNEVALUATED = "io.detector.check.unevaluated.v1"
PATIENCE = 7 * 86_400.0
NOTHING = Facts(None, None, None, {})
READ, LOAD, PROFILED = "read", "load", "profile_rows:"


def judge_declared(turn: Turn, run: Run) -> int:
    """Evaluate the checks that can be and were not yet, of a load that completed. Returns the worst severity."""
    checks = turn.settings.of_loads
    if not checks or run.state != "COMPLETE" or run.streaming:
        return INFO
    grain, facts = facts_of(run)
    worst = INFO
    for check in checks:
        if grain == READ or named(check) in run.judged:
            continue
        if check.grain not in (None, grain):
            lacks = Outcome("not_evaluated", f"no profile of grain {check.grain} came")
            _unknown(turn, check, NOTHING, lacks)
            continue
        outcome = check.evaluate(facts)
        if outcome.status == "not_evaluated":
            _unknown(turn, check, facts, outcome)
            continue
        run.judged.append(named(check))
        worst = max(worst, _known(turn, check, grain, outcome, run.id))
    return worst


def still_fails(turn: Turn) -> bool:
    """Whether a declared check fails that the last load did not mend."""
    return any(name.startswith(DECLARED) for name in turn.entity.judgement.episodes)


def facts_of(run: Run) -> tuple[str, Facts]:
    """The grain of what was measured of a load, and what it was."""
    measured = run.measured
    if measured is not None:
        columns = columns_of(measured.statistics)
        written = run.metrics.get("rows") if measured.rows is None else measured.rows
        top_values = measured.statistics.top_values
        return measured.grain, Facts(columns, written, rows_of(measured.rows, columns), top_values)
    for metric, value in run.metrics.items():
        if metric == "rows" or metric.startswith(PROFILED):
            return metric.removeprefix(PROFILED) if metric != "rows" else LOAD, Facts(None, value, value, {})
    return LOAD, NOTHING


def _standing(turn: Turn, check: LoadCheck) -> Standing:
    return turn.entity.intent.checks.setdefault(named(check), Standing(seen=turn.now))


def _known(turn: Turn, check: LoadCheck, grain: str, outcome: Outcome, run_id: str) -> int:
    standing = _standing(turn, check)
    standing.evaluated, standing.lacks = turn.now, ""
    others = [other for other in standing.failing if other != grain]
    if outcome.status == "passed":
        standing.failing = others
        if not others:
            turn.over(named(check), f"passes again ({outcome.sentence})", _told_as(run_id))
        return INFO
    standing.failing = [*others, grain]
    severity, observed = SEVERITIES.index(check.severity), outcome.observed or 0.0
    low = outcome.lower is not None and observed < outcome.lower
    turn.find(
        named(check),
        severity,
        outcome.sentence,
        _told_as(run_id),
        observed=rounded(outcome.observed),
        lower=rounded(outcome.lower),
        upper=rounded(outcome.upper),
        unit=check.unit,
        direction="low" if low else "high",
    )
    return severity


def _unknown(turn: Turn, check: LoadCheck, facts: Facts, outcome: Outcome) -> None:
    standing = _standing(turn, check)
    long = turn.now - max(standing.evaluated, standing.seen) >= PATIENCE
    if standing.failing and long:
        standing.failing = []
        turn.over(named(check), f"it could not be evaluated for a week: {outcome.sentence}")
    never = standing.evaluated == 0 and facts.columns is not None
    if (long or never) and standing.lacks != outcome.sentence:
        standing.lacks = outcome.sentence
        summary = f"{turn.entity.key}: {check.called} could not be evaluated: {outcome.sentence}"
        data = Unevaluated(entity=turn.entity.key, check=named(check), reason=outcome.sentence, summary=summary)
        turn.say(UNEVALUATED, data)


def _told_as(run_id: str) -> str | None:
    """The id of a run as its scheduler knows it; None for a profile that names none."""
    return None if run_id.startswith("profile\0") else run_id.partition("\0")[0]
