"""`detector state backup`: the snapshots of all partitions into a file, while workers go on; and what a file holds.

Each partition is of one moment, and says which offset of the log it is true for. Partitions need not be of the same
moment: each is rolled forward by its own records.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from detector import __version__
from detector.archive.copies import Copies, Frozen
from detector.archive.file import Begin, Closing, End, Opening, States, Writer, read
from detector.errors import BackupRefused
from detector.seams import Head
from detector.store import read_head

Told = Callable[[int, int], None]


def backup(copies: Copies, log: str, path: Path, now: float, told: Told) -> Closing:
    """Write all states to a new file. `told` hears how many partitions of how many are done.

    Raises `BackupRefused`, `SnapshotTooNew` and `Unreachable`.
    """
    partitions = copies.partitions()
    if not partitions:
        raise BackupRefused(f"Redis has no states of {log}: did `detector run` ever run, and is redis.prefix right?")
    with Writer(path) as out:
        first: Head | None = None
        for done, partition in enumerate(partitions):
            told(done, len(partitions))
            with copies.frozen(partition) as found:
                if found is None:
                    continue  # it was discarded meanwhile
                if first is None:
                    first = found.head
                    out.add(Opening(now, __version__, log, first.topic_id, first.partitions))
                if (found.head.topic_id, found.head.partitions) != (first.topic_id, first.partitions):
                    raise BackupRefused(
                        f"the states in Redis are of different logs: partition {partition} is of another"
                    )
                _write(out, partition, found)
        if first is None:
            raise BackupRefused(f"Redis has no states of {log} any more")
        told(len(partitions), len(partitions))
        return out.close()


def _write(out: Writer, partition: int, found: Frozen) -> None:
    out.add(Begin(partition, found.raw, len(found.due)))
    entities = size = 0
    for some in found.entities():
        out.add(States(some))
        entities += len(some)
        size += sum(len(state) for _, _, state in some)
    out.add(End(entities, size))


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds of one partition. `at` is the offset that it is true for, `clock` how far time had come."""

    partition: int
    at: int
    clock: float
    entities: int
    bytes: int
    fingerprint: str


class Contents(msgspec.Struct, kw_only=True):
    """What a file holds. `largest` are the largest states, by entity."""

    file: str
    written_at: float
    release: str
    log: str
    topic_id: str
    of_partitions: int
    entities: int = 0
    bytes: int = 0
    largest: dict[str, int] = {}
    partitions: list[Part] = []


def contents(path: Path, largest: int = 5) -> Contents:
    """What is in a file that is whole. Raises `BackupRefused` and `SnapshotTooNew`."""
    found: Contents | None = None
    sizes: dict[str, int] = {}
    begun: Begin | None = None
    for frame in read(path):
        match frame:
            case Opening():
                found = Contents(
                    file=str(path),
                    written_at=frame.written_at,
                    release=frame.release,
                    log=frame.log,
                    topic_id=frame.topic_id,
                    of_partitions=frame.partitions,
                )
            case Begin():
                begun = frame
            case States():
                sizes |= {key: len(state) for key, _, state in frame.entities}
                sizes = dict(sorted(sizes.items(), key=lambda one: (-one[1], one[0]))[:largest])
            case End() if found is not None and begun is not None:
                found.partitions.append(_part(begun, frame))
            case Closing() if found is not None:
                found.entities, found.bytes, found.largest = frame.entities, frame.size, sizes
                return found
    raise BackupRefused(f"{path} is empty")


def _part(begun: Begin, end: End) -> Part:
    head = read_head(begun.head)
    return Part(
        partition=begun.partition,
        at=head.at,
        clock=head.partition.clock,
        entities=end.entities,
        bytes=end.size,
        fingerprint=head.fingerprint,
    )
