"""The loop of `detector alert`: who is to be called is told once, what is over is told to who was told, through all."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.alerting import LONGEST_WAIT, Alerting, Receiver, would_tell
from detector.alerts import Match, Told
from detector.core.incidents import REST, Incident
from detector.sinks import Alert
from tests.fakes.alerting import Crash, FakeBoardSink, FakeReader, FakeSink, Pager, Topics, incident, over

replace = msgspec.structs.replace


@dataclass
class Heard:
    """What the loop has told of itself."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    again: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    unreadable: list[tuple[int, int]] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    turns: list[tuple[int, str | None]] = field(default_factory=list)

    def alert_sent(self, sink: str, alert: Alert) -> None:
        self.sent.append((alert.action, alert.incident))

    def alert_told_again(self, sink: str) -> None:
        self.again += 1

    def alert_refused(self, sink: str, incident: str, why: str) -> None:
        self.refused.append((incident, why))

    def alert_skipped(self, sink: str, incident: Incident) -> None:
        self.skipped.append(incident.id)

    def alert_unreadable(self, partition: int, offset: int, why: str) -> None:
        self.unreadable.append((partition, offset))

    def alert_waits(self, sink: str, why: str) -> None:
        self.waits.append(why)

    def alerts_turned(self, sink: str, waiting: int, trouble: str | None) -> None:
        self.turns.append((waiting, trouble))


@dataclass
class World:
    """Topics, a pager, and processes that may be killed; `now` is what both clocks show."""

    match: Match = field(default_factory=Match)
    kind: type[FakeSink] = FakeSink
    topics: Topics = field(default_factory=Topics)
    pager: Pager = field(default_factory=Pager)
    heard: Heard = field(default_factory=Heard)
    now: float = 1_000.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another process, which knows nothing but what was kept."""
        self.reader, self.sink = FakeReader(self.topics), self.kind(self.pager)
        receiver = Receiver("pager", self.sink, self.match)
        self.loop = Alerting(self.reader, receiver, self.heard, lambda: self.now, lambda: self.now, lambda: 1.0)

    def pass_(self, rounds: int = 4) -> None:
        """Let the loop go round, with so much time between that nothing waits any more."""
        for _ in range(rounds):
            self.now += LONGEST_WAIT
            self.loop.step()

    def settle(self) -> None:
        """All is well from now on, for long enough."""
        self.sink.faults.clear()
        self.topics.fails, self.reader.dies_at = 0, None
        self.pass_(len(self.topics.records) + 4)

    @property
    def log(self) -> list[tuple[str, str]]:
        return [(action, key) for action, key, _ in self.pager.log]


def test_an_incident_is_triggered_once_and_resolved_once_whatever_changes_between() -> None:
    world = World()
    first = incident()
    changes = [replace(first, version=n, title=f"worse {n}", updated=100.0 + n) for n in range(2, 40)]
    for one in (first, *changes, over(changes[-1])):
        world.topics.say(one)
        world.pass_(1)
    world.settle()

    assert world.log == [("trigger", "i1"), ("resolve", "i1")]
    assert world.topics.told == {}
    assert world.topics.committed == len(world.topics.records)


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param({"called": None, "called_at": None, "quiet": "mute by ada: known"}, id="nobody was called"),
        pytest.param(
            {"called": "critical", "rests_until": 110.0 + REST}, id="it came back soon after a call, and rests"
        ),
    ],
)
def test_nobody_is_told_of_what_core_calls_nobody_for(quiet: dict[str, Any]) -> None:
    world = World()
    world.topics.say(incident(**quiet), over(incident(**quiet)))
    world.settle()

    assert world.log == []


def test_what_rests_is_told_when_its_rest_is_over() -> None:
    world = World()
    resting = incident(rests_until=110.0 + REST, reopened=1)
    world.topics.say(resting)
    world.pass_()
    world.topics.say(replace(resting, version=2, called_at=110.0 + REST, rests_until=None))
    world.settle()

    assert world.log == [("trigger", "i1")]


def test_what_gets_worse_during_its_rest_is_told_at_once() -> None:
    world = World()
    world.topics.say(incident(called="critical", called_at=500.0, rests_until=110.0 + REST))
    world.settle()

    assert world.log == [("trigger", "i1")]


def test_a_call_for_something_worse_is_told_under_the_same_key() -> None:
    world = World()
    first = incident(called="warning", severity="warning")
    world.topics.say(first)
    world.pass_()
    worse = replace(first, version=2, severity="critical", called="critical", called_at=200.0)
    world.topics.say(worse)
    world.pass_()
    world.topics.say(over(worse))
    world.settle()

    assert world.log == [("trigger", "i1"), ("trigger", "i1"), ("resolve", "i1")]
    assert len({id_ for _, _, id_ in world.pager.log}) == 3
    assert world.pager.called == ["i1"]


def test_that_somebody_looks_after_it_is_told_once_to_who_was_told() -> None:
    world = World()
    unseen = incident("i2", called=None, called_at=None, acknowledged_by="ada")
    world.topics.say(replace(incident(), acknowledged_by="ada"), unseen)
    world.pass_()
    world.restart()
    world.settle()

    assert world.log == [("trigger", "i1"), ("acknowledge", "i1")]


def test_the_one_that_was_absorbed_is_resolved_and_the_one_that_goes_on_is_told() -> None:
    world = World()
    older, newer = incident("older", called=None, called_at=None, quiet="mute"), incident("newer")
    world.topics.say(older, newer)
    world.pass_()
    merged = replace(newer, version=2, state="merged", merged_into="older")
    world.topics.say(merged, replace(older, version=2, called="critical", quiet=""))
    world.settle()

    assert world.log == [("trigger", "newer"), ("resolve", "newer"), ("trigger", "older")]
    assert world.pager.open.keys() == {"older"}


def test_what_was_taken_off_the_topic_is_resolved() -> None:
    world = World()
    world.topics.say(incident())
    world.pass_()
    world.topics.put("i1", None)
    world.settle()

    assert world.log == [("trigger", "i1"), ("resolve", "i1")]


def test_what_began_and_ended_while_the_receiver_was_away_is_told_to_nobody_and_said_in_the_log() -> None:
    world = World()
    world.sink.faults = ["away"] * 3
    world.topics.say(incident())
    world.pass_(3)
    world.topics.say(over(incident()), incident("i2"))
    world.settle()

    assert world.log == [("trigger", "i2")]
    assert world.heard.skipped == ["i1"]
    assert set(world.topics.told) == {"pager/i2"}


def test_what_waited_behind_others_and_is_over_is_said_to_be_skipped_too() -> None:
    world = World()
    world.sink.faults = ["away"] * 3
    world.topics.say(incident("i1"), incident("i2"))
    world.pass_(1)
    world.topics.say(over(incident("i2")))
    world.settle()

    assert world.log == [("trigger", "i1")]
    assert world.heard.skipped == ["i2"]


def test_what_may_have_been_taken_is_resolved_although_no_answer_came() -> None:
    world = World()
    world.sink.faults = ["lost"]
    world.topics.say(incident())
    world.pass_(1)
    world.topics.say(over(incident()))
    world.settle()

    assert world.log == [("trigger", "i1"), ("resolve", "i1")]
    assert world.pager.open == {}


def test_a_message_that_is_refused_is_said_loudly_and_holds_up_nothing() -> None:
    world = World()
    world.sink.faults = ["refused"]
    world.topics.say(incident("i1"), incident("i2"))
    world.pass_()
    world.topics.say(over(incident("i1")), over(incident("i2")))
    world.settle()

    assert world.heard.refused == [("i1", "not like this")]
    assert world.log == [("trigger", "i2"), ("resolve", "i2")]


def test_what_was_refused_is_told_again_by_the_next_process_since_somebody_may_have_mended_it() -> None:
    world = World()
    world.sink.faults = ["refused"]
    world.topics.say(incident())
    world.pass_()
    world.restart()
    world.settle()

    assert world.log == [("trigger", "i1")]


def test_one_message_that_the_receiver_stumbles_over_does_not_hold_up_the_others() -> None:
    world = World()
    world.sink.stumbles_over = frozenset({"i1"})
    world.topics.say(*(incident(f"i{n}") for n in range(1, 5)))
    world.pass_(8)

    assert sorted(world.log) == [("trigger", "i2"), ("trigger", "i3"), ("trigger", "i4")]
    assert world.heard.turns[-1] == (1, "it stumbles over this one")


def test_waits_grow_to_a_minute_and_are_as_long_as_the_receiver_says() -> None:
    world = World()
    world.topics.say(incident())
    asked: list[float] = []
    world.sink.faults = ["away"] * 9
    for _ in range(2_000):
        world.now += 0.25
        before = len(world.heard.waits)
        world.loop.step()
        if len(world.heard.waits) > before:
            asked.append(world.now)
    growing = [b - a for a, b in pairwise(asked)]
    world.sink.retry_after, world.sink.faults = 240.0, ["busy"]
    world.topics.say(incident("i2"))
    world.pass_(1)
    began = len(world.pager.log)
    world.now += 230.0
    world.loop.step()
    during = len(world.pager.log)
    world.now += 10.0
    world.loop.step()

    assert growing == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert (during - began, len(world.pager.log) - during) == (0, 1)


def test_a_restart_tells_nothing_again_and_finds_what_ended_meanwhile() -> None:
    world = World()
    world.topics.say(incident("i1"), incident("i2"))
    world.pass_()
    world.topics.say(over(incident("i1")))
    world.topics.compact()
    world.restart()
    world.settle()

    assert world.log == [("trigger", "i1"), ("trigger", "i2"), ("resolve", "i1")]


def test_a_receiver_that_is_new_hears_of_what_goes_on_and_not_of_what_is_over() -> None:
    world = World()
    world.topics.say(incident("i1"), over(incident("i1")), incident("i2"))
    world.settle()

    assert world.log == [("trigger", "i2")]
    assert world.heard.skipped == []


def test_what_another_member_has_now_is_that_members() -> None:
    world = World()
    world.topics.say(incident("i1"))
    world.pass_()
    world.reader.places = {}
    world.pass_(1)
    world.topics.told["pager/i1"] = world.topics.told["pager/i1"]
    world.topics.say(over(incident("i1")))
    world.pass_(2)
    gone = list(world.log)
    world.reader.places, world.reader.at = {0: 2}, 0
    world.settle()

    assert gone == [("trigger", "i1")]
    assert "i1" in world.sink.dropped
    assert world.log == [("trigger", "i1"), ("resolve", "i1")]


def test_who_shows_the_text_is_told_of_changes_and_after_a_restart_of_what_goes_on() -> None:
    world = World(kind=FakeBoardSink)
    world.topics.say(incident())
    world.pass_()
    world.topics.say(replace(incident(), version=2, title="worse"))
    world.pass_()
    world.restart()
    world.pass_()

    assert world.log == [("trigger", "i1"), ("update", "i1"), ("update", "i1")]
    assert world.sink.flushes > 4


def test_what_cannot_be_read_is_left_out() -> None:
    world = World()
    world.topics.put("i0", b"{")
    world.topics.told["pager/old"] = b"{"
    world.topics.say(incident())
    world.settle()

    assert world.log == [("trigger", "i1")]
    assert world.heard.unreadable[:2] == [(0, 0), (0, -1)]


def test_what_other_receivers_were_told_is_theirs() -> None:
    world = World()
    told = Told(
        sink="other", incident="i1", at=1.0, called_at=110.0, began=100.0, severity="critical", entity="job:a/b"
    )
    world.topics.told["other/i1"] = msgspec.json.encode(told)
    world.topics.say(incident())
    world.settle()

    assert world.log == [("trigger", "i1")]
    assert set(world.topics.told) == {"other/i1", "pager/i1"}


def test_a_dry_run_says_what_would_be_told() -> None:
    world = World()
    receiver = Receiver("pager", world.sink)
    told = Told(
        sink="pager",
        incident="i2",
        at=1.0,
        called_at=110.0,
        began=1.0,
        severity="critical",
        entity="job:a/b",
        taken=True,
    )

    found = would_tell({"i1": incident(), "i2": over(incident("i2"))}, {"i2": told}, receiver, 5.0)

    assert [(one.action, one.incident) for one in found] == [("trigger", "i1"), ("resolve", "i2")]
    assert world.log == []


# ---------------------------------------------------------------- faults by chance

KEYS = ("a", "b", "c")
FAULTS = ("", "away", "lost", "busy", "dies before", "dies after")
CALM = st.one_of(
    st.tuples(st.sampled_from(("call", "mute", "ack", "end")), st.sampled_from(KEYS)),
    st.tuples(st.sampled_from(("restart", "compact")), st.none()),
)
STEPS = st.one_of(
    st.tuples(st.sampled_from(("call", "mute", "ack", "worse", "end", "merge", "off")), st.sampled_from(KEYS)),
    st.tuples(st.just("go"), st.lists(st.sampled_from(FAULTS), max_size=4)),
    st.tuples(st.just("kafka"), st.integers(1, 3)),
    st.tuples(st.just("die"), st.tuples(st.integers(0, 3), st.booleans())),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("compact"), st.none()),
)


@dataclass
class Company:
    """Incidents as the board tells them: opened, called for, ended, back again."""

    topics: Topics
    now: dict[str, Incident] = field(default_factory=dict)
    clock: float = 100.0

    def do(self, what: str, key: str) -> None:
        self.clock += 10.0
        one = self.now.get(key)
        if what in ("call", "mute") and (one is None or one.state != "open"):
            called = {"called": "warning", "called_at": self.clock} if what == "call" else {"called": None}
            begun = incident(key, version=1 if one is None else one.version + 1, opened=self.clock, **called)
            self._say(replace(begun, updated=self.clock))
        elif one is None or one.state != "open":
            if what == "off" and one is not None:
                del self.now[key]
                self.topics.put(key, None)
        elif what == "worse":
            self._say(replace(one, version=one.version + 1, called="critical", called_at=self.clock))
        elif what == "ack":
            self._say(replace(one, version=one.version + 1, acknowledged_by="ada"))
        elif what in ("end", "merge"):
            state = "resolved" if what == "end" else "merged"
            self._say(over(one, state=state, resolved=self.clock, updated=self.clock))

    def _say(self, one: Incident) -> None:
        self.now[one.id] = one
        self.topics.say(one)

    @property
    def calls(self) -> set[str]:
        return {key for key, one in self.now.items() if one.state == "open" and one.called is not None}


@given(st.lists(STEPS, max_size=40))
def test_through_faults_and_crashes_the_receiver_ends_up_with_what_goes_on(steps: list[tuple]) -> None:
    world = World()
    company, doubtful = Company(world.topics), set[str]()
    for what, argument in steps:
        try:
            if what == "go":
                world.sink.faults = list(argument)
                world.pass_(2)
            elif what == "kafka":
                world.topics.fails = argument
            elif what == "die":
                world.reader.dies_at, world.reader.dies_after = argument
            elif what == "restart":
                world.restart()
            elif what == "compact":
                world.topics.compact()
            else:
                company.do(what, argument)
        except Crash:
            doubtful |= {key.partition("/")[2] for key in world.topics.told}
            world.restart()
    world.settle()

    assert set(world.pager.open) == company.calls
    assert {key.partition("/")[2] for key in world.topics.told} == company.calls
    assert_no_end_without_a_beginning(world.pager, doubtful)


@given(st.lists(CALM, max_size=40))
def test_without_faults_nothing_is_told_twice_through_restarts(steps: list[tuple]) -> None:
    world = World()
    company = Company(world.topics)
    for what, argument in steps:
        if what == "restart":
            world.restart()
        elif what == "compact":
            world.topics.compact()
        else:
            company.do(what, argument)
        world.pass_(len(world.topics.records) + 2)

    ids = [(action, id_) for action, _, id_ in world.pager.log]
    assert len(ids) == len(set(ids))
    assert set(world.pager.open) == company.calls


def assert_no_end_without_a_beginning(pager: Pager, doubtful: set[str]) -> None:
    """What may have been taken when a process died may be told to be over; what was never sent, never."""
    begun = set(doubtful)
    for action, key, _ in pager.log:
        if action == "trigger":
            begun.add(key)
        assert key in begun, f"{action} of {key}, which was never triggered"
