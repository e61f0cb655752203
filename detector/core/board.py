"""The board of incidents: one entity of the log, which hears of every finding and makes one incident of each cause.

A finding waits a moment before anybody is called for it: its cause may be found in the same second by another worker,
and people are called once for both. What is held downstream, what people say, and which runs must be redone comes by as
messages, too; on the next tick each incident that has changed is told, once.
"""

from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from detector.core import recovery
from detector.core.commands import AbandonPlan, Acknowledge, AnyCommand, Commanded, Feedback
from detector.core.incidents import (
    KEEP_AFFECTED,
    LEVELS,
    REST,
    Around,
    Board,
    Incident,
    IncidentFinding,
    Precision,
    Seen,
    Severity,
    is_cause_of,
    is_news,
    is_over,
    kept,
    kind_of,
    like,
    nearness,
    noted,
    past_of,
    root_of,
    severity_of,
    shortened,
)
from detector.core.ledger import hash_of
from detector.core.messages import (
    BoardMessage,
    BreakerTold,
    FindingTold,
    HoldTold,
    Redo,
    RedoneTold,
    RunsTold,
    VerdictTold,
)
from detector.core.recovery import RecoveryPlan
from detector.core.sentences import what_to_do
from detector.core.text import duration, jobs_and_datasets
from detector.core.turn import Turn
from detector.core.windows import active, next_change

NEVER = float("inf")
HOUR, DAY = 3_600.0, 86_400.0
REOPEN = DAY
AT_ONCE = 1e-3  # seconds: at the next tick
LONGEST_RULE = 200  # characters of the name of a rule
BEGINNING = 150  # characters of the id of a verdict on an incident, in those of the verdicts that it becomes
KEEP_RESOLVED, KEEP_PAST, KEEP_PLANS, KEEP_RULES = 500, 500, 100, 500
INCIDENT = {name: f"io.detector.incident.{name}.v1" for name in ("opened", "updated", "resolved", "reopened", "merged")}
VALUE = "io.detector.incident.v1"
PLAN = "io.detector.recovery.plan.v1"


def on_message(turn: Turn, told: BoardMessage) -> None:
    """One entity tells what happened to it."""
    match told:
        case FindingTold(phase="started"):
            _found(turn, told)
        case FindingTold():
            _goes_on(turn, told)
        case BreakerTold():
            _stops(turn, told)
        case HoldTold():
            _held(turn, told)
        case RunsTold():
            board_of(turn).drafts.setdefault(told.root, {})[told.job] = told
            board_of(turn).due[told.root] = turn.now + turn.rules.incident_wait
        case RedoneTold():
            _redone(turn, told)
        case VerdictTold():
            _judged(turn, told)


def hear(turn: Turn) -> None:
    """What goes on by published records, first of all: what is told after them may be its end."""
    board = board_of(turn)
    heard, board.heard = board.heard, []
    for told in heard:
        _found(turn, told)


def board_of(turn: Turn) -> Board:
    """The board, made when the first message comes."""
    board = turn.entity.board
    if board is None:
        board = turn.entity.board = Board()
    return board


def seen_by(board: Board) -> Seen:
    """What tells which findings belong together."""
    return Seen(board.around, board.held_by)


# ---------------------------------------------------------------- findings


def _found(turn: Turn, told: FindingTold) -> None:
    board = board_of(turn)
    board.around[told.entity] = Around(told.up, told.down, told.parent)
    if any(m.episode == told.episode for i in (*board.open.values(), *board.resolved.values()) for m in i.findings):
        return  # it was read off a published record
    _rule(board, told.check).told += 1
    member = IncidentFinding(
        entity=told.entity,
        check=told.check,
        episode=told.episode,
        severity=LEVELS[told.severity],
        since=told.at,
        summary=told.summary,
        run_id=told.run_id,
    )
    incident = _incident_of(turn, told)
    tags = sorted({*incident.tags, *told.tags})
    findings = kept([*incident.findings, member])
    timeline = noted(incident.timeline, told.at, f"{told.entity}: {told.summary}")
    owner = incident.owner or told.owner
    _put(turn, replace(incident, findings=findings, tags=tags, timeline=timeline, owner=owner))


def _rule(board: Board, check: str) -> Precision:
    """What is counted of the rule of a check. Producers name metrics as they like: who told least gives way."""
    name, known = kind_of(check)[:LONGEST_RULE] or "unknown", board.precision
    if name not in known and len(known) >= KEEP_RULES:
        del known[min(known, key=lambda one: (sum(msgspec.structs.astuple(known[one])), one))]
    return known.setdefault(name, Precision())


def _incident_of(turn: Turn, told: FindingTold) -> Incident:
    """The incident that a finding belongs to: one that is open (those that it joins become one), one that had it a
    while ago, or a new one."""
    board, seen = board_of(turn), seen_by(board_of(turn))
    near = {i.id: nearness(i, told, seen, turn.now, board.stops) for i in board.open.values()}
    found = [i for i in board.open.values() if near[i.id]]
    joined = sorted(found, key=lambda i: (-near[i.id], -i.opened, i.id))[:1]
    joined += [i for i in board.open.values() if i not in joined and is_cause_of(told, i, seen, turn.now)]
    if joined:
        first, *others = sorted(joined, key=lambda incident: (incident.opened, incident.id))
        for other in others:
            first = _merge(turn, first, other)
        return first
    for incident in board.resolved.values():
        before = incident.resolved or 0.0
        same = any(m.entity == told.entity and m.check == told.check for m in incident.findings)
        if same and turn.now - before <= REOPEN:
            return _reopen(turn, incident)
    opened = Incident(
        id=turn.next_id(),
        version=0,
        state="open",
        severity="info",
        root=told.entity,
        opened=told.at,
        updated=told.at,
    )
    board.waits[opened.id] = turn.now + turn.rules.incident_wait
    board.changed[opened.id] = "opened"
    return opened


def _merge(turn: Turn, first: Incident, other: Incident) -> Incident:
    """Two incidents turn out to be one: the older goes on, the other says so, if anybody has heard of it."""
    board = board_of(turn)
    del board.open[other.id]
    if board.waits.pop(other.id, None) is None:
        _tell(turn, "merged", replace(other, state="merged", merged_into=first.id, pages=False))
    board.changed.pop(other.id, None)
    entries = shortened(sorted([*first.timeline, *other.timeline], key=lambda entry: entry.at))
    return replace(
        first,
        findings=kept([*first.findings, *other.findings]),
        timeline=entries,
        tags=sorted({*first.tags, *other.tags}),
        owner=first.owner or other.owner,
        acknowledged_by=first.acknowledged_by or other.acknowledged_by,
        called=max(first.called, other.called, key=_level),
    )


def _reopen(turn: Turn, incident: Incident) -> Incident:
    board = board_of(turn)
    del board.resolved[incident.id]
    board.changed[incident.id] = "reopened"
    board.waits[incident.id] = turn.now + turn.rules.incident_wait
    again = replace(incident, state="open", resolved=None, reopened=incident.reopened + 1, acknowledged_by=None)
    rests_until = (incident.called_at or -REST) + REST
    rests = turn.now < rests_until
    return replace(
        again,
        called=incident.called if rests else None,
        rests_until=rests_until if rests else None,
        timeline=noted(again.timeline, turn.now, "it is back"),
    )


def _goes_on(turn: Turn, told: FindingTold) -> None:
    """A finding got worse or ended."""
    incident = _with_episode(board_of(turn), told.episode)
    if incident is None:
        return
    changed = []
    for member in incident.findings:
        if member.episode == told.episode and told.phase == "ended":
            if member.ended is not None:
                return  # it was read off a published record
            member = replace(member, ended=told.at)
        elif member.episode == told.episode:
            member = replace(member, severity=LEVELS[told.severity], summary=told.summary)
        changed.append(member)
    timeline = noted(incident.timeline, told.at, f"{told.entity}: {told.summary}")
    _put(turn, replace(incident, findings=changed, timeline=timeline))


def _with_episode(board: Board, episode: str) -> Incident | None:
    return next((i for i in board.open.values() if any(m.episode == episode for m in i.findings)), None)


def _with_entity(board: Board, entity: str) -> Incident | None:
    """The incident that an entity has a finding in; of several, the newest."""
    found = [i for i in board.open.values() if any(m.entity == entity for m in i.findings)]
    return max(found, key=lambda incident: (incident.opened, incident.id), default=None)


def _put(turn: Turn, incident: Incident) -> None:
    board = board_of(turn)
    board.open[incident.id] = incident
    board.changed.setdefault(incident.id, "updated")


# ---------------------------------------------------------------- breakers and holds


def _stops(turn: Turn, told: BreakerTold) -> None:
    """A dataset's breaker stops its readers, or lets them go on."""
    board = board_of(turn)
    incident = (_with_episode(board, told.cause) if told.cause else None) or _with_entity(board, told.entity)
    if told.stops:
        board.stops[told.entity] = told
    else:
        board.good[told.entity] = board.stops.pop(told.entity, told)
        board.due.setdefault(told.entity, turn.now + turn.rules.incident_wait)
        for one in board.open.values():  # any of them may be over now
            if any(member.entity == told.entity for member in one.findings):
                board.changed.setdefault(one.id, "updated")
    if incident is None:
        return
    text = f"{told.entity} stops its readers: {told.reason}" if told.stops else f"{told.entity} lets its readers go on"
    changed = replace(incident, timeline=noted(incident.timeline, told.at, text))
    if told.stops:
        changed = replace(
            changed,
            last_good_run=told.last_good_run,
            last_good_version=told.last_good_version,
            last_good_at=told.last_good_at,
        )
    _put(turn, changed)


def _held(turn: Turn, told: HoldTold) -> None:
    """An entity downstream is held because of a root, or is no more: the incident of the root has hit it."""
    board = board_of(turn)
    roots = board.held_by.setdefault(told.entity, {})
    if not told.held:
        roots.pop(told.root, None)
        if not roots:
            del board.held_by[told.entity]
        _let_go(turn, told.entity)
        return
    roots[told.root] = told.path
    incident = _with_entity(board, told.root)
    if incident is not None:
        incident = _with_what_it_explains(turn, incident, told.entity)
        affected = sorted({*incident.affected, told.entity})[:KEEP_AFFECTED]
        _put(turn, replace(incident, affected=affected, tags=sorted({*incident.tags, *told.tags})))


def _let_go(turn: Turn, entity: str) -> None:
    """An entity goes on, as far as one root is concerned: in any incident, whose root may have a newer one by now."""
    board = board_of(turn)
    still = board.held_by.get(entity, {})
    for incident in list(board.open.values()):
        if entity in incident.affected and not any(member.entity in still for member in incident.findings):
            _put(turn, replace(incident, affected=[key for key in incident.affected if key != entity]))


def _with_what_it_explains(turn: Turn, incident: Incident, entity: str) -> Incident:
    """What was found of late in an entity that is held now has its cause in what holds it."""
    board = board_of(turn)
    for other in list(board.open.values()):
        if all(member.entity != entity for member in other.findings):
            continue
        root = root_of(other.findings, seen_by(board))
        if other.id != incident.id and root.entity == entity and is_news(root, turn.now):
            older, newer = sorted((incident, other), key=lambda one: (one.opened, one.id))
            incident = _merge(turn, older, newer)
    return incident


# ---------------------------------------------------------------- time


def due(turn: Turn) -> float:
    """When the board next wants the time: on the next tick, while something is to be told."""
    board = turn.entity.board
    if board is None:
        return NEVER
    told = [turn.now + AT_ONCE for key in board.changed if key not in board.waits]
    ends = [(i.resolved or 0.0) + REOPEN for i in board.resolved.values()]
    ends += [incident.rests_until for incident in board.open.values() if incident.rests_until is not None]
    plans = [plan.opened + recovery.FORGET for plan in board.plans.values()]
    quiet = [next_change(turn.windows, turn.now, turn.rules.zones)] if any(i.quiet for i in board.open.values()) else []
    return min([*told, *board.waits.values(), *board.due.values(), *ends, *plans, *quiet], default=NEVER)


def on_time(turn: Turn) -> None:
    """Tell what has changed, once for each incident; make the plans that are due."""
    board = board_of(turn)
    for root in [root for root, at in board.due.items() if turn.now >= at]:
        _plan(turn, root)
    for key in [key for key, plan in board.plans.items() if turn.now >= plan.opened + recovery.FORGET]:
        _abandon(turn, key)
    for key, incident in list(board.open.items()):
        if incident.rests_until is not None and turn.now >= incident.rests_until:
            board.open[key] = replace(incident, called=None, rests_until=None)
            board.changed.setdefault(key, "updated")
        if incident.quiet and not _quiet(turn, incident):
            board.changed.setdefault(key, "updated")
    for key in list(board.changed):
        if key in board.waits:
            board.waits[key] = min(board.waits[key], turn.now + turn.rules.incident_wait)
        if board.waits.get(key, 0.0) > turn.now:
            continue
        phase = board.changed.pop(key)
        board.waits.pop(key, None)
        if key in board.open:
            _say(turn, phase, board.open[key])
    for key in [key for key, i in board.resolved.items() if turn.now >= (i.resolved or 0.0) + REOPEN]:
        del board.resolved[key]
    wrong = {m.entity for i in (*board.open.values(), *board.resolved.values()) for m in i.findings}
    board.around = {key: around for key, around in board.around.items() if key in wrong}


def _say(turn: Turn, phase: str, incident: Incident) -> None:
    """Tell one incident as it is now. Whether somebody is called is decided here, and nowhere else."""
    board = board_of(turn)
    incident = _judged_anew(turn, incident)
    over = is_over(incident, board.stops)
    quiet = _quiet(turn, incident)
    pages = not quiet and not over and _level(incident.severity) > _level(incident.called)
    if pages:
        by = None if phase == "updated" else incident.acknowledged_by
        incident = replace(incident, called=incident.severity, called_at=turn.now, acknowledged_by=by)
    incident = replace(incident, pages=pages, quiet=quiet)
    if phase != "updated" or not over:
        incident = _tell(turn, phase, incident)
    board.open[incident.id] = incident
    if over:
        _resolve(turn, incident)


def _level(severity: Severity | None) -> int:
    return 0 if severity is None else LEVELS.index(severity)


def _quiet(turn: Turn, incident: Incident) -> str:
    """Why nobody is called: all that goes on is muted, or in maintenance."""
    going_on = [member for member in incident.findings if member.ended is None] or incident.findings
    found = [active(turn.windows, member.entity, turn.now, turn.rules.zones) for member in going_on]
    window = found[0] if found and all(found) else None
    return f"{window.kind} by {window.owner}: {window.reason}" if window else ""


def _judged_anew(turn: Turn, incident: Incident) -> Incident:
    """The root, the severity, the title and what to do, by all that is known now."""
    board = board_of(turn)
    root = root_of(incident.findings, seen_by(board))
    alike = [m for m in incident.findings if m.entity == root.entity]
    worst = max(alike, key=lambda m: (m.ended is None, LEVELS.index(m.severity), -m.since))
    below = {key for m in incident.findings if (a := board.around.get(m.entity)) for key in a.down}
    changed = replace(
        incident,
        root=root.entity,
        title=worst.summary,
        updated=turn.now,
        downstream=len({*below, *incident.affected} - {m.entity for m in incident.findings}),
        seen_before=like(replace(incident, root=root.entity), board.past),
    )
    changed = replace(changed, severity=severity_of(changed))
    return replace(changed, summary=_summary(changed), what_to_do=what_to_do(changed))


def _summary(incident: Incident) -> str:
    entities = list(dict.fromkeys(m.entity for m in incident.findings if m.entity != incident.root))
    also = f"; {len(entities)} more with findings" if entities else ""
    held = f"; {jobs_and_datasets(incident.affected)} held downstream" if incident.affected else ""
    return f"{incident.root}: {incident.title}{also}{held}"


def _resolve(turn: Turn, incident: Incident) -> None:
    board = board_of(turn)
    lasted = duration(max(turn.now - incident.opened, 0.0))
    done = replace(
        incident,
        state="resolved",
        resolved=turn.now,
        pages=False,
        timeline=noted(incident.timeline, turn.now, f"all of it is over, after {lasted}"),
        what_to_do=[],
        summary=f"{incident.root}: over after {lasted} ({incident.title})",
    )
    done = _tell(turn, "resolved", done)
    del board.open[incident.id]
    board.resolved[done.id] = done
    board.past = [*(one for one in board.past if one.id != done.id), past_of(done)][-KEEP_PAST:]


def _tell(turn: Turn, phase: str, incident: Incident) -> Incident:
    """An event on the control topic, and the whole value on the compacted one, of which the oldest are dropped."""
    board = board_of(turn)
    incident = replace(incident, version=incident.version + 1)
    turn.say(INCIDENT[phase], incident, key=incident.id)
    turn.keep(incident.id, VALUE, incident)
    board.kept = [*(key for key in board.kept if key != incident.id), incident.id]
    surplus = [key for key in board.kept if key not in board.open][: max(len(board.kept) - KEEP_RESOLVED, 0)]
    for key in surplus:
        board.kept.remove(key)
        turn.keep(key, VALUE, None)
    return incident


# ---------------------------------------------------------------- recovery plans


def _plan(turn: Turn, root: str) -> None:
    """All jobs that were hit have told their runs: put them in order, if there are any."""
    board = board_of(turn)
    del board.due[root]
    told, good = board.drafts.pop(root, {}), board.good.pop(root, None)
    _take_out(turn, root, told)
    steps = recovery.in_order(told)
    if all(redo.done_by for step in steps for redo in step.runs):
        return
    incident = _with_entity(board, root) or next(
        (i for i in board.resolved.values() if any(m.entity == root for m in i.findings)), None
    )
    plan = RecoveryPlan(
        plan=turn.next_id(),
        version=1,
        root=root,
        incident=incident.id if incident else None,
        state="open",
        opened=turn.now,
        steps=steps,
        summary=recovery.told_of(steps, root),
        last_good_run=good.last_good_run if good else None,
        last_good_version=good.last_good_version if good else None,
    )
    board.plans[plan.plan] = plan
    turn.say(PLAN, plan, key=plan.plan)
    while len(board.plans) > KEEP_PLANS:
        _abandon(turn, next(iter(board.plans)))
    if incident is not None:
        changed = replace(incident, plan=plan.plan, timeline=noted(incident.timeline, turn.now, plan.summary))
        (board.open if incident.id in board.open else board.resolved)[incident.id] = changed
        board.changed.setdefault(incident.id, "updated")
        if incident.id in board.resolved:
            del board.changed[incident.id]
            board.resolved[incident.id] = _tell(turn, "updated", changed)


def _take_out(turn: Turn, root: str, jobs: Collection[str]) -> None:
    """A root was bad again before all was redone: these jobs have told anew what is left, for the plan to come."""
    board = board_of(turn)
    for key, plan in list(board.plans.items()):
        steps = [step for step in plan.steps if step.job not in jobs]
        if plan.root != root or len(steps) == len(plan.steps):
            continue
        if all(redo.done_by for step in steps for redo in step.runs):
            _abandon(turn, key)
            continue
        steps = [replace(step, after=[name for name in step.after if name not in jobs]) for step in steps]
        summary = recovery.told_of(steps, root)
        board.plans[key] = replace(plan, version=plan.version + 1, steps=steps, summary=summary)
        turn.say(PLAN, board.plans[key], key=key)


def _abandon(turn: Turn, key: str) -> RecoveryPlan:
    """Nobody will go on with a plan: who follows it must hear of that."""
    plan = board_of(turn).plans.pop(key)
    turn.say(PLAN, replace(plan, version=plan.version + 1, state="abandoned"), key=key)
    return plan


def _redone(turn: Turn, told: RedoneTold) -> None:
    """A run of a plan was redone."""
    board = board_of(turn)
    if told.root in board.drafts and told.job in board.drafts[told.root]:
        draft = board.drafts[told.root][told.job]
        runs = _marked(list(draft.runs), told)
        board.drafts[told.root][told.job] = replace(draft, runs=tuple(runs))
        return
    plan = next((p for p in reversed(board.plans.values()) if p.root == told.root and _has(p, told.job)), None)
    if plan is None:
        return
    steps = [replace(s, runs=_marked(s.runs, told)) if s.job == told.job else s for s in plan.steps]
    done = all(redo.done_by for step in steps for redo in step.runs)
    summary = recovery.told_of(steps, plan.root)
    changed = replace(plan, version=plan.version + 1, steps=steps, state="done" if done else "open", summary=summary)
    board.plans[plan.plan] = changed
    turn.say(PLAN, changed, key=plan.plan)
    if done:
        del board.plans[plan.plan]


def _has(plan: RecoveryPlan, job: str) -> bool:
    """Whether a job is in a plan: one that told late what it has to redo is in another one of the same root."""
    return any(step.job == job for step in plan.steps)


def _marked(runs: list[Redo], told: RedoneTold) -> list[Redo]:
    return [replace(redo, done_by=told.run_id) if at in told.indexes else redo for at, redo in enumerate(runs)]


# ---------------------------------------------------------------- what people say


def _judged(turn: Turn, told: VerdictTold) -> None:
    """A person's verdict on one finding: it counts for the rule, and stands in the incident."""
    board = board_of(turn)
    rule = _rule(board, told.check)
    setattr(rule, told.verdict, getattr(rule, told.verdict) + 1)
    text = f"{told.by} says {told.verdict.replace('_', ' ')} of {told.check or 'it'} of {told.entity}"
    text += f": {told.comment}" if told.comment else ""
    incident = _with_episode(board, told.episode) or _with_entity(board, told.entity)
    if incident is not None:
        said = replace(incident, verdict=told.verdict, verdict_by=told.by)
        _put(turn, replace(said, timeline=noted(said.timeline, turn.now, text)))
        return
    for key, one in board.resolved.items():
        if any(member.episode == told.episode for member in one.findings):
            said = replace(one, verdict=told.verdict, verdict_by=told.by)
            board.resolved[key] = _tell(turn, "updated", replace(said, timeline=noted(said.timeline, turn.now, text)))
            board.past = [
                replace(past, verdict=told.verdict, by=told.by) if past.id == key else past for past in board.past
            ]
            return


def on_command(turn: Turn, command: AnyCommand) -> str | None:
    """Do what a person wants of the board. Returns what was done; None if there is nothing to do it to."""
    board = board_of(turn)
    match command:
        case Acknowledge(incident=key) if key in board.open:
            text = f"{command.by} looks after it" + (f": {command.comment}" if command.comment else "")
            incident = replace(board.open[key], acknowledged_by=command.by)
            _put(turn, replace(incident, timeline=noted(incident.timeline, turn.now, text)))
            return text
        case Feedback(incident=str(key)) if key in board.open or key in board.resolved:
            incident = board.open.get(key) or board.resolved[key]
            found = dict.fromkeys((m.entity, m.check) for m in incident.findings)
            for entity, check in found:
                # An id has an end, and names need not fit: one that is longer could not be read from the log again.
                of = f"{command.id[:BEGINNING]}/{hash_of(f'{command.id}/{entity}/{check}'):016x}"
                turn.send(entity, Commanded(replace(command, id=of, entity=entity, check=check)))
            return f"the verdict goes to {len(found)} finding{'s' if len(found) != 1 else ''}"
        case AbandonPlan(plan=key) if key in board.plans:
            return f"the plan of {_abandon(turn, key).root} is given up"
    return None
