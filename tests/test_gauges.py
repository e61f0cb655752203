"""What stands now is told of the entities that this process answers for: the unhealthy, and what one asked for."""

import math
from dataclasses import dataclass, field
from struct import pack

import pytest
from prometheus_client import CollectorRegistry

from detector.core.breaker import Mode, Override, State
from detector.core.emissions import BreakerValue, HeldBy, JudgedRun, LastGood, OpenEpisode, OwnBreaker
from detector.core.incidents import Incident
from detector.gauges import FAMILIES, MOST_ENTITIES, Standing

LOAD, REPORT = "job:airflow/orders.load", "job:airflow/report"
HERE, ELSEWHERE = 3, 4


@dataclass
class Told:
    """A process that answers for the partition `HERE`, and what it tells."""

    watched: tuple[str, ...] = ()
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.standing = Standing(lambda partition: partition == HERE, lambda entity: entity in self.watched)
        self.registry.register(self.standing)

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of a metric, by the values of its labels."""
        samples = [s for metric in self.registry.collect() for s in metric.samples if s.name == name]
        return {tuple(sample.labels.values()): sample.value for sample in samples}


def value(
    entity: str = LOAD,
    state: State = State.CLOSED,
    *,
    own: State | None = None,
    severities: tuple[int, ...] = (),
    override: Override | None = None,
    held_by: tuple[HeldBy, ...] = (),
    good: float | None = None,
    mode: Mode = "enforce",
    partition: int = HERE,
) -> BreakerValue:
    episode = {"id": "e", "since": 1.0, "count": 1, "run_id": None}
    return BreakerValue(
        entity=entity,
        state=state,
        mode=mode,
        on_unknown="allow",
        since=1.0,
        retry_at=None,
        reason="why",
        cause=None,
        trips=1,
        sequence=1,
        warming_up=False,
        partition=partition,
        episodes={f"check{at}": OpenEpisode(severity=s, **episode) for at, s in enumerate(severities)},  # type: ignore[arg-type]
        own=OwnBreaker(state=own or state, since=1.0, reason="why"),
        override=override,
        held_by=list(held_by),
        last_good=None if good is None else LastGood(run_id="r", at=good),
    )


def run(entity: str = LOAD, ended: float = 50.0, *, rows: float = 412.0, **fields: object) -> JudgedRun:
    known = {"kind": "run", "state": "COMPLETE", "severity": "info", "reason": "", "run_id": "r1", "due": 99.0}
    numbers = {"metrics": ["duration", "rows_out"], "values": pack("<2d", 60.0, rows)}
    bands = {"bands": pack("<6d", 50.0, 55.0, 70.0, -math.inf, math.nan, math.inf)}
    return JudgedRun(entity=entity, ended=ended, **{**known, **numbers, **bands, **fields})  # type: ignore[arg-type]


def incident(id_: str = "i1", **fields: object) -> Incident:
    known = {"id": id_, "version": 1, "state": "open", "severity": "critical", "root": LOAD, "opened": 1.0}
    return Incident(**{**known, "updated": 1.0, **fields})  # type: ignore[arg-type]


def test_a_healthy_entity_has_no_series_of_its_own() -> None:
    told = Told()
    told.standing.put(value(good=7.0))

    assert told.of("detector_breaker_state") == told.of("detector_last_success_timestamp_seconds") == {}


def test_an_entity_that_somebody_asked_for_is_told_of_while_it_is_healthy() -> None:
    told = Told(watched=(LOAD,))
    told.standing.put(value(good=7.0))

    assert told.of("detector_breaker_state") == {(LOAD, "closed", "enforce"): 1.0}
    assert told.of("detector_last_success_timestamp_seconds") == {(LOAD,): 7.0}


def test_an_anomaly_that_goes_on_is_told_though_the_breaker_is_closed() -> None:
    told = Told()
    told.standing.put(value(severities=(1, 1, 2)))

    assert told.of("detector_entity_anomalies") == {(LOAD, "warning"): 2.0, (LOAD, "critical"): 1.0}
    assert told.of("detector_anomalies_open") == {("warning",): 2.0, ("critical",): 1.0}


def test_what_is_only_worth_knowing_makes_nothing_unhealthy() -> None:
    told = Told()
    told.standing.put(value(severities=(0,)))

    assert told.of("detector_entity_anomalies") == {}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        pytest.param(value(state=State.OPEN), "own", id="it was found bad itself"),
        pytest.param(value(state=State.OPEN, own=State.CLOSED), "upstream", id="something upstream is bad"),
        pytest.param(value(state=State.OPEN, own=State.HALF_OPEN), "upstream", id="its probe would read what is bad"),
        pytest.param(
            value(state=State.OPEN, own=State.CLOSED, override=Override("force_open", "alice", "x", 1.0, 2.0)),
            "person",
            id="somebody has said so",
        ),
    ],
)
def test_it_is_told_why_a_breaker_is_not_closed(said: BreakerValue, why: str) -> None:
    told = Told()
    told.standing.put(said)

    assert told.of("detector_breakers_not_closed") == {("open", "enforce", why): 1.0}


def test_what_another_process_answers_for_is_not_told() -> None:
    told = Told(watched=(LOAD,))
    told.standing.put(value(state=State.OPEN, severities=(2,), partition=ELSEWHERE))
    told.standing.incident("i1", ELSEWHERE, incident())
    told.standing.ran(run())

    assert [told.of(metric.name) for metric in told.registry.collect()] == [{}] * len(FAMILIES)


def test_an_entity_that_is_forgotten_is_told_of_no_more() -> None:
    told = Told()
    told.standing.put(value(state=State.OPEN))
    told.standing.drop(LOAD)

    assert told.of("detector_breaker_state") == told.of("detector_entities") == {}


def test_jobs_and_datasets_are_counted() -> None:
    told = Told()
    for entity in (LOAD, REPORT, "dataset:db/orders"):
        told.standing.put(value(entity))

    assert told.of("detector_entities") == {("dataset",): 1.0, ("job",): 2.0}


def test_what_stops_somebody_is_told_before_what_is_only_watched() -> None:
    many = tuple(f"job:a/{number:05}" for number in range(MOST_ENTITIES + 10))
    told = Told(watched=many)
    for entity in many:
        told.standing.put(value(entity))
    told.standing.put(value("job:z/open", State.OPEN))
    told.standing.put(value("job:z/odd", severities=(1,)))

    entities = [entity for entity, _, _ in told.of("detector_breaker_state")]
    assert len(entities) == MOST_ENTITIES
    assert entities[:2] == ["job:z/open", "job:z/odd"]


def test_incidents_are_counted_while_they_are_open() -> None:
    told = Told()
    told.standing.incident("i1", HERE, incident("i1"))
    told.standing.incident("i2", HERE, incident("i2", acknowledged_by="alice"))
    both = told.of("detector_incidents_open")
    told.standing.incident("i1", HERE, incident("i1", state="resolved"))

    assert both == {("critical", "false"): 1.0, ("critical", "true"): 1.0}
    assert told.of("detector_incidents_open") == {("critical", "true"): 1.0}


def test_the_last_run_is_told_with_what_was_expected_of_it_where_that_is_known() -> None:
    told = Told(watched=(LOAD,))
    told.standing.put(value())
    told.standing.ran(run())

    assert told.of("detector_run_duration_seconds") == {
        (LOAD, "observed"): 60.0,
        (LOAD, "lower"): 50.0,
        (LOAD, "expected"): 55.0,
        (LOAD, "upper"): 70.0,
    }
    assert told.of("detector_run_rows") == {(LOAD, "observed"): 412.0}
    assert told.of("detector_run_end_timestamp_seconds") == {(LOAD,): 50.0}
    assert told.of("detector_expected_next_update_timestamp_seconds") == {(LOAD,): 99.0}


def test_what_is_heard_of_a_run_later_adds_to_it_and_the_next_run_begins_anew() -> None:
    told = Told(watched=(LOAD,))
    told.standing.put(value())
    told.standing.ran(run())
    told.standing.ran(run(metrics=["files"], values=pack("<d", 3.0), bands=pack("<3d", 1.0, 2.0, 3.0)))
    both = told.of("detector_run_rows")
    told.standing.ran(run(run_id="r2", metrics=[], values=b"", bands=b""))

    assert both == {(LOAD, "observed"): 412.0}
    assert told.of("detector_run_rows") == {}


def test_when_it_was_last_good_is_read_off_its_runs_and_what_was_published() -> None:
    told = Told(watched=(LOAD,))
    told.standing.put(value(good=7.0))
    moments = [told.of("detector_last_success_timestamp_seconds")[LOAD,]]
    for ended, severity in ((50.0, "info"), (60.0, "critical")):
        told.standing.ran(run(ended=ended, severity=severity))
        moments.append(told.of("detector_last_success_timestamp_seconds")[LOAD,])

    assert moments == [7.0, 50.0, 50.0]
    assert told.of("detector_run_severity") == {(LOAD,): 2.0}


def test_the_run_that_made_it_unhealthy_is_told_whichever_comes_first() -> None:
    told = Told()
    told.standing.ran(run(severity="critical"))
    told.standing.put(value(state=State.OPEN))

    assert told.of("detector_run_rows") == {(LOAD, "observed"): 412.0}


def test_runs_of_healthy_entities_that_nobody_asked_for_are_not_kept() -> None:
    told = Told()
    for number in range(1_000):
        told.standing.put(value(f"job:a/{number}"))
        told.standing.ran(run(f"job:a/{number}"))
    told.standing.ran(run(severity="critical"))
    told.standing.put(value())

    assert told.standing._runs == {}
