"""What was published wins over what was recomputed: after a change of code, and where a state is lost.

Readers obey what was published, and people were called by it. So an entity goes on from its last record on the topic of
breakers, and the board of incidents from its last records on that of incidents; what goes on now, the board reads off
the records of all entities, as if each had just told it.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from detector.core import breaker as breakers
from detector.core.breaker import Breaker, Signal
from detector.core.emissions import BreakerValue
from detector.core.incidents import KEEP_AFFECTED, Around, Board, Incident, past_of
from detector.core.lineage import NEVER, stops
from detector.core.messages import BreakerTold, FindingTold
from detector.core.state import Entity, Episode
from detector.core.text import moment

# ---------------------------------------------------------------- an entity


def adopt(entity: Entity, told: BreakerValue | None, clock: float) -> None:
    """Let an entity be what was published of it; a new one, if nothing was. `clock` is that of its partition."""
    judgement = entity.judgement
    over = {root: held for root, held in judgement.holds.items() if not held.active}
    judgement.breaker, judgement.announced, judgement.episodes = Breaker(), "", {}
    judgement.override, judgement.probe, judgement.holds = None, None, over
    if told is not None:
        judgement.breaker, judgement.announced = told.breaker(), f"{told.mode}/{told.on_unknown}"
        judgement.override, judgement.probe = told.override, told.probe
        judgement.holds = {**over, **{held.root: held.held() for held in told.held_by}}
        judgement.episodes = {
            check: Episode(e.id, e.since, e.severity, e.count, e.run_id, checks=e.checks)
            for check, e in told.episodes.items()
        }
    _adopt_lineage(entity, told, clock)


def _adopt_lineage(entity: Entity, told: BreakerValue | None, clock: float) -> None:
    """Those below were told what was published: they must hear it again soon, or that it is over."""
    lineage = entity.lineage
    lineage.holding, lineage.scope, lineage.renew_at = False, (), NEVER
    if told is None:
        return
    lineage.up = {key: lineage.up.get(key, clock) for key in told.up}
    lineage.down = {key: lineage.down.get(key, clock) for key in told.down}
    lineage.parent = told.parent
    lineage.epoch = max(lineage.epoch, told.epoch)
    if _stops(told):
        own = _own(told)
        lineage.holding, lineage.scope, lineage.reason, lineage.renew_at = True, own.scope, own.reason, 0.0
        # Who of them was blamed is not published: to those who were not, a release is no news.
        lineage.blamed_jobs = sorted({*lineage.blamed_jobs, *(key for key in told.up if key.startswith("job:"))})


def _stops(told: BreakerValue) -> bool:
    return told.entity.startswith("dataset:") and stops(told.mode, told.breaker(), told.override)


def _own(told: BreakerValue) -> Signal:
    return breakers.signal(told.breaker(), told.override, {})


# ---------------------------------------------------------------- the board of incidents


def adopt_board(board: Board, told: Mapping[str, Incident], values: Iterable[BreakerValue], clock: float) -> None:
    """Let the incidents be those that were published, and what goes on in them what `values` say: the last records of
    all entities. What is in none of them will be found anew at the board's next turn.

    The records are read after what the board has seen, so they may be ahead of it: a message that comes later then says
    what is known.
    """
    _take_over(board, told)
    now = {value.entity: value for value in values}
    board.held_by = {e: {h.root: (*h.path, e) for h in value.waits_for} for e, value in now.items() if value.waits_for}
    board.stops = {e: board.stops.get(e) or _stop_of(value) for e, value in now.items() if _stops(value)}
    going_on = {episode.id for value in now.values() for episode in value.episodes.values()}
    known: set[str] = set()
    for key, incident in board.open.items():
        entities = {member.entity for member in incident.findings}
        known.update(member.episode for member in incident.findings)
        findings = [
            m if m.ended is not None or m.episode in going_on else replace(m, ended=clock) for m in incident.findings
        ]
        affected = sorted(e for e, roots in board.held_by.items() if not entities.isdisjoint(roots))[:KEEP_AFFECTED]
        board.around.update((e, _around(now[e])) for e in sorted(entities) if e in now)
        if findings != incident.findings or affected != incident.affected:
            board.changed.setdefault(key, "updated")
        board.open[key] = replace(incident, findings=findings, affected=affected)
    board.heard = [found for e in sorted(now) for found in _findings_of(now[e]) if found.episode not in known]


def _take_over(board: Board, told: Mapping[str, Incident]) -> None:
    """The published incidents, by their ids. One of ours is kept where it was told as often, so that it is the same but
    for what was not told yet; and where it was never told.
    """
    ours = {**board.resolved, **board.open}
    published = {member.episode for incident in told.values() for member in incident.findings}
    found = [
        i for i in board.open.values() if i.version == 0 and published.isdisjoint(m.episode for m in i.findings)
    ] + [_ours_or(ours.get(key), incident) for key, incident in told.items()]
    found.sort(key=lambda incident: (incident.opened, incident.id))
    board.open = {incident.id: incident for incident in found if incident.state == "open"}
    board.resolved = {incident.id: incident for incident in found if incident.state == "resolved"}
    same = {key for key, incident in board.open.items() if ours.get(key) is incident}
    board.waits = {key: at for key, at in board.waits.items() if key in same}
    board.changed = {key: phase for key, phase in board.changed.items() if key in same}
    board.kept = sorted(told, key=lambda key: (told[key].updated, key))
    board.past = board.past or [past_of(i) for i in sorted(board.resolved.values(), key=lambda i: i.resolved or 0.0)]


def _ours_or(ours: Incident | None, told: Incident) -> Incident:
    if ours is None or ours.version != told.version:
        return told
    is_back = told.state == "resolved" and ours.reopened > told.reopened
    return ours if ours.state == told.state or is_back else told


def _stop_of(value: BreakerValue) -> BreakerTold:
    own, good = _own(value), value.last_good
    return BreakerTold(
        value.entity,
        True,
        own.since,
        own.reason,
        value.mode,
        value.cause,
        good.run_id if good else None,
        good.version if good else None,
        good.at if good else None,
    )


def _around(value: BreakerValue) -> Around:
    return Around(tuple(value.up), tuple(value.down), value.parent)


def _findings_of(value: BreakerValue) -> list[FindingTold]:
    """What an entity would have told when its anomalies began. Their sentences were told, and are kept nowhere."""
    return [
        FindingTold(
            value.entity,
            "started",
            episode.id,
            check,
            episode.severity,
            episode.since,
            f"{check} is unusual since {moment(episode.since)}",
            episode.run_id,
            tuple(value.up),
            tuple(value.down),
            value.parent,
        )
        for check, episode in sorted(value.episodes.items())
    ]
