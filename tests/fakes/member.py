"""A member of ingest's group, that has all places: topics of records in memory, and transactions into a cluster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from detector.core.events import Record
from detector.errors import CommitAborted
from detector.seams import Committed, Send
from tests.fakes.cluster import Cluster

Place = tuple[str, int]


def _ignore(_: list[Place]) -> None:
    """Nobody asked to be told."""


@dataclass
class FakeMember:
    """As `broker.Member`, as far as ingest sees it. `aborts` is how many of the next commits are rolled back."""

    cluster: Cluster
    topics: dict[Place, list[Record]] = field(default_factory=dict)
    positions: dict[Place, Committed] = field(default_factory=dict)
    ends: dict[Place, int] = field(default_factory=dict)
    aborts: int = 0
    on_assigned: Callable[[list[Place]], None] = _ignore
    on_revoked: Callable[[list[Place]], None] = _ignore
    on_lost: Callable[[list[Place]], None] = _ignore
    sought: dict[Place, int] = field(default_factory=dict)

    def put(self, topic: str, value: bytes, at: float) -> None:
        """One more record of a topic of one partition."""
        records = self.topics.setdefault((topic, 0), [])
        records.append(Record(topic, 0, len(records), at, None, value))

    def poll(self, _timeout: float, limit: int) -> list[Record]:
        """What comes next of all places that were sought."""
        found = [r for place, at in sorted(self.sought.items()) for r in self.topics[place][at:]][:limit]
        for record in found:
            self.sought[record.topic, record.partition] = record.offset + 1
        return found

    def commit(self, sends: Sequence[Send], positions: Mapping[Place, Committed]) -> None:
        """All of it or nothing."""
        if self.aborts:
            self.aborts -= 1
            raise CommitAborted("the coordinator aborted")
        self.cluster.write(sends)
        self.positions.update(positions)

    def committed(self, places: Sequence[Place]) -> dict[Place, Committed]:
        """Those of these places that have a position."""
        return {place: self.positions[place] for place in places if place in self.positions}

    def low(self, _topic: str, _partition: int) -> int:
        """Nothing is ever deleted."""
        return 0

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on from there."""
        self.sought[topic, partition] = offset

    def pause(self, places: Sequence[Place]) -> None:
        """Read no more of them."""
        for place in places:
            self.sought.pop(place, None)

    def resume(self, places: Sequence[Place]) -> None:
        """What was sought is read."""

    def close(self) -> None:
        """Give everything back."""
        self.on_revoked(list(self.topics))
