"""`detector state restore`: the states of a file back into Redis, from where workers roll them forward by the log.

A file has S, the offset of the log that a partition's states are true for; the group has C, how far it has come. After
a restore a worker replays [S, C) muted, as after any restart, and goes on: so nothing is lost, and nothing said twice.
What cannot be true is refused before anything is written: another log, states that are ahead of the group, records that
are needed and are deleted already.

Each partition is put in place by one script, when all of it is there. A crash between two partitions leaves some with
the old snapshot and some with the new one, which are both right; do it again.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from detector.archive.backup import Told
from detector.archive.copies import Copies, Staged
from detector.archive.file import Begin, End, Frame, Opening, States, read
from detector.archive.standing import Standing
from detector.core.state import check
from detector.errors import BackupRefused, SnapshotMoved
from detector.store import read_head


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore does to one partition: `at` is S, `committed` C, `now` the offset that Redis has, if any.

    `before` is the head in Redis, `unreadable` how many states are corrupt.
    """

    partition: int
    entities: int
    size: int
    at: int
    committed: int
    now: int | None
    before: bytes = b""
    unreadable: int = 0

    @property
    def replay(self) -> int:
        """How many offsets are to be replayed."""
        return self.committed - self.at


class Log(msgspec.Struct, frozen=True):
    """The log that there is, and how far the workers' group has come in each of its partitions."""

    name: str
    topic_id: str
    partitions: int
    standing: Mapping[int, Standing]


def plan(path: Path, log: Log, copies: Copies) -> list[Step]:
    """What a restore of this file would do, after reading all of it.

    Raises `BackupRefused` for what must not be put back, and `SnapshotTooNew` for what this release cannot read.
    """
    steps: list[Step] = []
    begun: Begin | None = None
    unreadable = 0
    for frame in read(path):
        match frame:
            case Opening():
                _same_log(path, frame, log)
            case Begin():
                begun = frame
                unreadable = 0
            case States():
                unreadable += _unreadable(frame)
            case End() if begun is not None:
                steps.append(msgspec.structs.replace(_step(path, begun, frame, log, copies), unreadable=unreadable))
            case _:
                pass
    return steps


def _same_log(path: Path, opening: Opening, log: Log) -> None:
    """The very same topic: offsets of another one of that name mean other records."""
    if opening.topic_id != log.topic_id:
        raise BackupRefused(
            f"{path} is of the log {opening.log} with the id {opening.topic_id}; {log.name} has the id {log.topic_id}:"
            " its offsets mean other records. Name the log of the backup in topics.log, if it is still there"
        )
    if opening.partitions != log.partitions:
        raise BackupRefused(
            f"{path} is of a log of {opening.partitions} partitions, and {log.name} has {log.partitions} now: entities"
            " would be in the wrong ones"
        )


def _unreadable(states: States) -> int:
    """How many are corrupt: a worker lets these begin anew, with the breaker that was published."""
    corrupt = 0
    for _, _, state in states.entities:
        try:
            check(state)
        except ValueError:
            corrupt += 1
    return corrupt


def _step(path: Path, begun: Begin, end: End, log: Log, copies: Copies) -> Step:
    head, number = read_head(begun.head), begun.partition
    where, there = f"{log.name}/{number}", log.standing.get(number)
    if head.topic_id != log.topic_id or head.partitions != log.partitions:
        raise BackupRefused(f"{path}: partition {number} is of another log than the rest")
    if there is None or there.committed is None:
        raise BackupRefused(f"{where}: the workers have committed nothing, so nobody knows what was said already")
    if there.of and there.of != log.topic_id:
        raise BackupRefused(f"{where}: what the workers have committed is of another topic of that name")
    if head.at > there.committed:
        raise BackupRefused(
            f"{where}: the file is for offset {head.at}, the workers have committed {there.committed} only: somebody"
            " rewound the group, and to go on from the file would leave out what lies between"
        )
    if head.at < there.low:
        raise BackupRefused(
            f"{where}: the file is for offset {head.at}, and the log begins at {there.low}: what lies between was"
            " deleted. Without a restore, workers begin with detector.snapshots, which is at most an hour older"
        )
    before = copies.head(number)
    now = read_head(before).at if before else None
    return Step(
        partition=number,
        entities=end.entities,
        size=end.size,
        at=head.at,
        committed=there.committed,
        now=now,
        before=before,
    )


def restore(path: Path, steps: Sequence[Step], copies: Copies, told: Told) -> None:
    """Put the states back. `told` hears how many partitions of how many are done.

    Raises `BackupRefused` if a worker writes meanwhile, or the file is not the one that was planned for.
    """
    planned = {step.partition: step for step in steps}
    frames = read(path)
    for frame in frames:
        if isinstance(frame, Begin):
            told(len(steps) - len(planned), len(steps))
            step = planned.pop(frame.partition, None)
            if step is None:
                raise BackupRefused(f"{path} has changed while it was read")
            with copies.staged(frame.partition) as staged:
                _put(frame, frames.__next__, staged, step)
    told(len(steps), len(steps))


def _put(begun: Begin, following: Callable[[], Frame], staged: Staged, step: Step) -> None:
    while isinstance(frame := following(), States):
        staged.put(frame.entities)
    try:
        staged.place(begun.head, step.before)
    except SnapshotMoved:
        raise BackupRefused(
            f"partition {begun.partition}: a worker has written a snapshot meanwhile: stop all workers, and try again"
        ) from None
