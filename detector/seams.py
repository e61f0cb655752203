"""What the worker, ingest and the checkpoint need of Kafka and Redis. The real classes are in `broker` and `store`;
the tests of crash schedules have small real ones of their own."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from detector.core.events import Headers, Record
from detector.core.state import PartitionHead

Compacted = Literal["breakers", "incidents", "snapshots"]
LARGEST = 8 << 20  # bytes of a record that our topics and producers take: what comes in may be large, and grows here
FRAMING = 1 << 10  # bytes that Kafka may add to a record


class Send(msgspec.Struct, frozen=True):
    """One record to write. Without a `partition`, its key decides, by `murmur2_random`.

    `timestamp` is in milliseconds since 1970; 0 is the time of writing.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp: int = 0

    @property
    def size(self) -> int:
        """About how many bytes it takes in Kafka, and no less than that."""
        headers = sum(len(name) + len(value or b"") + 10 for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers + FRAMING


class Committed(msgspec.Struct, frozen=True):
    """A committed position, and the metadata that was committed with it."""

    offset: int
    metadata: str = ""


class Transactions(Protocol):
    """A group member's way to write: records and positions in one transaction."""

    def commit(self, sends: Sequence[Send], positions: Mapping[tuple[str, int], Committed]) -> None:
        """Write all of it, or nothing of it.

        Raises `CommitAborted` when nothing was written or nobody knows: read `committed` again before going on. Raises
        `Fenced` when another process has this one's `transactional.id` while this one is still a member.
        """


class Log(Transactions, Protocol):
    """The worker's side of the log."""

    @property
    def topic(self) -> str:
        """Its name."""

    @property
    def topic_id(self) -> str:
        """What a re-created topic of the same name does not share."""

    @property
    def partitions(self) -> int:
        """How many there are."""

    def committed(self, partition: int) -> Committed | None:
        """The stable committed position: waits for what open transactions will make of it. Raises `Unreachable`."""

    def low(self, partition: int) -> int:
        """The first offset that is still there. Raises `Unreachable`."""

    def seek(self, partition: int, offset: int) -> None:
        """Let the next polled record of this partition be the one at `offset` or after it."""

    def pause(self, partition: int) -> None:
        """Poll nothing of this partition until `resume`."""

    def resume(self, partition: int) -> None:
        """Poll this partition again."""

    def compacted(self, topic: Compacted, partition: int) -> dict[str, bytes]:
        """The last value of each key of one partition of a compacted topic, without tombstones. Committed ones only."""


class Head(msgspec.Struct, array_like=True):
    """What a snapshot of a partition says of itself.

    It is true for offset `at` of the log that `topic_id` names, of `partitions` partitions; `fingerprint` names code
    and configuration that made it, `digest` is the running digest of all emissions before `at`.
    """

    at: int
    topic_id: str
    partitions: int
    fingerprint: str
    digest: bytes
    partition: PartitionHead


class Store(Protocol):
    """The snapshots of partitions. Every access but `open` says which offset it expects (the guard)."""

    def open(self, partition: int) -> tuple[Head | None, dict[str, float]]:
        """The head and the index (entity to due time) of a partition's snapshot; None and nothing if there is none.

        Raises `SnapshotTooNew` and `Unreachable`.
        """

    def load(self, partition: int, keys: Sequence[str], expect: int) -> list[bytes | None]:
        """The states of these entities, in order; None for one that is not there.

        Raises `SnapshotMoved` if the snapshot is not at `expect`, and `Unreachable`.
        """

    def snapshot(
        self,
        partition: int,
        head: Head,
        states: Mapping[str, bytes | None],
        due: Mapping[str, float | None],
        expect: int | None,
    ) -> None:
        """Write the changed states and due times (None deletes) and the new head, at once or not at all.

        `expect` None: there must be no snapshot, and this one holds everything. Raises `SnapshotMoved` if the snapshot
        is not at `expect`, and `Unreachable`.
        """

    def discard(self, partition: int) -> None:
        """Delete a partition's snapshot. Raises `Unreachable`."""


__all__ = ["Committed", "Compacted", "Head", "Log", "Record", "Send", "Store", "Transactions"]
