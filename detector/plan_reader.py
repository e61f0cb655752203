"""Reads the control topic as a member of a group, for `detector execute`."""

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from detector.broker import ANSWER, CONSUMER, FATAL_TO_READ, LIBRDKAFKA, Settings, record_of
from detector.core.events import Record
from detector.errors import ExecutorBusy, Unreachable
from detector.reach import EVER_RAN, absent

Place = tuple[str, int]
AT_ONCE = 500


class PlanReader:
    """As `executor.Reader`. A group without a position begins at the oldest record: its open plan may still be open."""

    def __init__(self, settings: Settings, group: str, topic: str) -> None:
        """Raises `Unreachable` unless the topic is there. Call `close` in the end."""
        asked = {**settings, **CONSUMER, "group.id": group, "auto.offset.reset": "earliest"}
        self._consumer = Consumer(asked, logger=LIBRDKAFKA)
        self._ends: set[Place] = set()
        self._must_have(topic, settings["bootstrap.servers"])
        self._consumer.subscribe([topic], on_assign=self._on_assign)

    def _must_have(self, topic: str, where: object) -> None:
        try:
            known = self._consumer.list_topics(topic, timeout=ANSWER).topics[topic]
        except KafkaException as error:
            raise Unreachable(f"Kafka at {where} does not answer: {error.args[0].str()}") from None
        if known.error is not None:
            raise Unreachable(f"Kafka at {where} {absent(topic, known.error, EVER_RAN)}")

    def _on_assign(self, _: Consumer, found: list[TopicPartition]) -> None:
        """What comes back is read anew from its committed position."""
        self._ends -= {(at.topic, at.partition) for at in found}

    @property
    def places(self) -> frozenset[Place]:
        """As `Reader.places`."""
        return frozenset((at.topic, at.partition) for at in self._consumer.assignment())

    @property
    def caught_up(self) -> bool:
        """As `Reader.caught_up`."""
        return self.places <= self._ends

    def poll(self, timeout: float) -> list[Record]:
        """As `Reader.poll`."""
        first = self._consumer.poll(timeout)
        if first is None:
            return []
        records: list[Record] = []
        for message in (first, *self._consumer.consume(AT_ONCE - 1, 0)):
            error = message.error()
            if error is not None:
                self._note(error, message)
                continue
            record = record_of(message)
            self._ends.discard((record.topic, record.partition))
            records.append(record)
        return records

    def _note(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            end = record_of(message)
            self._ends.add((end.topic, end.partition))
        elif error.code() in FATAL_TO_READ or error.fatal():
            raise Unreachable(f"Kafka refuses: {error.str()}")

    def commit(self, positions: Mapping[Place, int]) -> None:
        """As `Reader.commit`."""
        offsets = [TopicPartition(*place, at) for place, at in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise ExecutorBusy(f"Kafka does not take the positions: {error.args[0].str()}", ANSWER) from None

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()
