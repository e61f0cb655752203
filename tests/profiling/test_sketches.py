"""Rows that pass by once, held against the same counted in plain Python."""

import math
import re
import statistics
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.text import value_hash
from detector.profiling.asked import Asks, ColumnAsks
from detector.profiling.hashing import Hasher
from detector.profiling.result import Column
from detector.profiling.sketches import Rows

HASHER = Hasher(b"a key of the tests, long enough")
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-1000, 1000), st.floats(-1e6, 1e6), st.text(max_size=4))


def counted(rows: list[dict[str, Any] | None], asks: Asks | None = None, **options: Any) -> dict[str, Column]:
    found = Rows(**options)
    for row in rows:
        found.add(row, 10)
    return {column.name: column for column in found.columns(HASHER, asks or Asks())}


@given(values=st.lists(VALUES, min_size=1, max_size=100))
def test_every_value_is_counted_as_what_it_is(values: list[Any]) -> None:
    found = counted([{"x": value, "n": 1} for value in values]).get("x", Column("x", "", "other"))

    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    texts = [value for value in values if isinstance(value, str)]
    assert found.of("null_count") in (values.count(None), None)
    if numbers:
        assert (found.of("min"), found.of("max")) == (min(numbers), max(numbers))
        assert found.of("sum") == pytest.approx(math.fsum(numbers), rel=1e-9, abs=1e-6)
        assert found.of("mean") == pytest.approx(statistics.fmean(numbers), rel=1e-9, abs=1e-6)
        assert found.of("negative_count") == sum(number < 0 for number in numbers)
    if len(numbers) > 1:
        assert found.of("std") == pytest.approx(statistics.stdev(numbers), rel=1e-6, abs=1e-6)
    if texts:
        assert found.of("length_max") == max(map(len, texts))
        assert found.of("empty_count") == texts.count("")
    if any(isinstance(value, bool) for value in values):
        assert found.of("true_count") == sum(value is True for value in values)


def test_many_rows_in_parts_are_as_all_at_once() -> None:
    amounts = [(i * 7_919) % 50_021 / 10 for i in range(50_000)]

    found = counted([{"x": x, "code": f"c{i % 7}", "id": f"{i}"} for i, x in enumerate(amounts)])

    assert found["x"].of("std") == pytest.approx(statistics.stdev(amounts), rel=1e-9)
    for name in ("q0.05", "q0.5", "q0.95"):
        below = sum(x <= (found["x"].of(name) or 0.0) for x in amounts) / len(amounts)
        assert below == pytest.approx(float(name[1:]), abs=0.01)
    assert found["id"].of("distinct") == pytest.approx(50_000, rel=0.03)
    assert "distinct" in found["id"].estimated
    assert (found["code"].of("distinct"), found["code"].estimated) == (7, set())
    assert found["code"].top == {HASHER.of(f"c{i}"): float(sum(n % 7 == i for n in range(50_000))) for i in range(7)}
    assert found["id"].top == {}


def test_a_field_within_a_field_is_a_column() -> None:
    found = counted([{"a": {"b": 1, "c": {"d": "x"}}, "e": [1, 2]}, {"a": None}, None])

    assert list(found) == ["a.b", "a.c.d", "e"]
    assert [column.of("null_count") for column in found.values()] == [2, 2, 2]
    assert found["e"].of("length_max") == 2


def test_what_avro_has_is_counted() -> None:
    when = datetime(2026, 10, 20, 12, tzinfo=UTC)

    found = counted([{"day": date(2026, 10, 20), "at": when, "price": Decimal("1.50"), "raw": b"abc"}])

    assert found["day"].of("max") == when.timestamp() - 12 * 3_600
    assert found["at"].of("max") == when.timestamp()
    assert found["price"].of("sum") == 1.5
    assert found["raw"].of("length_max") == 3


def test_checks_are_counted_along() -> None:
    asks = Asks({"status": ColumnAsks(in_set=frozenset({value_hash("new")})), "mail": ColumnAsks(patterns={"email"})})
    rows: list[dict[str, Any] | None] = [{"status": "new", "mail": "a@b.c"}, {"status": "odd", "mail": "nobody"}]

    found = counted(rows, asks, patterns={"mail": {"email": re.compile(r"\S+@\S+")}})

    assert found["status"].top == {value_hash("new"): 1.0, HASHER.of("odd"): 1.0}
    assert found["mail"].of("matches:email_count") == 1


def test_a_column_that_stays_away_is_one_of_nothing_but_nulls() -> None:
    rows = Rows()
    rows.add({"a": 1}, 5)

    rows.expect({"a", "b"})

    found = {column.name: column.of("null_count") for column in rows.columns(HASHER, Asks())}
    assert found == {"a": 0, "b": 1}


def test_private_columns_only_count() -> None:
    found = counted([{"card": "4111"}, {"card": "4111"}], Asks(private=("card",)))

    assert found["card"].statistics == {"count": 2, "null_count": 0, "distinct": 1}
    assert found["card"].top == {}


def test_more_columns_than_anybody_watches_are_left_out() -> None:
    rows = Rows()
    rows.add({f"c{i}": i for i in range(1_200)}, 5)

    assert len(rows.columns(HASHER, Asks())) == 1_000
    assert rows.left_out == 200
