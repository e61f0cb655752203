"""Some partitions of the log, fed by hand, where messages between entities wait until the test delivers them.

Records of one partition stay in order; between partitions the test decides, as Kafka may. All of the log is kept, so
that the same can be folded again.
"""

from collections import deque
from typing import cast

from detector.core.breaker import State
from detector.core.commands import AnyCommand, Commanded, receivers
from detector.core.emissions import BreakerValue, Emission, digest
from detector.core.events import Event, Observation, Record, Tick, decode, encode, observations
from detector.core.incidents import Board, Incident
from detector.core.messages import BOARD
from detector.core.partition import partition_of
from detector.core.pipeline import rebuild, step, wanted
from detector.core.rules import Rules
from detector.core.state import Entity, Partition, dump, load

LEAST = 60.0


class Shard:
    """One partition: its log, its clock, its entities, and what it has said."""

    def __init__(self, number: int, count: int, rules: Rules, reload: bool = False) -> None:
        self.rules, self.reload = rules, reload
        self.partition = Partition(number, count, rules=rules.fingerprint)
        self.entities: dict[str, Entity] = {}
        self.log: list[Record] = []
        self.said: list[Emission] = []
        self.digest = b""

    def take(self, record: Record) -> list[Emission]:
        """Step over one record. Returns what it says."""
        if self.reload:
            self.entities = {key: load(dump(entity)) for key, entity in self.entities.items()}
            rebuild(self.partition)
        body = decode(record.value or b"").body
        keys = wanted(self.partition, record, body, self.rules)
        for key in keys:
            self.entities.setdefault(key, Entity(key))
        said = step(self.partition, self.entities, keys, record, body, self.rules, "topic")
        self.entities = {key: entity for key, entity in self.entities.items() if key in self.partition.due}
        self.digest = digest(self.digest, said)
        self.said += said
        return said

    def snapshots(self) -> dict[str, bytes]:
        """The bytes of all states."""
        return {key: dump(entity) for key, entity in sorted(self.entities.items())}


class Company:
    """All partitions. `now` is the clock of all of them, and the append time of what comes."""

    def __init__(self, at: float, partitions: int = 3, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.shards = [Shard(number, partitions, self.rules) for number in range(partitions)]
        self.waiting: list[deque[tuple[str | None, Observation]]] = [deque() for _ in self.shards]
        self.said: list[Emission] = []
        self.now = at
        self.tick(at - 1_000.0)
        self.tick(at)
        self.said.clear()

    # ------------------------------------------------------------ what comes in

    def put(self, key: str | None, body: Observation, number: int) -> None:
        """A record is appended to a partition, and taken at once; what it sends waits."""
        shard = self.shards[number]
        named = key.encode() if key is not None else None
        record = Record("log", number, len(shard.log), self.now, named, encode(body))
        shard.log.append(record)
        for emission in shard.take(record):
            if emission.topic == "log":
                place = partition_of(emission.key, len(self.shards))
                self.waiting[place].append((emission.key, cast(Observation, emission.data)))
            else:
                self.said.append(emission)

    def deliver(self, number: int) -> bool:
        """Let the oldest message that waits for a partition arrive. False if there is none."""
        if not self.waiting[number]:
            return False
        self.put(*self.waiting[number].popleft(), number)
        return True

    def settle(self) -> None:
        """Let all messages arrive, and what they send, and so on."""
        while any(self.deliver(number) for number in range(len(self.shards))):
            pass

    def tell(self, event: Event) -> None:
        """An event of the outside, in all its observations."""
        for key, body in observations(event, event.event_time):
            self.put(key, body, partition_of(key, len(self.shards)))

    def command(self, command: AnyCommand) -> None:
        """A person gives a command."""
        for key in receivers(command):
            places = range(len(self.shards)) if key is None else (partition_of(key, len(self.shards)),)
            for number in places:
                self.put(key, Commanded(command), number)

    def tick(self, at: float) -> None:
        """Time passes in every partition."""
        self.now = max(self.now, at)
        for number in range(len(self.shards)):
            self.put(None, Tick(at), number)

    def wait(self, seconds: float, every: float = LEAST) -> None:
        """Let time pass, with ticks; all messages arrive meanwhile."""
        until = self.now + seconds
        while self.now < until:
            self.settle()
            self.tick(min(self.now + every, until))
        self.settle()

    # ------------------------------------------------------------ what can be seen

    def entity(self, key: str) -> Entity | None:
        """The state of an entity, if it has one."""
        return self.shards[partition_of(key, len(self.shards))].entities.get(key)

    def entities(self) -> dict[str, Entity]:
        """All entities but the board."""
        return {k: e for shard in self.shards for k, e in shard.entities.items() if k != BOARD}

    @property
    def board(self) -> Board:
        """The board of incidents."""
        entity = self.entity(BOARD)
        return entity.board if entity is not None and entity.board is not None else Board()

    def breakers(self) -> dict[str, BreakerValue]:
        """The compacted topic: the last value of each breaker."""
        last = {e.key: e.data for e in self.said if e.topic == "breakers" and not e.key.startswith("heartbeat:")}
        return {key: cast(BreakerValue, value) for key, value in last.items() if value is not None}

    def held(self) -> set[str]:
        """Who is held, as readers are told."""
        return {key for key, value in self.breakers().items() if value.waits_for}

    def open(self) -> set[str]:
        """Who may not go on, as readers are told."""
        return {key for key, value in self.breakers().items() if value.state is State.OPEN}

    def incidents(self, phase: str) -> list[Incident]:
        """The incidents that were told in this way (`opened`, `resolved` ...), in order."""
        wanted_ = f"io.detector.incident.{phase}.v1"
        return [cast(Incident, e.data) for e in self.said if e.type == wanted_]

    def again(self, reload: bool = False) -> list[Shard]:
        """The same log folded once more, from nothing; with `reload` through the bytes of every state each time."""
        found = []
        for shard in self.shards:
            fresh = Shard(shard.partition.number, shard.partition.count, self.rules, reload)
            for record in shard.log:
                fresh.take(record)
            found.append(fresh)
        return found
