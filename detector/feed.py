"""Keeps what the API answers from: the compacted topics in a copy, the topics of events read from their start.

It stands outside any consumer group, so that any number of processes may serve the API, each with all of it. Through an
outage of Kafka everything stays as it was last.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Event
from typing import Any, Protocol

from confluent_kafka import Message, TopicPartition

from detector.broker import record_of
from detector.client.copy import Copy
from detector.compacted import START, Identity, Reader, identities, text
from detector.core.events import Record


class Facts(Protocol):
    """What is filled."""

    def put(self, topic: str, key: str, value: bytes | None) -> None:
        """The last value of a key of a compacted topic; None: it is gone."""

    def begin(self, topic: str, partitions: int) -> None:
        """A topic of events is read from its start."""

    def heard(self, record: Record) -> None:
        """The next record of a topic of events."""


class Signals(Protocol):
    """What the feed tells of itself; `telemetry` makes log lines and metrics of it."""

    def api_alive(self, caught_up: bool, trouble: str | None) -> None:
        """It went round: whether all has been read once, and why nothing new comes, if so."""


class Feed:
    """For a thread of its own: `run` returns when `stop` is set, and not before."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        compacted: Sequence[str],
        events: Sequence[str],
        facts: Facts,
        signals: Signals,
        embedded: bool = False,
    ) -> None:
        """`settings` are librdkafka's, how to reach Kafka; `compacted` and `events` are names of topics."""
        self._facts, self._signals = facts, signals

        def identify(topics: Sequence[str]) -> Callable[[], Mapping[str, Identity]]:
            return partial(identities, settings, list(topics), embedded)

        self._copy = Copy(settings, compacted, facts.put, identify=identify(compacted))
        self._reader = Reader(settings, identify(events), self)
        self._found: dict[str, Identity] = {}
        self._at: dict[str, dict[int, int]] = {}
        self._reading: set[tuple[str, int]] = set()
        self._waits: str | None = "the topics have not been read yet"
        self._read = False

    def run(self, stop: Event) -> None:
        """Follow, through any outage."""
        with self._copy:
            self._reader.run(stop)

    @property
    def caught_up(self) -> bool:
        """Whether all that there was has been read once; it stays so."""
        return self._read and self._copy.caught_up.is_set()

    @property
    def trouble(self) -> str | None:
        """Why nothing new comes, if so."""
        return self._waits or self._copy.trouble

    # ------------------------------------------------------------ the fold that the reader follows

    def begin(self, found: Mapping[str, Identity]) -> list[TopicPartition]:
        """Where to read on in each topic: where it was, unless it is another one."""
        for topic, identity in found.items():
            if self._found.get(topic) != identity:
                self._found[topic] = identity
                self._at[topic] = dict.fromkeys(range(identity[1]), START)
                self._reading |= {(topic, partition) for partition in range(identity[1])}
                self._facts.begin(topic, identity[1])
        return [TopicPartition(topic, p, at) for topic, places in self._at.items() for p, at in places.items()]

    def take(self, messages: Sequence[Message]) -> None:
        """Tell records."""
        for message in messages:
            record = record_of(message)
            self._facts.heard(record)
            self._at[record.topic][record.partition] = record.offset + 1

    def ended(self, place: TopicPartition) -> None:
        """A partition was read to its end."""
        self._reading.discard((place.topic, place.partition))
        self._read = self._read or not self._reading

    def forget(self, place: TopicPartition) -> None:
        """Records that were to come next are gone: begin where there are some."""
        self._found.pop(place.topic, None)

    def look(self) -> None:
        """Every two seconds."""
        self._signals.api_alive(self.caught_up, self.trouble)

    def answered(self) -> None:
        """Nothing is wrong."""
        self._waits = None

    def waits(self, why: Exception) -> None:
        """Keep why nothing comes."""
        self._waits = text(why)
        self._signals.api_alive(self.caught_up, self.trouble)
