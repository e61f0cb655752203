"""The kinds of declared checks: what each says of what was measured of one load, and that it says nothing else."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from detector.core.declared import KINDS, LoadCheck
from detector.core.declared.check import Facts
from detector.core.declared.kinds import (
    Between,
    FreshWithin,
    InSet,
    Matches,
    MeanBetween,
    NotNull,
    Referential,
    RowCountBetween,
    SumMatches,
    Unique,
)
from detector.core.events import Statistics
from detector.core.profiles import columns_of, rows_of
from detector.core.text import value_hash
from tests.core.world import DAY, HOUR, MONDAY


def facts(rows: float | None = 1_000, top: dict[str, float] | None = None, **statistics: float) -> Facts:
    """A load of which column `a` has these statistics; `__` in a name is a colon."""
    names = tuple(name.replace("__", ":").replace("_in_other_key", "_in:other.key") for name in statistics)
    values = np.array(list(statistics.values()), "<f8").tobytes()
    columns = columns_of(Statistics(("a",), names, values))
    hashed = {} if top is None else {"a": {value_hash(value): count for value, count in top.items()}}
    return Facts(columns, rows, rows_of(rows, columns), hashed)


CASES: list[Any] = [
    pytest.param(
        NotNull(column="a"), facts(null_count=0), "passed", "a: 0 of 1,000 values are null, declared none", id="no null"
    ),
    pytest.param(
        NotNull(column="a"), facts(null_count=1), "failed", "a: 1 of 1,000 values are null, declared none", id="a null"
    ),
    pytest.param(
        NotNull(column="a", at_most=0.02),
        facts(null_count=30),
        "failed",
        "a: 30 of 1,000 values are null (3 %), declared at most 2 %",
        id="too large a share of nulls",
    ),
    pytest.param(NotNull(column="a", at_most=0.02), facts(null_count=20), "passed", "(2 %)", id="just as many nulls"),
    pytest.param(
        NotNull(column="a", at_most=0.02),
        facts(rows=1e6, null_count=20_001),
        "failed",
        "(2.0001 %), declared at most 2 %",
        id="a share that rounds to what is allowed does not read so",
    ),
    pytest.param(NotNull(column="a", at_most_rows=5), facts(null_count=5), "passed", "at most 5", id="nulls by number"),
    pytest.param(NotNull(column="a", at_most_rows=5), facts(null_count=6), "failed", "at most 5", id="six of five"),
    pytest.param(
        NotNull(column="a", at_most=0.1),
        facts(rows=None, null_count=3),
        "not_evaluated",
        "a: the profile has no count of it",
        id="a share of nobody knows how many",
    ),
    pytest.param(
        Unique(column="a"),
        facts(distinct=990, null_count=0),
        "failed",
        "a: 990 different values of 1,000, declared unique",
        id="repeated values",
    ),
    pytest.param(Unique(column="a"), facts(distinct=990, null_count=10), "passed", "", id="nulls are not repeated"),
    pytest.param(Unique(column="a"), facts(distinct=1_000), "passed", "", id="as many values as rows"),
    pytest.param(
        Unique(column="a"), facts(distinct=990), "not_evaluated", "no null_count", id="what repeats may be nulls"
    ),
    pytest.param(
        Unique(column="a", tolerance=0.02), facts(distinct=985, null_count=0), "passed", "2 %", id="an estimate"
    ),
    pytest.param(
        Between(column="a", min=0),
        facts(min=-3.5, max=9),
        "failed",
        "a: minimum -3.5, declared at least 0",
        id="too small a value",
    ),
    pytest.param(
        Between(column="a", max=5), facts(max=5.5), "failed", "a: maximum 5.5, declared at most 5", id="too large"
    ),
    pytest.param(
        Between(column="a", min=0, max=5), facts(min=-1), "failed", "declared 0 to 5", id="one bound is enough to fail"
    ),
    pytest.param(
        Between(column="a", min=0, max=5), facts(min=1), "not_evaluated", "no max of it", id="but not to pass"
    ),
    pytest.param(Between(column="a", min=0, max=5), facts(min=0, max=5), "passed", "", id="on both bounds"),
    pytest.param(
        Between(column="a", max=0.1),
        facts(max=0.10000001),
        "failed",
        "maximum 0.10000001, declared at most 0.1",
        id="a value that rounds to the bound does not read so",
    ),
    pytest.param(MeanBetween(column="a", min=2, max=3), facts(mean=2.5), "passed", "mean 2.5", id="a mean"),
    pytest.param(
        MeanBetween(column="a", min=2), facts(sum=1_000, count=1_000), "failed", "mean 1, declared at least 2", id="sum"
    ),
    pytest.param(
        InSet(column="a", values=("new", "paid")),
        facts(top={"new": 400, "paid": 600}),
        "passed",
        "a: all 1,000 values are among the 2 that are declared",
        id="all values are declared",
    ),
    pytest.param(
        InSet(column="a", values=("new",)),
        facts(top={"new": 400, "lost": 6}),
        "failed",
        "a: 6 rows have 1 different value that are none of the 1 that are declared",
        id="a value that is not declared, and nobody is told which",
    ),
    pytest.param(
        InSet(column="a", values=("new",)), facts(top={"new": 400}), "not_evaluated", "not tell all", id="the rest"
    ),
    pytest.param(
        InSet(column="a", values=("new",)), facts(null_count=600, top={"new": 400}), "passed", "", id="the rest is null"
    ),
    pytest.param(
        InSet(column="a", values=(1, 2.5, True)),
        facts(rows=4, top={"1": 1, "1.0": 1, "2.5": 1, "true": 1}),
        "passed",
        "",
        id="numbers as others write them",
    ),
    pytest.param(
        Matches(column="a", pattern="email"),
        facts(matches__email_share=1),
        "passed",
        "100 %",
        id="a pattern as a share",
    ),
    pytest.param(
        Matches(column="a", pattern="email", at_least=0.99),
        facts(matches__email_count=950),
        "failed",
        "a: 95 % of the values are email, declared at least 99 %",
        id="a pattern as a count",
    ),
    pytest.param(
        Matches(column="a", pattern="email"), facts(null_count=0), "not_evaluated", "no matches:email_share", id="none"
    ),
    pytest.param(
        RowCountBetween(min=500), facts(rows=20), "failed", "20 rows, declared at least 500", id="too few rows"
    ),
    pytest.param(RowCountBetween(min=1, max=5_000), facts(), "passed", "1,000 rows, declared 1 to 5,000", id="rows"),
    pytest.param(
        SumMatches(column="a", other="b"), facts(sum=10), "not_evaluated", "b: the profile has no such column", id="sum"
    ),
    pytest.param(
        Referential(column="a", dataset="other", key="key"),
        facts(missing_in_other_key_count=10),
        "failed",
        "a: 1 % of the values are missing in other.key, declared none",
        id="values without a counterpart",
    ),
    pytest.param(
        Referential(column="a", dataset="other", key="key", at_most=0.01),
        facts(missing_in_other_key_share=0.01),
        "passed",
        "at most 1 %",
        id="some may be without",
    ),
]


CHECKS: list[LoadCheck] = [case.values[0] for case in CASES]


@pytest.mark.parametrize(("check", "load", "status", "sentence"), CASES)
def test_a_check_says_how_it_went_with_its_numbers(check: LoadCheck, load: Facts, status: str, sentence: str) -> None:
    outcome = check.evaluate(load)

    assert outcome.status == status
    assert sentence in outcome.sentence


def test_every_kind_of_check_has_a_case() -> None:
    assert {check.kind for check in CHECKS} | {FreshWithin.kind} == KINDS.keys()


@pytest.mark.parametrize("check", [c for c in CHECKS if c.kind != "row_count_between"], ids=lambda check: check.kind)
def test_without_statistics_a_check_of_a_column_neither_passes_nor_fails(check: LoadCheck) -> None:
    outcome = check.evaluate(Facts(None, 1_000, 1_000, {}))

    assert (outcome.status, outcome.sentence) == ("not_evaluated", "a: no statistics of columns came with the load")


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if issubclass(kind, Between | MeanBetween)])
@pytest.mark.parametrize("band", [(None, None), (2.0, 1.0)], ids=["no bound", "nothing is in it"])
def test_a_band_that_says_nothing_is_refused(kind: type[Between], band: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="min"):
        kind(column="a", min=band[0], max=band[1])


@pytest.mark.parametrize(
    ("tolerance", "status"), [(0.0, "failed"), (0.001, "failed"), (0.02, "passed")], ids=["equal", "near", "about"]
)
def test_two_sums_are_equal_within_a_tolerance(tolerance: float, status: str) -> None:
    statistics = Statistics(("net", "gross"), ("sum",), np.array([100.0, 101.0], "<f8").tobytes())
    outcome = SumMatches(column="net", other="gross", tolerance=tolerance).evaluate(
        Facts(columns_of(statistics), 5, 5, {})
    )

    assert outcome.status == status
    assert outcome.sentence.startswith("net: sum 100, that of gross 101; declared equal")


@pytest.mark.parametrize(
    ("last", "now", "status", "said"),
    [
        pytest.param(MONDAY, MONDAY + 23 * HOUR, "passed", "23 h ago", id="young"),
        pytest.param(MONDAY, MONDAY + DAY, "failed", "Mon 19 Jan 00:00 UTC, 1 d ago; declared within 1 d", id="old"),
        pytest.param(0.0, MONDAY + 25 * HOUR, "failed", "no load was seen in 1 d 1 h", id="never"),
    ],
)
def test_what_is_older_than_declared_is_stale(last: float, now: float, status: str, said: str) -> None:
    outcome = FreshWithin(within=DAY).evaluate(last, MONDAY, now)

    assert outcome.status == status
    assert said in outcome.sentence


NUMBERS = some.floats(allow_nan=True, allow_infinity=True) | some.integers(-10, 10).map(float)


@given(some.lists(NUMBERS, min_size=8, max_size=8), some.none() | some.floats(0, 1e12))
def test_no_measurement_breaks_a_check_and_nan_is_none(cells: list[float], rows: float | None) -> None:
    names = ("count", "null_count", "distinct", "min", "max", "mean", "sum", "matches:x_count")
    columns = columns_of(Statistics(("a",), names, np.array(cells, "<f8").tobytes()))

    for check in CHECKS:
        outcome = check.evaluate(Facts(columns, rows, rows_of(rows, columns), {}))

        assert outcome.status in ("passed", "failed", "not_evaluated")
        assert outcome.observed is None or not math.isnan(outcome.observed)


@given(some.integers(0, 1_000), some.integers(0, 1_000))
def test_more_nulls_never_make_it_pass(nulls: int, more: int) -> None:
    check = NotNull(column="a", at_most=0.3)
    worse = check.evaluate(facts(null_count=min(nulls + more, 1_000))).status

    assert worse == "failed" or check.evaluate(facts(null_count=nulls)).status == "passed"


def test_checks_are_values_that_can_be_told_apart() -> None:
    first, second = NotNull(column="a"), Between(column="a", min=0, name="amounts")

    assert (first.called, second.called, RowCountBetween(min=1).called) == (
        "not_null(a)",
        "amounts",
        "row_count_between",
    )
    assert msgspec.structs.replace(first, name="ids").called == "ids"
