"""`detector alert`: tells one receiver of the incidents that people are called for, and when they are over.

    topic of incidents ─▶ the newest of each ─┐
                                              ├─▶ what is to be told next ─▶ sink
    topic of alerts ─▶ what it was told last ─┘

What is so is compared with what was told, and the difference is told: a restart, a receiver that was away and a
partition that another process had are no cases of their own. That an incident is about to be told is kept before, and
that the receiver took it after: whoever dies in between tells it again, under the same key, or tells that it is over.
Each receiver has a loop, and a group, of its own.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import random
from threading import Event
from typing import Final, Protocol

import msgspec

from detector.alerts import Links, Match, Told, alert_of, decide, is_called_anew, told_of
from detector.core.events import Record
from detector.core.incidents import Incident, call_of
from detector.errors import SinkBusy, SinkRefused
from detector.sinks.seam import Action, Alert, Sink

POLL: Final = 0.2
COMMIT: Final = 1.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds


class Reader(Protocol):
    """A member of a receiver's group that reads the topic of incidents from its start, and keeps what was told."""

    @property
    def places(self) -> Mapping[int, int]:
        """The partitions that this member has now, each with a number that is another one when it came back."""

    @property
    def caught_up(self) -> bool:
        """Whether the end of every partition was seen."""

    def poll(self, timeout: float) -> list[Record]:
        """The next records, waiting up to `timeout` seconds. Raises `Unreachable` when Kafka refuses."""

    def kept(self, partition: int) -> Mapping[str, bytes]:
        """What stands on a partition of the topic of alerts. Raises `SinkBusy` when Kafka does not say."""

    def keep(self, partition: int, key: str, value: bytes | None) -> None:
        """Write there; it is written when this returns. Raises `SinkBusy` when Kafka does not take it."""

    def commit(self, positions: Mapping[int, int]) -> None:
        """Up to where all was told, for who looks at lags. Raises `SinkBusy`."""


class Signals(Protocol):
    """What it tells of itself; `telemetry` makes log lines and metrics of it."""

    def alert_sent(self, sink: str, alert: Alert) -> None:
        """A receiver has taken a message."""

    def alert_told_again(self, sink: str) -> None:
        """A receiver has taken again what goes on."""

    def alert_refused(self, sink: str, incident: str, why: str) -> None:
        """A receiver does not take a message, now or later: somebody must look."""

    def alert_skipped(self, sink: str, incident: Incident) -> None:
        """An incident was over before the receiver could be told that it began."""

    def alert_unreadable(self, partition: int, offset: int, why: str) -> None:
        """A record of the topic of incidents is none; it is left out."""

    def alert_waits(self, sink: str, why: str) -> None:
        """A receiver, or Kafka, does not answer, or not now; it is told again."""

    def alerts_turned(self, sink: str, waiting: int, trouble: str | None) -> None:
        """One round: how many incidents wait to be told, and what is wrong with the receiver."""


@dataclass(slots=True)
class Place:
    """A partition: which time it is that we have it, and the next offset. `loaded`: what was told is known."""

    number: int
    at: int = 0
    loaded: bool = False


@dataclass(slots=True)
class Known:
    """An incident as far as it matters: the newest version, what was told of it, and which version the sink has.

    `heard`: of what was told and not taken, whether it may have been taken. `refused` is the call that was refused,
    `unkept` whether what was told is still to be kept.
    """

    partition: int
    incident: Incident | None = None
    told: Told | None = None
    shown: int | None = None
    heard: bool = True
    refused: float | None = None
    unkept: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing of it is open, here or there."""
        closed = self.incident is None or self.incident.state != "open"
        return closed and self.told is None and not self.unkept


@dataclass(slots=True)
class Receiver:
    """Who is told, of what, with which links. `name` is what it is called in all that is kept of it."""

    name: str
    sink: Sink
    match: Match = field(default_factory=Match)
    links: Links = field(default_factory=Links)


class Alerting:
    """The loop of one receiver. `clock` gives monotonic seconds, `wall` the time."""

    def __init__(
        self,
        reader: Reader,
        receiver: Receiver,
        signals: Signals,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random,
    ) -> None:
        self._reader, self._receiver, self._signals = reader, receiver, signals
        self._clock, self._wall, self._chance = clock, wall, chance
        self._places: dict[int, Place] = {}
        self._known: dict[str, Known] = {}
        self._due: dict[str, None] = {}
        self._committed: dict[int, int] = {}
        self._failures = 0
        self._trouble: str | None = None
        self._wait_until = self._commit_at = 0.0

    def run(self, stop: Event) -> None:
        """Go on until told to stop. Raises `Unreachable` for what only an operator can mend."""
        while not stop.is_set():
            self.step()
        with suppress(SinkBusy):  # the next process finds what was told, and tells the rest
            self._commit()

    def step(self) -> None:
        """One round: read, tell, commit."""
        records = self._reader.poll(POLL)
        self._keep_to(self._reader.places)
        for record in records:
            self._take(record)
        now = self._clock()
        if now >= self._wait_until:
            self._try(now)
        self._signals.alerts_turned(self._receiver.name, len(self._due), self._trouble)

    def _try(self, now: float) -> None:
        try:
            if self._reader.caught_up:
                self._turn()
            if now >= self._commit_at and not self._due:
                self._commit_at = now + COMMIT
                self._commit()
        except SinkBusy as error:
            self._failures += 1
            self._trouble = str(error)
            self._signals.alert_waits(self._receiver.name, str(error))
            self._wait_until = now + self._wait(error)
        else:
            self._failures = 0
            self._trouble = self._receiver.sink.trouble

    def _wait(self, error: SinkBusy) -> float:
        """As long as the receiver has said; else twice as long each time, and not all at the same moment."""
        longest = min(FIRST_WAIT * 2.0 ** min(self._failures - 1, 16), LONGEST_WAIT)
        return error.retry_after if error.retry_after is not None else longest * (0.5 + self._chance() / 2)

    # ------------------------------------------------------------ reading

    def _keep_to(self, places: Mapping[int, int]) -> None:
        """What another member has, or had in between, is begun anew."""
        gone = {p for p, place in self._places.items() if places.get(p) != place.number}
        new = [p for p in places if p not in self._places or p in gone]
        for key in [key for key, known in self._known.items() if known.partition in gone]:
            self._receiver.sink.drop(key)
        if gone:
            self._known = {key: known for key, known in self._known.items() if known.partition not in gone}
            self._due = {key: None for key in self._due if key in self._known}
        for partition in gone:
            del self._places[partition]
            self._committed.pop(partition, None)
        self._places |= {p: Place(places[p]) for p in new}

    def _take(self, record: Record) -> None:
        place = self._places.get(record.partition)
        if place is None:
            return
        place.at = record.offset + 1
        key = (record.key or b"").decode(errors="replace")
        try:
            incident = None if record.value is None else msgspec.json.decode(record.value, type=Incident)
        except msgspec.DecodeError as error:
            self._signals.alert_unreadable(record.partition, record.offset, str(error))
            return
        known = self._known.setdefault(key, Known(record.partition))
        if place.loaded and self._is_missed(known, incident):
            self._signals.alert_skipped(self._receiver.name, known.incident)  # type: ignore[arg-type]
        known.incident = incident
        if known.done:
            self._forget(key)
        else:
            self._due[key] = None

    def _is_missed(self, known: Known, new: Incident | None) -> bool:
        """Whether the receiver was to be told, was not, and need not be told any more."""
        waits = known.incident is not None and known.told is None and known.refused is None
        return waits and self._action(known) == "trigger" and (new is None or new.state != "open")

    def _forget(self, key: str) -> None:
        self._known.pop(key, None)
        self._due.pop(key, None)

    def _load(self) -> None:
        """What this receiver was told, of the partitions that came."""
        begin = f"{self._receiver.name}/"
        for partition, place in self._places.items():
            if place.loaded:
                continue
            for key, value in self._reader.kept(partition).items():
                if key.startswith(begin):
                    self._remember(partition, key.removeprefix(begin), value)
            place.loaded = True

    def _remember(self, partition: int, key: str, value: bytes) -> None:
        try:
            told = msgspec.json.decode(value, type=Told)
        except msgspec.DecodeError as error:
            self._signals.alert_unreadable(partition, -1, f"what was told of {key}: {error}")
            return
        self._known.setdefault(key, Known(partition)).told = told
        self._due[key] = None

    # ------------------------------------------------------------ telling

    def _turn(self) -> None:
        self._load()
        for key in list(self._due):
            known = self._known[key]
            self._write(key, known)
            while (action := self._action(known)) is not None:
                self._tell(key, known, action)
                self._write(key, known)
            if known.done:
                self._forget(key)
            self._due.pop(key, None)
        self._again()

    def _action(self, known: Known) -> Action | None:
        """What is to be told next, and was not refused or shown already."""
        action = decide(known.incident, known.told, self._receiver.match)
        incident = known.incident
        if action == "update" and incident is not None and known.shown == incident.version:
            return None
        if action == "trigger" and incident is not None and known.refused == call_of(incident):
            return None
        return action

    def _tell(self, key: str, known: Known, action: Action) -> None:
        told = self._begun(key, known) if action == "trigger" else known.told
        assert told is not None
        if action == "resolve" and not told.taken and not known.heard:
            known.told, known.unkept = None, True
            if known.incident is not None:
                self._signals.alert_skipped(self._receiver.name, known.incident)
            return
        try:
            self._send(alert_of(action, told, known.incident, self._receiver.links, self._wall()))
        except SinkBusy as error:
            self._not_now(key, known, told, error)
            raise
        except SinkRefused as error:
            self._signals.alert_refused(self._receiver.name, key, str(error))
            if action == "trigger" and not told.taken:
                known.told, known.refused, known.unkept = None, told.called_at, True
                self._receiver.sink.drop(key)
                return
        self._note(known, action, told)

    def _begun(self, key: str, known: Known) -> Told:
        """What is to be kept of a call. It is kept before it is told: nobody may be told, and not known to be."""
        before, incident = known.told, known.incident
        assert incident is not None
        if before is not None and not before.taken and before.called_at == call_of(incident):
            return before
        told = told_of(self._receiver.name, incident, self._wall())
        if before is not None and before.taken:
            return msgspec.structs.replace(told, taken=True)
        known.heard = before is not None and known.heard
        known.told, known.unkept = told, True
        self._write(key, known)
        return told

    def _send(self, alert: Alert) -> None:
        sink = self._receiver.sink
        if alert.action in sink.takes:
            sink.add(alert)
            sink.flush(self._wall())
            self._failures = 0
            self._signals.alert_sent(self._receiver.name, alert)

    def _not_now(self, key: str, known: Known, told: Told, error: SinkBusy) -> None:
        """The others first, the next time: it may be this message that the receiver stumbles over."""
        self._due.pop(key, None)
        self._due[key] = None
        if told.taken:
            return
        self._receiver.sink.drop(key)
        known.heard = known.heard or error.heard
        if not known.heard:
            known.told, known.unkept = None, True
            self._write(key, known)

    def _note(self, known: Known, action: Action, told: Told) -> None:
        """What the receiver knows now."""
        known.shown = None if known.incident is None else known.incident.version
        if action == "resolve":
            known.told = None
        elif action == "acknowledge" and known.incident is not None:
            known.told = msgspec.structs.replace(told, acknowledged_by=known.incident.acknowledged_by)
        elif action == "trigger":
            known.told, known.refused = msgspec.structs.replace(told, taken=True, at=self._wall()), None
        known.unkept = known.unkept or action != "update"

    def _write(self, key: str, known: Known) -> None:
        """Keep what was told, at once: until then a restart tells it again."""
        if known.unkept:
            value = None if known.told is None else msgspec.json.encode(known.told)
            self._reader.keep(known.partition, f"{self._receiver.name}/{key}", value)
            known.unkept = False

    def _again(self) -> None:
        """What the receiver must be told at intervals."""
        try:
            if self._receiver.sink.flush(self._wall()):
                self._signals.alert_told_again(self._receiver.name)
        except SinkRefused as error:
            self._signals.alert_refused(self._receiver.name, "", str(error))

    # ------------------------------------------------------------ committing

    def _commit(self) -> None:
        """Only for who looks at lags: a restart reads all of the topic."""
        positions = {p: place.at for p, place in self._places.items() if place.at}
        changed = {p: at for p, at in positions.items() if self._committed.get(p) != at}
        if changed and not self._due:
            self._reader.commit(changed)
            self._committed |= changed


def would_tell(
    incidents: Mapping[str, Incident], told: Mapping[str, Told], receiver: Receiver, now: float
) -> list[Alert]:
    """What would be told now, without telling it."""
    found: list[Alert] = []
    for key in [*incidents, *(key for key in told if key not in incidents)]:
        incident, last = incidents.get(key), told.get(key)
        action = decide(incident, last, receiver.match)
        if action is None or action == "update":
            continue
        if action == "trigger" and incident is not None and is_called_anew(incident, last):
            last = told_of(receiver.name, incident, now)
        assert last is not None
        found.append(alert_of(action, last, incident, receiver.links, now))
    return found
