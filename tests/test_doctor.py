"""What the doctor says of Redis, of a registry, and of a Kafka that is not there. The rest needs a real Kafka."""

import json
import re
import time
from collections.abc import Iterator

import pytest
import redis as redis_py

from detector.config import Config, load
from detector.doctor import Finding, examine, redis
from detector.doctor.finding import clocks
from detector.embedded import EmbeddedRedis, free_port


@pytest.fixture
def client() -> Iterator[redis_py.Redis]:
    with EmbeddedRedis(tcp=True) as server, server.client() as client:
        yield client


def config_of(client: redis_py.Redis) -> Config:
    port = client.connection_pool.connection_kwargs["port"]
    return load(f"redis: {{url: 'redis://127.0.0.1:{port}'}}\nkafka: {{bootstrap_servers: '127.0.0.1:{free_port()}'}}")


def of(what: str, findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(finding.status, finding.message) for finding in findings if finding.what == what]


def test_a_good_redis_is_told_with_its_version(client: redis_py.Redis) -> None:
    said = of("redis", redis.examine(config_of(client)))

    assert [status for status, _ in said] == ["ok", "ok"]
    assert re.match(r"Valkey \d+\.\d+\.\d+ at redis://127\.0\.0\.1:\d+", said[0][1])


def evicts(client: redis_py.Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")


def is_replica(client: redis_py.Redis) -> None:
    client.replicaof("127.0.0.1", free_port())


@pytest.mark.parametrize(
    ("make", "status", "said"),
    [
        pytest.param(evicts, "fail", "maxmemory-policy is allkeys-lru", id="it evicts"),
        pytest.param(is_replica, "fail", "is a replica", id="it is a replica"),
        pytest.param(lambda client: client.config_set("maxmemory", "1mb"), "warn", "of maxmemory is used", id="full"),
    ],
)
def test_a_redis_that_will_not_do(client: redis_py.Redis, make: object, status: str, said: str) -> None:
    assert callable(make)
    make(client)

    bad = [told for told in of("redis", redis.examine(config_of(client))) if told[0] != "ok"]

    assert len(bad) == 1
    assert bad[0][0] == status
    assert said in bad[0][1]


@pytest.mark.parametrize(
    ("ages", "status", "said"),
    [
        pytest.param([], "warn", "no heartbeat", id="none"),
        pytest.param([3.0, 50.0], "ok", "all 2 partitions", id="fresh"),
        pytest.param([3.0, 600.0], "warn", "1 of 2 partitions", id="one is old"),
        pytest.param([-600.0, 3.0], "warn", "1 of 2 partitions", id="one is in the future"),
    ],
)
def test_the_view_is_as_its_heartbeats(client: redis_py.Redis, ages: list[float], status: str, said: str) -> None:
    for partition, age in enumerate(ages):
        beat = {"partition": partition, "clock": time.time() - age}
        client.set(f"detector:{{view}}:heartbeat:{partition}", json.dumps(beat))

    ((found, message),) = of("view", redis.examine(config_of(client)))

    assert found == status
    assert message.startswith(said)


@pytest.mark.parametrize(("ahead", "status"), [(-400.0, "ok"), (4.0, "ok"), (6.0, "warn"), (61.0, "fail")])
def test_clocks_that_differ(ahead: float, status: str) -> None:
    assert clocks("two clocks", ahead, 60.0).status == status


@pytest.mark.slow
def test_everything_that_is_away_fails_and_says_what_to_do() -> None:
    config = load(
        f"kafka: {{bootstrap_servers: '127.0.0.1:{free_port()}'}}\n"
        f"redis: {{url: 'redis://127.0.0.1:{free_port()}', password: hunter2}}\n"
        f"registry: {{url: 'http://127.0.0.1:{free_port()}', username: me, password: hunter2}}\n"
    )

    failed = [finding for finding in examine(config) if finding.status == "fail"]

    assert [finding.what for finding in failed] == ["kafka", "redis", "registry"]
    assert all(finding.advice for finding in failed)
    assert "hunter2" not in str(failed)
