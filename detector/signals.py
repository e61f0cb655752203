"""What the checkpoint and the loops tell of themselves; `telemetry` makes log lines and metrics of it."""

from typing import Protocol

from detector.core.emissions import Emission


class Signals(Protocol):
    """One method for each internal event."""

    def said(self, emission: Emission) -> None:
        """An emission was committed."""

    def recovered(self, partition: int, at: int, upto: int, why: str) -> None:
        """A partition begins anew at offset `at`, muted up to `upto`."""

    def guard_refused(self, partition: int, why: str) -> None:
        """The snapshot in Redis is not where this worker left it."""

    def commit_aborted(self, stage: str, why: str) -> None:
        """A transaction was rolled back, or nobody knows."""

    def snapshot_written(self, partition: int, states: int, size: int) -> None:
        """A snapshot was written: how many states, how many bytes."""

    def replay_differs(self, partition: int, changed: bool) -> None:
        """A replay said other things than were published; `changed`: code or configuration differ."""

    def backstop_used(self, partition: int, low: int, upto: int) -> None:
        """Redis is lost and the log is shorter than what is needed."""

    def state_corrupt(self, key: str, why: str) -> None:
        """A state could not be read; the entity starts cold."""

    def step_failed(self, key: str, partition: int, offset: int, error: BaseException, times: int) -> None:
        """`step` raised on an entity at a record, for the n-th time."""

    def snapshot_skipped(self, partitions: list[int]) -> None:
        """Partitions were given back without a snapshot, since the last commit was aborted."""

    def partition_refused(self, partition: int, error: Exception) -> None:
        """A partition stands still until an operator decides."""

    def partition_waits(self, partition: int, why: str) -> None:
        """A partition stands still because a service is away."""

    def redis_waiting(self, partition: int, why: str) -> None:
        """A snapshot could not be written; it will be tried again."""
