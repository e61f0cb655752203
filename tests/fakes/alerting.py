"""A topic of incidents of one partition, what was told beside it, and a receiver like a pager: all small, all real."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from detector.core.events import Record
from detector.core.incidents import Incident, IncidentFinding
from detector.errors import SinkBusy, SinkRefused
from detector.sinks import Action, Alert
from detector.sinks.seam import ALL


class Crash(BaseException):
    """The process ends here."""


def incident(id_: str = "i1", version: int = 1, **other: Any) -> Incident:
    """One that people are called for, if nothing else is said."""
    found = IncidentFinding(
        entity="job:shop/load",
        check="rows_out:load",
        episode=f"e-{id_}",
        severity="critical",
        since=100.0,
        summary="rows out: 12 rows, 4 % of what is usual",
        run_id="r1",
    )
    given = {
        "state": "open",
        "severity": "critical",
        "root": "job:shop/load",
        "title": found.summary,
        "opened": 100.0,
        "updated": 100.0 + version,
        "called": "critical",
        "called_at": 110.0,
        "findings": [found],
    }
    return Incident(id=id_, version=version, **{**given, **other})


def over(given: Incident, **other: Any) -> Incident:
    """The same, when it is over."""
    at = given.updated + 1
    changed = {"version": given.version + 1, "state": "resolved", "resolved": at, "updated": at, **other}
    return msgspec.structs.replace(given, **changed)


@dataclass
class Topics:
    """The records of incidents, what was told, and the position of the group."""

    records: list[Record | None] = field(default_factory=list)
    told: dict[str, bytes] = field(default_factory=dict)
    committed: int = 0
    fails: int = 0

    def say(self, *incidents: Incident) -> None:
        for one in incidents:
            self.put(one.id, msgspec.json.encode(one))

    def put(self, key: str, value: bytes | None) -> None:
        self.records.append(Record("incidents", 0, len(self.records), 0.0, key.encode(), value))

    def compact(self) -> None:
        """As the broker does: of each key the last record."""
        last = {record.key: record for record in self.records if record is not None}
        kept = {record.offset for record in last.values()}
        self.records = [record if record is not None and record.offset in kept else None for record in self.records]


@dataclass
class FakeReader:
    """A member of the group; `at_once` is how many records a poll gives. `dies_at`: at which write the process ends."""

    topics: Topics
    at_once: int = 3
    places: Mapping[int, int] = field(default_factory=lambda: {0: 1})
    at: int = 0
    dies_at: int | None = None
    dies_after: bool = False

    @property
    def caught_up(self) -> bool:
        return self.at == len(self.topics.records)

    def poll(self, timeout: float) -> list[Record]:
        assert timeout > 0
        found = self.topics.records[self.at : self.at + self.at_once]
        self.at += len(found)
        return [record for record in found if record is not None]

    def kept(self, partition: int) -> Mapping[str, bytes]:
        return dict(self.topics.told)

    def keep(self, partition: int, key: str, value: bytes | None) -> None:
        dies = self.dies_at == 0
        self.dies_at = None if self.dies_at is None else self.dies_at - 1
        if dies and not self.dies_after:
            raise Crash
        if self.topics.fails:
            self.topics.fails -= 1
            raise SinkBusy("Kafka does not take it", heard=False)
        if value is None:
            self.topics.told.pop(key, None)
        else:
            self.topics.told[key] = value
        if dies:
            raise Crash

    def commit(self, positions: Mapping[int, int]) -> None:
        self.topics.committed = positions[0]


@dataclass
class Pager:
    """Who is called: `open` are the incidents that ring there. It drops repeats by key, as PagerDuty does."""

    open: dict[str, str] = field(default_factory=dict)
    log: list[tuple[Action, str, str]] = field(default_factory=list)
    called: list[str] = field(default_factory=list)

    def take(self, alert: Alert) -> None:
        self.log.append((alert.action, alert.incident, alert.id))
        if alert.action == "trigger":
            if alert.incident not in self.open:
                self.called.append(alert.incident)
            self.open[alert.incident] = alert.severity
        elif alert.action == "resolve":
            self.open.pop(alert.incident, None)


@dataclass
class FakeSink:
    """Tells the pager. `faults` are what becomes of the next messages: away, lost (the answer), busy, refused, dies."""

    kind: ClassVar[str] = "fake"
    takes: ClassVar[frozenset[Action]] = frozenset({"trigger", "acknowledge", "resolve"})
    pager: Pager
    faults: list[str] = field(default_factory=list)
    stumbles_over: frozenset[str] = frozenset()
    dropped: list[str] = field(default_factory=list)
    waiting: dict[str, Alert] = field(default_factory=dict)
    trouble: str | None = None
    retry_after: float | None = None
    flushes: int = 0
    closed: bool = False

    def add(self, alert: Alert) -> None:
        self.waiting[alert.incident] = alert

    def drop(self, incident: str) -> None:
        self.dropped.append(incident)
        self.waiting.pop(incident, None)

    def flush(self, now: float) -> int:
        self.flushes += 1
        for key, alert in list(self.waiting.items()):
            del self.waiting[key]
            self._one(alert)
        return 0

    def _one(self, alert: Alert) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        if alert.incident in self.stumbles_over:
            raise SinkBusy("it stumbles over this one", heard=False)
        if fault == "away":
            raise SinkBusy("nobody is there", heard=False)
        if fault == "busy":
            raise SinkBusy("not now", self.retry_after, heard=False)
        if fault == "refused":
            raise SinkRefused("not like this")
        if fault == "dies before":
            raise Crash
        self.pager.take(alert)
        if fault == "lost":
            raise SinkBusy("no answer came", heard=True)
        if fault == "dies after":
            raise Crash

    def close(self) -> None:
        self.closed = True


class FakeBoardSink(FakeSink):
    """One that shows the text, as Alertmanager does, and so hears of each change."""

    takes: ClassVar[frozenset[Action]] = ALL
