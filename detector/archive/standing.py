"""Where the groups of an installation stand in its topics, as an operator's command needs to know it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from detector.broker import ANSWER, Place
from detector.errors import Unreachable


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a group has come in one partition. `of` is the id of the topic that it was told of; `low` the first
    offset that is still there, `end` that of the next record. `committed` is None where nothing is.
    """

    committed: int | None
    of: str
    low: int
    end: int


class Groups:
    """Asks Kafka. All raise `Unreachable`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings, self._admin = settings, AdminClient(dict(settings))

    def members(self, group: str) -> int:
        """How many members a group has: 0 also for one that there never was."""
        try:
            described = self._admin.describe_consumer_groups([group], request_timeout=ANSWER)[group]
            return len(described.result(ANSWER + 1).members)
        except KafkaException as error:
            raise Unreachable(f"Kafka does not tell who is in {group}: {error.args[0].str()}") from None

    def names(self) -> list[str]:
        """All groups that there are."""
        try:
            found = self._admin.list_consumer_groups(request_timeout=ANSWER).result(ANSWER + 1)
        except KafkaException as error:
            raise Unreachable(f"Kafka does not tell its groups: {error.args[0].str()}") from None
        if found.errors:
            raise Unreachable(f"Kafka does not tell all of its groups: {found.errors[0].args[0].str()}")
        return sorted(group.group_id for group in found.valid)

    def partitions(self, topics: Sequence[str]) -> list[Place]:
        """All partitions of those topics that are there."""
        try:
            known = self._admin.list_topics(timeout=ANSWER).topics
        except KafkaException as error:
            raise Unreachable(f"Kafka does not tell its topics: {error.args[0].str()}") from None
        return [(topic, number) for topic in topics if topic in known for number in sorted(known[topic].partitions)]

    def standing(self, group: str, places: Sequence[Place]) -> dict[Place, Standing]:
        """How far the group has come in each of these; waits for what open transactions make of that."""
        found: dict[Place, Standing] = {}
        try:
            with self._consumer(group, "read_committed") as one, self._consumer(group, "read_uncommitted") as other:
                for at in one.committed([TopicPartition(*place) for place in places], timeout=ANSWER):
                    if at.error is not None:
                        raise KafkaException(at.error)
                    # An end is one, whether or not an open transaction lets anybody read up to it.
                    low, end = other.get_watermark_offsets(at, timeout=ANSWER, cached=False)
                    committed, of = at.offset if at.offset >= 0 else None, (at.metadata or "").rpartition(":")[2]
                    found[at.topic, at.partition] = Standing(committed=committed, of=of, low=low, end=end)
        except KafkaException as error:
            raise Unreachable(f"Kafka does not tell how far {group} has come: {error.args[0].str()}") from None
        return found

    @contextmanager
    def _consumer(self, group: str, level: str) -> Iterator[Consumer]:
        consumer = Consumer(
            {**self._settings, "group.id": group, "enable.auto.commit": False, "isolation.level": level}
        )
        try:
            yield consumer
        finally:
            consumer.close()
