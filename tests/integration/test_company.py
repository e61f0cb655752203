"""A company of 1,000 jobs and 2,025 datasets, ten levels deep, on real Kafka and Redis: one bad dataset among them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import msgspec
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from detector.core.breaker import signal
from detector.core.emissions import BreakerValue
from detector.core.incidents import Incident
from detector.core.messages import BOARD
from detector.core.recovery import RecoveryPlan
from detector.core.state import dump
from detector.core.state import load as load_state
from tests.integration.system import System
from tests.services.kafka import Kafka
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]
GROUPS, LEVELS, WIDTH = 25, 10, 4
HISTORY = 10
RUNS, EVERY = 6, 10.0  # runs of each job, and the seconds between two


def job(group: int, level: int, number: int) -> str:
    return f"g{group:02}.l{level}.j{number}"


def source(group: int) -> str:
    return f"g{group:02}.source"


def inputs(group: int, level: int, number: int) -> list[str]:
    """A job reads two of the datasets of the level above it; the first level reads the source of its group."""
    if level == 0:
        return [source(group)]
    return [f"{job(group, level - 1, (number + step) % WIDTH)}.{step}" for step in range(2)]


def outputs(group: int, level: int, number: int) -> list[str]:
    return [f"{job(group, level, number)}.{step}" for step in range(2)]


def run(group: int, level: int, number: int, at: float, nominal: float, run_id: str = "") -> Iterator[dict[str, Any]]:
    """The START and the end of one run."""
    read = [{"namespace": "db", "name": name} for name in inputs(group, level, number)]
    written = [{"namespace": "db", "name": name, "rows": 1_000.0} for name in outputs(group, level, number)]
    name = job(group, level, number)
    event = {"namespace": "shop", "name": name, "run_id": run_id or f"{name}@{at:.0f}", "nominal_time": nominal}
    yield {**event, "event_time": at, "state": "START", "inputs": read}
    yield {**event, "event_time": at + 1, "state": "COMPLETE", "inputs": read, "outputs": written}


def load(group: int, at: float, rows: float) -> Iterator[dict[str, Any]]:
    """A load of the source of a group, by a job that is none of the company."""
    event = {"namespace": "shop", "name": f"load.g{group:02}", "run_id": f"load{group}@{at:.3f}"}
    written = [{"namespace": "db", "name": source(group), "rows": rows}]
    yield {**event, "event_time": at - 1, "state": "START"}
    yield {**event, "event_time": at, "state": "COMPLETE", "outputs": written}


def below(group: int) -> set[str]:
    """The 40 jobs that read what the source of a group holds, directly or not."""
    return {f"job:shop/{job(group, level, n)}" for level in range(LEVELS) for n in range(WIDTH)}


@dataclass
class Watch:
    """Follows the topic of breakers as a reader does; `held` and `free` are when each entity was first seen so."""

    system: System
    stop: Event = field(default_factory=Event)
    held: dict[str, float] = field(default_factory=dict)
    free: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> "Watch":
        self._thread = Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(10)

    def clear(self) -> None:
        self.held, self.free = {}, {}

    def wait_for(self, jobs: set[str]) -> None:
        """Until all of these are held."""
        eventually(lambda: jobs <= self.held.keys(), f"{len(jobs)} jobs to be held", 30)

    def _follow(self) -> None:
        settings = {
            "bootstrap.servers": self.system.bootstrap,
            "group.id": "watch",
            "isolation.level": "read_committed",
        }
        reader = Consumer({**settings, "enable.auto.commit": False, "fetch.wait.max.ms": 5})
        topic = self.system.config.topics.breakers
        reader.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(self.system.partitions)])
        while not self.stop.is_set():
            message = reader.poll(0.1)
            key = None if message is None or message.error() else message.key()
            if message is None or key is None or key.startswith(b"heartbeat:") or message.value() is None:
                continue
            value = msgspec.json.decode(message.value() or b"", type=BreakerValue)
            now = time.monotonic()
            (self.held if value.held_by else self.free).setdefault(value.entity, now)
        reader.close()


@pytest.fixture
def system(kafka: Kafka, redis_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    settings = {"incidents": {"wait": "1s"}}
    with System(kafka.bootstrap, redis_url, topic_prefix, tmp_path, settings=settings) as made:
        yield made


def grow(system: System, groups: int = GROUPS) -> None:
    """Every job has run, and every source was loaded, often enough to know what is usual."""
    began = time.time() - 60.0 * (HISTORY + 2)
    for step in range(HISTORY):
        for group in range(groups):
            system.send(*load(group, began + 60.0 * step, 1_000.0 + Random(group * 100 + step).gauss(0, 10)))
    for step in range(RUNS):
        at = time.time() - EVERY * (RUNS - step)
        for level in range(LEVELS):
            for group in range(groups):
                for number in range(WIDTH):
                    system.send(*run(group, level, number, at, at))
    system.wait_until_idle(240)


def values(system: System, topic: str, type_: str, struct: type) -> list[Any]:
    """What was said of one type, in order."""
    found = [
        (headers["ce_time"], value)
        for _, _, _, value, headers in system.read(topic)
        if headers["ce_type"] == type_.encode() and value is not None
    ]
    return [msgspec.json.decode(value, type=struct) for _, value in found]


def told(system: System, phase: str) -> list[Incident]:
    return values(system, system.config.topics.control, f"io.detector.incident.{phase}.v1", Incident)


def quiet(system: System) -> None:
    """Wait until nothing is said any more: messages come from messages."""

    def ends() -> tuple[dict[int, int], ...]:
        return system.ends(system.config.topics.control), system.ends(system.config.topics.incidents)

    last = [ends()]

    def still() -> bool:
        system.wait_until_idle()
        last.append(ends())
        return last[-1] == last[-2]

    eventually(still, "everything to be said", 60)


def test_one_bad_dataset_is_one_incident_one_call_forty_held_jobs_and_a_plan(
    system: System, record_property: Any
) -> None:
    for slot in range(2):
        system.start(str(slot))
    grow(system)
    waited: list[float] = []
    with Watch(system) as watch:
        eventually(lambda: len(watch.free) >= 1_000, "the watch to have caught up", 30)
        for group in range(GROUPS):
            watch.clear()
            system.send(*load(group, time.time(), 3.0))
            began = time.monotonic()
            system.flush()
            watch.wait_for(below(group))
            waited.append(max(watch.held[key] for key in below(group)) - began)

            assert {key for key in watch.held if key.startswith("job:")} == below(group)
        watch.clear()
        system.send(*load(0, time.time() + 1, 1_000.0))
        system.flush()
        eventually(lambda: below(0) <= watch.free.keys(), "the jobs of group 0 to be released", 30)
    quiet(system)
    record_property("seconds from a bad load to the last held job", sorted(waited))

    calls = [i for phase in ("opened", "updated", "reopened") for i in told(system, phase) if i.pages]
    assert len(told(system, "opened")) == GROUPS
    assert len(calls) == GROUPS
    (resolved,) = told(system, "resolved")
    plans = values(system, system.config.topics.control, "io.detector.recovery.plan.v1", RecoveryPlan)
    (plan,) = [p for p in plans if p.root == f"dataset:db/{source(0)}"]
    assert resolved.state == "resolved"
    order = [step.job for step in plan.steps]
    levels = [int(name.split(".l")[1][0]) for name in order[1:]]
    assert order[0] == "job:shop/load.g00"
    assert set(order[1:]) == below(0)
    assert levels == sorted(levels)
    assert {redo.why for step in plan.steps[1:] for redo in step.runs} == {"blocked"}


def test_workers_killed_while_holds_travel(system: System) -> None:
    groups, random = 6, Random(31)
    workers = [system.start(str(slot)) for slot in range(2)]
    grow(system, groups)
    for turn in range(4):
        for group in range(groups):
            system.send(*load(group, time.time(), 3.0 if turn % 2 == 0 else 1_000.0))
        system.flush()
        for _ in range(2):
            time.sleep(random.uniform(0.05, 0.6))  # when it dies, not a wait for something
            slot = random.randrange(2)
            workers[slot].kill()
            workers[slot] = system.start(str(slot))
        system.wait_until_idle(120)
    quiet(system)

    system.check()
    _, store = system.undisturbed()
    kept = {key: load_state(s) for _, states, _ in store.snapshots.values() for key, s in states.items()}
    assert {key: dump(entity) for key, entity in kept.items()} == system.states(), "Redis has what the log says"
    published = last_values(system)
    for key, entity in kept.items():
        if key != BOARD:
            value, judgement = published[key], entity.judgement
            told_ = signal(judgement.breaker, judgement.override, judgement.holds)
            assert (value.state, value.reason, value.breaker()) == (told_.state, told_.reason, judgement.breaker)
            assert [held.root for held in value.held_by] == sorted(r for r, h in judgement.holds.items() if h.active)


def last_values(system: System) -> dict[str, BreakerValue]:
    """The topic of breakers as it is once it was compacted."""
    found: dict[str, BreakerValue] = {}
    for _, _, key, value, _ in system.read(system.config.topics.breakers):
        name = (key or b"").decode()
        if value is not None and not name.startswith("heartbeat:"):
            found[name] = msgspec.json.decode(value, type=BreakerValue)
    return found
