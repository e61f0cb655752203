"""One contender, or the daemon, from a backlog on the input topic to its last committed position."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from bench.machine import Machine, cpu_seconds, tail
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
    """Let one of the contenders read `events` records of `topic`. Raises `Failed`."""
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
    # Bytewax keeps its positions itself.
    committed = events if who == "d" else sum(machine.committed(name, topic).values())
    if not told["events"] == committed == events:
        raise Failed(f"{name} read {told['events']} and committed {committed} of {events} records")
    machine.drop(name)
    machine.redis().flushdb()
    return Run(
        who, repetition, told["events"], told["seconds"], told["cpu_seconds"], told["alerts"] if who != "a" else None
    )


class Meter:
    """The time and the share of a core that a process takes. It began before anybody could look: hence the readings."""

    def __init__(self, process: Child) -> None:
        self._process = process
        self._readings: list[tuple[float, float]] = []
        self.read()

    def read(self) -> None:
        """Note the time, and what the process has used so far."""
        self._readings.append((time.time(), cpu_seconds(self._process.pid)))

    def runs(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def run(self, who: str, repetition: int, events: int, began: float) -> Run:
        """What it took from `began`, in seconds since 1970, to the last reading."""
        over, used = self._readings[-1]
        before = max((cpu for at, cpu in self._readings if at <= began), default=self._readings[0][1])
        return Run(who, repetition, events, over - began, used - before)


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
        topics = ("log", "control", "breakers", "incidents", "alerts", "runs", "commands", "snapshots", "dead_letters")
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

    def wait(self, probe: Callable[[], bool], meter: Meter, what: str) -> None:
        """Wait for `probe`. Raises `Failed`."""
        deadline = time.monotonic() + PATIENCE
        while not probe():
            meter.read()
            if not meter.runs() or time.monotonic() > deadline:
                raise Failed(f"{what}: not within {PATIENCE:.0f} s, or the process ended\n{tail(self.log)}")
            time.sleep(0.01)
        meter.read()

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
    """Both stages in one process, from its first record in the log to the worker's last commit."""
    tested = Daemon(machine, f"bench-e-{repetition}", topic)
    ends = machine.ends(topic)
    process = tested.start()
    meter = Meter(process)
    try:
        tested.wait(lambda: tested.ingested() == ends, meter, "ingest to come to the end")
        tested.wait(tested.judged_all(), meter, "the worker to come to the end")
    finally:
        tested.stop()
    run = meter.run("e", repetition, sum(ends.values()), machine.first(tested.config.topics.log))
    states = tested.states()
    tested.clear()
    return run, states


def stages(machine: Machine, topic: str, repetition: int) -> list[Run]:
    """Each stage alone, one after the other, in a process of its own."""
    tested = Daemon(machine, f"bench-stages-{repetition}", topic)
    topics, ends = tested.config.topics, machine.ends(topic)
    events = sum(ends.values())
    try:
        ingest = Meter(tested.start("ingest"))
        tested.wait(lambda: tested.ingested() == ends, ingest, "ingest to come to the end")
        tested.stop()
        probe = tested.judged_all()
        worker = Meter(tested.start("worker"))
        tested.wait(probe, worker, "the worker to come to the end")
    finally:
        tested.stop()
    runs = [
        ingest.run("ingest", repetition, events, machine.first(topics.log)),
        worker.run("worker", repetition, events, machine.first(topics.snapshots)),
    ]
    tested.clear()
    return runs
