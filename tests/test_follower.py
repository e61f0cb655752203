"""The Redis view is the fold of the topic of breakers, whatever happens to Redis, to Kafka and to other followers."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
import redis
from confluent_kafka import Producer

from detector.compacted import Moved
from detector.embedded import EmbeddedBroker, EmbeddedRedis
from detector.follower import Follower, RedisView
from tests.services.waiting import eventually

TOPIC = "detector.breakers"
PARTITIONS = 3


class Told:
    """What the followers told."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        self.rebuilt: list[tuple[int, str]] = []
        self.applied: list[tuple[int, float]] = []
        self.unreadable: list[tuple[int, int, str]] = []

    def view_waits(self, why: str) -> None:
        self.waits.append(why)

    def view_rebuilt(self, partitions: int, topic_id: str) -> None:
        self.rebuilt.append((partitions, topic_id))

    def view_applied(self, records: int, behind: float) -> None:
        self.applied.append((records, behind))

    def view_unreadable(self, partition: int, offset: int, why: str) -> None:
        self.unreadable.append((partition, offset, why))


class World:
    """A topic, a Redis, and what is said and read."""

    def __init__(self, broker: EmbeddedBroker, server: EmbeddedRedis, topic: str) -> None:
        self.broker, self.server, self.topic = broker, server, topic
        self.client = redis.Redis.from_url(server.url, socket_timeout=0.3, retry=None)
        self.client.flushall()
        self.told = Told()
        self.topic_id = "first"
        self.away = False
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 0})

    def say(self, key: str, value: object, partition: int = 0) -> None:
        """Append a record: an object, bytes as they are, or a tombstone."""
        encoded = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        self._producer.produce(self.topic, encoded, key.encode(), partition)
        assert self._producer.flush(30) == 0

    def read(self, key: str) -> dict[str, object] | None:
        value = self.client.get(f"d:{{view}}:{key}")
        return None if value is None else json.loads(value)

    def identify(self) -> tuple[str, int]:
        return self.topic_id, PARTITIONS

    def follower(self) -> Follower:
        settings = {"bootstrap.servers": self.broker.bootstrap, "reconnect.backoff.max.ms": 100, "log_level": 0}
        return Follower(settings, self.topic, self.identify, RedisView(self.client, "d"), self.told)

    @contextmanager
    def following(self, followers: int = 1) -> Iterator[None]:
        stop = Event()
        threads = [Thread(target=self.follower().run, args=[stop]) for _ in range(followers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
            assert not any(thread.is_alive() for thread in threads)

    def expect(self, key: str, **fields: object) -> None:
        """Wait until Redis has this under the key."""
        eventually(lambda: fields.items() <= (self.read(key) or {}).items(), f"{key} to be {fields}", 20)

    def expect_none(self, key: str) -> None:
        eventually(lambda: self.read(key) is None, f"{key} to go", 20)


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def world(broker: EmbeddedBroker, server: EmbeddedRedis, request: pytest.FixtureRequest) -> Iterator[World]:
    topic = f"{TOPIC}.{request.node.name}"
    broker.create_topic(topic, PARTITIONS)
    world = World(broker, server, topic)
    yield world
    world.client.close()


def test_the_view_holds_the_last_value_of_each_key_and_where_it_was_read(world: World) -> None:
    world.say("job:a/b", {"state": "closed"}, 1)
    world.say("job:a/b", {"state": "open"}, 1)
    world.say("heartbeat:1", {"partition": 1, "clock": 5.0}, 1)

    with world.following():
        world.expect("breaker:job:a/b", state="open", partition=1, offset=1, topic_id="first")
        world.expect("heartbeat:1", partition=1, clock=5.0)
        world.say("job:a/b", {"state": "half_open"}, 1)
        world.expect("breaker:job:a/b", state="half_open", offset=3)


def test_a_tombstone_removes_the_breaker(world: World) -> None:
    world.say("job:a/b", {"state": "open"})

    with world.following():
        world.expect("breaker:job:a/b", state="open")
        world.say("job:a/b", None)
        world.expect_none("breaker:job:a/b")


@pytest.mark.slow
def test_a_later_follower_goes_on_and_does_not_begin_anew(world: World) -> None:
    world.say("job:a/b", {"state": "open"})
    with world.following():
        world.expect("breaker:job:a/b", state="open")
    world.say("job:a/b", {"state": "closed"})

    with world.following():
        world.expect("breaker:job:a/b", state="closed")

    assert world.told.rebuilt == [(PARTITIONS, "first")]
    assert [records for records, _ in world.told.applied] == [1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("value", [b"\x00", b"[]", b"{"])
def test_a_record_that_is_none_is_left_out_and_told(world: World, value: bytes) -> None:
    world.say("job:a/b", {"state": "open"})
    world.say("job:a/b", value)
    world.say("job:a/c", {"state": "open"})

    with world.following():
        world.expect("breaker:job:a/c", state="open")

    assert [place for *place, _ in world.told.unreadable] == [[0, 1]]
    assert (world.read("breaker:job:a/b") or {})["offset"] == 0


@pytest.mark.slow
def test_flushall_is_noticed_without_a_new_record(world: World) -> None:
    world.say("job:a/b", {"state": "open"})

    with world.following():
        world.expect("breaker:job:a/b", state="open")
        world.client.flushall()
        world.expect("breaker:job:a/b", state="open")


@pytest.mark.slow
def test_a_partition_that_lost_its_position_begins_anew_without_what_it_had(world: World) -> None:
    world.say("job:a/b", {"state": "open"})
    world.say("job:a/c", {"state": "open"}, 1)
    with world.following():
        world.expect("breaker:job:a/b", state="open")
        world.expect("breaker:job:a/c", state="open")
    world.client.set("d:{view}:breaker:job:a/gone", '{"partition": 0, "topic_id": "first"}')
    world.client.set("d:{view}:breaker:job:a/other", '{"partition": 1, "topic_id": "first"}')
    world.client.hdel("d:{view}", "0")

    with world.following():
        world.expect_none("breaker:job:a/gone")
        world.expect("breaker:job:a/b", state="open")

    assert world.read("breaker:job:a/other") is not None


@pytest.mark.slow
def test_a_topic_that_was_created_again_leaves_nothing_of_the_old_one(world: World) -> None:
    world.say("job:a/b", {"state": "open"})
    with world.following():
        world.expect("breaker:job:a/b", state="open", topic_id="first")
    world.client.set("d:{view}:breaker:job:a/gone", '{"partition": 0, "topic_id": "first"}')
    world.client.set("d:{view}:heartbeat:7", '{"partition": 7, "clock": 1, "topic_id": "first"}')
    world.client.set("d:{view}:breaker:job:a/broken", "no json")
    world.topic_id = "second"

    with world.following():
        world.expect("breaker:job:a/b", state="open", topic_id="second")
        world.expect_none("breaker:job:a/gone")
        world.expect_none("heartbeat:7")
    assert world.client.get("d:{view}:breaker:job:a/broken") is None


def test_two_followers_are_as_good_as_one(world: World) -> None:
    with world.following(followers=2):
        for i in range(300):
            world.say(f"job:a/{i % 7}", {"n": i}, i % 7 % PARTITIONS)

        for i in range(293, 300):
            world.expect(f"breaker:job:a/{i % 7}", n=i)


@pytest.mark.slow
def test_a_redis_that_hangs_is_told_and_waited_for(world: World) -> None:
    with world.following():
        world.say("job:a/b", {"state": "open"})
        world.expect("breaker:job:a/b", state="open")
        os.kill(world.server.process.pid, signal.SIGSTOP)
        try:
            eventually(lambda: [w for w in world.told.waits if w.startswith("Redis: ")], "the follower to say so", 20)
            world.say("job:a/b", {"state": "closed"})
        finally:
            os.kill(world.server.process.pid, signal.SIGCONT)
        world.expect("breaker:job:a/b", state="closed")


@pytest.mark.slow
def test_a_kafka_that_goes_and_comes_back_is_followed_again(world: World) -> None:
    world.say("job:a/b", {"state": "open"})

    with world.following():
        world.expect("breaker:job:a/b", state="open")
        world.broker.refuse_connections()
        world.broker.accept_connections()
        world.say("job:a/b", {"state": "closed"})
        world.expect("breaker:job:a/b", state="closed")


# ---------------------------------------------------------------- the guard


@pytest.fixture
def guarded(world: World) -> RedisView:
    guarded = RedisView(world.client, "d")
    guarded.claim("t")
    guarded.begin("t", [0, 1])
    guarded.apply("t", 0, 0, 10, [("job:a/b", b'{"n":9,"partition":0,"topic_id":"t"}')])
    return guarded


def test_what_is_older_never_overwrites_what_is_newer(world: World, guarded: RedisView) -> None:
    at = guarded.apply("t", 0, 0, 5, [("job:a/b", b'{"n":4}')])

    assert at == 10
    assert (world.read("breaker:job:a/b") or {})["n"] == 9


def late_writer(guarded: RedisView) -> object:
    return guarded.apply("first", 0, 10, 12, [("job:a/b", b"{}")])


def follower_ahead_of_a_lost_redis(guarded: RedisView) -> object:
    return guarded.apply("t", 0, 11, 12, [("job:a/b", b"{}")])


def partition_without_a_position(guarded: RedisView) -> object:
    return guarded.apply("t", 5, 0, 12, [("job:a/b", b"{}")])


def look_at_another_topics_view(guarded: RedisView) -> object:
    return guarded.positions("first")


@pytest.mark.parametrize(
    "act",
    [late_writer, follower_ahead_of_a_lost_redis, partition_without_a_position, look_at_another_topics_view],
)
def test_who_is_not_where_the_view_is_changes_nothing(
    world: World, guarded: RedisView, act: Callable[[RedisView], object]
) -> None:
    with pytest.raises(Moved):
        act(guarded)

    assert (world.read("breaker:job:a/b") or {})["n"] == 9


def test_who_sweeps_late_removes_nothing_of_what_another_began(world: World, guarded: RedisView) -> None:
    guarded.begin("t", [0, 1])
    guarded.begin("first", [0, 1])

    assert (world.read("breaker:job:a/b") or {})["n"] == 9
    assert guarded.positions("t") == {0: 10, 1: 0}


def test_a_prefix_with_signs_of_globs_sweeps_its_own_keys_only(world: World) -> None:
    strange = RedisView(world.client, "d[*]?")
    world.client.set("d[*]?:{view}:breaker:job:a", "{}")
    world.client.set("d1:{view}:breaker:job:a", "{}")
    strange.claim("t")

    strange.begin("t", [0])

    assert world.client.exists("d[*]?:{view}:breaker:job:a") == 0
    assert world.client.exists("d1:{view}:breaker:job:a") == 1
