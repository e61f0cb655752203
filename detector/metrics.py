"""Every metric of the program: its name, its labels, and a sentence on what it tells.

All are in one registry that whoever makes them hands in, so that a test, or two detectors in one process, have their
own. Labels have few values. Names that others choose (checks, kinds of events) are counted one by one up to a bound and
as `other` beyond it; entities are labels in `gauges` only. Times are exported as timestamps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics

from detector.core.commands import Verdict
from detector.gauges import FAMILIES, Standing

MOST_WORDS: Final = 100
OTHER: Final = "other"
INCIDENT: Final = "incident"  # in the place of a check, where a verdict was one on all of an incident
_COMMIT: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_VERDICT: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
_REQUEST: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
_DELAY: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a gauge beside each counter: half of all series


@dataclass(frozen=True, slots=True)
class Row:
    """What `docs/metrics.md` says of a metric."""

    name: str
    kind: str
    labels: tuple[str, ...]
    about: str


@dataclass(slots=True)
class Words:
    """Values of a label that others choose: so many different ones, then `other`."""

    most: int = MOST_WORDS
    known: set[str] = field(default_factory=set)

    def bound(self, word: str) -> str:
        """The word itself, or `other` when there are too many."""
        if word not in self.known:
            if len(self.known) >= self.most:
                return OTHER
            self.known.add(word)
        return word


class Metrics:
    """The metrics, each under the name that `telemetry` uses."""

    def __init__(
        self, registry: CollectorRegistry, valid: Callable[[int], bool], watched: Callable[[str], bool]
    ) -> None:
        """Register all. `valid` and `watched` are what `Standing` asks."""
        self.registry = registry
        self.rows: list[Row] = []
        self._events()
        self._transactions()
        self._snapshots()
        self._recovery()
        self._time()
        self._verdicts()
        self._people()
        self._view()
        self._alerts()
        self._http()
        self._begin()
        self.standing = Standing(valid, watched)
        self.registry.register(self.standing)
        self.rows += [Row(family.name, "gauge", family.labels, family.about) for family in FAMILIES]

    def _events(self) -> None:
        self.consumed = self._counter(
            "detector_events_consumed", "Outside records that were read, by topic and kind of event.", "topic", "kind"
        )
        self.delay = self._histogram(
            "detector_event_delay_seconds", "From the time of an outside record until ingest has read it.", _DELAY
        )
        self.dead_letters = self._counter(
            "detector_dlq_messages", "Records that went to the topic of dead letters, by reason.", "reason"
        )
        self.lag = self._gauge("detector_consumer_lag_messages", "Outside records that ingest has not committed yet.")
        self.waits = self._counter(
            "detector_waits",
            "How often a stage had to wait for a service (Kafka, Redis, a registry) that did not answer.",
            "stage",
        )
        self.alive = self._gauge(
            "detector_stage_turn_timestamp_seconds", "When a stage last went round its loop.", "stage"
        )

    def _transactions(self) -> None:
        self.written = self._counter("detector_records_written", "Records in committed transactions.", "stage")
        self.commit = self._histogram(
            "detector_commit_seconds", "How long a transaction took, from its first record.", _COMMIT, "stage"
        )
        self.aborts = self._counter(
            "detector_commit_aborts", "Transactions that were rolled back; what was in them is done again.", "stage"
        )

    def _snapshots(self) -> None:
        self.snapshots = self._counter("detector_snapshots", "Snapshots of a partition's states that Redis took.")
        self.snapshot_states = self._counter("detector_snapshot_states", "States in these snapshots.")
        self.snapshot_bytes = self._counter("detector_snapshot_bytes", "Bytes of the states in these snapshots.")
        self.snapshot_at = self._gauge("detector_snapshot_timestamp_seconds", "When Redis last took a snapshot.")
        self.snapshots_skipped = self._counter(
            "detector_snapshots_skipped",
            "Partitions that were given back without a last snapshot: their next owner replays.",
        )
        self.snapshots_waiting = self._counter(
            "detector_snapshots_failed", "Snapshots that Redis did not take; each is tried again."
        )

    def _recovery(self) -> None:
        self.held = self._gauge("detector_partitions_held", "Partitions of the log that this worker goes on with.")
        self.waiting = self._gauge(
            "detector_partitions_waiting",
            "Partitions of the log that stand still here: a service is away, or an operator must decide.",
        )
        self.refused = self._counter(
            "detector_partitions_refused", "Partitions that an operator must decide on, by what is wrong.", "reason"
        )
        self.recoveries = self._counter("detector_recoveries", "Partitions that began anew from their snapshot.")
        self.replayed = self._counter(
            "detector_replayed_records", "Offsets of the log between snapshot and commit, that were replayed silently."
        )
        self.guard = self._counter(
            "detector_guard_refusals",
            "Redis was not where this worker left it: another owner, or a Redis that lost something.",
        )
        self.mismatches = self._counter(
            "detector_replay_mismatches",
            "Replays that said something else than was published; `changed`: code or configuration did.",
            "changed",
        )
        self.backstop = self._counter(
            "detector_backstop_used",
            "Partitions that were rebuilt from the topic of snapshots, since Redis had lost them.",
        )
        self.too_large = self._counter(
            "detector_backstop_skipped", "States that are too large for the topic of snapshots; Redis has them."
        )
        self.emissions_skipped = self._counter(
            "detector_emissions_skipped",
            "What was too large to be written to this `topic`; nobody has heard of it.",
            "topic",
        )
        self.corrupt = self._counter(
            "detector_states_corrupt", "States that could not be read; the entity started cold."
        )
        self.failures = self._counter("detector_step_failures", "Times that judging a record raised: a bug.")
        self.quarantined = self._counter(
            "detector_entities_quarantined", "Records that were set aside since judging them fails each time."
        )

    def _time(self) -> None:
        self.ticks = self._counter("detector_ticks", "Ticks that were written to the log.")
        self.tick_at = self._gauge("detector_tick_timestamp_seconds", "The time that the last tick stands for.")
        self.time_lag = self._gauge(
            "detector_time_lag_seconds",
            "How far time in the log is behind: it stands still while ingest is down or behind.",
        )
        self.ticks_ignored = self._gauge(
            "detector_ticks_ignored",
            "Ticks of the held partitions that were from the future: somebody's clock is wrong.",
        )
        self.heartbeat = self._gauge(
            "detector_heartbeat_timestamp_seconds",
            "The clock of a partition, as its last heartbeat told it. A process that had the partition before still"
            " tells the old one: use `max by (partition)`.",
            "partition",
        )

    def _verdicts(self) -> None:
        self.judged = self._counter(
            "detector_runs_judged",
            "Runs, loads, profiles and windows that were judged, or of which more was heard; how they ended, and the"
            " worst that was found.",
            "kind",
            "state",
            "severity",
        )
        self.anomalies = self._counter(
            "detector_anomalies", "Anomalies that began, by check and severity.", "check", "severity"
        )
        self.ended = self._counter("detector_anomalies_ended", "Anomalies that are over, by check.", "check")
        self.verdict_delay = self._histogram(
            "detector_verdict_delay_seconds",
            "From the time that an event was in the log until what was found in it was committed.",
            _VERDICT,
        )
        self.transitions = self._counter("detector_breaker_transitions", "Moves of breakers.", "from", "to", "mode")
        self.shadow_opens = self._counter(
            "detector_breaker_shadow_opens", "Breakers in mode shadow that would have opened."
        )
        self.expired = self._counter(
            "detector_entities_expired", "Entities that were silent for so long that they are forgotten."
        )
        self.seeded = self._counter(
            "detector_entities_seeded",
            "Entities that were given a history to learn; `taken` is false where they knew enough by themselves.",
            "taken",
        )
        self.holds = self._counter(
            "detector_breaker_holds",
            "Entities that were held, or released, because of something upstream.",
            "change",
            "mode",
        )
        self.incidents = self._counter(
            "detector_incidents",
            "Incidents that were opened, updated, resolved, reopened or merged.",
            "phase",
            "severity",
        )
        self.deadlines = self._counter(
            "detector_deadlines", "Declared deadlines that have passed; `outcome` is met or missed.", "outcome"
        )
        self.unevaluated = self._counter(
            "detector_checks_unevaluated", "Declared checks that were said to lack what they need.", "check"
        )

    def _people(self) -> None:
        self.commands = self._counter(
            "detector_commands", "Commands of people; `outcome` is done or refused.", "command", "outcome"
        )
        self.feedback = self._counter(
            "detector_feedback",
            "Verdicts of people on anomalies, by check; `incident` where it was one on all of an incident.",
            "check",
            "verdict",
        )

    def _view(self) -> None:
        self.view_records = self._counter(
            "detector_view_records", "Records of the topic of breakers that were put into the view in Redis."
        )
        self.view_lag = self._gauge(
            "detector_view_lag_seconds", "How long after it was written the last record was in the view."
        )
        self.view_rebuilds = self._counter("detector_view_rebuilds", "Partitions of the view that were built anew.")
        self.view_unreadable = self._counter(
            "detector_view_unreadable", "Records of the topic of breakers that are none."
        )
        self.history_runs = self._counter(
            "detector_history_runs", "Judged runs that were put into the history in Redis."
        )
        about = "Which release this is, and on what it runs."
        self.build = Info("detector_build", about, registry=self.registry)
        self.rows.append(Row("detector_build_info", "info", ("version", "python", "librdkafka"), about))

    def _alerts(self) -> None:
        self.alerts_sent = self._counter(
            "detector_alerts_sent", "Messages that a receiver of alerts took (`detector alert`).", "sink", "action"
        )
        self.alerts_failed = self._counter(
            "detector_alerts_failed", "Times that a receiver of alerts did not answer, or not now.", "sink"
        )
        self.alerts_refused = self._counter(
            "detector_alerts_refused", "Messages that a receiver of alerts does not take, now or later.", "sink"
        )
        self.alerts_skipped = self._counter(
            "detector_alerts_skipped", "Incidents that were over before the receiver could be told of them.", "sink"
        )
        self.alerts_waiting = self._gauge(
            "detector_alerts_waiting", "Incidents of which a receiver of alerts has not been told all.", "sink"
        )
        self.alert_at = self._gauge(
            "detector_alert_success_timestamp_seconds", "When a receiver of alerts last took something.", "sink"
        )

    def _begin(self) -> None:
        """Series that alerts watch are there from the start: `increase` does not see how one begins."""
        begun = {
            self.waits: ("ingest", "worker", "ticks", "view", "history", "metrics"),
            self.aborts: ("ingest", "worker"),
            self.mismatches: ("false", "true"),
            self.refused: ("LogMoved", "SnapshotTooNew", "StateAheadOfLog"),
            self.deadlines: ("met", "missed"),
        }
        for counter, words in begun.items():
            for word in words:
                counter.labels(word)
        for verdict in get_args(Verdict):
            self.feedback.labels(INCIDENT, verdict)

    def _http(self) -> None:
        self.requests = self._counter(
            "detector_http_requests",
            "Requests to the HTTP API and the pages, by route and class of status.",
            "route",
            "status",
        )
        self.request_seconds = self._histogram(
            "detector_http_request_seconds",
            "How long answers took; streams of events count as none.",
            _REQUEST,
            "route",
        )
        self.streams_dropped = self._counter(
            "detector_http_streams_dropped", "Readers of the events that were too slow, and were cut off."
        )
        self.api_trouble = self._gauge(
            "detector_api_trouble", "1 while the API reads nothing new, and answers from what it had last."
        )

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        self.rows.append(Row(f"{name}_total", "counter", labels, about))
        return Counter(name, about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        self.rows.append(Row(name, "gauge", labels, about))
        return Gauge(name, about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: Sequence[float], *labels: str) -> Histogram:
        self.rows.append(Row(name, "histogram", labels, about))
        return Histogram(name, about, labels, buckets=buckets, registry=self.registry)
