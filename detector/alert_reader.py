"""Reads the topic of incidents as a member of a group, and keeps what was told on the topic of alerts."""

from collections.abc import Mapping
from contextlib import suppress

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from detector.broker import ANSWER, CONSUMER, FATAL_TO_READ, LIBRDKAFKA, PRODUCER, Settings, record_of
from detector.core.events import Record
from detector.errors import SinkBusy, Unreachable

AT_ONCE = 500


class AlertReader:
    """As `alerting.Reader`. What was told of an incident is on the partition that the incident is on."""

    def __init__(self, settings: Settings, group: str, incidents: str, alerts: str) -> None:
        """Raises `Unreachable` unless both topics are there. Call `close` in the end."""
        self._settings, self._group, self._alerts, self._topic = settings, group, alerts, incidents
        self._consumer = Consumer({**settings, **CONSUMER, "group.id": group}, logger=LIBRDKAFKA)
        self._producer = Producer({**settings, **PRODUCER, "linger.ms": 0}, logger=LIBRDKAFKA)
        self._places: dict[int, int] = {}
        self._ends: set[int] = set()
        self._number = 0
        for topic in (incidents, alerts):
            self._must_have(topic, settings["bootstrap.servers"])
        self._consumer.subscribe(
            [incidents], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def _must_have(self, topic: str, where: object) -> None:
        try:
            known = self._consumer.list_topics(topic, timeout=ANSWER).topics[topic]
        except KafkaException as error:
            raise Unreachable(f"Kafka at {where} does not answer: {error.args[0].str()}") from None
        if known.error is not None:
            raise Unreachable(f"Kafka at {where} has no topic {topic}: did `detector run` ever run here?")

    def _on_assign(self, consumer: Consumer, found: list[TopicPartition]) -> None:
        """Always from the start: what was told is compared with all that is so."""
        for at in found:
            self._number += 1
            self._places[at.partition] = self._number
            self._ends.discard(at.partition)
        consumer.incremental_assign([TopicPartition(at.topic, at.partition, OFFSET_BEGINNING) for at in found])

    def _on_revoke(self, consumer: Consumer, gone: list[TopicPartition]) -> None:
        for at in gone:
            self._places.pop(at.partition, None)
            self._ends.discard(at.partition)
        consumer.incremental_unassign(gone)

    @property
    def places(self) -> Mapping[int, int]:
        """As `Reader.places`."""
        return dict(self._places)

    @property
    def caught_up(self) -> bool:
        """As `Reader.caught_up`."""
        return self._places.keys() <= self._ends

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
            self._ends.discard(record.partition)
            records.append(record)
        return records

    def _note(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._ends.add(record_of(message).partition)
        elif error.code() in FATAL_TO_READ or error.fatal():
            raise Unreachable(f"Kafka refuses: {error.str()}")

    # ------------------------------------------------------------ what was told

    def kept(self, partition: int) -> Mapping[str, bytes]:
        """As `Reader.kept`."""
        asked = {**self._settings, **CONSUMER, "group.id": f"{self._group}.told", "group.protocol": "classic"}
        reader = Consumer({**asked, "log_level": 0})
        found: dict[str, bytes] = {}
        try:
            reader.assign([TopicPartition(self._alerts, partition, OFFSET_BEGINNING)])
            while True:
                message = reader.poll(ANSWER)
                if message is None:
                    raise SinkBusy(f"Kafka does not answer: {self._alerts}/{partition} cannot be read", heard=False)
                error, key = message.error(), message.key()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    return found
                if error is None and key is not None:
                    found.pop(key.decode(errors="replace"), None)
                    value = message.value()
                    if value is not None:
                        found[key.decode(errors="replace")] = value
        except KafkaException as error:
            raise SinkBusy(f"{self._alerts}/{partition} cannot be read: {error.args[0].str()}", heard=False) from None
        finally:
            reader.close()

    def keep(self, partition: int, key: str, value: bytes | None) -> None:
        """As `Reader.keep`."""
        failed: list[KafkaError] = []

        def written(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error)

        try:
            self._producer.produce(self._alerts, value, key.encode(), partition, on_delivery=written)
            left = self._producer.flush(ANSWER)
        except (KafkaException, BufferError) as error:
            raise SinkBusy(f"Kafka does not take what was told: {error}", heard=False) from None
        if left or failed:
            why = failed[0].str() if failed else f"no answer in {ANSWER:.0f} s"
            raise SinkBusy(f"Kafka does not take what was told: {why}", heard=False)

    def commit(self, positions: Mapping[int, int]) -> None:
        """As `Reader.commit`."""
        offsets = [TopicPartition(self._topic, partition, at) for partition, at in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise SinkBusy(f"Kafka does not take the positions: {error.args[0].str()}", heard=False) from None

    def close(self) -> None:
        """Leave the group."""
        with suppress(KafkaException):
            self._producer.flush(1)
        self._consumer.close()
