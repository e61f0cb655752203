"""Crashes on real services: whatever dies, each outside record is in the log once, and each signal is said once.

After every schedule of accidents the control topic and the topic of breakers, read with `read_committed`, hold exactly
the events, ids included, that one undisturbed pass over the same log gives.
"""

import ctypes
import signal
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import redis as redis_py
from confluent_kafka import Producer

from tests.integration.system import System, run_events
from tests.services.kafka import Kafka, KafkaCluster
from tests.services.redis import RedisServer
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def system(kafka: Kafka, redis_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    with System(kafka.bootstrap, redis_url, topic_prefix, tmp_path) as made:
        yield made


def load(system: System, random: Random, seconds: float, rate: int = 300) -> Iterator[float]:
    """Send events at a rate; hands over, a few times a second, how many seconds are left."""
    events, end = run_events(random), time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        system.send(*islice(events, rate // 10))
        system.flush()
        yield left
        time.sleep(0.1)  # the rate of the load, not a wait for something


def test_workers_killed_at_random_moments_under_load(system: System) -> None:
    random = Random(11)
    workers = [system.start(str(slot)) for slot in range(2)]
    kills = 0
    for _ in load(system, random, 25):
        if random.random() < 0.08:
            slot = random.randrange(2)
            workers[slot].kill()
            workers[slot] = system.start(str(slot))
            kills += 1
    system.wait_until_idle()

    assert kills >= 5
    system.check()


def test_redis_flushed_and_rolled_back_under_load(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> None:
    random = Random(12)
    with (
        RedisServer(tmp_path / "redis") as server,
        System(kafka.bootstrap, server.url, topic_prefix, tmp_path) as system,
    ):
        worker = system.start()
        old = None
        for left in load(system, random, 20):
            if old is None and left < 14:
                old = server.snapshot()
            elif random.random() < 0.05:
                system.redis.flushall()
            elif random.random() < 0.05 and old is not None:
                server.restart(old)
            elif random.random() < 0.04:
                worker.kill()
                worker = system.start()
        system.wait_until_idle()

        system.check()


def test_one_broker_of_three_stopped_and_started_under_load(
    kafka3: KafkaCluster, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    random = Random(13)
    with System(kafka3.bootstrap, redis_url, topic_prefix, tmp_path, replication=3) as system:
        system.start("0")
        system.start("1")
        accidents = [(6.0, kafka3.kill_node, 3), (12.0, kafka3.start_node, 2), (20.0, kafka3.stop_node, 2)]
        for left in load(system, random, 24, rate=100):
            while accidents and left < accidents[-1][0]:
                _, happen, node = accidents.pop()
                happen(node)
        kafka3.start_node(3)
        system.wait_until_idle(180)

        system.check()


@pytest.mark.parametrize("away", [3, 15])
def test_the_only_broker_away_for_a_while(redis_url: str, topic_prefix: str, tmp_path: Path, away: float) -> None:
    random = Random(23)
    with (
        KafkaCluster(tmp_path / "kafka") as cluster,
        System(cluster.bootstrap, redis_url, topic_prefix, tmp_path) as system,
    ):
        worker = system.start()
        for _ in load(system, random, 1):
            pass
        system.wait_until_idle()  # it runs: a start without Kafka is the business of other tests
        for _ in load(system, random, 4):
            pass
        cluster.kill_node(1)
        time.sleep(away)  # how long it is away, not a wait for something
        cluster.start_node(1)
        for _ in load(system, random, 4):
            pass
        system.wait_until_idle(150)

        system.check()
        assert worker.terminate() == 0


def test_a_zombie_that_wakes_after_its_partitions_have_moved(system: System) -> None:
    random = Random(14)
    zombie, _ = system.start("0"), system.start("1")
    for left in load(system, random, 30):
        if 20 < left < 22:
            zombie.popen.send_signal(signal.SIGSTOP)
        elif left < 9:
            zombie.popen.send_signal(signal.SIGCONT)
    system.wait_until_idle()

    system.check()


def test_rebalances_without_a_pause(system: System) -> None:
    random = Random(15)
    system.start("0")
    guest, number = system.start("guest0"), 0
    for _ in load(system, random, 25):
        if random.random() < 0.06:
            assert guest.terminate() in (0, -signal.SIGTERM)  # the latter if it had not even begun
            number += 1
            guest = system.start(f"guest{number}")
    system.wait_until_idle()

    assert number >= 3
    system.check()


def test_a_kill_every_few_records_of_a_long_replay(
    kafka: Kafka, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    random = Random(16)
    with System(kafka.bootstrap, redis_url, topic_prefix, tmp_path, partitions=1) as system:
        worker = system.start(DETECTOR_WORKER__SNAPSHOT_RECORDS="200")
        system.send(*islice(run_events(random), 4_000))
        system.wait_until_idle()
        worker.kill()
        system.redis.flushall()
        for _ in range(6):
            worker = system.start(DETECTOR_WORKER__SNAPSHOT_RECORDS="200")
            eventually(lambda w=worker: (chr(34) + "recovered") in w.text() or w.popen.poll() is not None, "a recovery")  # type: ignore[misc]
            time.sleep(random.uniform(0, 0.3))  # somewhere in the replay
            worker.kill()
        system.start()
        system.send(*islice(run_events(random), 200))
        system.wait_until_idle()

        system.check()


def test_two_processes_with_one_slot_one_of_them_says_so_and_ends(system: System) -> None:
    random = Random(17)
    first = system.start("7")
    eventually(lambda: '"started"' in first.text(), "the first")
    second = system.start("7")
    for _ in load(system, random, 40):
        if first.popen.poll() is not None or second.popen.poll() is not None:
            break
    loser, winner = (first, second) if first.popen.poll() is not None else (second, first)
    system.wait_until_idle()

    assert loser.popen.poll() not in (None, 0)
    assert "worker.slot" in loser.text()
    assert winner.popen.poll() is None
    system.check()


def test_flushall_with_a_breaker_open_and_the_log_shortened(system: System) -> None:
    from confluent_kafka import TopicPartition

    worker = system.start()
    run = {"namespace": "shop", "name": "broken", "run_id": "r1", "event_time": time.time()}
    system.send(*islice(run_events(Random(18)), 400), {**run, "state": "FAIL"})
    system.wait_until_idle()
    before = {key: value for _, _, key, value, _ in system.read(system.config.topics.breakers)}
    worker.kill()
    system.redis.flushall()
    log = system.config.topics.log
    upto = system.committed(f"{log}.worker", log)
    places = [TopicPartition(log, p, max(at - 3, 0)) for p, at in upto.items()]
    for deleted in system.admin.delete_records(places).values():
        deleted.result()
    second = system.start()
    system.send({**run, "state": "START", "run_id": "r2", "event_time": time.time()})
    system.wait_until_idle()

    after = {key: value for _, _, key, value, _ in system.read(system.config.topics.breakers)}
    assert b'"open"' in (before[b"job:shop/broken"] or b"")
    assert b'"open"' in (after[b"job:shop/broken"] or b"")
    assert "backstop_used" in second.text()
    ends = {"name": "broken", "namespace": "shop", "run_id": "r2", "event_time": time.time(), "state": "COMPLETE"}
    system.send(ends)
    system.wait_until_idle()
    closed = {key: value for _, _, key, value, _ in system.read(system.config.topics.breakers)}
    assert b'"closed"' in (closed[b"job:shop/broken"] or b"")


def test_one_state_deleted_in_redis_is_found_out(system: System) -> None:
    worker = system.start(DETECTOR_WORKER__CACHE_BYTES="4KiB")
    system.send(*islice(run_events(Random(19)), 400))
    system.wait_until_idle()
    client = system.redis
    eventually(lambda: list(client.scan_iter("*:states")), "a snapshot")
    assert worker.terminate() == 0
    for key in client.scan_iter("*:states"):
        field = next(iter(client.hkeys(key)))
        client.hdel(key, field)
    again = system.start()
    system.send(*islice(run_events(Random(20)), 400))
    system.wait_until_idle()

    assert "the snapshot is discarded" in again.text()
    system.check()


def test_an_eviction_policy_that_would_lose_states_is_refused(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path / "redis", maxmemory_policy="allkeys-lru", maxmemory="64mb") as server,
        System(kafka.bootstrap, server.url, topic_prefix, tmp_path) as system,
    ):
        process = system.start()

        assert process.popen.wait(20) == 1
        assert "noeviction" in process.text()


def test_a_log_that_was_created_anew_is_refused_until_an_operator_accepts_it(system: System) -> None:
    worker = system.start()
    broken = {"namespace": "shop", "name": "broken", "run_id": "b", "event_time": time.time(), "state": "FAIL"}
    system.send(*islice(run_events(Random(21)), 100), broken)
    system.wait_until_idle()
    assert worker.terminate() == 0
    log = system.config.topics.log
    system.admin.delete_topics([log])[log].result()
    eventually(lambda: log not in system.admin.list_topics(timeout=10).topics, "the topic to go")
    eventually(lambda: _created(system), "the topic to come")
    again = system.start()
    eventually(lambda: "re-created" in again.text(), "the refusal")
    assert again.popen.poll() is None
    again.terminate()
    from detector import app

    app.reset(system.config)
    third = system.start()
    system.send({"namespace": "shop", "name": "new", "run_id": "n", "event_time": time.time(), "state": "FAIL"})
    system.wait_until_idle()

    assert third.popen.poll() is None
    said = [
        value or b"" for *_, key, value, _ in system.read(system.config.topics.breakers) if key == b"job:shop/broken"
    ]
    assert b'"open"' in said[-1]
    assert "job:shop/new" in {a["entity"] for a in system.anomalies("failed")}


def _created(system: System) -> bool:
    from confluent_kafka import KafkaException

    from detector import app
    from detector.errors import DetectorError

    try:
        app.prepare(system.config, {"bootstrap.servers": system.bootstrap})
    except (DetectorError, KafkaException):
        return False
    return True


def test_a_clean_stop_is_quick_and_leaves_a_snapshot_at_the_committed_position(system: System) -> None:
    worker = system.start()
    for _ in load(system, Random(22), 4):
        pass
    began = time.monotonic()

    assert worker.terminate() == 0
    assert time.monotonic() - began < 10
    log = system.config.topics.log
    committed = system.committed(f"{log}.worker", log)
    from detector.store import RedisStore

    client: redis_py.Redis = system.redis
    store = RedisStore(client, system.config.redis.prefix, log)
    heads = {p: store.open(p)[0] for p in committed}
    assert {p: head.at for p, head in heads.items() if head} == {p: at for p, at in committed.items() if at}


@pytest.mark.skipif(sys.platform != "linux", reason="looks for a thread in /proc: run it on Linux")
def test_a_stop_that_another_thread_takes_is_a_stop(system: System) -> None:
    process = system.start()
    eventually(lambda: chr(34) + "recovered" in process.text(), "it to work")
    pid = process.popen.pid
    others = sorted({int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()} - {pid})
    other = next(filter(takes_sigterm, others))  # the oldest: young ones may be gone the next moment

    assert ctypes.CDLL(None).tgkill(pid, other, signal.SIGTERM) == 0
    assert process.popen.wait(15) == 0


def takes_sigterm(thread: int) -> bool:
    """Whether it is there and takes the signal; those of librdkafka block it."""
    try:
        status = Path(f"/proc/{thread}/status").read_text()
    except FileNotFoundError:
        return False
    return not int(status.partition("SigBlk:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1


def test_a_poisonous_log_record_is_set_aside_byte_for_byte(system: System) -> None:
    system.start()
    producer = Producer({"bootstrap.servers": system.bootstrap})
    producer.produce(system.config.topics.log, b"\xff\x00 no envelope", b"job:shop/x", headers=[("mine", b"\x01")])
    assert producer.flush(10) == 0
    letters = eventually(lambda: system.read(system.config.topics.dead_letters), "a dead letter")

    (_, _, key, value, headers), *_ = letters
    assert (key, value, headers["mine"]) == (b"job:shop/x", b"\xff\x00 no envelope", b"\x01")
    assert headers["__connect.errors.stage"] == b"step"
