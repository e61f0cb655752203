"""What a job's entity does with the events of its runs, and with time that passes without them."""

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

from detector.core import lineage, recovery
from detector.core.events import JobObserved, RunObserved
from detector.core.judge import MAX_SERIES, judge, usual_of
from detector.core.judged import write_down
from detector.core.ledger import close, find_run, hash_of, hash_of_dataset, note_time
from detector.core.lessons import Told
from detector.core.promises import completed
from detector.core.state import NEVER, Good, Run
from detector.core.text import duration, moment
from detector.core.turn import CHECKS, CRITICAL, INFO, WARNING, Turn

SETTLE = 10.0
ABANDON = 7 * 86_400.0
MAX_DATASETS = 1_000  # on one side of a run; of a run with so many, sums of rows and bytes are no series
KEEP_WINDOWS = 16


def on_run(turn: Turn, seen: RunObserved) -> None:
    """Fold one event into its run; judge the run when it is over."""
    runs = turn.entity.runs
    run = find_run(runs, seen.run_id, seen.state, seen.event_time, turn.now)
    if run is None:
        return
    over = run.id in runs.closed
    lineage.meet(turn, up=seen.inputs, down=seen.outputs, at=turn.believed(seen.event_time))
    lineage.learn(turn, seen.columns_from, seen.owners, seen.tags, seen.parent)
    _fold(turn, run, seen, over)
    if run.streaming:
        runs.streaming = True
    if seen.state == "START":
        runs.sends_start = True
    if run.state == "RUNNING" and not over:
        turn.probes(run.id)
    if run.state != "OTHER" and not runs.streaming:
        _began(turn, run, seen)
    if over:
        _late_facts(turn, run)
    elif run.ended is not None and not _waits_for_start(turn, run):
        _judge_run(turn, run)
    elif run.streaming and seen.snapshot_windows and seen.state == "RUNNING":
        _judge_window(turn, run, seen)


def on_job(turn: Turn, seen: JobObserved) -> None:
    """Remember what a job reads and writes, told outside any run."""
    lineage.meet(turn, up=seen.inputs, down=seen.outputs, at=turn.believed(seen.event_time))
    lineage.learn(turn, seen.columns_from, seen.owners, seen.tags)


def _fold(turn: Turn, run: Run, seen: RunObserved, over: bool) -> None:
    """Facts accumulate. Of a run that is over, and of an older event, only what was not known yet is taken."""
    note_time(run, seen.state, seen.event_time)
    stale = over or seen.event_time < run.newest
    run.newest = max(run.newest, seen.event_time)
    for mine, theirs in ((run.inputs, seen.inputs), (run.outputs, seen.outputs)):
        for name, told in theirs.items():
            key = hash_of_dataset(name)
            known = mine.get(key)
            if known is not None:
                first, second = (known, told) if stale else (told, known)
                mine[key] = (second[0] if first[0] is None else first[0], second[1] if first[1] is None else first[1])
            elif len(mine) < MAX_DATASETS:
                mine[key] = told
    if seen.metrics:
        _fold_metrics(run, seen.metrics, turn.settings.metrics, stale)
    if seen.nominal_time is not None:
        run.nominal_time = seen.nominal_time
    run.error = run.error or seen.error
    if seen.streaming:
        run.streaming = True
    if seen.incomplete:
        run.incomplete = True
    if seen.code_version:
        run.code_version = seen.code_version


def _fold_metrics(run: Run, told: Mapping[str, float], watched: Collection[str] | None, stale: bool) -> None:
    for name, value in sorted(told.items()):
        if name in run.metrics:
            run.metrics[name] = run.metrics[name] if stale else value
        elif len(run.metrics) < MAX_SERIES["job"] and (watched is None or name in watched):
            run.metrics[name] = value


def _waits_for_start(turn: Turn, run: Run) -> bool:
    """An end without its START, of a job that sends STARTs: disorder, most likely. Wait a little, then judge.

    Only a completed run needs it, for its duration: a failure must not wait.
    """
    if run.started is not None or run.state != "COMPLETE":
        return False
    if turn.entity.runs.streaming or not turn.entity.runs.sends_start or run.settle_at == 0.0:
        return False
    if run.settle_at is None:
        run.settle_at = turn.now + SETTLE
    return True


def _began(turn: Turn, run: Run, seen: RunObserved) -> None:
    """The first event of a run has come, or its START after another one: only that tells when it began."""
    runs = turn.entity.runs
    if run.scheduled is not None:
        if seen.state == "START":
            began = turn.believed(run.began)
            runs.schedule.correct(run.scheduled, began, turn.settings.late, turn.settings.calendar)
            run.scheduled = began
        return
    run.scheduled = began = turn.believed(seen.event_time)
    runs.schedule.add(began, seen.arrived - seen.event_time, turn.settings.late, turn.settings.calendar)
    if "late" in turn.entity.judgement.episodes:
        _took(turn, "late", began)
        turn.over("late", f"a run began at {moment(began)}", run.id)
    for waiting in [r for r in runs.open.values() if r.ended is not None and r is not run]:
        _judge_run(turn, waiting)


def metrics_of(run: Run) -> dict[str, float]:
    """The metrics of a run, by name and in a fixed order; what was not measured is not there. Units: see `unit_of`.

    A number that is none or below zero (some drivers say -1 rows) is not measured.
    """
    found = {name: value for name, value in run.metrics.items() if name not in CHECKS and 0 <= value < NEVER}
    if run.started is not None and run.ended is not None and not run.streaming:
        found["duration"] = max(run.ended - run.started, 0.0)
    for names, datasets in ((("rows_in", "bytes_in"), run.inputs), (("rows_out", "bytes_out"), run.outputs)):
        if not 0 < len(datasets) < MAX_DATASETS:
            continue
        told = zip(*map(datasets.__getitem__, sorted(datasets)), strict=True)
        for name, values in zip(names, told, strict=True):
            measured = [value for value in values if value is not None and 0 <= value < NEVER]
            if measured:
                total = 0.0
                for value in measured:
                    total += value
                found[name] = total
    return dict(sorted(found.items()))


def _judge_run(turn: Turn, run: Run) -> None:
    runs = turn.entity.runs
    close(runs, run, turn.believed(NEVER))
    runs.ended_last = max(runs.ended_last, turn.believed(run.ended or 0.0))
    if turn.entity.judgement.episodes:
        _hangs_no_more(turn, f"the run ended ({run.state.lower()})", run)
    if run.state == "FAIL":
        run.severity, reason = CRITICAL, _failed(turn, run, "failed", CRITICAL)
    elif run.state == "ABORT":
        run.severity, reason = WARNING, _failed(turn, run, "aborted", WARNING)
    else:
        reason = _completed(turn, run)
    if run.state == "COMPLETE":
        lineage.reads(turn, run.inputs, turn.believed(run.began))
    turn.outcome(run.hash, run.severity, reason, run.began, mends=run.not_before > 0)
    write_down(turn, run, "run", reason, run_id=run.id)
    recovery.on_run(turn, run)


def _failed(turn: Turn, run: Run, check: str, severity: int) -> str:
    error = f": {run.error}" if run.error else ""
    turn.find(check, severity, f"run {run.id} {check}{error}", run.id, error=run.error)
    return f"run {run.id} {check}"


def _completed(turn: Turn, run: Run) -> str:
    runs = turn.entity.runs
    if turn.entity.judgement.episodes:
        for check in ("failed", "aborted"):
            turn.over(check, f"run {run.id} completed", run.id)
    completed(turn, turn.believed(run.ended or 0.0), run.id)
    reason = _judge_metrics(turn, run)
    if run.severity == INFO:
        runs.good = Good(run.id, run.ended or turn.at, run.version, run.code_version)
    return reason


def _judge_metrics(turn: Turn, run: Run) -> str:
    """Judge what was not judged yet of a completed run. Returns what to say if its severity is not 0.

    What a streaming run did in all its life compares with nothing: its windows are judged.
    """
    if run.streaming:
        return "a good run"
    new = _watched(turn, run)
    if run.judged:
        new = {metric: value for metric, value in new.items() if metric not in run.judged}
    run.judged += new
    bad = judge(turn, {} if run.incomplete else new)
    turn.tell(run.id)
    run.severity = max([run.severity, *bad.values()])
    return f"unusual {', '.join(bad)} in run {run.id}" if bad else "a good run"


def _watched(turn: Turn, run: Run) -> dict[str, float]:
    watched, found = turn.settings.metrics, metrics_of(run)
    return found if watched is None else {metric: found[metric] for metric in found if metric in watched}


def _late_facts(turn: Turn, run: Run) -> None:
    """Facts that came after the end: judge what they add, and let the run's outcome be what it is now."""
    if run.state != "COMPLETE":
        return
    before = run.severity
    reason = _judge_metrics(turn, run)
    if run.severity > before:
        turn.outcome(run.hash, run.severity, reason, run.began)
    if turn.judged:
        write_down(turn, run, "run", reason, run_id=run.id)


def _judge_window(turn: Turn, run: Run, seen: RunObserved) -> None:
    """A streaming run that reports whole windows: each report is judged, once, and the run goes on."""
    told = f"window {seen.event_time}"
    if told in run.judged:
        return
    run.judged = [*run.judged[1 - KEEP_WINDOWS :], told]
    window = Run(run.id, run.hash, turn.now, streaming=True)
    _fold(turn, window, seen, False)
    severity = max([INFO, *judge(turn, _watched(turn, window)).values()])
    turn.tell(run.id)
    for check in ("failed", "aborted"):
        turn.over(check, f"run {run.id} has written a window", run.id)
    turn.outcome(hash_of(f"{run.id}@{turn.at}"), severity, f"unusual window of run {run.id}", turn.at)
    window.severity = severity
    write_down(turn, window, "window", "unusual" if severity else "a good window", run_id=run.id)


# ---------------------------------------------------------------- time


def due(turn: Turn, grace_until: float) -> float:
    """When this job next wants the time, in seconds since 1970."""
    runs = turn.entity.runs
    times = [NEVER]
    for run in runs.open.values():
        if run.ended is not None:
            times.append(run.settle_at or turn.now)
        elif not run.streaming:
            times.append(max(_hangs_at(turn, run), grace_until))
            times.append(run.first_seen + ABANDON)
    times.append(max(_late_at(turn), grace_until))
    return min(times)


def on_time(turn: Turn, grace_until: float) -> None:
    """Time has come for something: runs that waited, that hang or were abandoned; a run that is late."""
    runs = turn.entity.runs
    for run in list(runs.open.values()):
        if run.ended is not None:
            if (run.settle_at or 0.0) <= turn.now:
                run.settle_at = 0.0
                _judge_run(turn, run)
        elif not run.streaming and turn.now >= run.first_seen + ABANDON:
            del runs.open[run.id]
            _hangs_no_more(turn, "no end was seen for a week", run)
        elif turn.now >= max(_hangs_at(turn, run), grace_until):
            _hangs(turn, run)
    if turn.now < grace_until:
        return
    if turn.now >= _late_at(turn):
        _late(turn)


class Learned(NamedTuple):
    """How many seconds a run may take by what is learned: what is usual, of so many runs."""

    limit: float
    usual: float
    runs: int


def _learned_limit(turn: Turn) -> Learned | None:
    """How long a run may take by what is learned; None while too little is."""
    rule = turn.settings.hanging
    if rule is None or "duration" not in turn.entity.series:
        return None
    usual, runs = usual_of(turn, "duration")
    if runs < rule.min_runs:
        return None
    return Learned(turn.entity.lessons.hanging * max(rule.floor, rule.factor * usual), usual, runs)


def _longest(turn: Turn) -> float:
    """How many seconds a run may take before it hangs."""
    declared, learned = turn.settings.max_duration, _learned_limit(turn)
    return min(NEVER if declared is None else declared, NEVER if learned is None else learned.limit)


def _why(turn: Turn) -> str:
    """Why a run hangs that takes longer than `_longest`."""
    declared = turn.settings.max_duration
    learned, taught = _learned_limit(turn), turn.entity.lessons.hanging
    if learned is None or (declared is not None and declared <= learned.limit):
        return f"at most {duration(declared or 0.0)} was declared"
    said = "" if taught == 1 else f"; taught by feedback: {taught:.3g} times as long as learned is allowed"
    return f"{duration(learned.usual)} is usual ({learned.runs} runs seen{said})"


def _hangs_at(turn: Turn, run: Run) -> float:
    if run.state != "RUNNING" or run.streaming or "hanging" in run.judged:
        return NEVER
    return _runs_since(run) + _longest(turn)


def _runs_since(run: Run) -> float:
    return run.began if run.scheduled is None else run.scheduled


def _hangs_no_more(turn: Turn, why: str, run: Run) -> None:
    """The episode is over when no open run hangs any more, not when any run ends."""
    if "hanging" in turn.entity.judgement.episodes and not any(
        "hanging" in other.judged for other in turn.entity.runs.open.values()
    ):
        _took(turn, "hanging", turn.believed(run.ended or turn.now) - _runs_since(run))
        turn.over("hanging", why, run.id)


def _hangs(turn: Turn, run: Run) -> None:
    run.judged.append("hanging")
    longest, why = _longest(turn), _why(turn)
    running = turn.now - _runs_since(run)
    learned = _learned_limit(turn)
    if learned is not None and learned.limit <= longest:
        _remember_told(turn, "hanging", running, learned.usual, learned.limit / turn.entity.lessons.hanging)
    turn.find(
        "hanging",
        CRITICAL,
        f"run {run.id} has not ended after {duration(running)}: {why}",
        run.id,
        observed=running,
        upper=longest,
        unit="seconds",
        direction="high",
        error=run.error,
    )


def _late_at(turn: Turn) -> float:
    runs = turn.entity.runs
    late_at = _learned_late_at(turn)
    if late_at is None or turn.settings.late is None or runs.streaming or "late" in turn.entity.judgement.episodes:
        return NEVER
    # The last run still goes on, and may keep the next one away. An older one does not: others have begun since.
    last = runs.schedule.starts[-1]
    goes_on = any(run.scheduled is not None and run.scheduled >= last for run in runs.open.values())
    if goes_on or turn.is_held():
        return NEVER
    return max(late_at + _held_up(turn), runs.ended_last + turn.settings.late.floor)


def _held_up(turn: Turn) -> float:
    """By how many seconds a hold that is over puts off lateness: by the runs that it kept away, which a plan names."""
    schedule, released_at = turn.entity.runs.schedule, turn.entity.lineage.released_at
    if schedule.expected is None or released_at <= schedule.expected:
        return 0.0
    interval = schedule.expected - schedule.starts[-1]
    return math.ceil((released_at - schedule.expected) / interval) * interval if interval > 0 else 0.0


def _learned_late_at(turn: Turn) -> float | None:
    """When the next run is late by what was learned, and by what people said of that."""
    expected, late_at = turn.entity.runs.schedule.expected, turn.entity.runs.schedule.late_at
    if expected is None or late_at is None:
        return None
    return max(late_at, expected + turn.entity.lessons.late)


def _remember_told(turn: Turn, check: str, observed: float, expected: float, upper: float) -> None:
    """Of what is late or hangs: how long it took, until it is known how long it took in the end."""
    told = Told(observed, expected, -NEVER, upper, check, turn.now, check, turn.next_id())
    turn.entity.lessons.remember(check, told)


def _took(turn: Turn, check: str, observed: float) -> None:
    told = turn.entity.lessons.told.get(check)
    if told is not None and check in turn.entity.judgement.episodes:
        told.observed, told.at = max(told.observed, observed), turn.now


def _late(turn: Turn) -> None:
    schedule = turn.entity.runs.schedule
    expected, late_at = schedule.expected or turn.now, _learned_late_at(turn) or turn.now
    _remember_told(turn, "late", turn.now, expected, schedule.late_at or turn.now)
    turn.find(
        "late",
        WARNING,
        f"no run has begun; one was expected at {moment(expected)} and is late since {moment(late_at)}"
        f" (learned from {len(schedule.starts)} runs; the last began at {moment(schedule.starts[-1])})",
        expected=expected,
        upper=late_at,
        unit="time",
        direction="high",
        samples=len(schedule.starts),
    )
