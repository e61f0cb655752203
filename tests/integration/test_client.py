"""What pipelines use, on a real Kafka: what a mock cannot show."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from detector.client.copy import Copy
from tests.services.kafka import Kafka
from tests.services.waiting import eventually

pytestmark = pytest.mark.integration


class Site:
    """A compacted topic and who writes to it, each record in a transaction."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self.kafka, self.topic = kafka, topic
        self.settings: dict[str, Any] = {"bootstrap.servers": kafka.bootstrap, "log_level": 0}

    def create(self) -> None:
        self.kafka.create_topic(self.topic, 2, cleanup_policy="compact")

    def delete(self) -> None:
        admin = AdminClient(self.settings)
        admin.delete_topics([self.topic])[self.topic].result(30)
        eventually(lambda: self.topic not in admin.list_topics(timeout=10).topics, "the topic to go")

    def say(self, key: str, value: bytes | None, commit: bool = True) -> None:
        producer = Producer({**self.settings, "transactional.id": self.topic, "retry.backoff.ms": 5})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(self.topic, value, key.encode(), 0)
        producer.flush(30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)

    def expect(self, copy: Copy, **values: bytes) -> None:
        eventually(lambda: dict(copy.values(self.topic)) == values, f"the copy to be {values}", 60)


@pytest.fixture
def site(kafka: Kafka, topic_prefix: str) -> Iterator[Site]:
    site = Site(kafka, f"{topic_prefix}breakers")
    site.create()
    yield site
    site.delete()


def test_a_copy_has_what_is_committed_only(site: Site) -> None:
    site.say("a", b"1")
    site.say("a", b"2", commit=False)
    site.say("b", b"3")

    with Copy(site.settings, [site.topic]) as copy:
        assert copy.caught_up.wait(60)

        assert dict(copy.values(site.topic)) == {"a": b"1", "b": b"3"}


def test_a_topic_that_is_deleted_and_made_again_leaves_nothing_of_the_old_one(site: Site) -> None:
    site.say("a", b"1")
    site.say("b", b"1")

    with Copy(site.settings, [site.topic], ask_again=0.5) as copy:
        assert copy.caught_up.wait(60)
        site.delete()
        eventually(lambda: "no topic" in (copy.trouble or ""), "the copy to say that the topic is gone")
        assert len(copy.values(site.topic)) == 2

        site.create()
        site.say("b", b"2")
        site.expect(copy, b=b"2")
