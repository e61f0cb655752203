"""One load, one anomaly: what is told together, under which name, and when it is over. And what few rows are worth."""

import math
import random

import numpy as np
import pytest

from detector.core import chance
from detector.core.distances import levy
from detector.core.emissions import Anomaly
from detector.core.events import Dataset, Statistics
from detector.core.judge import HOLDS
from detector.core.state import Entity, Episode, dump, load
from tests.core.test_profiles import NAMES, amounts, loaded, metrics, table
from tests.core.world import DAY, JOB, MONDAY, TABLE, World, anomalies, event, profile, ready

QUIET = 30


def run(world: World, day: int, rows: float, statistics: Statistics | None = None, of: float = 8.0) -> list[Anomaly]:
    """A run that writes so many rows to the table, `of` bytes each. Returns what was told of table and job."""
    at = MONDAY + day * DAY
    wrote = Dataset("db", "orders", rows, rows * of, profile=statistics)
    world.tell(event("START", at, f"r{day}"))
    return anomalies(world.tell(event("COMPLETE", at + 60.0, f"r{day}", outputs=(wrote,))))


def settled(reload: bool = False) -> tuple[World, random.Random]:
    """A table of which a month is known."""
    world, rng = ready(reload=reload), random.Random(3)
    for day in range(QUIET):
        assert run(world, day, 1_000 + 10 * (day % 3), loaded(1_000 + 10 * (day % 3), rng)) == []
    return world, rng


def told(found: list[Anomaly], entity: str = TABLE) -> list[tuple[str, str]]:
    return [(anomaly.check, anomaly.phase) for anomaly in found if anomaly.entity == entity]


@pytest.mark.parametrize("reload", [False, True])
def test_rows_bytes_and_columns_of_one_load_are_one_anomaly(reload: bool) -> None:
    world, rng = settled(reload)
    found = run(world, QUIET, 100, loaded(100, rng, nulls=0.6))
    good = run(world, QUIET + 1, 1_000, loaded(1_000, rng))

    assert told(found) == [("rows", "started")]
    assert told(found, JOB) == [("rows_out", "started")]
    assert {"rows", "bytes", "null_share(amount0)"} <= metrics(found[0] if found[0].entity == TABLE else found[1])
    assert told(good) == [("rows", "ended")]
    assert told(good, JOB) == [("rows_out", "ended")]


def test_what_leads_is_told_in_full_and_the_others_in_brief() -> None:
    world, rng = settled()
    found = next(a for a in run(world, QUIET, 100, loaded(100, rng, nulls=0.6)) if a.entity == TABLE)

    assert (found.observed, found.unit) == (100, "rows")
    assert found.summary.startswith("rows: 100 rows, 10 % of what is usual; expected ")
    assert "; also unusual: " in found.summary
    assert "bytes (800 B)" in found.summary
    assert "series of columns (as null_share" in found.summary
    assert found.severity == "critical"


def test_an_anomaly_goes_on_under_its_name_while_any_of_it_does() -> None:
    world, rng = settled()
    first = run(world, QUIET, 100, loaded(100, rng, nulls=0.6))
    second = run(world, QUIET + 1, 1_000, loaded(1_000, rng, nulls=0.6))
    third = run(world, QUIET + 2, 1_000, loaded(1_000, rng))

    assert told(first) == [("rows", "started")]
    assert told(second) == [("rows", "updated")]
    assert "series of columns are unusual" in next(a.summary for a in second if a.entity == TABLE)
    assert told(third) == [("rows", "ended")]


def test_a_load_of_which_less_is_told_does_not_end_what_it_cannot_see() -> None:
    world, rng = settled()
    assert told(run(world, QUIET, 1_000, loaded(1_000, rng, nulls=0.6))) == [("columns", "started")]
    assert told(run(world, QUIET + 1, 1_000)) == []
    assert load(dump(world.entities[TABLE])).judgement.episodes["columns"].checks == ["columns"]

    assert told(run(world, QUIET + 2, 1_000, loaded(1_000, rng))) == [("columns", "ended")]


def test_a_schema_and_a_failed_check_are_told_by_themselves() -> None:
    world, rng = settled()
    at = MONDAY + QUIET * DAY
    world.tell(event("START", at, "bad"))
    wrote = Dataset("db", "orders", 100, 800, profile=loaded(100, rng))
    world.tell(event("COMPLETE", at + 60.0, "bad", outputs=(wrote,)))
    failed = anomalies(world.tell(event("FAIL", at + DAY, "worse")))

    assert ("failed", "started") in told(failed, JOB)
    assert set(world.entities[JOB].judgement.episodes) == {"rows_out", "failed"}


def test_an_episode_of_before_they_were_told_together_ends() -> None:
    world, rng = settled()
    run(world, QUIET, 100, loaded(100, rng))
    entity: Entity = world.entities[TABLE]
    entity.judgement.episodes["rows"].checks = []

    assert told(run(world, QUIET + 1, 1_000, loaded(1_000, rng))) == [("rows", "ended")]


def test_rows_that_came_twice_are_told_as_that_and_not_as_many_rows() -> None:
    world, rng = settled()
    one = loaded(1_000, rng)
    run(world, QUIET, 1_000, one)
    cells = {c: dict(zip(one.statistics, row, strict=True)) for c, row in zip(one.columns, _rows(one), strict=True)}
    for column in cells.values():
        column["count"] *= 2
        column["null_count"] *= 2
    twice = run(world, QUIET + 1, 2_000, table(cells))
    found = next(a for a in twice if a.entity == TABLE)

    assert found.check == "same_data"
    assert found.summary.startswith("the same rows twice: 2,000 rows are twice the 1,000 of the last load")
    assert "rows (2,000 rows)" in found.summary
    assert "rows" in metrics(found)


def test_a_leak_is_told_once() -> None:
    world, rng = settled()
    leak = [(1_000 + rng.gauss(0, 15)) * (1 - 0.02 * day) for day in range(25)]
    found = [a for day, rows in enumerate(leak) for a in run(world, QUIET + day, round(rows)) if a.entity == TABLE]

    assert [a.phase for a in found].count("started") == 1


def slow(checks: str = "rows", severity: int = 1) -> tuple[World, random.Random]:
    """A table with a slow anomaly that goes on."""
    world, rng = settled()
    world.entities[TABLE].judgement.episodes[checks] = Episode(
        "e", MONDAY, severity, cause="drift", checks=[checks], holds=HOLDS
    )
    return world, rng


def test_one_calm_load_does_not_end_what_was_found_of_many() -> None:
    world, rng = slow()
    ends = [
        told(run(world, QUIET + day, 1_000 + 10 * (day % 3), loaded(1_000 + 10 * (day % 3), rng)))
        for day in range(HOLDS + 1)
    ]

    assert ends == [[]] * HOLDS + [[("rows", "ended")]]


def test_what_is_worse_than_a_slow_anomaly_is_another_one() -> None:
    world, rng = slow()
    found = [a for a in run(world, QUIET, 10, loaded(10, rng)) if a.entity == TABLE]

    assert told(found) == [("rows", "ended"), ("rows", "started")]
    assert found[0].summary.startswith("rows: something else is wrong now")
    assert found[0].episode == "e" != found[1].episode


def test_what_is_no_worse_than_a_slow_anomaly_is_part_of_it() -> None:
    world, rng = slow(severity=2)

    assert told(run(world, QUIET, 10, loaded(10, rng))) == [("rows", "updated")]


def _rows(statistics: Statistics) -> list[list[float]]:
    width = len(statistics.statistics)
    cells = [float(x) for x in np.frombuffer(statistics.values, "<f8")]
    return [cells[i : i + width] for i in range(0, len(cells), width)]


# ---------------------------------------------------------------- few rows


def few(rows: float, nulls: float, **changes: float) -> dict[str, float]:
    column = {"count": rows, "null_count": nulls, "mean": 50.0, "std": 300.0, "min": 1.0, "max": 100.0}
    return {**column, **dict(zip(NAMES[-5:], (5.0, 25.0, 50.0, 75.0, 95.0), strict=True)), **changes}


def after_quiet(column: dict[str, float], rows: float) -> list[Anomaly]:
    """What is told of a load after 40 loads that had no nulls, and strayed little."""
    world, rng = ready(), random.Random(5)
    for number in range(40):
        usual = {k: x * (1 + rng.uniform(-0.01, 0.01)) if k in ("mean", "std") else x for k, x in few(rows, 0).items()}
        world.tell(profile(MONDAY + number * DAY, rows, statistics=table({"amount": usual})))
    return anomalies(world.tell(profile(MONDAY + 40 * DAY, rows, statistics=table({"amount": column}))))


@pytest.mark.parametrize(
    ("column", "rows", "found"),
    [
        pytest.param(few(20, 1), 20, False, id="one null in twenty rows is chance"),
        pytest.param(few(20, 7), 20, True, id="a third of twenty rows is not"),
        pytest.param(few(10_000, 1_000), 10_000, True, id="one null in ten of many rows is not"),
        pytest.param(few(20, 0, mean=150.0), 20, False, id="the mean of few rows may be a third of a deviation away"),
        pytest.param(few(10_000, 0, mean=150.0), 10_000, True, id="that of many rows may not"),
        pytest.param(few(10_000, 0, max=140.0), 10_000, False, id="a single row a little beyond the others is chance"),
        pytest.param(few(10_000, 0, max=99_999.0), 10_000, True, id="a single row far from all others is told"),
        pytest.param(few(10_000, 0) | {"q0.5": 55.0}, 10_000, False, id="a quantile alone supports what else is told"),
    ],
)
def test_a_load_is_worth_as_much_as_it_has_rows(column: dict[str, float], rows: float, found: bool) -> None:
    assert [a.check for a in after_quiet(column, rows)] == ["columns"] * found


def test_quantiles_that_are_too_few_for_distances_are_told_themselves() -> None:
    world, rng = ready(), random.Random(5)
    for number in range(40):
        world.tell(profile(MONDAY + number * DAY, 1_000, statistics=table({"a": {"q0.5": 50 + rng.random()}})))
    found = anomalies(world.tell(profile(MONDAY + 40 * DAY, 1_000, statistics=table({"a": {"q0.5": 400.0}}))))

    assert [metrics(a) for a in found] == [{"q0.5(a)"}]


@pytest.mark.parametrize("rows", [10, 50, 1_000])
def test_no_more_samples_than_were_allowed_are_beyond_chance(rows: int) -> None:
    rng, draws = random.Random(rows), 3_000
    beyond = 0
    for _ in range(draws):
        nulls = sum(rng.random() < 0.03 for _ in range(rows))
        beyond += not chance.share(nulls / rows, 0.03, rows)

    assert beyond <= 5  # 0.3 would be expected of an exact test


def test_a_sample_of_a_normal_distribution_is_within_chance_and_another_distribution_is_not() -> None:
    rng, fractions = random.Random(1), [0.05, 0.25, 0.5, 0.75, 0.95]
    usual = [-1.645, -0.674, 0.0, 0.674, 1.645]
    for rows in (20, 200, 2_000):
        for shift, by_chance in ((0.0, True), (3.0, False)):
            sample = sorted(rng.gauss(shift, 1.0) for _ in range(rows))
            found = levy(np.array(fractions), np.array(usual), np.array([sample[int(f * rows)] for f in fractions]))
            assert chance.distribution(found, rows) is by_chance


def test_a_learned_quantile_beside_the_value_that_most_rows_have_is_no_distance() -> None:
    fractions, usual = np.array([0.25, 0.5, 0.75]), np.array([500.0, 529.4, 1_400.0])
    assert levy(fractions, usual, np.array([500.0, 529.0, 1_400.0])) == 0.0
    assert levy(fractions, usual, np.array([1_400.0, 1_400.0, 1_400.0])) == pytest.approx(0.5, abs=0.1)


def test_chance_of_means_of_categories_and_of_different_values() -> None:
    assert chance.mean(53.0, 50.0, 10.0, 100)
    assert not chance.mean(54.0, 50.0, 10.0, 100)
    assert chance.categories(0.1, 3, 100)
    assert not chance.categories(0.1, 3, 10_000)
    assert chance.distinct(8, 10)
    assert not chance.distinct(8_000, 10_000)
    assert math.isfinite(chance.share(1.0, 0.0, 1e12))


def test_amounts_of_one_distribution_are_silent_at_any_number_of_rows() -> None:
    rng = random.Random(11)
    for rows in (30, 3_000):
        world = ready()
        for day in range(60):
            world.tell(profile(MONDAY + day * DAY, rows, statistics=table({"a": amounts(rows, rng)})))
        assert anomalies(world.said) == []
