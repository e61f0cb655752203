"""The local copy of compacted topics: whole or not there, as new as Kafka is, and the last one while Kafka is away."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import Producer

from detector.client.copy import Copy
from detector.embedded import EmbeddedBroker
from detector.errors import Unreachable
from tests.services.waiting import eventually

PARTITIONS = 3
Change = tuple[str, str, bytes | None]


class World:
    """A topic, what is said on it, and what a copy of it tells."""

    def __init__(self, broker: EmbeddedBroker, topic: str) -> None:
        self.broker, self.topic = broker, topic
        self.topic_id = "first"
        self.told: list[Change] = []
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 0, "log_level": 0})

    def say(self, key: str, value: bytes | None, partition: int = 0, topic: str | None = None) -> None:
        self._producer.produce(topic or self.topic, value, key.encode(), partition)
        assert self._producer.flush(30) == 0

    def identify(self) -> Mapping[str, tuple[str, int]]:
        return {self.topic: (self.topic_id, PARTITIONS)}

    def change(self, topic: str, key: str, value: bytes | None) -> None:
        self.told.append((topic, key, value))

    def copy(self, *topics: str, **options: Any) -> Copy:
        settings = {"bootstrap.servers": self.broker.bootstrap, "reconnect.backoff.max.ms": 100}
        return Copy(settings, topics or (self.topic,), self.change, **options)

    def expect(self, copy: Copy, **values: bytes) -> None:
        eventually(lambda: dict(copy.values(self.topic)) == values, f"the copy to be {values}", 20)


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def world(broker: EmbeddedBroker, request: pytest.FixtureRequest) -> World:
    topic = f"detector.{request.node.name}"
    broker.create_topic(topic, PARTITIONS)
    return World(broker, topic)


def test_a_copy_that_has_caught_up_has_the_last_value_of_each_key(world: World) -> None:
    world.say("a", b"1")
    world.say("a", b"2")
    world.say("b", b"3", partition=1)
    world.say("c", b"4", partition=2)
    world.say("c", None, partition=2)

    with world.copy() as copy:
        assert copy.caught_up.wait(20)

        assert dict(copy.values(world.topic)) == {"a": b"2", "b": b"3"}
        assert copy.trouble is None


def test_who_follows_is_told_of_each_change(world: World) -> None:
    world.say("a", b"1")

    with world.copy() as copy:
        assert copy.caught_up.wait(20)
        world.say("a", b"2")
        world.say("a", None)
        world.expect(copy)

    assert world.told == [(world.topic, "a", b"1"), (world.topic, "a", b"2"), (world.topic, "a", None)]


@pytest.mark.slow
def test_a_copy_of_two_topics_has_caught_up_when_both_are_read(world: World, broker: EmbeddedBroker) -> None:
    other = f"{world.topic}.other"
    broker.create_topic(other)
    world.say("a", b"1")
    world.say("a", b"2", topic=other)

    with world.copy(world.topic, other) as copy:
        assert copy.caught_up.wait(20)

        assert (dict(copy.values(world.topic)), dict(copy.values(other))) == ({"a": b"1"}, {"a": b"2"})


@pytest.mark.slow
def test_while_kafka_is_away_the_last_values_stay_and_the_copy_says_why(world: World) -> None:
    world.say("a", b"1")

    with world.copy() as copy:
        assert copy.caught_up.wait(20)
        world.broker.refuse_connections()
        eventually(lambda: copy.trouble, "the copy to say that Kafka is away", 20)
        assert dict(copy.values(world.topic)) == {"a": b"1"}

        world.broker.accept_connections()
        world.say("a", b"2")
        world.expect(copy, a=b"2")
        assert copy.trouble is None


@pytest.mark.slow
def test_a_kafka_that_is_not_there_at_the_start_is_waited_for(world: World) -> None:
    world.say("a", b"1")
    world.broker.refuse_connections()

    with world.copy() as copy:
        eventually(lambda: "does not answer" in (copy.trouble or ""), "the copy to say so", 20)
        world.broker.accept_connections()
        world.expect(copy, a=b"1")


@pytest.mark.slow
def test_a_topic_that_was_made_anew_replaces_the_old_one_when_it_is_whole(world: World) -> None:
    world.say("a", b"1")
    world.say("b", b"1")
    copy = world.copy(identify=world.identify, ask_again=0.0)

    with copy:
        assert copy.caught_up.wait(20)
        world.say("b", None)
        world.expect(copy, a=b"1")
        copy.values(world.topic).put("gone", b"of the old topic")
        world.told.clear()
        world.topic_id = "second"
        world.expect(copy, a=b"1")

    assert world.told == [(world.topic, "gone", None)]


@pytest.mark.slow
def test_a_topic_that_is_away_for_a_while_is_no_other_one(world: World) -> None:
    world.say("a", b"1")
    away = [False]

    def identify() -> Mapping[str, tuple[str, int]]:
        if away[0]:
            raise Unreachable("Kafka has gone to lunch")
        return world.identify()

    with world.copy(identify=identify, ask_again=0.0) as copy:
        assert copy.caught_up.wait(20)
        away[0] = True
        eventually(lambda: copy.trouble == "Kafka has gone to lunch", "the copy to say so", 20)
        away[0] = False
        world.say("a", b"2")
        world.expect(copy, a=b"2")

    assert [value for _, _, value in world.told] == [b"1", b"2"]


@pytest.mark.slow
def test_a_listener_that_fails_does_not_stop_the_copy(world: World) -> None:
    def fail(topic: str, key: str, value: bytes | None) -> None:
        raise RuntimeError("no")

    settings = {"bootstrap.servers": world.broker.bootstrap}
    world.say("a", b"1")

    with Copy(settings, [world.topic], fail) as copy:
        world.expect(copy, a=b"1")
        eventually(lambda: copy.trouble == "RuntimeError: no", "the copy to say so", 20)
        world.say("b", b"2")
        world.expect(copy, a=b"1", b=b"2")


def test_values_may_change_while_somebody_looks_at_them(world: World) -> None:
    copy = world.copy()
    values = copy.values(world.topic)
    for key in ("a", "b", "c"):
        values.put(key, b"1")

    for key in values:
        values.put(f"{key}{key}", b"2")
    for key, value in values.items():
        values.put(key, None if value else value)

    assert len(values) == 0
    copy.close()
