"""The loop over the log: poll, step, commit, sometimes snapshot.

    member.poll ─▶ checkpoint.apply ─▶ core.pipeline.step ─▶ what was said, buffered
                                       checkpoint.commit   ─▶ control topic, breakers, positions: one transaction
                                       checkpoint.snapshot ─▶ Redis

The only clock here decides when to commit; what `step` sees of time comes in the records.
"""

import time
from threading import Event

from detector.broker import Member, Place
from detector.checkpoint import Checkpoint
from detector.errors import CommitAborted
from detector.pace import Pace
from detector.signals import Signals

BATCH = 2_000
IDLE = 0.1
RETRY = 1.0


class Worker:
    """One member of the worker's group. `snapshot_every` is in seconds."""

    def __init__(
        self, member: Member, checkpoint: Checkpoint, pace: Pace, snapshot_every: float, signals: Signals
    ) -> None:
        self._member, self._checkpoint, self._pace, self._signals = member, checkpoint, pace, signals
        self._snapshot_every, self._snapshot_at, self._retry_at = snapshot_every, 0.0, 0.0
        member.on_assigned = lambda places: checkpoint.assigned(_partitions(places))
        member.on_revoked = lambda places: checkpoint.revoked(_partitions(places))
        member.on_lost = lambda places: checkpoint.lost(_partitions(places))

    def run(self, stop: Event) -> None:
        """Work until `stop` is set; then commit, snapshot and leave the group. Raises `Fenced`."""
        while not stop.is_set():
            self.turn()
        self.close()

    def close(self) -> None:
        """Commit, snapshot, and leave the group: closing the member revokes what it has."""
        self._member.close()

    def turn(self) -> None:
        """One round."""
        checkpoint = self._checkpoint
        checkpoint.settle()
        records = self._member.poll(self._pace.least if checkpoint.uncommitted() else IDLE, BATCH)
        checkpoint.apply(records)
        now = time.monotonic()
        if checkpoint.uncommitted() and (checkpoint.pressing() or self._pace.due(now, len(records) > BATCH // 2)):
            self._commit(now)
        if now - self._snapshot_at >= self._snapshot_every or (checkpoint.full() and now - self._snapshot_at >= RETRY):
            self._snapshot_at = now
            self._commit(now)
            checkpoint.snapshot()
        if checkpoint.waiting and now - self._retry_at >= RETRY:
            self._retry_at = now
            checkpoint.retry()
        ignored = sum(held.partition.ignored_ticks for held in checkpoint.held.values())
        self._signals.worker_alive(len(checkpoint.held), dict(checkpoint.waiting), ignored)

    def _commit(self, now: float) -> None:
        self._pace.done(now)
        try:
            written = self._checkpoint.commit()
            self._signals.committed("worker", written, time.monotonic() - now)
        except CommitAborted:
            self._snapshot_at = now  # the partitions are recovered in the next round, from what was saved


def _partitions(places: list[Place]) -> list[int]:
    return [partition for _, partition in places]
