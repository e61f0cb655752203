"""How one value is judged: scored, then learned; held back when it is strange; taken when it is the new normal."""

from collections.abc import Callable

import pytest

from detector.core.emissions import Emission
from detector.core.judge import MAX_SERIES, judge, unit_of
from detector.core.models.band import Band
from detector.core.rules import Rules, Settings
from detector.core.state import Entity, dump, load
from detector.core.turn import Place, Turn
from tests.core.world import MONDAY, anomalies, found


class Series:
    """One metric of one entity, fed by hand."""

    def __init__(self, settings: Settings | None = None, metric: str = "rows") -> None:
        self.settings, self.metric, self.entity = settings or Settings(), metric, Entity("dataset:db/orders")
        self.said: list[Emission] = []
        self.count = 0

    def see(self, *values: float) -> list[Emission]:
        """Judge these values. Returns what was said of them."""
        said: list[Emission] = []
        for value in values:
            self.count += 1
            at = MONDAY + self.count
            turn = Turn(self.entity, self.settings, Rules(), Place("t", 0, self.count, at), at, at, said)
            judge(turn, self.metric, value, f"r{self.count}")
        self.said += said
        return said

    @property
    def band(self) -> tuple[float, float, float]:
        return self.entity.models[self.metric].bounds()


NORMAL = (100.0, 104.0, 98.0, 101.0, 99.0, 103.0, 97.0, 100.0, 102.0, 98.0)


def learned(settings: Settings | None = None) -> Series:
    series = Series(settings)
    series.see(*NORMAL)
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


def test_a_value_is_scored_before_it_is_learned() -> None:
    class Order(Band):
        """A band that notes what is asked of it."""

        asked: list[str] = []  # noqa: RUF012

        def learn_one(self, x: float) -> None:
            self.asked.append("learn")
            super().learn_one(x)

        def score_one(self, x: float) -> float:
            self.asked.append("score")
            return super().score_one(x)

    Series(Settings(model=Order)).see(1.0, 2.0)

    assert Order.asked == ["score", "learn"] * 2


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
    assert anomalies(said)[-1].summary == "rows: 1,000 rows is the new normal (3 runs agree), after 2.0 s"
    assert found(series.see(100)) == [("rows", "started")]


@pytest.mark.parametrize("after", [1, 2, 5])
def test_how_many_values_make_a_new_normal_is_declared(after: int) -> None:
    series = learned(Settings(new_normal_after=after))
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
    assert found(Series().see(100, 100, 100, 100, 100, 100, 1_000_000)) == []


def test_the_first_verdict_comes_with_the_eighth_value() -> None:
    assert found(Series().see(*[100.0] * 7, 1_000)) == [("rows", "started")]


def test_always_zero_is_normal_and_more_is_not() -> None:
    series = Series()

    assert found(series.see(*[0.0] * 20)) == []
    assert found(series.see(100)) == [("rows", "started")]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_what_is_no_measurement_neither_begins_nor_ends_an_episode_nor_is_learned(value: float) -> None:
    series = learned()
    series.see(1_000)
    before = dump(series.entity)

    assert series.see(value) == []
    assert dump(series.entity) == before


def test_more_series_than_are_kept_are_not_judged_and_the_others_still_are() -> None:
    series = Series()
    for number in range(MAX_SERIES + 50):
        series.metric = f"m{number:03}"
        series.see(1.0)

    assert len(series.entity.series) == MAX_SERIES
    series.metric = "m000"

    assert found(series.see(*[1.0] * 10, 1_000)) == [("m000", "started")]


def test_an_episode_counts_and_keeps_the_worst_of_it() -> None:
    series = learned()
    series.see(10, 1_000, 60)
    episode = series.entity.judgement.episodes["rows"]

    assert (episode.count, episode.severity, episode.since, episode.run_id) == (3, 2, MONDAY + 11, "r13")
    assert {a.episode for a in anomalies(series.said)} == {episode.id}


def test_a_state_that_was_written_and_read_has_the_same_future() -> None:
    one, other = learned(), learned()
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
    narrow: Callable[[], Band] = lambda: Band(width=1.0, floor=0.01, warmup=3)  # noqa: E731
    series = Series(Settings(model=narrow))

    assert found(series.see(100, 100, 100, 110)) == [("rows", "started")]
