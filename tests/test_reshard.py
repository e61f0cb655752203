"""A log with another number of partitions begins with the states of the old one, and goes on as if it had always been.

The core of it, without Kafka: what the records are that the new log begins with, and what comes of them.
"""

import re
from collections import Counter
from random import Random

import msgspec
import pytest

from detector.config.schema import Topics
from detector.core.breaker import State
from detector.core.carrying import begun
from detector.core.commands import AddWindow, SetOverride
from detector.core.events import Begun, Carried, RunEvent, decode, encode
from detector.core.messages import BOARD
from detector.core.partition import partition_of
from detector.core.state import Entity, Partition, dump, load
from detector.core.windows import Window
from detector.errors import CannotReshard
from detector.reshard import carried, moved, next_name, renamed
from detector.seams import LARGEST, Committed
from tests.fakes.cluster import Cluster, FakeStore
from tests.strategies import how_many
from tests.test_checkpoint import (
    START,
    Schedule,
    Worker,
    append,
    breakers,
    fill,
    give,
    give_command,
    tick,
    worker,
    written,
)

OLD, NEW = 2, 3
ALIKE = ("breakers", "incidents", "snapshots")
TOLD = ("io.detector.anomaly", "io.detector.breaker.")


def started(partitions: int, **more: object) -> tuple[Cluster, FakeStore, Worker]:
    """A worker that has all of an empty log."""
    cluster, store = Cluster(partitions), FakeStore()
    return cluster, store, give(cluster, worker(cluster, store, **more), range(partitions))  # type: ignore[arg-type]


def drained(member: Worker) -> Worker:
    """It has judged all that stands in the log, and what entities told each other because of that."""
    cluster, length = member.log.cluster, -1
    while length != (length := sum(map(len, cluster.records))):
        member.finish()
    return member


def into(partitions: int, old: Worker) -> tuple[Cluster, FakeStore, Worker]:
    """The new log, as a reshard leaves it, with a worker that has it."""
    cluster, store, new = started(partitions)
    cluster.topic_id = "topic-2"
    cluster.committed = {number: Committed(0, "::topic-2") for number in range(partitions)}
    now = max(record.timestamp for log in old.log.cluster.records for record in log)
    for send in carried(old.checkpoint, old.log.topic_id, "log", partitions):
        assert send.partition is not None
        key = send.key.decode() if send.key is not None else None
        cluster.append(send.partition, key, send.value or b"", now)
    return cluster, store, new


def judged(
    member: Worker, random: Random, at: float, events: int
) -> tuple[list[Counter[tuple[str, str, bytes]]], float]:
    """What was said of each event, one after the other; ids apart, which name places in the log."""
    cluster, said = member.log.cluster, []
    for _ in range(events):
        before = len(cluster.written)
        at = fill(cluster, random, 1, at, reads=True)
        drained(member)
        tick(cluster, at := at + 10)
        drained(member)
        told = [(dict(s.headers)["ce_type"] or b"", s) for s in cluster.written[before:] if s.topic == "control"]
        said.append(
            Counter(
                (kind.decode(), (s.key or b"").decode(), re.sub(rb"\b[0-9a-f]{32}\b", b"#", s.value or b""))
                for kind, s in told
                if kind.decode().startswith(TOLD)
            )
        )
    return said, at


@pytest.mark.parametrize("new", [1, NEW, 7])
@pytest.mark.parametrize("seed", [1, *(pytest.param(other, marks=pytest.mark.slow) for other in (2, 3))])
def test_what_is_said_after_it_is_what_a_log_says_that_always_had_that_many(seed: int, new: int) -> None:
    _, _, old = started(OLD)
    calm = started(new)[2]
    random, other = Random(seed), Random(seed)
    _, at = judged(old, random, START, 40)
    judged(calm, other, START, 40)
    moved = drained(into(new, old)[2])

    expected, _ = judged(calm, other, at, 40)
    found, _ = judged(moved, random, at, 40)
    assert sum(map(len, expected)) > 15
    assert found == expected


def test_what_each_entity_knows_is_the_same_and_stands_where_it_belongs() -> None:
    _, before, old = started(OLD)
    fill(old.log.cluster, Random(5), 80, reads=True)
    drained(old)
    cluster, after, new = into(NEW, old)
    drained(new)

    def known(store: FakeStore) -> dict[str, bytes]:
        states = {key: state for _, found, _ in store.snapshots.values() for key, state in found.items()}
        return {key: without_place(state) for key, state in states.items()}

    assert known(after) == known(before)
    assert {key: partition_of(key, NEW) for _, s, _ in after.snapshots.values() for key in s} == {
        key: number for number, (_, s, _) in after.snapshots.items() for key in s
    }
    assert {due for _, _, found in after.snapshots.values() for due in found.items()} == {
        due for _, _, found in before.snapshots.values() for due in found.items()
    }
    assert new.told.count("backstop_used") == 0
    assert cluster.written
    assert {s.topic for s in cluster.written} == {"breakers", "snapshots"}


def without_place(state: bytes) -> bytes:
    """A state but for the offset that it is true for."""
    entity = load(state)
    entity.at = 0
    return dump(entity)


def test_breakers_and_incidents_that_are_open_stay_so_under_their_ids_and_can_be_closed() -> None:
    _, store, old = started(OLD)
    old_cluster = old.log.cluster
    at = START
    for number in range(12):
        append(old_cluster, RunEvent("ns", "job", f"r{number}", "COMPLETE", at := at + 600))
        tick(old_cluster, at)
    tick(old_cluster, at := at + 600)
    append(old_cluster, RunEvent("ns", "job", "bad", "FAIL", at))
    for later in (30, 60, 90, 120):
        tick(old_cluster, at + later)
    drained(old)
    opened = breakers(old_cluster)["job:ns/job"]
    cluster, _, new = into(NEW, old)
    drained(new)
    published = breakers(cluster)["job:ns/job"]
    append(cluster, RunEvent("ns", "job", "good", "COMPLETE", at := at + 7_200))
    for later in (30, 60, 90, 120):
        tick(cluster, at + later)
        drained(new)

    board = load(store.snapshots[partition_of(BOARD, OLD)][1][BOARD]).board
    assert board is not None
    [incident] = board.open
    assert opened.state is State.OPEN
    assert published == msgspec.structs.replace(opened, partition=partition_of("job:ns/job", NEW))
    assert breakers(cluster)["job:ns/job"].state is State.CLOSED
    said = [(dict(s.headers)["ce_type"], s) for s in cluster.written if s.topic == "control"]
    ended = [s for kind, s in said if kind == b"io.detector.anomaly.ended.v1"]
    resolved = [s for kind, s in said if kind == b"io.detector.incident.resolved.v1"]
    assert [msgspec.json.decode(s.value or b"")["episode"] for s in ended] == [opened.cause]
    assert [(s.key or b"").decode() for s in resolved] == [incident]


def test_time_mutes_and_what_people_said_go_with_it() -> None:
    _, _, old = started(OLD)
    at = fill(old.log.cluster, Random(5), 20)
    mute = Window(id="m", match="*", start=at, end=at + 9_000, kind="mute")
    give_command(old.log.cluster, AddWindow(id="1", by="alice", window=mute), at)
    entity = "job:ns/job1"
    give_command(
        old.log.cluster, SetOverride(id="2", by="alice", entity=entity, state="force_open", until=at + 9_000), at
    )
    tick(old.log.cluster, at + 5)
    drained(old)
    cluster, _, new = into(NEW, old)
    drained(new)

    partitions = [held.partition for held in new.checkpoint.held.values()]
    assert {partition.clock for partition in partitions} == {at + 5}
    assert all(partition.windows == [mute] for partition in partitions)
    assert breakers(cluster)[entity].state is State.OPEN
    tick(cluster, at + 9_001)
    drained(new)
    assert breakers(cluster)[entity].override is None


# ---------------------------------------------------------------- the new log is a log like any other


class Resharded(Schedule):
    """Crashes, zombies and losses over a log that begins with the states of another one."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        _, _, old = started(OLD + 1)
        self.at = fill(old.log.cluster, self.random, 30, reads=True)
        beginning = into(OLD, drained(old))[0]
        self.cluster.records, self.cluster.topic_id = beginning.records, beginning.topic_id
        self.cluster.committed = beginning.committed


def check_resharded(seeds: range) -> None:
    for seed in seeds:
        schedule = Resharded(seed)
        schedule.run(70)
        schedule.end()
        calm = Cluster(OLD, delivers=False, topic_id="topic-2")
        calm.records = schedule.cluster.records
        store = FakeStore()
        give(calm, worker(calm, store), range(OLD)).finish()

        assert written(schedule.cluster) == written(calm), f"seed {seed}"
        for partition, (head, states, due) in store.snapshots.items():
            found = schedule.store.snapshots[partition]
            assert (found[0].digest, found[1], found[2]) == (head.digest, states, due), f"seed {seed}"


def test_random_schedules_over_it_say_what_a_quiet_run_says() -> None:
    check_resharded(range(how_many(0.4)))


@pytest.mark.slow
def test_many_random_schedules_over_it_say_what_a_quiet_run_says() -> None:
    check_resharded(range(1_000, 1_400))


@pytest.mark.parametrize("lost", [False, True], ids=["Redis keeps", "Redis loses"])
def test_when_its_beginning_is_deleted_the_backstop_has_what_was_carried(lost: bool) -> None:
    _, _, old = started(OLD)
    at = fill(old.log.cluster, Random(5), 60, reads=True)
    cluster, store, new = into(NEW, drained(old))
    drained(new)
    at = fill(cluster, Random(6), 5, at, reads=True)
    drained(new)
    before = breakers(cluster)
    for number, log in enumerate(cluster.records):
        cluster.low[number] = log[-1].offset
        del log[:-1]
    if lost:
        store.flush()
    again = give(cluster, worker(cluster, store, member=9), range(NEW))
    tick(cluster, at + 5)
    drained(again)

    def opened(found: dict[str, object]) -> dict[str, object]:
        return {key: (value.state, value.episodes, value.held_by) for key, value in found.items()}  # type: ignore[attr-defined]

    assert opened(breakers(cluster)) == opened(before)  # type: ignore[arg-type]


# ---------------------------------------------------------------- one rule, one test


def test_a_state_that_is_no_ones_is_set_aside_and_the_entity_goes_on_without_it() -> None:
    cluster, _, new = started(1)
    cluster.append(0, None, encode(Begun("topic-1", START, 0.0, "")), START)
    cluster.append(0, "job:ns/job", encode(Carried(dump(Entity("job:ns/other")), 0.0)), START)
    append(cluster, RunEvent("ns", "job", "r", "FAIL", START + 5))
    drained(new)

    assert [s.topic for s in cluster.written].count("dead") == 1
    assert breakers(cluster)["job:ns/job"].state is State.OPEN


def test_a_state_that_is_too_large_for_a_record_is_named() -> None:
    _, _, old = started(1)
    fill(old.log.cluster, Random(1), 3)
    held = drained(old).checkpoint.held[0]
    key = min(held.partition.due)
    held.entities[key] = Entity(key, together=b"x" * LARGEST)

    with pytest.raises(CannotReshard, match=f"state of {key} is"):
        list(carried(old.checkpoint, "topic-1", "log", 3))


def test_partitions_that_differ_begin_with_the_latest_time_and_all_windows() -> None:
    one, two = (Window(id=name, match="*", start=start, kind="mute") for name, start in (("a", 5.0), ("b", 3.0)))
    first = Partition(0, 2, clock=10.0, grace_until=7.0, rules="r1", windows=[one])
    second = Partition(1, 2, clock=12.0, grace_until=4.0, rules="r2", windows=[one, two])

    assert begun([first, second], "topic-1") == Begun("topic-1", 12.0, 7.0, "", [two, one])
    assert begun([first], "topic-1").rules == "r1"


def test_the_state_of_each_entity_is_in_one_record() -> None:
    _, _, old = started(OLD)
    fill(old.log.cluster, Random(5), 30)
    drained(old)
    sends = list(carried(old.checkpoint, "topic-1", "log", NEW))

    keys = [send.key for send in sends if send.key is not None]
    assert len(keys) == len(set(keys)) == sum(len(h.partition.due) for h in old.checkpoint.held.values())
    assert [send.partition for send in sends if send.key is None] == [0, 1, 2]
    assert all(isinstance(decode(send.value or b"").body, Begun | Carried) for send in sends)


@pytest.mark.parametrize(
    ("to", "breakers_topic"),
    [
        pytest.param("detector.observations.v2", "detector.breakers.v2", id="a version"),
        pytest.param("elsewhere", "detector.breakers.elsewhere", id="another name"),
    ],
)
def test_what_is_made_of_the_log_is_named_after_it(to: str, breakers_topic: str) -> None:
    topics = renamed(Topics(), to, 24, ALIKE)

    assert (topics.log, topics.breakers, topics.partitions) == (to, breakers_topic, 24)
    assert (topics.control, topics.commands, topics.inputs) == (Topics().control, Topics().commands, Topics().inputs)


def test_the_old_log_is_no_new_one() -> None:
    with pytest.raises(CannotReshard, match="name another"):
        renamed(Topics(), Topics().log, 24, ALIKE)


def test_names_count_on() -> None:
    second = renamed(Topics(), next_name(Topics().log), 24, ALIKE)
    third = renamed(second, next_name(second.log), 48, ALIKE)

    assert (second.log, third.log) == ("detector.observations.v2", "detector.observations.v3")
    assert (third.breakers, third.incidents, third.snapshots) == (
        "detector.breakers.v3",
        "detector.incidents.v3",
        "detector.snapshots.v3",
    )


@pytest.mark.parametrize(
    ("group", "named"),
    [
        pytest.param("log.ingest", "log.v2.ingest", id="a stage"),
        pytest.param("log.alert.pager", "log.v2.alert.pager", id="one of several"),
        pytest.param("log.v2.ingest", None, id="a stage of another log whose name begins alike"),
        pytest.param("log2.ingest", None, id="another log"),
        pytest.param("elsewhere", None, id="somebody else"),
    ],
)
def test_groups_that_are_named_after_the_log_are_known(group: str, named: str | None) -> None:
    assert moved(group, "log", "log.v2") == named
