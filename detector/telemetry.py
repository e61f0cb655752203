"""What the program tells of itself: one method for each internal event, that writes the log line and moves the metric.

No other module logs or counts, and `core` does neither: so what is told of an event is in one place and has one name.
`Telemetry` is what `signals.Signals` and `follower.Signals` ask for. Health is fed here, too: the events that
people read of are those that decide whether the process is of use.

What repeats while something is broken (a Redis that is down is noticed many times a second) is counted each time, and
logged once in thirty seconds. No value of a record is in a log line, and no local variables of a traceback.
"""

import platform
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import confluent_kafka
from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from structlog.typing import FilteringBoundLogger

from detector import __version__
from detector.core.emissions import (
    Anomaly,
    BreakerChange,
    BreakerValue,
    CommandDone,
    Emission,
    Heartbeat,
    HoldChange,
    JudgedRun,
    Quarantined,
    Seeded,
    Sla,
    Unevaluated,
)
from detector.core.events import DeadLetter
from detector.core.incidents import Incident
from detector.core.recovery import RecoveryPlan
from detector.executors.seam import Requested, Status
from detector.health import GAP, Health
from detector.logs import Repeats, silent
from detector.metrics import INCIDENT, Metrics, Words
from detector.plans import Ask
from detector.sinks import Alert

FRESH: Final = 60.0


class Telemetry:
    """The events of one process. `registry` holds the metrics and `health` the facts that `web` answers from."""

    def __init__(
        self,
        log: FilteringBoundLogger | None = None,
        *,
        registry: CollectorRegistry | None = None,
        gap: float = GAP,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        watched: Collection[str] = (),
    ) -> None:
        """Without a `log` nothing is written. `gap` is `time.gap`; `clock` and `wall` give seconds; `watched` are
        globs, `metrics.entities`.
        """
        self._log, self._clock, self._wall = log or silent(), clock, wall
        self._repeats, self._beats = Repeats(), dict[int, float]()
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._timeless_since: float | None = None
        self._has_ticked = False
        self._checks, self._kinds, self._reasons = Words(), Words(), Words()
        self.health = Health(gap, clock)
        self.registry = registry or CollectorRegistry()
        self.metrics = Metrics(self.registry, self._answers_for, lambda key: any(fnmatchcase(key, g) for g in watched))
        if registry is None:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
        release = {"version": __version__, "python": platform.python_version()}
        self.metrics.build.info({**release, "librdkafka": confluent_kafka.libversion()[0]})
        self._tells: dict[type, Callable[[Any], None]] = {
            Anomaly: self._anomaly,
            BreakerChange: self._breaker_changed,
            CommandDone: self._command_done,
            Heartbeat: self._beat,
            HoldChange: self._held,
            JudgedRun: self._judged,
            Quarantined: self._quarantined,
            RecoveryPlan: self._plan,
            Seeded: self._seeded,
            Sla: self._deadline_passed,
            Unevaluated: self._unevaluated,
        }

    def _answers_for(self, partition: int) -> bool:
        """Whether this process has lately told a heartbeat of this partition of the log."""
        return self._clock() - self._beats.get(partition, -FRESH) < FRESH

    def _warn(self, event: str, of: str, **told: object) -> None:
        """A line of something that repeats: one in thirty seconds, with how many there were between."""
        kept = self._repeats.told(event, of, self._clock())
        if kept is not None:
            self._log.warning(event, **told, **({"repeated": kept} if kept else {}))

    # ------------------------------------------------------------ the process

    def started(self, stages: Sequence[str], slot: str, address: str) -> None:
        """The process has what it needs, and begins; `address` is where it serves its health and its metrics."""
        self.health.stages = tuple(stages)
        self._log.info("started", version=__version__, stages=list(stages), slot=slot, address=address)

    def stopping(self) -> None:
        """The process was told to stop, and finishes what it has begun."""
        self.health.stopping()
        self._log.info("stopping")

    def stopped(self) -> None:
        """All stages are done."""
        self.health.stopping()
        self._log.info("stopped")

    # ------------------------------------------------------------ what was said

    def said(self, emission: Emission) -> None:
        """An emission was committed."""
        data = emission.data
        if emission.topic == "breakers" and data is None:
            self._expired(emission.key)
        elif isinstance(data, Incident) and emission.topic == "control":
            self._incident(emission.type, data)
        elif type(data) in self._tells:
            self._tells[type(data)](data)
        if isinstance(data, Anomaly | BreakerChange):
            self.metrics.verdict_delay.observe(max(self._wall() - emission.time, 0.0))

    def _beat(self, beat: Heartbeat) -> None:
        self._beats[beat.partition] = self._clock()
        self.metrics.heartbeat.labels(str(beat.partition)).set(beat.clock)

    def _anomaly(self, anomaly: Anomaly) -> None:
        check, told = self._checks.bound(anomaly.check), {"entity": anomaly.entity, "check": anomaly.check}
        if anomaly.phase == "started":
            exemplar = {"entity": anomaly.entity[:100]}
            self.metrics.anomalies.labels(check, anomaly.severity).inc(exemplar=exemplar)
            self._log.warning("anomaly_found", **told, severity=anomaly.severity, summary=anomaly.summary)
        elif anomaly.phase == "ended":
            self.metrics.ended.labels(check).inc()
            self._log.info("anomaly_ended", **told, summary=anomaly.summary)
        else:
            self._log.debug("anomaly_updated", **told, count=anomaly.count, summary=anomaly.summary)

    def _judged(self, run: JudgedRun) -> None:
        self.metrics.judged.labels(run.kind, run.state, run.severity).inc()
        self.metrics.standing.ran(run)

    def _held(self, change: HoldChange) -> None:
        self.metrics.holds.labels("held" if change.held else "released", change.mode).inc()
        told = {"entity": change.entity, "root": change.root, "mode": change.mode}
        if change.held:
            self._log.info("held", **told, reason=change.reason)
        else:
            self._log.info("released", **told, reason=change.reason)

    def _incident(self, type_: str, incident: Incident) -> None:
        phase = type_.rsplit(".", 2)[-2]
        self.metrics.incidents.labels(phase, incident.severity).inc()
        write = self._log.warning if incident.pages else self._log.info
        told = {"incident": incident.id, "phase": phase, "severity": incident.severity, "root": incident.root}
        write("incident", **told, calls=incident.pages, summary=incident.summary)

    def _plan(self, plan: RecoveryPlan) -> None:
        told = {"plan": plan.plan, "incident": plan.incident, "root": plan.root}
        self._log.info("recovery_plan", **told, state=plan.state, summary=plan.summary)

    def _command_done(self, done: CommandDone) -> None:
        self.metrics.commands.labels(done.command, "done" if done.done else "refused").inc()
        if done.verdict is not None:
            self.metrics.feedback.labels(self._checks.bound(done.check or INCIDENT), done.verdict).inc()
        self._log.info("command", command=done.command, by=done.by, done=done.done, effect=done.effect)

    def _breaker_changed(self, change: BreakerChange) -> None:
        self.metrics.transitions.labels(change.from_state, change.to_state, change.mode).inc()
        if change.mode == "shadow" and change.to_state == "open":
            self.metrics.shadow_opens.inc()
        write = self._log.warning if change.to_state in ("open", "unknown") else self._log.info
        moved = {"from": str(change.from_state), "to": str(change.to_state)}
        write("breaker_changed", entity=change.entity, **moved, mode=change.mode, reason=change.reason)

    def _quarantined(self, quarantined: Quarantined) -> None:
        self.metrics.quarantined.inc()
        place = {"partition": quarantined.partition, "offset": quarantined.offset}
        self._log.error("entity_quarantined", entity=quarantined.entity, **place, failures=quarantined.failures)

    def _seeded(self, seeded: Seeded) -> None:
        self.metrics.seeded.labels(str(seeded.taken).lower()).inc()
        self._log.debug("entity_seeded", entity=seeded.entity, taken=seeded.taken, known=seeded.known)

    def _deadline_passed(self, sla: Sla) -> None:
        self.metrics.deadlines.labels("met" if sla.met else "missed").inc()
        self._log.debug("deadline_passed", entity=sla.entity, met=sla.met, summary=sla.summary)

    def _unevaluated(self, told: Unevaluated) -> None:
        self.metrics.unevaluated.labels(self._checks.bound(told.check)).inc()
        self._log.warning("check_not_evaluated", entity=told.entity, check=told.check, reason=told.reason)

    def _expired(self, entity: str) -> None:
        self.metrics.expired.inc()
        self._log.info("entity_expired", entity=entity)

    # ------------------------------------------------------------ the checkpoint

    def committed(self, stage: str, records: int, seconds: float) -> None:
        """A transaction was committed: how many records it wrote, how long it took."""
        self.metrics.written.labels(stage).inc(records)
        self.metrics.commit.labels(stage).observe(seconds)

    def commit_aborted(self, stage: str, why: str) -> None:
        """A transaction was rolled back, or nobody knows."""
        self.metrics.aborts.labels(stage).inc()
        self._warn("commit_aborted", stage, stage=stage, why=why)

    def recovered(self, partition: int, at: int, upto: int, why: str) -> None:
        """A partition begins anew at offset `at`, muted up to `upto`."""
        self.metrics.recoveries.inc()
        self.metrics.replayed.inc(max(upto - at, 0))
        self._log.info("recovered", partition=partition, at=at, replay=max(upto - at, 0), why=why)

    def guard_refused(self, partition: int, why: str) -> None:
        """The snapshot in Redis is not where this worker left it."""
        self.metrics.guard.inc()
        self._warn("guard_refused", str(partition), partition=partition, why=why)

    def snapshot_written(self, partition: int, states: int, size: int) -> None:
        """A snapshot was written: how many states, how many bytes."""
        self.health.goes_on("snapshot")
        self.metrics.snapshots.inc()
        self.metrics.snapshot_states.inc(states)
        self.metrics.snapshot_bytes.inc(size)
        self.metrics.snapshot_at.set(self._wall())
        self._log.debug("snapshot_written", partition=partition, states=states, bytes=size)

    def snapshot_skipped(self, partitions: list[int]) -> None:
        """Partitions were given back without a snapshot, since the last commit was aborted."""
        self.metrics.snapshots_skipped.inc(len(partitions))
        self._log.warning("snapshot_skipped", partitions=partitions)

    def replay_differs(self, partition: int, changed: bool) -> None:
        """A replay said other things than were published; `changed`: code or configuration differ."""
        self.metrics.mismatches.labels(str(changed).lower()).inc()
        write = self._log.info if changed else self._log.error
        write("replay_differs", partition=partition, changed=changed)

    def backstop_used(self, partition: int, low: int, upto: int) -> None:
        """Redis is lost and the log is shorter than what is needed."""
        self.metrics.backstop.inc()
        self._log.error("backstop_used", partition=partition, low=low, upto=upto)

    def backstop_skipped(self, key: str, size: int) -> None:
        """A state is too large for the topic of snapshots: so many bytes. Redis has it all the same."""
        self.metrics.too_large.inc()
        self._warn("backstop_skipped", key, entity=key, bytes=size)

    def emission_skipped(self, key: str, topic: str, size: int) -> None:
        """What was to be said is too large for its topic: so many bytes. Nobody hears of it; all else goes on."""
        self.metrics.emissions_skipped.labels(topic).inc()
        self._log.error("emission_skipped", entity=key, topic=topic, bytes=size)

    def state_corrupt(self, key: str, why: str) -> None:
        """A state could not be read; the entity starts cold."""
        self.metrics.corrupt.inc()
        self._log.error("state_corrupt", entity=key, why=why)

    def step_failed(self, key: str, partition: int, offset: int, error: BaseException, times: int) -> None:
        """`step` raised on an entity at a record, for the n-th time."""
        self.metrics.failures.inc()
        place = {"partition": partition, "offset": offset}
        self._log.error("step_failed", entity=key, **place, times=times, error=type(error).__name__, at=_lines(error))

    def log_dead_lettered(self, reason: str) -> None:
        """A record of the log itself was set aside."""
        self.metrics.dead_letters.labels(self._reasons.bound(reason)).inc()
        self._warn("log_dead_lettered", reason, reason=reason)

    def partition_refused(self, partition: int, error: Exception) -> None:
        """A partition stands still until an operator decides."""
        reason = type(error).__name__
        self.metrics.refused.labels(reason).inc()
        if self._repeats.told("partition_refused", str(partition), self._clock()) is not None:
            self._log.error("partition_refused", partition=partition, reason=reason, why=str(error))

    def partition_waits(self, partition: int, why: str) -> None:
        """A partition stands still because a service is away."""
        self.metrics.waits.labels("worker").inc()
        self._warn("partition_waits", str(partition), partition=partition, why=why)

    def redis_waiting(self, why: str) -> None:
        """A snapshot could not be written; it will be tried again."""
        self.health.waits("snapshot", why)
        self.metrics.snapshots_waiting.inc()
        self._warn("redis_waiting", "", why=why)

    # ------------------------------------------------------------ the loops

    def worker_alive(self, held: int, waiting: Mapping[int, str], ignored_ticks: int) -> None:
        """One round of the worker: how many partitions go on, which wait for what, how many ticks were ignored."""
        self.health.alive("worker", held + len(waiting))
        self.health.only_these_wait("partition", {str(number): why for number, why in waiting.items()})
        self._turned("worker")
        self.metrics.held.set(held)
        self.metrics.waiting.set(len(waiting))
        self.metrics.ticks_ignored.set(ignored_ticks)

    def ingest_alive(self, assigned: int, waiting: int) -> None:
        """One round of ingest: how many places go on, how many wait for the registry."""
        self.health.alive("ingest", assigned + waiting)
        if waiting == 0:
            self.health.only_these_wait("ingest", {})
        self._turned("ingest")

    def _turned(self, stage: str) -> None:
        self.metrics.alive.labels(stage).set(self._wall())

    def consumed(self, topic: str, kind: str, count: int) -> None:
        """Outside records were read: of which topic, what they were, how many."""
        self.metrics.consumed.labels(topic, self._kinds.bound(kind)).inc(count)

    def event_delay(self, seconds: float) -> None:
        """How long after its record was written an event reached the log."""
        self.metrics.delay.observe(seconds)

    def dead_lettered(self, letter: DeadLetter) -> None:
        """An outside record was set aside."""
        self.metrics.dead_letters.labels(self._reasons.bound(letter.reason)).inc()
        record = letter.record
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        why = {"reason": letter.reason, "stage": letter.stage, "message": letter.message}
        self._warn("dead_lettered", f"{record.topic} {letter.reason}", **place, **why)

    def ingest_waits(self, place: str, why: str) -> None:
        """Ingest waits for the registry, or for Kafka."""
        self.health.waits(f"ingest {place}", why)
        self.metrics.waits.labels("ingest").inc()
        self._warn("ingest_waits", place, place=place, why=why)

    # ------------------------------------------------------------ time

    def ticked(self, at: float) -> None:
        """A tick is in the log."""
        self._has_ticked = True
        self.health.goes_on("time")
        self.metrics.ticks.inc()
        self.metrics.tick_at.set(at)

    def time_lag(self, seconds: float) -> None:
        """How long ago the time of the last tick was."""
        behind = max(seconds, self._without_time())
        self.health.alive("ticks")
        self.health.lag(behind)
        self._turned("ticks")
        self.metrics.time_lag.set(behind)

    def _without_time(self) -> float:
        """How long this process has not written a first tick: where ingest is down since before, time never begins."""
        if self._has_ticked:
            return 0.0
        now = self._clock()
        self._timeless_since = now if self._timeless_since is None else self._timeless_since
        return now - self._timeless_since

    def ingest_lag(self, records: int) -> None:
        """How many outside records ingest has not committed yet."""
        self.metrics.lag.set(records)

    def ticks_wait(self, why: str) -> None:
        """No tick can be written."""
        self.health.waits("time", why)
        self.metrics.waits.labels("ticks").inc()
        self._warn("ticks_wait", "", why=why)

    # ------------------------------------------------------------ the view of the breakers

    def view_waits(self, why: str) -> None:
        """The view stands still because Kafka or Redis is away."""
        self.health.waits("view", why)
        self.metrics.waits.labels("view").inc()
        self._warn("view_waits", "", why=why)

    def view_rebuilt(self, partitions: int, topic_id: str) -> None:
        """So many partitions of the view begin anew at the topic's start."""
        self.metrics.view_rebuilds.inc(partitions)
        self._log.info("view_rebuilt", partitions=partitions, topic_id=topic_id)

    def view_applied(self, records: int, behind: float) -> None:
        """Records are in Redis, the newest of them `behind` seconds after it was appended."""
        self.health.goes_on("view")
        self.metrics.view_records.inc(records)
        self.metrics.view_lag.set(behind)

    def history_waits(self, why: str) -> None:
        """The history stands still because Kafka or Redis is away. No breaker waits for it."""
        self.metrics.waits.labels("history").inc()
        self._warn("history_waits", "", why=why)

    def history_kept(self, runs: int) -> None:
        """So many judged runs were put into the history in Redis."""
        self.metrics.history_runs.inc(runs)

    def view_unreadable(self, partition: int, offset: int, why: str) -> None:
        """A record of the topic of breakers is none; it is left out."""
        self.metrics.view_unreadable.inc()
        self._warn("view_unreadable", str(partition), partition=partition, offset=offset, why=why)

    # ------------------------------------------------------------ the HTTP API

    def api_alive(self, caught_up: bool, trouble: str | None) -> None:
        """One round of the feed of the API: whether all has been read once, and why nothing new comes, if so.

        Once it was, the API is of use through any outage: what it says is told with its age.
        """
        self.health.alive("api")
        self.metrics.api_trouble.set(trouble is not None)
        if caught_up:
            self.health.goes_on("api")
        else:
            self.health.waits("api", trouble or "the topics are being read")
        if trouble is not None:
            self._warn("api_waits", "", why=trouble)
        self._turned("api")

    def http_answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        known = self._answered.get((route, status))
        if known is None:  # looking two labels up takes longer than answering for a breaker
            count = self.metrics.requests.labels(route, f"{status // 100}xx")
            known = self._answered[route, status] = count, self.metrics.request_seconds.labels(route)
        known[0].inc()
        known[1].observe(seconds)

    def http_failed(self, route: str, error: BaseException) -> None:
        """A request was not answered, because of a fault of ours."""
        if self._repeats.told("http_failed", route, self._clock()) is not None:
            self._log.error("http_failed", route=route, exc_info=error)

    def stream_dropped(self) -> None:
        """A reader of the events was too slow, and was cut off."""
        self.metrics.streams_dropped.inc()

    # ------------------------------------------------------------ what stands

    def breaker_stands(self, entity: str, value: BreakerValue | None) -> None:
        """This is the breaker of an entity now; None: it is forgotten."""
        if value is None:
            self.metrics.standing.drop(entity)
        else:
            self.metrics.standing.put(value)

    def incident_stands(self, id_: str, partition: int, incident: Incident | None) -> None:
        """This is an incident now; None: it is forgotten."""
        self.metrics.standing.incident(id_, partition, incident)

    def metrics_wait(self, why: str) -> None:
        """What stands cannot be read: Kafka is away. The metrics tell what was."""
        self.metrics.waits.labels("metrics").inc()
        self._warn("metrics_wait", "", why=why)

    # ------------------------------------------------------------ the executor

    def executing(self, kind: str, group: str) -> None:
        """`detector execute` begins to ask an executor for runs."""
        self._log.info("executing", version=__version__, executor=kind, group=group)

    def plan_taken(self, plan: RecoveryPlan) -> None:
        """A new version of a plan was read."""
        what = {"plan": plan.plan, "plan_version": plan.version, "state": plan.state, "root": plan.root}
        self._log.info("plan_taken", **what, steps=len(plan.steps))

    def plan_unreadable(self, partition: int, offset: int, why: str) -> None:
        """An event of a plan is none; it is left out."""
        self._warn("plan_unreadable", str(partition), partition=partition, offset=offset, why=why)

    def redo_requested(self, ask: Ask, requested: Requested) -> None:
        """A run was asked for, or goes on already."""
        self._log.info("redo_requested", **_asked(ask), id=requested.id, message=requested.message)

    def redo_refused(self, ask: Ask, why: str) -> None:
        """A run cannot be redone by the executor: somebody must look."""
        self._log.error("redo_refused", **_asked(ask), why=why)

    def redo_ended(self, ask: Ask, requested: Requested, status: Status) -> None:
        """A run that was asked for does not go on any more."""
        write = self._log.info if status == "success" else self._log.warning
        write("redo_ended", **_asked(ask), id=requested.id, status=status)

    def executor_waits(self, why: str) -> None:
        """The executor, or Kafka, does not answer, or not now; it is asked again."""
        self._warn("executor_waits", "", why=why)

    # ------------------------------------------------------------ the receivers of alerts

    def alerting(self, sinks: Mapping[str, str], address: str) -> None:
        """`detector alert` begins: the receivers with their kinds, and where it serves its health and its metrics."""
        self.health.stages = tuple(f"alert {name}" for name in sinks)
        for name in sinks:
            self.metrics.alerts_failed.labels(name)
            self.metrics.alerts_refused.labels(name)
            self.metrics.alerts_skipped.labels(name)
        self._log.info("alerting", version=__version__, sinks=dict(sinks), address=address)

    def alert_sent(self, sink: str, alert: Alert) -> None:
        """A receiver has taken a message; only that an alert changed is told in debug."""
        self.metrics.alerts_sent.labels(sink, alert.action).inc()
        self.metrics.alert_at.labels(sink).set(self._wall())
        write = self._log.debug if alert.action == "update" else self._log.info
        write("alert_sent", sink=sink, action=alert.action, incident=alert.incident, entity=alert.entity)

    def alert_told_again(self, sink: str) -> None:
        """A receiver has taken again what goes on."""
        self.metrics.alert_at.labels(sink).set(self._wall())

    def alert_refused(self, sink: str, incident: str, why: str) -> None:
        """A receiver does not take a message, now or later: nobody was called by it, and somebody must look."""
        self.metrics.alerts_refused.labels(sink).inc()
        self._log.error("alert_refused", sink=sink, incident=incident, why=why)

    def alert_skipped(self, sink: str, incident: Incident) -> None:
        """An incident was over before the receiver could be told that it began: it hears of neither."""
        self.metrics.alerts_skipped.labels(sink).inc()
        self._log.warning("alert_skipped", sink=sink, incident=incident.id, summary=incident.summary)

    def alert_unreadable(self, partition: int, offset: int, why: str) -> None:
        """A record of the topic of incidents, or of alerts, is none; it is left out."""
        self._warn("alert_unreadable", str(partition), partition=partition, offset=offset, why=why)

    def alert_waits(self, sink: str, why: str) -> None:
        """A receiver of alerts, or Kafka, does not answer, or not now; it is told again."""
        self.metrics.alerts_failed.labels(sink).inc()
        self._warn("alert_waits", sink, sink=sink, why=why)

    def alerts_turned(self, sink: str, waiting: int, trouble: str | None) -> None:
        """One round of a receiver's loop: how many incidents wait to be told, and what is wrong with the receiver."""
        stage = f"alert {sink}"
        self.health.alive(stage)
        if trouble is None:
            self.health.goes_on(stage)
        else:
            self.health.waits(stage, trouble)
        self._turned(stage)
        self.metrics.alerts_waiting.labels(sink).set(waiting)


def _lines(error: BaseException) -> list[str]:
    """Where it was raised, the innermost last; not what the error says: it may name a value."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _asked(ask: Ask) -> dict[str, object]:
    run = ask.run
    return {"plan": ask.plan, "entity": ask.job, "needs": run.why, "run": run.run_id, "nominal_time": run.nominal_time}
