"""What an incident is: the findings of one cause, who is hit, what to do; and which findings have one cause.

Findings belong together if one entity is the other's neighbour in the lineage, or shares one with it (the job between
two datasets need not have found anything), if they are of one run, if one job is a part of the other, or if one entity
holds the other. The one that no other is upstream of is the root. Pure: values in, values out; `board` keeps them.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from detector.core.messages import BreakerTold, FindingTold, RunsTold
from detector.core.recovery import RecoveryPlan

Severity = Literal["info", "warning", "critical"]
LEVELS: tuple[Severity, ...] = ("info", "warning", "critical")
DAY, HOUR = 86_400.0, 3_600.0
TOGETHER = DAY  # how long after its last news an incident takes what is found beside it
REST = HOUR  # what comes and goes calls once in this time
ENDED = HOUR  # how long after it ended a finding explains what is found downstream
MANY = 10  # entities that are hit, from which on a warning is critical
GRAVE = frozenset({"critical", "tier1", "tier-1", "tier_1", "p1"})
KEEP_TIMELINE, KEEP_FIRST = 100, 20
KEEP_FINDINGS = 500
KEEP_AFFECTED = 1_000
LIKE = 3


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, in a sentence."""

    at: float
    text: str


class IncidentFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finding of an incident: the anomaly `episode` of an entity, until it ended."""

    entity: str
    check: str
    episode: str
    severity: Severity
    since: float
    summary: str
    run_id: str | None = None
    ended: float | None = None


class Past(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An incident that is over, to compare with: how it ended, and what people said of it."""

    id: str
    root: str
    checks: list[str]
    title: str
    opened: float
    resolved: float
    verdict: str | None = None
    by: str | None = None


class Incident(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Findings of one cause, told once. `id` is the key by which receivers drop repeats: it never changes.

    `version` counts its changes. `pages` says of an event whether somebody is to be called for it; `quiet` why not, if
    so; `called` is the severity at which people were called last, at `called_at`; one that comes back soon after that
    calls nobody before `rests_until`. `affected` are the entities that are held because of
    it, `downstream` how many those are that read what is bad (at least). Times in seconds since 1970.
    """

    id: str
    version: int
    state: Literal["open", "resolved", "merged"]
    severity: Severity
    title: str = ""
    root: str
    opened: float
    updated: float
    resolved: float | None = None
    merged_into: str | None = None
    reopened: int = 0
    pages: bool = False
    quiet: str = ""
    acknowledged_by: str | None = None
    called: Severity | None = None
    called_at: float | None = None
    rests_until: float | None = None
    owner: str | None = None
    tags: list[str] = []
    findings: list[IncidentFinding] = []
    affected: list[str] = []
    downstream: int = 0
    last_good_run: str | None = None
    last_good_version: str | None = None
    last_good_at: float | None = None
    plan: str | None = None
    verdict: str | None = None
    verdict_by: str | None = None
    seen_before: list[Past] = []
    timeline: list[Entry] = []
    what_to_do: list[str] = []
    summary: str = ""


class Around(msgspec.Struct, frozen=True, array_like=True):
    """The neighbours of an entity when it was found wrong."""

    up: tuple[str, ...]
    down: tuple[str, ...]
    parent: str | None = None


class Precision(msgspec.Struct, array_like=True):
    """How often a rule has called, and what people said of it."""

    told: int = 0
    confirmed: int = 0
    expected_once: int = 0
    new_normal: int = 0
    false_positive: int = 0
    missed: int = 0


class Board(msgspec.Struct, array_like=True):
    """The state of the board. `open` and `resolved` are incidents by id; `resolved` those that may open again.

    `waits` is when a new incident is told at the latest, `changed` are those of which something is to be told. `around`
    has the neighbours of entities with findings, `held_by` of each entity who holds it, by which path; `stops` the
    breakers that stop by themselves. `drafts` are the runs that jobs told of a root that is good again, `due` when its
    plan is made. `kept` are the incidents on the compacted topic. `heard` was read off published records after the
    board's own state was lost, until its next turn.
    """

    open: dict[str, Incident] = {}
    resolved: dict[str, Incident] = {}
    waits: dict[str, float] = {}
    changed: dict[str, str] = {}
    around: dict[str, Around] = {}
    held_by: dict[str, dict[str, tuple[str, ...]]] = {}
    stops: dict[str, BreakerTold] = {}
    past: list[Past] = []
    precision: dict[str, Precision] = {}
    drafts: dict[str, dict[str, RunsTold]] = {}
    due: dict[str, float] = {}
    plans: dict[str, RecoveryPlan] = {}
    good: dict[str, BreakerTold] = {}
    kept: list[str] = []
    heard: list[FindingTold] = []


class Seen(NamedTuple):
    """What tells which findings belong together: the neighbours of each entity, and by whom each is held."""

    around: Mapping[str, Around]
    held_by: Mapping[str, Mapping[str, tuple[str, ...]]]


def kind_of(check: str) -> str:
    """The rule that a check is of: `null_share(amount):load` is of `null_share`, `declared:x` of `declared`."""
    return check.partition("(")[0].partition(":")[0]


# ---------------------------------------------------------------- which belong together


def is_upstream(first: str, second: str, seen: Seen) -> bool:
    """Whether what is wrong with `first` can be why something is wrong with `second`."""
    if first in seen.held_by.get(second, {}):
        return True
    a, b = seen.around.get(first), seen.around.get(second)
    if (a is not None and second in a.down) or (b is not None and first in b.up):
        return True
    if a is not None and a.parent == second:
        return True
    return a is not None and b is not None and not set(a.down).isdisjoint(b.up)


def nearness(incident: Incident, told: FindingTold, seen: Seen, now: float, stops: Collection[str]) -> int:
    """How near a finding is to what an incident has: 3 of the same entity, 2 of the same run, 1 downstream of it, 0
    not.

    What was found in two places downstream of two causes belongs to one of them, and does not make one of both.
    """
    return max((_nearness(member, told, seen, now, stops) for member in incident.findings), default=0)


def _nearness(member: IncidentFinding, told: FindingTold, seen: Seen, now: float, stops: Collection[str]) -> int:
    stopping = member.entity in stops  # what began there goes on
    if member.ended is not None and now - member.ended > ENDED and not stopping:
        return 0
    if member.entity == told.entity:
        return 3
    if told.run_id is not None and member.run_id == told.run_id:
        return 2
    return int((stopping or now - member.since <= TOGETHER) and is_upstream(member.entity, told.entity, seen))


def is_cause_of(told: FindingTold, incident: Incident, seen: Seen, now: float) -> bool:
    """Whether a finding is why the root of an incident is wrong."""
    if not any(is_upstream(told.entity, member.entity, seen) for member in incident.findings):
        return False
    root = root_of(incident.findings, seen)
    return is_news(root, now) and root.entity != told.entity and is_upstream(told.entity, root.entity, seen)


def is_news(member: IncidentFinding, now: float) -> bool:
    """Whether a finding began, and goes on or ended, so lately that what is found now may explain it."""
    return now - member.since <= TOGETHER and (member.ended is None or now - member.ended <= ENDED)


def root_of(findings: Iterable[IncidentFinding], seen: Seen) -> IncidentFinding:
    """The finding that no other is upstream of; of several, the gravest of those that came first."""
    members = list(findings)
    entities = list(dict.fromkeys(member.entity for member in members))
    below = _below(entities, seen)
    tops = frozenset(entities) - below or below
    candidates = [member for member in members if member.entity in tops]
    return min(candidates, key=lambda m: (m.since, -LEVELS.index(m.severity), m.entity, m.check))


def _below(entities: list[str], seen: Seen) -> frozenset[str]:
    """Those that another of them is upstream of (`is_upstream`), found by one look at each: pairs are too many."""
    among, around = frozenset(entities), {e: a for e in entities if (a := seen.around.get(e)) is not None}
    down_of: dict[str, set[str]] = {}
    for entity, mine in around.items():
        for key in mine.down:
            down_of.setdefault(key, set()).add(entity)
    parents = [(entity, mine.parent) for entity, mine in around.items() if mine.parent is not None]
    below = {parent for entity, parent in parents if parent != entity and parent in among}
    for entity in entities:
        up = around[entity].up if entity in around else ()
        above = {*seen.held_by.get(entity, ()), *down_of.get(entity, ()), *up}
        above.update(*(down_of.get(key, ()) for key in up))
        if not among.isdisjoint(above - {entity}):
            below.add(entity)
    return frozenset(below)


def severity_of(incident: Incident) -> Severity:
    """The worst that was found; a warning that hits many, or what is marked as important, is critical."""
    worst = max((LEVELS.index(member.severity) for member in incident.findings), default=0)
    hits_many = len(incident.affected) >= MANY
    if LEVELS[worst] == "warning" and (hits_many or not GRAVE.isdisjoint(tag.lower() for tag in incident.tags)):
        return "critical"
    return LEVELS[worst]


def like(incident: Incident, past: Iterable[Past]) -> list[Past]:
    """The last incidents that were like this one: the same root, and the same kind of check."""
    kinds = {kind_of(member.check) for member in incident.findings if member.entity == incident.root}
    found = [one for one in past if one.root == incident.root and not kinds.isdisjoint(map(kind_of, one.checks))]
    return sorted(found, key=lambda one: -one.resolved)[:LIKE]


def noted(timeline: list[Entry], at: float, text: str) -> list[Entry]:
    """A timeline with one more entry; of a long one the middle is dropped."""
    return shortened([*timeline, Entry(at=at, text=text)])


def shortened(timeline: list[Entry]) -> list[Entry]:
    """A timeline without what is too much in its middle."""
    surplus = max(len(timeline) - KEEP_TIMELINE, 0)
    return [*timeline[:KEEP_FIRST], *timeline[KEEP_FIRST + surplus :]]


def kept(findings: list[IncidentFinding]) -> list[IncidentFinding]:
    """Findings without what is too much: those that ended first, and then the oldest, but never the first of all."""
    surplus = max(len(findings) - KEEP_FINDINGS, 0)
    order = sorted(range(1, len(findings)), key=lambda at: (findings[at].ended is None, findings[at].ended or 0.0, at))
    dropped = frozenset(order[:surplus])
    return [member for at, member in enumerate(findings) if at not in dropped]


def past_of(incident: Incident) -> Past:
    """What is kept of an incident that is over."""
    return Past(
        id=incident.id,
        root=incident.root,
        checks=sorted({m.check for m in incident.findings if m.entity == incident.root}),
        title=incident.title,
        opened=incident.opened,
        resolved=incident.resolved or 0.0,
        verdict=incident.verdict,
        by=incident.verdict_by,
    )


def call_of(incident: Incident) -> float | None:
    """When people were called for what goes on, or went on at last, of an incident; None if nobody was.

    One that came back soon after a call rests, and nobody is called for it yet; what joined it has called for both.
    """
    if incident.called is None:
        return None
    if incident.called_at is None:
        return incident.opened
    rests = incident.rests_until is not None and incident.rests_until >= incident.called_at + REST
    return None if rests else incident.called_at


def is_over(incident: Incident, stops: Iterable[str]) -> bool:
    """Whether nothing of it goes on."""
    stopping = set(stops)
    return all(m.ended is not None and m.entity not in stopping for m in incident.findings) and not incident.affected
