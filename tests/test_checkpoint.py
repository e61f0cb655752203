"""Random schedules of crashes, zombies and losses against the real checkpoint: the outcome is that of one quiet run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
import pytest

from detector.checkpoint import Checkpoint, Limits
from detector.core import pipeline
from detector.core.breaker import State
from detector.core.commands import VERDICTS, AnyCommand, Commanded, receivers
from detector.core.emissions import BreakerValue, Emission
from detector.core.events import Dataset, DeadLetter, RunEvent, RunObserved, RunState, Tick, encode, observations
from detector.core.messages import BOARD
from detector.core.partition import partition_of
from detector.core.pipeline import StepFailed
from detector.core.policies import window
from detector.core.rules import Rules, Settings
from detector.core.state import Run, dump, load
from detector.deadletters import send_of as send_dead
from detector.errors import CommitAborted, SnapshotMoved
from detector.seams import LARGEST, Committed, Send
from tests.fakes.cluster import Cluster, FakeLog, FakeStore
from tests.strategies import how_many

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
    value = None if emission.data is None else msgspec.json.encode(emission.data)
    if emission.topic == "log":
        value = encode(emission.data)  # type: ignore[arg-type]
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
                r.offset >= self.log.positions.get(p, 0)
                for p in self.log.positions
                for r in self.log.cluster.records[p]
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


def fill(cluster: Cluster, random: Random, count: int, at: float = START, reads: bool = False) -> float:
    """Append runs of a few jobs, some failing, some short, with ticks between. Returns the time of the end.

    With `reads`, each job reads a table, too, so that entities hold each other, in circles as well.
    """
    for number in range(count):
        at += random.uniform(20, 200)
        number_of_job = random.randrange(4)
        job, run = f"job{number_of_job}", f"run-{at:.3f}"
        inputs = (Dataset("db", f"table{number_of_job % 3}"),) if reads else ()
        state: RunState = "FAIL" if random.random() < 0.2 else "COMPLETE"
        rows = 5.0 if random.random() < 0.1 else random.gauss(1_000, 20)
        written = (Dataset("db", f"table{random.randrange(3)}", rows=rows),)
        for event in (
            RunEvent("ns", job, run, "START", at),
            RunEvent("ns", job, run, state, at + 10, inputs=inputs, outputs=written),
        ):
            for key, body in observations(event, at):
                cluster.append(partition_of(key, cluster.partitions), key, encode(body), at)
        if number % 3 == 0:
            for partition in range(cluster.partitions):
                cluster.append(partition, None, encode(Tick(at)), at)
    return at


def give_command(cluster: Cluster, command: AnyCommand, at: float) -> None:
    """What ingest makes of a command."""
    for key in receivers(command):
        places = range(cluster.partitions) if key is None else [partition_of(key, cluster.partitions)]
        for partition in places:
            cluster.append(partition, key, encode(Commanded(command)), at)


def any_command(cluster: Cluster, random: Random, at: float) -> AnyCommand:
    """Something that a person might say of what goes on."""
    entity = random.choice([f"job:ns/job{random.randrange(4)}", f"dataset:db/table{random.randrange(3)}"])
    incident = next((s.key.decode() for s in reversed(cluster.written) if s.topic == "incidents" and s.key), "none")
    planned = {"id": f"w{random.randrange(2)}", "match": "dataset:*", "start": at - 60, "end": at + 5_000}
    said: list[dict[str, Any]] = [
        {"command": "override", "entity": entity, "state": "force_open", "until": at + random.uniform(300, 9_000)},
        {"command": "override", "entity": entity, "state": "force_closed", "until": at + random.uniform(300, 9_000)},
        {"command": "override", "entity": entity, "state": "none"},
        {"command": "probe", "entity": entity},
        {"command": "feedback", "entity": entity, "verdict": random.choice(VERDICTS)},
        {"command": "feedback", "incident": incident, "verdict": random.choice(VERDICTS)},
        {"command": "acknowledge", "incident": incident},
        {"command": "window", "window": {**planned, "kind": random.choice(("mute", "maintenance"))}},
        {"command": "end_window", "window": planned["id"]},
    ]
    command: AnyCommand = msgspec.convert(
        {"id": f"command-{random.random()}", "by": "alice", **random.choice(said)}, AnyCommand
    )
    return command


def written(cluster: Cluster, *topics: str) -> list[tuple[str, str, bytes | None]]:
    """(id, key, value) of what stands on these topics, sorted: partitions have no order between them."""
    found = [s for s in cluster.written if s.topic in (topics or ("control", "breakers", "incidents", "runs", "log"))]
    return sorted((dict(s.headers)["ce_id"].decode(), (s.key or b"").decode(), s.value) for s in found)  # type: ignore[union-attr]


def quiet(cluster: Cluster) -> tuple[list[tuple[str, str, bytes | None]], FakeStore]:
    """What one undisturbed pass over the same log says, and the snapshots that it leaves."""
    calm, store = Cluster(cluster.partitions, delivers=False), FakeStore()
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
        self.at = fill(self.cluster, self.random, 15, reads=True)
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
        self.at = fill(self.cluster, self.random, self.random.randrange(1, 4), self.at, reads=True)

    def do_command(self) -> None:
        give_command(self.cluster, any_command(self.cluster, self.random, self.at), self.at)

    def do_crash(self) -> None:
        self.crash(self.random.randrange(len(self.workers)))

    def crash(self, at: int) -> None:
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
        fill(self.cluster, self.random, 4, self.at, reads=True)  # every partition finds out what Redis has lost
        length = -1
        while length != (length := sum(map(len, self.cluster.records))):  # one's messages are for the other
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
    check_schedules(range(how_many(1.5)))


@pytest.mark.slow
def test_many_random_schedules_say_exactly_what_a_quiet_run_says() -> None:
    check_schedules(range(1_000, 4_000))


# ---------------------------------------------------------------- what the schedules would catch


def wrong(seeds: range, sabotage: Callable[[Schedule], None]) -> int:
    """How many schedules go wrong once something is taken out."""
    count = 0
    for seed in seeds:
        schedule = Schedule(seed)
        sabotage(schedule)
        try:
            schedule.run(70)
            schedule.end()
        except (KeyError, RuntimeError, SnapshotMoved):
            count += 1
            continue
        count += written(schedule.cluster) != quiet(schedule.cluster)[0]
    return count


@pytest.mark.slow
def test_without_the_guard_schedules_go_wrong() -> None:
    def unguarded(schedule: Schedule) -> None:
        schedule.store.guarded = False

    assert wrong(range(60), unguarded) > 0


# ---------------------------------------------------------------- one rule, one test


def one(records: int = 30, seed: int = 1, **more: Any) -> tuple[Cluster, FakeStore, Worker]:
    """A cluster of one partition with some runs, and a worker that has it."""
    cluster, store = Cluster(1), FakeStore()
    fill(cluster, Random(seed), records)
    return cluster, store, give(cluster, worker(cluster, store, **more), [0])


def restart(cluster: Cluster, store: FakeStore, **more: Any) -> Worker:
    """The process died; another one takes over."""
    return give(cluster, worker(cluster, store, member=99, **more), [0])


def append(cluster: Cluster, event: RunEvent) -> None:
    for key, body in observations(event, event.event_time):
        cluster.append(partition_of(key, cluster.partitions), key, encode(body), event.event_time)


def tick(cluster: Cluster, at: float) -> None:
    for partition in range(cluster.partitions):
        cluster.append(partition, None, encode(Tick(at)), at)


def breakers(cluster: Cluster) -> dict[str, BreakerValue]:
    """What `detector.breakers` says of each entity."""
    last: dict[str, BreakerValue] = {}
    for partition in range(cluster.partitions):
        for key, value in FakeLog(cluster, 0).compacted("breakers", partition).items():
            if not key.startswith("heartbeat:"):
                last[key] = msgspec.json.decode(value, type=BreakerValue)
    return last


@pytest.mark.parametrize("limit", [1, 2, 7, 1_000])
def test_any_split_into_batches_gives_the_same_events_and_the_same_snapshot(limit: int) -> None:
    cluster, store, split = one()
    while any(r.offset >= split.log.positions.get(0, 0) for r in cluster.records[0]):
        split.turn(limit)
        if limit % 2:
            split.commit()
            split.checkpoint.snapshot()
    split.finish()
    expected, whole = quiet(cluster)

    assert written(cluster) == expected
    assert store.snapshots == whole.snapshots


def test_a_state_that_the_index_names_and_redis_lacks_is_a_refusal_and_not_an_empty_state() -> None:
    cluster, store, first = one(limits=Limits(cached=0))
    first.finish()
    lost = next(iter(store.snapshots[0][1]))
    del store.snapshots[0][1][lost]
    fill(cluster, Random(2), 20, START + 50_000)
    second = restart(cluster, store)
    second.finish()

    assert written(cluster) == quiet(cluster)[0]
    assert second.told.count("guard_refused") == 1


def test_a_snapshot_of_a_newer_format_refuses_the_partition() -> None:
    cluster, store, first = one()
    first.finish()
    head, states, due = store.snapshots[0]
    store.snapshots[0] = (head, {key: b"\x63" + state[1:] for key, state in states.items()}, due)
    fill(cluster, Random(2), 5, START + 50_000)
    before = len(cluster.written)
    second = restart(cluster, store)
    second.turn(1_000)

    assert second.checkpoint.waiting[0].startswith("state has format 99")
    assert (second.told.count("partition_refused"), len(cluster.written)) == (1, before)


def test_corrupt_bytes_start_cold_with_the_breaker_that_was_published() -> None:
    cluster, store, first = one()
    append(cluster, RunEvent("ns", "broken", "r1", "FAIL", START + 90_000))
    first.finish()
    head, states, due = store.snapshots[0]
    store.snapshots[0] = (head, {**states, "job:ns/broken": b"\x01rubbish"}, due)
    append(cluster, RunEvent("ns", "broken", "r2", "START", START + 90_100))
    second = restart(cluster, store)
    second.finish()

    found = second.checkpoint.held[0].entities["job:ns/broken"].judgement.breaker
    assert (found.state, found.warming_up) == (State.OPEN, True)
    assert second.told.count("state_corrupt") == 1


def new_log_of_an_old_snapshot(cluster: Cluster, _: FakeStore) -> None:
    cluster.topic_id = "topic-2"
    cluster.committed[0] = Committed(cluster.committed[0].offset)


def new_log_of_an_old_commit(cluster: Cluster, store: FakeStore) -> None:
    cluster.topic_id = "topic-2"
    store.flush()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        pytest.param(
            lambda c, _: c.committed.update({0: Committed(3, c.committed[0].metadata)}), "rewound", id="S > C"
        ),
        pytest.param(lambda c, _: c.committed.clear(), "no committed offset", id="C is gone, S is there"),
        pytest.param(lambda c, _: c.low.update({0: 10_000}), "first that is left", id="C is below the low watermark"),
        pytest.param(lambda c, _: setattr(c, "topic_id", "topic-2"), "re-created", id="the log was re-created"),
        pytest.param(
            new_log_of_an_old_snapshot, "re-created", id="the log was re-created, and only the snapshot knows"
        ),
        pytest.param(new_log_of_an_old_commit, "re-created", id="the log was re-created, and only the commit knows"),
        pytest.param(
            lambda _, s: setattr(s.snapshots[0][0], "partitions", 24), "the state is of 24", id="partitions were added"
        ),
    ],
)
def test_what_an_operator_must_decide_stands_still_and_says_so(harm: Callable[..., None], says: str) -> None:
    cluster, store, first = one()
    first.finish()
    harm(cluster, store)
    second = restart(cluster, store)
    second.turn()

    assert says in second.checkpoint.waiting[0]
    assert second.told.count("partition_refused") >= 1


def test_a_replay_ends_at_the_committed_offset_where_no_record_stands() -> None:
    cluster, store, first = one()
    first.finish()
    store.flush()
    at = cluster.committed[0]
    cluster.committed[0] = Committed(at.offset + 5, at.metadata)
    append(cluster, RunEvent("ns", "broken", "r1", "FAIL", START + 90_000))
    cluster.records[0][-1] = msgspec.structs.replace(cluster.records[0][-1], offset=at.offset + 7)
    restart(cluster, store).finish()

    assert breakers(cluster)["job:ns/broken"].state is State.OPEN


def test_a_partition_goes_on_without_redis_until_it_needs_a_state_that_it_has_not() -> None:
    cluster, store, only = one(limits=Limits(cached=4))
    only.finish()
    kept = next(key for key in only.checkpoint.held[0].entities if key != BOARD)
    store.away = True
    namespace, name = kept.removeprefix("job:").removeprefix("dataset:").split("/")
    if kept.startswith("job:"):
        append(cluster, RunEvent(namespace, name, "with redis away", "START", START + 60_000))
        only.turn()
        assert not only.checkpoint.waiting
    fill(cluster, Random(5), 10, START + 61_000)
    only.turn(1_000)
    assert only.checkpoint.waiting
    store.away = False
    only.finish()

    assert written(cluster) == quiet(cluster)[0]


def test_a_key_in_a_partition_where_it_does_not_belong_is_set_aside() -> None:
    cluster, store = Cluster(2), FakeStore()
    key = "job:ns/x"
    wrong_place = 1 - partition_of(key, 2)
    (_, body), *_ = observations(RunEvent("ns", "x", "r", "FAIL", START), START)
    cluster.append(wrong_place, key, encode(body), START)
    cluster.append(wrong_place, key, b"\xff not an envelope", START)
    give(cluster, worker(cluster, store)).finish()

    assert [dict(s.headers)["__connect.errors.exception.class.name"] for s in cluster.written] == [
        b"misplaced",
        b"not_an_observation",
    ]
    assert cluster.written[1].value == b"\xff not an envelope"


# ---------------------------------------------------------------- poison


def poisonous(*args: Any, **named: Any) -> list[Emission]:
    """The real step, but for a bug that shows itself on one kind of run."""
    body, keys, poisoned = args[4], args[2], args[7]
    if isinstance(body, RunObserved) and body.run_id.startswith("poison") and keys[0] not in poisoned:
        args[1][keys[0]].runs.open["half done"] = Run("half done", 1, 0.0)
        raise StepFailed(keys[0]) from ZeroDivisionError("a bug")
    return pipeline.step(*args, **named)


def test_after_poison_a_snapshot_is_due_so_that_no_replay_meets_it_again() -> None:
    cluster, _, only = one(step=poisonous)
    only.finish()
    append(cluster, RunEvent("ns", "victim", "poison", "COMPLETE", START + 90_000))
    before = only.checkpoint.full()
    for _ in range(4):
        only.turn(1_000)

    assert (before, only.checkpoint.full()) == (False, True)


def test_a_poisonous_record_costs_one_dead_letter_and_one_event_and_the_others_never_notice() -> None:
    cluster, store, only = one(step=poisonous)
    without = Cluster(1)
    append(cluster, RunEvent("ns", "victim", "poison", "COMPLETE", START + 90_000))
    poison = cluster.records[0][-1]
    fill(cluster, Random(3), 10, START + 91_000)
    only.finish()
    without.records = [[record for record in cluster.records[0] if record is not poison]]
    _, expected = quiet(without)

    letters = [s for s in cluster.written if s.topic == "dead"]
    said = [v for v in written(cluster, "control") if b"could not be judged" in (v[2] or b"")]
    states = {k: v for k, v in store.snapshots[0][1].items() if k != "job:ns/victim"}
    assert (len(letters), len(said), only.told.count("step_failed")) == (1, 1, 2)
    assert states == expected.snapshots[0][1]
    assert load(store.snapshots[0][1]["job:ns/victim"]).runs.open == {}


def test_three_poisonous_records_in_a_row_make_the_signal_unknown_and_a_good_one_ends_it() -> None:
    cluster, _, only = one(records=2, step=poisonous)
    for number in range(3):
        append(cluster, RunEvent("ns", "victim", f"poison{number}", "COMPLETE", START + 90_000 + number))
    only.finish()
    assert breakers(cluster)["job:ns/victim"].state is State.UNKNOWN
    append(cluster, RunEvent("ns", "victim", "good", "COMPLETE", START + 90_100))
    only.finish()

    assert breakers(cluster)["job:ns/victim"].state is State.CLOSED


def test_poison_is_the_same_poison_after_a_crash() -> None:
    cluster, store, first = one(step=poisonous)
    append(cluster, RunEvent("ns", "victim", "poison", "COMPLETE", START + 90_000))
    fill(cluster, Random(3), 10, START + 91_000)
    for _ in range(12):
        first.turn()
        first.commit()
    second = restart(cluster, store, step=poisonous)
    second.finish()
    once = len(cluster.written)
    restart(cluster, FakeStore(), step=poisonous).finish()

    assert len(cluster.written) == once
    assert len([s for s in cluster.written if s.topic == "dead"]) == 1


def test_an_exception_that_does_not_repeat_stops_the_process() -> None:
    raised: list[bool] = []

    def flaky(*args: Any, **named: Any) -> list[Emission]:
        if isinstance(args[4], RunObserved) and args[4].run_id == "flaky" and not raised:
            raised.append(True)
            raise StepFailed(args[2][0]) from OSError("a bad bit")
        return pipeline.step(*args, **named)

    cluster, _, only = one(step=flaky)
    append(cluster, RunEvent("ns", "victim", "flaky", "COMPLETE", START + 90_000))

    with pytest.raises(RuntimeError, match="not deterministic"):
        only.finish()


# ---------------------------------------------------------------- what was published wins


def test_after_a_change_of_configuration_between_snapshot_and_commit_no_breaker_stays_open_that_nobody_closes() -> None:
    cluster, store, first = one(records=10)
    first.finish()
    append(cluster, RunEvent("ns", "broken", "r1", "FAIL", START + 90_000))
    first.turn()
    first.commit()  # published as open; then the process dies, and the snapshot does not know
    lenient = Rules(default=Settings(policy=window.Window(criticals=2, warnings=3, runs=3)), fingerprint="lenient")
    second = restart(cluster, store, rules=lenient)
    second.finish()
    state = second.checkpoint.held[0].entities["job:ns/broken"].judgement.breaker
    assert (state.state, breakers(cluster)["job:ns/broken"].state) == (State.OPEN, State.OPEN)
    append(cluster, RunEvent("ns", "broken", "r2", "COMPLETE", START + 91_000))
    second.finish()

    assert breakers(cluster)["job:ns/broken"].state is State.CLOSED
    assert second.told.count("replay_differs") == 1


def test_what_was_published_wins_later_if_it_cannot_be_read_when_the_replay_ends() -> None:
    cluster, store, first = one(records=10)
    first.finish()
    append(cluster, RunEvent("ns", "broken", "r1", "FAIL", START + 90_000))
    first.turn()
    first.commit()
    lenient = Rules(default=Settings(policy=window.Window(criticals=2, warnings=3, runs=3)), fingerprint="lenient")
    second = restart(cluster, store, rules=lenient)
    cluster.unread = True
    second.turn()
    waiting = dict(second.checkpoint.waiting)
    cluster.unread = False
    append(cluster, RunEvent("ns", "other", "r", "COMPLETE", START + 90_500))
    second.finish()

    assert waiting
    assert second.checkpoint.held[0].entities["job:ns/broken"].judgement.breaker.state is State.OPEN


def test_breakers_that_are_switched_off_are_closed_at_the_next_tick() -> None:
    cluster, store, first = one(records=3)
    append(cluster, RunEvent("ns", "broken", "r1", "FAIL", START + 90_000))
    first.finish()
    off = Rules(default=Settings(mode="off"), fingerprint="off")
    second = restart(cluster, store, rules=off)
    tick(cluster, START + 90_100)
    second.finish()

    found = breakers(cluster)["job:ns/broken"]
    assert (found.state, found.mode) == (State.CLOSED, "off")


def test_a_partition_without_a_record_leaves_no_snapshot_that_its_next_owner_would_refuse() -> None:
    cluster, store = Cluster(PARTITIONS), FakeStore()
    first = give(cluster, worker(cluster, store))
    first.checkpoint.settle()
    first.checkpoint.snapshot()
    assert not store.snapshots
    first.checkpoint.revoked([0])
    second = give(cluster, worker(cluster, store, member=2), [0])
    second.checkpoint.settle()

    assert (set(second.checkpoint.held), second.checkpoint.waiting) == ({0}, {})


# ---------------------------------------------------------------- the backstop


def test_redis_flushed_and_the_log_shortened_leaves_an_open_breaker_open() -> None:
    cluster, store, first = one(records=40)
    tick(cluster, START + 89_999)
    append(cluster, RunEvent("ns", "broken", "r1", "FAIL", START + 90_000))
    tick(cluster, START + 90_001)
    first.finish()
    before = breakers(cluster)
    store.flush()
    middle = cluster.records[0][len(cluster.records[0]) // 2].offset
    cluster.records[0] = [r for r in cluster.records[0] if r.offset >= middle]
    cluster.low[0] = middle
    said = len(cluster.written)
    second = restart(cluster, store)
    second.finish()

    assert second.told.count("backstop_used") == 1
    assert (breakers(cluster), len(cluster.written)) == (before, said)
    entities = second.checkpoint.held[0].entities
    assert entities["job:ns/broken"].judgement.breaker.state is State.OPEN
    assert entities.keys() == {*before, BOARD}
    append(cluster, RunEvent("ns", "broken", "r2", "COMPLETE", START + 90_500))
    second.finish()
    assert breakers(cluster)["job:ns/broken"].state is State.CLOSED


def test_with_nothing_but_the_published_breakers_left_an_open_one_stays_open_and_is_not_forgotten() -> None:
    cluster, store, first = one(records=40)
    tick(cluster, START + 89_999)
    append(cluster, RunEvent("ns", "broken", "r1", "FAIL", START + 90_000))
    tick(cluster, START + 90_001)
    first.finish()
    store.flush()
    cluster.written = [s for s in cluster.written if s.topic != "snapshots"]
    last = cluster.records[0][-1].offset
    cluster.records[0], cluster.low[0] = [r for r in cluster.records[0] if r.offset >= last], last
    second = restart(cluster, store)
    for minute in range(5):
        tick(cluster, START + 90_060 + 60 * minute)
    second.finish()

    found = breakers(cluster)["job:ns/broken"]
    assert (found.state, found.warming_up) == (State.OPEN, True)
    for number in range(7):
        append(cluster, RunEvent("ns", "broken", f"good-{number}", "COMPLETE", START + 90_700 + number))
    second.finish()
    found = breakers(cluster)["job:ns/broken"]
    assert (found.state, found.warming_up) == (State.CLOSED, False)


def test_what_a_state_of_the_backstop_has_seen_already_is_not_learned_twice() -> None:
    cluster, store, first = one(records=40, limits=Limits(backstop=0.0))
    first.finish()
    entities = {k: load(dump(v)).series for k, v in first.checkpoint.held[0].entities.items()}
    store.flush()
    middle = cluster.records[0][len(cluster.records[0]) // 2].offset
    cluster.records[0], cluster.low[0] = [r for r in cluster.records[0] if r.offset >= middle], middle
    second = restart(cluster, store)
    second.finish()

    assert {k: load(dump(v)).series for k, v in second.checkpoint.held[0].entities.items()} == entities


def test_a_log_that_was_made_anew_and_accepted_keeps_the_published_breakers() -> None:
    cluster, store, first = one(records=40)
    tick(cluster, START + 89_999)
    append(cluster, RunEvent("ns", "broken", "r1", "FAIL", START + 90_000))
    tick(cluster, START + 90_001)
    first.finish()
    before = first.checkpoint.held[0].entities
    store.flush()
    cluster.records[0], cluster.topic_id, cluster.committed = [], "topic-2", {0: Committed(0)}  # what a reset leaves
    second = restart(cluster, store)
    tick(cluster, START + 90_060)
    second.finish()

    assert breakers(cluster)["job:ns/broken"].state is State.OPEN
    assert second.checkpoint.held[0].entities.keys() == before.keys()
    append(cluster, RunEvent("ns", "broken", "r2", "COMPLETE", START + 90_100))
    second.finish()
    assert breakers(cluster)["job:ns/broken"].state is State.CLOSED


def test_the_backstop_gives_models_back_that_the_shortened_log_does_not_hold() -> None:
    cluster, store, first = one(records=40)
    first.finish()
    entities = {k: v for k, v in first.checkpoint.held[0].entities.items() if v.series}
    store.flush()
    last = cluster.records[0][-1].offset
    cluster.records[0], cluster.low[0] = [r for r in cluster.records[0] if r.offset >= last], last
    second = restart(cluster, store)
    second.finish()

    found = second.checkpoint.held[0].entities
    assert {k: found[k].series for k in entities} == {k: load(dump(v)).series for k, v in entities.items()}


def test_each_touched_state_goes_to_the_backstop_topic_at_most_once_an_hour() -> None:
    cluster, _, only = one(records=1)
    for minute in range(180):
        append(cluster, RunEvent("ns", "busy", f"r{minute}", "COMPLETE", START + 1_000 + 60 * minute))
        tick(cluster, START + 1_000 + 60 * minute)
        only.turn()
        only.commit()
    only.finish()

    assert len([s for s in cluster.written if s.topic == "snapshots" and s.key == b"job:ns/busy"]) in (3, 4)


def test_a_state_that_is_too_large_for_the_backstop_topic_stops_nothing() -> None:
    cluster, store, only = one(records=1)
    append(cluster, RunEvent("ns", "huge", "r", "FAIL", START + 9_000, error="x" * LARGEST))
    append(cluster, RunEvent("ns", "after", "r", "FAIL", START + 9_001))
    only.finish()
    sent = {s.key for s in cluster.written if s.topic == "snapshots"}
    skipped = [args[0] for event, args in only.told.events if event == "backstop_skipped"]

    assert (b"job:ns/huge" in sent, b"job:ns/after" in sent, skipped[0]) == (False, True, "job:ns/huge")
    assert "job:ns/huge" in store.snapshots[0][1]


def test_what_is_too_large_to_be_said_stops_nothing() -> None:
    cluster, _, only = one(records=1)
    append(cluster, RunEvent("ns", "huge", "r", "FAIL", START + 9_000, error="x" * LARGEST))
    append(cluster, RunEvent("ns", "after", "r", "FAIL", START + 9_001))
    only.finish()
    skipped = {args[0] for event, args in only.told.events if event == "emission_skipped"}

    assert skipped == {"job:ns/huge", "incidents:all"}  # the anomaly itself, and what the board would hear of it
    assert max(send.size for send in cluster.written) <= LARGEST
    assert b"job:ns/after" in {send.key for send in cluster.written if send.topic == "control"}


def test_the_states_in_memory_of_all_partitions_together_are_bounded() -> None:
    cluster, store = Cluster(PARTITIONS), FakeStore()
    fill(cluster, Random(1), 60)
    only = give(cluster, worker(cluster, store, limits=Limits(cached=PARTITIONS)))
    only.finish()

    assert all(len(held.entities) <= 1 for held in only.checkpoint.held.values())
    assert sum(len(states) for _, states, _ in store.snapshots.values()) > PARTITIONS


@pytest.mark.slow
def test_a_long_recovery_under_restarts_comes_to_an_end() -> None:
    cluster, store, first = one(records=60)
    first.turn(1_000)
    first.commit()
    store.flush()
    restarts = 0
    while True:
        restarts += 1
        again = restart(cluster, store, limits=Limits(snapshot_records=5))
        again.turn(8)
        again.turn(8)
        if again.checkpoint.full():
            again.checkpoint.snapshot()
        if not again.checkpoint.held[0].muted:
            break
        assert restarts < 100
    again.finish()

    assert restarts > 3
    assert written(cluster) == quiet(cluster)[0]
