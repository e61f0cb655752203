"""What the API answers from, in memory: breakers, incidents, plans, windows and the last events, as topics tell them.

Two threads of the feed write, the loop of the server reads; nothing here waits for anything. While Kafka is away all of
it stays as it was last: `view.decide` says of each breaker whether it can still be relied on.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from detector.core.emissions import Anomaly, BreakerValue, CommandDone, Heartbeat
from detector.core.events import Record
from detector.core.incidents import Incident
from detector.core.recovery import RecoveryPlan
from detector.core.windows import Window, Zones
from detector.mutes import heard as take_window
from detector.plan_page import PLAN
from detector.sinks import cloudevents
from detector.view import ANYBODY, HEARTBEAT, Answer, Asked, decide, unknown
from detector.web.ring import Ring

MOST_EVIDENCE: Final = 5_000
MOST_PLANS: Final = 2_000
_incident: msgspec.json.Decoder[Incident] = msgspec.json.Decoder(Incident)
_breaker: msgspec.json.Decoder[BreakerValue] = msgspec.json.Decoder(BreakerValue)
_heartbeat: msgspec.json.Decoder[Heartbeat] = msgspec.json.Decoder(Heartbeat)


class Topics(Protocol):
    """The names of the topics that are read."""

    @property
    def breakers(self) -> str: ...
    @property
    def incidents(self) -> str: ...
    @property
    def control(self) -> str: ...
    @property
    def commands(self) -> str: ...


class Facts:
    """All that is known. `owner` gives the owner of an entity, by the configuration; `clock` seconds since 1970."""

    def __init__(
        self,
        topics: Topics,
        zones: Zones,
        owner: Callable[[str], str | None],
        max_age: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is known yet: `put` and `heard` fill it. `max_age` is of heartbeats, in seconds."""
        self._topics, self._zones, self.owner, self._max_age, self.clock = topics, zones, owner, max_age, clock
        self.ring = Ring()
        self.breakers: dict[str, BreakerValue] = {}
        self.clocks: dict[int, float] = {}
        self.incidents: dict[str, Incident] = {}
        self.plans: OrderedDict[str, RecoveryPlan] = OrderedDict()
        self._unreadable: dict[str, str] = {}
        self._windows: dict[str, Window] = {}
        self._evidence: OrderedDict[str, Anomaly] = OrderedDict()
        self._listeners: list[Callable[[CommandDone], None]] = []

    # ------------------------------------------------------------ what topics tell

    def put(self, topic: str, key: str, value: bytes | None) -> None:
        """The last value of a key of a compacted topic; None: it is gone."""
        if topic == self._topics.incidents:
            self._put_incident(key, value)
        elif key.startswith(HEARTBEAT):
            self._put_heartbeat(key, value)
        elif value is None:
            self.breakers.pop(key, None)
            self._unreadable.pop(key, None)
        else:
            self._put_breaker(key, value)

    def _put_breaker(self, key: str, value: bytes) -> None:
        try:
            self.breakers[key] = _breaker.decode(value)
            self._unreadable.pop(key, None)
        except msgspec.DecodeError as error:
            self._unreadable[key] = str(error)
            self.breakers.pop(key, None)

    def _put_heartbeat(self, key: str, value: bytes | None) -> None:
        try:
            beat = None if value is None else _heartbeat.decode(value)
        except msgspec.DecodeError:
            beat = None
        number = key.removeprefix(HEARTBEAT)
        if beat is not None:
            self.clocks[beat.partition] = beat.clock
        elif number.isdecimal():
            self.clocks.pop(int(number), None)

    def _put_incident(self, key: str, value: bytes | None) -> None:
        try:
            incident = None if value is None else _incident.decode(value)
        except msgspec.DecodeError:
            return  # of a newer release: what was known of it is better than nothing
        if incident is None:
            self.incidents.pop(key, None)
        else:
            self.incidents[key] = incident

    def begin(self, topic: str, partitions: int) -> None:
        """A topic of events is read from its start: for the first time, or since it was made anew."""
        if topic == self._topics.control:
            self.ring.begin(partitions)
        else:
            self._windows.clear()

    def heard(self, record: Record) -> None:
        """The next record of the control topic, or of that of commands."""
        if record.topic == self._topics.commands:
            take_window(self._windows, record.value, self._zones)
            return
        try:
            event = cloudevents.decode(record)
        except cloudevents.NotCloudEvent:
            return
        self.ring.add(record.partition, record.offset, (record.key or b"").decode(errors="replace"), event)
        self._remember(str(event["type"]), event["data"])

    def _remember(self, type_: str, data: Any) -> None:
        try:
            if type_ == PLAN:
                self._put_plan(msgspec.convert(data, RecoveryPlan))
            elif type_.startswith("io.detector.anomaly.") and ".ended." not in type_:
                self._put_evidence(msgspec.convert(data, Anomaly))
            elif type_.startswith("io.detector.command.done."):
                done = msgspec.convert(data, CommandDone)
                for listener in list(self._listeners):
                    listener(done)
        except msgspec.ValidationError:
            return  # of a newer release

    def _put_plan(self, plan: RecoveryPlan) -> None:
        known = self.plans.get(plan.plan)
        if known is None or known.version < plan.version:
            self.plans[plan.plan] = plan
        if len(self.plans) > MOST_PLANS:
            over = next((key for key, one in self.plans.copy().items() if one.state != "open"), next(iter(self.plans)))
            del self.plans[over]

    def _put_evidence(self, said: Anomaly) -> None:
        self._evidence[said.episode] = said
        self._evidence.move_to_end(said.episode)
        if len(self._evidence) > MOST_EVIDENCE:
            self._evidence.popitem(last=False)

    def listen(self, listener: Callable[[CommandDone], None]) -> None:
        """Tell somebody, in the thread of the feed, what comes of commands."""
        self._listeners.append(listener)

    def listen_no_more(self, listener: Callable[[CommandDone], None]) -> None:
        """Tell them no more."""
        self._listeners.remove(listener)

    # ------------------------------------------------------------ what is asked

    def answer(self, entity: str, asked: Asked = ANYBODY) -> Answer:
        """May it go on? `view.decide`, now."""
        value = self.breakers.get(entity)
        if value is None and entity in self._unreadable:
            return unknown(entity, "unreadable", f"this release cannot read its record: {self._unreadable[entity]}")
        clock = None if value is None else self.clocks.get(value.partition)
        return decide(entity, value, clock, self.clock(), self._max_age, asked)

    def answers(self, entities: Sequence[str]) -> Mapping[str, Answer]:
        """The same of those among some that are known."""
        return {entity: self.answer(entity) for entity in entities if entity in self.breakers}

    def is_fresh(self, value: BreakerValue, now: float) -> bool:
        """Whether a breaker can be relied on: what `decide` asks first, for when there are many."""
        clock = self.clocks.get(value.partition)
        return clock is not None and abs(now - clock) <= self._max_age

    def values(self) -> Mapping[str, BreakerValue]:
        """All breakers, as they are now."""
        return self.breakers.copy()

    def open_incident_of(self, entity: str) -> Incident | None:
        """The open incident that an entity is in: as one with findings, or as one that is hit."""
        for incident in self.incidents.copy().values():
            mine = incident.state == "open" and (
                incident.root == entity
                or entity in incident.affected
                or any(one.entity == entity and one.ended is None for one in incident.findings)
            )
            if mine:
                return incident
        return None

    def evidence(self, incident: Incident) -> dict[str, Anomaly]:
        """The last that was said of each of its episodes, as far as it is still known."""
        episodes = (one.episode for one in incident.findings)
        return {episode: said for episode in episodes if (said := self._evidence.get(episode)) is not None}

    def around(self, incident: Incident) -> dict[str, BreakerValue]:
        """The breakers of all that have to do with an incident."""
        keys = dict.fromkeys([*(one.entity for one in incident.findings), *incident.affected])
        return {key: value for key in keys if (value := self.breakers.get(key)) is not None}

    def windows(self) -> Iterable[Window]:
        """The mutes and windows that were added and not ended."""
        return self._windows.copy().values()

    @property
    def zones(self) -> Zones:
        """Those in which windows are."""
        return self._zones

    def ages(self) -> Iterator[tuple[int, float]]:
        """How old the last heartbeat of each partition is, in seconds."""
        now = self.clock()
        return ((partition, now - clock) for partition, clock in sorted(self.clocks.copy().items()))

    def stale(self) -> list[int]:
        """The partitions whose breakers cannot be relied on now: their last heartbeat is too old, or of the future."""
        return [partition for partition, age in self.ages() if abs(age) > self._max_age]
