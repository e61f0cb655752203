"""The loop of `detector execute`: in order, a few at a time, once, and all in the end, through restarts."""

from contextlib import closing
from dataclasses import dataclass, field
from threading import Event

import msgspec
import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from detector.core.events import Record
from detector.core.recovery import RecoveryPlan
from detector.embedded import EmbeddedBroker
from detector.errors import Unreachable
from detector.executor import LOOK, Execution
from detector.executors import Requested, Status
from detector.plan_reader import PlanReader
from detector.plans import Ask, done
from tests.fakes.executing import FakeExecutor, FakeReader, Topic
from tests.services.waiting import eventually
from tests.strategies import recovery_plans
from tests.test_plans import ancestors, plan, seen, step


@dataclass
class Told:
    """What the loop has told of itself."""

    taken: list[int] = field(default_factory=list)
    unreadable: list[tuple[int, int, str]] = field(default_factory=list)
    requested: list[tuple[Ask, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    ended: list[tuple[str, str, Status]] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)

    def plan_taken(self, plan: RecoveryPlan) -> None:
        self.taken.append(plan.version)

    def plan_unreadable(self, partition: int, offset: int, why: str) -> None:
        self.unreadable.append((partition, offset, why))

    def redo_requested(self, ask: Ask, requested: Requested) -> None:
        self.requested.append((ask, requested.id))

    def redo_refused(self, ask: Ask, why: str) -> None:
        self.refused.append((ask.job, why))

    def redo_ended(self, ask: Ask, requested: Requested, status: Status) -> None:
        self.ended.append((ask.job, requested.id, status))

    def executor_waits(self, why: str) -> None:
        self.waits.append(why)


@dataclass
class World:
    """A topic, an executor, and processes that may be killed; `now` is what the clock shows."""

    parallel: int = 4
    others: frozenset[str] = frozenset()
    topic: Topic = field(default_factory=Topic)
    executor: FakeExecutor = field(default_factory=FakeExecutor)
    told: Told = field(default_factory=Told)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another process, which knows nothing but what was committed."""
        self.reader = FakeReader(self.topic)
        self.loop = Execution(
            self.reader, self.executor, lambda job: job not in self.others, self.parallel, self.told, lambda: self.now
        )

    def pass_(self, rounds: int = 4) -> None:
        """Let the loop go round, with time between."""
        for _ in range(rounds):
            self.now += LOOK
            self.loop.step()

    def end(self, status: Status = "success") -> None:
        """Let all runs that go on end."""
        for name in self.executor.going:
            self.executor.runs[name] = status

    @property
    def asked(self) -> list[str]:
        return [ask.job for ask in self.executor.asked]


def version(number: int, given: RecoveryPlan, state: str = "open") -> RecoveryPlan:
    return msgspec.structs.replace(given, version=number, state=state)


def test_a_step_is_asked_for_when_the_plan_says_that_those_before_are_done() -> None:
    world = World()
    world.topic.say(plan(step("a"), step("b", "a")))
    world.pass_()
    first = list(world.asked)
    world.end()
    world.pass_()
    second = list(world.asked)
    world.topic.say(version(2, plan(step("a", done_by="r"), step("b", "a"))))
    world.pass_()

    assert (first, second, world.asked) == (["a"], ["a"], ["a", "b"])
    assert [status for _, _, status in world.told.ended] == ["success"]


def test_no_more_runs_go_on_at_a_time_than_are_allowed() -> None:
    world = World(parallel=2)
    world.topic.say(plan(step("a", runs=3), step("b", runs=2)))
    counts = []
    for _ in range(5):
        world.pass_()
        counts.append((len(world.executor.going), len(world.asked)))
        world.end()

    assert counts == [(2, 2), (2, 4), (1, 5), (0, 5), (0, 5)]


def test_nothing_is_asked_for_before_the_end_of_the_topic_was_seen() -> None:
    world = World()
    for number in range(1, 6):
        world.topic.say(version(number, plan(step("a"))))
    world.topic.say(version(6, plan(step("a", done_by="r"))))
    world.loop.step()
    world.loop.step()
    before = list(world.asked)
    world.pass_()

    assert (before, world.asked) == ([], [])
    assert world.topic.committed == 6


@pytest.mark.parametrize("state", ["done", "abandoned"])
def test_of_a_plan_that_is_over_nothing_more_is_asked_for(state: str) -> None:
    world = World(parallel=1)
    world.topic.say(plan(step("a", runs=2)))
    world.pass_()
    world.topic.say(version(2, plan(step("a", runs=2)), state))
    world.end()
    world.pass_()

    assert world.asked == ["a"]
    assert world.topic.committed == 2


def test_an_older_version_that_comes_later_changes_nothing() -> None:
    world = World()
    world.topic.say(version(3, plan(step("a", done_by="r"))))
    world.pass_()
    world.topic.say(version(2, plan(step("a"))))
    world.pass_()

    assert world.asked == []


def test_the_jobs_of_others_are_left_to_them() -> None:
    world = World(others=frozenset({"a"}))
    world.topic.say(plan(step("a"), step("b"), step("c", "a")))
    world.pass_()
    world.topic.say(version(2, plan(step("a"), step("b", done_by="r"), step("c", "a"))))
    world.pass_()

    assert world.asked == ["b"]
    assert world.topic.committed == 2


def test_what_is_refused_is_told_once_by_each_process_and_keeps_nothing_else_back() -> None:
    world = World(executor=FakeExecutor(refused=frozenset({"a"})))
    world.topic.say(plan(step("a"), step("b")))
    world.pass_()
    first = list(world.told.refused)
    world.restart()
    world.pass_()

    assert world.asked == ["a", "b", "a", "b"]
    assert (first, len(world.told.refused)) == ([("a", "not this one")], 2)


def test_an_executor_that_cannot_now_is_asked_again_later() -> None:
    world = World(executor=FakeExecutor(busy=2))
    world.topic.say(plan(step("a")))
    world.loop.step()
    world.now += 0.5
    world.loop.step()
    meanwhile = (list(world.asked), world.topic.committed)
    world.pass_()

    assert (meanwhile, world.asked) == (([], 0), ["a"])
    assert world.told.waits == ["not now", "not now"]


def test_a_position_is_not_committed_before_the_plan_says_that_it_is_done() -> None:
    world = World(parallel=1)
    world.topic.say(plan(step("a", runs=2)))
    world.topic.put(b"{}", "io.detector.anomaly.started.v1")
    committed = []
    for _ in range(3):
        world.pass_()
        committed.append(world.topic.committed)
        world.end()
    world.topic.say(version(2, plan(step("a", runs=2, done_by="r"))))
    world.pass_()

    assert (committed, world.topic.committed) == ([0, 0, 0], 3)


def test_a_run_that_fails_is_told_and_not_asked_for_again() -> None:
    world = World()
    world.topic.say(plan(step("a")))
    world.pass_()
    world.end("failed")
    world.pass_()

    assert world.told.ended == [("a", "p1 a missed 0.0", "failed")]
    assert world.asked == ["a"]


def test_after_a_restart_what_goes_on_is_found_and_counts() -> None:
    world = World(parallel=1)
    world.topic.say(plan(step("a", runs=2)))
    world.pass_()
    world.restart()
    world.pass_()
    going = list(world.executor.going)
    world.end()
    world.pass_()

    assert len(going) == 1
    assert (world.asked, len(world.executor.made)) == (["a", "a", "a"], 2)


def test_a_loop_that_is_told_to_stop_commits_and_ends() -> None:
    world = World()
    world.topic.put(b"{}", "io.detector.anomaly.started.v1")
    world.loop.step()
    stop = Event()
    stop.set()

    world.loop.run(stop)

    assert world.topic.committed == 1


# ---------------------------------------------------------------- the reader


def test_a_member_reads_to_the_end_and_the_next_one_goes_on_where_it_committed(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("control", 2)
    settings = {"bootstrap.servers": embedded_broker.bootstrap}
    producer = Producer(settings)
    for number in range(6):
        producer.produce("control", str(number), partition=number % 2)
    assert producer.flush(10) == 0

    with closing(PlanReader(settings, "g", "control")) as reader:
        read_to_the_end(reader, 6)
        places = reader.places
        reader.commit({("control", 0): 2, ("control", 1): 3})
    with closing(PlanReader(settings, "g", "control")) as reader:
        again = read_to_the_end(reader, 1)

    assert places == {("control", 0), ("control", 1)}
    assert [(record.partition, record.offset) for record in again] == [(0, 2)]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b'{"plan": "p1"}', id="no plan"),
        pytest.param(b"null", id="nothing"),
        pytest.param(b"{", id="no JSON"),
    ],
)
def test_what_is_no_plan_is_left_out(value: bytes) -> None:
    world = World()
    world.topic.put(value)
    world.topic.say(plan(step("a")))
    world.pass_()

    assert world.asked == ["a"]
    assert [(partition, offset) for partition, offset, _ in world.told.unreadable] == [(0, 0)]


def test_fields_of_a_newer_release_are_no_trouble() -> None:
    world = World()
    world.topic.put(msgspec.json.encode({**msgspec.to_builtins(plan(step("a"))), "more": 1}))
    world.pass_()

    assert world.asked == ["a"]


def test_plans_of_a_partition_that_has_moved_away_are_the_other_members() -> None:
    world = World(parallel=1)
    world.topic.say(plan(step("a", runs=2)))
    world.pass_()
    world.reader.places = frozenset()
    world.end()
    world.pass_()

    assert world.asked == ["a"]


def test_a_topic_that_is_not_there_is_told_at_once(embedded_broker: EmbeddedBroker) -> None:
    settings: dict[str, str | bool] = {
        "bootstrap.servers": embedded_broker.bootstrap,
        "allow.auto.create.topics": False,
    }

    with pytest.raises(Unreachable, match="has no topic none"):
        PlanReader(settings, "g", "none")


def read_to_the_end(reader: PlanReader, count: int) -> list[Record]:
    found: list[Record] = []

    def read() -> bool:
        found.extend(reader.poll(0.1))
        return len(found) >= count and reader.caught_up

    eventually(read, f"{count} records")
    return found


@given(st.lists(recovery_plans(), min_size=1, max_size=2), st.data())
def test_through_restarts_and_outages_each_run_happens_once_after_what_it_waits_for(
    given: list[RecoveryPlan], data: st.DataObject
) -> None:
    plans = {f"p{at}": msgspec.structs.replace(one, plan=f"p{at}") for at, one in enumerate(given)}
    world = World(parallel=data.draw(st.integers(1, 3)))
    for one in plans.values():
        world.topic.say(one)
    rounds, restarts = 0, 0
    while not all(done(one) for each in plans.values() for one in each.steps):
        made = len(world.executor.made)
        match data.draw(st.sampled_from(["go on", "go on", "restart", "busy"])):
            case "restart":
                world.restart()
                restarts += 1
            case "busy":
                world.executor.busy = 2
        world.pass_(2)
        # After a restart what has become free may be asked for before what goes on is found again.
        assert len(world.executor.going) <= world.parallel * (1 if restarts == 0 else 2)
        for ask in world.executor.made[made:]:
            finished = {one.job for one in plans[ask.plan].steps if done(one)}
            assert ancestors(plans[ask.plan])[ask.job] <= finished
        if world.executor.going:
            name = data.draw(st.sampled_from(world.executor.going))
            world.executor.runs[name] = "success"
            ask = next(
                ask for ask in world.executor.made if name.startswith(f"{ask.plan} {ask.job} ") and is_of(ask, name)
            )
            plans[ask.plan] = seen(plans[ask.plan], ask.job, ask.run)
            world.topic.say(plans[ask.plan])
        rounds += 1
        assert rounds < 200, "the plans stand still"

    expected = {
        (name, one.job, run.why, run.nominal_time)
        for name, each in plans.items()
        for one in each.steps
        for run in one.runs
    }
    assert {(ask.plan, ask.job, ask.run.why, ask.run.nominal_time) for ask in world.executor.made} == expected
    assert len(world.executor.made) == len(expected)


def is_of(ask: Ask, name: str) -> bool:
    return name.endswith(f" {ask.run.why} {ask.run.nominal_time}")
