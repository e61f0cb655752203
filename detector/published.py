"""Reads what stands on the compacted topics, for the metrics: breakers and incidents that were published, by whomever.

A process that has just started, or was given a partition, must tell of breakers that opened before. So every worker
reads the topics whole, and goes on reading; which of it the process answers for, `gauges` decides.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from confluent_kafka import Message, TopicPartition

from detector.compacted import START, Identity, Reader, text
from detector.core.emissions import BreakerValue
from detector.core.incidents import Incident
from detector.view import HEARTBEAT

_breaker = msgspec.json.Decoder(BreakerValue).decode
_incident = msgspec.json.Decoder(Incident).decode


class Signals(Protocol):
    """Who is told; `telemetry` makes metrics of it."""

    def breaker_stands(self, entity: str, value: BreakerValue | None) -> None:
        """This is the breaker of an entity now; None: it is forgotten."""

    def incident_stands(self, id_: str, partition: int, incident: Incident | None) -> None:
        """This is an incident now; None: it is forgotten."""

    def metrics_wait(self, why: str) -> None:
        """What stands cannot be read: Kafka is away."""


class Published:
    """`reader(...).run` is for a thread of its own."""

    def __init__(self, breakers: str, incidents: str, signals: Signals) -> None:
        """The names of the topics."""
        self._breakers, self._incidents, self._signals = breakers, incidents, signals
        self._found: dict[str, Identity] = {}
        self._at: dict[tuple[str, int], int] = {}

    def reader(self, settings: Mapping[str, Any], identify: Callable[[], Mapping[str, Identity]]) -> Reader:
        """What follows the topics. `settings` are librdkafka's; `identify` asks Kafka what the topics are."""
        return Reader(settings, identify, self)

    # ------------------------------------------------------------ the fold that the reader follows

    def begin(self, found: Mapping[str, Identity]) -> list[TopicPartition]:
        """Where to read on in each topic: where it was, unless it is another one."""
        for topic, identity in found.items():
            if self._found.get(topic) != identity:
                self._found[topic] = identity
                self._at |= {(topic, partition): START for partition in range(identity[1])}
        return [TopicPartition(topic, partition, at) for (topic, partition), at in self._at.items()]

    def take(self, messages: Sequence[Message]) -> None:
        """Tell records."""
        for message in messages:
            topic, partition = message.topic() or "", message.partition() or 0
            self._at[topic, partition] = (message.offset() or 0) + 1
            key, value = (message.key() or b"").decode(errors="replace"), message.value()
            if not key.startswith(HEARTBEAT):
                self._tell(topic, partition, key, value)

    def _tell(self, topic: str, partition: int, key: str, value: bytes | None) -> None:
        try:
            if topic == self._breakers:
                self._signals.breaker_stands(key, _breaker(value) if value else None)
            else:
                self._signals.incident_stands(key, partition, _incident(value) if value else None)
        except msgspec.DecodeError:  # the view says so
            return

    def ended(self, place: TopicPartition) -> None:
        """What comes next is new."""

    def forget(self, place: TopicPartition) -> None:
        """Records that were to come next are gone: begin where there are some."""
        self._at[place.topic, place.partition] = START

    def look(self) -> None:
        """Memory does not move."""

    def answered(self) -> None:
        """Nothing is wrong."""

    def waits(self, why: Exception) -> None:
        """It stands still."""
        self._signals.metrics_wait(text(why))
