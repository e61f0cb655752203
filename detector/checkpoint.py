"""Exactly once, in one place: commit, then snapshot, and replay the gap muted.

Kafka is the truth; Redis holds a snapshot that may lag. For one partition of the log, C is its committed offset in
Kafka and S the offset that its snapshot in Redis is true for; always S <= C.

1. `commit`, often: one Kafka transaction with what was said and the consumed positions.
2. `snapshot`, seldom, only at a committed position: the states that were touched since the last one, in one atomic
   script that refuses when the stored offset is not S (the guard).
3. load, lazily, one round trip for a batch, under the same guard.
4. `recover`, on assignment, after an abort and when the guard refuses: drop memory, seek to S, replay [S, C) through
   the same `step` with emissions muted, go on.

It is right because `step` is deterministic: the state at S is the fold of the log up to S, whoever computed it. What
cannot be deterministic (another release, another configuration between S and C) is noticed by the digest of all
emissions, which every commit carries: then what was *published* wins over what was recomputed.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from detector.core.adoption import adopt, adopt_board
from detector.core.commands import Commanded
from detector.core.emissions import BreakerValue, Emission, Heartbeat, digest
from detector.core.events import Begun, DeadLetter, Envelope, Record, Tick, decode
from detector.core.incidents import Board, Incident
from detector.core.messages import BOARD
from detector.core.partition import partition_of
from detector.core.pipeline import StepFailed, rebuild, schedule, step, wanted
from detector.core.rules import Rules
from detector.core.state import NEVER, Entity, Partition, PartitionHead, dump, load
from detector.core.windows import Window
from detector.errors import (
    CommitAborted,
    DetectorError,
    LogMoved,
    SnapshotMoved,
    SnapshotTooNew,
    StateAheadOfLog,
    Unreachable,
)
from detector.seams import LARGEST, Committed, Head, Log, Send, Store
from detector.signals import Signals

_breaker_value = msgspec.json.Decoder(BreakerValue)
_heartbeat = msgspec.json.Decoder(Heartbeat)
_incident = msgspec.json.Decoder(Incident)
_windows = msgspec.msgpack.Decoder(list[Window])
_NO_WINDOWS = msgspec.msgpack.encode([])


@dataclass(slots=True)
class Limits:
    """How much is kept back. `snapshot_records` and `snapshot_bytes` bound the replay and the script of a snapshot;
    `cached` is how many states are kept in memory, of all partitions together; `backstop` is the least time, in seconds
    of the partition's clock, between two records of one entity on the backstop topic."""

    snapshot_records: int = 50_000
    snapshot_bytes: int = 16 << 20
    cached: int = 100_000
    backstop: float = 3_600.0


@dataclass(slots=True)
class Held:
    """One partition of the log as this worker holds it.

    `saved` is S (None: no snapshot), `committed` is C, `position` the next offset to be processed. While `position` is
    below `mute_until`, a replay, nothing is said. `touched` are the entities that differ from the snapshot; they stay
    in memory until they are in one, and `fresh` those that were touched since the last commit. `expected` is the
    metadata of the commit that a replay will come to. `folding` is a replay from the backstop, where each state is true
    for an offset of its own, and entities that are `cold` have none. `urgent` asks for a snapshot soon. `backed_up` is
    when an entity was last put on the backstop topic, `windows` are the mutes and maintenance that stand there.
    """

    number: int
    saved: int | None
    committed: int
    position: int
    mute_until: int
    partition: Partition
    expected: str = ""
    digest: bytes = b""
    folding: bool = False
    cold: set[str] = field(default_factory=set)
    urgent: bool = False
    entities: dict[str, Entity] = field(default_factory=dict)
    touched: dict[str, None] = field(default_factory=dict)
    fresh: dict[str, None] = field(default_factory=dict)
    state_bytes: float = 2_048.0
    records: int = 0
    said: list[Emission] = field(default_factory=list)
    dead: list[Send] = field(default_factory=list)
    backed_up: dict[str, float] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)

    @property
    def muted(self) -> bool:
        """Whether this is a replay of what was committed before."""
        return self.position < self.mute_until

    @property
    def unproven(self) -> bool:
        """Whether what a replay comes to is still to be compared with what was published."""
        return bool(self.expected) or self.folding


class Checkpoint:
    """The partitions of the log that a worker holds, their states, and what is not committed yet.

    Not for more than one thread. `encode` turns an emission into a record; `dead_letter` makes the record that sets
    one of the log aside.
    """

    def __init__(
        self,
        log: Log,
        store: Store,
        rules: Rules,
        signals: Signals,
        encode: Callable[[Emission], Send],
        dead_letter: Callable[[DeadLetter], Send],
        backstop_topic: str,
        limits: Limits | None = None,
        step: Callable[..., list[Emission]] = step,
    ) -> None:
        self._log, self._store, self._rules, self._signals = log, store, rules, signals
        self._encode, self._dead_letter, self._backstop_topic = encode, dead_letter, backstop_topic
        self._limits, self._step = limits or Limits(), step
        self._held: dict[int, Held] = {}
        self._waiting: dict[int, str] = {}
        self._pending: dict[int, str] = {}
        self._failures: dict[tuple[int, int], dict[str, tuple[int, BaseException]]] = {}

    # ------------------------------------------------------------ what the worker asks

    @property
    def held(self) -> Mapping[int, Held]:
        """The partitions that are recovered and go on."""
        return self._held

    @property
    def waiting(self) -> Mapping[int, str]:
        """The partitions that wait for a service, and for what."""
        return self._waiting

    def uncommitted(self) -> bool:
        """Whether there is anything to commit."""
        return any(h.position > h.committed for h in self._held.values())

    def pressing(self) -> bool:
        """Whether a breaker changed, or a neighbour must hear of it, which must not wait for the interval."""
        return any(
            e.topic == "log" or (e.topic == "breakers" and e.partition is None)
            for h in self._held.values()
            for e in h.said
        )

    def full(self) -> bool:
        """Whether a snapshot is due because of its size, or because a replay should not be needed twice."""
        limits = self._limits
        return any(
            h.urgent or h.records >= limits.snapshot_records or len(h.touched) * h.state_bytes >= limits.snapshot_bytes
            for h in self._held.values()
        )

    # ------------------------------------------------------------ assignment

    def assigned(self, partitions: Iterable[int]) -> None:
        """Take these partitions over: `settle` will recover them, outside of the rebalance callback."""
        for partition in partitions:
            self._drop(partition, "assigned")

    def revoked(self, partitions: Iterable[int]) -> None:
        """Give these partitions back: commit, then snapshot, while they are still ours."""
        gone = [p for p in partitions if p in self._held]
        try:
            self.commit()
            self.snapshot([p for p in gone if p in self._held])
        except CommitAborted:
            self._signals.snapshot_skipped(gone)  # nothing is lost: the next owner replays from S
        self.lost(partitions)

    def lost(self, partitions: Iterable[int]) -> None:
        """These partitions have another owner already: drop everything."""
        for partition in partitions:
            self._held.pop(partition, None)
            self._waiting.pop(partition, None)
            self._pending.pop(partition, None)

    def settle(self) -> None:
        """Recover the partitions that were assigned, or dropped after an abort."""
        for partition, why in sorted(self._pending.items()):
            del self._pending[partition]
            self._recover(partition, why)

    def retry(self) -> None:
        """Try again what waits for a service, or for an operator."""
        for partition in sorted(self._waiting):
            del self._waiting[partition]
            held = self._held.get(partition)
            if held is None:
                self._recover(partition, "retried")
            else:
                self._log.seek(partition, held.position)
                self._log.resume(partition)

    def _drop(self, partition: int, why: str) -> None:
        """Forget what is in memory of a partition, and let `settle` recover it. What is polled meanwhile is dropped."""
        self._held.pop(partition, None)
        self._waiting.pop(partition, None)
        self._pending[partition] = why

    # ------------------------------------------------------------ the records

    def apply(self, records: Sequence[Record]) -> None:
        """Let `step` see these records, each partition's in order. Raises what cannot be handled here."""
        by_partition: dict[int, list[Record]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        for partition, batch in by_partition.items():
            held = self._held.get(partition)
            if held is None or partition in self._waiting:
                continue
            try:
                self._apply(held, batch)
            except SnapshotMoved as error:
                self._signals.guard_refused(partition, str(error))
                self._drop(partition, "the guard refused")
            except Unreachable as error:
                self._wait(partition, str(error))
            except SnapshotTooNew as error:
                self._refuse(partition, error)

    def _apply(self, held: Held, batch: list[Record]) -> None:
        known = held.partition.due
        bodies = [(record, self._read(record, known)) for record in batch if record.offset >= held.position]
        self._fetch(held, [_key(r) for r, body in bodies if isinstance(body, Envelope) and r.key is not None])
        for record, body in bodies:
            if held.position < held.mute_until <= record.offset:
                held.position = held.mute_until
            if not held.muted and held.unproven:
                self._replayed(held)
            if isinstance(body, Envelope):
                if not self._step_one(held, record, body):
                    return
            elif not held.muted:
                self._signals.log_dead_lettered(body[0])
                held.dead.append(body[1])
            held.position = record.offset + 1
            held.records += 1
        if not held.muted and held.unproven:
            self._replayed(held)

    def _read(self, record: Record, known: Collection[str]) -> Envelope | tuple[str, Send]:
        """The envelope in a record of the log, or the reason and the dead letter that it becomes.

        The entities that are `known` in this partition belong there.
        """
        try:
            envelope = decode(record.value or b"")
        except msgspec.DecodeError:
            return self._aside(record, "not_an_observation", "the value is no envelope of this log")
        if isinstance(envelope.body, Tick) or (record.key is None and isinstance(envelope.body, Commanded | Begun)):
            return envelope
        try:
            key = (record.key or b"").decode()
        except UnicodeDecodeError:
            key = ""
        if key not in known and (not key or partition_of(key, self._log.partitions) != record.partition):
            return self._aside(record, "misplaced", "the key does not belong in this partition")
        return envelope

    def _aside(self, record: Record, reason: str, message: str) -> tuple[str, Send]:
        return reason, self._dead_letter(DeadLetter(record, reason, message, "step"))

    def _step_one(self, held: Held, record: Record, envelope: Envelope) -> bool:
        """One record. False if the partition must be recovered instead: the rest of the batch is void."""
        body = envelope.body
        keys = wanted(held.partition, record, body, self._rules)
        self._fetch(held, keys)
        if held.folding:
            keys = [key for key in keys if held.entities.get(key, _NEW).at <= record.offset]
            if not keys and record.key is not None:
                return True
        for key in keys:
            if key not in held.entities:
                held.entities[key] = Entity(key)
        failures = self._failures.get((held.number, record.offset), {}) if self._failures else {}
        poisoned = {key: type(error).__name__ for key, (times, error) in failures.items() if times > 1}
        try:
            emissions = self._step(
                held.partition, held.entities, keys, record, body, self._rules, self._log.topic_id, poisoned
            )
        except StepFailed as failed:
            self._failed(held, record, failed)
            return False
        if failures:
            self._passed(held, record, failures, poisoned)
        self._after(held, keys, emissions)
        return True

    def _after(self, held: Held, keys: list[str], emissions: list[Emission]) -> None:
        entities, due = held.entities, held.partition.due
        tight = len(entities) > self._room() // 2
        for key in keys:
            held.touched[key] = held.fresh[key] = None
            if key not in due:
                del entities[key]
            elif tight:  # what was touched last is evicted last
                entities[key] = entities.pop(key)
        held.digest = digest(held.digest, emissions)
        if not held.muted:
            held.said += emissions

    def _fetch(self, held: Held, keys: Iterable[str]) -> None:
        """Load the states that are needed and not in memory, in one round trip."""
        known, due = held.entities, held.partition.due
        missing = [key for key in keys if key not in known and key in due]
        if not missing:
            return
        missing = sorted(set(missing))
        if held.saved is None:
            raise SnapshotMoved(f"{len(missing)} states are in no snapshot")
        found = dict(zip(missing, self._store.load(held.number, missing, held.saved), strict=True))
        for key, state in found.items():
            if state is None:
                self._store.discard(held.number)
                raise SnapshotMoved(f"the index names {key}, but its state is gone: the snapshot is discarded")
        states, cold = self._thaw({key: state for key, state in found.items() if state is not None})
        known.update(states)
        if cold:
            self._adopt(held, cold, cold)

    def _thaw(self, states: Mapping[str, bytes]) -> tuple[dict[str, Entity], list[str]]:
        """The entities, and which of them start cold, since their state cannot be read."""
        found: dict[str, Entity] = {}
        cold: list[str] = []
        for key, state in states.items():
            try:
                found[key] = load(state)
            except ValueError as error:
                self._signals.state_corrupt(key, str(error))
                found[key] = Entity(key)
                cold.append(key)
        return found, cold

    def _room(self) -> int:
        """How many states of each partition may stay in memory."""
        return self._limits.cached // max(len(self._held), 1)

    def states(self, number: int, at_once: int = 500) -> Iterator[tuple[str, float, bytes]]:
        """Each entity of a partition as it is now: its key, when it is due, its state. Not while records are applied.

        Raises `SnapshotMoved` and `Unreachable`.
        """
        held = self._held[number]
        keys = sorted(held.partition.due)
        for first in range(0, len(keys), at_once):
            some = keys[first : first + at_once]
            self._fetch(held, some)
            for key in some:
                yield key, held.partition.due[key], dump(held.entities[key])
                if key not in held.touched:
                    del held.entities[key]

    def _evict(self, held: Held) -> None:
        """Right after a snapshot, so that nothing in memory is newer: keep what was touched last."""
        surplus = len(held.entities) - self._room()
        for key in list(held.entities)[: max(surplus, 0)]:
            del held.entities[key]

    # ------------------------------------------------------------ poison

    def _failed(self, held: Held, record: Record, failed: StepFailed) -> None:
        """`step` raised: replay up to the record. If it raises again, that is its outcome."""
        failures = self._failures.setdefault((held.number, record.offset), {})
        times, _ = failures.get(failed.key, (0, failed))
        error = failed.__cause__ or failed
        failures[failed.key] = (times + 1, error)
        self._signals.step_failed(failed.key, held.number, record.offset, error, times + 1)
        self._drop(held.number, "step failed")

    def _passed(
        self,
        held: Held,
        record: Record,
        failures: Mapping[str, tuple[int, BaseException]],
        poisoned: Mapping[str, str],
    ) -> None:
        for key, (_, error) in failures.items():
            if key not in poisoned:
                raise RuntimeError(
                    f"step raised on {key} at {held.number}/{record.offset} once and not again: it is not"
                    " deterministic, so that no replay can be trusted"
                ) from error
        held.urgent = True
        if not held.muted:
            reasons = ", ".join(f"{key}: {error}" for key, error in sorted(poisoned.items()))
            self._signals.log_dead_lettered("step")
            held.dead.append(self._aside(record, "step", reasons)[1])

    # ------------------------------------------------------------ commit and snapshot

    def commit(self) -> int:
        """Commit what was said and how far every partition is, in one transaction. Returns the number of records.

        An abort recovers every partition in the transaction and raises `CommitAborted`. Raises `Fenced`.
        """
        ready = [h for h in self._held.values() if h.position > h.committed]
        if not ready:
            return 0
        sends: list[Send] = []
        for held in ready:
            sends += self._fitting(held.said)
            sends += held.dead
            sends += self._backups(held)
        metadata = {h.number: f"{self._rules.fingerprint}:{h.digest.hex()}:{self._log.topic_id}" for h in ready}
        positions = {(self._log.topic, h.number): Committed(h.position, metadata[h.number]) for h in ready}
        try:
            self._log.commit(sends, positions)
        except CommitAborted as error:
            self._signals.commit_aborted("worker", str(error))
            for held in ready:
                if self._held.get(held.number) is held:  # it may have been lost meanwhile
                    self._drop(held.number, "the transaction was aborted")
            raise
        for held in ready:
            for emission in held.said:
                self._signals.said(emission)
            held.committed = held.position
            held.said, held.dead, held.fresh = [], [], {}
        return len(sends)

    def _fitting(self, said: Iterable[Emission]) -> Iterable[Send]:
        """What was said, but for what Kafka does not take: that would be tried again for ever, and nothing after it."""
        for emission in said:
            send = self._encode(emission)
            if send.size <= LARGEST:
                yield send
            else:
                self._signals.emission_skipped(emission.key, send.topic, send.size)

    def _backups(self, held: Held) -> list[Send]:
        """The touched states that the backstop topic has not had for a while."""
        clock, sends = held.partition.clock, []
        for key in held.fresh:
            entity = held.entities.get(key)
            if entity is None or clock >= held.backed_up.get(key, -NEVER) + self._limits.backstop:
                held.backed_up[key] = clock
                send = Send(self._backstop_topic, key.encode(), None if entity is None else dump(entity))
                if send.size <= LARGEST:
                    sends.append(send)
                else:
                    self._signals.backstop_skipped(key, send.size)
        if held.partition.windows != held.windows:
            held.windows = held.partition.windows
            value = msgspec.msgpack.encode(held.windows)
            send = Send(self._backstop_topic, _windows_key(held.number), value, partition=held.number)
            if send.size <= LARGEST:
                sends.append(send)
            else:
                self._signals.backstop_skipped(_windows_key(held.number).decode(), send.size)
        return sends

    def snapshot(self, partitions: Iterable[int] | None = None) -> None:
        """Write what was touched since the last snapshot, of every partition that stands at a committed position."""
        for number in list(self._held) if partitions is None else partitions:
            held = self._held.get(number)
            if held is None or held.position > held.committed or held.folding:
                continue
            if not held.records and not held.touched:  # nothing new; and where nothing is committed, nothing is to save
                continue
            try:
                self._snapshot(held)
            except SnapshotMoved as error:
                self._signals.guard_refused(number, str(error))
                self._drop(number, "the guard refused")
            except Unreachable as error:
                self._signals.redis_waiting(str(error))

    def _snapshot(self, held: Held) -> None:
        states: dict[str, bytes | None] = {}
        for key in held.touched:
            entity = held.entities.get(key)
            states[key] = None if entity is None else dump(entity)
        partition = held.partition
        due = {key: partition.due.get(key) for key in sorted(partition.changed)}
        self._store.snapshot(held.number, self._head(held), states, due, held.saved)
        size = sum(len(state) for state in states.values() if state)
        self._signals.snapshot_written(held.number, len(states), size)
        if states:
            held.state_bytes = size / len(states)
        held.saved = held.position
        held.touched, held.records, held.urgent = {}, 0, False
        partition.changed = set()
        self._failures = {at: f for at, f in self._failures.items() if at[0] != held.number or at[1] >= held.position}
        self._evict(held)

    def _head(self, held: Held) -> Head:
        p = held.partition
        state = PartitionHead(p.clock, p.grace_until, p.heartbeat_at, p.ignored_ticks, p.rules, p.windows)
        return Head(
            held.position, self._log.topic_id, self._log.partitions, self._rules.fingerprint, held.digest, state
        )

    # ------------------------------------------------------------ recovery

    def _wait(self, partition: int, why: str) -> None:
        """A service is away: this partition stands still until `retry`; the others go on."""
        self._log.pause(partition)
        self._waiting[partition] = why
        self._signals.partition_waits(partition, why)

    def _refuse(self, partition: int, error: DetectorError) -> None:
        """An operator must decide. The partition is looked at again with each `retry`, so that no restart is needed."""
        self._held.pop(partition, None)
        self._signals.partition_refused(partition, error)
        self._wait(partition, str(error))

    def _recover(self, number: int, why: str) -> None:
        """Drop memory, go back to the snapshot, and replay from there, muted, up to what is committed.

        Where an operator must decide, the partition stands still, loudly, until what is wrong was put right.
        """
        try:
            committed, low = self._log.committed(number), self._log.low(number)
            head, due = self._store.open(number)
            self._check(number, head, committed, low)
            held = self._begin(number, head, due, committed, low)
            self._log.seek(number, held.position)
        except Unreachable as error:
            self._wait(number, str(error))
            return
        except (StateAheadOfLog, LogMoved, SnapshotTooNew) as error:
            self._refuse(number, error)
            return
        self._held[number] = held
        self._log.resume(number)
        self._signals.recovered(number, held.position, held.mute_until, why)
        if not held.muted and held.unproven:
            try:
                self._replayed(held)
            except Unreachable as error:
                self._wait(number, str(error))

    def _check(self, number: int, head: Head | None, committed: Committed | None, low: int) -> None:
        """The log must be the one that the snapshot and the commit speak of."""
        log, name = self._log, f"{self._log.topic}/{number}"
        topic_id = committed.metadata.rpartition(":")[2] if committed else ""
        if (head and head.topic_id != log.topic_id) or (topic_id and topic_id != log.topic_id):
            raise LogMoved(f"{name} is another topic than the one that the state was made of: it was re-created")
        if head and head.partitions != log.partitions:
            raise LogMoved(f"{log.topic} has {log.partitions} partitions, the state is of {head.partitions}")
        if head and committed is None:
            raise LogMoved(f"{name} has a snapshot for offset {head.at}, but the group has no committed offset")
        if committed and committed.offset < low:
            raise LogMoved(f"{name}: committed offset {committed.offset} is below {low}, the first that is left")
        if head and committed and head.at > committed.offset:
            raise StateAheadOfLog(
                f"{name}: the snapshot is for offset {head.at}, the group has committed only {committed.offset}:"
                " somebody rewound it"
            )

    def _begin(
        self, number: int, head: Head | None, due: dict[str, float], committed: Committed | None, low: int
    ) -> Held:
        upto = committed.offset if committed else low
        partition = Partition(number, self._log.partitions)
        expected = committed.metadata if committed else ""
        if head is not None and head.at < low:
            self._store.discard(number)  # no replay begins there any more, and it would refuse the snapshot to come
        # A log that was begun with the states of another is known to the group before anything of it was read.
        begun = upto == low == 0 and expected.endswith(f":{self._log.topic_id}")
        if (head is None or head.at < low) and not (begun or low == 0 < upto):
            return self._fold_backstop(number, partition, upto, low, expected)
        if head is None or head.at < low:
            partition.rules = self._rules.fingerprint
            return Held(number, None, upto, low, upto, partition, expected)
        state = head.partition
        partition.clock, partition.grace_until, partition.heartbeat_at = (
            state.clock,
            state.grace_until,
            state.heartbeat_at,
        )
        partition.ignored_ticks, partition.rules, partition.due = state.ignored_ticks, state.rules, due
        partition.windows = list(state.windows)
        rebuild(partition)
        return Held(number, head.at, upto, head.at, upto, partition, expected, head.digest)

    def _replayed(self, held: Held) -> None:
        """A replay has come to C: is what it computed what was published?"""
        fingerprint, found, _ = (*held.expected.split(":"), "", "", "")[:3]
        if held.folding:
            self._folded(held, found)
        elif held.digest.hex() != found:
            # A full replay spans releases and configurations that nobody knows any more.
            changed = held.saved is None or fingerprint != self._rules.fingerprint
            self._signals.replay_differs(held.number, changed)
            self._adopt(held, list(held.touched))
            held.urgent = True
        held.expected = ""  # not before: what was published may be out of reach for now

    def _adopt(self, held: Held, keys: Iterable[str], cold: Collection[str] = ()) -> None:
        """Let breakers, episodes and incidents be what was published: else one stays open that nobody will ever close.

        Each of these entities has a turn at the next tick. Those that are `cold` know nothing else.
        """
        published = self._log.compacted("breakers", held.number)
        clock = held.partition.clock or _clock(published, held.number)
        for key in keys:
            value = published.get(key)
            entity = held.entities.get(key)
            if entity is None:
                if value is None:
                    continue
                entity = held.entities[key] = Entity(key)
            if key == BOARD:
                self._adopt_board(held, entity, clock)
            else:
                adopt(entity, None if value is None else _breaker_value.decode(value), clock)
            if key in cold:
                judgement = entity.judgement
                judgement.breaker, judgement.announced = msgspec.structs.replace(judgement.breaker, warming_up=True), ""
            held.touched[key] = None
            schedule(held.partition, key, 0.0)

    def _adopt_board(self, held: Held, entity: Entity, clock: float) -> None:
        """The board hears of all entities, wherever they are: what goes on is in the records of all partitions."""
        incidents = self._log.compacted("incidents", held.number)
        records = [self._log.compacted("breakers", partition) for partition in range(self._log.partitions)]
        values = [_breaker_value.decode(v) for found in records for k, v in found.items() if not _is_heartbeat(k)]
        entity.board = entity.board or Board()
        adopt_board(entity.board, {key: _incident.decode(value) for key, value in incidents.items()}, values, clock)

    # ------------------------------------------------------------ the backstop

    def _fold_backstop(self, number: int, partition: Partition, upto: int, low: int, expected: str) -> Held:
        """Redis is lost and the log does not reach back: begin with what the backstop topic has of each entity.

        Where the log is new, and nothing was ever said, there is nothing to find.
        """
        held = Held(number, None, upto, low, upto, partition, expected, folding=True)
        states = self._log.compacted("snapshots", number)
        partition.windows = _windows.decode(states.pop(_windows_key(number).decode(), _NO_WINDOWS))
        held.entities, cold = self._thaw(states)
        for key in self._log.compacted("breakers", number):
            if key not in held.entities and not _is_heartbeat(key):
                held.entities[key] = Entity(key)
                cold.append(key)
        known = bool(held.entities) or upto > 0 or bool(self._log.compacted("incidents", number))
        if known and BOARD not in held.entities and partition_of(BOARD, partition.count) == number:
            held.entities[BOARD] = Entity(BOARD)
            cold.append(BOARD)
        if held.entities or upto > low:
            self._signals.backstop_used(number, low, upto)
        held.cold = set(cold)
        for key in held.entities:
            held.touched[key] = None
            schedule(partition, key, NEVER)
        return held

    def _folded(self, held: Held, found: str) -> None:
        """The fold has come to C: published breakers win."""
        held.digest = bytes.fromhex(found)  # empty where nothing is committed
        held.partition.rules = self._rules.fingerprint
        if held.entities:
            self._adopt(held, list(held.entities), held.cold)
            held.cold, held.urgent = set(), True
        held.folding = False


_NEW = Entity("")


def _windows_key(number: int) -> bytes:
    return f"windows:{number}".encode()


def _is_heartbeat(key: str) -> bool:
    return key.startswith("heartbeat:")


def _clock(published: Mapping[str, bytes], number: int) -> float:
    """What a partition's clock was when it was last told."""
    beat = published.get(f"heartbeat:{number}")
    return _heartbeat.decode(beat).clock if beat is not None else 0.0


def _key(record: Record) -> str:
    return (record.key or b"").decode(errors="replace")
