"""What a dataset's entity does with what runs write to it, with the checks of others, and with profiles."""

from detector.core import lineage
from detector.core.columns import NO_LOADS, judge_columns
from detector.core.declared.judging import judge_declared, still_fails
from detector.core.events import TERMINAL, Assertion, DatasetObserved, Profiled
from detector.core.judge import judge
from detector.core.judged import write_down
from detector.core.ledger import close, find_run, hash_of, is_new_profile, note_time
from detector.core.promises import completed
from detector.core.schema_changes import CHECK, explain, is_explained, judge_schema, kept, lifecycle_of
from detector.core.state import NEVER, Good, Measured, Run
from detector.core.turn import CRITICAL, INFO, Turn

# A run that reads a dataset and writes it is two runs there; a profile without a run is one of its own.
READER, PROFILE = "\0", "profile\0"
MAX_CHECKS = 1_000
NAMED_CHECKS = 10
MAX_WAITING = 64_000
KEEP_FAILING = 100
FORGET_FAILING = 7 * 86_400.0


def on_dataset(turn: Turn, seen: DatasetObserved) -> None:
    """Fold what one event says of the dataset; judge what a run wrote when that run is over."""
    if seen.dataset.owners or seen.dataset.tags:
        lineage.learn(turn, {}, seen.dataset.owners, seen.dataset.tags)
    if seen.dataset.aliases:
        lineage.known_as(turn, seen.dataset.aliases, turn.believed(seen.event_time))
    turn.subset = seen.dataset.subset
    if seen.job is not None:
        side = {"down" if seen.role == "input" else "up": (seen.job,)}
        lineage.meet(turn, **side, at=turn.believed(seen.event_time))
    if seen.role == "described":
        outcomes: dict[str, bool] = {}
        _fold_assertions(outcomes, seen.dataset.assertions)
        _assertions(turn, outcomes, None)
        _on_described(turn, seen)
    elif seen.run_id is not None and (
        seen.role == "output" or seen.dataset.assertions or seen.dataset.profile is not None
    ):
        _on_write(turn, seen, seen.run_id if seen.role == "output" else f"{seen.run_id}{READER}{seen.job}")


def _on_write(turn: Turn, seen: DatasetObserved, run_id: str) -> None:
    runs = turn.entity.runs
    run = find_run(runs, run_id, seen.state, seen.event_time, turn.now)
    if run is None:
        return
    over, before = run.id in runs.closed, run.severity
    if seen.role == "output":
        run.job = seen.job
        if run.state == "RUNNING" and not over:
            turn.probes(run.id)
    _fold(run, seen, over)
    if run.ended is not None and not over:
        close(runs, run, turn.believed(NEVER))
        if seen.role == "output" and run.state == "COMPLETE":
            completed(turn, turn.believed(run.ended), run.id)
        _judge_write(turn, run)
        if seen.role == "output" and run.state == "COMPLETE":
            write_down(turn, run, "load", _reason(run), run_id=_told_as(run))
        _write_down_readings(turn, run, seen)
        return
    if over:
        _judge_facts(turn, run)
    else:
        _judge_assertions(turn, run)  # a check that failed has failed, and the end may not speak of this dataset
        if seen.role == "input":
            run.severity = max(run.severity, judge_columns(turn, run))
            turn.tell(_told_as(run))
        if run.streaming and seen.state == "RUNNING":  # it may never end
            if seen.role == "output" and seen.dataset.rows != 0:
                completed(turn, turn.believed(seen.event_time), run.id)
            run.severity = max(run.severity, judge_schema(turn, run, "output", _told_as(run)))
    if run.severity > before:
        turn.outcome(run.hash, run.severity, _reason(run), run.began)
    _write_down_readings(turn, run, seen)


def _write_down_readings(turn: Turn, run: Run, seen: DatasetObserved) -> None:
    """What a reader measured, and what was heard of a load later."""
    if not turn.judged:
        return
    if seen.role == "output":
        write_down(turn, run, "load", _reason(run), run_id=_told_as(run))
    else:
        write_down(turn, run, "profile", _reason(run), run_id=_told_as(run), grain="read")


def _fold(run: Run, seen: DatasetObserved, over: bool) -> None:
    note_time(run, seen.state, seen.event_time)
    stale = over or seen.event_time < run.newest
    run.newest = max(run.newest, seen.event_time)
    if seen.streaming:
        run.streaming = True
    dataset = seen.dataset
    if seen.role == "output":
        for name, value in (("rows", dataset.rows), ("bytes", dataset.bytes), ("files", dataset.files)):
            if value is not None and not (stale and name in run.metrics):
                run.metrics[name] = value
        run.lifecycle = (run.lifecycle if stale else None) or lifecycle_of(dataset) or run.lifecycle
        if CHECK not in run.judged and not (stale and run.schema):
            run.schema = kept(dataset.schema) or run.schema
    run.version = (run.version or dataset.version) if stale else (dataset.version or run.version)
    _fold_assertions(run.assertions, dataset.assertions)
    if dataset.profile is not None and "columns" not in run.judged and not (stale and run.measured):
        if seen.state not in TERMINAL and len(dataset.profile.values) > MAX_WAITING:
            return  # the end of the run may tell it again; until then the state would carry it
        grain = "load" if seen.role == "output" else "read"
        run.measured = Measured(dataset.profile, dataset.rows, dataset.bytes, grain, run.id)


def _fold_assertions(outcomes: dict[str, bool], told: tuple[Assertion, ...]) -> None:
    """A check that was told twice has failed if it failed once. What its owner calls a warning is no failure."""
    for check in told:
        name = f"{check.assertion}({check.column})" if check.column else check.assertion
        if check.severity != "warn" and (name in outcomes or len(outcomes) < MAX_CHECKS):
            outcomes[name] = check.success and outcomes.get(name, True)


def _judge_write(turn: Turn, run: Run) -> None:
    """A run that failed wrote nothing that can be judged: its job says so. One good run does not mend the checks that
    fail in another.
    """
    if run.state != "COMPLETE":
        run.measured = run.schema = None
    if run.state == "COMPLETE":
        _judge_facts(turn, run)
    elif run.assertions:
        _judge_assertions(turn, run)
    else:
        return
    if run.severity == INFO and (turn.entity.runs.failing or still_fails(turn)):
        return
    told = _told_as(run)
    if run.severity == INFO and run.state == "COMPLETE" and run.metrics and told:
        turn.entity.runs.good = Good(told, run.ended or turn.at, run.version)
    if run.judged:
        turn.outcome(run.hash, run.severity, _reason(run), run.began, mends=run.not_before > 0)


def _judge_facts(turn: Turn, run: Run) -> None:
    watched = turn.settings.metrics
    explain(turn.entity.shape, run)
    if run.state == "COMPLETE" and not run.streaming:
        new = {
            metric: value
            for metric, value in sorted(run.metrics.items())
            if (watched is None or metric in watched) and metric not in run.judged and not is_explained(run, metric)
        }
        run.judged += new
        run.severity = max([run.severity, *judge(turn, new).values()])
    run.severity, told = max(run.severity, judge_declared(turn, run)), _told_as(run)
    if run.state == "COMPLETE" and not run.streaming:
        run.severity = max(run.severity, judge_columns(turn, run))
    turn.tell(told)
    if run.state == "COMPLETE":
        run.severity = max(run.severity, judge_schema(turn, run, "output", told))
    run.measured = run.schema = None
    _judge_assertions(turn, run)


def _judge_assertions(turn: Turn, run: Run) -> None:
    if not run.assertions:
        return
    judged = set(run.judged)
    new = {name: ok for name, ok in sorted(run.assertions.items()) if _judged_as(name, ok) not in judged}
    if new:
        run.judged += [_judged_as(name, success) for name, success in new.items()]
        run.severity = max(run.severity, _assertions(turn, new, _told_as(run)))


def _judged_as(name: str, success: bool) -> str:
    return f"{'passed' if success else 'failed'} {name}"


def _assertions(turn: Turn, outcomes: dict[str, bool], run_id: str | None) -> int:
    """Checks that somebody else ran: each that failed is critical, as its owner declared it, until it passes."""
    failing = turn.entity.runs.failing
    for name, success in outcomes.items():
        failing.pop(name, None)
        if not success and len(failing) < KEEP_FAILING:
            failing[name] = turn.at
    for name in [name for name, at in failing.items() if at < turn.at - FORGET_FAILING]:
        del failing[name]
    failed = sorted(name for name, success in outcomes.items() if not success)
    if failed:
        more = ", ..." if len(failed) > NAMED_CHECKS else ""
        told = f"{len(failed)} of {len(outcomes)} checks failed: {', '.join(failed[:NAMED_CHECKS])}{more}"
        turn.find("assertion", CRITICAL, told, run_id)
        return CRITICAL
    if outcomes and not failing:
        turn.over("assertion", "all checks pass", run_id)
    return INFO


def _reason(run: Run) -> str:
    if not all(run.assertions.values()):
        return f"failed checks in run {_told_as(run)}"
    return f"unusual load by run {_told_as(run) or 'unknown'}" if run.severity else "a good load"


def _told_as(run: Run) -> str | None:
    """The id of a run as its scheduler knows it; None for a profile that names none."""
    return None if run.id.startswith(PROFILE) else run.id.partition(READER)[0]


def _on_described(turn: Turn, seen: DatasetObserved) -> None:
    """What somebody knows of the whole table, outside any run. That nothing changed in it is no good load."""
    dataset, schema = seen.dataset, kept(seen.dataset.schema)
    lifecycle = lifecycle_of(dataset)
    name = f"{PROFILE}table/{seen.event_time}"
    if dataset.profile is None and schema is None and lifecycle is None:
        return
    if not is_new_profile(turn.entity.runs, name, seen.event_time, turn.believed(NEVER)):
        return
    turn.entity.shape.lifecycle = lifecycle or turn.entity.shape.lifecycle
    run = Run(name, hash_of(name), turn.now, version=dataset.version)
    note_time(run, "COMPLETE", seen.event_time)
    run.schema = schema
    run.severity = judge_schema(turn, run, "described", None, confirm=False)
    if dataset.profile is not None:
        run.measured = Measured(dataset.profile, dataset.rows, dataset.bytes, "table", name)
    if run.measured is not None or run.severity > INFO:
        _judge_write(turn, run)
        write_down(turn, run, "profile", _reason(run), grain="table")


def on_profile(turn: Turn, seen: Profiled) -> None:
    """Judge the size and the columns of a profiled set of rows. Profiles at different grains are different series."""
    profile, runs = seen.profile, turn.entity.runs
    name = f"{PROFILE}{profile.grain}/{profile.partition}/{profile.window_end}/{profile.run_id}/{profile.event_time}"
    if not is_new_profile(runs, name, profile.event_time, turn.believed(NEVER)):
        return
    run_id = profile.run_id or name
    load = runs.open.get(run_id) or runs.closed.get(run_id)
    turn.subset = (profile.partition,) if profile.partition else ()
    run = Run(run_id, hash_of(run_id), turn.now, load.began if load else None, version=profile.version)
    run.explained = load.explained if load else None
    note_time(run, "COMPLETE", profile.event_time)
    for metric, value in (("rows", profile.rows), ("bytes", profile.bytes)):
        if value is not None:
            run.metrics[f"profile_{metric}:{profile.grain}"] = value
    if profile.statistics is not None:
        which = profile.run_id or f"{profile.partition or ''}/{profile.window_end or ''}".strip("/")
        run.measured = Measured(profile.statistics, profile.rows, profile.bytes, profile.grain, which)
    run.schema = kept(profile.schema)
    if profile.grain not in NO_LOADS:
        completed(turn, turn.believed(profile.event_time), profile.run_id)
    run.severity = judge_schema(turn, run, f"profile {profile.grain}", _told_as(run))
    _judge_write(turn, run)
    write_down(turn, run, "profile", _reason(run), run_id=_told_as(run), grain=profile.grain)
