"""That the servers which other tests rely on do what those tests rely on."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis as redis_py
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from tests.conftest import TOO_LONG, unmarked
from tests.services.cache import cached
from tests.services.kafka import Kafka, KafkaCluster
from tests.services.redis import RedisServer
from tests.services.registry import SchemaRegistry
from tests.services.waiting import eventually

ROOT = Path(__file__).parents[2]


def read(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    """The first `count` values of partition 0, as `read_committed` shows them."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": topic,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes | None] = []

    def enough() -> bool:
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            values.append(message.value())
        return len(values) >= count

    try:
        eventually(enough, f"{count} records of {topic}")
    finally:
        consumer.close()
    return values


@pytest.mark.integration
def test_read_committed_hides_what_was_aborted(kafka: Kafka, topic_prefix: str) -> None:
    topic = topic_prefix + "t"
    kafka.create_topic(topic)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic, "retry.backoff.ms": 5})
    producer.init_transactions(30)
    for value, kept in ((b"a", True), (b"b", False), (b"c", True)):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush(30)
        (producer.commit_transaction if kept else producer.abort_transaction)(30)

    assert read(kafka.bootstrap, topic, 2) == [b"a", b"c"]


@pytest.mark.integration
@pytest.mark.parametrize("lose", [KafkaCluster.kill_node, KafkaCluster.stop_node])
def test_what_all_replicas_acknowledged_outlives_the_loss_of_a_broker(
    kafka3: KafkaCluster, topic_prefix: str, lose: Callable[[KafkaCluster, int], None]
) -> None:
    topic = topic_prefix + "t"
    kafka3.create_topic(topic)
    producer = Producer({"bootstrap.servers": kafka3.bootstrap, "acks": "all", "log_level": 0})
    leader = kafka3.admin.list_topics(topic, timeout=10).topics[topic].partitions[0].leader
    errors: list[KafkaError | None] = []

    def produce(values: range) -> None:
        for value in values:
            producer.produce(topic, b"%d" % value, partition=0, on_delivery=lambda error, _: errors.append(error))
        assert producer.flush(60) == 0

    produce(range(10))
    lose(kafka3, leader)
    produce(range(10, 20))
    kafka3.start_node(leader)
    produce(range(20, 30))

    assert errors == [None] * 30
    assert read(kafka3.bootstrap, topic, 30) == [b"%d" % value for value in range(30)]


@pytest.mark.integration
def test_the_registry_gives_a_schema_back_by_its_id(registry: SchemaRegistry, topic_prefix: str) -> None:
    text = '{"type":"record","name":"Run","fields":[{"name":"rows","type":"long"}]}'
    with SchemaRegistryClient({"url": registry.url}) as client:
        schema_id = client.register_schema(topic_prefix + "value", Schema(text, "AVRO"))

    with SchemaRegistryClient({"url": registry.url}) as client:
        fetched = client.get_schema(schema_id)

    assert (fetched.schema_str, fetched.schema_type) == (text, "AVRO")


@pytest.mark.integration
def test_redis_rolled_back_to_a_snapshot_has_forgotten_what_came_after_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, redis_py.Redis.from_url(server.url) as client:
        client.set("offset", 10)
        snapshot = server.snapshot()
        client.set("offset", 20)
        server.restart(snapshot)

        assert client.get("offset") == b"10"


@pytest.mark.integration
def test_redis_with_an_append_only_file_keeps_what_it_answered_for(tmp_path: Path) -> None:
    with RedisServer(tmp_path, appendonly=True) as server, redis_py.Redis.from_url(server.url) as client:
        client.set("offset", 20)
        server.restart()

        assert client.get("offset") == b"20"
        with pytest.raises(ValueError, match="append-only"):
            server.restart(tmp_path / "any.rdb")


@pytest.mark.integration
def test_each_redis_test_begins_with_an_empty_server(redis: redis_py.Redis, redis_url: str) -> None:
    assert redis.dbsize() == 0
    assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path))
    return tmp_path


def test_a_download_that_broke_leaves_nothing_behind_and_is_tried_again(cache: Path) -> None:
    def broken(directory: Path) -> None:
        (directory / "half").touch()
        raise OSError("connection lost")

    with pytest.raises(OSError, match="connection lost"):
        cached("thing", "v1", broken)
    directory = cached("thing", "v1", lambda fresh: (fresh / "whole").touch())

    assert sorted(path.name for path in directory.iterdir()) == ["recipe", "whole"]
    assert sorted(path.name for path in cache.iterdir()) == ["thing", "thing.lock"]


def test_of_several_who_want_a_download_one_makes_it(cache: Path) -> None:
    made: list[Path] = []
    wanting = [threading.Thread(target=cached, args=("thing", "v1", made.append)) for _ in range(4)]
    for thread in wanting:
        thread.start()
    for thread in wanting:
        thread.join()

    assert len(made) == 1


def test_a_changed_recipe_is_made_afresh(cache: Path) -> None:
    cached("thing", "v1", lambda fresh: (fresh / "old").touch())
    directory = cached("thing", "v2", lambda fresh: (fresh / "new").touch())

    assert sorted(path.name for path in directory.iterdir()) == ["new", "recipe"]


SKIPPING = """
import pytest

def test_skips():
    pytest.skip("no Java here")

@pytest.mark.other_python("bytewax has no wheel for it")
@pytest.mark.skip(reason="of another Python")
def test_is_of_another_python():
    pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ci", "summary"),
    [
        pytest.param("false", "2 skipped", id="a developer may lack a service"),
        pytest.param("true", "1 failed, 1 skipped", id="CI may not"),
    ],
)
def test_a_skip_is_a_failure_in_ci(tmp_path: Path, ci: str, summary: str) -> None:
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(ROOT / "pyproject.toml"),
        "-p",
        "tests.conftest",
        str(tmp_path),
    ]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert summary in run.stdout.splitlines()[-1]


def test_what_takes_too_long_for_a_quick_test_is_told() -> None:
    def took(name: str, seconds: float) -> pytest.TestReport:
        return pytest.TestReport(name, ("", 0, name), {}, "passed", None, "call", duration=seconds)

    reports = [took("a", TOO_LONG), took("b", 0.1), took("a", 1.0), took("c", 60.0)]

    assert unmarked(reports) == ["60.0 s, and not marked slow: c", f"{TOO_LONG + 1:.1f} s, and not marked slow: a"]


def test_waiting_says_what_it_waited_for() -> None:
    before = time.monotonic()
    with pytest.raises(TimeoutError, match=r"the moon; last answer: 0"):
        eventually(lambda: 0, "the moon", timeout=0.05)

    assert time.monotonic() - before < 5
