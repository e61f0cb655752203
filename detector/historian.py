"""Follows the topic of judged runs, and keeps the last of each entity in Redis: see `history`.

A member of a group of its own, so that several share the work. A position is committed when its records are in Redis;
those that come twice are there once.
"""

from collections.abc import Sequence
from threading import Event
from typing import Final, Protocol

import redis
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from detector import history
from detector.broker import CONSUMER, FATAL_TO_READ, LIBRDKAFKA, Settings
from detector.errors import Unreachable

AT_ONCE: Final = 500
POLL: Final = 0.5
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0


class Signals(Protocol):
    """What it tells of itself; `telemetry` makes log lines and metrics of it."""

    def history_waits(self, why: str) -> None:
        """It stands still because Kafka or Redis is away."""

    def history_kept(self, runs: int) -> None:
        """So many records are in Redis."""


class Historian:
    """For a thread of its own: `run` returns when `stop` is set. `settings` are how Kafka is reached."""

    def __init__(
        self, settings: Settings, group: str, topic: str, client: "redis.Redis", prefix: str, signals: Signals
    ) -> None:
        """A group without a position begins at the oldest run."""
        self._settings = {**settings, **CONSUMER, "group.id": group, "auto.offset.reset": "earliest"}
        self._topic, self._redis, self._prefix, self._signals = topic, client, prefix, signals

    def run(self, stop: Event) -> None:
        """Keep what comes. Raises `Unreachable` where Kafka will never let it read."""
        consumer = Consumer(self._settings, logger=LIBRDKAFKA)
        try:
            consumer.subscribe([self._topic])
            while not stop.is_set():
                first = consumer.poll(POLL)
                if first is not None:
                    self._take(consumer, [first, *consumer.consume(AT_ONCE - 1, 0)], stop)
        finally:
            consumer.close()

    def _take(self, consumer: Consumer, messages: Sequence[Message], stop: Event) -> None:
        kept = [message for message in messages if _is_record(message)]
        records = [
            history.Appended((m.key() or b"").decode(errors="replace"), m.timestamp()[1], m.value() or b"")
            for m in kept
            if m.value()
        ]
        ends = {(m.topic() or "", m.partition() or 0): (m.offset() or 0) + 1 for m in kept}
        wait = FIRST_WAIT
        while ends and not stop.is_set():
            try:
                history.keep(self._redis, self._prefix, records)
                consumer.commit(offsets=[TopicPartition(*at, end) for at, end in ends.items()], asynchronous=False)
            except redis.RedisError as error:
                self._signals.history_waits(f"Redis: {error}")
            except KafkaException as error:
                # The partition may be another's by now, who begins where this one last committed.
                self._signals.history_waits(f"Kafka: {error.args[0].str()}")
                return
            else:
                self._signals.history_kept(len(records))
                return
            stop.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)


def _is_record(message: Message) -> bool:
    """Not the end of a partition, nor a broker that is away. Raises `Unreachable` at what does not pass."""
    error = message.error()
    if error is not None and (error.code() in FATAL_TO_READ or error.fatal()):
        raise Unreachable(f"Kafka refuses: {error.str()}")
    return error is None
