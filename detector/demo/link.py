"""Between the company and Detector: its clock, where its events go, and what it hears and reads of Detector."""

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from detector import view
from detector.core.breaker import State
from detector.core.events import Record, RunEvent
from detector.demo import wire
from detector.sinks import cloudevents

ANSWER = 30.0
FRESH = 6 * 3_600.0


class Clock:
    """Simulated time, and when (in monotonic seconds) it passed which moment."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._moments: list[float] = []
        self._reached: list[float] = []

    def __call__(self) -> float:
        """Seconds since 1970, as the author of ticks asks for them."""
        return self.now

    def set(self, now: float) -> None:
        """It is `now`: all that happened before is in the broker."""
        self.now = now
        self._moments.append(now)
        self._reached.append(time.monotonic())

    def passed(self, at: float) -> float | None:
        """When the clock passed `at`; None if it did not, or before it was first set."""
        index = bisect_left(self._moments, at)
        return self._reached[index] if 0 < index < len(self._reached) else None


class Outlet:
    """Where the company's events go: the outside topics, with the simulated time as the records' timestamps."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": 2,
                "log_level": 0,
            }
        )

    def send(self, events: Iterable[RunEvent]) -> None:
        """Send events, some of them twice as real clients do, and wait until the broker has them."""
        for event in events:
            topic, key, value = wire.encode(event)
            for _ in range(wire.times(event)):
                self._producer.produce(topic, value, key, timestamp=int(event.event_time * 1_000))
            self._producer.poll(0)
        self._producer.flush(ANSWER)


class Listener:
    """Reads the control topic, and the heartbeats on the topic of breakers, from their start."""

    def __init__(self, bootstrap: str, control: str, breakers: str) -> None:
        self._control = control
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "acorn-dashboard",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )
        known = self._consumer.list_topics(timeout=ANSWER).topics
        places = [(topic, partition) for topic in (control, breakers) for partition in known[topic].partitions]
        self._consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
        self._clocks: dict[int, float] = dict.fromkeys(known[breakers].partitions, 0.0)

    @property
    def clock(self) -> float:
        """How far Detector's own time has come in all partitions of its log."""
        return min(self._clocks.values())

    def heard(self) -> Iterator[dict[str, Any]]:
        """The control events that are there now."""
        for message in self._consumer.consume(1_000, 0):
            if message.error() is not None:
                continue
            record = _record(message)
            if record.topic == self._control:
                yield cloudevents.decode(record)
            elif record.key is not None and record.key.startswith(b"heartbeat:") and record.value is not None:
                beat = msgspec.json.decode(record.value)
                self._clocks[beat["partition"]] = beat["clock"]

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()


class Breakers:
    """What the company's jobs ask before they start: the breakers in Redis, by the client's own rule."""

    def __init__(self, client: redis.Redis, prefix: str, clock: Clock) -> None:
        self._client, self._prefix, self._clock = client, prefix, clock

    def __call__(self, entity: str) -> State:
        """How the breaker is; closed for one that nobody knows, or that nobody need obey."""
        answer = view.read(self._client, self._prefix, entity, self._clock.now, FRESH)
        if answer.verdict == "unknown" or answer.breaker is None or answer.breaker.mode != "enforce":
            return State.CLOSED
        return answer.breaker.state


def _record(message: Message) -> Record:
    headers = tuple((str(h[0]), h[1] if isinstance(h[1], bytes) else None) for h in message.headers() or ())
    place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
    return Record(*place, message.timestamp()[1] / 1_000, message.key(), message.value(), headers)
