"""Each internal event moves its metric and writes its line, with labels that stay few, whatever comes from outside."""

import inspect
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import pack
from typing import Any, NamedTuple

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from detector import executor, follower, logs, signals
from detector.config import Log
from detector.core.breaker import State
from detector.core.emissions import (
    Anomaly,
    Attained,
    BreakerChange,
    BreakerValue,
    CommandDone,
    Data,
    Emission,
    Heartbeat,
    HoldChange,
    JudgedRun,
    LastGood,
    OpenEpisode,
    Quarantined,
    Seeded,
    Sla,
    Unevaluated,
)
from detector.core.events import DeadLetter, Record
from detector.core.incidents import Incident
from detector.core.messages import Redo
from detector.core.recovery import PlanStep, RecoveryPlan
from detector.errors import StateAheadOfLog
from detector.executors import Requested
from detector.gauges import MOST_ENTITIES
from detector.logs import MOST_REPEATS, QUIET, Repeats
from detector.metrics import MOST_WORDS, Words
from detector.plans import Ask
from detector.telemetry import FRESH, Telemetry
from tests.contracts.sinks import alert
from tests.fakes.alerting import incident as skipped

ORDERS = "dataset:snowflake://acme-prod/DWH.PUBLIC.ORDERS"
NOW = 1_787_371_391.5
JOB = "job:airflow/orders.load"
ASK = Ask("p1", JOB, Redo(why="bad", run_id="0198", nominal_time=NOW))
PLAN = RecoveryPlan(
    plan="p1",
    version=2,
    root=ORDERS,
    incident=None,
    state="open",
    opened=NOW,
    steps=[PlanStep(job=JOB, runs=[ASK.run])],
    summary="one run to redo",
)


@dataclass
class Seen:
    """A telemetry whose clocks stand where they are put, and what it said."""

    now: float = 1_000.0
    stream: io.StringIO = field(default_factory=io.StringIO)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        log = logs.logger(Log(level="debug", format="json"), self.stream)
        self.telemetry = Telemetry(log, registry=self.registry, clock=lambda: self.now, wall=lambda: NOW)

    def value(self, sample: str) -> float | None:
        """The value of `name{label="value"}`."""
        name, _, labels = sample.partition("{")
        return self.registry.get_sample_value(name, dict(re.findall(r'(\w+)="(.*?)"', labels)))

    def lines(self) -> list[dict[str, Any]]:
        """The log, without times."""
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [{key: value for key, value in line.items() if key != "timestamp"} for line in found]

    def series(self, name: str) -> int:
        """How many series a metric has."""
        return sum(sample.name == name for metric in self.registry.collect() for sample in metric.samples)


@pytest.fixture
def seen() -> Seen:
    return Seen()


def emission(data: Data | None, key: str = ORDERS, type_: str = "type") -> Emission:
    return Emission("5f0c", "control", key, type_, NOW, data)


def forgotten(key: str = ORDERS) -> Emission:
    return Emission("5f0c", "breakers", key, "type", NOW, None)


def anomaly(phase: str = "started", check: str = "rows", entity: str = ORDERS) -> Emission:
    data = Anomaly(
        phase=phase,  # type: ignore[arg-type]
        episode="5f0c",
        entity=entity,
        check=check,
        severity="critical",
        summary="412 rows",
        since=NOW,
        observed=412.0,
        last_values=[9_400.0],
        error="could not read 'jane@example.com'",
    )
    return emission(data, entity)


def change(to: State, mode: str = "enforce") -> Emission:
    data = BreakerChange(
        entity=ORDERS,
        from_state=State.CLOSED,
        to_state=to,
        mode=mode,  # type: ignore[arg-type]
        reason="412 rows",
        cause="5f0c",
        retry_at=NOW,
        trips=1,
        sequence=1,
        summary="open: 412 rows",
    )
    return emission(data)


def value(entity: str = ORDERS, state: State = State.OPEN, partition: int = 3) -> BreakerValue:
    return BreakerValue(
        entity=entity,
        state=state,
        mode="enforce",
        on_unknown="allow",
        since=NOW,
        retry_at=None,
        reason="412 rows",
        cause=None,
        trips=1,
        sequence=1,
        warming_up=False,
        partition=partition,
    )


def held(held: bool) -> Emission:
    path = [ORDERS, "job:a/report"]
    data = HoldChange(
        entity="job:a/report",
        root=ORDERS,
        held=held,
        path=path,
        scope=[],
        mode="enforce",
        reason="412 rows",
        until=NOW if held else None,
        summary="held",
    )
    return emission(data, "job:a/report")


def judged() -> JudgedRun:
    numbers = {"metrics": ["duration", "rows_out"], "values": pack("<2d", 60, 412), "bands": pack("<6d", *range(1, 7))}
    how = {"kind": "run", "state": "COMPLETE", "severity": "critical", "reason": "412 rows", "run_id": "r", "due": NOW}
    return JudgedRun(entity=ORDERS, ended=NOW, **how, **numbers)  # type: ignore[arg-type]


def incident(phase: str, pages: bool) -> Emission:
    data = Incident(
        id="5f0c",
        version=1,
        state="open",
        severity="critical",
        root=ORDERS,
        opened=NOW,
        updated=NOW,
        pages=pages,
        summary="412 rows",
    )
    return emission(data, "5f0c", f"io.detector.incident.{phase}.v1")


def answered(done: bool) -> Emission:
    data = CommandDone(
        id="c1", command="feedback", by="alice", done=done, effect="noted", verdict="confirmed", comment="hunter2"
    )
    return emission(data)


def plan() -> Emission:
    data = RecoveryPlan(
        plan="9a3b", version=1, root=ORDERS, incident="5f0c", state="open", opened=NOW, steps=[], summary="redo 3 runs"
    )
    return emission(data, "9a3b")


def letter(reason: str = "json") -> DeadLetter:
    return DeadLetter(Record("openlineage.events", 2, 7, NOW, b"key", b"jane@example.com"), reason, "no JSON")


def failed() -> ValueError:
    """An error with a traceback, in whose frames there is a secret."""
    word = "hunter2"
    try:
        raise ValueError(f"a text of {len(word)} letters")
    except ValueError as error:
        return error


# ---------------------------------------------------------------- one event, one metric, one line


class Case(NamedTuple):
    """What an event moves and what it writes: the level, the event, and some of what the line holds."""

    call: Callable[[Telemetry], None]
    samples: dict[str, float]
    line: tuple[str, str] | None = None
    holds: dict[str, object] = {}  # noqa: RUF012 - never changed


def said(data: Emission) -> Callable[[Telemetry], None]:
    return lambda told: told.said(data)


CASES: dict[str, Case] = {
    "said: an anomaly": Case(
        said(anomaly()),
        {'detector_anomalies_total{check="rows",severity="critical"}': 1},
        ("warning", "anomaly_found"),
        {"entity": ORDERS, "check": "rows", "severity": "critical", "summary": "412 rows"},
    ),
    "said: it goes on": Case(
        said(anomaly("updated")),
        {},
        ("debug", "anomaly_updated"),
        {"entity": ORDERS, "count": 1},
    ),
    "said: it is over": Case(
        said(anomaly("ended")), {'detector_anomalies_ended_total{check="rows"}': 1}, ("info", "anomaly_ended")
    ),
    "said: a breaker opens": Case(
        said(change(State.OPEN)),
        {
            'detector_breaker_transitions_total{from="closed",to="open",mode="enforce"}': 1,
            "detector_breaker_shadow_opens_total": 0,
        },
        ("warning", "breaker_changed"),
        {"entity": ORDERS, "from": "closed", "to": "open", "mode": "enforce", "reason": "412 rows"},
    ),
    "said: it would open": Case(
        said(change(State.OPEN, "shadow")),
        {
            'detector_breaker_transitions_total{from="closed",to="open",mode="shadow"}': 1,
            "detector_breaker_shadow_opens_total": 1,
        },
        ("warning", "breaker_changed"),
    ),
    "said: it probes": Case(
        said(change(State.HALF_OPEN)),
        {'detector_breaker_transitions_total{from="closed",to="half_open",mode="enforce"}': 1},
        ("info", "breaker_changed"),
    ),
    "said: a heartbeat": Case(
        said(emission(Heartbeat(partition=3, clock=NOW))), {'detector_heartbeat_timestamp_seconds{partition="3"}': NOW}
    ),
    "said: a quarantine": Case(
        said(
            emission(Quarantined(entity=ORDERS, partition=3, offset=7, error="jane", failures=3, summary="jane's rows"))
        ),
        {"detector_entities_quarantined_total": 1},
        ("error", "entity_quarantined"),
        {"entity": ORDERS, "partition": 3, "offset": 7, "failures": 3},
    ),
    "said: a history was learned": Case(
        said(emission(Seeded(entity=ORDERS, taken=True, known=61, since=0.0, until=NOW, summary="61 runs"))),
        {'detector_entities_seeded_total{taken="true"}': 1},
        ("debug", "entity_seeded"),
        {"entity": ORDERS, "taken": True, "known": 61},
    ),
    "said: a deadline was missed": Case(
        said(
            emission(
                Sla(
                    entity=ORDERS,
                    deadline=NOW,
                    met=False,
                    completed=None,
                    month="2026-11",
                    months={"2026-11": Attained(met=0, missed=1)},
                    owner=None,
                    summary="missed",
                )
            )
        ),
        {'detector_deadlines_total{outcome="missed"}': 1},
        ("debug", "deadline_passed"),
        {"entity": ORDERS, "met": False, "summary": "missed"},
    ),
    "said: a check lacks something": Case(
        said(emission(Unevaluated(entity=ORDERS, check="declared:unique(id)", reason="no distinct", summary=""))),
        {'detector_checks_unevaluated_total{check="declared:unique(id)"}': 1},
        ("warning", "check_not_evaluated"),
        {"entity": ORDERS, "check": "declared:unique(id)", "reason": "no distinct"},
    ),
    "said: a run was judged": Case(
        lambda told: told.said(emission(judged())),
        {'detector_runs_judged_total{kind="run",severity="critical",state="COMPLETE"}': 1},
    ),
    "said: an entity is held": Case(
        said(held(True)),
        {'detector_breaker_holds_total{change="held",mode="enforce"}': 1},
        ("info", "held"),
        {"entity": "job:a/report", "root": ORDERS, "reason": "412 rows"},
    ),
    "said: it is held no more": Case(
        said(held(False)), {'detector_breaker_holds_total{change="released",mode="enforce"}': 1}, ("info", "released")
    ),
    "said: an incident that calls": Case(
        said(incident("opened", pages=True)),
        {'detector_incidents_total{phase="opened",severity="critical"}': 1},
        ("warning", "incident"),
        {"incident": "5f0c", "phase": "opened", "root": ORDERS, "calls": True, "summary": "412 rows"},
    ),
    "said: an incident that calls nobody": Case(
        said(incident("resolved", pages=False)),
        {'detector_incidents_total{phase="resolved",severity="critical"}': 1},
        ("info", "incident"),
        {"phase": "resolved", "calls": False},
    ),
    "said: what must be redone": Case(
        said(plan()), {}, ("info", "recovery_plan"), {"plan": "9a3b", "root": ORDERS, "summary": "redo 3 runs"}
    ),
    "said: a command was done": Case(
        said(answered(True)),
        {
            'detector_commands_total{command="feedback",outcome="done"}': 1,
            'detector_feedback_total{check="incident",verdict="confirmed"}': 1,
        },
        ("info", "command"),
        {"command": "feedback", "by": "alice", "done": True, "effect": "noted"},
    ),
    "said: a command was refused": Case(
        said(answered(False)),
        {'detector_commands_total{command="feedback",outcome="refused"}': 1},
        ("info", "command"),
        {"done": False},
    ),
    "said: nothing more": Case(
        said(forgotten()), {"detector_entities_expired_total": 1}, ("info", "entity_expired"), {"entity": ORDERS}
    ),
    "committed": Case(
        lambda told: told.committed("worker", 5, 0.03),
        {
            'detector_records_written_total{stage="worker"}': 5,
            'detector_commit_seconds_count{stage="worker"}': 1,
            'detector_commit_seconds_bucket{stage="worker",le="0.05"}': 1,
            'detector_commit_seconds_bucket{stage="worker",le="0.02"}': 0,
        },
    ),
    "commit_aborted": Case(
        lambda told: told.commit_aborted("ingest", "fenced"),
        {'detector_commit_aborts_total{stage="ingest"}': 1},
        ("warning", "commit_aborted"),
        {"stage": "ingest", "why": "fenced"},
    ),
    "recovered": Case(
        lambda told: told.recovered(3, 10, 25, "assigned"),
        {"detector_recoveries_total": 1, "detector_replayed_records_total": 15},
        ("info", "recovered"),
        {"partition": 3, "at": 10, "replay": 15, "why": "assigned"},
    ),
    "guard_refused": Case(
        lambda told: told.guard_refused(3, "at 7, expected 9"),
        {"detector_guard_refusals_total": 1},
        ("warning", "guard_refused"),
        {"partition": 3, "why": "at 7, expected 9"},
    ),
    "snapshot_written": Case(
        lambda told: told.snapshot_written(3, 20, 4_096),
        {
            "detector_snapshots_total": 1,
            "detector_snapshot_states_total": 20,
            "detector_snapshot_bytes_total": 4_096,
            "detector_snapshot_timestamp_seconds": NOW,
        },
        ("debug", "snapshot_written"),
        {"partition": 3, "states": 20, "bytes": 4_096},
    ),
    "snapshot_skipped": Case(
        lambda told: told.snapshot_skipped([1, 2]),
        {"detector_snapshots_skipped_total": 2},
        ("warning", "snapshot_skipped"),
        {"partitions": [1, 2]},
    ),
    "replay_differs: a bug": Case(
        lambda told: told.replay_differs(3, False),
        {'detector_replay_mismatches_total{changed="false"}': 1},
        ("error", "replay_differs"),
        {"partition": 3},
    ),
    "replay_differs: another release": Case(
        lambda told: told.replay_differs(3, True),
        {'detector_replay_mismatches_total{changed="true"}': 1},
        ("info", "replay_differs"),
    ),
    "backstop_used": Case(
        lambda told: told.backstop_used(3, 10, 25),
        {"detector_backstop_used_total": 1},
        ("error", "backstop_used"),
        {"partition": 3, "low": 10, "upto": 25},
    ),
    "backstop_skipped": Case(
        lambda told: told.backstop_skipped(ORDERS, 9_000_000),
        {"detector_backstop_skipped_total": 1},
        ("warning", "backstop_skipped"),
        {"entity": ORDERS, "bytes": 9_000_000},
    ),
    "emission_skipped": Case(
        lambda told: told.emission_skipped(ORDERS, "detector.control", 9_000_000),
        {'detector_emissions_skipped_total{topic="detector.control"}': 1},
        ("error", "emission_skipped"),
        {"entity": ORDERS, "topic": "detector.control", "bytes": 9_000_000},
    ),
    "state_corrupt": Case(
        lambda told: told.state_corrupt(ORDERS, "format 9"),
        {"detector_states_corrupt_total": 1},
        ("error", "state_corrupt"),
        {"entity": ORDERS, "why": "format 9"},
    ),
    "step_failed": Case(
        lambda told: told.step_failed(ORDERS, 3, 7, failed(), 2),
        {"detector_step_failures_total": 1},
        ("error", "step_failed"),
        {"entity": ORDERS, "partition": 3, "offset": 7, "times": 2},
    ),
    "log_dead_lettered": Case(
        lambda told: told.log_dead_lettered("misplaced"),
        {'detector_dlq_messages_total{reason="misplaced"}': 1},
        ("warning", "log_dead_lettered"),
        {"reason": "misplaced"},
    ),
    "partition_refused": Case(
        lambda told: told.partition_refused(3, StateAheadOfLog("9 is after 7")),
        {'detector_partitions_refused_total{reason="StateAheadOfLog"}': 1},
        ("error", "partition_refused"),
        {"partition": 3, "reason": "StateAheadOfLog", "why": "9 is after 7"},
    ),
    "partition_waits": Case(
        lambda told: told.partition_waits(3, "Redis is away"),
        {'detector_waits_total{stage="worker"}': 1},
        ("warning", "partition_waits"),
        {"partition": 3, "why": "Redis is away"},
    ),
    "redis_waiting": Case(
        lambda told: told.redis_waiting("timeout"),
        {"detector_snapshots_failed_total": 1},
        ("warning", "redis_waiting"),
        {"why": "timeout"},
    ),
    "worker_alive": Case(
        lambda told: told.worker_alive(3, {4: "Redis is away"}, 2),
        {
            "detector_partitions_held": 3,
            "detector_partitions_waiting": 1,
            "detector_ticks_ignored": 2,
            'detector_stage_turn_timestamp_seconds{stage="worker"}': NOW,
        },
    ),
    "ingest_alive": Case(
        lambda told: told.ingest_alive(3, 0), {'detector_stage_turn_timestamp_seconds{stage="ingest"}': NOW}
    ),
    "consumed": Case(
        lambda told: told.consumed("openlineage.events", "run", 5),
        {'detector_events_consumed_total{topic="openlineage.events",kind="run"}': 5},
    ),
    "event_delay": Case(
        lambda told: told.event_delay(0.7),
        {
            "detector_event_delay_seconds_count": 1,
            "detector_event_delay_seconds_sum": 0.7,
            'detector_event_delay_seconds_bucket{le="1.0"}': 1,
            'detector_event_delay_seconds_bucket{le="0.5"}': 0,
        },
    ),
    "dead_lettered": Case(
        lambda told: told.dead_lettered(letter()),
        {'detector_dlq_messages_total{reason="json"}': 1},
        ("warning", "dead_lettered"),
        {"topic": "openlineage.events", "partition": 2, "offset": 7, "reason": "json", "message": "no JSON"},
    ),
    "ingest_waits": Case(
        lambda told: told.ingest_waits("a/3", "the registry is away"),
        {'detector_waits_total{stage="ingest"}': 1},
        ("warning", "ingest_waits"),
        {"place": "a/3", "why": "the registry is away"},
    ),
    "ticked": Case(lambda told: told.ticked(NOW), {"detector_ticks_total": 1, "detector_tick_timestamp_seconds": NOW}),
    "time_lag": Case(
        lambda told: told.time_lag(7.5),
        {"detector_time_lag_seconds": 7.5, 'detector_stage_turn_timestamp_seconds{stage="ticks"}': NOW},
    ),
    "ingest_lag": Case(lambda told: told.ingest_lag(9), {"detector_consumer_lag_messages": 9}),
    "ticks_wait": Case(
        lambda told: told.ticks_wait("Kafka is away"),
        {'detector_waits_total{stage="ticks"}': 1},
        ("warning", "ticks_wait"),
        {"why": "Kafka is away"},
    ),
    "view_waits": Case(
        lambda told: told.view_waits("Redis is away"),
        {'detector_waits_total{stage="view"}': 1},
        ("warning", "view_waits"),
        {"why": "Redis is away"},
    ),
    "view_rebuilt": Case(
        lambda told: told.view_rebuilt(12, "id"),
        {"detector_view_rebuilds_total": 12},
        ("info", "view_rebuilt"),
        {"partitions": 12, "topic_id": "id"},
    ),
    "view_applied": Case(
        lambda told: told.view_applied(5, 0.02), {"detector_view_records_total": 5, "detector_view_lag_seconds": 0.02}
    ),
    "history_waits": Case(
        lambda told: told.history_waits("Redis is away"),
        {'detector_waits_total{stage="history"}': 1},
        ("warning", "history_waits"),
        {"why": "Redis is away"},
    ),
    "history_kept": Case(lambda told: told.history_kept(5), {"detector_history_runs_total": 5}),
    "view_unreadable": Case(
        lambda told: told.view_unreadable(3, 7, "no JSON"),
        {"detector_view_unreadable_total": 1},
        ("warning", "view_unreadable"),
        {"partition": 3, "offset": 7, "why": "no JSON"},
    ),
    "started": Case(
        lambda told: told.started(["ingest", "worker"], "0", "http://127.0.0.1:8080"),
        {},
        ("info", "started"),
        {"stages": ["ingest", "worker"], "slot": "0", "address": "http://127.0.0.1:8080"},
    ),
    "stopping": Case(lambda told: told.stopping(), {}, ("info", "stopping")),
    "stopped": Case(lambda told: told.stopped(), {}, ("info", "stopped")),
    "executing": Case(
        lambda told: told.executing("airflow", "log.execute"),
        {},
        ("info", "executing"),
        {"executor": "airflow", "group": "log.execute"},
    ),
    "plan_taken": Case(
        lambda told: told.plan_taken(PLAN),
        {},
        ("info", "plan_taken"),
        {"plan": "p1", "plan_version": 2, "state": "open", "root": ORDERS, "steps": 1},
    ),
    "plan_unreadable": Case(
        lambda told: told.plan_unreadable(0, 7, "no plan"),
        {},
        ("warning", "plan_unreadable"),
        {"partition": 0, "offset": 7, "why": "no plan"},
    ),
    "redo_requested": Case(
        lambda told: told.redo_requested(ASK, Requested("dags/orders", "cleared")),
        {},
        ("info", "redo_requested"),
        {"plan": "p1", "entity": JOB, "needs": "bad", "run": "0198", "id": "dags/orders", "message": "cleared"},
    ),
    "redo_refused": Case(
        lambda told: told.redo_refused(ASK, "no DAG"),
        {},
        ("error", "redo_refused"),
        {"plan": "p1", "entity": JOB, "nominal_time": NOW, "why": "no DAG"},
    ),
    "redo_ended": Case(
        lambda told: told.redo_ended(ASK, Requested("dags/orders", ""), "success"),
        {},
        ("info", "redo_ended"),
        {"plan": "p1", "entity": JOB, "id": "dags/orders", "status": "success"},
    ),
    "redo_ended: badly": Case(
        lambda told: told.redo_ended(ASK, Requested("dags/orders", ""), "failed"),
        {},
        ("warning", "redo_ended"),
        {"status": "failed"},
    ),
    "executor_waits": Case(
        lambda told: told.executor_waits("no answer"), {}, ("warning", "executor_waits"), {"why": "no answer"}
    ),
    "breaker_stands": Case(lambda told: told.breaker_stands(ORDERS, value()), {}),
    "incident_stands": Case(lambda told: told.incident_stands("5f0c", 3, None), {}),
    "metrics_wait": Case(
        lambda told: told.metrics_wait("Kafka is away"),
        {'detector_waits_total{stage="metrics"}': 1},
        ("warning", "metrics_wait"),
        {"why": "Kafka is away"},
    ),
    "alerting": Case(
        lambda told: told.alerting({"oncall": "pagerduty"}, "http://127.0.0.1:8081"),
        {'detector_alerts_refused_total{sink="oncall"}': 0.0},
        ("info", "alerting"),
        {"sinks": {"oncall": "pagerduty"}, "address": "http://127.0.0.1:8081"},
    ),
    "alert_sent": Case(
        lambda told: told.alert_sent("oncall", alert()),
        {
            'detector_alerts_sent_total{action="trigger",sink="oncall"}': 1.0,
            'detector_alert_success_timestamp_seconds{sink="oncall"}': NOW,
        },
        ("info", "alert_sent"),
        {"sink": "oncall", "action": "trigger", "incident": "i1", "entity": "job:shop/load"},
    ),
    "alert_sent: a change": Case(
        lambda told: told.alert_sent("oncall", alert("update")),
        {'detector_alerts_sent_total{action="update",sink="oncall"}': 1.0},
        ("debug", "alert_sent"),
    ),
    "alert_told_again": Case(
        lambda told: told.alert_told_again("oncall"), {'detector_alert_success_timestamp_seconds{sink="oncall"}': NOW}
    ),
    "alert_refused": Case(
        lambda told: told.alert_refused("oncall", "i1", "invalid event"),
        {'detector_alerts_refused_total{sink="oncall"}': 1.0},
        ("error", "alert_refused"),
        {"sink": "oncall", "incident": "i1", "why": "invalid event"},
    ),
    "alert_skipped": Case(
        lambda told: told.alert_skipped("oncall", skipped("i1")),
        {'detector_alerts_skipped_total{sink="oncall"}': 1.0},
        ("warning", "alert_skipped"),
        {"sink": "oncall", "incident": "i1"},
    ),
    "alert_unreadable": Case(
        lambda told: told.alert_unreadable(0, 7, "no incident"),
        {},
        ("warning", "alert_unreadable"),
        {"partition": 0, "offset": 7, "why": "no incident"},
    ),
    "alert_waits": Case(
        lambda told: told.alert_waits("oncall", "no answer"),
        {'detector_alerts_failed_total{sink="oncall"}': 1.0},
        ("warning", "alert_waits"),
        {"sink": "oncall", "why": "no answer"},
    ),
    "alerts_turned": Case(
        lambda told: told.alerts_turned("oncall", 2, "no answer"),
        {'detector_alerts_waiting{sink="oncall"}': 2.0},
    ),
    "api_alive": Case(lambda told: told.api_alive(True, None), {"detector_api_trouble": 0}),
    "api_alive: nothing new": Case(
        lambda told: told.api_alive(True, "no answer"),
        {"detector_api_trouble": 1},
        ("warning", "api_waits"),
        {"why": "no answer"},
    ),
    "http_answered": Case(
        lambda told: told.http_answered("/v1/plans", 404, 0.25),
        {
            'detector_http_requests_total{route="/v1/plans",status="4xx"}': 1,
            'detector_http_request_seconds_sum{route="/v1/plans"}': 0.25,
        },
    ),
    "http_failed": Case(
        lambda told: told.http_failed("/v1/plans", ValueError("x")),
        {},
        ("error", "http_failed"),
        {"route": "/v1/plans"},
    ),
    "stream_dropped": Case(lambda told: told.stream_dropped(), {"detector_http_streams_dropped_total": 1}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_event_moves_its_metric_and_writes_its_line(case: Case, seen: Seen) -> None:
    case.call(seen.telemetry)

    lines = seen.lines()
    assert {sample: seen.value(sample) for sample in case.samples} == case.samples
    assert [(line["level"], line["event"]) for line in lines] == ([case.line] if case.line else [])
    assert all(case.holds.items() <= line.items() for line in lines)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_line_holds_no_value_of_a_record_and_no_local_variable(case: Case, seen: Seen) -> None:
    case.call(seen.telemetry)

    assert not re.search(r"jane|hunter2", seen.stream.getvalue())


def methods(of: type) -> dict[str, inspect.Signature]:
    return {name: inspect.signature(found) for name, found in vars(of).items() if not name.startswith("_")}


def test_every_event_is_in_the_table_above() -> None:
    told = {name for name, found in vars(Telemetry).items() if inspect.isfunction(found) and not name.startswith("_")}

    assert {name.partition(":")[0] for name in CASES} == told


@pytest.mark.parametrize(
    "protocol", [signals.Signals, follower.Signals, executor.Signals], ids=["the loops", "the view", "the executor"]
)
def test_telemetry_is_what_its_users_ask_for(protocol: type) -> None:
    ours = methods(Telemetry)
    for name, asked in methods(protocol).items():
        parameters = [(p.name, p.kind, p.default) for p in asked.parameters.values()]

        assert [(p.name, p.kind, p.default) for p in ours[name].parameters.values()] == parameters, name


def test_without_a_log_nothing_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    told = Telemetry(registry=CollectorRegistry())
    for case in CASES.values():
        case.call(told)

    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- what repeats


@pytest.mark.parametrize(
    "repeat",
    [
        pytest.param(lambda told: told.redis_waiting("away"), id="redis_waiting"),
        pytest.param(lambda told: told.commit_aborted("worker", "x"), id="commit_aborted"),
        pytest.param(lambda told: told.guard_refused(3, "x"), id="guard_refused"),
        pytest.param(lambda told: told.log_dead_lettered("x"), id="log_dead_lettered"),
        pytest.param(lambda told: told.dead_lettered(letter()), id="dead_lettered"),
        pytest.param(lambda told: told.partition_waits(3, "x"), id="partition_waits"),
        pytest.param(lambda told: told.ingest_waits("a/3", "x"), id="ingest_waits"),
        pytest.param(lambda told: told.ticks_wait("x"), id="ticks_wait"),
        pytest.param(lambda told: told.view_waits("x"), id="view_waits"),
        pytest.param(lambda told: told.history_waits("x"), id="history_waits"),
        pytest.param(lambda told: told.view_unreadable(3, 7, "x"), id="view_unreadable"),
        pytest.param(lambda told: told.partition_refused(3, StateAheadOfLog("x")), id="partition_refused"),
    ],
)
def test_what_repeats_is_written_once_in_thirty_seconds(repeat: Callable[[Telemetry], None], seen: Seen) -> None:
    for _ in range(50):
        repeat(seen.telemetry)
    seen.now += QUIET - 0.1
    repeat(seen.telemetry)
    first = seen.lines()
    seen.now += 0.1
    repeat(seen.telemetry)

    assert (len(first), len(seen.lines())) == (1, 2)


def test_the_next_line_says_how_many_were_kept_back_and_all_are_counted(seen: Seen) -> None:
    for _ in range(50):
        seen.telemetry.redis_waiting("away")
    seen.now += QUIET
    seen.telemetry.redis_waiting("away")

    assert [line.get("repeated") for line in seen.lines()] == [None, 49]
    assert seen.value("detector_snapshots_failed_total") == 51


def test_what_is_said_of_another_partition_is_no_repeat(seen: Seen) -> None:
    for partition in (1, 2, 1):
        seen.telemetry.guard_refused(partition, "x")

    assert [line["partition"] for line in seen.lines()] == [1, 2]


def test_as_many_different_repeats_as_one_likes_take_bounded_memory() -> None:
    repeats = Repeats(every=5.0)

    assert {repeats.told("event", str(number), 0.0) for number in range(3 * MOST_REPEATS)} == {0}
    assert len(repeats._told) <= MOST_REPEATS


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("name", "tell"),
    [
        pytest.param("detector_anomalies_total", lambda told, word: told.said(anomaly(check=word)), id="checks"),
        pytest.param(
            "detector_anomalies_ended_total", lambda told, word: told.said(anomaly("ended", word)), id="checks again"
        ),
        pytest.param("detector_events_consumed_total", lambda told, word: told.consumed("a", word, 1), id="kinds"),
        pytest.param("detector_dlq_messages_total", lambda told, word: told.dead_lettered(letter(word)), id="reasons"),
        pytest.param("detector_dlq_messages_total", lambda told, word: told.log_dead_lettered(word), id="of the log"),
    ],
)
def test_words_of_others_make_a_bounded_number_of_series(
    name: str, tell: Callable[[Telemetry, str], None], seen: Seen
) -> None:
    for number in range(5_000):
        tell(seen.telemetry, f"word-{number}")

    other = [
        s.value for m in seen.registry.collect() for s in m.samples if s.name == name and "other" in s.labels.values()
    ]
    assert seen.series(name) == MOST_WORDS + 1
    assert other == [5_000 - MOST_WORDS]


def test_a_word_that_is_known_stays_itself() -> None:
    words = Words(most=2)

    assert [words.bound(word) for word in ("a", "b", "c", "a")] == ["a", "b", "other", "a"]


def test_thousands_of_entities_make_no_series_but_of_breakers_that_are_not_closed(seen: Seen) -> None:
    seen.telemetry.said(emission(Heartbeat(partition=3, clock=NOW)))
    before = sum(len(metric.samples) for metric in seen.registry.collect())
    for number in range(3_000):
        entity = f"job:a/{number}"
        seen.telemetry.said(anomaly(entity=entity))
        seen.telemetry.breaker_stands(entity, value(entity, State.CLOSED))
        seen.telemetry.state_corrupt(entity, "x")
        seen.telemetry.said(forgotten(entity))
        seen.telemetry.breaker_stands(entity, None)
    after = sum(len(metric.samples) for metric in seen.registry.collect())

    assert after - before < 10


def open_breakers(seen: Seen) -> dict[str, str]:
    found = [s for m in seen.registry.collect() for s in m.samples if s.name == "detector_breaker_state"]
    return {sample.labels["entity"]: sample.labels["state"] for sample in found}


def test_a_breaker_has_a_series_while_it_is_not_closed(seen: Seen) -> None:
    told = seen.telemetry
    told.said(emission(Heartbeat(partition=3, clock=NOW)))
    moves = []
    for state in (State.OPEN, State.HALF_OPEN, State.CLOSED, State.UNKNOWN):
        told.breaker_stands(ORDERS, value(state=state))
        moves.append(open_breakers(seen))
    told.breaker_stands(ORDERS, None)

    assert moves == [{ORDERS: "open"}, {ORDERS: "half_open"}, {}, {ORDERS: "unknown"}]
    assert open_breakers(seen) == {}


def test_breakers_of_a_partition_that_has_moved_away_are_not_told(seen: Seen) -> None:
    told = seen.telemetry
    told.breaker_stands(ORDERS, value())
    untold = open_breakers(seen)
    told.said(emission(Heartbeat(partition=3, clock=NOW)))
    fresh = open_breakers(seen)
    seen.now += FRESH

    assert (untold, fresh, open_breakers(seen)) == ({}, {ORDERS: "open"}, {})


def test_there_is_a_bound_to_the_breakers_that_are_told_and_none_to_their_count(seen: Seen) -> None:
    seen.telemetry.said(emission(Heartbeat(partition=3, clock=NOW)))
    for number in range(MOST_ENTITIES + 500):
        seen.telemetry.breaker_stands(f"job:a/{number:05}", value(f"job:a/{number:05}"))

    assert len(open_breakers(seen)) == MOST_ENTITIES
    assert seen.value('detector_breakers_not_closed{state="open",mode="enforce",why="own"}') == MOST_ENTITIES + 500


# ---------------------------------------------------------------- names


def test_names_follow_prometheus() -> None:
    rows = Telemetry(registry=CollectorRegistry()).metrics.rows

    assert [row.name for row in rows if not re.fullmatch(r"detector_[a-z_]+", row.name)] == []
    assert {row.name.endswith("_total") for row in rows if row.kind == "counter"} == {True}
    assert [row.name for row in rows if row.kind != "counter" and row.name.endswith("_total")] == []
    assert [row.name for row in rows if re.search(r"_(ms|millis|minutes|hours|kb|mb|percent)(_|$)", row.name)] == []


def test_the_names_that_dashboards_and_rules_use_are_there() -> None:
    names = {row.name for row in Telemetry(registry=CollectorRegistry()).metrics.rows}

    assert names >= {
        "detector_events_consumed_total",
        "detector_consumer_lag_messages",
        "detector_event_delay_seconds",
        "detector_anomalies_total",
        "detector_breaker_state",
        "detector_breaker_transitions_total",
        "detector_breaker_shadow_opens_total",
        "detector_heartbeat_timestamp_seconds",
        "detector_dlq_messages_total",
        "detector_build_info",
    }


def test_readiness_says_which_receiver_is_away_until_it_is_not(seen: Seen) -> None:
    seen.telemetry.alerting({"oncall": "pagerduty", "chat": "webhook"}, "")
    seen.telemetry.alerts_turned("chat", 0, None)
    seen.telemetry.alerts_turned("oncall", 1, "https://events.pagerduty.com does not answer")
    away = seen.telemetry.health.verdict().troubles
    seen.telemetry.alerts_turned("oncall", 0, None)

    assert away == ("alert oncall waits: https://events.pagerduty.com does not answer",)
    assert seen.telemetry.health.verdict().ready


def test_every_metric_is_moved_by_an_event(seen: Seen) -> None:
    for case in CASES.values():
        case.call(seen.telemetry)
    seen.telemetry.said(emission(Heartbeat(partition=3, clock=NOW)))
    episode = OpenEpisode(id="e", since=NOW, severity=1, count=1, run_id=None)
    good = LastGood(run_id="r", at=NOW)
    unhealthy = msgspec.structs.replace(value(), episodes={"rows": episode}, last_good=good)
    seen.telemetry.breaker_stands(ORDERS, unhealthy)
    seen.telemetry.said(emission(judged()))
    open_incident: Any = incident("opened", False).data
    seen.telemetry.incident_stands("5f0c", 3, open_incident)

    moved = {s.name for m in seen.registry.collect() for s in m.samples if s.value}
    counted = {name.removesuffix("_count").removesuffix("_sum") for name in moved}
    assert [row.name for row in seen.telemetry.metrics.rows if row.name not in counted] == []


def test_the_release_is_told(seen: Seen) -> None:
    (labels,) = [s.labels for m in seen.registry.collect() for s in m.samples if s.name == "detector_build_info"]

    assert set(labels) == {"version", "python", "librdkafka"}
    assert all(labels.values())


def test_two_telemetries_in_one_process_have_metrics_of_their_own() -> None:
    first, second = Telemetry(), Telemetry()
    first.ingest_lag(5)

    names = {metric.name for metric in first.registry.collect()}
    assert second.registry.get_sample_value("detector_consumer_lag_messages") == 0
    assert {"process_cpu_seconds", "python_info"} <= names


def test_an_anomaly_names_its_entity_in_an_exemplar_and_not_in_a_label(seen: Seen) -> None:
    seen.telemetry.said(anomaly(entity=f"dataset:{'long' * 100}/x"))

    (line,) = [
        line for line in exposed(seen, "application/openmetrics-text") if line.startswith("detector_anomalies_t")
    ]
    labels, _, exemplar = line.partition("#")
    assert "dataset:" not in labels
    assert exemplar.startswith(' {entity="dataset:longlong')


def test_the_older_format_has_no_exemplars(seen: Seen) -> None:
    seen.telemetry.said(anomaly())

    assert not any("dataset:" in line for line in exposed(seen, "text/plain"))


def exposed(seen: Seen, accept: str) -> list[str]:
    return choose_encoder(accept)[0](seen.registry).decode().splitlines()


# ---------------------------------------------------------------- what it means for the health


def problems(seen: Seen) -> list[str]:
    verdict = seen.telemetry.health.verdict()
    return [*verdict.stuck, *verdict.troubles]


@pytest.mark.parametrize(
    ("waits", "said", "goes_on"),
    [
        pytest.param(
            lambda told: told.redis_waiting("Redis is away"),
            "snapshot waits: Redis is away",
            lambda told: told.snapshot_written(3, 1, 1),
            id="a snapshot",
        ),
        pytest.param(
            lambda told: told.ticks_wait("Kafka is away"),
            "time waits: Kafka is away",
            lambda told: told.ticked(NOW),
            id="time",
        ),
        pytest.param(
            lambda told: told.view_waits("Redis is away"),
            "view waits: Redis is away",
            lambda told: told.view_applied(1, 0.1),
            id="the view",
        ),
        pytest.param(
            lambda told: told.ingest_waits("a/3", "the registry is away"),
            "ingest a/3 waits: the registry is away",
            lambda told: told.ingest_alive(3, 0),
            id="ingest",
        ),
        pytest.param(
            lambda told: told.worker_alive(3, {4: "Redis is away"}, 0),
            "partition 4 waits: Redis is away",
            lambda told: told.worker_alive(4, {}, 0),
            id="a partition",
        ),
    ],
)
def test_who_waits_is_not_ready_until_it_goes_on(
    waits: Callable[[Telemetry], None], said: str, goes_on: Callable[[Telemetry], None], seen: Seen
) -> None:
    waits(seen.telemetry)
    waiting = problems(seen)
    goes_on(seen.telemetry)

    assert (waiting, problems(seen)) == ([said], [])


def test_ingest_waits_as_long_as_one_of_its_places_does(seen: Seen) -> None:
    seen.telemetry.ingest_waits("a/3", "the registry is away")
    seen.telemetry.ingest_alive(5, 1)

    assert problems(seen) == ["ingest a/3 waits: the registry is away"]


def test_a_process_that_has_just_started_is_not_ready(seen: Seen) -> None:
    seen.telemetry.started(["ingest", "worker"], "0", "http://127.0.0.1:8080")
    at_first = problems(seen)
    seen.telemetry.ingest_alive(3, 0)
    seen.telemetry.worker_alive(0, {}, 0)

    assert at_first == ["ingest has not started", "worker has not started"]
    assert problems(seen) == ["worker has no partitions"]


@pytest.mark.parametrize("end", [Telemetry.stopping, Telemetry.stopped], ids=["stopping", "stopped"])
def test_a_process_that_stops_is_not_ready_and_alive(end: Callable[[Telemetry], None], seen: Seen) -> None:
    end(seen.telemetry)

    verdict = seen.telemetry.health.verdict()
    assert (verdict.alive, verdict.troubles) == (True, ("stopping",))


def test_time_that_never_began_stands_still_too(seen: Seen) -> None:
    """After a restart while ingest is down, there is no last tick whose age could tell."""
    for _ in range(5):
        seen.telemetry.time_lag(0.0)
        seen.now += 50.0
    standing, lag = problems(seen), seen.value("detector_time_lag_seconds")
    seen.telemetry.ticked(NOW)
    seen.telemetry.time_lag(0.5)

    assert lag == 200.0
    assert standing == ["time stands still for 250 s: is ingest running, and does it keep up?"]
    assert (problems(seen), seen.value("detector_time_lag_seconds")) == ([], 0.5)
