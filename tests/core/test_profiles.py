"""What is found in the columns of a load, and what must not be: by effect, once for one fault, without raw values."""

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from struct import pack

import msgspec
import numpy as np
import pytest

from detector.core.columns import MAX_WATCHED
from detector.core.distances import between, binned, jensen_shannon, stability, wasserstein
from detector.core.emissions import Anomaly
from detector.core.events import Dataset, DatasetEvent, Statistics
from detector.core.models.baseline import Baseline
from detector.core.profiles import Columns, Fingerprint, Series, columns_of, fingerprint, series
from detector.core.references import Load, learn
from detector.core.references import series as references
from detector.core.rules import Rules
from detector.core.state import Entity, Loads, dump, load
from detector.core.text import value_hash
from detector.errors import SnapshotTooNew
from tests.core.test_state import sections, written
from tests.core.world import DAY, HOUR, MONDAY, TABLE, World, anomalies, event, profile, ready

QUANTILES = ("q0.05", "q0.25", "q0.5", "q0.75", "q0.95")
NAMES = ("count", "null_count", "distinct", "mean", "min", "max", "std", *QUANTILES)
SHARES = {"paid": 0.7, "open": 0.2, "void": 0.1}


def table(columns: dict[str, dict[str, float]], top: dict[str, dict[str, float]] | None = None) -> Statistics:
    names = tuple(dict.fromkeys(name for column in columns.values() for name in column))
    cells = [column.get(name, math.nan) for column in columns.values() for name in names]
    hashed = {
        column: {value_hash(value): count for value, count in counts.items()} for column, counts in (top or {}).items()
    }
    return Statistics(tuple(columns), names, pack(f"<{len(cells)}d", *cells), hashed)


def amounts(rows: float, rng: random.Random, factor: float = 1.0, nulls: float = 0.02) -> dict[str, float]:
    """A column of amounts, as many rows of one distribution would have it."""

    def near(x: float) -> float:
        return x * factor * (1 + rng.uniform(-0.01, 0.01))

    quantiles = dict(zip(QUANTILES, map(near, (10.3, 25.1, 50.7, 80.2, 130.9)), strict=True))
    counts = {"count": rows, "null_count": round(rows * nulls), "distinct": rows * 0.98}
    return {**counts, "mean": near(57.3), "std": near(31.7), "min": near(1.1), "max": near(310.4), **quantiles}


def status(rows: float, distinct: float = 3) -> dict[str, float]:
    return {"count": rows, "null_count": 0.0, "distinct": distinct}


def loaded(
    rows: float, rng: random.Random, columns: int = 3, shares: dict[str, float] | None = None, **changes: float
) -> Statistics:
    found = {f"amount{i}": amounts(rows, rng, **changes) for i in range(columns)}
    top: dict[str, float] = {
        value: round(rows * share) for value, share in (SHARES if shares is None else shares).items()
    }
    return table({**found, "status": status(rows)}, {"status": top})


def learned(
    loads: int = 20, rows: float = 1_000, columns: int = 3, reload: bool = False, every: float = HOUR
) -> tuple[World, random.Random]:
    world, rng = ready(reload=reload), random.Random(7)
    for number in range(loads):
        world.tell(profile(MONDAY + number * every, rows, statistics=loaded(rows, rng, columns)))
    assert anomalies(world.said) == []
    return world, rng


def next_load(
    world: World, statistics: Statistics, rows: float = 1_000, after: int = 20, every: float = HOUR
) -> list[Anomaly]:
    return anomalies(world.tell(profile(MONDAY + after * every, rows, statistics=statistics)))


def named(series: Iterable[Series], columns: Columns) -> dict[str, float]:
    """The numbers that are judged, by metric."""
    names = [*(f"({name})" for name in columns.names), ""]
    return {
        f"{one.statistic}{names[column]}": value
        for one in series
        for column, value in zip(one.columns.tolist(), one.values.tolist(), strict=True)
    }


def metrics(anomaly: Anomaly) -> set[str]:
    return {contributor.metric for contributor in anomaly.contributors}


# ---------------------------------------------------------------- distances


def test_the_stability_index_is_the_sum_by_hand() -> None:
    by_hand = 0.1 * math.log(0.3 / 0.2) + (-0.1) * math.log(0.7 / 0.8)

    assert stability(np.array([0.2, 0.8]), np.array([0.3, 0.7])) == pytest.approx(by_hand)
    assert stability(np.array([0.3, 0.7]), np.array([0.2, 0.8])) == pytest.approx(by_hand)
    assert math.isfinite(stability(np.array([0.0, 1.0]), np.array([1.0, 0.0])))


def test_the_bins_are_those_of_the_reference() -> None:
    fractions = np.array([0.25, 0.5, 0.75])
    reference, current = binned(fractions, np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))

    assert reference.tolist() == [0.25, 0.25, 0.25, 0.25]
    beyond = 0.25 * math.exp(-1)
    assert current.tolist() == pytest.approx([beyond, 0.25 - beyond, 0.25, 0.5])


@pytest.mark.parametrize(
    "quantiles",
    [
        pytest.param([1.0, 2.0, 3.0], id="a spread"),
        pytest.param([0.0, 0.0, 3.0], id="a value that half of the rows have"),
        pytest.param([5.0, 5.0, 5.0], id="a constant"),
        pytest.param([-3.0, -1.0, 0.5], id="negative"),
    ],
)
def test_equal_distributions_are_at_no_distance(quantiles: list[float]) -> None:
    fractions, same = np.array([0.25, 0.5, 0.75]), np.array(quantiles)

    assert stability(*binned(fractions, same, same)) == 0
    assert wasserstein(fractions, same, same) == 0


def test_the_wasserstein_distance_counts_in_spreads_of_the_reference() -> None:
    fractions = np.array([0.25, 0.5, 0.75])

    assert wasserstein(fractions, np.array([10.0, 20.0, 30.0]), np.array([15.0, 25.0, 35.0])) == pytest.approx(5 / 20)
    assert wasserstein(fractions, np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.5, 3.5])) == pytest.approx(5 / 20)
    assert wasserstein(fractions, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0])) == pytest.approx(0.25 / 0.5 / 2)


def test_many_distributions_are_compared_as_each_alone_and_by_the_quantiles_that_both_have() -> None:
    fractions, rng = np.array([0.1, 0.25, 0.5, 0.75, 0.9]), np.random.default_rng(3)
    usual, now = np.sort(rng.lognormal(size=(40, 5))), np.sort(rng.lognormal(size=(40, 5)))
    usual[5:30, 1], now[20:, 4], now[35:, 0] = math.nan, math.nan, math.nan
    usual[0], now[1] = 3.0, 3.0
    usual[38, 2] = math.nan
    out = np.empty((40, 2))
    between(fractions, usual, now, 3, out)

    for row in range(40):
        both = ~(np.isnan(usual[row]) | np.isnan(now[row]))
        at, before, after = fractions[both], usual[row][both], now[row][both]
        expected = [math.nan] * 2
        if both.sum() >= 3:
            expected = [stability(*binned(at, before, after)), wasserstein(at, before, after)]
        assert repr(out[row].tolist()) == repr(expected)
    assert np.isnan(out).any(axis=1).tolist() == [False] * 38 + [True, False]


def test_the_jensen_shannon_distance_is_the_one_by_hand_and_symmetric() -> None:
    one, other = {"a": 0.75, "b": 0.25}, {"a": 0.25, "b": 0.75}
    by_hand = math.sqrt(0.75 * math.log2(0.75 / 0.5) + 0.25 * math.log2(0.25 / 0.5))

    assert jensen_shannon(one, other) == pytest.approx(by_hand)
    assert jensen_shannon(other, one) == jensen_shannon(one, other)
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon({"a": 0.5}, {"a": 0.5, "b": 0.5}) > 0


# ---------------------------------------------------------------- series


def test_series_are_shares_and_not_counts() -> None:
    at = MONDAY
    columns = columns_of(
        table({"a": {"null_count": 5, "sum": 190.0, "count": 100, "zero_count": 20, "mean_length": 4}})
    )

    assert named(series(columns, 100, at), columns) == {
        "null_share(a)": 0.05,
        "mean(a)": 2.0,
        "zero_share(a)": 0.2,
        "mean_length(a)": 4,
    }


def test_of_a_column_of_times_the_age_of_the_newest_is_judged() -> None:
    at = MONDAY
    times = {"min": 1e3 * (at - DAY), "max": 1e3 * (at - 60), "q0.5": 1e3 * (at - HOUR)}
    columns = columns_of(table({"created_at": times}))

    assert named(series(columns, 10, at), columns) == {"age(created_at)": 60}


def test_ten_times_the_rows_of_the_same_distribution_are_not_unusual_in_any_column() -> None:
    world, rng = learned()
    at = [anomaly for anomaly in next_load(world, loaded(10_000, rng), 10_000) if anomaly.check != "profile_rows:load"]

    assert at == []


def test_many_nulls_are_found_in_both_sizes() -> None:
    for rows in (1_000, 10_000):
        world, rng = learned()
        found = next_load(world, loaded(rows, rng, nulls=0.6), rows)

        assert len(found) == 1  # ten times the rows are unusual, too
        assert metrics(found[0]) - {"profile_rows:load"} == {
            "null_share(amount0)",
            "null_share(amount1)",
            "null_share(amount2)",
            "null_share",
        }


# ---------------------------------------------------------------- one finding


def test_many_columns_that_moved_are_one_anomaly_that_names_the_worst() -> None:
    world, rng = learned(columns=8)
    found = next_load(world, loaded(1_000, rng, 8, factor=4.0))

    assert [(a.check, a.phase) for a in found] == [("columns", "started")]
    assert len(found[0].contributors) == 20
    assert {f"drift(amount{i})" for i in range(8)} <= metrics(found[0])
    assert "and 5 more columns" in found[0].summary
    assert found[0].severity == max(
        (c.severity for c in found[0].contributors), key=["info", "warning", "critical"].index
    )
    scores = [(c.severity == "critical", c.score) for c in found[0].contributors]
    assert scores == sorted(scores, reverse=True)


def test_of_too_many_series_the_distances_are_not_the_ones_that_are_left_out() -> None:
    world = learned(5, columns=200)[0]
    names = {metric.partition("(")[0] for metric in world.entities[TABLE].series}

    assert {"null_share", "drift", "mix", "distinct_share", "mean"} <= names
    assert not {name for name in names if name.startswith("q")}
    assert len(world.entities[TABLE].series) <= MAX_WATCHED + 2


def test_it_is_over_when_the_columns_are_as_usual_again() -> None:
    world, rng = learned()
    next_load(world, loaded(1_000, rng, factor=4.0))
    found = next_load(world, loaded(1_000, rng), after=21)

    assert [(a.check, a.phase) for a in found] == [("columns", "ended")]


def test_a_shift_that_stays_is_one_anomaly_and_then_is_normal() -> None:
    world, rng = learned(every=DAY)
    phases = [
        anomaly.phase
        for after in range(20, 60)
        for anomaly in next_load(world, loaded(1_000, rng, factor=4.0), after=after, every=DAY)
        if anomaly.check == "columns"
    ]

    assert [phases[0], phases[-1]] == ["started", "ended"]
    assert phases.count("started") == 1


def test_what_was_flagged_is_not_learned_into_the_reference() -> None:
    world, rng = learned()
    before = world.entities[TABLE].loads["load"].references["amount0"].quantiles
    next_load(world, loaded(1_000, rng, factor=4.0))

    assert world.entities[TABLE].loads["load"].references["amount0"].quantiles == before


def test_a_new_and_a_vanished_category_are_told_by_hash_and_share() -> None:
    world, rng = learned()
    found = next_load(world, loaded(1_000, rng, shares={"paid": 0.2, "open": 0.2, "secret": 0.6}))

    mix = next(c for c in found[0].contributors if c.metric == "mix(status)")
    assert mix.new_values == {value_hash("secret"): 0.6}
    assert mix.vanished_values == {value_hash("void"): pytest.approx(0.1)}


def test_no_value_of_a_column_is_ever_said() -> None:
    world, rng = learned()
    next_load(world, loaded(1_000, rng, shares={"secret": 1.0}))
    said = msgspec.json.encode(world.said)

    assert b"columns" in said
    assert not any(value.encode() in said for value in ("secret", "paid", "void"))
    assert all(value.encode() not in state for state in world.snapshots().values() for value in ("secret", "paid"))


def test_duplicates_in_a_key_are_found() -> None:
    world = ready()
    for number in range(20):
        rows = 1_000.0 + 7 * number
        world.tell(profile(MONDAY + number * HOUR, rows, statistics=table({"id": status(rows, rows)})))
    found = next_load(world, table({"id": status(1_100, 400)}), 1_100)

    assert [metrics(anomaly) for anomaly in found] == [{"distinct_share(id)"}]


@pytest.mark.parametrize(
    ("distinct", "rows", "expected"),
    [
        pytest.param(300, 1_000, 1.0, id="as usual"),
        pytest.param(650, 10_000, 1.0, id="ten times the rows have some more"),
        pytest.param(60, 1_000, 0.2, id="a fifth"),
        pytest.param(60, 10_000, 0.2, id="a fifth of the least that is to be expected"),
        pytest.param(6_000, 10_000, 2.0, id="twice the most that is to be expected"),
        pytest.param(100, 100, 1.0, id="a tenth of the rows have fewer"),
    ],
)
def test_distinct_values_between_key_and_category_are_compared_with_what_so_many_rows_would_have(
    distinct: float, rows: float, expected: float
) -> None:
    loads = Loads()
    for _ in range(3):
        learn(loads, Load(columns_of(table({"a": status(1_000, 300)})), 1_000, MONDAY, [], {}), set())
    columns = columns_of(table({"a": status(rows, distinct)}))

    assert named(references(loads, Load(columns, rows, MONDAY, [], {})), columns) == {
        "distinct_ratio(a)": pytest.approx(expected, rel=1e-5)
    }


# ---------------------------------------------------------------- the same data again


def test_the_same_data_again_is_a_warning() -> None:
    world, rng = learned()
    same = loaded(1_000, rng)
    next_load(world, same)
    found = next_load(world, same, after=21)

    assert [(a.check, a.severity, a.phase) for a in found] == [("same_data", "warning", "started")]
    assert "repeats the last one exactly in 21 of 21 statistics" in found[0].summary


def test_a_table_that_never_changes_does_not_alarm() -> None:
    world, same = ready(), loaded(1_000, random.Random(1))
    for number in range(40):
        world.tell(profile(MONDAY + number * HOUR, 1_000, statistics=same))

    assert anomalies(world.said) == []


def test_a_table_that_stops_changing_alarms_and_then_is_usual() -> None:
    world, rng = learned(40)
    same = loaded(1_000, rng)
    found = [a for after in range(40, 80) for a in next_load(world, same, after=after)]

    assert [(a.check, a.phase) for a in found] == [("same_data", "started"), ("same_data", "ended")]


def test_the_same_load_profiled_twice_is_not_the_same_data_again() -> None:
    world, rng = learned()
    same = loaded(1_000, rng)
    for after in (0, 60):
        world.tell(profile(MONDAY + 20 * HOUR + after, 1_000, statistics=same, run_id="r20"))

    assert anomalies(world.said) == []


def test_twice_the_rows_with_the_same_means_is_called_the_same_rows_twice() -> None:
    world, rng = learned()
    once = {"a": amounts(1_000, rng), "b": amounts(1_000, rng), "c": amounts(1_000, rng)}
    twice = {name: {**column, "count": 2_000.0, "null_count": 40.0} for name, column in once.items()}
    next_load(world, table(once))
    found = {a.check: a for a in next_load(world, table(twice), 2_000, after=21)}

    assert found["same_data"].summary.startswith("the same rows twice: 2,000 rows are twice the 1,000")


def test_sums_in_another_order_are_the_same_data_and_a_load_stamp_says_nothing() -> None:
    column = {"mean": 10.123456789, "sum": 1e7 / 3}
    again = {"mean": 10.123456789 * (1 + 1e-15), "sum": 1e7 / 3 + 1e-9}
    stamp = {"min": MONDAY, "max": MONDAY + 1, "mean": MONDAY + 0.5}
    later = {"min": MONDAY + HOUR, "max": MONDAY + HOUR, "mean": MONDAY + HOUR}

    def of(at: float, **columns: dict[str, float]) -> Fingerprint:
        return fingerprint(columns_of(table(columns)), at)

    first = of(MONDAY, a=column, loaded=stamp)
    assert first == of(MONDAY + HOUR, a=again, loaded=later)
    assert first != of(MONDAY, a={**column, "mean": 10.12}, loaded=stamp)
    assert first != of(MONDAY, b=column, loaded=stamp)
    assert first != of(MONDAY, a={**column, "std": 1.0}, loaded=stamp)


# ---------------------------------------------------------------- where profiles come from


def test_the_profile_of_an_output_is_judged_once_with_the_run_that_wrote_it() -> None:
    world, rng = ready(), random.Random(3)
    for number in range(21):
        at = MONDAY + number * HOUR
        statistics = loaded(1_000, rng, factor=4.0 if number == 20 else 1.0)
        world.tell(event("START", at, f"r{number}"))
        world.tell(event("RUNNING", at + 5, f"r{number}", outputs=(Dataset("db", "orders", profile=statistics),)))
        assert anomalies(world.said) == []
        end = event(
            "COMPLETE", at + 9, f"r{number}", outputs=(Dataset("db", "orders", rows=1_000, profile=statistics),)
        )
        world.tell(end)
        world.tell(end)

    found = [a for a in anomalies(world.said) if a.check == "columns"]
    assert [(a.run_id, a.phase, a.count) for a in found] == [("r20", "started", 1)]
    assert all(run.measured is None for run in world.entities[TABLE].runs.closed.values())


@pytest.mark.parametrize("state", ["FAIL", "ABORT"])
def test_the_profile_of_a_run_that_failed_is_not_judged_and_not_kept(state: str) -> None:
    world, statistics = ready(), loaded(1_000, random.Random(3))
    world.tell(event(state, MONDAY, outputs=(Dataset("db", "orders", profile=statistics),)))  # type: ignore[arg-type]

    assert world.entities[TABLE].loads == {}
    assert all(run.measured is None for run in world.entities[TABLE].runs.closed.values())


def test_what_a_reader_measured_and_what_was_told_outside_any_run_are_series_of_their_own() -> None:
    world, statistics = ready(), loaded(1_000, random.Random(3))
    world.tell(event("COMPLETE", MONDAY, inputs=(Dataset("db", "orders", profile=statistics),)))
    world.tell(DatasetEvent(Dataset("db", "orders", profile=statistics), MONDAY + 1))
    entity = world.entities[TABLE]

    world.tell(DatasetEvent(Dataset("db", "orders", profile=statistics), MONDAY + HOUR))
    assert entity.loads.keys() == {"read", "table"}
    assert entity.loads["table"].compared == 0
    assert {"mean(amount0):read", "mean(amount0):table"} <= set(entity.series)


def test_only_the_metrics_that_are_watched_are_judged() -> None:
    rules = Rules()
    world = ready(Rules(default=replace(rules.default, metrics=frozenset({"mean(amount0)"}))))
    world.tell(profile(MONDAY, 1_000, statistics=loaded(1_000, random.Random(3))))

    assert set(world.entities[TABLE].series) == {"mean(amount0)"}


def test_no_rows_say_nothing() -> None:
    world = ready()
    world.tell(profile(MONDAY, 0, statistics=table({"a": {"count": 0, "null_count": 0, "distinct": 0}})))

    assert set(world.entities[TABLE].series) == {"profile_rows:load"}


@pytest.mark.parametrize("reload", [False, True])
def test_restarts_change_nothing(reload: bool) -> None:
    world, rng = learned(reload=reload)
    next_load(world, loaded(1_000, rng, factor=4.0, shares={"new": 1.0}))
    plain, other = learned()
    next_load(plain, loaded(1_000, other, factor=4.0, shares={"new": 1.0}))

    assert world.digest == plain.digest
    assert world.snapshots() == plain.snapshots()


def test_the_references_of_many_columns_are_some_kilobytes() -> None:
    world = learned(5, columns=100)[0]
    entity = world.entities[TABLE]
    alone = Entity(TABLE, loads=entity.loads)

    assert len(dump(alone)) < 12_000
    assert load(dump(alone)).loads == entity.loads


def test_profiles_with_other_columns_and_fractions_are_no_trouble() -> None:
    world, rng = learned()
    for after, statistics in enumerate(
        (
            table({"new": {"q0.1": 1.5, "q0.9": 2.5}}),
            table({"amount0": {"q0.5": -1e300, "mean": -5.5, "distinct": 0, "null_count": 9e9}}),
            Statistics(("x",), ("count",), pack("<d", math.nan), {"x": {value_hash("a"): 1.0}}),
            loaded(1_000, rng),
        )
    ):
        next_load(world, statistics, after=20 + after)

    known = world.entities[TABLE].series
    assert all(math.isfinite(known.baseline(metric, Baseline()).bounds()[1]) for metric in known)


@pytest.mark.parametrize("x", [5e-324, 1.7e308, -1.7e308, 0.0])
def test_numbers_that_no_column_has_are_survived(x: float) -> None:
    world = ready()
    strange = table({"a": dict.fromkeys((*NAMES, "sum", "odd_count"), x)}, {"a": {str(i): abs(x) for i in range(30)}})
    for number in range(5):
        world.tell(profile(MONDAY + number * HOUR, max(x, 0.0), statistics=strange))
        world.tell(profile(MONDAY + number * HOUR + 1, 10, statistics=loaded(10, random.Random(1))))

    assert not world.entities[TABLE].judgement.poisoned


def test_a_state_of_before_there_were_references_begins_without_them() -> None:
    older = [section for section in sections() if section[0] != "profile"]

    assert load(written(older)) == Entity("job:a/b")


def test_a_newer_section_of_profiles_is_refused() -> None:
    with pytest.raises(SnapshotTooNew, match="section 'profile' in version 2; known: 1"):
        load(written(sections(profile=2)))
