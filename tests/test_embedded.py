"""The broker and the Redis that `detector demo` carries: from other processes, across rebalances, after a death."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import pytest
import redis
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from detector import embedded
from detector.embedded import Child, EmbeddedBroker, EmbeddedRedis, EmbeddedUnavailable, free_port
from tests.services.waiting import eventually


def member(bootstrap: str, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
        }
    )


def produce(bootstrap: str, topic: str, partitions: int, count: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    for value in range(count):
        producer.produce(topic, b"%d" % value, partition=value % partitions)
    assert producer.flush(10) == 0


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process, whose output is read line by line."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def alive(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be buried."""
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return status.strip() not in {"", "Z", "Zs"}


def test_another_process_reads_what_this_one_wrote(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("runs", partitions=2)
    produce(embedded_broker.bootstrap, "runs", partitions=2, count=4)
    code = """
        import sys
        from confluent_kafka import Consumer, TopicPartition
        consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "g"})
        consumer.assign([TopicPartition("runs", p, 0) for p in (0, 1)])
        print(sorted(message.value() for message in consumer.consume(4, 10)))
        consumer.close()
        """

    with python(code, embedded_broker.bootstrap) as reader:
        assert first_line(reader) == "[b'0', b'1', b'2', b'3']"
        assert reader.wait(10) == 0


def test_a_topic_has_the_partitions_that_were_asked_for(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("runs", partitions=7)

    consumer = member(embedded_broker.bootstrap, "g")
    assert len(consumer.list_topics("runs", timeout=10).topics["runs"].partitions) == 7
    consumer.close()


def test_a_topic_is_made_once(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("runs")

    with pytest.raises(ValueError, match=r"'runs' with 1 partitions: .*already exists"):
        embedded_broker.create_topic("runs")


def test_a_second_member_takes_half_and_gives_it_back_when_it_leaves(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("runs", partitions=4)
    first, second = member(embedded_broker.bootstrap, "g"), member(embedded_broker.bootstrap, "g")

    def shares(*expected: int) -> bool:
        for consumer in (first, second) if len(expected) == 2 else (first,):
            consumer.poll(0.01)
        return [len(consumer.assignment()) for consumer in (first, second)[: len(expected)]] == list(expected)

    first.subscribe(["runs"])
    eventually(lambda: shares(4), "the only member to have all")
    second.subscribe(["runs"])
    eventually(lambda: shares(2, 2), "two members to have half each")
    second.close()
    eventually(lambda: shares(4), "the one that stayed to have all again")
    first.close()


def test_a_committed_position_is_where_the_next_member_starts(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("runs")
    produce(embedded_broker.bootstrap, "runs", partitions=1, count=3)
    one = member(embedded_broker.bootstrap, "g")
    one.subscribe(["runs"])
    eventually(lambda: one.poll(0.05), "the first record")
    one.commit(offsets=[TopicPartition("runs", 0, 2, metadata="digest")], asynchronous=False)
    one.close()
    two = member(embedded_broker.bootstrap, "g")
    two.subscribe(["runs"])

    message = eventually(lambda: two.poll(0.05), "a record")
    assert message is not None
    assert (message.offset(), message.value()) == (2, b"2")
    assert two.committed([TopicPartition("runs", 0)], timeout=10)[0].metadata == "digest"
    two.close()


@pytest.mark.slow
def test_records_outlive_an_outage_of_the_broker(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("runs")
    produce(embedded_broker.bootstrap, "runs", partitions=1, count=1)
    embedded_broker.refuse_connections()
    impatient = Producer({"bootstrap.servers": embedded_broker.bootstrap, "message.timeout.ms": 200, "log_level": 0})
    errors: list[KafkaError | None] = []
    impatient.produce("runs", b"lost", partition=0, on_delivery=lambda error, _: errors.append(error))
    impatient.flush(10)
    embedded_broker.accept_connections()
    produce(embedded_broker.bootstrap, "runs", partitions=1, count=1)

    consumer = member(embedded_broker.bootstrap, "g")
    assert [error.name() for error in errors if error] == ["_MSG_TIMED_OUT"]
    assert consumer.get_watermark_offsets(TopicPartition("runs", 0), timeout=10) == (0, 2)
    consumer.close()


def test_a_closed_broker_says_so_and_may_be_closed_again() -> None:
    with EmbeddedBroker() as broker:
        pass
    broker.close()

    with pytest.raises(ValueError, match="closed"):
        broker.create_topic("runs")


def test_an_unknown_librdkafka_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "KNOWN_LIBRDKAFKA", frozenset({"1.0.0"}))

    with pytest.raises(EmbeddedUnavailable, match=f"1.0.0, and {confluent_kafka.libversion()[0]} is installed"):
        EmbeddedBroker()


@pytest.mark.parametrize("tcp", [False, True])
def test_redis_answers_evicts_nothing_and_is_gone_when_closed(tcp: bool) -> None:
    with EmbeddedRedis(tcp=tcp) as server, server.client() as client:
        client.set("k", "v")
        assert client.get("k") == b"v"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}

    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(server.url) as client:
        client.ping()


def test_a_persistent_redis_killed_in_the_midst_has_again_what_it_answered_for(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, persistent=True) as server, server.client() as client:
        client.set("k", "v")
        server.process.kill()

    with EmbeddedRedis(tmp_path, persistent=True) as server, server.client() as client:
        assert client.get("k") == b"v"


def test_another_process_uses_the_redis_of_this_one(embedded_redis: EmbeddedRedis) -> None:
    code = "import redis, sys; print(redis.Redis.from_url(sys.argv[1]).set('k', 'v'))"

    with python(code, embedded_redis.url) as other:
        assert first_line(other) == "True"
        assert other.wait(10) == 0
    with embedded_redis.client() as client:
        assert client.get("k") == b"v"


def test_a_redis_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("a file where Redis wants a directory")

    with pytest.raises(EmbeddedUnavailable, match="appendonlydir"):
        EmbeddedRedis(tmp_path, persistent=True)


@pytest.fixture(params=[pytest.param(False, id="by the kernel"), pytest.param(True, id="by a watcher")])
def orphan(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that started a server, and the pid of that server."""
    watched: bool = request.param
    if not watched and sys.platform != "linux":
        pytest.skip("the kernel ends children on Linux only")
    code = """
        import signal, sys
        from pathlib import Path
        from detector.embedded import Child
        here = Path(sys.argv[1])
        child = Child(["sleep", "1000"], cwd=here, log=here / "log", watched=sys.argv[2] == "True")
        print(child.pid, flush=True)
        signal.pause()
        """
    with python(code, str(tmp_path), str(watched)) as parent:
        pid = int(first_line(parent))
        yield parent, pid
        parent.kill()
    if alive(pid):
        os.kill(pid, signal.SIGKILL)


def test_a_server_dies_with_a_parent_that_was_killed(orphan: tuple[subprocess.Popen[str], int]) -> None:
    parent, pid = orphan
    assert alive(pid)
    parent.kill()
    parent.wait()

    eventually(lambda: not alive(pid), "the server to end", timeout=10)


def test_a_watcher_ends_with_the_server_that_it_watches(tmp_path: Path) -> None:
    child = Child(["sleep", "1000"], cwd=tmp_path, log=tmp_path / "log", watched=True)
    watcher = child._watcher
    assert watcher is not None
    child.stop()

    assert watcher.poll() is not None


def test_a_server_that_heeds_no_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    child = Child([sys.executable, "-c", deaf], cwd=tmp_path, log=tmp_path / "log")
    eventually(lambda: "deaf" in (tmp_path / "log").read_text(), "the child to be deaf")
    child.stop(timeout=0.1)

    assert child.poll() == -signal.SIGKILL


def test_a_free_port_can_be_listened_on() -> None:
    assert 20_000 <= free_port() < 32_000
