"""The Redis view on a real Kafka and a real Redis: what a mock cannot show, and every way to lose it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

import pytest
import redis as redis_py
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from detector.broker import topic_identity
from detector.follower import Follower, RedisView
from tests.services.kafka import Kafka, KafkaCluster
from tests.services.redis import RedisServer
from tests.services.waiting import eventually
from tests.test_follower import Told

pytestmark = pytest.mark.integration


class Site:
    """A compacted topic of breakers, a Redis, and followers between them."""

    def __init__(self, kafka: Kafka, url: str, topic: str, policy: str = "compact") -> None:
        self.kafka, self.topic, self.policy, self.told = kafka, topic, policy, Told()
        self.settings: dict[str, str | int | float | bool] = {
            "bootstrap.servers": kafka.bootstrap,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
        self.client = redis_py.Redis.from_url(url, retry=None)
        self.create()

    def create(self) -> None:
        self.kafka.create_topic(self.topic, 2, cleanup_policy=self.policy, message_timestamp_type="LogAppendTime")

    def say(self, *said: tuple[str, object], partition: int = 0, commit: bool = True) -> None:
        """Append records in one transaction."""
        producer = Producer({**self.settings, "transactional.id": self.topic, "retry.backoff.ms": 5})
        producer.init_transactions(30)
        producer.begin_transaction()
        for key, value in said:
            encoded = None if value is None else json.dumps(value).encode()
            producer.produce(self.topic, encoded, key.encode(), partition)
        producer.flush(30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)

    def read(self, key: str) -> dict[str, object] | None:
        value = self.client.get(f"d:{{view}}:breaker:{key}")
        return None if value is None else json.loads(value)

    def expect(self, key: str, **fields: object) -> None:
        eventually(lambda: fields.items() <= (self.read(key) or {}).items(), f"{key} to be {fields}", 40)

    def keys(self) -> set[str]:
        return {key.decode().removeprefix("d:{view}:breaker:") for key in self.client.scan_iter("d:{view}:breaker:*")}

    def expect_keys(self, *keys: str) -> None:
        eventually(lambda: self.keys() == set(keys), f"{keys} and no other", 40)

    @contextmanager
    def following(self, followers: int = 1) -> Iterator[None]:
        stop = Event()
        identify = partial(topic_identity, self.settings, self.topic)
        threads = [
            Thread(
                target=Follower(self.settings, self.topic, identify, RedisView(self.client, "d"), self.told).run,
                args=[stop],
            )
            for _ in range(followers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)


@pytest.fixture
def site(kafka: Kafka, redis_url: str, topic_prefix: str) -> Iterator[Site]:
    site = Site(kafka, redis_url, topic_prefix + "breakers")
    yield site
    site.client.close()


def test_what_was_aborted_is_never_seen(site: Site) -> None:
    site.say(("job:a/b", {"state": "closed"}))
    site.say(("job:a/b", {"state": "open"}), commit=False)
    site.say(("job:a/c", {"state": "closed"}))

    with site.following():
        site.expect("job:a/c", state="closed")

    assert (site.read("job:a/b") or {})["state"] == "closed"


def test_it_is_rebuilt_from_the_start_with_tombstones_heeded(site: Site) -> None:
    for number in range(5):
        site.say(*((f"job:a/{n}", {"n": number}) for n in range(20)), partition=number % 2)
    site.say(*((f"job:a/{n}", None) for n in range(10)), partition=0)
    site.say(*((f"job:a/{n}", None) for n in range(10)), partition=1)

    with site.following():
        site.expect_keys(*(f"job:a/{n}" for n in range(10, 20)))
        site.client.flushall()
        site.expect_keys(*(f"job:a/{n}" for n in range(10, 20)))


def test_a_topic_that_is_created_again_is_noticed_while_it_is_followed(site: Site) -> None:
    site.say(("job:a/old", {"state": "open"}), ("job:a/b", {"state": "open"}))

    with site.following():
        site.expect_keys("job:a/old", "job:a/b")
        admin = AdminClient(dict(site.settings))
        admin.delete_topics([site.topic])[site.topic].result(timeout=30)
        eventually(lambda: site.topic not in admin.list_topics(timeout=10).topics, "the topic to go")
        site.create()
        site.say(("job:a/b", {"state": "closed"}))
        site.expect("job:a/b", state="closed")
        site.expect_keys("job:a/b")


def test_records_that_were_deleted_unread_leave_nothing_behind(kafka: Kafka, redis_url: str, topic_prefix: str) -> None:
    site = Site(kafka, redis_url, topic_prefix + "breakers", "compact,delete")
    site.say(("job:a/old", {"n": 1}))
    with site.following():
        site.expect("job:a/old", n=1)
    site.say(("job:a/old", None))
    site.say(("job:a/new", {"n": 2}))
    admin = AdminClient(dict(site.settings))
    # The record, its marker, the tombstone, its marker.
    for future in admin.delete_records([TopicPartition(site.topic, 0, 4)]).values():
        future.result(timeout=30)

    with site.following():
        site.expect_keys("job:a/new")
    site.client.close()


def test_two_followers_end_as_one(site: Site) -> None:
    with site.following(followers=2):
        for number in range(20):
            site.say((f"job:a/{number % 5}", {"n": number}), partition=number % 5 % 2)

        for number in range(15, 20):
            site.expect(f"job:a/{number % 5}", n=number)


@pytest.mark.parametrize("rolled_back", [False, True], ids=["empty", "without its tail"])
def test_a_redis_that_comes_back_with_less_is_made_whole(
    kafka: Kafka, topic_prefix: str, tmp_path: Path, rolled_back: bool
) -> None:
    with RedisServer(tmp_path / "redis") as server:
        site = Site(kafka, server.url, topic_prefix + "breakers")
        site.say(("job:a/b", {"n": 1}))
        with site.following():
            site.expect("job:a/b", n=1)
            snapshot = server.snapshot() if rolled_back else None
            site.say(("job:a/b", {"n": 2}), ("job:a/c", {"n": 2}))
            site.expect("job:a/c", n=2)
            server.kill()
            site.say(("job:a/d", {"n": 3}))
            eventually(lambda: [why for why in site.told.waits if why.startswith("Redis")], "the follower to say so")
            server.restart(snapshot)
            site.expect_keys("job:a/b", "job:a/c", "job:a/d")
            site.expect("job:a/b", n=2)
        site.client.close()


def test_a_kafka_that_comes_back_is_followed_again(tmp_path: Path, topic_prefix: str, redis_url: str) -> None:
    with KafkaCluster(tmp_path / "kafka") as cluster:
        site = Site(cluster, redis_url, topic_prefix + "breakers")
        site.say(("job:a/b", {"n": 1}))
        with site.following():
            site.expect("job:a/b", n=1)
            cluster.kill_node(1)
            eventually(lambda: [why for why in site.told.waits if "does not answer" in why], "it to say so", 60)
            cluster.start_node(1)
            site.say(("job:a/b", {"n": 2}))
            site.expect("job:a/b", n=2)
        site.client.close()
