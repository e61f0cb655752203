"""What a verdict changes in what is told next: for each model, after a restart, and in words."""

import math
from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.commands import Verdict
from detector.core.emissions import Anomaly, Emission
from detector.core.judge import judge, model_of
from detector.core.lessons import listed
from detector.core.models import Model
from detector.core.models.band import Band
from detector.core.models.baseline import Baseline
from detector.core.models.estimator import Estimator
from detector.core.models.taught import Taught
from detector.core.rules import Rules, Settings
from detector.core.state import Entity, dump, load
from detector.core.teaching import teach
from detector.core.turn import Place, Turn
from tests.core.world import DAY, HOUR, JOB, MINUTE, MONDAY, anomalies, found
from tests.strategies import examples


class Kind(NamedTuple):
    """A model, and a series that it knows: `usual` is its level, `bad` a value that it tells of, `calm` one further in
    that it does not tell of, `less` one between them that it tells of, too."""

    model: Callable[[], Model]
    step: float
    values: int
    bad: float
    calm: float
    less: float


KINDS = {
    "daily": Kind(Baseline, DAY, 60, 6_000.0, 9_300.0, 7_000.0),
    "hourly": Kind(partial(Baseline), HOUR, 24 * 28, 5_000.0, 9_300.0, 6_500.0),
    "dense": Kind(partial(Baseline, dense_below=HOUR), 5 * MINUTE, 12 * 24 * 15, 6_000.0, 9_700.0, 8_000.0),
    "band": Kind(Band, DAY, 60, 6_000.0, 9_300.0, 7_000.0),
    "river": Kind(
        partial(Estimator, estimator="anomaly.StandardAbsoluteDeviation"), DAY, 60, 8_800.0, 9_700.0, 9_000.0
    ),
    "gauss": Kind(partial(Estimator, estimator="anomaly.GaussianScorer"), DAY, 60, 8_800.0, 9_700.0, 9_000.0),
}
LEVEL = 10_000.0


class Series:
    """An entity with one series, fed by hand. Before each value its state goes through its bytes."""

    def __init__(self, kind: Kind, seed: int = 1) -> None:
        self.kind, self.random, self.number = kind, Random(seed), 0
        self.settings = Settings(model=kind.model, together=False, budget=1_000.0)
        self.entity = Entity(JOB)
        self.learn(kind.values)

    def learn(self, count: int) -> list[Emission]:
        """So many usual values."""
        return [
            one for _ in range(count) for one in self.see(float(round(self.random.gauss(LEVEL, 100))), reload=False)
        ]

    def turn(self) -> Turn:
        at = MONDAY + self.number * self.kind.step
        return Turn(self.entity, self.settings, Rules(self.settings), Place("t", 0, self.number, at), at, at, [])

    def see(self, x: float, reload: bool = True) -> list[Emission]:
        if reload:
            self.entity = load(dump(self.entity))
        turn = self.turn()
        judge(turn, {"rows": x})
        turn.tell(f"run-{self.number}")
        self.number += 1
        return turn.emissions

    def say(self, verdict: Verdict, check: str = "rows", metric: str | None = None) -> tuple[str, list[Anomaly]]:
        """A verdict, after the last value and before the next."""
        self.entity = load(dump(self.entity))
        turn = self.turn()
        said = teach(turn, verdict, self.entity.judgement.episodes.get(check), check, metric=metric)
        assert dump(load(dump(self.entity))) == dump(self.entity)
        return said, anomalies(turn.emissions)

    @property
    def band(self) -> tuple[float, float, float]:
        return model_of(self.turn(), "rows").bounds()


def told(said: list[Emission]) -> bool:
    return any(phase in ("started", "updated") for _, phase in found(said))


@pytest.fixture(params=KINDS)
def series(request: pytest.FixtureRequest) -> Series:
    return deepcopy(learned(request.param))


@cache
def learned(name: str) -> Series:
    """To copy from: it takes longer to learn than all that is done with it then."""
    return Series(KINDS[name])


def test_what_is_told_is_told(series: Series) -> None:
    assert not told(series.see(series.kind.calm))
    assert told(series.see(series.kind.bad))


def test_what_was_confirmed_alarms_again_and_changes_nothing(series: Series) -> None:
    before = series.band
    series.see(series.kind.bad)
    said, _ = series.say("confirmed")

    assert "stays unlearned" in said
    assert series.band == pytest.approx(before, rel=0.01)
    assert found(series.see(series.kind.bad)) == [("rows", "updated")]


def test_what_was_confirmed_is_no_new_normal_by_the_usual_repetition(series: Series) -> None:
    series.see(series.kind.bad)
    series.say("confirmed")

    assert all(told(series.see(series.kind.bad)) for _ in range(7))
    assert not told(series.see(LEVEL))
    assert series.entity.lessons.series == {}


def test_what_was_confirmed_becomes_the_new_normal_after_three_times_the_usual_patience(series: Series) -> None:
    series.see(series.kind.bad)
    series.say("confirmed")
    said = [told(series.see(series.kind.bad + place % 7)) for place in range(30)]

    assert 8 <= said.index(False) <= 13
    assert not any(said[said.index(False) :])


def test_what_was_expected_once_is_over_and_alarms_the_next_time(series: Series) -> None:
    before = series.band
    series.see(series.kind.bad)
    said, ended = series.say("expected_once")

    assert "stays unlearned" in said
    assert [(one.phase, "expected this once, by feedback" in one.summary) for one in ended] == [("ended", True)]
    assert series.band == pytest.approx(before, rel=0.02)
    assert found(series.see(series.kind.bad)) == [("rows", "started")]


def test_what_was_expected_once_alarms_after_a_calm_time_too(series: Series) -> None:
    series.see(series.kind.bad)
    series.say("expected_once")
    series.learn(7 * 24 if series.kind.step == HOUR else 6)

    assert found(series.see(series.kind.bad)) == [("rows", "started")]


def test_a_new_normal_is_silent_at_once_and_the_old_level_alarms(series: Series) -> None:
    series.see(series.kind.bad)
    said, ended = series.say("new_normal")

    assert "is the new normal from now on" in said
    assert [one.phase for one in ended] == ["ended"]
    assert not any(told(series.see(series.kind.bad * factor)) for factor in (1.0, 1.001, 0.999))
    assert found(series.see(LEVEL))[:1] == [("rows", "started")]


def test_a_false_positive_is_silent_the_next_time_and_so_is_less(series: Series) -> None:
    level = series.band[1]
    series.see(series.kind.bad)
    said, ended = series.say("false_positive")

    assert "from now on" in said
    assert [one.phase for one in ended] == ["ended"]
    assert series.band[1] == pytest.approx(level, rel=1e-3)
    assert not told(series.see(series.kind.bad))
    assert not told(series.learn(3))
    assert not told(series.see(series.kind.less))
    assert listed(series.entity.lessons)


def test_beyond_a_false_positive_and_on_the_other_side_is_told_as_before(series: Series) -> None:
    series.see(series.kind.bad)
    series.say("false_positive")
    series.learn(300 if series.kind.step == 5 * MINUTE else 3)

    assert told(series.see(LEVEL * 2))
    series.learn(300 if series.kind.step == 5 * MINUTE else 3)
    assert told(series.see(1_000.0))


def test_what_was_missed_is_told_the_next_time(series: Series) -> None:
    assert not told(series.see(series.kind.calm))
    said, _ = series.say("missed")

    assert "times as wide below from now on" in said
    assert not told(series.see(LEVEL))
    assert told(series.see(series.kind.calm))


# ---------------------------------------------------------------- whatever the series


@given(
    st.sampled_from(["amounts", "counts", "shares", "plain"]),
    st.sampled_from([DAY, HOUR]),
    st.floats(-12.0, 12.0),
    st.integers(0, 2**16),
)
@examples(1.5)
def test_the_same_value_at_the_same_time_is_as_people_said(kind: str, step: float, far: float, seed: int) -> None:
    model, at = grown(kind, step, seed), MONDAY + 200 * step
    x = value(kind, far)
    reading = model.judge_one(at, x)
    again = Baseline()
    again.restore(model.snapshot())
    distance = model.how_far(at, x)
    if reading.cause == "outlier":
        model.excuse(at, reading.cause)
        model.taught = beside(distance, 1.05 * abs(distance))
        assert model.score_one(at + 7 * DAY, x) < 0.5
        again.unlearn(at)
        assert again.score_one(at + 7 * DAY, x) >= 0.5
        again.renew(at, x, reading.cause)
        assert again.score_one(at + 7 * DAY, x) < 0.5
    elif not reading.alert and abs(distance) > 0.25:
        model.taught = beside(distance, 0.95 * abs(distance))
        assert model.score_one(at + 7 * DAY, x) >= 0.5


def beside(side: float, factor: float) -> Taught:
    return Taught(low=factor) if side < 0 else Taught(high=factor)


def grown(kind: str, step: float, seed: int) -> Baseline:
    model, random = Baseline(), Random(seed)
    for number in range(200):
        model.judge_one(MONDAY + number * step, value(kind, random.gauss(0, 1)))
    return model


def value(kind: str, deviations: float) -> float:
    """A value so many deviations from the level of a series."""
    match kind:
        case "amounts":
            return float(round(10_000 * math.exp(0.05 * deviations)))
        case "counts":
            return float(round(max(30 + 4 * deviations, 0.0)))
        case "shares":
            return min(max(0.3 + 0.02 * deviations, 0.0), 1.0)
    return 10.0 * deviations
