"""Every policy against every check, and a broken policy for each check, which must be refused."""

import dataclasses
import inspect
from collections.abc import Callable
from itertools import product

import pytest

from detector.core.breaker import Outcome, Verdict
from detector.core.policies import POLICIES, Policy
from detector.core.policies.limits import MOST_RUNS
from detector.core.policies.window import Window

Make = Callable[[], Policy]
SHORT = [list(severities) for n in range(5) for severities in product((0, 1, 2), repeat=n)]


def outcomes(severities: list[int], first: int = 0) -> list[Outcome]:
    return [Outcome(first + number, severity, float(number)) for number, severity in enumerate(severities)]


def check_nothing_happened_is_no_reason(make: Make) -> None:
    assert make().verdict([]) is Verdict.HOLD


def check_a_good_run_never_trips(make: Make) -> None:
    for before in SHORT:
        assert make().verdict(outcomes([*before, 0])) is not Verdict.TRIP


def check_a_bad_run_never_recovers(make: Make) -> None:
    for before, last in product(SHORT, (1, 2)):
        assert make().verdict(outcomes([*before, last])) is not Verdict.RECOVER


def check_a_good_run_after_good_ones_recovers(make: Make) -> None:
    assert make().verdict(outcomes([0] * 16)) is Verdict.RECOVER


def check_it_trips_once_all_that_it_looks_at_is_critical(make: Make) -> None:
    policy = make()
    assert policy.verdict(outcomes([2] * policy.keeps)) is Verdict.TRIP
    assert policy.verdict(outcomes([0] * MOST_RUNS + [2] * policy.keeps)) is Verdict.TRIP


def check_it_looks_at_no_more_than_it_keeps(make: Make) -> None:
    policy = make()
    assert 1 <= policy.keeps <= MOST_RUNS
    for before, last in product(SHORT, SHORT):
        both = outcomes([*before, *last])
        assert policy.verdict(both) is policy.verdict(both[-policy.keeps :])


def check_worse_never_helps(make: Make) -> None:
    for severities in SHORT:
        if not severities or severities[-1] == 0 or make().verdict(outcomes(severities)) is not Verdict.TRIP:
            continue
        for number in range(len(severities)):
            worse = [*severities]
            worse[number] = 2
            assert make().verdict(outcomes(worse)) is Verdict.TRIP


def check_it_decides_by_what_it_is_given_alone(make: Make) -> None:
    policy = make()
    for severities in SHORT:
        given = outcomes(severities)
        first = policy.verdict(given)
        assert given == outcomes(severities), "it changed the outcomes"
        assert first is make().verdict(outcomes(severities, first=1_000)), "it decides by the names of the runs"
        assert first is policy.verdict(given), "it remembers"


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", POLICIES)
def test_every_policy_keeps_what_policies_promise(kind: str, check: Callable[[Make], None]) -> None:
    check(POLICIES[kind])


@pytest.mark.parametrize("kind", POLICIES)
def test_a_policy_is_registered_under_its_own_name_and_says_what_it_is(kind: str) -> None:
    policy = POLICIES[kind]

    assert policy.kind == kind
    assert inspect.getdoc(policy)
    assert dataclasses.is_dataclass(policy)


# ---------------------------------------------------------------- tests of the checks


class TripsOnNothing(Window):
    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        return super().verdict(outcomes) if outcomes else Verdict.TRIP


class TripsOnOldSins(Window):
    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        return Verdict.TRIP if any(o.severity for o in outcomes) else super().verdict(outcomes)


class RecoversOnAWarning(Window):
    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        return Verdict.RECOVER if outcomes and outcomes[-1].severity < 2 else super().verdict(outcomes)


class NeverRecovers(Window):
    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        found = super().verdict(outcomes)
        return Verdict.HOLD if found is Verdict.RECOVER else found


class NeverTrips(Window):
    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        found = super().verdict(outcomes)
        return Verdict.HOLD if found is Verdict.TRIP else found


class TripsForEver(Window):
    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        found = super().verdict(outcomes)
        return Verdict.TRIP if found is Verdict.HOLD and any(o.severity == 2 for o in outcomes) else found


class TripsOnWarningsOnly(Window):
    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        found = super().verdict(outcomes)
        return Verdict.HOLD if found is Verdict.TRIP and [o.severity for o in outcomes][:1] == [2] else found


class Remembers(Window):
    calls = 0

    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        type(self).calls += 1
        return super().verdict(outcomes) if self.calls % 2 else Verdict.HOLD


BROKEN: dict[type[Window], Callable[[Make], None]] = {
    TripsOnNothing: check_nothing_happened_is_no_reason,
    TripsOnOldSins: check_a_good_run_never_trips,
    RecoversOnAWarning: check_a_bad_run_never_recovers,
    NeverRecovers: check_a_good_run_after_good_ones_recovers,
    NeverTrips: check_it_trips_once_all_that_it_looks_at_is_critical,
    TripsForEver: check_it_looks_at_no_more_than_it_keeps,
    TripsOnWarningsOnly: check_worse_never_helps,
    Remembers: check_it_decides_by_what_it_is_given_alone,
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_policy_is_refused(broken: type[Window]) -> None:
    with pytest.raises(AssertionError):
        BROKEN[broken](broken)


def test_there_is_a_broken_policy_for_each_check() -> None:
    assert set(CHECKS) == {*BROKEN.values()}
