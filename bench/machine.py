"""Who runs where: the services on one core, whoever is measured on another, so that figures are per core."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition, libversion

from bench.company import Message
from detector.embedded import Child
from tests.services.kafka import KafkaCluster
from tests.services.redis import RedisServer

ROOT = Path(__file__).parent.parent
CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
ANSWER = 30.0
LIBRARIES = ("confluent-kafka", "fastavro", "msgspec", "numpy", "redis", "river")
CONTENDER_LIBRARIES = ("quixstreams", "bytewax", "confluent-kafka", "river")


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started in here runs on the first core (0) or the second (1) only; no promise where there is one."""
    if len(CPUS) < 2:
        yield
        return
    os.sched_setaffinity(0, {CPUS[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {CPUS[0]})


@dataclass
class Machine:
    """Kafka and Redis, and what the benchmark asks of them. `directory` is for files of whoever is measured."""

    directory: Path
    bootstrap: str = ""
    redis_url: str = ""
    _stack: ExitStack = field(default_factory=ExitStack)
    _readers: dict[str, Consumer] = field(default_factory=dict)
    _known: dict[str, list[int]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        with pinned(0):
            self._cluster = self._stack.enter_context(KafkaCluster(self.directory / "kafka"))
            self.redis_url = self._stack.enter_context(RedisServer(self.directory / "redis")).url
        self.bootstrap = self._cluster.bootstrap
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for reader in self._readers.values():
            reader.close()
        self._stack.close()

    def redis(self) -> redis.Redis:
        """A client of its own."""
        return redis.Redis.from_url(self.redis_url)

    # ------------------------------------------------------------ topics

    def topic(self, name: str, partitions: int, messages: Iterable[Message] = ()) -> None:
        """Make a topic that forgets nothing, and fill it."""
        self._cluster.create_topic(name, partitions, retention_ms="-1")
        settings = {"bootstrap.servers": self.bootstrap, "partitioner": "murmur2_random", "linger.ms": 50}
        producer = Producer({**settings, "enable.idempotence": True})  # or a new topic's first batches change places
        for message in messages:
            while True:
                try:
                    producer.produce(name, message.value, message.key, timestamp=round(message.at * 1000))
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(ANSWER):
            raise TimeoutError(f"Kafka did not take the events of {name}")

    def drop(self, prefix: str) -> None:
        """Delete the topics that begin with `prefix`: their upkeep would cost the next one."""
        names = [name for name in self._cluster.admin.list_topics(timeout=ANSWER).topics if name.startswith(prefix)]
        for deleted in self._cluster.admin.delete_topics(names).values() if names else ():
            with suppress(KafkaException):
                deleted.result()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The committed positions of a group; 0 where there is none.

        What is pending in a transaction does not count. Asking for stable ones would wait for as long as there always
        is another transaction under way.
        """
        reader, places = self._reader(group, "read_uncommitted"), self._partitions(topic)
        deadline = time.monotonic() + ANSWER
        while True:
            try:
                found = reader.committed([TopicPartition(topic, p) for p in places], timeout=ANSWER)
                return {at.partition: max(at.offset, 0) for at in found}
            except KafkaException:  # a Kafka that has just started has no coordinator yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def ends(self, topic: str) -> dict[int, int]:
        """The last stable offsets."""
        reader = self._reader("bench-ends", "read_committed")
        return {
            p: reader.get_watermark_offsets(TopicPartition(topic, p), timeout=ANSWER)[1]
            for p in self._partitions(topic)
        }

    def first(self, topic: str) -> float:
        """When the first record with a key was written, by the clock of who wrote it; ticks have no key."""
        reader = self._reader("bench-first", "read_committed")
        times = []
        for partition, end in self.ends(topic).items():
            reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            while end and (found := reader.poll(ANSWER)) is not None:
                if found.error() is None and found.key() is not None:
                    times.append(found.timestamp()[1] / 1000.0)
                    break
        reader.unassign()
        return min(times)

    def _partitions(self, topic: str) -> list[int]:
        """Of a topic that is there: asked for once, since `committed` is asked for often."""
        if topic not in self._known:
            self._known[topic] = sorted(self._cluster.admin.list_topics(topic, timeout=ANSWER).topics[topic].partitions)
        return self._known[topic]

    def _reader(self, group: str, isolation: str) -> Consumer:
        if group not in self._readers:
            settings = {
                "bootstrap.servers": self.bootstrap,
                "group.id": group,
                "isolation.level": isolation,
                "enable.auto.commit": False,
                "log_level": 0,  # topics are deleted under it
            }
            self._readers[group] = Consumer(settings)
        return self._readers[group]

    # ------------------------------------------------------------ processes

    def start(self, command: Sequence[str], log: Path) -> Child:
        """Start whoever is measured, on its core. What it prints goes to `log`."""
        with pinned(1):
            return Child(command, cwd=ROOT, log=log)


def cpu_seconds(pid: int) -> float:
    """How much of a core a process has used so far, all its threads together; nan where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tail(log: Path) -> str:
    """The end of what a process printed."""
    return log.read_text(errors="replace")[-2000:]


def described(machine: Machine | None, python: str | None) -> dict[str, str]:
    """The machine and the versions, for whoever reads the figures; without services, those of no service."""
    jars = [
        jar.stem
        for jar in Path(os.environ.get("DETECTOR_CACHE") or Path.home() / ".cache" / "detector").glob(
            "kafka/libs/kafka-clients-*.jar"
        )
    ]
    plain = {
        "processor": _processor(),
        "load": f"{os.getloadavg()[0]:.1f} before the run",
        "python": platform.python_version(),
        "detector's": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }
    if machine is None:
        return plain
    return {
        "cores": f"{os.cpu_count()}, "
        + ("services on one, who is measured on another" if len(CPUS) > 1 else "shared by all"),
        **plain,
        "kafka": jars[0].removeprefix("kafka-clients-") if jars else "?",
        "redis": str(machine.redis().info("server").get("redis_version")),
        "librdkafka": libversion()[0],
        "contenders'": _contender_versions(python),
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({platform.machine()})"
    return platform.machine()


def _contender_versions(python: str | None) -> str:
    if python is None:
        return "none"
    program = (
        "from importlib.metadata import version, PackageNotFoundError\n"
        f"for name in {CONTENDER_LIBRARIES!r}:\n"
        "    try: print(name, version(name))\n"
        "    except PackageNotFoundError: pass"
    )
    found = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return ", ".join(found.stdout.split("\n")).strip(", ")


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
