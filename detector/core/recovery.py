"""Which runs must be redone once what was bad is good again: collected by each job, put in order by the board.

From the moment at which a job is held, or blamed for bad data, it notes its runs: those that read what was bad, those
that failed, and, when it may go on, those that should have begun and did not. It tells them to the board of incidents,
which makes one plan of all jobs of one cause; then it watches its own runs for those that redo them.
"""

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal

import msgspec

from detector.core.breaker import Held
from detector.core.messages import Blame, Redo, RedoneTold, RunsTold, Why

if TYPE_CHECKING:
    from detector.core.state import Run
    from detector.core.turn import Turn

MAX_RUNS = 100
MAX_ROOTS = 32
MAX_BLOCKED = 50
SAME_TIME = 1.0
FORGET = 30 * 86_400.0


class Collected(msgspec.Struct, array_like=True):
    """What a job has to redo because of one root, since `since`; `told` once the board knows, and runs are redone.

    `held_from` is when a hold began, or None for a job that is only blamed: of that nothing is missing. `before` are
    the runs that nobody had redone when the root was bad again.
    """

    since: float
    runs: list[Redo] = []
    held_from: float | None = None
    told: bool = False
    told_at: float = 0.0
    before: list[Redo] = []


class PlanStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The runs of one job in a plan; `after` are the jobs of this plan that must be done before it."""

    job: str
    after: list[str] = []
    runs: list[Redo] = []


class RecoveryPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All runs to redo after `root` was bad, in topological order. `version` counts its changes.

    It is `open` until each run is redone (`done`), or somebody gives it up (`abandoned`). `last_good_run` and
    `last_good_version` are those of the root before it was bad.
    """

    plan: str
    version: int
    root: str
    incident: str | None
    state: Literal["open", "done", "abandoned"]
    opened: float
    steps: list[PlanStep]
    summary: str
    last_good_run: str | None = None
    last_good_version: str | None = None


# ---------------------------------------------------------------- a job collects


def on_hold(turn: "Turn", root: str, held: Held) -> None:
    """A hold begins: runs that began after the bad data did have read it."""
    if not turn.entity.key.startswith("job:"):
        return
    mine = _collected(turn, root, held.since)
    mine.held_from = turn.now
    for run in turn.entity.runs.closed.values():
        if run.began >= held.since:
            _note(mine, run, "failed" if run.state in ("FAIL", "ABORT") else "bad")


def on_blame(turn: "Turn", blame: Blame) -> None:
    """A dataset that this job writes says that a run wrote what is bad."""
    runs = turn.entity.runs
    run = runs.closed.get(blame.run_id) or runs.open.get(blame.run_id)
    redo = Redo(why="bad", run_id=blame.run_id, nominal_time=run.nominal_time if run else None)
    _add(_collected(turn, blame.root, blame.at), redo)


def _collected(turn: "Turn", root: str, since: float) -> Collected:
    recovery = turn.entity.recovery
    known = recovery.get(root)
    if known is not None and not known.told:
        known.since = min(known.since, since)
        return known
    if len(recovery) >= MAX_ROOTS and known is None:
        del recovery[min(recovery, key=lambda key: (not recovery[key].told, recovery[key].told_at, key))]
    undone = [redo for redo in known.runs if redo.done_by is None] if known is not None else []
    recovery[root] = found = Collected(since, before=undone)
    return found


def on_run(turn: "Turn", run: "Run") -> None:
    """A run of this job is over: it redoes some, or it must itself be redone."""
    if not turn.entity.recovery:
        return
    good = run.state == "COMPLETE" and run.severity == 0
    for root, mine in sorted(turn.entity.recovery.items()):
        if mine.told:
            if good:
                _redone(turn, root, mine, run)
        elif good and mine.held_from is None:
            _mends(mine, run)
        elif mine.held_from is not None and run.began >= mine.since:
            _note(mine, run, "bad" if run.state == "COMPLETE" else "failed")
        elif mine.held_from is None and good:  # it may be what mends the root: then it is redone before it is planned
            mine.runs = [redo for redo in mine.runs if not _is_same(redo, run)]


def _mends(mine: Collected, run: "Run") -> None:
    """A good run of a job that wrote what is bad: for the same time, it is the one that makes it good again."""
    if run.began > mine.since:
        mine.runs = [
            msgspec.structs.replace(redo, done_by=run.id) if redo.done_by is None and _is_same(redo, run) else redo
            for redo in mine.runs
        ]


def _note(mine: Collected, run: "Run", why: Why) -> None:
    _add(mine, Redo(why=why, run_id=run.id, nominal_time=run.nominal_time))


def _add(mine: Collected, redo: Redo) -> None:
    """A run that failed and was repeated for the same time is one thing to redo: the last of them counts."""

    def same(other: Redo) -> bool:
        return other.run_id == redo.run_id or (
            other.nominal_time is not None and other.nominal_time == redo.nominal_time
        )

    mine.runs = [*(other for other in mine.runs if not same(other)), redo][-MAX_RUNS:]


def on_release(turn: "Turn", root: str) -> None:
    """The job may go on: tell the board what must be redone."""
    mine = turn.entity.recovery.get(root)
    if mine is None or mine.told or turn.overruled:
        return
    if turn.excused:
        mine.runs = [redo for redo in mine.runs if redo.why != "bad"]
    for at in _not_begun(turn, mine):
        why: Why = "blocked" if mine.held_from is not None and at >= mine.held_from else "missed"
        _add(mine, Redo(why=why, nominal_time=at))
    later, mine.runs = mine.runs, mine.before
    for redo in later:
        _add(mine, redo)
    mine.before = []
    mine.runs.sort(key=lambda redo: (redo.nominal_time or 0.0, redo.run_id or ""))
    lineage = turn.entity.lineage
    mine.told, mine.told_at = True, turn.now
    turn.report(
        RunsTold(root, turn.entity.key, turn.now, tuple(lineage.up), tuple(lineage.down), tuple(mine.runs)),
    )
    if all(redo.done_by for redo in mine.runs):
        del turn.entity.recovery[root]


def _not_begun(turn: "Turn", mine: Collected) -> list[float]:
    """The nominal times of runs that the learned schedule wanted since the hold, and that did not come."""
    schedule = turn.entity.runs.schedule
    if mine.held_from is None or schedule.expected is None or not schedule.starts:
        return []
    interval = schedule.expected - schedule.starts[-1]
    if interval <= 0:
        return []
    behind = _behind(turn)
    times: list[float] = []
    at = schedule.expected
    while at < turn.now and len(times) < MAX_BLOCKED:
        times.append(float(round(at - behind)))
        at += interval
    return times


def _behind(turn: "Turn") -> float:
    """How long after their nominal time the runs of this job begin."""
    last = next((run for run in reversed(turn.entity.runs.closed.values()) if run.nominal_time is not None), None)
    return 0.0 if last is None or last.nominal_time is None else last.began - last.nominal_time


def _redone(turn: "Turn", root: str, mine: Collected, run: "Run") -> None:
    """Which of the runs a good one redoes: the same run again, one for the same time, or, if no time is known, any."""
    if run.began < mine.told_at and run.id not in {redo.run_id for redo in mine.runs}:
        return
    open_ = [(at, redo) for at, redo in enumerate(mine.runs) if redo.done_by is None]
    found = [at for at, redo in open_ if _is_same(redo, run)]
    if not found and run.nominal_time is None:
        found = [at for at, _ in open_[:1]]
    if not found:
        return
    for at in found:
        mine.runs[at] = msgspec.structs.replace(mine.runs[at], done_by=run.id)
    turn.report(RedoneTold(root, turn.entity.key, turn.now, run.id, tuple(found)))
    if all(redo.done_by for redo in mine.runs):
        del turn.entity.recovery[root]


def _is_same(redo: Redo, run: "Run") -> bool:
    if redo.nominal_time is not None and run.nominal_time is not None:
        return abs(redo.nominal_time - run.nominal_time) <= SAME_TIME
    return redo.run_id == run.id


def on_time(turn: "Turn") -> None:
    """What nobody redid for a month is forgotten: the plan says what became of it."""
    recovery = turn.entity.recovery
    for root in [root for root, mine in recovery.items() if mine.told and turn.now >= mine.told_at + FORGET]:
        del recovery[root]


# ---------------------------------------------------------------- the board makes a plan


def in_order(told: dict[str, RunsTold]) -> list[PlanStep]:
    """The steps of a plan in topological order: a job after those that write what it reads. Cycles are cut by name.

    Source: A. B. Kahn, "Topological sorting of large networks" (1962), taking the first name among those that are free.
    """
    writers: dict[str, list[str]] = {}
    for job in sorted(told):
        for dataset in told[job].down:
            writers.setdefault(dataset, []).append(job)
    before = {
        job: sorted({w for dataset in told[job].up for w in writers.get(dataset, []) if w != job})
        for job in sorted(told)
    }
    order = _sorted(before)
    place = {job: at for at, job in enumerate(order)}
    steps: list[PlanStep] = []
    for job in order:
        if told[job].runs:
            after = [name for name in _nearest(job, before, told) if place[name] < place[job]]
            steps.append(PlanStep(job=job, after=after, runs=list(told[job].runs)))
    return steps


def _sorted(before: dict[str, list[str]]) -> list[str]:
    """All jobs, each after those before it."""
    missing = {job: len(names) for job, names in before.items()}
    following: dict[str, list[str]] = {}
    for job, names in before.items():
        for name in names:
            following.setdefault(name, []).append(job)
    free, waiting = [job for job in before if not missing[job]], dict.fromkeys(before)
    order: list[str] = []
    while waiting:
        job = heappop(free) if free else next(iter(waiting))
        if job not in waiting:
            continue  # a cycle was cut at it
        del waiting[job]
        order.append(job)
        for name in following.get(job, ()):
            missing[name] -= 1
            if not missing[name]:
                heappush(free, name)
    return order


def _nearest(job: str, before: dict[str, list[str]], told: dict[str, RunsTold]) -> list[str]:
    """The jobs with runs to redo that a job waits for: one that has none is passed over, to those before it.

    Each job is looked at once: the paths to them multiply with every level.
    """
    found: list[str] = []
    seen, waiting = {job}, [job]
    while waiting:
        for name in before[waiting.pop()]:
            if name not in seen:
                seen.add(name)
                (found if told[name].runs else waiting).append(name)
    return sorted(found)


def told_of(steps: list[PlanStep], root: str) -> str:
    """A plan in one sentence."""
    runs = [redo for step in steps for redo in step.runs]
    open_ = sum(redo.done_by is None for redo in runs)
    kinds = [(why, sum(redo.why == why for redo in runs)) for why in ("failed", "missed", "bad", "blocked")]
    told = ", ".join(f"{count} {why}" for why, count in kinds if count)
    count = f"{len(runs)} run{'s' if len(runs) != 1 else ''} of {len(steps)} job{'s' if len(steps) != 1 else ''}"
    if not open_:
        return f"{root}: all of {count} were redone"
    begun = f", {len(runs) - open_} done" if open_ < len(runs) else ""
    return f"{root} is good again: redo {count} ({told}){begun}"
