"""What the API answers from follows the topics through outages, and hears what comes of commands."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import msgspec
import pytest
from confluent_kafka import Producer

from detector.config import Zones
from detector.core.commands import Acknowledge, AddWindow, Feedback
from detector.core.emissions import CommandDone, Emission, Heartbeat
from detector.desk import Desk
from detector.embedded import EmbeddedBroker
from detector.errors import Unreachable
from detector.feed import Feed
from detector.orders import Orders
from detector.seams import Send
from detector.sinks import cloudevents
from detector.web import Facts
from tests.services.waiting import eventually
from tests.web.known import JOB, NOW, TOPICS, breaker
from tests.web.known import company as known_company

PARTITIONS = 2


class Told:
    """What the feed told of itself."""

    def __init__(self) -> None:
        self.rounds: list[tuple[bool, str | None]] = []

    def api_alive(self, caught_up: bool, trouble: str | None) -> None:
        self.rounds.append((caught_up, trouble))


class World:
    """The topics that the feed reads, and the facts that it fills."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.broker, self.told = broker, Told()
        self.settings = {"bootstrap.servers": broker.bootstrap, "reconnect.backoff.max.ms": 200, "log_level": 0}
        self.facts = Facts(TOPICS, Zones(), lambda _: None, 60.0, lambda: NOW)
        compacted, events = (TOPICS.breakers, TOPICS.incidents), (TOPICS.control, TOPICS.commands)
        self.feed = Feed(self.settings, compacted, events, self.facts, self.told, embedded=True)
        self.orders = Orders(self.settings, TOPICS.commands, TOPICS.control)
        for topic in (*compacted, *events):
            broker.create_topic(topic, PARTITIONS)

    def put(self, *sends: Send) -> None:
        producer = Producer({**self.settings, "linger.ms": 0})
        for send in sends:
            producer.produce(send.topic, send.value, send.key, headers=list(send.headers))
        assert producer.flush(30) == 0

    def say(self, *emissions: Emission) -> None:
        self.put(*(cloudevents.encode(emission, "/detector", TOPICS) for emission in emissions))

    @contextmanager
    def following(self) -> Iterator[None]:
        stop = Event()
        thread = Thread(target=self.feed.run, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()

    def knows(self, entity: str) -> None:
        eventually(lambda: entity in self.facts.breakers, f"{entity} to be known")


@pytest.fixture
def world(embedded_broker: EmbeddedBroker) -> World:
    return World(embedded_broker)


def told(entity: str) -> Emission:
    return Emission("b", "breakers", entity, "io.detector.breaker.v1", NOW, breaker(entity))


def done(id_: str, by: str = "alice") -> Emission:
    data = CommandDone(id=id_, command="feedback", by=by, done=True, effect="noted")
    return Emission(f"d{id_}", "control", JOB, "io.detector.command.done.v1", NOW, data)


# ---------------------------------------------------------------- the feed


def test_what_stands_on_the_topics_is_known_and_what_comes_after(world: World) -> None:
    incident = known_company().facts.incidents.copy().popitem()[1]
    window = known_company().facts.windows()
    world.say(told(JOB), Emission("i", "incidents", incident.id, "io.detector.incident.v1", NOW, incident))
    add = AddWindow(id="c", by="alice", window=next(iter(window)))
    world.put(Send(TOPICS.commands, b"", msgspec.json.encode(add)))

    with world.following():
        eventually(lambda: world.feed.caught_up, "all to be read")
        before = list(world.facts.breakers), list(world.facts.incidents), len(list(world.facts.windows()))
        beat = Heartbeat(partition=0, clock=NOW)
        world.say(told("job:a/new"), Emission("h", "breakers", "heartbeat:0", "io.detector.heartbeat.v1", NOW, beat))
        world.knows("job:a/new")

        assert before == ([JOB], [incident.id], 1)
        assert eventually(lambda: world.facts.clocks, "the heartbeat") == {0: NOW}
        assert world.facts.answer("job:a/new").verdict == "allow"


@pytest.mark.slow
def test_events_are_kept_for_who_comes_later(world: World) -> None:
    world.say(done("1"), done("2"))

    with world.following():
        eventually(lambda: world.feed.caught_up, "all to be read")

        lines = b"".join(said.lines for said in world.facts.ring.since("0.0") or [])
        assert lines.count(b"event: command") == 2


@pytest.mark.slow
def test_an_outage_leaves_what_was_known(world: World) -> None:
    world.say(told(JOB))
    with world.following():
        world.knows(JOB)
        eventually(lambda: world.feed.caught_up, "all to be read")
        world.broker.refuse_connections()
        eventually(lambda: world.feed.trouble, "the outage to be noticed", 60)

        assert world.feed.caught_up
        assert JOB in world.facts.breakers

        world.broker.accept_connections()
        eventually(lambda: world.feed.trouble is None, "the end of the outage to be noticed", 60)
        world.say(told("job:a/after"))
        world.knows("job:a/after")
        eventually(lambda: world.told.rounds[-1] == (True, None), "that nothing is wrong to be told", 60)


def test_before_all_is_read_it_says_so(world: World) -> None:
    assert (world.feed.caught_up, world.feed.trouble) == (False, "the topics have not been read yet")


# ---------------------------------------------------------------- commands


def given(world: World, command: Acknowledge | Feedback, patience: float) -> list[CommandDone]:
    return asyncio.run(Desk(world.orders, world.facts, world.feed).give(command, patience))


@pytest.mark.slow
def test_a_command_is_on_its_topic_and_nobody_answers(world: World) -> None:
    with world.following():
        eventually(lambda: world.feed.trouble is None and world.feed.caught_up, "all to be read")

        assert given(world, Acknowledge(id="mine", by="alice", incident="x"), 0.2) == []


@pytest.mark.slow
def test_what_comes_of_a_command_is_heard_and_what_comes_of_others_is_not(world: World) -> None:
    with world.following():
        eventually(lambda: world.feed.trouble is None and world.feed.caught_up, "all to be read")
        answering = Thread(target=_answer, args=(world, "mine"))
        answering.start()

        found = given(world, Feedback(id="mine", by="alice", verdict="confirmed", incident="x"), 60)

        answering.join(30)
    assert [one.id for one in found] == ["mine/1", "mine/2"]


def _answer(world: World, command: str) -> None:
    """As two entities of an incident do, once somebody waits for it."""
    eventually(lambda: world.facts._listeners, "somebody to wait")
    world.say(done("another"), done(f"{command}/1"), done(f"{command}/2"))


def test_no_command_is_taken_while_the_answers_cannot_be_heard(world: World) -> None:
    with pytest.raises(Unreachable, match="the topics have not been read yet"):
        given(world, Acknowledge(id="mine", by="alice", incident="x"), 1)
