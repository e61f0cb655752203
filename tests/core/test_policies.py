"""When each policy trips, what it refuses to be, and that an entity keeps as many outcomes as its policy looks at."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.breaker import Outcome, Verdict
from detector.core.policies import POLICIES, Policy
from detector.core.policies.consecutive import Consecutive
from detector.core.policies.limits import MOST_RUNS
from detector.core.policies.rate import Rate
from detector.core.policies.weighted import Weighted
from detector.core.policies.window import Window
from detector.core.rules import Rules, Settings
from tests.core.world import DAY, JOB, MINUTE, MONDAY, changes, ready

TRIP, HOLD, RECOVER = Verdict.TRIP, Verdict.HOLD, Verdict.RECOVER


def outcomes(severities: list[int]) -> list[Outcome]:
    return [Outcome(number, severity, float(number)) for number, severity in enumerate(severities)]


@pytest.mark.parametrize(
    ("policy", "severities", "expected"),
    [
        pytest.param(Consecutive(), [2], HOLD, id="one bad run is no row"),
        pytest.param(Consecutive(), [1, 1], TRIP, id="two in a row"),
        pytest.param(Consecutive(), [1, 2], TRIP, id="of whatever severity"),
        pytest.param(Consecutive(), [2, 0, 2], HOLD, id="a good run breaks the row"),
        pytest.param(Consecutive(), [2, 0, 2, 2], TRIP, id="and a row may follow it"),
        pytest.param(Consecutive(), [2, 2, 0], RECOVER, id="a good run after a row"),
        pytest.param(Consecutive(severity="critical"), [2, 1, 2], HOLD, id="a warning breaks a row of critical runs"),
        pytest.param(Consecutive(severity="critical"), [1, 2, 2], TRIP, id="a row of critical runs after a warning"),
        pytest.param(Consecutive(runs=1), [1], TRIP, id="a row of one"),
        pytest.param(Rate(), [2, 2], HOLD, id="too few runs for a share"),
        pytest.param(Rate(), [2, 0, 1], TRIP, id="two thirds of three"),
        pytest.param(Rate(), [0, 0, 1], HOLD, id="a third of three"),
        pytest.param(Rate(), [0, 1, 0, 1], TRIP, id="just the half"),
        pytest.param(Rate(), [1, 1, 1, 0, 0, 0, 0, 1], HOLD, id="what has left the window counts no more"),
        pytest.param(Rate(), [1, 1, 1, 0], RECOVER, id="a good run closes, whatever the share is"),
        pytest.param(Rate(severity="critical"), [1, 1, 1], HOLD, id="warnings do not count where critical runs do"),
        pytest.param(Rate(severity="critical"), [2, 1, 2], TRIP, id="two of three were critical"),
        pytest.param(Rate(100.0, 3, 3), [1, 0, 1], HOLD, id="not all of them"),
        pytest.param(Rate(100.0, 3, 3), [1, 1, 1], TRIP, id="all of them"),
        pytest.param(Rate(0.1, 6, 1, "critical"), [1], HOLD, id="the smallest share is not none"),
        pytest.param(Weighted(), [2], TRIP, id="one critical run weighs enough"),
        pytest.param(Weighted(), [1, 1], HOLD, id="two warnings weigh less"),
        pytest.param(Weighted(), [1, 1, 1], TRIP, id="three warnings weigh as much as a critical run"),
        pytest.param(Weighted(), [1, 1, 0, 1], TRIP, id="with a good run between"),
        pytest.param(Weighted(), [1, 1, 0, 0, 1], HOLD, id="the first has left the window"),
        pytest.param(Weighted(threshold=4.0), [2, 0, 1], TRIP, id="a critical run and a warning"),
        pytest.param(Weighted(warning=0.0), [1, 1, 1, 1], HOLD, id="warnings that weigh nothing"),
        pytest.param(Weighted(), [2, 0], RECOVER, id="a good run closes, whatever the window weighs"),
    ],
)
def test_a_policy_trips_on_what_it_says(policy: Policy, severities: list[int], expected: Verdict) -> None:
    assert policy.verdict(outcomes(severities)) is expected


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda: Window(runs=65), "runs: must be from 1 to 64", id="a window that nobody keeps"),
        pytest.param(lambda: Consecutive(runs=0), "runs: must be from 1 to 64", id="an empty row"),
        pytest.param(lambda: Consecutive(runs=65), "runs: must be from 1 to 64", id="a row that nobody keeps"),
        pytest.param(lambda: Consecutive(severity="info"), "severity: must be warning or critical", id="no severity"),  # type: ignore[arg-type]
        pytest.param(lambda: Rate(runs=65), "runs: must be from 1 to 64", id="a share of more than is kept"),
        pytest.param(lambda: Rate(runs=2), "min_runs: must be from 1 to runs", id="fewer runs than are asked for"),
        pytest.param(lambda: Rate(min_runs=0), "min_runs: must be from 1 to runs", id="a share of nothing"),
        pytest.param(lambda: Rate(0.0), "failure_rate_threshold: must be above 0", id="a share that always is"),
        pytest.param(lambda: Rate(101.0), "failure_rate_threshold: must be above 0", id="a share above all"),
        pytest.param(lambda: Rate(float("nan")), "failure_rate_threshold: must be", id="a share that is no number"),
        pytest.param(lambda: Weighted(runs=0), "runs: must be from 1 to 64", id="a window of nothing"),
        pytest.param(lambda: Weighted(warning=-1.0), "warning: must be 0 or more", id="a warning that helps"),
        pytest.param(lambda: Weighted(critical=0.5), "critical: must be", id="a critical run lighter than a warning"),
        pytest.param(lambda: Weighted(0.0, 0.0), "critical: must be above 0", id="weights of nothing"),
        pytest.param(lambda: Weighted(critical=float("inf")), "critical: must be", id="a weight that is no number"),
        pytest.param(lambda: Weighted(threshold=12.1), "threshold: must be above 0", id="more than all can weigh"),
        pytest.param(lambda: Weighted(threshold=0.0), "threshold: must be above 0", id="a threshold that always is"),
    ],
)
def test_a_policy_that_could_never_trip_or_always_would_is_refused(make: Callable[[], Policy], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        make()


severity = st.sampled_from(["warning", "critical"])
runs = st.integers(1, MOST_RUNS)
policies: st.SearchStrategy[Policy] = st.one_of(
    runs.flatmap(lambda n: st.builds(Window, st.integers(1, n), st.integers(1, n), st.just(n))),
    st.builds(Consecutive, runs, severity),
    runs.flatmap(lambda n: st.builds(Rate, st.floats(0.01, 100), st.just(n), st.integers(1, n), severity)),
    runs.flatmap(lambda n: st.builds(Weighted, st.floats(0, 1), st.floats(1, 9), st.floats(0.1, n), st.just(n))),
)


@given(policies, st.lists(st.sampled_from([0, 1, 2]), max_size=2 * MOST_RUNS))
def test_whatever_its_parameters_a_policy_keeps_its_promises(policy: Policy, severities: list[int]) -> None:
    found = policy.verdict(outcomes(severities))

    assert found is policy.verdict(outcomes(severities)[-policy.keeps :])
    assert policy.verdict(outcomes([*severities, 0])) is RECOVER
    assert policy.verdict(outcomes([*severities, 1])) is not RECOVER
    assert policy.verdict(outcomes([*severities, *[2] * policy.keeps])) is TRIP


# ---------------------------------------------------------------- an entity


def failing(policy: Policy, days: int) -> list[list[tuple[str, str]]]:
    """What the breaker did at each run: a run a day, all of them failing."""
    world = ready(Rules(Settings(policy=policy, late=None, wait=30 * DAY, max_wait=30 * DAY)))
    moved: list[list[tuple[str, str]]] = []
    for day in range(days):
        at = MONDAY + day * DAY
        world.tick(at)
        moved.append(changes(world.run(at, state="FAIL")))
        world.tick(at + 2 * MINUTE)
    return moved


@pytest.mark.parametrize("runs", [1, 8, 9, 20, 64])
def test_an_entity_keeps_as_many_outcomes_as_its_policy_looks_at(runs: int) -> None:
    moved = failing(Consecutive(runs=runs), runs)

    assert [day for day, moves in enumerate(moved, 1) if moves] == [runs]


def test_an_entity_keeps_no_more_than_that() -> None:
    world = ready(Rules(Settings(policy=Consecutive(runs=20), late=None)))
    for day in range(40):
        world.run(MONDAY + day * DAY)

    assert len(world.entities[JOB].judgement.outcomes) == 20


def test_a_policy_that_looks_at_less_than_before_lets_the_others_go() -> None:
    world = ready(Rules(Settings(policy=Consecutive(runs=20), late=None)))
    for day in range(20):
        world.run(MONDAY + day * DAY)
    world.rules = Rules(Settings(policy=Window(), late=None), fingerprint=world.rules.fingerprint)
    world.run(MONDAY + 20 * DAY)

    assert len(world.entities[JOB].judgement.outcomes) == 8


def test_the_registry_has_these() -> None:
    assert list(POLICIES) == ["window", "consecutive", "rate", "weighted"]
