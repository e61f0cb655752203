"""How one value is judged: scored, then learned; held back when it is strange; taken when it is the new normal."""

import math
import re
from collections.abc import Callable
from functools import partial
from random import Random

import numpy as np
import pytest

from detector.core.emissions import Emission
from detector.core.judge import MAX_SERIES, judge, model_of, observe
from detector.core.models.band import Band
from detector.core.models.kernel import Array
from detector.core.rules import Rules, Settings
from detector.core.state import Entity, dump, load
from detector.core.text import unit_of
from detector.core.turn import Place, Turn
from tests.core.world import DAY, HOUR, MONDAY, anomalies, found


class Series:
    """One metric of one entity, fed by hand."""

    def __init__(self, settings: Settings | None = None, metric: str = "rows", step: float = 1.0) -> None:
        self.settings, self.metric, self.entity = settings or Settings(), metric, Entity("dataset:db/orders")
        self.said: list[Emission] = []
        self.count, self.step = 0, step

    def see(self, *values: float) -> list[Emission]:
        """Judge these values. Returns what was said of them."""
        said: list[Emission] = []
        for value in values:
            self.count += 1
            at = MONDAY + self.count * self.step
            turn = Turn(self.entity, self.settings, Rules(), Place("t", 0, self.count, at), at, at, said)
            judge(turn, {self.metric: value})
            turn.tell(f"r{self.count}")
        self.said += said
        return said

    @property
    def band(self) -> tuple[float, float, float]:
        turn = Turn(self.entity, self.settings, Rules(), Place("t", 0, 0, 0.0), 0.0, 0.0, [])
        return model_of(turn, self.metric).bounds()


NORMAL = (100.0, 104.0, 98.0, 101.0, 99.0, 103.0, 97.0, 100.0, 102.0, 98.0)
BAND = Settings(model=Band)


def learned(settings: Settings | None = BAND) -> Series:
    """A series that has seen its ten normal values, with the simplest model if nothing else is said."""
    series = Series(settings)
    series.see(*NORMAL)
    return series


def noise(count: int, level: float = 10_000.0, seed: int = 1) -> list[float]:
    """So many values of about this level, as whole numbers."""
    random = Random(seed)
    return [float(round(level * (1 + random.gauss(0, 0.03)))) for _ in range(count)]


def grown(count: int = 60, seed: int = 1) -> Series:
    """A daily series that the default model knows."""
    series = Series(step=DAY)
    series.see(*noise(count, seed=seed))
    series.said.clear()
    return series


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(100, [], id="what is usual is silent"),
        pytest.param(110, [], id="a tenth more is no anomaly"),
        pytest.param(60, [("warning", "low")], id="clearly less is a warning"),
        pytest.param(170, [("warning", "high")], id="clearly more is a warning: a double load is as wrong as a half"),
        pytest.param(10, [("critical", "low")], id="a tenth of it is critical"),
        pytest.param(1_000, [("critical", "high")], id="ten times as much is critical"),
        pytest.param(0, [("critical", "low")], id="nothing at all is critical"),
    ],
)
def test_a_value_is_judged_by_its_distance_from_the_band(value: float, expected: list[tuple[str, str]]) -> None:
    said = learned().see(value)

    assert [(a.severity, a.direction) for a in anomalies(said)] == expected


def test_one_spike_leaves_the_band_as_it_was() -> None:
    series = learned()
    before = series.band
    series.see(100_000)

    assert series.band == before
    assert found(series.see(100)) == [("rows", "ended")]


def test_a_spike_every_few_values_is_found_every_time() -> None:
    series = learned()
    for _ in range(20):
        series.see(1_000, 100, 101)

    assert [phase for _, phase in found(series.said)] == ["started", "ended"] * 20


def test_a_new_normal_is_said_once_after_so_many_values_and_then_silent() -> None:
    series = learned()
    said = series.see(*[1_000.0] * 10)

    assert found(said) == [("rows", "started"), ("rows", "updated"), ("rows", "ended")]
    assert (
        anomalies(said)[-1].summary
        == "rows: 1,000 rows is the new normal, about 100 rows was usual before, after 2.0 s (seen 2 times)"
    )
    assert found(series.see(100)) == [("rows", "started")]


@pytest.mark.parametrize("after", [1, 2, 5])
def test_how_many_values_make_a_new_normal_is_declared(after: int) -> None:
    series = learned(Settings(model=partial(Band, new_normal_after=after)))
    series.see(*[1_000.0] * 10)

    assert len([1 for _, phase in found(series.said) if phase != "ended"]) == after - 1


def test_strange_values_that_do_not_agree_are_no_new_normal() -> None:
    series = learned()
    series.see(*[1_000.0, 10.0] * 10)

    assert [phase for _, phase in found(series.said)] == ["started"] + ["updated"] * 19


def test_a_normal_value_between_strange_ones_begins_the_count_anew() -> None:
    series = learned()
    series.see(1_000, 1_000, 100, 1_000, 1_000)

    assert [phase for _, phase in found(series.said)] == ["started", "updated", "ended", "started", "updated"]


def test_nothing_is_found_before_the_model_is_warm() -> None:
    assert found(Series(BAND).see(100, 100, 100, 100, 100, 100, 1_000_000)) == []


def test_the_first_verdict_comes_with_the_eighth_value() -> None:
    assert found(Series(BAND).see(*[100.0] * 7, 1_000)) == [("rows", "started")]


@pytest.mark.parametrize("settings", [None, BAND], ids=["default", "band"])
def test_always_zero_is_normal_and_more_is_not(settings: Settings | None) -> None:
    series = Series(settings, step=HOUR)

    assert found(series.see(*[0.0] * 20)) == []
    assert found(series.see(100)) == [("rows", "started")]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_what_is_no_measurement_neither_begins_nor_ends_an_episode_nor_is_learned(value: float) -> None:
    series = learned()
    series.see(1_000)
    before = dump(series.entity)

    assert series.see(value) == []
    assert dump(series.entity) == before


@pytest.mark.parametrize("settings", [None, BAND], ids=["default", "band"])
def test_more_series_than_are_kept_are_not_judged_and_the_others_still_are(settings: Settings | None) -> None:
    series = Series(settings, step=DAY)
    for number in range(MAX_SERIES["dataset"] + 50):
        series.metric = f"m{number:04}"
        series.see(100.0)

    assert len(series.entity.series) == MAX_SERIES["dataset"]
    series.metric = "m0000"

    assert found(series.see(*[100.0] * 20, 10_000)) == [("m0000", "started")]


def test_an_episode_counts_and_keeps_the_worst_of_it() -> None:
    series = learned()
    series.see(10, 1_000, 60)
    episode = series.entity.judgement.episodes["rows"]

    assert (episode.count, episode.severity, episode.since, episode.run_id) == (3, 2, MONDAY + 11, "r13")
    assert {a.episode for a in anomalies(series.said)} == {episode.id}


def test_the_end_of_an_episode_names_the_run_that_ended_it() -> None:
    ended = anomalies(learned().see(10, 100))[-1]

    assert (ended.phase, ended.run_id) == ("ended", "r12")


@pytest.mark.parametrize("make", [learned, grown])
def test_a_state_that_was_written_and_read_has_the_same_future(make: Callable[[], Series]) -> None:
    one, other = make(), make()
    other.entity = load(dump(other.entity))
    future = (1_000.0, 100.0, 1_000.0, 1_000.0, 1_000.0, 1_000.0, 3.0)

    assert other.see(*future) == one.see(*future)
    assert dump(other.entity) == dump(one.entity)


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("rows", "rows"),
        ("rows_out", "rows"),
        ("profile_rows:load", "rows"),
        ("duration", "seconds"),
        ("bytes_in", "bytes"),
        ("cost", None),
    ],
)
def test_a_metric_is_told_in_its_unit(metric: str, unit: str | None) -> None:
    assert unit_of(metric) == unit


def test_another_model_may_be_chosen() -> None:
    series = Series(Settings(model=partial(Band, width=1.0, floor=0.01, warmup=3)))

    assert found(series.see(100, 100, 100, 110)) == [("rows", "started")]


# ---------------------------------------------------------------- what the default model makes of it


def phases(said: list[Emission]) -> list[str]:
    return [phase for _, phase in found(said)]


@pytest.mark.parametrize("seed", range(5))
def test_a_healthy_year_is_silent(seed: int) -> None:
    assert found(Series(step=DAY).see(*noise(365, seed=seed))) == []


def test_a_spike_is_told_and_over_with_the_next_value_and_the_band_is_what_it_was() -> None:
    series = grown()
    before = series.band

    assert phases(series.see(1_000_000)) == ["started"]
    assert series.band == pytest.approx(before, rel=0.002)
    assert phases(series.see(*noise(20, seed=2))) == ["ended"]
    assert re.fullmatch(r"rows: back to normal with [\d,]+ rows, after 1 d", anomalies(series.said)[-1].summary)


@pytest.mark.parametrize("level", [500.0, 5_000.0, 20_000.0, 1e6])
def test_a_shift_of_the_level_is_one_episode_and_then_what_is_normal(level: float) -> None:
    series = grown()
    said = series.see(*noise(40, level, seed=3))

    assert phases(said) == ["started", "updated", "updated", "ended"]
    assert "rows is the new normal, about" in anomalies(said)[-1].summary


def test_a_return_to_the_old_level_is_silent() -> None:
    series = grown()
    series.see(*noise(20, 30_000.0, seed=3))

    assert found(series.see(*noise(30, seed=4))) == []


@pytest.mark.parametrize("rate", [0.98, 1.02])
def test_a_slow_leak_is_found_though_no_value_alone_is_strange(rate: float) -> None:
    series = grown()
    said = series.see(*[float(round(x * rate**n)) for n, x in enumerate(noise(40, seed=5))])
    first = anomalies(said)[0]

    assert first.phase == "started"
    assert first.cause == "drift"
    assert (first.direction, first.severity) == ("low" if rate < 1 else "high", "warning")


@pytest.mark.parametrize("value", [2_000.0, 8_000.0, 12_000.0, 60_000.0])
@pytest.mark.parametrize("seen", range(14))
def test_before_the_fifteenth_value_only_what_is_absurd_is_told(seen: int, value: float) -> None:
    assert found(Series(step=DAY).see(*noise(seen), value)) == []


@pytest.mark.parametrize(("seen", "told"), [(0, 0), (1, 0), (6, 0), (8, 1), (10, 1), (13, 1)])
@pytest.mark.parametrize("value", [0.0, 1_000.0, 100_000.0, 1e12])
def test_what_is_absurd_is_told_from_the_ninth_value_on(seen: int, told: int, value: float) -> None:
    assert len(found(Series(step=DAY).see(*noise(seen), value))) == told


def test_a_week_is_learned_and_a_weekend_on_a_wednesday_is_not_normal() -> None:
    values = [float(round(x * (0.3 if number % 7 >= 5 else 1.0))) for number, x in enumerate(noise(72), 1)]
    series = Series(step=DAY)

    assert found(series.see(*values)) == []
    assert (series.count + 1) % 7 == 3
    assert phases(series.see(3_000)) == ["started"]


def test_an_hour_of_the_day_is_learned_and_noon_at_night_is_not_normal() -> None:
    values = [x * (5 if 8 <= number % 24 < 18 else 1) for number, x in enumerate(noise(24 * 30 + 2), 1)]
    series = Series(step=HOUR)

    assert found(series.see(*values)) == []
    assert phases(series.see(50_000)) == ["started"]


def test_a_value_that_stays_to_the_digit_is_told() -> None:
    series = grown()
    first = anomalies(series.see(*[10_007.0] * 8))[0]

    assert first.cause == "repeated value"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_what_is_no_measurement_is_not_learned_by_the_default_model_either(value: float) -> None:
    series = grown()
    series.see(1_000_000)
    before = dump(series.entity)

    assert series.see(value) == []
    assert dump(series.entity) == before


# ---------------------------------------------------------------- the budget of an entity


class Table:
    """A healthy table of so many columns, a load a day, which keeps a budget of false alarms a quarter."""

    def __init__(self, columns: int, budget: float = 1.0) -> None:
        self.random, self.settings = np.random.default_rng(3), Settings(budget=budget)
        self.entity, self.loads = Entity("dataset:db/wide"), 0
        self.names = [f"mean(c{column})" for column in range(columns)]
        for _ in range(60):
            self.load()

    def load(self, off: Callable[[Array], Array] = lambda values: values) -> set[str]:
        """Judge one more load, of which `off` may change values. Returns what is told of it."""
        self.loads += 1
        at = MONDAY + self.loads * DAY
        turn = Turn(self.entity, self.settings, Rules(), Place("t", 0, self.loads, at), at, at, [])
        values = off(100.0 * np.exp(0.1 * self.random.normal(size=len(self.names))))
        return set(observe(turn, self.names, values).findings)


def nine_deviations(columns: int) -> Callable[[Array], Array]:
    """Some columns are off by so much that each alone would be told of a table with few."""
    return lambda values: np.where(np.arange(len(values)) < columns, 100.0 * math.exp(-0.9), values)


def test_what_is_told_of_one_column_of_few_is_noise_of_one_of_many_unless_many_show_it() -> None:
    assert Table(3).load(nine_deviations(1)) == {"mean(c0)"}
    assert Table(300).load(nine_deviations(1)) == set()
    assert len(Table(300).load(nine_deviations(60))) >= 50


def test_what_no_noise_can_be_is_told_of_one_column_of_many() -> None:
    def gone(values: Array) -> Array:
        return np.where(np.arange(len(values)) == 7, 0.01, values)

    assert Table(300).load(gone) == {"mean(c7)"}


def test_a_larger_budget_tells_what_a_smaller_one_keeps_for_itself() -> None:
    assert Table(300, budget=1_000.0).load(nine_deviations(1)) == {"mean(c0)"}
