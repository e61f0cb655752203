"""What the program tells of itself: one method for each internal event, a log line and a metric in one place.

Nothing else in the program logs or counts. Metrics have no entity in their labels, but for breakers that are not
closed: series must not grow with the number of pipelines. No method is given a value of a record or a secret.
"""

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from detector import __version__
from detector.config import Log
from detector.core.breaker import State
from detector.core.emissions import Anomaly, BreakerChange, BreakerValue, Emission, Heartbeat, Quarantined
from detector.core.events import DeadLetter
from detector.health import Health

CHECKS = frozenset(
    {"failed", "aborted", "late", "deadline", "hanging", "assertion", "duration", "rows", "bytes", "files"}
    | {"rows_in", "rows_out", "bytes_in", "bytes_out"}
)
MOST_OPEN = 1_000
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
DELAYS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3_600.0)


def configure(config: Log, stream: TextIO | None = None) -> None:
    """Set the logging of the whole process up: JSON, or colours for people on a terminal."""
    out = stream or sys.stderr
    people = config.format == "console" or (config.format == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=out.isatty()) if people else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, config.level.upper())),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


class Telemetry:
    """The log and the metrics of one process. `registry` holds the metrics, `health` what /healthz and /readyz read."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.health = Health()
        self._log = structlog.get_logger()
        self._open: dict[str, str] = {}
        self._waits: dict[str, str] = {}
        self._metrics()

    def _metrics(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"detector_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"detector_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"detector_{name}", text, labels, buckets=buckets, registry=self.registry)

        Info("detector_build", "The release that runs.", registry=self.registry).info({"version": __version__})
        self._consumed = counter("events_consumed", "Outside records read, by what they were.", "topic", "kind")
        self._delay = histogram("event_delay_seconds", "From an outside record's timestamp to the log.", DELAYS)
        self._lag = gauge("consumer_lag_messages", "Outside records that ingest has not committed yet.")
        self._letters = counter("dlq_messages", "Records set aside, by reason.", "reason")
        self._written = counter("records_written", "Records written in transactions.", "stage")
        self._commits = histogram("commit_seconds", "Length of a commit.", FAST, "stage")
        self._aborts = counter("commits_aborted", "Transactions rolled back, or of unknown outcome.", "stage")
        self._anomalies = counter(
            "anomalies", "Anomalies that began; `metric` is any metric of a user.", "check", "severity"
        )
        self._moves = counter("breaker_transitions", "Moves of breakers.", "from", "to", "mode")
        self._shadow = counter("breaker_shadow_opens", "Breakers that would have opened.")
        self._breaker = gauge("breaker_state", "1 for the state of each breaker that is not closed.", "entity", "state")
        self._quarantined = counter("entities_quarantined", "Records that an entity could not judge.")
        self._failures = counter("step_failures", "Exceptions of the core; repeats of one included.")
        self._corrupt = counter("states_corrupt", "States that could not be read: their entities began cold.")
        self._snapshots = counter("snapshots", "Snapshots written to Redis.")
        self._snapshot_bytes = counter("snapshot_bytes", "State written to Redis.")
        self._recoveries = counter("recoveries", "Partitions recovered from their snapshots.", "why")
        self._replayed = counter("replayed_offsets", "Offsets of the log replayed muted.")
        self._refused = counter("guard_refusals", "Snapshots that were not where this worker left them.")
        self._differs = counter("replay_mismatches", "Replays that said other things than were published.", "cause")
        self._backstop = counter("backstop_used", "Partitions recovered without Redis and without the whole log.")
        self._held = gauge("partitions", "Partitions of the log, by whether they go on.", "state")
        self._ignored = gauge("ticks_ignored", "Ticks ignored, in the partitions held: a clock is ahead.")
        self._tick = gauge("last_tick_timestamp_seconds", "The time of the last tick.")
        self._time_lag = gauge("time_lag_seconds", "How long ago that was: time stands still while ingest is behind.")
        self._beat = gauge("heartbeat_timestamp_seconds", "When a loop last went round: the dead man's switch.")
        self._viewed = counter("view_records", "Records of the topic of breakers put into the view in Redis.")
        self._view_lag = gauge("view_lag_seconds", "Age of the newest record when it was put into the view.")
        self._rebuilt = counter("view_rebuilds", "Times that partitions of the view began anew.")
        self._waiting = counter("waits", "Times that something began to wait for a service.", "what")

    # ------------------------------------------------------------ the process

    def started(self, stages: Sequence[str], slot: str, address: str) -> None:
        """The process begins to work."""
        self._log.info("started", version=__version__, stages=list(stages), slot=slot, http=address)

    def stopping(self) -> None:
        """The process was told to stop."""
        self._log.info("stopping")

    def stopped(self) -> None:
        """Everything is committed and saved."""
        self._log.info("stopped")

    # ------------------------------------------------------------ the checkpoint

    def said(self, emission: Emission) -> None:
        """An emission was committed."""
        match emission.data:
            case Anomaly():
                self._anomaly(emission.data)
            case BreakerChange():
                self._breaker_moved(emission.data)
            case BreakerValue():
                self._breaker_published(emission.data)
            case Quarantined():
                self._quarantined.inc()
                self._log.error("entity_quarantined", entity=emission.key, summary=emission.data.summary)
            case Heartbeat():
                pass  # its metric is the tick's
            case None:
                self._closed(emission.key)
                self._log.info("entity_forgotten", entity=emission.key)

    def _anomaly(self, anomaly: Anomaly) -> None:
        if anomaly.phase == "started":
            check = anomaly.check if anomaly.check in CHECKS else "metric"
            self._anomalies.labels(check, anomaly.severity).inc()
        log = self._log.info if anomaly.phase == "ended" else self._log.warning
        log(f"anomaly_{anomaly.phase}", entity=anomaly.entity, check=anomaly.check, summary=anomaly.summary)

    def _breaker_moved(self, change: BreakerChange) -> None:
        self._moves.labels(change.from_state, change.to_state, change.mode).inc()
        if change.mode == "shadow" and change.to_state is State.OPEN:
            self._shadow.inc()
        self._log.warning("breaker_changed", entity=change.entity, state=change.to_state, summary=change.summary)

    def _breaker_published(self, value: BreakerValue) -> None:
        self._closed(value.entity)
        if value.state is not State.CLOSED and len(self._open) < MOST_OPEN:
            self._open[value.entity] = value.state
            self._breaker.labels(value.entity, value.state).set(1)

    def _closed(self, entity: str) -> None:
        state = self._open.pop(entity, None)
        if state is not None:
            self._breaker.remove(entity, state)

    def committed(self, stage: str, records: int, seconds: float) -> None:
        """A transaction was committed."""
        self._written.labels(stage).inc(records)
        self._commits.labels(stage).observe(seconds)

    def commit_aborted(self, stage: str, why: str) -> None:
        """A transaction was rolled back, or nobody knows."""
        self._aborts.labels(stage).inc()
        self._log.warning("commit_aborted", stage=stage, why=why)

    def recovered(self, partition: int, at: int, upto: int, why: str) -> None:
        """A partition begins anew."""
        self._waits.pop(f"partition {partition}", None)
        self._recoveries.labels(why).inc()
        self._replayed.inc(max(upto - at, 0))
        self._log.info("partition_recovered", partition=partition, at=at, upto=upto, why=why)

    def guard_refused(self, partition: int, why: str) -> None:
        """The snapshot in Redis is not where this worker left it."""
        self._refused.inc()
        self._log.warning("guard_refused", partition=partition, why=why)

    def snapshot_written(self, partition: int, states: int, size: int) -> None:
        """A snapshot was written."""
        self._waits.pop("redis", None)
        self._snapshots.inc()
        self._snapshot_bytes.inc(size)
        self._log.debug("snapshot_written", partition=partition, states=states, bytes=size)

    def snapshot_skipped(self, partitions: list[int]) -> None:
        """Partitions were given back without a snapshot."""
        self._log.info("snapshot_skipped", partitions=partitions)

    def replay_differs(self, partition: int, changed: bool) -> None:
        """A replay said other things than were published."""
        cause = "changed" if changed else "unexplained"
        self._differs.labels(cause).inc()
        log = self._log.info if changed else self._log.error
        log("replay_differs", partition=partition, cause=cause, then="what was published wins")

    def backstop_used(self, partition: int, low: int, upto: int) -> None:
        """Redis is lost and the log is shorter than what is needed."""
        self._backstop.inc()
        self._log.warning(
            "backstop_used", partition=partition, low=low, upto=upto, then="models may lack what the log has lost"
        )

    def state_corrupt(self, key: str, why: str) -> None:
        """A state could not be read."""
        self._corrupt.inc()
        self._log.error("state_corrupt", entity=key, why=why, then="the entity starts cold")

    def step_failed(self, key: str, partition: int, offset: int, error: BaseException, times: int) -> None:
        """`step` raised. The message of the error may hold data, so that only its class is told."""
        self._failures.inc()
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        where = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "?"
        self._log.error(
            "step_failed",
            entity=key,
            partition=partition,
            offset=offset,
            error=type(error).__name__,
            where=where,
            times=times,
        )

    def log_dead_lettered(self, reason: str) -> None:
        """A record of the log was set aside."""
        self._letters.labels(reason).inc()
        self._log.error("log_record_set_aside", reason=reason)

    def partition_refused(self, partition: int, error: Exception) -> None:
        """A partition stands still until an operator decides."""
        self._begins_to_wait(f"partition {partition}", "operator", f"{error}; see `detector reset --help`")

    def partition_waits(self, partition: int, why: str) -> None:
        """A partition stands still because a service is away."""
        self._begins_to_wait(f"partition {partition}", "partition", why)

    def redis_waiting(self, why: str) -> None:
        """A snapshot could not be written."""
        self._begins_to_wait("redis", "redis", why)

    def _begins_to_wait(self, who: str, what: str, why: str) -> None:
        """Say once that something waits, not with each try."""
        if self._waits.get(who) != why:
            self._waits[who] = why
            self._waiting.labels(what).inc()
            self._log.warning("waiting", who=who, why=why)

    # ------------------------------------------------------------ the loops

    def worker_alive(self, held: int, waiting: Mapping[int, str], ignored_ticks: int) -> None:
        """One round of the worker."""
        self._held.labels("going").set(held)
        self._held.labels("waiting").set(len(waiting))
        self._ignored.set(ignored_ticks)
        self._round("worker", [f"partition {partition}: {why}" for partition, why in sorted(waiting.items())])

    def ingest_alive(self, waiting: int) -> None:
        """One round of ingest."""
        if not waiting:
            self._waits.pop("ingest", None)
        self._round("ingest", [f"ingest waits: {self._waits.get('ingest', 'a service')}"] if waiting else [])

    def _round(self, stage: str, troubles: list[str]) -> None:
        self.health.alive(stage, time.monotonic(), troubles)
        self._beat.set_to_current_time()

    def consumed(self, topic: str, kind: str, count: int) -> None:
        """Outside records were read."""
        self._consumed.labels(topic, kind).inc(count)

    def event_delay(self, seconds: float) -> None:
        """How long after its record was written an event reached the log."""
        self._delay.observe(seconds)

    def dead_lettered(self, letter: DeadLetter) -> None:
        """An outside record was set aside."""
        self._letters.labels(letter.reason).inc()
        record = letter.record
        self._log.warning(
            "dead_letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=letter.reason,
            why=letter.message,
        )

    def ingest_waits(self, place: str, why: str) -> None:
        """Ingest waits for the registry, or for Kafka."""
        self._begins_to_wait("ingest", "ingest", f"{place}: {why}" if place else why)

    # ------------------------------------------------------------ time

    def ticked(self, at: float) -> None:
        """A tick is in the log."""
        self._waits.pop("ticks", None)
        self._tick.set(at)

    def time_lag(self, seconds: float) -> None:
        """How long ago the time of the last tick was."""
        self._time_lag.set(seconds)
        self.health.time_lag = seconds

    def ingest_lag(self, records: int) -> None:
        """How many outside records ingest has not committed yet."""
        self._lag.set(records)

    def ticks_wait(self, why: str) -> None:
        """No tick can be written."""
        self._begins_to_wait("ticks", "ticks", why)

    # ------------------------------------------------------------ the view

    def view_waits(self, why: str) -> None:
        """The view stands still."""
        self._begins_to_wait("view", "view", why)

    def view_rebuilt(self, partitions: int, topic_id: str) -> None:
        """Partitions of the view begin anew at the topic's start."""
        self._rebuilt.inc()
        self._log.info("view_rebuilt", partitions=partitions, topic_id=topic_id)

    def view_applied(self, records: int, behind: float) -> None:
        """Records are in Redis."""
        self._waits.pop("view", None)
        self._viewed.inc(records)
        self._view_lag.set(behind)

    def view_unreadable(self, partition: int, offset: int, why: str) -> None:
        """A record of the topic of breakers is none."""
        self._log.error("view_record_unreadable", partition=partition, offset=offset, why=why)
