"""The circuit breaker: a table of legal moves, and what runs, time and failures of our own make of it."""

from itertools import product

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from detector.core.breaker import (
    LEGAL,
    Breaker,
    Outcome,
    State,
    Verdict,
    lose,
    move,
    on_time,
    recover,
    trip,
    wait_of,
)
from detector.core.emissions import BreakerChange, BreakerValue
from detector.core.events import RunState
from detector.core.policies.window import Window
from detector.core.rules import Rules, Settings
from detector.errors import IllegalTransition
from tests.core.world import JOB, MINUTE, MONDAY, World, breakers, changes, event, ready
from tests.strategies import examples

CLOSED, OPEN, HALF_OPEN, UNKNOWN = State.CLOSED, State.OPEN, State.HALF_OPEN, State.UNKNOWN


@pytest.mark.parametrize(
    ("before", "after"), list(product(State, State)), ids=[f"{a}-to-{b}" for a, b in product(State, State)]
)
def test_only_the_moves_of_the_table_are_made(before: State, after: State) -> None:
    legal = {
        CLOSED: {OPEN, UNKNOWN},
        OPEN: {HALF_OPEN, UNKNOWN},
        HALF_OPEN: {OPEN, CLOSED, UNKNOWN},
        UNKNOWN: {HALF_OPEN},
    }
    if after not in legal[before]:
        with pytest.raises(IllegalTransition):
            move(Breaker(before), after, 1.0, "")
        return

    assert move(Breaker(before, sequence=6), after, 1.0, "so") == Breaker(after, 1.0, None, 0, "so", None, 7)


def states(moves: list[Breaker]) -> list[State]:
    return [breaker.state for breaker in moves]


@pytest.mark.parametrize(
    ("before", "tripped", "recovered", "timed", "lost"),
    [
        (CLOSED, [OPEN], [], [], [UNKNOWN]),
        (OPEN, [HALF_OPEN, OPEN], [HALF_OPEN, CLOSED], [HALF_OPEN], [UNKNOWN]),
        (HALF_OPEN, [OPEN], [CLOSED], [], [UNKNOWN]),
        (UNKNOWN, [HALF_OPEN, OPEN], [HALF_OPEN, CLOSED], [], []),
    ],
    ids=list(State),
)
def test_what_happens_to_a_breaker(
    before: State, tripped: list[State], recovered: list[State], timed: list[State], lost: list[State]
) -> None:
    breaker = Breaker(before, retry_at=10.0)

    assert states(trip(breaker, 20, 1, 1, "", None)) == tripped
    assert states(recover(breaker, 20, "")) == recovered
    assert states(on_time(breaker, 20)) == timed
    assert states(lose(breaker, 20, "")) == lost


def test_an_open_breaker_admits_a_probe_exactly_when_its_wait_is_over() -> None:
    breaker = trip(Breaker(), 100, 600, 6_000, "", None)[-1]

    assert on_time(breaker, 699.9) == []
    assert states(on_time(breaker, 700)) == [HALF_OPEN]


def test_a_trip_keeps_its_cause_and_a_recovery_forgets_it() -> None:
    open_ = trip(Breaker(), 1, 1, 1, "bad", "episode")[-1]
    closed = recover(open_, 2, "good")[-1]

    assert (open_.cause, open_.trips, open_.reason) == ("episode", 1, "bad")
    assert (closed.cause, closed.trips, closed.retry_at) == (None, 0, None)


def test_the_wait_doubles_up_to_the_longest_and_never_overflows() -> None:
    assert [wait_of(trips, 600, 3_000) for trips in (1, 2, 3, 4, 5, 10_000)] == [600, 1_200, 2_400, 3_000, 3_000, 3_000]


# ---------------------------------------------------------------- the policy


def outcomes(severities: list[int]) -> list[Outcome]:
    return [Outcome(number, severity, float(number)) for number, severity in enumerate(severities)]


@pytest.mark.parametrize(
    ("window", "severities", "expected"),
    [
        pytest.param(Window(), [], Verdict.HOLD, id="nothing has happened"),
        pytest.param(Window(), [0], Verdict.RECOVER, id="a good run"),
        pytest.param(Window(), [2], Verdict.TRIP, id="one critical run"),
        pytest.param(Window(), [1], Verdict.HOLD, id="one warning"),
        pytest.param(Window(), [1, 1], Verdict.TRIP, id="two warnings"),
        pytest.param(Window(), [1, 0, 1], Verdict.TRIP, id="two warnings in three runs"),
        pytest.param(Window(), [1, 0, 0, 1], Verdict.HOLD, id="two warnings in four runs"),
        pytest.param(Window(), [2, 0], Verdict.RECOVER, id="a good run after a critical one"),
        pytest.param(Window(), [2, 0, 1], Verdict.TRIP, id="a warning while a critical run is in the window"),
        pytest.param(Window(), [2, 0, 0, 1], Verdict.HOLD, id="a warning when the critical run has left the window"),
        pytest.param(Window(criticals=2), [2], Verdict.HOLD, id="one critical run where two are asked for"),
        pytest.param(Window(criticals=2), [2, 0, 2], Verdict.TRIP, id="two critical runs where two are asked for"),
        pytest.param(Window(1, 3, 3), [1, 1], Verdict.HOLD, id="two warnings where three are asked for"),
        pytest.param(Window(2, 2, 5), [2, 1], Verdict.TRIP, id="a critical run is a warning, too"),
        pytest.param(Window(1, 1, 1), [1], Verdict.TRIP, id="a window of one"),
    ],
)
def test_a_window_trips_on_what_happened_in_its_last_runs(
    window: Window, severities: list[int], expected: Verdict
) -> None:
    assert window.verdict(outcomes(severities)) is expected


@pytest.mark.parametrize("wrong", [(0, 2, 3), (4, 2, 3), (1, 0, 3), (1, 4, 3)])
def test_a_window_that_could_never_trip_or_always_would_is_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be from 1 to runs"):
        Window(*wrong)


# ---------------------------------------------------------------- runs


def test_a_run_that_comes_while_the_breaker_is_open_is_a_probe() -> None:
    world = ready()
    world.run(MONDAY, state="FAIL")
    world.tick(MONDAY + MINUTE)

    assert changes(world.run(MONDAY + 2 * MINUTE)) == [("open", "half_open"), ("half_open", "closed")]


def test_a_probe_that_fails_opens_it_again_for_twice_as_long() -> None:
    world = ready()
    world.run(MONDAY, state="FAIL")
    world.ticks(MONDAY + MINUTE, MONDAY + 11 * MINUTE)
    said = world.run(MONDAY + 12 * MINUTE, state="FAIL")
    value = breakers(said)[-1]

    assert changes(said) == [("half_open", "open")]
    assert (value.trips, value.retry_at) == (2, MONDAY + 11 * MINUTE + 1_200)


def test_a_probe_with_a_mere_warning_does_not_close_it() -> None:
    world = ready()
    world.run(MONDAY, state="FAIL")
    world.ticks(MONDAY + MINUTE, MONDAY + 11 * MINUTE)

    assert changes(world.run(MONDAY + 12 * MINUTE, state="ABORT")) == [("half_open", "open")]


def test_runs_that_fail_together_open_it_once_with_the_shortest_wait() -> None:
    world = ready()
    for number in range(20):
        world.tell(event("START", MONDAY + number, f"r{number}"))
    for number in range(20):
        world.tick(MONDAY + 30 + 5 * number)
        world.tell(event("FAIL", MONDAY + 30 + 5 * number, f"r{number}"))

    assert changes(world.said) == [("closed", "open")]
    assert world.entities[JOB].judgement.breaker.retry_at == MONDAY + 30 + 600


def test_runs_without_a_start_that_fail_together_open_it_once() -> None:
    world = ready()
    for number in range(20):
        world.tell(event("FAIL", MONDAY + number / 10, f"r{number}"))

    assert changes(world.said) == [("closed", "open")]


def test_a_good_run_that_began_before_the_breaker_opened_does_not_close_it() -> None:
    world = ready()
    world.tell(event("START", MONDAY, "good"))
    world.tick(MONDAY + MINUTE)
    world.run(MONDAY + MINUTE, state="FAIL", run_id="bad")
    world.tick(MONDAY + 3 * MINUTE)
    world.tell(event("COMPLETE", MONDAY + 4 * MINUTE, "good"))

    assert changes(world.said) == [("closed", "open")]


def test_a_cleared_run_that_completes_closes_the_breaker_that_it_opened() -> None:
    world = ready()
    world.run(MONDAY, state="FAIL", run_id="r1")
    world.tick(MONDAY + 2 * MINUTE)
    world.run(MONDAY + 3 * MINUTE, run_id="r1")

    assert world.entities[JOB].judgement.breaker.state == "closed"
    assert [outcome.severity for outcome in world.entities[JOB].judgement.outcomes] == [0]


def test_the_breaker_names_the_worst_episode_as_its_cause() -> None:
    from detector.core.emissions import Anomaly

    world = ready()
    said = world.run(MONDAY, state="FAIL")
    failed = next(e for e in said if isinstance(e.data, Anomaly))

    assert breakers(said)[-1].cause == failed.id


class RandomLife(RuleBasedStateMachine):
    """Runs of every outcome, alone and in parallel, and time: what a reader sees keeps its promises."""

    WAIT, LONGEST = 300.0, 2_000.0

    @initialize()
    def begin(self) -> None:
        settings = Settings(wait=self.WAIT, max_wait=self.LONGEST, late=None, hanging=None)
        self.world = World(Rules(settings))
        self.now, self.count, self.checked = MONDAY, 0, 0
        self.going: list[str] = []
        self.seen = Breaker()
        self.world.tick(self.now)

    @rule(seconds=st.integers(1, 1_500))
    def time_passes(self, seconds: int) -> None:
        before = self.world.entities[JOB].judgement.breaker if JOB in self.world.entities else Breaker()
        self.now += seconds
        said = self.world.tick(self.now)

        over = before.state is OPEN and before.retry_at is not None and self.now >= before.retry_at
        assert changes(said) == ([("open", "half_open")] if over else [])

    @rule()
    def a_run_starts(self) -> None:
        self.count += 1
        self.going.append(f"r{self.count}")

        assert changes(self.world.tell(event("START", self.now, self.going[-1]))) == []

    @rule(state=st.sampled_from(["COMPLETE", "FAIL", "ABORT"]), pick=st.integers(0, 1_000))
    def a_run_ends(self, state: RunState, pick: int) -> None:
        if not self.going:
            return
        run_id = self.going.pop(pick % len(self.going))
        started = self.world.entities[JOB].runs.open[run_id].began
        before = self.world.entities[JOB].judgement.breaker
        said = self.world.tell(event(state, self.now, run_id))

        if before.state is OPEN and started < before.since:
            assert changes(said) == []
        if state == "FAIL":
            assert self.world.entities[JOB].judgement.breaker.state is OPEN
        if before.state is HALF_OPEN:
            assert changes(said) == [("half_open", "closed" if state == "COMPLETE" else "open")]

    @invariant()
    def every_move_is_legal_and_counted(self) -> None:
        for emission in self.world.said[self.checked :]:
            if isinstance(emission.data, BreakerChange):
                change = emission.data
                assert (change.from_state, change.to_state) in LEGAL
                assert (change.from_state, change.sequence) == (self.seen.state, self.seen.sequence + 1)
                self.seen = Breaker(change.to_state, sequence=change.sequence)
        self.checked = len(self.world.said)

    @invariant()
    def what_is_published_is_what_holds(self) -> None:
        published = [e.data for e in self.world.said if isinstance(e.data, BreakerValue)]
        if published:
            assert published[-1].breaker() == self.world.entities[JOB].judgement.breaker

    @invariant()
    def the_wait_doubles_up_to_the_longest(self) -> None:
        if JOB in self.world.entities:
            breaker = self.world.entities[JOB].judgement.breaker
            if breaker.state is OPEN:
                assert breaker.retry_at is not None
                assert breaker.retry_at - breaker.since == min(self.WAIT * 2 ** (breaker.trips - 1), self.LONGEST)
            else:
                assert breaker.retry_at is None


TestRandomLife = RandomLife.TestCase
TestRandomLife.settings = examples(0.6, stateful_step_count=40)
