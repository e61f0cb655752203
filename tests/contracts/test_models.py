"""Every model against every check; a broken model for each check, which must be refused; and River as the reference."""

import math
from collections.abc import Callable
from itertools import count
from random import Random
from typing import ClassVar

import pytest
from river import stats

from detector.core.models import MODELS, Model
from detector.core.models.band import Band
from detector.core.models.reading import Reading
from tests.contracts.models import (
    CHECKS,
    failures,
    learned,
    read,
)

# An estimator of River's knows no band, and what it takes for normal is its own.
NOT_PROMISED = {
    "river": {
        "check_a_new_normal_is_told_once_and_then_silent",
        "check_one_spike_leaves_the_band_as_it_was",
        "check_the_band_of_a_reading_is_where_one_value_is_an_outlier",
    }
}


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        pytest.param(kind, check, id=f"{kind}-{check.__name__}")
        for kind in MODELS
        for check in CHECKS
        if check.__name__ not in NOT_PROMISED.get(kind, ())
    ],
)
def test_every_model_keeps_what_models_promise(kind: str, check: Callable[[type[Model]], None]) -> None:
    check(MODELS[kind])


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_is_registered_under_its_own_name_and_says_what_it_is(kind: str) -> None:
    assert MODELS[kind].kind == kind
    assert MODELS[kind].__doc__


# ---------------------------------------------------------------- tests of the checks


class LearnsWhenScored(Band):
    def score_one(self, at: float, x: float) -> float:
        score = super().score_one(at, x)
        self._learn(x)
        return score


class LearnsBeforeItScores(Band):
    def judge_one(self, at: float, x: float) -> Reading:
        self._learn(x)
        return super().judge_one(at, x)


class ForgetsItsVariance(Band):
    def restore(self, snapshot: bytes) -> None:
        super().restore(snapshot)
        self._var = 0.0


class ForgetsWhatItHeldBack(Band):
    def snapshot(self) -> bytes:
        held, self._held = self._held, []
        snapshot, self._held = super().snapshot(), held
        return snapshot


class RestoresAnything(Band):
    def restore(self, snapshot: bytes) -> None:
        if len(snapshot) == 22 and snapshot[0] == 2:
            super().restore(snapshot)


class KeepsEverything(Band):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.seen = b""

    def judge_one(self, at: float, x: float) -> Reading:
        self.seen += b"x"
        return super().judge_one(at, x)

    def snapshot(self) -> bytes:
        return super().snapshot() + self.seen


class KnowsBeforeItLearns(Band):
    def score_one(self, at: float, x: float) -> float:
        return super().score_one(at, x) if self.samples else 0.4


class LearnsNothingnessAsZero(Band):
    def judge_one(self, at: float, x: float) -> Reading:
        return super().judge_one(at, x if math.isfinite(x) else 0.0)


class DrawsLots(Band):
    numbers: ClassVar = count()

    def score_one(self, at: float, x: float) -> float:
        return super().score_one(at, x) * (1 - next(self.numbers) % 7 / 1_000)


class ScoresWithoutBound(Band):
    def score_one(self, at: float, x: float) -> float:
        return super().score_one(at, x) * 10


class ExpectsTooMuch(Band):
    def bounds(self) -> tuple[float, float, float]:
        lower, expected, upper = super().bounds()
        return lower, expected * 3 + 1, upper


class SaysNothingOfWhatItScores(Band):
    def judge_one(self, at: float, x: float) -> Reading:
        return super().judge_one(at, x)._replace(alert=False)


class DrawsAWiderBandThanItScores(Band):
    def bounds(self) -> tuple[float, float, float]:
        lower, expected, upper = super().bounds()
        return lower / 2, expected, upper * 2


class FindsNothing(Band):
    def score_one(self, at: float, x: float) -> float:
        return 0.0 * at * x


class LearnsEverything(Band):
    def judge_one(self, at: float, x: float) -> Reading:
        samples = self.samples
        reading = super().judge_one(at, x)
        if self.samples == samples:
            self._learn(x)
        return reading


class NeverForgets(Band):
    def _begin_anew(self, held: list[float]) -> None:
        for x in held:
            self._learn(x)


BROKEN: dict[type[Band], str] = {
    LearnsWhenScored: "check_scoring_learns_nothing",
    LearnsBeforeItScores: "check_it_scores_before_it_learns",
    ForgetsItsVariance: "check_a_snapshot_restores_the_same_future",
    ForgetsWhatItHeldBack: "check_a_snapshot_restores_the_same_future",
    RestoresAnything: "check_a_snapshot_says_its_format_and_refuses_what_is_none",
    KeepsEverything: "check_the_state_is_bounded",
    KnowsBeforeItLearns: "check_it_works_before_any_learning",
    LearnsNothingnessAsZero: "check_what_is_no_number_is_tolerated",
    DrawsLots: "check_it_is_deterministic",
    ScoresWithoutBound: "check_scores_and_bands_are_numbers",
    ExpectsTooMuch: "check_scores_and_bands_are_numbers",
    SaysNothingOfWhatItScores: "check_an_alert_is_a_score_of_a_half",
    DrawsAWiderBandThanItScores: "check_the_band_of_a_reading_is_where_one_value_is_an_outlier",
    FindsNothing: "check_it_finds_what_is_far_away",
    LearnsEverything: "check_one_spike_leaves_the_band_as_it_was",
    NeverForgets: "check_a_new_normal_is_told_once_and_then_silent",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_model_is_refused(broken: type[Band]) -> None:
    assert BROKEN[broken] in failures(broken)


def test_there_is_a_broken_model_for_each_check() -> None:
    assert {check.__name__ for check in CHECKS} == {*BROKEN.values()}


# ---------------------------------------------------------------- River is the reference

SERIES = [abs(Random(7).gauss(0, 300)) + 100 * (n % 9) for n in range(200)]


def state(band: Band) -> tuple[float, float]:
    return band._mean, band._var


def test_the_first_values_have_the_plain_mean_and_variance_of_river() -> None:
    band, mean, var = Band(alpha=0.1), stats.Mean(), stats.Var(ddof=0)
    for x in SERIES[:10]:
        band._learn(x)
        mean.update(math.log1p(x))
        var.update(math.log1p(x))

        assert state(band) == pytest.approx((mean.get(), var.get()), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3, 0.9])
def test_from_then_on_the_recursion_is_that_of_rivers_ew_statistics(alpha: float) -> None:
    """The recursion is linear, so that one which begins with a variance has what is left of it on top."""
    band = Band(alpha=alpha)
    young = math.ceil(1 / alpha)
    for x in SERIES[:young]:
        band._learn(x)
    began = state(band)
    mean, var = stats.EWMean(alpha), stats.EWVar(alpha)
    mean.update(began[0])
    var.update(began[0])
    for steps, x in enumerate(SERIES[young:], 1):
        band._learn(x)
        mean.update(math.log1p(x))
        var.update(math.log1p(x))

        assert band._mean == pytest.approx(mean.get(), rel=1e-9)
        assert band._var == pytest.approx(var.get() + (1 - alpha) ** steps * began[1], rel=1e-6, abs=1e-9)


# ---------------------------------------------------------------- what a band is told to be


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"alpha": 0}, "alpha: must be above 0 and at most 1"),
        ({"alpha": 1.1}, "alpha: must be above 0 and at most 1"),
        ({"width": 0}, "width and floor: must be above 0"),
        ({"floor": -1}, "width and floor: must be above 0"),
        ({"warmup": 0}, "warmup: must be at least 1"),
        ({"new_normal_after": 0}, "new_normal_after: must be 1 to 255"),
        ({"new_normal_after": 256}, "new_normal_after: must be 1 to 255"),
    ],
)
def test_parameters_that_make_no_band_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Band(**wrong)  # type: ignore[arg-type]


def test_a_wider_band_finds_less_and_a_higher_floor_too() -> None:
    def score(**parameters: float) -> float:
        band = Band(**parameters)  # type: ignore[arg-type]
        for x in [100.0, 102.0] * 10:
            band._learn(x)
        return band.score_one(0.0, 150)

    assert score(width=3) > score(width=5) > score(width=10)
    assert score(floor=0.01) > score(floor=0.1)


def test_a_young_band_is_wider_than_an_old_one() -> None:
    young, old = Band(), Band()
    for _ in range(7):
        young._learn(100)
    for _ in range(70):
        old._learn(100)

    assert young.bounds()[2] > old.bounds()[2] > 100


@pytest.mark.parametrize("value", [-1.0, -1e300])
def test_a_negative_value_is_neither_found_nor_learned_by_a_band(value: float) -> None:
    band = learned(Band, [100.0] * 20)
    before = band.snapshot()

    assert (band.judge_one(0.0, value).score, band.snapshot()) == (0.0, before)


@pytest.mark.parametrize("after", [1, 2, 5, 255])
def test_a_band_begins_anew_after_as_many_values_as_are_declared(after: int) -> None:
    band = learned(lambda: Band(new_normal_after=after), [100.0] * 20)
    said = read(band, [1_000.0] * 300)

    assert [reading.alert for reading in said] == [True] * (after - 1) + [False] * (301 - after)
    assert said[after - 1].cause == "new normal"
