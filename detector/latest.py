"""What a topic holds now, read to its end: breakers for when Redis is away (slower, and as true), and incidents."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from detector.compacted import consumer_settings
from detector.core.emissions import BreakerValue, Heartbeat
from detector.core.partition import partition_of
from detector.errors import Unreachable
from detector.reach import EVER_RAN, Reach, absent
from detector.view import ANYBODY, HEARTBEAT, MAX_AGE, Answer, Asked, decide, unknown

ANSWER = 10.0
POLL = 0.05


def read(
    settings: Mapping[str, Any],
    topic: str,
    entity: str,
    now: float,
    max_age: float = MAX_AGE,
    asked: Asked = ANYBODY,
) -> Answer:
    """The answer for one entity, from one partition read to its end. `now` is in seconds since 1970.

    A Kafka that does not answer is an answer, too (`unknown`).
    """
    reach = Reach()
    consumer = Consumer({**consumer_settings(settings), **reach.settings, "enable.partition.eof": True})
    try:
        found = reach.ask(consumer, lambda timeout: consumer.list_topics(topic, timeout=timeout), ANSWER).topics[topic]
        if found.error is not None:
            return unknown(entity, "unreachable", f"Kafka {absent(topic, found.error)}")
        partition = partition_of(entity, len(found.partitions))
        value, beat = _last(consumer, TopicPartition(topic, partition, OFFSET_BEGINNING), entity)
        breaker = None if value is None else msgspec.json.decode(value, type=BreakerValue)
        clock = None if beat is None else msgspec.json.decode(beat, type=Heartbeat).clock
    except KafkaException as error:
        return unknown(entity, "unreachable", f"Kafka does not answer: {error.args[0].str()}")
    except msgspec.DecodeError as error:
        return unknown(entity, "unreadable", f"what Kafka has is not readable by this release: {error}")
    finally:
        consumer.close()
    return decide(entity, breaker, clock, now, max_age, asked)


def fold(settings: Mapping[str, Any], topic: str) -> dict[str, bytes]:
    """The last value of each key of a compacted topic; those that were taken off have none. Raises `Unreachable`."""
    found: dict[str, bytes] = {}
    for key, value in records(settings, topic):
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def breakers(settings: Mapping[str, Any], topic: str, now: float, max_age: float = MAX_AGE) -> dict[str, Answer]:
    """The answers for all entities of the topic of breakers. Raises `Unreachable`."""
    values = fold(settings, topic)
    beats = {key: value for key, value in values.items() if key.startswith(HEARTBEAT)}
    answers: dict[str, Answer] = {}
    for entity in sorted(values.keys() - beats.keys()):
        try:
            value = msgspec.json.decode(values[entity], type=BreakerValue)
            beat = beats.get(f"{HEARTBEAT}{value.partition}")
            clock = None if beat is None else msgspec.json.decode(beat, type=Heartbeat).clock
        except msgspec.DecodeError as error:
            answers[entity] = unknown(entity, "unreadable", f"what Kafka has is not readable by this release: {error}")
            continue
        answers[entity] = decide(entity, value, clock, now, max_age)
    return answers


def records(settings: Mapping[str, Any], topic: str) -> list[tuple[str, bytes | None]]:
    """All keys and values of a topic up to its end, in the order of each partition. Raises `Unreachable`."""
    return [((found.key() or b"").decode(errors="replace"), found.value()) for found in messages(settings, topic)]


def messages(settings: Mapping[str, Any], topic: str) -> list[Message]:
    """The same with all that Kafka tells of each. Raises `Unreachable`."""
    return list(_messages(settings, topic))


def is_empty(settings: Mapping[str, Any], topic: str) -> bool:
    """Whether nothing was ever written there and committed that is there still. Raises `Unreachable`."""
    return next(_messages(settings, topic), None) is None


def _messages(settings: Mapping[str, Any], topic: str) -> Iterator[Message]:
    reach = Reach()
    consumer = Consumer({**consumer_settings(settings), **reach.settings, "enable.partition.eof": True})
    where = settings["bootstrap.servers"]
    try:
        found = reach.ask(consumer, lambda timeout: consumer.list_topics(topic, timeout=timeout), ANSWER).topics[topic]
        if found.error is not None:
            raise Unreachable(f"Kafka at {where} {absent(topic, found.error, EVER_RAN)}")
        yield from _to_the_end(consumer, topic, sorted(found.partitions))
    except KafkaException as error:
        raise Unreachable(f"Kafka at {where} does not answer: {error.args[0].str()}") from None
    finally:
        consumer.close()


def _to_the_end(consumer: Consumer, topic: str, partitions: list[int]) -> Iterator[Message]:
    """What stands on these partitions now. Raises `KafkaException`, also when nothing comes for long."""
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    reading, deadline = set(partitions), time.monotonic() + ANSWER
    while reading:
        for message in consumer.consume(1_000, POLL):
            deadline = time.monotonic() + ANSWER
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                reading.discard(message.partition() or 0)
            else:
                raise KafkaException(error)
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001


def _last(consumer: Consumer, place: TopicPartition, entity: str) -> tuple[bytes | None, bytes | None]:
    """The last values of the entity and of the partition's heartbeat. Raises `KafkaException`."""
    keys = {entity.encode(): 0, f"{HEARTBEAT}{place.partition}".encode(): 1}
    found: list[bytes | None] = [None, None]
    for message in _to_the_end(consumer, place.topic, [place.partition]):
        at = keys.get(message.key() or b"")
        if at is not None:
            found[at] = message.value()
    return found[0], found[1]
