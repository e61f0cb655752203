"""Apache Kafka itself, one node or three, from the artifacts that Maven Central has of it."""

import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Final, Protocol, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from detector.embedded import Child, free_port
from tests.services.cache import cached, maven
from tests.services.waiting import eventually

HERE: Final = Path(__file__).parent


class Kafka(Protocol):
    """What a test may ask of a Kafka, whoever runs it."""

    @property
    def bootstrap(self) -> str: ...

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None: ...


class RunningKafka:
    """A Kafka that was there before the tests; it has as many replicas of a topic as it likes."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        create_topic(AdminClient({"bootstrap.servers": self.bootstrap}), name, partitions, -1, config)


def create_topic(admin: AdminClient, name: str, partitions: int, replicas: int, config: Mapping[str, str]) -> None:
    dotted = {key.replace("_", "."): value for key, value in config.items()}
    topic = NewTopic(name, num_partitions=partitions, replication_factor=replicas, config=dotted)
    admin.create_topics([topic])[name].result(timeout=30)

    def led() -> bool:
        known = admin.list_topics(name, timeout=10).topics[name].partitions
        return len(known) == partitions and all(partition.leader >= 0 for partition in known.values())

    eventually(led, f"{name} to have leaders")


class Node:
    """One node: broker and controller. It keeps its ports and its data when it is stopped and started again."""

    def __init__(self, number: int, directory: Path) -> None:
        self.number = number
        self.directory = directory
        self.port = free_port()
        self.controller_port = free_port()
        self.process: Child | None = None

    @property
    def log(self) -> Path:
        return self.directory / f"kafka-{self.number}.log"

    @property
    def voter(self) -> str:
        return f"{self.number}@127.0.0.1:{self.controller_port}"

    def format(self, cluster_id: str, settings: str) -> Child:
        (self.directory / "data").mkdir(parents=True)
        (self.directory / "server.properties").write_text(settings)
        alone = ["--standalone"] if "quorum.bootstrap.servers" in settings else []
        return self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", "server.properties", *alone)

    def start(self) -> None:
        self.process = self._java("kafka.Kafka", "server.properties")

    def listens(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"Kafka node {self.number} ended at its start; see {self.log}:\n{_tail(self.log)}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _java(self, main: str, *arguments: str) -> Child:
        libs = cached("kafka", (HERE / "pom.xml").read_text(), _download)
        # C1 alone: a test's Kafka lives for a minute, and the better compiler would take a core for much of it.
        options = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        command = ["java", *options, logging, "-cp", f"{libs}/libs/*", main, *arguments]
        return Child(command, cwd=self.directory, log=self.log)


class KafkaCluster:
    """Apache Kafka on `nodes` nodes, numbered from 1, at `bootstrap`.

    Raises `RuntimeError` with the end of the log when a node does not start; logs stay in `directory`.
    """

    def __init__(self, directory: Path, nodes: int = 1, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.nodes = {number: Node(number, directory / f"node-{number}") for number in range(1, nodes + 1)}
        self._settings = settings or {}
        self._admin: AdminClient | None = None

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes.values())

    @property
    def admin(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return self._admin

    def start(self) -> Self:
        cluster_id = uuid.uuid4().hex[:22]  # an id that begins with "-" would be taken for an option
        formats = {node: node.format(cluster_id, self._properties(node)) for node in self.nodes.values()}
        for node, process in formats.items():
            if process.wait(timeout=60) != 0:
                raise RuntimeError(f"cannot format node {node.number}:\n{_tail(node.log)}")
        for node in self.nodes.values():
            node.start()
        self._wait_until_up(*self.nodes)
        return self

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        """Make a topic, a replica on each node; `config` has underscores for dots. Raises `KafkaException`."""
        create_topic(self.admin, name, partitions, len(self.nodes), config)

    def stop_node(self, number: int) -> None:
        """Let the node hand its partitions over and end."""
        self._process(number).stop(timeout=30)

    def kill_node(self, number: int) -> None:
        self._process(number).kill()

    def start_node(self, number: int) -> None:
        """Start the node again, with its data, and wait until it is one of the cluster."""
        self.nodes[number].start()
        self._wait_until_up(number)

    def kill(self) -> None:
        """End every node at once, the way a power cut does. Does nothing the second time."""
        for node in self.nodes.values():
            if node.process:
                node.process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def _process(self, number: int) -> Child:
        process = self.nodes[number].process
        assert process is not None, f"node {number} was never started"
        return process

    def _properties(self, node: Node) -> str:
        replicas = len(self.nodes)
        if replicas == 1:
            quorum = f"controller.quorum.bootstrap.servers=127.0.0.1:{node.controller_port}"
        else:
            quorum = "controller.quorum.voters=" + ",".join(each.voter for each in self.nodes.values())
        filled = Template((HERE / "server.properties").read_text()).substitute(
            node=node.number,
            quorum=quorum,
            port=node.port,
            controller_port=node.controller_port,
            directory=node.directory,
            replicas=replicas,
            in_sync=min(2, replicas),
        )
        return filled + "".join(f"{key}={value}\n" for key, value in self._settings.items())

    def _wait_until_up(self, *numbers: int) -> None:
        for number in numbers:
            eventually(self.nodes[number].listens, f"Kafka node {number} to listen", timeout=120)
        eventually(lambda: set(numbers) <= self._members(), f"Kafka nodes {numbers} to be in the cluster", timeout=120)

    def _members(self) -> set[int]:
        try:
            return set(self.admin.list_topics(timeout=5).brokers)
        except KafkaException:
            return set()


def _download(directory: Path) -> None:
    libs = f"-DoutputDirectory={directory / 'libs'}"
    maven("dependency:copy-dependencies", "-f", str(HERE / "pom.xml"), libs, "-DincludeScope=runtime")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"
