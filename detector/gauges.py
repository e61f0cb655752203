"""What stands now, as gauges: breakers, anomalies and incidents that go on, and the entities that one asked for.

A process tells only of what it answers for. One that lost a partition must not go on telling of its entities, and
nobody says that it has lost it: so an entity is told of only while `valid` says that its partition's heartbeat, said by
this process, is fresh. An entity is a label while it is unhealthy, or if it is `watched`: of so many at most.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from detector.core.emissions import SEVERITIES, BreakerValue, JudgedRun
from detector.core.incidents import Incident
from detector.history import Judgement, judgements

MOST_ENTITIES: Final = 1_000
_MOVED: Final = "After a partition has moved both workers may tell of it for a minute: use `max by`."


@dataclass(frozen=True, slots=True)
class Family:
    """A gauge: its name, what it tells, its labels."""

    name: str
    about: str
    labels: tuple[str, ...]

    def empty(self) -> GaugeMetricFamily:
        """The family without a sample."""
        return GaugeMetricFamily(self.name, self.about, labels=self.labels)

    def of(self, counts: "Counter[tuple[str, ...]]") -> GaugeMetricFamily:
        """The family with a sample for each group."""
        family = self.empty()
        for labels, count in sorted(counts.items()):
            family.add_metric(labels, count)
        return family


Sample = tuple[Family, tuple[str, ...], float]

STATE: Final = Family(
    "detector_breaker_state",
    f"1 for each entity whose breaker is not closed, with its state, and for those of `metrics.entities`; of"
    f" {MOST_ENTITIES} entities at most. Others are closed. {_MOVED}",
    ("entity", "state", "mode"),
)
GOES_ON: Final = Family(
    "detector_entity_anomalies",
    "Anomalies of an entity that go on, by severity; of the same entities, and of those that have any.",
    ("entity", "severity"),
)
LAST_SUCCESS: Final = Family(
    "detector_last_success_timestamp_seconds",
    "When the last run, or load, of an entity ended that had nothing wrong with it; of the same entities.",
    ("entity",),
)
RUN_END: Final = Family(
    "detector_run_end_timestamp_seconds",
    "When the last run, load or profile of an entity ended that was judged; of the same entities.",
    ("entity",),
)
RUN_SEVERITY: Final = Family(
    "detector_run_severity", "What was found in it at the worst: 0 nothing, 1 a warning, 2 critical.", ("entity",)
)
EXPECTED_NEXT: Final = Family(
    "detector_expected_next_update_timestamp_seconds",
    "When the next run of a job is due, by what was learned of its schedule; of the same entities.",
    ("entity",),
)
RUN_ROWS: Final = Family(
    "detector_run_rows",
    "Rows of the last run, load or profile; `value` is `observed`, or what was `expected` of it, `lower` to `upper`.",
    ("entity", "value"),
)
RUN_DURATION: Final = Family(
    "detector_run_duration_seconds", "The same of how long the last run of a job took.", ("entity", "value")
)
NOT_CLOSED: Final = Family(
    "detector_breakers_not_closed",
    "How many breakers are not closed; `why`: for what was found of the entity itself (`own`), since something"
    " `upstream` is bad, or because a `person` has said so.",
    ("state", "mode", "why"),
)
ANOMALIES_OPEN: Final = Family(
    "detector_anomalies_open", "Anomalies that go on, by the worst severity that they had.", ("severity",)
)
INCIDENTS_OPEN: Final = Family(
    "detector_incidents_open",
    "Incidents that are open; `acknowledged`: somebody looks after it.",
    ("severity", "acknowledged"),
)
ENTITIES: Final = Family("detector_entities", "Jobs and datasets that are watched.", ("kind",))
_OF_EACH: Final = (STATE, GOES_ON, LAST_SUCCESS, RUN_END, RUN_SEVERITY, EXPECTED_NEXT, RUN_ROWS, RUN_DURATION)
FAMILIES: Final = (*_OF_EACH, NOT_CLOSED, ANOMALIES_OPEN, INCIDENTS_OPEN, ENTITIES)

# Which metric of a run is told under which name: the first that it has.
_READ: Final = ((RUN_ROWS, ("rows_out", "rows", "profile_rows:load")), (RUN_DURATION, ("duration",)))


@dataclass(slots=True)
class Ran:
    """The last run of an entity. What is heard of it later adds to it."""

    run: JudgedRun
    judgements: dict[str, Judgement]
    good_at: float = -inf


class Standing(Collector):
    """What stands now, of the partitions that this process answers for."""

    def __init__(self, valid: Callable[[int], bool], watched: Callable[[str], bool]) -> None:
        """`valid` says of a partition of the log whether this process answers for it; `watched` which entities are
        told of while they are healthy, too.
        """
        self._valid, self._watched = valid, watched
        self._partitions: dict[str, int] = {}
        self._values: dict[str, BreakerValue] = {}
        self._runs: dict[str, Ran] = {}
        self._incidents: dict[str, tuple[int, Incident]] = {}

    def put(self, value: BreakerValue) -> None:
        """This is the breaker now, and these anomalies go on."""
        self._partitions[value.entity] = value.partition
        if is_healthy(value) and not self._watched(value.entity):
            self._values.pop(value.entity, None)
            self._runs.pop(value.entity, None)
        else:
            self._values[value.entity] = value

    def drop(self, entity: str) -> None:
        """The entity is forgotten, and its breaker with it."""
        self._partitions.pop(entity, None)
        self._values.pop(entity, None)
        self._runs.pop(entity, None)

    def ran(self, run: JudgedRun) -> None:
        """This is how the last run was judged, or what was heard of it later."""
        entity, bad = run.entity, run.severity != "info"
        if not (bad or entity in self._values or self._watched(entity)):
            return
        before = self._runs.get(entity)
        same = before is not None and (run.run_id, run.kind, run.grain) == _named(before.run)
        known = before.judgements if before is not None and same else {}
        good_at = run.ended if not bad and run.state == "COMPLETE" else before.good_at if before else -inf
        self._runs[entity] = Ran(run, {**known, **judgements(run)}, good_at)

    def incident(self, id_: str, partition: int, incident: Incident | None) -> None:
        """This is the incident now; None: it is forgotten."""
        if incident is not None and incident.state == "open":
            self._incidents[id_] = partition, incident
        else:
            self._incidents.pop(id_, None)

    def describe(self) -> list[GaugeMetricFamily]:
        """The families, without a sample."""
        return [family.empty() for family in FAMILIES]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What is told at this scrape; called by the server's thread."""
        found = [value for value in list(self._values.values()) if self._valid(value.partition)]
        yield from self._of_each(_chosen(found))
        yield NOT_CLOSED.of(Counter((str(v.state), v.mode, _why(v)) for v in found if v.state != "closed"))
        yield ANOMALIES_OPEN.of(Counter((_severity(e.severity),) for v in found for e in v.episodes.values()))
        incidents = [one for partition, one in list(self._incidents.values()) if self._valid(partition)]
        yield INCIDENTS_OPEN.of(Counter((i.severity, str(i.acknowledged_by is not None).lower()) for i in incidents))
        known = [entity for entity, partition in list(self._partitions.items()) if self._valid(partition)]
        yield ENTITIES.of(Counter((entity.partition(":")[0],) for entity in known))

    def _of_each(self, values: Collection[BreakerValue]) -> Iterable[GaugeMetricFamily]:
        told = {family.name: family.empty() for family in _OF_EACH}
        for value in values:
            told[STATE.name].add_metric([value.entity, value.state, value.mode], 1)
            severities = Counter(_severity(episode.severity) for episode in value.episodes.values())
            for severity, count in sorted(severities.items()):
                told[GOES_ON.name].add_metric([value.entity, severity], count)
            ran = self._runs.get(value.entity)
            for family, labels, number in (*_good(value, ran), *(_of_run(ran) if ran else ())):
                told[family.name].add_metric([value.entity, *labels], number)
        return told.values()


def is_healthy(value: BreakerValue) -> bool:
    """Whether nothing that matters is wrong with an entity, and nothing upstream of it."""
    return value.state == "closed" and not any(episode.severity for episode in value.episodes.values())


def _chosen(found: Collection[BreakerValue]) -> list[BreakerValue]:
    """Those that are told one by one: what stops somebody first, then what is unusual, then what is watched."""
    ranked = sorted(found, key=lambda value: (value.state == "closed", is_healthy(value), value.entity))
    return ranked[:MOST_ENTITIES]


def _good(value: BreakerValue, ran: Ran | None) -> Iterator[Sample]:
    """When it was last good: by what was published, which need not be of each run, and by the runs that were heard."""
    at = max(value.last_good.at if value.last_good else -inf, ran.good_at if ran else -inf)
    if at > -inf:
        yield LAST_SUCCESS, (), at


def _of_run(ran: Ran) -> Iterator[Sample]:
    run = ran.run
    yield RUN_END, (), run.ended
    yield RUN_SEVERITY, (), SEVERITIES.index(run.severity)
    if run.due is not None:
        yield EXPECTED_NEXT, (), run.due
    for family, metrics in _READ:
        found = next((ran.judgements[metric] for metric in metrics if metric in ran.judgements), None)
        if found is not None:
            told = {"observed": found.value, "lower": found.lower, "expected": found.expected, "upper": found.upper}
            yield from ((family, (which,), number) for which, number in told.items() if number is not None)


def _named(run: JudgedRun) -> tuple[str | None, str, str]:
    return run.run_id, run.kind, run.grain


def _why(value: BreakerValue) -> str:
    """Who says that a breaker is not closed."""
    if value.override is not None:
        return "person"
    return "own" if value.own is None or value.own.state == value.state else "upstream"


def _severity(number: int) -> str:
    return SEVERITIES[number]
