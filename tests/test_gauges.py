"""What stands now is told of the entities that this process answers for: the unhealthy, and what one asked for."""

from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from detector.core.breaker import Mode, Override, State
from detector.core.emissions import BreakerValue, HeldBy, LastGood, OpenEpisode, OwnBreaker
from detector.core.incidents import Incident
from detector.gauges import MOST_ENTITIES, Standing

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
    told.standing.incident(ELSEWHERE, incident())

    assert [told.of(metric.name) for metric in told.registry.collect()] == [{}] * 7


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
    told.standing.incident(HERE, incident("i1"))
    told.standing.incident(HERE, incident("i2", acknowledged_by="alice"))
    both = told.of("detector_incidents_open")
    told.standing.incident(HERE, incident("i1", state="resolved"))

    assert both == {("critical", "false"): 1.0, ("critical", "true"): 1.0}
    assert told.of("detector_incidents_open") == {("critical", "true"): 1.0}
