"""One contender, or the daemon, from a backlog on the input topic to its last committed position."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from bench.machine import Machine, cpu_seconds, tail, until
from bench.report import Run
from detector.app import group_of
from detector.codecs.schema import RUN_EVENT
from detector.config import Config, load
from detector.embedded import Child

PROGRAMS = {"a": "limit", "b": "script", "c": "quix", "d": "bytewax_flow"}
PATIENCE = 300.0  # seconds


class Failed(Exception):
    """A contender did not come to the end; the message has its last words."""


def contender(machine: Machine, who: str, python: str, topic: str, events: int, repetition: int) -> Run:
    """Let one of the contenders read `topic` to its end. Raises `Failed`."""
    name = f"bench-{who}-{repetition}"
    directory = machine.directory / name
    directory.mkdir()
    (directory / "schema.json").write_text(json.dumps(RUN_EVENT.parsed))
    machine.topic(f"{name}-alerts", 1)
    log = directory / "log"
    options = {
        "bootstrap": machine.bootstrap,
        "topic": topic,
        "events": str(events),
        "name": name,
        "alerts": f"{name}-alerts",
        "redis": machine.redis_url,
        "directory": str(directory),
        "schema": str(directory / "schema.json"),
    }
    command = [python, "-m", f"bench.contenders.{PROGRAMS[who]}"]
    process = machine.start([*command, *(part for key, value in options.items() for part in (f"--{key}", value))], log)
    try:
        code = process.wait(PATIENCE)
    finally:
        process.kill()
    if code != 0:
        raise Failed(tail(log))
    told = json.loads(log.read_text(errors="replace").strip().splitlines()[-1])
    ends = machine.ends(topic)
    if told["events"] != events or (who != "d" and machine.committed(name, topic) != ends):
        raise Failed(f"{name} did not commit all of {topic}: {machine.committed(name, topic)} of {ends}")
    machine.drop(name)
    machine.redis().flushdb()
    return Run(
        who, repetition, told["events"], told["seconds"], told["cpu_seconds"], told["alerts"] if who != "a" else None
    )


@dataclass
class Daemon:
    """Processes of `detector run` with topics and keys of their own, at the default settings."""

    machine: Machine
    name: str
    inputs: str
    config: Config = field(init=False)
    log: Path = field(init=False)
    _processes: list[Child] = field(default_factory=list)

    def __post_init__(self) -> None:
        topics = ("log", "control", "breakers", "snapshots", "dead_letters")
        directory = self.machine.directory / self.name
        directory.mkdir()
        text = yaml.safe_dump(
            {
                "kafka": {"bootstrap_servers": self.machine.bootstrap},
                "topics": {"inputs": [self.inputs], **{key: f"{self.name}.{key}" for key in topics}},
                "redis": {"url": self.machine.redis_url, "prefix": self.name},
                "worker": {"slot": "0"},
                "http": {"port": 0},
            }
        )
        self.path = directory / "detector.yaml"
        self.path.write_text(text)
        self.log = directory / "log"
        self.config = load(text)

    def start(self, stages: str = "ingest,worker") -> Child:
        """Start a process of these stages."""
        command = [sys.executable, "-m", "detector", "run", "--config", str(self.path), "--stages", stages]
        process = self.machine.start(command, self.log)
        self._processes.append(process)
        return process

    def stop(self) -> None:
        """Let every process commit, snapshot and end."""
        for process in self._processes:
            if process.poll() is None:
                process.stop(timeout=20)
        self._processes = []

    def ingested(self) -> dict[int, int]:
        """How far the first stage has committed."""
        return self.machine.committed(group_of("ingest", self.config), self.inputs)

    def judged(self) -> dict[int, int]:
        """How far the second stage has committed."""
        return self.machine.committed(group_of("worker", self.config), self.config.topics.log)

    def judged_all(self) -> Callable[[], bool]:
        """A probe: whether all that is in the log now has been judged. The last offset may be a control marker."""
        marks = {p: max(end - 1, 0) for p, end in self.machine.ends(self.config.topics.log).items()}

        def probe() -> bool:
            done = self.judged()
            return all(done[p] >= mark for p, mark in marks.items())

        return probe

    def wait(self, probe: Callable[[], bool], process: Child, what: str) -> float:
        """Wait for `probe`. Returns the moment. Raises `Failed`."""
        try:
            return until(probe, process, self.log, what, PATIENCE)
        except RuntimeError as error:
            raise Failed(str(error)) from None

    def states(self) -> dict[str, list[int]]:
        """The sizes of all states in Redis, by kind of entity."""
        found: dict[str, list[int]] = {"job": [], "dataset": []}
        client = self.machine.redis()
        for partition in range(self.config.topics.partitions):
            key = f"{self.name}:{{{self.config.topics.log}-{partition}}}:states"
            for entity, state in cast("dict[bytes, bytes]", client.hgetall(key)).items():
                found.setdefault(entity.decode().partition(":")[0], []).append(len(state))
        return found

    def clear(self) -> None:
        """Delete its topics and keys."""
        self.machine.drop(f"{self.name}.")
        self.machine.redis().flushdb()


def daemon(machine: Machine, topic: str, repetition: int) -> tuple[Run, dict[str, list[int]]]:
    """Both stages in one process. The clock begins with the first commit, and what that held is not counted."""
    tested = Daemon(machine, f"bench-e-{repetition}", topic)
    ends = machine.ends(topic)
    process = tested.start()
    try:
        began = tested.wait(lambda: any(tested.ingested().values()), process, "the first commit")
        before, cpu = sum(tested.ingested().values()), cpu_seconds(process.pid)
        tested.wait(lambda: tested.ingested() == ends, process, "ingest to come to the end")
        over = tested.wait(tested.judged_all(), process, "the worker to come to the end")
        used = cpu_seconds(process.pid) - cpu
    finally:
        tested.stop()
    states = tested.states()
    tested.clear()
    return Run("e", repetition, sum(ends.values()) - before, over - began, used), states


def stages(machine: Machine, topic: str, repetition: int) -> list[Run]:
    """Each stage alone, one after the other, in a process of its own."""
    tested = Daemon(machine, f"bench-stages-{repetition}", topic)
    ends = machine.ends(topic)
    events = sum(ends.values())
    runs = []
    try:
        process = tested.start("ingest")
        began = tested.wait(lambda: any(tested.ingested().values()), process, "the first commit")
        before, cpu = sum(tested.ingested().values()), cpu_seconds(process.pid)
        over = tested.wait(lambda: tested.ingested() == ends, process, "ingest to come to the end")
        runs.append(Run("ingest", repetition, events - before, over - began, cpu_seconds(process.pid) - cpu))
        tested.stop()
        probe = tested.judged_all()
        records = sum(machine.ends(tested.config.topics.log).values())
        process = tested.start("worker")
        began = tested.wait(lambda: any(tested.judged().values()), process, "the worker's first commit")
        before, cpu = sum(tested.judged().values()), cpu_seconds(process.pid)
        over = tested.wait(probe, process, "the worker to come to the end")
        left = round(events * (1 - before / records))
        runs.append(Run("worker", repetition, left, over - began, cpu_seconds(process.pid) - cpu))
    finally:
        tested.stop()
    tested.clear()
    return runs
