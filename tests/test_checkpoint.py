"""Random schedules of crashes, zombies and losses against the real checkpoint: the outcome is that of one quiet run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from detector.checkpoint import Checkpoint, Limits
from detector.core import pipeline
from detector.core.emissions import Emission
from detector.core.events import Dataset, DeadLetter, RunEvent, Tick, encode, observations
from detector.core.partition import partition_of
from detector.core.rules import Rules
from detector.deadletters import send_of as send_dead
from detector.errors import CommitAborted
from detector.seams import Send
from tests.fakes.cluster import Cluster, FakeLog, FakeStore

PARTITIONS = 2
START = 1_790_000_000.0


@dataclass
class Told:
    """Keeps what the checkpoint tells of itself."""

    events: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.events.append((name, args))

    def count(self, name: str) -> int:
        return sum(event == name for event, _ in self.events)


def send_of(emission: Emission) -> Send:
    """What a test reads of an emission: its id and what it says."""
    headers = (("ce_id", emission.id.encode()), ("ce_type", emission.type.encode()))
    from msgspec import json

    value = None if emission.data is None else json.encode(emission.data)
    return Send(emission.topic, emission.key.encode(), value, headers, emission.partition)


def dead_letter(letter: DeadLetter) -> Send:
    return send_dead(letter, "dead", "test")


@dataclass
class Worker:
    """One member: its log, its checkpoint, and what that told."""

    log: FakeLog
    checkpoint: Checkpoint
    told: Told

    def turn(self, limit: int = 10) -> None:
        """One round of the loop: recover what must be, read, apply."""
        self.checkpoint.settle()
        self.checkpoint.retry()
        self.checkpoint.apply(self.log.poll(limit))

    def commit(self) -> None:
        try:
            self.checkpoint.commit()
        except CommitAborted:
            self.told.events.append(("aborted", ()))

    def finish(self) -> None:
        """Read everything, commit it and write the snapshot."""
        while True:
            self.turn(1_000)
            waiting = self.log.poll(1)
            for record in waiting:
                self.log.seek(record.partition, record.offset)
            self.commit()
            self.checkpoint.settle()
            if not self.checkpoint.uncommitted() and not any(
                r.offset >= self.log.positions.get(p, 0) for p in self.log.positions for r in self.log.cluster.records[p]
            ):
                break
        self.checkpoint.snapshot()


def worker(
    cluster: Cluster,
    store: FakeStore,
    member: int = 1,
    chaos: Random | None = None,
    rules: Rules | None = None,
    limits: Limits | None = None,
    step: Callable[..., list[Emission]] = pipeline.step,
) -> Worker:
    """A member that owns nothing yet."""
    log, told = FakeLog(cluster, member, chaos), Told()
    checkpoint = Checkpoint(
        log, store, rules or Rules(), told, send_of, dead_letter, "snapshots", limits or Limits(), step
    )
    return Worker(log, checkpoint, told)


def give(cluster: Cluster, to: Worker, partitions: range | list[int] = range(PARTITIONS)) -> Worker:
    """The group assigns partitions to a member."""
    for partition in partitions:
        cluster.owner[partition] = to.log.member
    to.checkpoint.assigned(partitions)
    return to


def fill(cluster: Cluster, random: Random, count: int, at: float = START) -> float:
    """Append runs of a few jobs, some failing, some short, with ticks between. Returns the time of the end."""
    for number in range(count):
        at += random.uniform(20, 200)
        job, run = f"job{random.randrange(4)}", f"run-{at:.3f}"
        state = "FAIL" if random.random() < 0.2 else "COMPLETE"
        rows = 5.0 if random.random() < 0.1 else random.gauss(1_000, 20)
        written = (Dataset("db", f"table{random.randrange(3)}", rows=rows),)
        for event in (
            RunEvent("ns", job, run, "START", at),
            RunEvent("ns", job, run, state, at + 10, outputs=written),
        ):
            for key, body in observations(event, at):
                cluster.append(partition_of(key, cluster.partitions), key, encode(body), at)
        if number % 3 == 0:
            for partition in range(cluster.partitions):
                cluster.append(partition, None, encode(Tick(at)), at)
    return at


def written(cluster: Cluster, *topics: str) -> list[tuple[str, str, bytes | None]]:
    """(id, key, value) of what stands on these topics, sorted: partitions have no order between them."""
    found = [s for s in cluster.written if s.topic in (topics or ("control", "breakers"))]
    return sorted((dict(s.headers)["ce_id"].decode(), (s.key or b"").decode(), s.value) for s in found)  # type: ignore[union-attr]


def quiet(cluster: Cluster) -> tuple[list[tuple[str, str, bytes | None]], FakeStore]:
    """What one undisturbed pass over the same log says, and the snapshots that it leaves."""
    calm, store = Cluster(cluster.partitions), FakeStore()
    calm.records = cluster.records
    give(calm, worker(calm, store), range(cluster.partitions)).finish()
    return written(calm), store


# ---------------------------------------------------------------- schedules


class Schedule:
    """Two workers, a log that grows, and a random order of everything that can happen."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cluster, self.store = Cluster(PARTITIONS), FakeStore()
        self.members = 0
        self.at = fill(self.cluster, self.random, 15)
        self.workers = [self.new(), self.new()]
        self.zombies: list[Worker] = []
        for partition in range(PARTITIONS):
            give(self.cluster, self.workers[partition % 2], [partition])

    def new(self) -> Worker:
        self.members += 1
        limits = Limits(snapshot_records=self.random.choice((5, 20, 1_000)), cached=self.random.choice((1, 100)))
        return worker(self.cluster, self.store, self.members, Random(self.random.random()), limits=limits)

    def run(self, actions: int) -> None:
        names = [name for name in dir(self) if name.startswith("do_")]
        for _ in range(actions):
            getattr(self, self.random.choice(names))()

    def any(self) -> Worker:
        return self.random.choice(self.workers + self.zombies)

    def do_turn(self) -> None:
        self.any().turn(self.random.randrange(1, 12))

    do_turn_again = do_turn_more = do_turn_often = do_turn

    def do_commit(self) -> None:
        self.any().commit()

    do_commit_again = do_commit

    def do_snapshot(self) -> None:
        self.any().checkpoint.snapshot()

    do_snapshot_again = do_snapshot

    def do_grow(self) -> None:
        self.at = fill(self.cluster, self.random, self.random.randrange(1, 4), self.at)

    def do_crash(self) -> None:
        at = self.random.randrange(len(self.workers))
        partitions = self.owned(self.workers[at])
        self.workers[at] = self.new()
        give(self.cluster, self.workers[at], partitions)

    def do_move_politely(self) -> None:
        giver, taker = self.random.sample(self.workers, 2)
        for partition in self.owned(giver)[:1]:
            giver.checkpoint.revoked([partition])
            giver.log.forget(partition)
            give(self.cluster, taker, [partition])

    def do_become_a_zombie(self) -> None:
        if len(self.zombies) < 2:
            at = self.random.randrange(len(self.workers))
            zombie, partitions = self.workers[at], self.owned(self.workers[at])
            self.zombies.append(zombie)
            self.workers[at] = self.new()
            give(self.cluster, self.workers[at], partitions)

    def do_bury_a_zombie(self) -> None:
        if self.zombies:
            zombie = self.zombies.pop()
            zombie.checkpoint.lost(range(PARTITIONS))
            for partition in range(PARTITIONS):
                zombie.log.forget(partition)

    def do_lose_the_tail(self) -> None:
        self.store.roll_back(self.random.randrange(4))

    def do_flush(self) -> None:
        if self.random.random() < 0.3:
            self.store.flush()

    def do_redis_goes_or_comes(self) -> None:
        self.store.away = not self.store.away and self.random.random() < 0.5

    def owned(self, worker: Worker) -> list[int]:
        return [p for p, member in self.cluster.owner.items() if member == worker.log.member]

    def end(self) -> None:
        self.store.away = False
        fill(self.cluster, self.random, 4, self.at)  # so that every partition finds out what Redis has lost
        for each in self.workers * 2:
            each.log.chaos = None
            each.finish()


def check_schedules(seeds: range) -> None:
    for seed in seeds:
        schedule = Schedule(seed)
        schedule.run(70)
        schedule.end()
        expected, store = quiet(schedule.cluster)

        assert written(schedule.cluster) == expected, f"seed {seed}"
        for partition, (head, states, due) in store.snapshots.items():
            found = schedule.store.snapshots[partition]
            assert found[0].digest == head.digest, f"seed {seed}"
            assert (found[1], found[2]) == (states, due), f"seed {seed}"


def test_random_schedules_say_exactly_what_a_quiet_run_says() -> None:
    check_schedules(range(150))


@pytest.mark.crash
def test_many_random_schedules_say_exactly_what_a_quiet_run_says() -> None:
    check_schedules(range(1_000, 4_000))
