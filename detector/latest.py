"""A breaker straight from the topic of breakers, for when Redis is away: slower, and as true."""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from detector.core.emissions import BreakerValue, Heartbeat
from detector.core.partition import partition_of
from detector.follower import consumer_settings
from detector.reach import Reach
from detector.view import HEARTBEAT, MAX_AGE, Answer, decide, unknown

ANSWER = 10.0
POLL = 0.05


def read(settings: Mapping[str, Any], topic: str, entity: str, now: float, max_age: float = MAX_AGE) -> Answer:
    """The answer for one entity, from one partition read to its end. `now` is in seconds since 1970.

    A Kafka that does not answer is an answer, too (`unknown`).
    """
    reach = Reach()
    consumer = Consumer({**consumer_settings(settings), **reach.settings, "enable.partition.eof": True})
    try:
        found = reach.ask(consumer, lambda timeout: consumer.list_topics(topic, timeout=timeout), ANSWER).topics[topic]
        if found.error is not None:
            return unknown(entity, "unreachable", f"Kafka has no topic {topic}")
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
    return decide(entity, breaker, clock, now, max_age)


def _last(consumer: Consumer, place: TopicPartition, entity: str) -> tuple[bytes | None, bytes | None]:
    """The last values of the entity and of the partition's heartbeat. Raises `KafkaException`."""
    keys = {entity.encode(): 0, f"{HEARTBEAT}{place.partition}".encode(): 1}
    found: list[bytes | None] = [None, None]
    consumer.assign([place])
    deadline = time.monotonic() + ANSWER
    while time.monotonic() < deadline:
        for message in consumer.consume(1_000, POLL):
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                return found[0], found[1]
            if error is not None:
                raise KafkaException(error)
            at = keys.get(message.key() or b"")
            if at is not None:
                found[at] = message.value()
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
