"""Detector as it is run: processes of `detector run` against real services, and what must be true afterwards."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self, cast, get_args

import msgspec
import redis
import yaml
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from detector import app
from detector.broker import topic_identity
from detector.checkpoint import Checkpoint
from detector.config import Config, load
from detector.core.events import RunObserved, Tick, decode
from detector.core.messages import Message as Told
from detector.deadletters import send_of
from detector.seams import Send
from detector.settings import rules_of
from detector.sinks import cloudevents
from detector.telemetry import Telemetry
from tests.fakes.cluster import Cluster, FakeLog, FakeStore
from tests.services.kafka import create_topic
from tests.services.waiting import eventually

MINUTE = 60.0
MESSAGES = get_args(Told)
OURS = ("log", "control", "breakers", "incidents", "alerts", "runs", "commands", "snapshots", "dead_letters")
Message = tuple[int, int, bytes | None, bytes | None, dict[str, bytes]]


@dataclass
class Process:
    """One `detector run`."""

    popen: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """As a power cut does."""
        self.popen.kill()
        self.popen.wait()

    def terminate(self, within: float = 15.0) -> int:
        """As Kubernetes does. Returns the exit code; who does not end in time says where its threads are."""
        self.popen.terminate()
        try:
            return self.popen.wait(within)
        except subprocess.TimeoutExpired as late:
            self.popen.send_signal(signal.SIGABRT)
            self.popen.wait()
            said = self.text()
            raise AssertionError(f"{late}:\n{said[said.find('Fatal Python error') :]}") from None

    def text(self) -> str:
        """What it has logged."""
        return self.log.read_text(errors="replace")


@dataclass
class System:
    """Topics and keys of one test's own, the processes that it started, and what stands on the topics.

    `settings` are laid over the configuration of each process.
    """

    bootstrap: str
    redis_url: str
    name: str
    directory: Path
    partitions: int = 4
    inputs: int = 2
    replication: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        base: dict[str, Any] = {
            "kafka": {"bootstrap_servers": self.bootstrap},
            "topics": {
                "inputs": [f"{self.name}in"],
                "partitions": self.partitions,
                "replication": self.replication,
                **{key: f"{self.name}{key}" for key in OURS},
            },
            "redis": {"url": self.redis_url, "prefix": self.name.strip(".").replace(".", "-")},
            "worker": {"snapshot_interval": "1s"},
            "time": {"tick": "500ms", "gap": "60s"},
            "http": {"port": 0},
        }
        for table, keys in self.settings.items():
            base[table] = {**base.get(table, {}), **keys} if isinstance(keys, dict) else keys
        self.text = yaml.safe_dump(base)
        self.path = self.directory / f"{self.name}yaml"
        self.path.write_text(self.text)
        self.config: Config = load(self.text)
        settings = {"bootstrap.servers": self.bootstrap, "linger.ms": 5, "acks": "all", "message.max.bytes": 16 << 20}
        self._producer = Producer(settings)
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap})
        create_topic(self.admin, f"{self.name}in", self.inputs, self.replication, {"max_message_bytes": str(16 << 20)})
        # The groups are the program's; each test has its own by the names of its topics.
        app.prepare(self.config, {"bootstrap.servers": self.bootstrap})

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    # ------------------------------------------------------------ processes

    def start(self, slot: str = "0", stages: str = "ingest,worker", **env: str) -> Process:
        """Start a process; it dies with the test."""
        log = self.directory / f"{self.name}{len(self.processes)}.log"
        with log.open("wb") as out:
            popen = subprocess.Popen(
                [sys.executable, "-m", "detector", "run", "--config", str(self.path), "--stages", stages],
                stdout=out,
                stderr=out,
                env={**os.environ, "PYTHONFAULTHANDLER": "1", "DETECTOR_WORKER__SLOT": slot, **env},
            )
        process = Process(popen, log)
        self.processes.append(process)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.popen.send_signal(signal.SIGCONT)
            process.kill()

    # ------------------------------------------------------------ events

    def send(
        self, *events: Mapping[str, Any], encode: Callable[[Mapping[str, Any]], bytes] = msgspec.json.encode
    ) -> None:
        """Put events on the input topic, as native JSON if nothing else is said, as if each came when it happened."""
        for event in events:
            at = int(event["event_time"] * 1000)
            self._producer.produce(self.config.topics.inputs[0], encode(event), str(event["name"]), timestamp=at)
            self._producer.poll(0)
            self.sent += 1

    def command(self, said: Mapping[str, Any]) -> None:
        """Put a command of a person on its topic."""
        self._producer.produce(self.config.topics.commands, msgspec.json.encode(said))
        self.flush()

    def flush(self) -> None:
        """Wait until everything that was sent is in Kafka."""
        assert self._producer.flush(30) == 0

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The stable committed offsets."""
        reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "isolation.level": "read_committed"})
        try:
            count = len(reader.list_topics(topic, timeout=10).topics[topic].partitions)
            found = reader.committed([TopicPartition(topic, p) for p in range(count)], timeout=30)
            return {at.partition: max(at.offset, 0) for at in found}
        finally:
            reader.close()

    def ends(self, topic: str, committed: bool = True) -> dict[int, int]:
        """The last stable offsets, or those of all that was written."""
        level = "read_committed" if committed else "read_uncommitted"
        reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "x", "isolation.level": level})
        try:
            count = len(reader.list_topics(topic, timeout=10).topics[topic].partitions)
            return {p: _end(reader, TopicPartition(topic, p)) for p in range(count)}
        finally:
            reader.close()

    def wait_until_idle(self, timeout: float = 90.0) -> None:
        """Wait until everything that was sent has been judged: one tick that comes after all of it was consumed."""
        self.flush()
        topic = self.config.topics.inputs[0]
        ends = self.ends(topic)

        def ingested() -> bool:
            done = self.committed(app.group_of("ingest", self.config), topic)
            return all(done[p] >= end for p, end in ends.items())

        def judged() -> bool:
            done = self.committed(app.group_of("worker", self.config), self.config.topics.log)
            return all(done[p] >= at for p, at in marks.items())

        eventually(ingested, "ingest to catch up", timeout)
        marks = self.ends(self.config.topics.log)
        marks = {p: max(at - 1, 0) for p, at in marks.items()}
        eventually(judged, "the worker to catch up", timeout)

    # ------------------------------------------------------------ what stands on the topics

    def read(self, topic: str, committed: bool = True) -> list[Message]:
        """All records of a topic up to its end: partition, offset, key, value, headers."""
        level = "read_committed" if committed else "read_uncommitted"
        settings = {"bootstrap.servers": self.bootstrap, "group.id": "reader", "isolation.level": level}
        reader = Consumer({**settings, "enable.partition.eof": True, "enable.auto.commit": False})
        found: list[Message] = []
        try:
            left = set(reader.list_topics(topic, timeout=10).topics[topic].partitions)
            reader.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in left])
            while left:
                message = reader.poll(20)
                assert message is not None, f"{topic} cannot be read to its end"
                error = message.error()
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    left.discard(message.partition() or 0)
                    continue
                headers = cast("dict[str, bytes]", dict(message.headers() or ()))
                found.append((message.partition(), message.offset(), message.key(), message.value(), headers))  # type: ignore[arg-type]
            return found
        finally:
            reader.close()

    def said(self, events: Sequence[Message] | None = None) -> list[tuple[bytes, bytes | None, bytes | None]]:
        """(id, key, value) of everything on the topics of control, breakers and incidents."""
        messages = [m for topic in self._told() for m in self.read(topic)] if events is None else events
        return sorted((h["ce_id"], key, value) for _, _, key, value, h in messages)

    def expected(self) -> list[tuple[bytes, bytes | None, bytes | None]]:
        """The same, as an undisturbed pass over the log says it."""
        wanted = [s for s in self.undisturbed()[0].written if s.topic in self._told()]
        return sorted((_id(send), send.key, send.value) for send in wanted)

    def _told(self) -> tuple[str, str, str]:
        topics = self.config.topics
        return topics.control, topics.breakers, topics.incidents

    def messages(self) -> tuple[Counter[tuple[bytes, bytes]], Counter[tuple[bytes, bytes]]]:
        """What entities told each other, by key and value: as it stands in the log, and as an undisturbed pass says."""
        log = self.config.topics.log
        stands = Counter(
            (key or b"", value or b"")
            for _, _, key, value, _ in self.read(log)
            if isinstance(decode(value or b"").body, MESSAGES)
        )
        sent = [send for send in self.undisturbed()[0].written if send.topic == log]
        return stands, Counter((send.key or b"", send.value or b"") for send in sent)

    def undisturbed(self) -> tuple[Cluster, FakeStore]:
        """What one pass over the log writes and keeps: the real checkpoint, with Kafka and Redis in memory."""
        topics = self.config.topics
        topic_id, partitions = topic_identity({"bootstrap.servers": self.bootstrap}, topics.log)
        calm = Cluster(partitions, topic_id=topic_id, delivers=False)
        for partition, records in self.log_records().items():
            calm.records[partition] = records
            calm.owner[partition] = 1
        log, store = FakeLog(calm, 1), FakeStore()
        checkpoint = Checkpoint(
            log,
            store,
            rules_of(self.config),
            Telemetry(),
            lambda emission: cloudevents.encode(emission, app.SOURCE, topics),
            lambda letter: send_of(letter, topics.dead_letters, "calm"),
            "snapshots",
        )
        checkpoint.assigned(range(partitions))
        checkpoint.settle()
        while records := log.poll(1_000_000):
            checkpoint.apply(records)
            checkpoint.settle()
        checkpoint.commit()
        checkpoint.snapshot()
        return calm, store

    def states(self) -> dict[str, bytes]:
        """The state of each entity in Redis."""
        found: dict[str, bytes] = {}
        with self.redis as client:
            for key in client.scan_iter(f"{self.config.redis.prefix}:{{{self.config.topics.log}-*:states"):
                found |= {entity.decode(): state for entity, state in client.hgetall(key).items()}
        return found

    def log_records(self) -> dict[int, list[Any]]:
        """The committed records of the log, by partition, up to what the worker has committed."""
        from detector.broker import CONSUMER, record_of

        topic = self.config.topics.log
        upto = self.committed(app.group_of("worker", self.config), topic)
        settings = {
            **CONSUMER,
            "bootstrap.servers": self.bootstrap,
            "group.id": "log-reader",
            "group.protocol": "classic",
        }
        reader = Consumer(settings)
        found: dict[int, list[Any]] = {p: [] for p in upto}
        try:
            left = set(upto)
            reader.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in left])
            while left:
                message = reader.poll(20)
                assert message is not None, "the log cannot be read to its end"
                if message.error() is not None:
                    left.discard(message.partition() or 0)
                elif message.offset() < upto[message.partition()]:  # type: ignore[operator, index]
                    found[message.partition()].append(record_of(message))  # type: ignore[index]
            return found
        finally:
            reader.close()

    def runs_in_log(self) -> Counter[tuple[str, str]]:
        """How often each (run, state) stands in the log, at jobs."""
        counts: Counter[tuple[str, str]] = Counter()
        for _, _, _, value, _ in self.read(self.config.topics.log):
            body = decode(value or b"").body
            if isinstance(body, RunObserved):
                counts[body.run_id, body.state] += 1
        return counts

    def check(self) -> None:
        """Each outside record is in the log once, and what was said is what an undisturbed pass says.

        It ends the processes: time goes on as long as they live, and heartbeats with it.
        """
        for process in self.processes:
            process.terminate(30)
        counts = self.runs_in_log()
        assert sum(counts.values()) == self.sent
        assert set(counts.values()) == {1}
        said, expected = Counter(self.said()), Counter(self.expected())
        assert sorted((said - expected).elements()) == [], "said, and not expected or not so often"
        assert sorted((expected - said).elements()) == [], "expected, and not said"
        stands, sent = self.messages()
        assert stands == sent, "messages between entities"

    def ticks(self) -> list[float]:
        """The times of the ticks in partition 0 of the log."""
        found = [decode(value or b"").body for p, _, _, value, _ in self.read(self.config.topics.log) if p == 0]
        return [body.at for body in found if isinstance(body, Tick)]

    def anomalies(self, check: str | None = None) -> list[dict[str, Any]]:
        """The anomalies on the control topic, of one check or of all."""
        found = [msgspec.json.decode(value or b"{}") for _, _, _, value, _ in self.read(self.config.topics.control)]
        return [data for data in found if "check" in data and check in (None, data["check"])]


def _id(send: Send) -> bytes:
    return dict(send.headers)["ce_id"] or b""


def run_events(random: Random, jobs: int = 20, at: float | None = None) -> Iterator[dict[str, Any]]:
    """Runs of a few jobs without end, one in ten failing or short: START, then an end."""
    number = 0
    while True:
        number += 1
        moment = at or time.time()
        event = {
            "namespace": "shop",
            "name": f"job{random.randrange(jobs)}",
            "run_id": f"{random.getrandbits(64):016x}-{number}",
            "event_time": moment - 20,
        }
        failed = random.random() < 0.1
        rows = 3 if random.random() < 0.1 else random.gauss(1_000, 10)
        written = [{"namespace": "db", "name": f"table{random.randrange(8)}", "rows": rows}]
        yield {**event, "state": "START"}
        yield {**event, "event_time": moment, "state": "FAIL" if failed else "COMPLETE", "outputs": written}


@dataclass
class Daemon:
    """The stages of one process, as threads; `now` is what its clock shows."""

    now: float
    telemetry: Telemetry = field(default_factory=Telemetry)

    def value(self, metric: str) -> float:
        """What a metric says now."""
        return self.telemetry.registry.get_sample_value(metric) or 0.0

    def pass_to(self, at: float, step: float = MINUTE) -> None:
        """Let time pass in whole steps, a tick for each, as long as it is not past `at`."""
        while self.now + step <= at:
            self.now += step
            self.ticked()

    def ticked(self) -> None:
        """Wait for the tick of this moment."""
        eventually(lambda: self.value("detector_tick_timestamp_seconds") >= self.now, f"the tick of {self.now}", 60)


@contextmanager
def daemon(system: System, now: float, stages: Sequence[str] = app.STAGES) -> Iterator[Daemon]:
    """A running detector; it stops with the block, and its failure is the block's."""
    made, stop, failed = Daemon(now), Event(), list[BaseException]()

    def run() -> None:
        try:
            app.run(system.config, stages, stop, clock=lambda: made.now, telemetry=made.telemetry)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failed.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join(30)
    if failed:
        raise failed[0]


def _end(reader: Consumer, at: TopicPartition) -> int:
    """The end of a partition; a topic that was made just now may not have all of its leaders yet."""

    def asked() -> tuple[int] | None:
        try:
            return (reader.get_watermark_offsets(at, timeout=10)[1],)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
            return None

    found = eventually(asked, f"a leader of {at.topic}")
    assert found is not None
    return found[0]
