"""Redis as a cluster, behind Sentinels, with TLS and users: snapshots, the view and what reads them are the same."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import redis

from detector.compacted import Moved
from detector.config import Config
from detector.config.schema import Redis, Secret
from detector.core.breaker import State
from detector.core.state import PartitionHead
from detector.doctor import redis as doctor
from detector.embedded import free_port
from detector.errors import SnapshotMoved, Unreachable
from detector.follower import RedisView
from detector.redis_access import connect
from detector.seams import Head
from detector.store import PIECE, RedisStore
from detector.view import Stored, key_of, read, read_all, read_some
from tests.archive.test_copies import Installation, states
from tests.integration.system import System, run_events
from tests.services.certificates import KEY_WORD, Certificates
from tests.services.kafka import Kafka
from tests.services.redis import RedisServer
from tests.services.redis_groups import NAME, RedisCluster, Watched, redis_cluster, watched
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

WORD = "hunter2-of-redis"
# What docs/security.md tells to give: the worker's user, and that of a pipeline that only asks for its breaker.
PAGE = Path(__file__).parents[2] / "docs" / "security.md"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with redis_cluster(tmp_path_factory.mktemp("redis-cluster")) as made:
        yield made


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("redis-sentinels")) as made:
        yield made


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("redis-certificates"))


@pytest.fixture(scope="module")
def guarded(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A server with TLS that asks for certificates, and with the users of docs/security.md; how a worker reaches it."""
    certificate, key = certificates.client("worker")
    files: dict[str, Any] = {
        "tls_cert_file": certificates.server_certificate,
        "tls_key_file": certificates.server_key,
        "tls_ca_cert_file": certificates.ca,
        "tls_auth_clients": "yes",
    }
    port = free_port()
    with RedisServer(tmp_path_factory.mktemp("redis-tls"), tls_port=port, **files) as server:
        with redis.Redis(port=server.port) as admin:
            for line in users():
                admin.execute_command(*line.split())
        yield Redis(
            url=f"rediss://127.0.0.1:{port}/0",
            username="detector",
            password=Secret(WORD),
            ca_location=str(certificates.ca),
            certificate_location=str(certificate),
            key_location=str(key),
            key_password=Secret(KEY_WORD),
        )


def users() -> list[str]:
    """The commands in docs/security.md that make users."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("ACL SETUSER ")]
    return [line.replace("PASSWORD", WORD) for line in lines]


@pytest.fixture(params=["one server", "cluster", "sentinels", "tls"])
def reached(request: pytest.FixtureRequest) -> Redis:
    """Each kind of Redis, as the configuration names it."""
    if request.param == "cluster":
        cluster: RedisCluster = request.getfixturevalue("cluster")
        return Redis(url=cluster.url, cluster=True)
    if request.param == "sentinels":
        sentinels: Watched = request.getfixturevalue("sentinels")
        return Redis(url=sentinels.url, sentinel=NAME)
    if request.param == "tls":
        guarded: Redis = request.getfixturevalue("guarded")
        return guarded
    return Redis(url=request.getfixturevalue("redis_url"))


def head(at: int) -> Head:
    return Head(at, "t", 12, "f", b"", PartitionHead(1.0, 0.0, 0.0, 0, "r"))


# ---------------------------------------------------------------- the same on all of them


def test_a_snapshot_is_kept_guarded_and_given_up(reached: Redis) -> None:
    with connect(reached) as client:
        store = RedisStore(client, "detector", "detector.observations")
        store.check()
        for partition in range(6):
            store.discard(partition)
            store.snapshot(partition, head(5), {"job:a/b": b"one", "job:{a}/c": b"two"}, {"job:a/b": 7.0}, None)
            store.snapshot(partition, head(9), {"job:a/b": b"three"}, {}, 5)

            assert store.open(partition)[1] == {"job:a/b": 7.0}
            assert store.load(partition, ["job:a/b", "job:{a}/c", "job:x/y"], 9) == [b"three", b"two", None]
            with pytest.raises(SnapshotMoved):
                store.load(partition, ["job:a/b"], 5)
            with pytest.raises(SnapshotMoved):
                store.snapshot(partition, head(10), {}, {}, 5)
            store.discard(partition)
            assert store.open(partition) == (None, {})


def test_states_are_saved_to_a_file_and_put_back(reached: Redis, tmp_path: Path) -> None:
    with connect(reached) as client:
        installed = Installation(client)
        for partition in (0, 1):
            installed.store.discard(partition)
        installed.save(0, 10, states("a", "b", size=3 << 20))
        installed.save(1, 20, states("c"))
        before = installed.entities(0), installed.entities(1)
        path = installed.backup(tmp_path / "states")
        installed.save(0, 30, states("d"), expect=10)
        installed.restore(path)

        assert (installed.entities(0), installed.entities(1)) == before
        assert {0, 1} <= set(installed.copies.partitions())
        for partition in (0, 1):
            installed.store.discard(partition)


def test_a_large_first_snapshot_goes_ahead_in_pieces(reached: Redis) -> None:
    states: dict[str, bytes | None] = {f"job:a/{n}": bytes(PIECE // 4) for n in range(6)}
    with connect(reached) as client:
        store = RedisStore(client, "detector", "detector.observations")
        store.discard(0)
        store.snapshot(0, head(5), states, {}, None)
        found = store.load(0, list(states), 5)
        store.discard(0)

    assert found == list(states.values())


def test_the_view_is_written_and_read(reached: Redis) -> None:
    now = time.time()
    beat = json.dumps({"partition": 3, "clock": now, "offset": 1, "topic_id": "t"}).encode()
    entities = [f"job:airflow/{{{n}}}" for n in range(20)]
    with connect(reached) as client:
        view = RedisView(client, "detector")
        view.claim("before")
        view.claim("topic")
        view.begin("topic", [0, 1])
        told = {entity: msgspec.json.encode(opened(entity)) for entity in entities}
        view.apply("topic", 0, 0, 30, [*told.items(), ("heartbeat:3", beat)])

        assert view.positions("topic") == {0: 30, 1: 0}
        with pytest.raises(Moved):
            view.apply("topic", 0, 40, 41, [])
        assert read(client, "detector", entities[0], now).verdict == "block"
        assert len(read_some(client, "detector", entities, now)) == 20
        assert {answer.entity for answer in read_all(client, "detector", now)} == set(entities)
        view.claim("another")
        view.begin("another", [0, 1])
        assert read_all(client, "detector", now) == []
        view.claim("nothing")


def opened(entity: str) -> Stored:
    """A breaker that is open, as the follower puts it."""
    return Stored(
        entity=entity,
        state=State.OPEN,
        mode="enforce",
        on_unknown="allow",
        since=1.0,
        retry_at=None,
        reason="short",
        cause=None,
        trips=1,
        sequence=1,
        warming_up=False,
        partition=3,
        offset=1,
        topic_id="topic",
    )


def test_the_doctor_finds_nothing_wrong(reached: Redis) -> None:
    findings = list(doctor.examine(Config(redis=reached)))

    assert [finding for finding in findings if finding.status == "fail"] == []


# ---------------------------------------------------------------- what a user may do


def test_a_pipeline_may_ask_for_its_breaker_and_nothing_else(guarded: Redis) -> None:
    now = time.time()
    beat = json.dumps({"partition": 3, "clock": now, "offset": 1, "topic_id": "t"})
    with connect(guarded) as worker, connect(msgspec.structs.replace(guarded, username="pipeline")) as pipeline:
        worker.set(key_of("detector", "job:a/b"), msgspec.json.encode(opened("job:a/b")))
        worker.set(key_of("detector", "heartbeat:3"), beat)

        assert read(pipeline, "detector", "job:a/b", now).verdict == "block"
        refusals: list[Callable[[], Any]] = [
            lambda: pipeline.set(key_of("detector", "job:a/b"), b"{}"),
            lambda: pipeline.get("detector:{detector.observations-0}:states"),
            lambda: pipeline.delete(key_of("detector", "job:a/b")),
            pipeline.flushall,
            lambda: pipeline.keys("*"),
        ]
        for refused in refusals:
            with pytest.raises(redis.exceptions.NoPermissionError):
                refused()


def test_a_worker_has_its_own_keys_only(guarded: Redis) -> None:
    with connect(guarded) as worker:
        refusals: list[Callable[[], Any]] = [
            lambda: worker.get("another:key"),
            worker.flushall,
            lambda: worker.config_get("*"),
        ]
        for refused in refusals:
            with pytest.raises(redis.exceptions.NoPermissionError):
                refused()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"ca_location": None}, "certificate verify failed", id="an authority that is not trusted"),
        pytest.param({"password": Secret("wrong-one")}, "invalid username-password", id="a wrong password"),
    ],
)
def test_what_is_wrong_with_a_login_is_told(guarded: Redis, change: dict[str, Any], told: str) -> None:
    config = Config(redis=msgspec.structs.replace(guarded, **change))
    findings = " ".join(finding.message for finding in doctor.examine(config))

    assert told in findings
    assert "wrong-one" not in findings


def test_a_cluster_that_is_not_called_one_is_told(cluster: RedisCluster) -> None:
    config = Config(redis=Redis(url=f"redis://127.0.0.1:{cluster.servers[0].port}/0"))

    assert "Set redis.cluster: true." in [finding.advice for finding in doctor.examine(config)]


@pytest.mark.parametrize("kind", [{"cluster": True}, {"sentinel": NAME}, {}], ids=["cluster", "sentinels", "one"])
def test_nobody_there_is_an_answer(kind: dict[str, Any]) -> None:
    with connect(Redis(url=f"redis://127.0.0.1:{free_port()}", **kind)) as client:
        began = time.monotonic()
        answer = read(client, "detector", "job:a/b", 1.0)

        assert (answer.verdict, answer.reason) == ("unknown", "unreachable")
        with pytest.raises(Unreachable):
            RedisStore(client, "detector", "log").check()
        assert time.monotonic() - began < 30


# ---------------------------------------------------------------- a primary that dies under load


def under_load(system: System, accident: Callable[[], None]) -> None:
    """Twelve seconds of events; after four of them the accident."""
    events, end, done = run_events(Random(31)), time.monotonic() + 12, False
    system.start()
    while (left := end - time.monotonic()) > 0:
        system.send(*islice(events, 20))
        system.flush()
        if left < 8 and not done:
            accident()
            done = True
        time.sleep(0.1)  # the rate of the load, not a wait for something
    system.wait_until_idle(120)


def seen(system: System) -> dict[str, str]:
    """The state of each breaker, as the view has it."""
    with connect(system.config.redis) as client:
        answers = read_all(client, system.config.redis.prefix, time.time())
    return {answer.entity: str(answer.breaker and answer.breaker.state) for answer in answers}


def published(system: System) -> dict[str, str]:
    """The same, as the topic of breakers has it."""
    found: dict[str, str] = {}
    for _, _, key, value, _ in system.read(system.config.topics.breakers):
        if value is not None and not (key or b"").startswith(b"heartbeat:"):
            found[(key or b"").decode()] = msgspec.json.decode(value)["state"]
    return found


@pytest.mark.slow
def test_a_failover_by_sentinels_changes_nothing_that_is_said(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> None:
    with watched(tmp_path / "redis") as group:
        settings = {"redis": {"url": group.url, "sentinel": NAME, "prefix": "d"}}
        with System(kafka.bootstrap, group.url, topic_prefix, tmp_path, settings=settings) as system:
            under_load(system, group.fail_over)
            eventually(lambda: seen(system) == published(system), "the view to be what was published", 60)

            assert len(published(system)) > 20
            system.check()


@pytest.mark.slow
def test_a_failover_in_a_cluster_changes_nothing_that_is_said(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> None:
    with redis_cluster(tmp_path / "redis", replicas=True) as group:
        settings = {"redis": {"url": group.url, "cluster": True, "prefix": "d"}}
        with System(kafka.bootstrap, group.url, topic_prefix, tmp_path, settings=settings) as system:
            under_load(system, lambda: group.kill_primary_of("d:{view}"))
            eventually(lambda: seen(system) == published(system), "the view to be what was published", 60)

            assert len(published(system)) > 20
            system.check()
