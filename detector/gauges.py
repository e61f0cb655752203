"""What stands now, as gauges: breakers, anomalies and incidents that go on, and the entities that one asked for.

A process tells only of what it answers for. One that lost a partition must not go on telling of its entities, and
nobody says that it has lost it: so an entity is told of only while `valid` says that its partition's heartbeat, said by
this process, is fresh. An entity is a label while it is unhealthy, or if it is `watched`: of so many at most.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from detector.core.emissions import SEVERITIES, BreakerValue
from detector.core.incidents import Incident

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
FAMILIES: Final = (STATE, GOES_ON, LAST_SUCCESS, NOT_CLOSED, ANOMALIES_OPEN, INCIDENTS_OPEN, ENTITIES)


class Standing(Collector):
    """What stands now, of the partitions that this process answers for."""

    def __init__(self, valid: Callable[[int], bool], watched: Callable[[str], bool]) -> None:
        """`valid` says of a partition of the log whether this process answers for it; `watched` which entities are
        told of while they are healthy, too.
        """
        self._valid, self._watched = valid, watched
        self._partitions: dict[str, int] = {}
        self._values: dict[str, BreakerValue] = {}
        self._incidents: dict[str, tuple[int, Incident]] = {}

    def put(self, value: BreakerValue) -> None:
        """This is the breaker now, and these anomalies go on."""
        self._partitions[value.entity] = value.partition
        if is_healthy(value) and not self._watched(value.entity):
            self._values.pop(value.entity, None)
        else:
            self._values[value.entity] = value

    def drop(self, entity: str) -> None:
        """The entity is forgotten, and its breaker with it."""
        self._partitions.pop(entity, None)
        self._values.pop(entity, None)

    def incident(self, partition: int, incident: Incident) -> None:
        """This is the incident now."""
        if incident.state == "open":
            self._incidents[incident.id] = partition, incident
        else:
            self._incidents.pop(incident.id, None)

    def describe(self) -> list[GaugeMetricFamily]:
        """The families, without a sample."""
        return [family.empty() for family in FAMILIES]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What is told at this scrape; called by the server's thread."""
        found = [value for value in list(self._values.values()) if self._valid(value.partition)]
        yield from _of_each(_chosen(found))
        yield NOT_CLOSED.of(Counter((str(v.state), v.mode, _why(v)) for v in found if v.state != "closed"))
        yield ANOMALIES_OPEN.of(Counter((_severity(e.severity),) for v in found for e in v.episodes.values()))
        incidents = [one for partition, one in list(self._incidents.values()) if self._valid(partition)]
        yield INCIDENTS_OPEN.of(Counter((i.severity, str(i.acknowledged_by is not None).lower()) for i in incidents))
        known = [entity for entity, partition in list(self._partitions.items()) if self._valid(partition)]
        yield ENTITIES.of(Counter((entity.partition(":")[0],) for entity in known))


def is_healthy(value: BreakerValue) -> bool:
    """Whether nothing that matters is wrong with an entity, and nothing upstream of it."""
    return value.state == "closed" and not any(episode.severity for episode in value.episodes.values())


def _chosen(found: Collection[BreakerValue]) -> list[BreakerValue]:
    """Those that are told one by one: what stops somebody first, then what is unusual, then what is watched."""
    ranked = sorted(found, key=lambda value: (value.state == "closed", is_healthy(value), value.entity))
    return ranked[:MOST_ENTITIES]


def _of_each(values: Collection[BreakerValue]) -> Iterator[GaugeMetricFamily]:
    states, goes_on, success = STATE.empty(), GOES_ON.empty(), LAST_SUCCESS.empty()
    for value in values:
        states.add_metric([value.entity, value.state, value.mode], 1)
        for severity, count in sorted(Counter(_severity(e.severity) for e in value.episodes.values()).items()):
            goes_on.add_metric([value.entity, severity], count)
        if value.last_good is not None:
            success.add_metric([value.entity], value.last_good.at)
    yield from (states, goes_on, success)


def _why(value: BreakerValue) -> str:
    """Who says that a breaker is not closed."""
    if value.override is not None:
        return "person"
    return "own" if value.own is None or value.own.state == value.state else "upstream"


def _severity(number: int) -> str:
    return SEVERITIES[number]
