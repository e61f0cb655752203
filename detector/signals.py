"""What the checkpoint and the loops tell of themselves; `telemetry` makes log lines and metrics of it."""

from typing import Protocol

from detector.core.emissions import Emission
from detector.core.events import DeadLetter


class Signals(Protocol):
    """One method for each internal event."""

    # ------------------------------------------------------------ the checkpoint

    def said(self, emission: Emission) -> None:
        """An emission was committed."""

    def committed(self, stage: str, records: int, seconds: float) -> None:
        """A transaction was committed: how many records it wrote, how long it took."""

    def commit_aborted(self, stage: str, why: str) -> None:
        """A transaction was rolled back, or nobody knows."""

    def recovered(self, partition: int, at: int, upto: int, why: str) -> None:
        """A partition begins anew at offset `at`, muted up to `upto`."""

    def guard_refused(self, partition: int, why: str) -> None:
        """The snapshot in Redis is not where this worker left it."""

    def snapshot_written(self, partition: int, states: int, size: int) -> None:
        """A snapshot was written: how many states, how many bytes."""

    def snapshot_skipped(self, partitions: list[int]) -> None:
        """Partitions were given back without a snapshot, since the last commit was aborted."""

    def replay_differs(self, partition: int, changed: bool) -> None:
        """A replay said other things than were published; `changed`: code or configuration differ."""

    def backstop_used(self, partition: int, low: int, upto: int) -> None:
        """Redis is lost and the log is shorter than what is needed."""

    def backstop_skipped(self, key: str, size: int) -> None:
        """A state is too large for the topic of snapshots: so many bytes. Redis has it all the same."""

    def emission_skipped(self, key: str, topic: str, size: int) -> None:
        """What was to be said is too large for its topic: so many bytes. Nobody hears of it; all else goes on."""

    def state_corrupt(self, key: str, why: str) -> None:
        """A state could not be read; the entity starts cold."""

    def step_failed(self, key: str, partition: int, offset: int, error: BaseException, times: int) -> None:
        """`step` raised on an entity at a record, for the n-th time."""

    def log_dead_lettered(self, reason: str) -> None:
        """A record of the log itself was set aside."""

    def partition_refused(self, partition: int, error: Exception) -> None:
        """A partition stands still until an operator decides."""

    def partition_waits(self, partition: int, why: str) -> None:
        """A partition stands still because a service is away."""

    def redis_waiting(self, why: str) -> None:
        """A snapshot could not be written; it will be tried again."""

    # ------------------------------------------------------------ the loops

    def worker_alive(self, held: int, waiting: dict[int, str], ignored_ticks: int) -> None:
        """One round of the worker: how many partitions go on, which wait for what, how many ticks were ignored."""

    def ingest_alive(self, assigned: int, waiting: int) -> None:
        """One round of ingest: how many places go on, how many wait for the registry."""

    def consumed(self, topic: str, kind: str, count: int) -> None:
        """Outside records were read: of which topic, what they were, how many."""

    def event_delay(self, seconds: float) -> None:
        """How long after its record was written an event reached the log."""

    def dead_lettered(self, letter: DeadLetter) -> None:
        """An outside record was set aside."""

    def ingest_waits(self, place: str, why: str) -> None:
        """Ingest waits for the registry, or for Kafka."""

    # ------------------------------------------------------------ time

    def ticked(self, at: float) -> None:
        """A tick is in the log."""

    def time_lag(self, seconds: float) -> None:
        """How long ago the time of the last tick was."""

    def ingest_lag(self, records: int) -> None:
        """How many outside records ingest has not committed yet."""

    def ticks_wait(self, why: str) -> None:
        """No tick can be written."""
