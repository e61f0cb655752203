"""The detector itself: whether it can be relied on, and what limits it."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from deploy.grafana.boards.parts import (
    GREEN,
    RED,
    YELLOW,
    Ask,
    Panel,
    begun,
    grew,
    lines,
    marks,
    number,
    of,
    or_none,
    quantiles,
)

BAD = ((None, GREEN), (1, RED))
BEAT = f"time() - max by (partition) ({of('detector_heartbeat_timestamp_seconds')})"
DEFECTS = (
    of("detector_step_failures_total"),
    of("detector_entities_quarantined_total"),
    of("detector_replay_mismatches_total", 'changed="false"'),
)
LOSSES = (of("detector_backstop_used_total"), of("detector_states_corrupt_total"))


def board() -> Dashboard:
    """The dashboard: first what the alerts are about, then what explains them."""
    about = "Whether Detector can be relied on: time, heartbeats, lag, commits, snapshots, resources."
    made = begun("detector-itself", "Detector: the detector itself", about, "alerts-on-detector.md")
    started = f"changes({of('process_start_time_seconds')}[$__interval]) > 0"
    made = made.annotation(marks("a process started", started, YELLOW))
    for panel in _now():
        made = made.with_panel(panel)
    rows = (("Time and load", _time()), ("Exactly once", _commits()), ("State", _state()), ("Resources", _resources()))
    for title, panels in rows:
        made = made.with_row(Row(title))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _now() -> Sequence[Panel]:
    return (
        number(
            "Which alerts fire?",
            "Of deploy/prometheus/rules.yml. The runbook says what to do about each.",
            Ask('count(ALERTS{alertname=~"Detector.*", alertstate="firing"}) or vector(0)'),
            steps=BAD,
        ),
        number(
            "How many processes answer?",
            "Processes that Prometheus scrapes.",
            Ask('sum(up{job="$job"})'),
            steps=((None, RED), (1, GREEN)),
        ),
        number(
            "Which releases run?",
            "More than one: an update goes on.",
            Ask(f"count by (version) ({of('detector_build_info')})", "{{version}}"),
        ),
        number(
            "Does time go on?",
            "How far time in the log is behind. Above two minutes breakers are unknown.",
            Ask(f"max({of('detector_time_lag_seconds')})"),
            unit="s",
            steps=((None, GREEN), (30, YELLOW), (120, RED)),
        ),
        number(
            "How many partitions are unattended?",
            "Partitions of the log without a heartbeat for a minute: their breakers are not valid.",
            Ask(f"count({BEAT} > 60) or vector(0)"),
            steps=BAD,
        ),
        number(
            "Are there defects?",
            "Records that could not be judged, and replays that said something else than before, in the time shown.",
            Ask(" + ".join(f"sum(increase({series}[$__range]))" for series in DEFECTS)),
            steps=BAD,
        ),
    )


def _time() -> Sequence[Panel]:
    return (
        lines(
            "How far is time behind?",
            "It stands still while ingest is down, behind, or waits for a service.",
            Ask(f"max({of('detector_time_lag_seconds')})", "behind"),
            unit="s",
            steps=((None, GREEN), (120, RED)),
        ),
        lines(
            "Is every partition attended?",
            "Age of the last heartbeat of each partition of the log.",
            Ask(BEAT, "partition {{partition}}"),
            unit="s",
            steps=((None, GREEN), (60, RED)),
        ),
        lines(
            "Is ingest behind?",
            "Outside records that are not committed yet.",
            Ask(f"max({of('detector_consumer_lag_messages')})", "records"),
        ),
        lines(
            "How much comes in?",
            "Outside records that were read, a second.",
            Ask(
                f"sum by (topic, kind) (rate({of('detector_events_consumed_total')}[$__rate_interval]))",
                "{{topic}} {{kind}}",
            ),
            unit="reqps",
        ),
        lines(
            "How soon is an event in the log?",
            "From the time of an outside record until ingest has read it.",
            *quantiles("detector_event_delay_seconds"),
            unit="s",
        ),
        lines(
            "How soon is a verdict told?",
            "From the time that an event was in the log until the verdict was committed.",
            *quantiles("detector_verdict_delay_seconds"),
            unit="s",
        ),
        lines(
            "Which records cannot be used?",
            "Dead letters, by reason; docs/inputs.md says what to do about each.",
            Ask(or_none(grew("detector_dlq_messages_total", "reason"), "reason"), "{{reason}}"),
            bars=True,
        ),
        lines(
            "Who waits for a service?",
            "How often a stage had to wait for Kafka, Redis or a registry.",
            Ask(grew("detector_waits_total", "stage"), "{{stage}}"),
            bars=True,
        ),
    )


def _commits() -> Sequence[Panel]:
    return (
        lines(
            "How long does a commit take?",
            "A transaction, from its first record.",
            *quantiles("detector_commit_seconds", by="stage"),
            unit="s",
        ),
        lines(
            "How much is written?",
            "Records in committed transactions, a second.",
            Ask(f"sum by (stage) (rate({of('detector_records_written_total')}[$__rate_interval]))", "{{stage}}"),
            unit="wps",
        ),
        lines(
            "Are transactions rolled back?",
            "What was in them is done again. Now and then is nothing.",
            Ask(grew("detector_commit_aborts_total", "stage"), "{{stage}}"),
            bars=True,
        ),
        lines(
            "Who has which partitions?",
            "Partitions of the log that each process goes on with, and that wait there.",
            Ask(f"sum by (instance) ({of('detector_partitions_held')})", "{{instance}} goes on"),
            Ask(f"sum by (instance) ({of('detector_partitions_waiting')})", "{{instance}} waits"),
        ),
    )


def _state() -> Sequence[Panel]:
    snapshot = of("detector_snapshot_timestamp_seconds")
    return (
        lines(
            "How old is the last snapshot?",
            "A crash replays what came since. Ten minutes are too much.",
            Ask(
                f"(time() - max by (instance) ({snapshot})) and on (instance) {of('detector_partitions_held')} > 0",
                "{{instance}}",
            ),
            unit="s",
            steps=((None, GREEN), (600, RED)),
        ),
        lines(
            "How much is in snapshots?",
            "Bytes of states that Redis took, a second.",
            Ask(f"sum by (instance) (rate({of('detector_snapshot_bytes_total')}[$__rate_interval]))", "{{instance}}"),
            unit="Bps",
        ),
        lines(
            "What was replayed?",
            "Partitions that began anew, and records that were replayed silently.",
            Ask(f"sum(increase({of('detector_recoveries_total')}[$__rate_interval]))", "partitions"),
            Ask(f"sum(increase({of('detector_replayed_records_total')}[$__rate_interval]))", "records"),
            bars=True,
        ),
        lines(
            "Was anything lost in Redis?",
            "States that were taken from the topic of snapshots, or could not be read.",
            *(Ask(f"sum(increase({series}[$__rate_interval]))", series.partition("{")[0]) for series in LOSSES),
            Ask(f"sum(increase({of('detector_guard_refusals_total')}[$__rate_interval]))", "guard refused"),
            bars=True,
        ),
        lines(
            "Is the view of the breakers kept up?",
            "How long after it was written the last record was in Redis.",
            Ask(f"max({of('detector_view_lag_seconds')})", "behind"),
            unit="s",
        ),
        lines(
            "How many entities are there?",
            "They decide how much memory is needed.",
            Ask(f"sum by (kind) ({of('detector_entities')})", "{{kind}}s"),
        ),
    )


def _resources() -> Sequence[Panel]:
    return (
        lines(
            "How much memory?",
            "Resident, of each process.",
            Ask(of("process_resident_memory_bytes"), "{{instance}}"),
            unit="bytes",
            span=8,
        ),
        lines(
            "How much of a core?",
            "One process judges on one core at most.",
            Ask(f"rate({of('process_cpu_seconds_total')}[$__rate_interval])", "{{instance}}"),
            unit="percentunit",
            span=8,
        ),
        lines(
            "How many open files?",
            "As a share of the limit: connections to brokers are most of them.",
            Ask(f"{of('process_open_fds')} / {of('process_max_fds')}", "{{instance}}"),
            unit="percentunit",
            span=8,
        ),
    )
