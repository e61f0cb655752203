"""A log with a consumer group, transactions and fencing; a store of snapshots with the guard. All of it can fail."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random

from detector.core.events import Record
from detector.core.partition import partition_of
from detector.errors import CommitAborted, SnapshotMoved, Unreachable
from detector.seams import Committed, Compacted, Head, Send

LOG = "log"


@dataclass
class Cluster:
    """Kafka, as far as the checkpoint sees it. `owner` is who the group says has a partition.

    What a transaction writes to the log is in the log, at the end of its partition, if it `delivers`: a pass over a log
    that holds all of that already does not. Compacted topics cannot be read while they are `unread`.
    """

    partitions: int
    records: list[list[Record]] = field(default_factory=list)
    committed: dict[int, Committed] = field(default_factory=dict)
    written: list[Send] = field(default_factory=list)
    owner: dict[int, int] = field(default_factory=dict)
    low: dict[int, int] = field(default_factory=dict)
    topic_id: str = "topic-1"
    delivers: bool = True
    unread: bool = False

    def __post_init__(self) -> None:
        self.records = [[] for _ in range(self.partitions)]

    def append(self, partition: int, key: str | None, value: bytes, timestamp: float) -> None:
        """One more record at the end of a partition. Offsets have holes, as after transactions."""
        log = self.records[partition]
        end = self.committed[partition].offset if partition in self.committed else 0  # of a log that is deleted
        offset = log[-1].offset + 1 + len(log) % 3 // 2 if log else end
        log.append(Record(LOG, partition, offset, timestamp, key.encode() if key else None, value))

    def write(self, sends: Sequence[Send]) -> None:
        """The records of a transaction that was committed. The log stamps its own with a time that never goes back."""
        self.written += sends
        now = max((log[-1].timestamp for log in self.records if log), default=0.0)
        for send in sends:
            if send.topic == LOG and self.delivers:
                key = send.key.decode() if send.key is not None else None
                partition = partition_of(key or "", self.partitions) if send.partition is None else send.partition
                self.append(partition, key, send.value or b"", now)


@dataclass
class FakeLog:
    """One member's view. `chaos` decides which commits are aborted, and whether one that was not is said to be."""

    cluster: Cluster
    member: int
    chaos: Random | None = None
    topic: str = LOG
    positions: dict[int, int] = field(default_factory=dict)
    paused: set[int] = field(default_factory=set)

    @property
    def topic_id(self) -> str:
        return self.cluster.topic_id

    @property
    def partitions(self) -> int:
        return self.cluster.partitions

    def poll(self, limit: int) -> list[Record]:
        """Up to `limit` records of the partitions that were sought and are not paused."""
        found: list[Record] = []
        for partition, position in sorted(self.positions.items()):
            if partition not in self.paused:
                new = [r for r in self.cluster.records[partition] if r.offset >= position][:limit]
                if new:
                    self.positions[partition] = new[-1].offset + 1
                    found += new
        return found

    def commit(self, sends: Sequence[Send], positions: Mapping[tuple[str, int], Committed]) -> None:
        if any(self.cluster.owner.get(partition) != self.member for _, partition in positions):
            raise CommitAborted("a stale member epoch")
        fate = self.chaos.random() if self.chaos else 1.0
        if fate < 0.05:
            raise CommitAborted("the coordinator aborted")
        self.cluster.write(sends)
        self.cluster.committed.update({partition: at for (_, partition), at in positions.items()})
        if fate < 0.10:
            raise CommitAborted("the outcome is unknown")

    def committed(self, partition: int) -> Committed | None:
        return self.cluster.committed.get(partition)

    def low(self, partition: int) -> int:
        return self.cluster.low.get(partition, 0)

    def seek(self, partition: int, offset: int) -> None:
        self.positions[partition] = offset

    def pause(self, partition: int) -> None:
        self.paused.add(partition)

    def resume(self, partition: int) -> None:
        self.paused.discard(partition)

    def forget(self, partition: int) -> None:
        """The partition is not assigned to this member any more."""
        self.positions.pop(partition, None)
        self.paused.discard(partition)

    def compacted(self, topic: Compacted, partition: int) -> dict[str, bytes]:
        """The last values, by the partitioner of the log."""
        if self.cluster.unread:
            raise Unreachable(f"{topic}/{partition} cannot be read to its end")
        last: dict[str, bytes] = {}
        for send in self.cluster.written:
            if send.topic == topic and send.key is not None and send.partition in (None, partition):
                key = send.key.decode()
                if send.partition is None and partition_of(key, self.partitions) != partition:
                    continue
                last.pop(key, None)
                if send.value is not None:
                    last[key] = send.value
        return last


Snapshot = tuple[Head, dict[str, bytes], dict[str, float]]


@dataclass
class FakeStore:
    """Redis, as far as the checkpoint sees it: it can be flushed, rolled back, and away."""

    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    history: list[dict[int, Snapshot]] = field(default_factory=list)
    away: bool = False
    guarded: bool = True

    def open(self, partition: int) -> tuple[Head | None, dict[str, float]]:
        self._reach()
        if partition not in self.snapshots:
            return None, {}
        head, _, due = self.snapshots[partition]
        return head, dict(due)

    def load(self, partition: int, keys: Sequence[str], expect: int) -> list[bytes | None]:
        self._guard(partition, expect)
        states = self.snapshots[partition][1] if partition in self.snapshots else {}
        return [states.get(key) for key in keys]

    def snapshot(
        self,
        partition: int,
        head: Head,
        states: Mapping[str, bytes | None],
        due: Mapping[str, float | None],
        expect: int | None,
    ) -> None:
        self._guard(partition, expect)
        _, old_states, old_due = self.snapshots.get(partition, (head, {}, {}))
        new_states, new_due = {**old_states, **states}, {**old_due, **due}
        self.snapshots[partition] = (
            head,
            {key: state for key, state in new_states.items() if state is not None},
            {key: at for key, at in new_due.items() if at is not None},
        )
        self.history.append(deepcopy(self.snapshots))

    def discard(self, partition: int) -> None:
        self._reach()
        self.snapshots.pop(partition, None)

    def flush(self) -> None:
        """FLUSHALL."""
        self.snapshots = {}

    def roll_back(self, steps: int) -> None:
        """A restart from an older dump, or a replica that was behind."""
        if self.history:
            self.snapshots = deepcopy(self.history[max(len(self.history) - 1 - steps, 0)])

    def _guard(self, partition: int, expect: int | None) -> None:
        self._reach()
        at = self.snapshots[partition][0].at if partition in self.snapshots else None
        if self.guarded and at != expect:
            raise SnapshotMoved(f"at {at}, expected {expect}")

    def _reach(self) -> None:
        if self.away:
            raise Unreachable("Redis is away")
