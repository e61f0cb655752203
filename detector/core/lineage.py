"""Who reads what from whom, as each entity knows it of itself, and how a stop travels along it.

Nobody has the whole graph. An entity knows its neighbours from the events of runs: a job what it reads and writes, a
dataset who writes and reads it, either what it is called elsewhere. A dataset whose breaker stops tells its readers,
they tell the datasets that they write, and so on, hop by hop through the log:

- each message has the path that it came; who is in it does not hear it again, so that cycles end;
- an entity forwards only what is news: the first of an epoch, or more columns of it, so that paths do not multiply;
- a hold is a lease: it ends by itself unless its root says it again, so that an edge that is gone holds nobody for
  ever.

With column lineage, only those are held who read a column that is bad, and they pass on the columns made of it.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from detector.core import recovery
from detector.core.breaker import Breaker, Held, Mode, Override, Signal, State, signal
from detector.core.emissions import HoldChange
from detector.core.events import AliasTold
from detector.core.messages import COLUMN, PARTITION, Blame, BreakerTold, Hold, HoldTold, Release

if TYPE_CHECKING:
    from detector.core.turn import Turn

NEVER = float("inf")
HOUR, DAY = 3_600.0, 86_400.0
LEASE, RENEW = 6 * HOUR, 2 * HOUR
MAX_NEIGHBOURS, MAX_NAMES, FEW_NEIGHBOURS = 1_000, 100_000, 50  # by number, and by the characters of their names
MAX_HOLDS = 256
MAX_SENDERS = 16
MAX_TRIPLES = 20_000
KEEP_BLAMED = 50
RUNS_THAT_TELL = 3
ALL_COLUMNS = "*"
Triples = tuple[tuple[str, str, str], ...]
BREAKER_HELD = "io.detector.breaker.held.v1"


class Lineage(msgspec.Struct, array_like=True):
    """What an entity knows of its neighbours: when each was last heard of, in seconds since 1970.

    `up` are the inputs of a job, or the writers of a dataset; `down` the outputs, or the readers. `parent` is the job
    that a job is a part of. `columns` has, of a job, for each output that told it, which of its columns is made of
    which input's: (column, dataset, column there). `told` are the times of the last runs that named inputs.

    While `holding`, the entity has told those below to stop, with `scope`, and says so again at `renew_at`; `epoch`
    counts what it said, `reason` is why, `since` when the bad data began to be written. `released_at` is when the
    entity itself was last let go, `swept` when old neighbours were last looked for. `overruled`: a person lets those
    below go on, though it is bad. `blamed` are the runs that wrote what is bad, as far as their jobs were told, and
    `blamed_jobs` these.
    """

    up: dict[str, float] = {}
    down: dict[str, float] = {}
    parent: str | None = None
    columns: dict[str, Triples] = {}
    told: list[float] = []
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    holding: bool = False
    scope: tuple[str, ...] = ()
    epoch: int = 0
    renew_at: float = NEVER
    blamed: list[str] = []
    blamed_jobs: list[str] = []
    reason: str = ""
    since: float = 0.0
    released_at: float = 0.0
    swept: float = 0.0
    overruled: bool = False


# ---------------------------------------------------------------- neighbours


def meet(turn: "Turn", up: Iterable[str] = (), down: Iterable[str] = (), at: float = 0.0) -> None:
    """An event has named neighbours, at `at` (seconds since 1970). Those below that are new hear what holds now."""
    lineage = turn.entity.lineage
    for side, names in ((lineage.up, up), (lineage.down, down)):
        grown = False
        for key in names:
            if key in side:
                side[key] = max(at, side[key])
            elif key != turn.entity.key:
                turn.unpublished = grown = True
                if side is lineage.down:
                    turn.met.append(key)
                side[key] = max(at, 0.0)
        if grown:
            keep_newest(side)


def learn(
    turn: "Turn",
    columns: Mapping[str, Triples],
    owners: tuple[str, ...],
    tags: tuple[str, ...],
    parent: str | None = None,
) -> None:
    """What an event says of the entity beside its neighbours; what it is silent of stays as it was."""
    lineage = turn.entity.lineage
    if owners:
        lineage.owners = owners
    if tags:
        lineage.tags = tags
    if parent:
        lineage.parent = parent
    for key in sorted(columns) if columns else ():
        if key in lineage.columns or sum(map(len, lineage.columns.values())) < MAX_TRIPLES:
            lineage.columns[key] = columns[key]


def known_as(turn: "Turn", aliases: Iterable[str], at: float) -> None:
    """A dataset has other names: what is bad by one is bad by all. Each of these entities hears of it once a day."""
    lineage, key = turn.entity.lineage, turn.entity.key
    for alias in aliases:
        if alias != key and at - lineage.down.get(alias, -NEVER) >= DAY:
            turn.send(alias, AliasTold(key, at))
            meet(turn, up=(alias,), down=(alias,), at=at)


def keep_newest(side: dict[str, float]) -> None:
    """Drop the neighbours that were not heard of for longest, where they, or their names, are too many."""
    size = sum(map(len, side)) if len(side) > FEW_NEIGHBOURS else 0
    if len(side) <= MAX_NEIGHBOURS and size <= MAX_NAMES:
        return
    for key in sorted(side, key=lambda key: (side[key], key)):
        if len(side) <= MAX_NEIGHBOURS and size <= MAX_NAMES:
            return
        size -= len(key)
        del side[key]


def forget(turn: "Turn") -> None:
    """Drop neighbours that were not heard of for long: what was read once is not read for ever."""
    lineage = turn.entity.lineage
    for side in (lineage.up, lineage.down):
        for key in [key for key, at in side.items() if at < turn.now - turn.rules.forget_lineage]:
            del side[key]
            turn.unpublished = True


def reads(turn: "Turn", inputs: Collection[object], at: float) -> None:
    """A run of a job has ended and told its inputs: what the last few did not read is read no more."""
    lineage = turn.entity.lineage
    if not inputs:
        return
    lineage.told = [*lineage.told[1 - RUNS_THAT_TELL :], at]
    if len(lineage.told) < RUNS_THAT_TELL:
        return
    since = min(lineage.told)
    for key in [key for key, seen in lineage.up.items() if seen < since]:
        del lineage.up[key]
        turn.unpublished = True
        for root in sorted(turn.entity.judgement.holds):
            _without(turn, root, key, f"{key} is not read any more")


def _without(turn: "Turn", root: str, sender: str, reason: str) -> None:
    """What a sender has said of a root counts no more: who has it from nobody else is let go."""
    holds = turn.entity.judgement.holds
    held = holds[root]
    others = tuple(name for name in held.senders if name != sender)
    if held.active and not others:
        _let_go(turn, root, held.epoch, held.until, reason)
    elif others != held.senders:
        holds[root] = msgspec.structs.replace(held, senders=others)


# ---------------------------------------------------------------- what stops by itself


def settle(turn: "Turn") -> None:
    """At the end of a turn: tell those below that this dataset is bad, that it is good again, or that it is still bad.

    A job stops itself only: what it did not write is not bad.
    """
    lineage, key, judgement = turn.entity.lineage, turn.entity.key, turn.entity.judgement
    if turn.now >= lineage.swept + DAY:
        lineage.swept = turn.now
        forget(turn)
    if key.startswith("dataset:") and stops(turn.settings.mode, judgement.breaker, judgement.override):
        _stop(turn)
    elif lineage.holding or (lineage.overruled and judgement.breaker.state is State.CLOSED):
        _release(turn, f"{key} is good again")
    if turn.met:
        for reader in turn.met:
            _forward_to(turn, reader)
        turn.met = []


def _stop(turn: "Turn") -> None:
    """Tell all readers to stop, if that is news or must be said again; else those only that are new."""
    lineage = turn.entity.lineage
    _blame(turn)
    scope, is_new = _own(turn).scope, not lineage.holding
    if not is_new and scope == lineage.scope and turn.now < lineage.renew_at:
        for reader in turn.met:
            turn.send(reader, _hold_of(turn))
        return
    if is_new:
        lineage.reason, lineage.since = _own(turn).reason, _bad_since(turn)
        _tell_board(turn, True)
    lineage.holding, lineage.scope, lineage.epoch = True, scope, _next_epoch(turn)
    lineage.renew_at = turn.now + RENEW
    turn.unpublished = True  # the epoch: whoever goes on from what was published must not say an old one again
    for reader in sorted(lineage.down):
        turn.send(reader, _hold_of(turn))


def stops(mode: Mode, breaker: Breaker, override: Override | None) -> bool:
    """Whether a breaker keeps readers off by itself: not because something upstream holds it."""
    if mode != "enforce":
        return False
    if override is not None:
        return override.state == "force_open"
    return breaker.state in (State.OPEN, State.HALF_OPEN)


def _own(turn: "Turn") -> Signal:
    """What readers would be told if nothing upstream held this entity: that is for its own root to tell."""
    return signal(turn.entity.judgement.breaker, turn.entity.judgement.override, {})


def _next_epoch(turn: "Turn") -> int:
    """By the clock, so that one whose state was lost is still heard by those who remember what it said before."""
    return max(turn.entity.lineage.epoch + 1, int(turn.now))


def _hold_of(turn: "Turn") -> Hold:
    key, lineage, breaker = turn.entity.key, turn.entity.lineage, turn.entity.judgement.breaker
    until, what = turn.now + LEASE, (lineage.reason, lineage.scope, breaker.cause or "")
    return Hold(key, lineage.epoch, (key,), lineage.since, until, *what)


def _bad_since(turn: "Turn") -> float:
    """When the run that wrote the bad data began to write, as far as anything tells."""
    runs = turn.entity.runs
    bad = [run.began for run_id in turn.entity.lineage.blamed if (run := runs.closed.get(run_id))]
    return min([_own(turn).since, *bad])


def _blame(turn: "Turn") -> None:
    """Tell the jobs whose runs wrote what is bad: each will say which of its runs must be redone."""
    lineage, judgement = turn.entity.lineage, turn.entity.judgement
    for _, episode in sorted(judgement.episodes.items()):
        run = turn.run_of(episode.run_id)
        if run is None or run.job is None or run.id in lineage.blamed or episode.severity == 0:
            continue
        lineage.blamed = [*lineage.blamed[1 - KEEP_BLAMED :], run.id]
        if run.job not in lineage.blamed_jobs:
            lineage.blamed_jobs = [*lineage.blamed_jobs[1 - MAX_NEIGHBOURS :], run.job]
        turn.send(run.job, Blame(turn.entity.key, run.id, run.began))


def _tell_board(turn: "Turn", stops: bool) -> None:
    breaker, good = turn.entity.judgement.breaker, turn.entity.runs.good
    turn.report(
        BreakerTold(
            turn.entity.key,
            stops,
            turn.believed(turn.at),
            _own(turn).reason,
            turn.settings.mode,
            breaker.cause,
            good.run_id if good else None,
            good.version if good else None,
            good.at if good else None,
        )
    )


def _release(turn: "Turn", reason: str) -> None:
    lineage, key = turn.entity.lineage, turn.entity.key
    override = turn.entity.judgement.override
    _tell_board(turn, False)
    lineage.holding, lineage.scope, lineage.epoch, lineage.renew_at = False, (), _next_epoch(turn), NEVER
    lineage.overruled = override is not None and turn.entity.judgement.breaker.state is not State.CLOSED
    reason = turn.signal().reason if lineage.overruled else reason
    until = (override.until if override is not None and lineage.overruled else turn.now) + LEASE
    release = Release(key, lineage.epoch, (key,), until, reason, turn.excused, lineage.overruled)
    for name in sorted({*lineage.down, *lineage.blamed_jobs}):
        turn.send(name, release)
    if not lineage.overruled:
        lineage.blamed, lineage.blamed_jobs = [], []


def leave(turn: "Turn") -> None:
    """The entity is forgotten: it holds nobody any more, and nothing holds it."""
    if turn.entity.lineage.holding:
        _release(turn, f"{turn.entity.key} was forgotten after a long silence")
    for root, held in sorted(turn.entity.judgement.holds.items()):
        if held.active:
            _let_go(turn, root, held.epoch, held.until, "it was forgotten after a long silence")


# ---------------------------------------------------------------- what comes from above


def on_hold(turn: "Turn", hold: Hold) -> None:
    """Something upstream is bad: stop, and tell those below, if that is news."""
    entity = turn.entity
    holds, sender = entity.judgement.holds, hold.path[-1]
    if entity.key in hold.path or _reads_no_more(turn, sender):
        return
    affected = _affected(turn, sender, hold.scope)
    known = holds.get(hold.root)
    if affected is not None and not affected:  # of the columns that are bad none is read
        if known is not None and known.epoch < hold.epoch:
            _without(turn, hold.root, sender, f"of what is bad in {sender} nothing is read")
        return
    if known is not None and known.epoch > hold.epoch:
        return
    same = known if known is not None and known.epoch == hold.epoch else None
    if same is not None and not same.active:
        return
    scope = _widened(same.scope, hold.scope) if same else hold.scope
    senders = tuple(dict.fromkeys((*(same.senders if same else ()), sender)))[:MAX_SENDERS]
    # By columns, what another sender tells is of another dataset, however its columns are called.
    if same is not None and scope == same.scope and (affected is None or sender in same.senders):
        holds[hold.root] = msgspec.structs.replace(same, senders=senders)
        return
    begins = known is None or not known.active
    if known is None and not _has_room(holds):
        return  # it is held by so many that one more changes nothing
    held_at = turn.now if begins or known is None else known.held_at
    mends = entity.key.startswith("job:") and hold.root in entity.lineage.down
    what = hold.reason, scope, hold.episode, senders, mends
    holds[hold.root] = Held(hold.epoch, True, hold.path, hold.since, hold.until, held_at, *what)
    turn.unpublished = True
    if known is not None and known.stops and mends:
        why = f"it writes {hold.root} itself, and may mend it"
        _changed(turn, hold.root, msgspec.structs.replace(known, active=False, reason=why))
    elif begins or (known is not None and known.mends and not mends):
        _changed(turn, hold.root, holds[hold.root])
    for key in sorted(entity.lineage.down):
        _forward(turn, key, hold.root, affected)


def _has_room(holds: dict[str, Held]) -> bool:
    """Whether one more hold can be kept: of those that are over, the one that counts least long gives way."""
    if len(holds) < MAX_HOLDS:
        return True
    over = [(held.until, root) for root, held in holds.items() if not held.active]
    if over:
        del holds[min(over)[1]]
    return bool(over)


def _reads_no_more(turn: "Turn", sender: str) -> bool:
    """The sender has not heard yet that this job does not read it any more."""
    lineage = turn.entity.lineage
    return turn.entity.key.startswith("job:") and len(lineage.told) >= RUNS_THAT_TELL and sender not in lineage.up


def _widened(known: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """What is bad by either of two messages; nothing is all."""
    return tuple(sorted({*known, *more})) if known and more else ()


def _affected(turn: "Turn", sender: str, scope: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
    """Of each output of a job, what of it is made of the columns that are bad; None where nobody can tell."""
    bad = {name.removeprefix(COLUMN) for name in scope if name.startswith(COLUMN)}
    lineage = turn.entity.lineage
    if not bad or any(name.startswith(PARTITION) for name in scope) or not turn.entity.key.startswith("job:"):
        return None
    if not lineage.down or any(key not in lineage.columns for key in lineage.down):
        return None
    found: dict[str, tuple[str, ...]] = {}
    for key in sorted(lineage.down):
        made = {own for own, dataset, column in lineage.columns[key] if dataset == sender and column in bad}
        if made:
            found[key] = () if ALL_COLUMNS in made else tuple(f"{COLUMN}{name}" for name in sorted(made))
    return found


def _forward(turn: "Turn", key: str, root: str, affected: dict[str, tuple[str, ...]] | None) -> None:
    held = turn.entity.judgement.holds[root]
    if key in held.path or (affected is not None and key not in affected):
        return
    scope = held.scope if turn.entity.key.startswith("dataset:") else ()
    if affected is not None:
        scope = affected[key]
    path = (*held.path, turn.entity.key)
    turn.send(key, Hold(root, held.epoch, path, held.since, held.until, held.reason, scope, held.episode))


def _forward_to(turn: "Turn", key: str) -> None:
    """A new neighbour below must hear of all that holds this entity."""
    for root, held in sorted(turn.entity.judgement.holds.items()):
        if held.active:
            _forward(turn, key, root, _affected(turn, held.path[-1], held.scope))


def on_release(turn: "Turn", release: Release) -> None:
    """What was bad upstream is good again: go on, and tell those below."""
    known = turn.entity.judgement.holds.get(release.root)
    if turn.entity.key in release.path or (known is not None and known.epoch >= release.epoch):
        return
    if known is not None:  # also one that is over: a person may have ended it before it was good again
        for key in sorted(turn.entity.lineage.down):
            if key not in release.path:
                path = (*release.path, turn.entity.key)
                turn.send(key, msgspec.structs.replace(release, path=path))
    turn.excused, turn.overruled = release.excused, release.overruled
    _let_go(turn, release.root, release.epoch, release.until, release.reason)
    recovery.on_release(turn, release.root)  # also of a job that was blamed, and not held


def _let_go(turn: "Turn", root: str, epoch: int, until: float, reason: str) -> None:
    """End a hold here; those below may be held by another way, and will hear of it from the root, or not any more."""
    holds = turn.entity.judgement.holds
    known = holds.get(root)
    if known is not None and known.active:
        holds[root] = msgspec.structs.replace(known, active=False, epoch=epoch, until=until, reason=reason)
        turn.unpublished = True
        _changed(turn, root, holds[root])
    if len(holds) < MAX_HOLDS or root in holds:
        holds[root] = Held(epoch, False, (root,), 0.0, until, 0.0)


def on_time(turn: "Turn", grace_until: float) -> None:
    """Leases that nobody renewed are over; what was released long ago is forgotten.

    After an outage the root has until `grace_until` to say again what it said before.
    """
    holds = turn.entity.judgement.holds
    for root, held in sorted(holds.items()):
        if turn.now >= max(held.until, grace_until):
            if held.active:
                _let_go(turn, root, held.epoch, held.until, "nothing was heard of it any more")
            del holds[root]


def due(turn: "Turn", grace_until: float) -> float:
    """When a lease ends or must be renewed."""
    lineage, holds = turn.entity.lineage, turn.entity.judgement.holds
    renews = lineage.renew_at if lineage.holding else NEVER
    return min(renews, *(max(held.until, grace_until) for held in holds.values())) if holds else renews


def _changed(turn: "Turn", root: str, held: Held) -> None:
    """Say that a hold began or ended: to readers of the control topic, and to the board."""
    entity = turn.entity
    if held.active:
        recovery.on_hold(turn, root, held)
    else:
        entity.lineage.released_at = turn.now
        recovery.on_release(turn, root)
    if held.mends:
        return
    path = (*held.path, entity.key)
    way = " → ".join(path)
    shadow = "" if turn.settings.mode == "enforce" else f" ({turn.settings.mode}: nobody is stopped)"
    told = f"{entity.key} is held: {held.reason} ({way})" if held.active else f"{entity.key} may go on: {held.reason}"
    turn.say(
        BREAKER_HELD,
        HoldChange(
            entity=entity.key,
            root=root,
            held=held.active,
            path=list(path),
            scope=list(held.scope),
            mode=turn.settings.mode,
            reason=held.reason,
            until=held.until if held.active else None,
            summary=told + shadow,
        ),
    )
    turn.report(HoldTold(entity.key, root, held.active, turn.now, path, turn.tags()))
