"""How a compacted topic is followed, whole and through any outage: what is made of it, a `Fold`, says where to go on.

Its readers stand outside any consumer group, since where they are must be lost together with what it is true for. They
read what is committed only, and notice when the topic was made anew: it has the same name then, and other records.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Any, Protocol

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicCollection
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]

from detector.errors import Unreachable
from detector.reach import Reach, absent

ANSWER = 10.0
AT_ONCE = 500
POLL = 0.2
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
LOOK_AGAIN, ASK_AGAIN = 2.0, 10.0
START = OFFSET_BEGINNING  # the first record that there is

MOCK = "mockCluster"  # how the broker of the demo begins its id

Identity = tuple[str, int]


class Moved(Exception):
    """What is made of the topic is not where the reader left it, or the topic is another one: begin where it is."""


class Fold(Protocol):
    """What is made of topics, and where it is. All of it may raise `Moved`, and is called by one thread."""

    def begin(self, found: Mapping[str, Identity]) -> list[Place]:
        """Where to read on, given the id and the number of partitions of each topic."""

    def take(self, messages: Sequence[Message]) -> None:
        """The next records, at least one. None of them is an error."""

    def ended(self, place: Place) -> None:
        """Nothing else is on this partition now."""

    def forget(self, place: Place) -> None:
        """The topic no longer has what comes next here: it must begin anew."""

    def look(self) -> None:
        """Without a record, see that all is where it was."""

    def answered(self) -> None:
        """Kafka has answered."""

    def waits(self, why: Exception) -> None:
        """It stands still, for this reason."""


class Reader:
    """Lets a fold follow its topics. For a thread of its own: `run` returns when `stop` is set, and not before.

    `identify` asks Kafka for the id and the number of partitions of each topic; it raises `Unreachable`; it
    is asked again every `ask_again` seconds. `besides` are further exceptions that are waited for, those of whom the
    fold writes to.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        identify: Callable[[], Mapping[str, Identity]],
        fold: Fold,
        besides: tuple[type[Exception], ...] = (),
        ask_again: float = ASK_AGAIN,
    ) -> None:
        self._settings, self._identify, self._fold = settings, identify, fold
        self._ask_again = ask_again
        self._waited_for: tuple[type[Exception], ...] = (Moved, Unreachable, KafkaException, *besides)
        self._found: Mapping[str, Identity] = {}
        self._wait = FIRST_WAIT

    def run(self, stop: Event) -> None:
        """Follow, through any outage."""
        while not stop.is_set():
            try:
                with self._opened() as consumer:
                    self._follow(consumer, stop)
            except self._waited_for as error:
                self._fold.waits(error)
                stop.wait(self._wait)
                self._wait = min(self._wait * 2, LONGEST_WAIT)

    @contextmanager
    def _opened(self) -> Iterator[Consumer]:
        """A consumer that stands where the fold is."""
        self._found = self._identify()
        places = self._fold.begin(self._found)
        consumer = Consumer({**consumer_settings(self._settings), "enable.partition.eof": True, "error_cb": self._told})
        try:
            consumer.assign(places)
            yield consumer
        finally:
            consumer.close()

    def _told(self, error: KafkaError) -> None:
        """Librdkafka tries again by itself; who asks wants to know at once why nothing comes."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._fold.waits(KafkaException(error))

    def _follow(self, consumer: Consumer, stop: Event) -> None:
        looked = asked = time.monotonic()
        while not stop.is_set():
            first = consumer.poll(POLL)
            if first is not None:
                self._take([first, *consumer.consume(AT_ONCE - 1, 0)])
            now = time.monotonic()
            if now - looked >= LOOK_AGAIN:
                self._fold.look()
                looked = now
            if now - asked >= self._ask_again:
                self._ask()
                asked = now

    def _take(self, messages: Sequence[Message]) -> None:
        """Give records to the fold, and between them, in their order, that a partition has ended."""
        taken: list[Message] = []
        for message in messages:
            if message.error() is None:
                taken.append(message)
                continue
            self._give(taken)
            taken = []
            self._notice(message)
        self._give(taken)
        self._wait = FIRST_WAIT

    def _give(self, taken: Sequence[Message]) -> None:
        if taken:
            self._fold.take(taken)
            self._fold.answered()

    def _notice(self, message: Message) -> None:
        error, place = message.error(), Place(message.topic() or "", message.partition() or 0)
        assert error is not None
        if error.code() == KafkaError._PARTITION_EOF:
            self._fold.ended(place)
            self._fold.answered()
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._fold.forget(place)
            raise Moved(f"{place.topic}: partition {place.partition} no longer has the offset at which it was left")
        raise KafkaException(error)

    def _ask(self) -> None:
        """Notice that Kafka is away, or that a topic was re-created."""
        found = self._identify()
        if found != self._found:
            changed = sorted(topic for topic in found if found[topic] != self._found.get(topic))
            raise Moved(f"{', '.join(changed)}: another topic of this name now")
        self._fold.answered()


def consumer_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """How a compacted topic is read: what is committed only, and without a place in a group."""
    return {
        "fetch.wait.max.ms": 100,
        **settings,
        "group.id": "detector-view",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
    }


def identities(
    settings: Mapping[str, Any], topics: Sequence[str], embedded: bool = False, soon: float = ANSWER
) -> dict[str, Identity]:
    """The id and the number of partitions of topics. Raises `Unreachable` if one is not there.

    After `soon` seconds nobody waits any longer for brokers that cannot be reached.
    """
    reach = Reach(soon)
    admin = AdminClient({**settings, **reach.settings})
    counts: dict[str, int] = {}
    try:
        for topic in topics:
            known = reach.ask(admin, partial(_metadata, admin, topic), ANSWER)
            error = known.topics[topic].error
            if error is not None:
                raise Unreachable(f"Kafka {absent(topic, error, ': create it, or let `topics.create` be true')}")
            counts[topic] = len(known.topics[topic].partitions)
            embedded = embedded or str(known.cluster_id).startswith(MOCK)
        if embedded:  # the broker of the demo knows no ids
            return {topic: ("embedded", count) for topic, count in counts.items()}
        described = admin.describe_topics(TopicCollection(list(topics)), request_timeout=ANSWER)
        return {topic: (str(described[topic].result().topic_id), count) for topic, count in counts.items()}
    except KafkaException as error:
        where = settings["bootstrap.servers"]
        raise Unreachable(f"Kafka at {where} does not answer: {error.args[0].str()}") from None


def _metadata(admin: AdminClient, topic: str, within: float) -> ClusterMetadata:
    return admin.list_topics(topic, timeout=within)


def text(error: Exception) -> str:
    """What to say of an outage."""
    return f"Kafka: {error.args[0]}" if isinstance(error, KafkaException) else str(error)
