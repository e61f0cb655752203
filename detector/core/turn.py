"""One entity's turn at one record: what it may read, and how it says things; episodes and breaker moves."""

import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec

from detector.core import breaker as breakers
from detector.core import sentences
from detector.core.breaker import Breaker, Outcome, Probe, Signal, State, Verdict
from detector.core.commands import Commanded
from detector.core.emissions import (
    SEVERITIES,
    Anomaly,
    BreakerChange,
    BreakerValue,
    Contributor,
    Data,
    Emission,
    HeldBy,
    LastGood,
    OpenEpisode,
    OwnBreaker,
    Rollback,
    emission_id,
)
from detector.core.events import AliasTold
from detector.core.incidents import Incident
from detector.core.lessons import Told
from detector.core.load import Load
from detector.core.messages import BOARD, COLUMN, PARTITION, BoardMessage, FindingTold, Message
from detector.core.models.kernel import CAUSES, DRIFT, NOISE
from detector.core.rules import Rules, Settings
from detector.core.state import Entity, Episode, Run
from detector.core.text import moment
from detector.core.windows import Window

CRITICAL, WARNING, INFO = 2, 1, 0
KEEP_OUTCOMES = 8  # at least, whatever the policy looks at: what is told of a run late must find it
WARM = 7  # outcomes after which an entity whose state was lost knows again what is normal
CHECKS = frozenset({"failed", "aborted", "late", "hanging", "deadline", "assertion"})
APART = CHECKS | {"schema"}  # checks that are told by themselves; all others of one load are parts of one anomaly
DECLARED = "declared:"  # and so are those that an owner has declared
SAME_DATA, COLUMNS, LOAD = "same_data", "columns", "load"
SLOW = tuple(CAUSES[cause] for cause in (DRIFT, NOISE))  # found of many values: one calm one ends nothing
LEADING = ("rows", "profile_rows", "rows_out", "rows_in", COLUMNS, "bytes", "profile_bytes", "bytes_out", "bytes_in")
KEEP_CONTRIBUTORS = 20
KEEP_SCOPE = 100  # names of what is bad; of more than that nobody reads the list
NAMED_DOWNSTREAM = 100
PROBE = 3_600.0  # seconds that a run which probes has, to be judged
ANOMALY = {phase: f"io.detector.anomaly.{phase}.v1" for phase in ("started", "updated", "ended")}
BREAKER_CHANGED = "io.detector.breaker.state_changed.v1"
BREAKER = "io.detector.breaker.v1"
ROLLBACK = "io.detector.rollback.recommended.v1"
MESSAGE = "message"
_COLUMN_OF = re.compile(r"\((.*)\)(:.*)?$", re.DOTALL)


class Place(msgspec.Struct, frozen=True):
    """Where in the log a record stands (all that an emission's id is made of, but its ordinal), and since when."""

    topic_id: str
    partition: int
    offset: int
    appended: float

    def emission_id(self, ordinal: int) -> str:
        """The id of an emission at this place."""
        return emission_id(self.topic_id, self.partition, self.offset, ordinal)


class Part(NamedTuple):
    """One thing that is unusual about a load. `brief` is what is said of it where another one leads; `also` are its
    series, the worst first; `note` is said at the beginning. `holds` says how many calm values do not end it yet.
    `told` are the values of the series, by metric, that people may have something to say of.
    """

    check: str
    severity: int
    summary: str
    brief: str
    also: Sequence[Contributor]
    evidence: Mapping[str, Any]
    note: str = ""
    holds: int = 0
    told: Mapping[str, Told] = MappingProxyType({})


class Calm(NamedTuple):
    """Why what was unusual about a load may be over; at once, if what it is now is the new normal (`renewed`)."""

    why: str
    evidence: Mapping[str, Any] = MappingProxyType({})
    renewed: bool = False


ALL_CALM = Calm("all that was unusual is back to normal")


class Turn(msgspec.Struct):
    """`now` is the partition's clock, `at` the time of what happened (both seconds since 1970).

    Emissions of all turns at one record are in one list, so that their ordinals are unique. `worst` is the severity and
    the summary of the worst that was found in this turn: people are told that as the reason of a trip. `parts` are
    unusual and not told yet, `calm` says of checks with an open episode why that may be over.

    `met` are neighbours below that were not known before. `windows` are the mutes and the maintenance of the partition;
    `quiet` is the maintenance that the entity is in, or empty.
    `judged` are the loads of a run that were judged, and are not written down yet.
    `subset` are the parts of a dataset that this turn speaks of; nothing is all of it. `excused`: a person has said
    that it was no fault; `overruled`: that others may go on all the same.
    """

    entity: Entity
    settings: Settings
    rules: Rules
    place: Place
    now: float
    at: float
    emissions: list[Emission]
    unpublished: bool = False
    worst: tuple[int, str] = (0, "")
    parts: list[Part] = msgspec.field(default_factory=list)
    calm: dict[str, Calm] = msgspec.field(default_factory=dict)
    met: list[str] = msgspec.field(default_factory=list)
    windows: Sequence[Window] = ()
    quiet: str = ""
    subset: tuple[str, ...] = ()
    excused: bool = False
    overruled: bool = False
    judged: list[Load] = msgspec.field(default_factory=list)

    def believed(self, event_time: float) -> float:
        """A time that a producer told, or the latest that can be true: its clock must not run ours into the future."""
        return min(event_time, max(self.now, self.place.appended) + self.rules.ahead)

    def next_id(self) -> str:
        """The id that the next emission will have."""
        return self.place.emission_id(len(self.emissions))

    def say(self, type_: str, data: Data, key: str = "") -> None:
        """Add an event for the control topic, about the entity if nothing else is said."""
        self.emissions.append(Emission(self.next_id(), "control", key or self.entity.key, type_, self.at, data))

    def keep(self, key: str, type_: str, incident: Incident | None) -> None:
        """Put the whole value of an incident on its compacted topic, in this partition; None takes it off."""
        self.emissions.append(
            Emission(self.next_id(), "incidents", key, type_, self.at, incident, self.place.partition)
        )

    def send(self, key: str, message: Message | Commanded | AliasTold) -> None:
        """Tell another entity something, through the log."""
        self.emissions.append(Emission(self.next_id(), "log", key, MESSAGE, self.at, message))

    def report(self, message: BoardMessage) -> None:
        """Tell the board of incidents something."""
        self.send(BOARD, message)

    def signal(self) -> Signal:
        """What a reader of the entity's breaker is told now."""
        judgement = self.entity.judgement
        return breakers.signal(judgement.breaker, judgement.override, judgement.holds)

    def tags(self) -> tuple[str, ...]:
        """The tags of the entity: those that its producers told, and those of the configuration."""
        return tuple(sorted({*self.entity.lineage.tags, *self.settings.tags}))

    def owner(self) -> str | None:
        """Who looks after the entity, by the configuration, or else by its producers."""
        owners = self.entity.lineage.owners
        return self.settings.owner or (owners[0] if owners else None)

    # ------------------------------------------------------------ episodes

    def find(
        self, check: str, severity: int, summary: str, run_id: str | None = None, note: str = "", **evidence: Any
    ) -> None:
        """Something is wrong: begin an episode of this check, or go on with the open one.

        `note` is what to add where the episode begins, if there is room.
        """
        severity = min(severity, self.settings.worst)
        if severity > self.worst[0]:
            self.worst = severity, summary
        episodes = self.entity.judgement.episodes
        episode = episodes.get(check)
        if episode is None:
            episode = episodes[check] = Episode(self.next_id(), self.at, severity, 1, run_id)
            episode.cause = evidence.get("cause") or ""
            self.unpublished = True
            told = sentences.with_notes(summary, [note, *self._notes(run_id)])
            self._anomaly("started", check, episode, severity, told, run_id, evidence)
            self._report("started", check, episode, told)
            return
        episode.count += 1
        is_worse, episode.severity = severity > episode.severity, max(episode.severity, severity)
        episode.run_id = run_id
        episode.cause = evidence.get("cause") or ""
        told = sentences.goes_on(summary, episode.count, self.at - episode.since)
        self._anomaly("updated", check, episode, severity, told, run_id, evidence)
        if is_worse:
            self._report("worse", check, episode, told)

    def over(self, check: str, why: str, run_id: str | None = None, **evidence: Any) -> None:
        """End the open episode of this check, if there is one."""
        episode = self.entity.judgement.episodes.pop(check, None)
        if episode is not None:
            self.unpublished = True
            told = sentences.over(check, why, episode.count, self.at - episode.since)
            self._anomaly("ended", check, episode, INFO, told, run_id, evidence)
            self._report("ended", check, episode, told)

    def _report(self, phase: Literal["started", "worse", "ended"], check: str, episode: Episode, told: str) -> None:
        lineage = self.entity.lineage
        self.report(
            FindingTold(
                self.entity.key,
                phase,
                episode.id,
                check,
                episode.severity,
                self.believed(self.at),
                told,
                episode.run_id,
                tuple(sorted(lineage.up)),
                tuple(sorted(lineage.down)),
                lineage.parent,
                self.owner(),
                self.tags(),
            )
        )

    def run_of(self, run_id: str | None) -> Run | None:
        """A run that goes on or ended lately."""
        runs = self.entity.runs
        return None if run_id is None else runs.open.get(run_id) or runs.closed.get(run_id)

    def _notes(self, run_id: str | None) -> list[str]:
        """What a person wants to know next: whether the code changed, and who gets what went wrong."""
        good, run = self.entity.runs.good, self.run_of(run_id)
        changed = sentences.code_changed(good.code_version, run.code_version) if good and run else ""
        return [changed, sentences.who_is_next(self.entity.key, sorted(self.entity.lineage.down))]

    def grain(self, check: str) -> str:
        """What a check looks at: the runs of a job; the loads of a dataset, or what is profiled at another grain."""
        return LOAD if self.entity.key.startswith("job:") else check.partition(":")[2] or LOAD

    def goes_on(self, grain: str) -> str | None:
        """The check by which the open anomaly of a grain is called, if there is one."""
        names = (name for name in self.entity.judgement.episodes if name not in APART and not name.startswith(DECLARED))
        return next((check for check in names if self.grain(check) == grain), None)

    def unusual(self) -> set[str]:
        """The checks that open anomalies are of, whatever these are called by."""
        episodes = self.entity.judgement.episodes
        if not episodes:
            return set()
        return {check for name, episode in episodes.items() for check in (name, *episode.checks)}

    def tell(self, run_id: str | None) -> None:
        """Tell what was found unusual of one load since the last call: one anomaly for all of it, or that it is over.

        A fault that takes half of the rows takes half of the bytes and moves the means of columns: people are told
        once. An anomaly keeps the name that it began with, and is over when each check that was unusual is calm again:
        what is told of one load in parts, and in any order, comes to the same.
        """
        if not (self.parts or self.calm):
            return
        parts, self.parts, calm, self.calm = self.parts, [], self.calm, {}
        grains: dict[str, list[Part]] = {}
        for part in parts:
            grains.setdefault(self.grain(part.check), []).append(part)
        for check in calm:
            self._is_calm(check, calm, grains, run_id)
        for grain, unusual in grains.items():
            self._join(self.goes_on(grain), sorted(unusual, key=_rank), run_id)

    def _is_calm(self, check: str, calm: Mapping[str, Calm], unusual: Collection[str], run_id: str | None) -> None:
        grain = self.grain(check)
        name = self.goes_on(grain)
        if name is None:
            return
        episode = self.entity.judgement.episodes[name]
        if episode.holds > 0 and grain not in unusual and not calm[check].renewed:
            episode.holds -= check == name
            return
        if check in episode.checks:
            episode.checks.remove(check)
            self.unpublished = True
        if not episode.checks and grain not in unusual:
            why = calm.get(name) or ALL_CALM
            self.over(name, why.why, run_id, **why.evidence)

    def _join(self, goes_on: str | None, parts: list[Part], run_id: str | None) -> None:
        lead, worst = parts[0], min(max(part.severity for part in parts), self.settings.worst)
        if goes_on and self._is_another(goes_on, lead, worst):
            self.over(goes_on, "something else is wrong now", run_id)
            goes_on = None
        name = goes_on or lead.check
        summary, evidence = lead.summary, lead.evidence
        if len(parts) > 1:
            summary += f"; also unusual: {', '.join(part.brief for part in parts[1:])}"
        if len(parts) > 1 or name != lead.check:
            evidence = {**evidence, "contributors": [one for part in parts for one in part.also][:KEEP_CONTRIBUTORS]}
        self.find(name, worst, summary, run_id, lead.note, **evidence)
        episode = self.entity.judgement.episodes[name]
        checks = sorted({*episode.checks, *(part.check for part in parts)})
        self.unpublished = self.unpublished or checks != episode.checks
        episode.checks = checks
        episode.columns = _columns_of(parts)
        episode.holds = max(episode.holds, *(part.holds for part in parts))
        for metric, told in [pair for part in parts for pair in part.told.items()]:
            told.check, told.episode = name, episode.id
            self.entity.lessons.remember(metric, told)

    def _is_another(self, goes_on: str, lead: Part, worst: int) -> bool:
        """Whether what is found now is news beside a slow anomaly, which holds on for long.

        A drift that has left the band goes on: what is worse after that is no news.
        """
        episode = self.entity.judgement.episodes[goes_on]
        worse = worst > episode.severity and episode.cause in SLOW
        return episode.holds > 0 and (worse or lead.check.startswith(SAME_DATA))

    def _anomaly(
        self, phase: Any, check: str, episode: Episode, severity: int, summary: str, run_id: str | None, evidence: Any
    ) -> None:
        good, run = self.entity.runs.good, self.run_of(run_id)
        data = Anomaly(
            phase=phase,
            episode=episode.id,
            entity=self.entity.key,
            check=check,
            severity=SEVERITIES[severity],
            summary=summary,
            since=episode.since,
            count=episode.count,
            run_id=run_id,
            previous_good_run=good.run_id if good else None,
            previous_good_version=good.version if good else None,
            nominal_time=run.nominal_time if run else None,
            code_version=run.code_version if run else None,
            previous_code_version=good.code_version if good else None,
            downstream=sorted(self.entity.lineage.down)[:NAMED_DOWNSTREAM],
            **evidence,
        )
        self.say(ANOMALY[phase], data)

    # ------------------------------------------------------------ the breaker

    def outcome(self, run: int, severity: int, reason: str, began: float, mends: bool = False) -> None:
        """Take how a run ended into the policy's window, and move the breaker as the policy says.

        What is told of one run more than once, by its end, late facts, or a profile, counts once, as the worst of it;
        a new attempt of a run `mends` what the old one did. A run that began before the breaker opened is no probe,
        and a bad one at the same tick is none: of many in parallel that fail for one reason, the first opens it.

        What a run does while something upstream holds the entity, or in maintenance, says nothing of the entity itself:
        what is bad then is not kept either, or it would count with what comes later. A repair in maintenance is one.
        """
        judgement, severity = self.entity.judgement, min(severity, self.settings.worst)
        outcomes = judgement.outcomes
        kept = [outcome for outcome in outcomes if outcome.run != run]
        if len(kept) < len(outcomes) and not mends:
            known = next(outcome.severity for outcome in outcomes if outcome.run == run)
            if severity <= known:
                return
        if severity > 0 and (self.quiet or self.is_held()):
            return
        keeps = max(KEEP_OUTCOMES, self.settings.policy.keeps)
        judgement.outcomes = [*kept[1 - keeps :], Outcome(run, severity, self.at)]
        if judgement.breaker.warming_up and len(judgement.outcomes) >= WARM:
            judgement.breaker = msgspec.structs.replace(judgement.breaker, warming_up=False)
            self.unpublished = True
        if self.settings.mode == "off":
            return
        breaker = judgement.breaker
        if breaker.state is State.OPEN and (began < breaker.since or (severity > 0 and breaker.since == self.now)):
            return
        probing = breaker.state is State.HALF_OPEN
        verdict = self.settings.policy.verdict(judgement.outcomes)
        if verdict is Verdict.TRIP or (probing and severity > 0):
            self._trip(self.worst[1] or reason)
        elif breaker.state is not State.CLOSED and verdict is Verdict.RECOVER and severity == 0 and self._is_mended():
            self.moves(breakers.recover(breaker, self.now, "a good run"))

    def is_held(self) -> bool:
        """Whether something upstream keeps the entity from running."""
        return self.settings.mode == "enforce" and any(held.stops for held in self.entity.judgement.holds.values())

    def _is_mended(self) -> bool:
        """Whether what opened the breaker is over: a run that was not judged for that mends nothing. But not for ever:
        after as many good runs as were kept, nobody will judge it any more.
        """
        judgement = self.entity.judgement
        if all(episode.id != judgement.breaker.cause for episode in judgement.episodes.values()):
            return True
        last = judgement.outcomes[-KEEP_OUTCOMES:]
        return len(last) == KEEP_OUTCOMES and not any(outcome.severity for outcome in last)

    def _trip(self, reason: str) -> None:
        episodes = self.entity.judgement.episodes.values()
        worst = max(episodes, key=lambda episode: (episode.severity, episode.since), default=None)
        cause = worst.id if worst else None
        breaker = self.entity.judgement.breaker
        if breaker.state is State.OPEN:
            # The run that came was the probe, and it failed: what is published must say so, with the longer wait.
            reason = f"again: {reason}"
        waits = self.settings.wait, self.settings.max_wait
        self.moves(breakers.trip(breaker, self.now, *waits, reason, cause, self._scope()))
        self._recommend_rollback(breaker.state)

    def _scope(self) -> tuple[str, ...]:
        """What of a dataset is bad: some columns, some partitions; nothing is all of it."""
        judgement = self.entity.judgement
        before = judgement.breaker.scope if judgement.breaker.state is not State.CLOSED else None
        if before == () or not self.entity.key.startswith("dataset:"):
            return ()
        bad = [episode for episode in judgement.episodes.values() if episode.severity > 0]
        columns = {f"{COLUMN}{name}" for episode in bad for name in episode.columns}
        scope = {f"{PARTITION}{part}" for part in self.subset} or columns
        if not bad or not scope or (not self.subset and not all(episode.columns for episode in bad)):
            return ()
        kept = {name for name in before or () if name.startswith(PARTITION) == bool(self.subset)}
        named = {*kept, *scope}
        return tuple(sorted(named)) if len(kept) == len(before or ()) and len(named) <= KEEP_SCOPE else ()

    def _recommend_rollback(self, before: State) -> None:
        """A dataset has opened: to which version it can be put back, if any is known."""
        good = self.entity.runs.good
        if good is None or before is not State.CLOSED or not self.entity.key.startswith("dataset:"):
            return
        version = f" (version {good.version})" if good.version else ""
        left = f"what run {good.run_id} left at {moment(good.at)}{version}"
        self.say(
            ROLLBACK,
            Rollback(
                entity=self.entity.key,
                run_id=good.run_id,
                version=good.version,
                at=good.at,
                cause=self.entity.judgement.breaker.cause,
                summary=f"{self.entity.key} can be put back to {left}",
            ),
        )

    def probes(self, run_id: str) -> None:
        """A run has begun: of a half-open breaker the first one probes, unless somebody has asked to."""
        judgement = self.entity.judgement
        if judgement.breaker.state is State.HALF_OPEN and judgement.probe is None and self.settings.mode != "off":
            judgement.probe = Probe(holder=run_id, until=self.now + PROBE)
            self.unpublished = True

    def moves(self, values: list[Breaker]) -> None:
        """Let the breaker take these values one after the other; each is a control event."""
        judgement = self.entity.judgement
        for value in values:
            before, judgement.breaker = judgement.breaker, value
            if value.state is not State.HALF_OPEN:
                judgement.probe = None
            self.say(BREAKER_CHANGED, self._change(before, value))
            self.unpublished = True

    def _change(self, before: Breaker, after: Breaker) -> BreakerChange:
        until = f"; a probe may run from {moment(after.retry_at)}" if after.retry_at is not None else ""
        shadow = " (shadow: nobody is stopped)" if self.settings.mode == "shadow" else ""
        return BreakerChange(
            entity=self.entity.key,
            from_state=before.state,
            to_state=after.state,
            mode=self.settings.mode,
            reason=after.reason,
            cause=after.cause,
            retry_at=after.retry_at,
            trips=after.trips,
            sequence=after.sequence,
            summary=f"{self.entity.key} is {after.state.replace('_', '-')}: {after.reason}{until}{shadow}",
        )

    def publish(self) -> None:
        """At the end of a turn: put the whole breaker on `detector.breakers`, if there is anything new to read.

        The last good version is, since that is what one goes back to.
        """
        entity, judgement = self.entity, self.entity.judgement
        good = entity.runs.good
        version = good.version if good else None
        if not self.unpublished and version == judgement.good_version:
            return
        breaker, told = judgement.breaker, self.signal()
        judgement.good_version = version
        value = BreakerValue(
            entity=entity.key,
            state=told.state,
            mode=self.settings.mode,
            on_unknown=self.settings.on_unknown,
            since=told.since,
            retry_at=breaker.retry_at,
            reason=told.reason,
            cause=breaker.cause,
            trips=breaker.trips,
            sequence=breaker.sequence,
            warming_up=breaker.warming_up,
            partition=self.place.partition,
            episodes={check: _published(e) for check, e in sorted(judgement.episodes.items())},
            scope=list(told.scope),
            own=OwnBreaker(state=breaker.state, since=breaker.since, reason=breaker.reason, scope=list(breaker.scope)),
            held_by=[HeldBy.of(root, held) for root, held in sorted(judgement.holds.items()) if held.active],
            override=judgement.override,
            probe=judgement.probe,
            last_good=LastGood(run_id=good.run_id, at=good.at, version=good.version, code_version=good.code_version)
            if good
            else None,
            up=sorted(entity.lineage.up),
            down=sorted(entity.lineage.down),
            parent=entity.lineage.parent,
            epoch=entity.lineage.epoch,
        )
        entity.judgement.announced = self.settings.announced
        self.emissions.append(Emission(self.next_id(), "breakers", entity.key, BREAKER, self.at, value))

    def announce(self) -> None:
        """At the start of a turn: readers must be told of a new entity, and of other settings."""
        judgement = self.entity.judgement
        if judgement.announced == self.settings.announced:
            return
        if self.settings.mode == "off" and judgement.breaker.state is not State.CLOSED:
            self.moves(breakers.recover(judgement.breaker, self.now, "breakers are off for this entity"))
        self.unpublished = True


def _rank(part: Part) -> tuple[bool, int, int]:
    """That the same data came again explains all else of a load; else the worst leads, and rows before what they do."""
    name = part.check.partition(":")[0]
    return name != SAME_DATA, -part.severity, LEADING.index(name) if name in LEADING else len(LEADING)


def _columns_of(parts: Sequence[Part]) -> list[str]:
    """The columns that an anomaly is about, if it is about nothing else, and about a few. What is told of all columns
    together follows from those that are named.
    """
    found: dict[str, None] = {}
    for part in parts:
        named = [match.group(1) for one in part.also if (match := _COLUMN_OF.search(one.metric))]
        if not named or len(part.also) >= KEEP_CONTRIBUTORS:
            return []  # nothing is named, or not all of it
        if part.check.partition(":")[0] != COLUMNS and len(named) < len(part.also):
            return []
        found.update(dict.fromkeys(named))
    return sorted(found)


def _published(episode: Episode) -> OpenEpisode:
    return OpenEpisode(
        id=episode.id,
        since=episode.since,
        severity=episode.severity,
        count=episode.count,
        run_id=episode.run_id,
        checks=list(episode.checks),
    )
