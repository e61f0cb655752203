"""What DuckDB counts, held against the same counted in plain Python."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from detector import profiling
from detector.profiling import Column, DatasetProfile, counting
from detector.profiling.asked import Asks
from tests.strategies import examples

KEY = "a key of the tests, long enough"
DATASET = "dataset:file/rows"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
WHOLE = st.integers(-(2**50), 2**50)
REAL = st.floats(-1e9, 1e9).map(lambda x: round(x, 6) + 0.0)
FEW = examples(0.25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def stored(path: Path, kind: str, values: Sequence[Any]) -> Path:
    """A Parquet file with one column `x`."""
    path.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t (x {kind})")
        connection.execute(f"INSERT INTO t SELECT unnest($1::{kind}[])", [list(values)])
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    return path


def column(path: Path, **options: Any) -> Column:
    return profiling.profile(path, DATASET, key=KEY, **options).columns[0]


def quantile(values: Sequence[float], fraction: float) -> float:
    """Between two of the sorted values, as numpy's default."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@FEW
@given(values=st.lists(st.one_of(st.none(), WHOLE), min_size=1, max_size=200))
def test_numbers_are_counted_as_by_hand(values: list[int | None], tmp_path: Path) -> None:
    found = column(stored(tmp_path / "x.parquet", "BIGINT", values)).statistics

    there = [value for value in values if value is not None]
    assert (found["count"], found["null_count"]) == (len(values), values.count(None))
    assert found["distinct"] == len(set(there))
    if there:
        assert (found["min"], found["max"], found["sum"]) == (min(there), max(there), sum(there))
        assert (found["zero_count"], found["negative_count"]) == (there.count(0), sum(x < 0 for x in there))
        assert found["mean"] == pytest.approx(sum(there) / len(there), rel=1e-12, abs=1e-9)
        for fraction in (0.05, 0.25, 0.5, 0.75, 0.95):
            assert found[f"q{fraction:g}"] == pytest.approx(quantile(there, fraction), rel=1e-9, abs=1e-6)
    if len(there) > 1:
        assert found["std"] == pytest.approx(statistics.stdev(there), rel=1e-9, abs=1e-6)


@FEW
@given(values=st.lists(st.one_of(REAL, st.sampled_from([math.nan, math.inf, -math.inf])), min_size=1, max_size=100))
def test_what_is_no_number_is_counted_by_itself(values: list[float], tmp_path: Path) -> None:
    found = column(stored(tmp_path / "x.parquet", "DOUBLE", values)).statistics

    finite = [value for value in values if math.isfinite(value)]
    assert found.get("nan_count", 0.0) == len(values) - len(finite)
    if finite:
        assert (found["min"], found["max"]) == (min(finite), max(finite))
        assert found["mean"] == pytest.approx(statistics.fmean(finite), rel=1e-9, abs=1e-6)
        assert found["q0.5"] == pytest.approx(quantile(finite, 0.5), rel=1e-9, abs=1e-6)
        assert found["zero_count"] == finite.count(0)
    else:
        assert "mean" not in found


@FEW
@given(values=st.lists(st.one_of(st.none(), TEXTS), min_size=1, max_size=100))
def test_of_texts_lengths_and_hashes_are_told(values: list[str | None], tmp_path: Path) -> None:
    found = column(stored(tmp_path / "x.parquet", "VARCHAR", values))

    there = [value for value in values if value is not None]
    assert found.of("distinct") == len(set(there))
    assert not {"min", "max"} & set(found.statistics)
    if there:
        lengths = [len(value) for value in there]
        assert (found.of("length_min"), found.of("length_max")) == (min(lengths), max(lengths))
        assert found.of("empty_count") == there.count("")
        assert sum(found.top.values()) <= len(there)
        assert max(found.top.values(), default=0) in (0, max(there.count(value) for value in there))


@pytest.mark.slow
def test_a_large_table_is_estimated_within_what_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT i AS id, i % 300007 AS customer, (i * 7919) % 1000 AS code,"
            " (i * 31) % 1000003 / 7.0 AS amount"
            f" FROM range(1200000) t(i)) TO '{path}' (FORMAT parquet)"
        )

    found = {c.name: c for c in profiling.profile(path, DATASET).columns}

    assert found["id"].of("distinct") == 1_200_000  # where nothing comes twice, nothing is off
    assert found["customer"].of("distinct") == pytest.approx(300_007, rel=0.02)
    assert (found["code"].of("distinct"), "distinct" in found["code"].estimated) == (1_000, False)
    assert {"q0.5", "q0.95"} <= found["amount"].estimated
    assert found["id"].of("q0.5") == pytest.approx(600_000, abs=1_200_000 * 0.005)
    total = sum((i * 31) % 1_000_003 / 7.0 for i in range(1_200_000))
    assert found["amount"].of("sum") == pytest.approx(total, rel=1e-9)


def test_exact_means_exact(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT i % 300007 AS x FROM range(1100000) t(i)) TO '{path}' (FORMAT parquet)")

    found = column(path, exact=True)

    assert found.of("distinct") == 300_007
    assert found.estimated == set()


def test_other_kinds_of_columns_have_what_can_be_said_of_them(tmp_path: Path) -> None:
    path = tmp_path / "kinds.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT * FROM (VALUES"
            " (true, DATE '2026-01-01', TIMESTAMP '2026-01-01 00:00:10', [1, 2], {'city': 'Ulm', 'at': {'n': 1}},"
            " 'ab'::BLOB),"
            " (NULL, DATE '2026-01-03', NULL, [], {'city': NULL, 'at': {'n': 5}}, ''::BLOB)"
            f") t(ok, day, seen, tags, place, raw)) TO '{path}' (FORMAT parquet)"
        )

    found = {c.name: c for c in profiling.profile(path, DATASET).columns}

    assert list(found) == ["ok", "day", "seen", "tags", "place.city", "place.at.n", "raw"]
    assert found["ok"].of("true_count") == 1
    assert (found["day"].of("min"), found["day"].of("max")) == (1_767_225_600.0, 1_767_398_400.0)
    assert found["seen"].of("max") == 1_767_225_610.0
    assert (found["tags"].of("length_min"), found["tags"].of("length_max")) == (0, 2)
    assert (found["place.city"].of("null_count"), found["place.city"].of("length_max")) == (1, 3)
    assert found["place.at.n"].of("sum") == 6
    assert found["raw"].of("length_mean") == 1


def test_no_rows_and_nothing_but_nulls_are_fine(tmp_path: Path) -> None:
    empty = column(stored(tmp_path / "empty.parquet", "DOUBLE", []))
    nulls = column(stored(tmp_path / "nulls.parquet", "VARCHAR", [None, None]))

    assert empty.statistics == {"count": 0, "null_count": 0, "distinct": 0}
    assert nulls.statistics == {"count": 2, "null_count": 2, "distinct": 0}


def test_a_small_file_has_this_profile(tmp_path: Path) -> None:
    """The record as it is sent: names, layout, and what is said besides."""
    file = tmp_path / "orders.csv"
    file.write_text("id,amount,status\n1,10.5,paid\n2,,paid\n3,-4.5,new\n")

    found: DatasetProfile = profiling.profile(file, "dataset:s3://lake/orders", partition="day=2026-10-20", key=KEY)

    told = json.loads(found.to_json())
    assert told.pop("event_time").endswith("Z")
    assert told.pop("top_values") == {
        "status": dict.fromkeys(found.columns[2].top, 2.0) | {list(found.columns[2].top)[1]: 1.0},
        "id": found.columns[0].top,
    }
    assert told == {
        "kind": "profile",
        "namespace": "s3://lake",
        "name": "orders",
        "rows": 3.0,
        "grain": "partition",
        "partition": "day=2026-10-20",
        "bytes": 48.0,
        "schema": [
            {"name": "id", "type": "BIGINT", "position": 1},
            {"name": "amount", "type": "DOUBLE", "position": 2},
            {"name": "status", "type": "VARCHAR", "position": 3},
        ],
        "columns": [
            {
                "name": "id", "count": 3.0, "null_count": 0.0, "distinct": 3.0, "sum": 6.0, "min": 1.0, "max": 3.0,
                "mean": 2.0, "std": 1.0,
                "quantiles": {"0.05": 1.1, "0.25": 1.5, "0.5": 2.0, "0.75": 2.5, "0.95": 2.9},
                "others": {"negative_count": 0.0, "zero_count": 0.0},
            },
            {
                "name": "amount", "count": 3.0, "null_count": 1.0, "distinct": 2.0, "sum": 6.0, "min": -4.5,
                "max": 10.5,
                "mean": 3.0, "std": pytest.approx(10.606601717798213),
                "quantiles": {"0.05": -3.75, "0.25": -0.75, "0.5": 3.0, "0.75": 6.75, "0.95": 9.75},
                "others": {"negative_count": 1.0, "zero_count": 0.0},
            },
            {
                "name": "status", "count": 3.0, "null_count": 0.0, "distinct": 2.0,
                "others": {
                    "length_min": 3.0, "length_max": 4.0, "length_mean": pytest.approx(11 / 3), "empty_count": 0.0,
                },
            },
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("distinct", "values", "by", "expected"),
    [
        pytest.param(4, 1_000, 100, 4, id="a category has no more values in all than in a part"),
        pytest.param(1_000, 1_000, 100, 100_000, id="a key has as many as there are"),
        pytest.param(0, 0, 100, 0, id="of nothing but nulls nothing"),
    ],
)
def test_different_values_of_all_rows_by_those_of_a_part(
    distinct: float, values: float, by: float, expected: float
) -> None:
    found = Column("x", "", "text", {"count": values, "null_count": 0.0, "distinct": distinct})

    counting.scaled([found], by, Asks())

    assert found.of("distinct") == expected
    assert "distinct" in found.estimated or not distinct
