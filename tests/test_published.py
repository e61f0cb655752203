"""What was published before a process began is told to it, and what comes after; whatever a topic holds."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from confluent_kafka import Producer

from detector.compacted import Identity
from detector.core.emissions import BreakerValue
from detector.core.incidents import Incident
from detector.embedded import EmbeddedBroker
from detector.published import Published
from tests.services.waiting import eventually
from tests.test_gauges import LOAD, incident, value

BREAKERS, INCIDENTS = "breakers", "incidents"


@dataclass
class Told:
    """What is told last of each."""

    breakers: dict[str, BreakerValue | None] = field(default_factory=dict)
    incidents: dict[str, tuple[int, Incident | None]] = field(default_factory=dict)
    waited: list[str] = field(default_factory=list)

    def breaker_stands(self, entity: str, value: BreakerValue | None) -> None:
        self.breakers[entity] = value

    def incident_stands(self, id_: str, partition: int, incident: Incident | None) -> None:
        self.incidents[id_] = partition, incident

    def metrics_wait(self, why: str) -> None:
        self.waited.append(why)


@dataclass
class World:
    """Two topics, and who says what on them."""

    broker: EmbeddedBroker
    told: Told = field(default_factory=Told)
    found: dict[str, Identity] = field(default_factory=lambda: {BREAKERS: ("a", 2), INCIDENTS: ("b", 2)})

    def __post_init__(self) -> None:
        for topic in (BREAKERS, INCIDENTS):
            self.broker.create_topic(topic, 2)
        self._producer = Producer({"bootstrap.servers": self.broker.bootstrap, "linger.ms": 0})

    def say(self, topic: str, key: str, said: object, partition: int = 0) -> None:
        data = said if said is None or isinstance(said, bytes) else msgspec.json.encode(said)
        self._producer.produce(topic, data, key.encode(), partition)
        assert self._producer.flush(30) == 0

    @contextmanager
    def read(self) -> Iterator[Told]:
        settings = {"bootstrap.servers": self.broker.bootstrap, "log_level": 0}
        reader, stop = Published(BREAKERS, INCIDENTS, self.told).reader(settings, lambda: self.found), threading.Event()
        thread = threading.Thread(target=reader.run, args=[stop], daemon=True)
        thread.start()
        try:
            yield self.told
        finally:
            stop.set()
            thread.join(30)


def test_a_process_is_told_of_what_was_published_before_it_began(embedded_broker: EmbeddedBroker) -> None:
    world = World(embedded_broker)
    world.say(BREAKERS, LOAD, value(partition=1), partition=1)
    world.say(INCIDENTS, "i1", incident("i1"), partition=1)

    with world.read() as told:
        eventually(lambda: told.breakers and told.incidents, "both to be told")

    assert told.breakers == {LOAD: value(partition=1)}
    assert told.incidents == {"i1": (1, incident("i1"))}


@pytest.mark.slow
def test_what_is_forgotten_is_told_and_what_is_no_breaker_is_left_out(embedded_broker: EmbeddedBroker) -> None:
    world = World(embedded_broker)
    world.say(BREAKERS, "heartbeat:0", {"partition": 0, "clock": 5.0})
    world.say(BREAKERS, "job:a/broken", b"{")
    world.say(BREAKERS, LOAD, value())

    with world.read() as told:
        eventually(lambda: told.breakers, "the breaker to be told")
        world.say(BREAKERS, LOAD, None)
        world.say(INCIDENTS, "i1", None)
        eventually(lambda: told.breakers == {LOAD: None} and told.incidents, "both to be forgotten")

    assert told.incidents == {"i1": (0, None)}


def test_topics_that_were_made_anew_are_read_from_their_start(embedded_broker: EmbeddedBroker) -> None:
    world = World(embedded_broker)
    world.say(BREAKERS, LOAD, value())
    published = Published(BREAKERS, INCIDENTS, world.told)

    first = published.begin(world.found)
    again = published.begin({**world.found, BREAKERS: ("other", 3)})

    assert (len(first), len(again)) == (4, 5)
    assert {place.offset for place in again} == {first[0].offset}
