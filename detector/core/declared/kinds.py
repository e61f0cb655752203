"""The kinds of declared checks. Each is a few typed fields and a pure function of what was measured of a load."""

from typing import Annotated, ClassVar

from msgspec import Meta

from detector.core.declared.check import (
    Amount,
    Base,
    ColumnName,
    Facts,
    OfLoad,
    Outcome,
    Share,
    band,
    check_band,
    judged,
    percent,
    told,
    unknown,
    within,
)
from detector.core.profiles import means_of, values_in
from detector.core.text import duration, moment, value_hashes

ROUNDING = 1e-9  # sums of floats depend on their order


class OfColumn(OfLoad, frozen=True, kw_only=True):
    """A check of one column."""

    column: ColumnName

    @property
    def about(self) -> str:
        """The column."""
        return self.column


class NotNull(OfColumn, frozen=True, kw_only=True):
    """No value is null, or no more than a share (`at_most`) or a number (`at_most_rows`) of them."""

    kind: ClassVar[str] = "not_null"
    at_most: Share = 0.0
    at_most_rows: Amount | None = None

    def evaluate(self, facts: Facts) -> Outcome:
        """By `null_count`."""
        nulls = facts.of("null_count", self.column)
        if nulls is None:
            return unknown(facts, self.column, "null_count")
        of = facts.rows if facts.rows is not None else facts.of("count", self.column)
        known = f"{told(nulls)} of {told(of)} values" if of else f"{told(nulls)} values"
        if self.at_most_rows is not None or self.at_most == 0:
            most = self.at_most_rows or 0.0
            declared = f"at most {told(most)}" if most else "none"
            return judged(nulls <= most, f"{self.column}: {known} are null, declared {declared}", nulls, upper=most)
        if not of:
            return unknown(facts, self.column, "count")
        share = min(nulls / of, 1.0)
        observed, declared = percent(share, self.at_most), f"at most {percent(self.at_most)}"
        sentence = f"{self.column}: {known} are null ({observed}), declared {declared}"
        return judged(share <= self.at_most, sentence, share, upper=self.at_most)


class Unique(OfColumn, frozen=True, kw_only=True):
    """No value comes twice; of an estimated `distinct`, up to a share (`tolerance`) may seem to."""

    kind: ClassVar[str] = "unique"
    tolerance: Share = 0.0

    def evaluate(self, facts: Facts) -> Outcome:
        """By `distinct`, `count` and `null_count`."""
        distinct, values = facts.of("distinct", self.column), values_of(facts, self.column)
        if distinct is None:
            return unknown(facts, self.column, "distinct")
        if values is None:
            return unknown(facts, self.column, "count")
        if distinct < values and facts.of("null_count", self.column) is None:
            return unknown(facts, self.column, "null_count")  # nulls may be what is taken for repeated values
        repeated = max(values - distinct, 0.0)
        allowed = f" (up to {percent(self.tolerance)} may repeat)" if self.tolerance else ""
        sentence = f"{self.column}: {told(distinct)} different values of {told(values)}, declared unique{allowed}"
        return judged(repeated <= self.tolerance * values, sentence, repeated, upper=self.tolerance * values)


class Between(OfColumn, frozen=True, kw_only=True):
    """All values of a column lie in a band."""

    kind: ClassVar[str] = "between"
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` for no band."""
        check_band(self.min, self.max)

    def evaluate(self, facts: Facts) -> Outcome:
        """By `min` and `max`. One that is out of the band says enough; that all are within needs both."""
        lowest, highest = facts.of("min", self.column), facts.of("max", self.column)
        declared = f"declared {band(self.min, self.max)}"
        if self.min is not None and lowest is not None and lowest < self.min:
            sentence = f"{self.column}: minimum {told(lowest, self.min)}, {declared}"
            return judged(False, sentence, lowest, self.min, self.max)
        if self.max is not None and highest is not None and highest > self.max:
            sentence = f"{self.column}: maximum {told(highest, self.max)}, {declared}"
            return judged(False, sentence, highest, self.min, self.max)
        wanted = [("min", self.min, lowest), ("max", self.max, highest)]
        for name, bound, value in wanted:
            if bound is not None and value is None:
                return unknown(facts, self.column, name)
        there = ", ".join(f"{name} {told(v)}" for name, bound, v in wanted if bound is not None and v is not None)
        inside = lowest if self.min is not None and lowest is not None else highest or 0.0
        return judged(True, f"{self.column}: {there}, {declared}", inside, self.min, self.max)


class MeanBetween(OfColumn, frozen=True, kw_only=True):
    """The mean of a column lies in a band."""

    kind: ClassVar[str] = "mean_between"
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` for no band."""
        check_band(self.min, self.max)

    def evaluate(self, facts: Facts) -> Outcome:
        """By `mean`, or `sum` and `count`."""
        mean = mean_of(facts, self.column)
        if mean is None:
            return unknown(facts, self.column, "mean")
        nearest = self.min if self.min is not None and mean < self.min else self.max
        sentence = f"{self.column}: mean {told(mean, nearest)}, declared {band(self.min, self.max)}"
        return judged(within(mean, self.min, self.max), sentence, mean, self.min, self.max)


class InSet(OfColumn, frozen=True, kw_only=True):
    """All values of a column are among those that are declared; nulls do not count."""

    kind: ClassVar[str] = "in_set"
    values: Annotated[tuple[bool | int | float | str, ...], Meta(min_length=1, max_length=1_000)]

    def evaluate(self, facts: Facts) -> Outcome:
        """By the hashes of the most frequent values: that all are in the set is known only if these are all."""
        counts = facts.top_values.get(self.column)
        if not counts:
            return unknown(facts, self.column, "top_values")
        known = value_hashes(self.values)
        others = [count for value, count in counts.items() if value not in known]
        strange, seen = sum(others), sum(counts.values())
        declared = f"the {len(self.values)} that are declared"
        if others:
            kinds = f"{len(others)} different {'value' if len(others) == 1 else 'values'}"
            sentence = f"{self.column}: {told(strange)} rows have {kinds} that are none of {declared}"
            return judged(False, sentence, strange, upper=0.0)
        values = values_of(facts, self.column)
        if values is None or seen < values:
            return Outcome("not_evaluated", f"{self.column}: the profile does not tell all of its values")
        return judged(True, f"{self.column}: all {told(seen)} values are among {declared}", 0.0, upper=0.0)


class Matches(OfColumn, frozen=True, kw_only=True):
    """At least a share of the values has a pattern that whoever makes the profile knows by this name."""

    kind: ClassVar[str] = "matches"
    pattern: Annotated[str, Meta(min_length=1, max_length=200)]
    at_least: Share = 1.0

    @property
    def about(self) -> str:
        """The column and the pattern."""
        return f"{self.column}, {self.pattern}"

    def evaluate(self, facts: Facts) -> Outcome:
        """By `matches:<pattern>_share` or `matches:<pattern>_count`."""
        share = share_of(facts, self.column, f"matches:{self.pattern}")
        if share is None:
            return unknown(facts, self.column, f"matches:{self.pattern}_share")
        sentence = f"{self.column}: {percent(share, self.at_least)} of the values are {self.pattern}, declared "
        sentence += f"at least {percent(self.at_least)}" if self.at_least < 1 else "all"
        return judged(share >= self.at_least - ROUNDING, sentence, share, lower=self.at_least)


class RowCountBetween(OfLoad, frozen=True, kw_only=True):
    """The number of rows of a load, or of what is profiled, lies in a band."""

    kind: ClassVar[str] = "row_count_between"
    unit: ClassVar[str | None] = "rows"
    min: Amount | None = None
    max: Amount | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` for no band."""
        check_band(self.min, self.max)

    def evaluate(self, facts: Facts) -> Outcome:
        """By the rows of the load, or of its profile."""
        rows = facts.rows if facts.written is None else facts.written
        if rows is None:
            return Outcome("not_evaluated", "nothing tells how many rows there are")
        sentence = f"{told(rows)} rows, declared {band(self.min, self.max)}"
        return judged(within(rows, self.min, self.max), sentence, rows, self.min, self.max)


class SumMatches(OfColumn, frozen=True, kw_only=True):
    """Two columns of one load have the same sum, but for a share of it (`tolerance`)."""

    kind: ClassVar[str] = "sum_matches"
    other: ColumnName
    tolerance: Share = 0.0

    @property
    def about(self) -> str:
        """Both columns."""
        return f"{self.column}, {self.other}"

    def evaluate(self, facts: Facts) -> Outcome:
        """By `sum`, or `mean` and `count`, of both."""
        mine, theirs = sum_of(facts, self.column), sum_of(facts, self.other)
        if mine is None:
            return unknown(facts, self.column, "sum")
        if theirs is None:
            return unknown(facts, self.other, "sum")
        off, most = abs(mine - theirs), (self.tolerance + ROUNDING) * max(abs(mine), abs(theirs))
        allowed = f" but for {percent(self.tolerance)}" if self.tolerance else ""
        sentence = f"{self.column}: sum {told(mine, theirs)}, that of {self.other} {told(theirs, mine)}"
        sentence += f"; declared equal{allowed}, apart by {told(off)}"
        return judged(off <= most, sentence, mine, theirs - most, theirs + most)


class Referential(OfColumn, frozen=True, kw_only=True):
    """Every value of a column is there in a column (`key`) of another dataset, but for a share of them."""

    kind: ClassVar[str] = "referential"
    dataset: Annotated[str, Meta(min_length=1, max_length=1_000)]
    key: ColumnName
    at_most: Share = 0.0

    @property
    def about(self) -> str:
        """The column, and where its values must be."""
        return f"{self.column}, {self.dataset}.{self.key}"

    def evaluate(self, facts: Facts) -> Outcome:
        """By `missing_in:<dataset>.<key>_share` or `missing_in:<dataset>.<key>_count`."""
        name = f"missing_in:{self.dataset}.{self.key}"
        share = share_of(facts, self.column, name)
        if share is None:
            return unknown(facts, self.column, f"{name}_share")
        declared = f"at most {percent(self.at_most)}" if self.at_most else "none"
        missing = f"{percent(share, self.at_most)} of the values are missing in {self.dataset}.{self.key}"
        sentence = f"{self.column}: {missing}, declared {declared}"
        return judged(share <= self.at_most, sentence, share, upper=self.at_most)


class FreshWithin(Base, frozen=True, kw_only=True):
    """The last load is never older than this. It is held against time, and not against a load."""

    kind: ClassVar[str] = "fresh_within"
    unit: ClassVar[str | None] = "seconds"
    within: Annotated[float, Meta(gt=0, extra={"unit": "seconds"})]

    def evaluate(self, last: float, since: float, now: float) -> Outcome:
        """By the time of the last load (0: none was seen), or since when it is watched."""
        age = max(now - max(last, since), 0.0)
        seen, never = (
            f"the last load came at {moment(last)}, {duration(age)} ago",
            f"no load was seen in {duration(age)}",
        )
        what = seen if last else never
        return judged(age < self.within, f"{what}; declared within {duration(self.within)}", age, upper=self.within)


def values_of(facts: Facts, column: str) -> float | None:
    """How many values of a column are not null."""
    if facts.columns is None or column not in facts.columns.names:
        return None
    found = float(values_in(facts.columns, facts.rows)[facts.columns.names.index(column)])
    return found if found == found else None


def share_of(facts: Facts, column: str, name: str) -> float | None:
    """A share of the values of a column: told as such, or as a count."""
    share, count, values = (
        facts.of(f"{name}_share", column),
        facts.of(f"{name}_count", column),
        values_of(facts, column),
    )
    if share is not None or count is None or not values:
        return share
    return min(count / values, 1.0)


def mean_of(facts: Facts, column: str) -> float | None:
    """The mean of a column."""
    if facts.columns is None or column not in facts.columns.names:
        return None
    found = float(means_of(facts.columns, facts.rows)[facts.columns.names.index(column)])
    return found if found == found else None


def sum_of(facts: Facts, column: str) -> float | None:
    """The sum of a column: told, or its mean times its values."""
    found, mean, values = facts.of("sum", column), mean_of(facts, column), values_of(facts, column)
    if found is not None or mean is None or values is None:
        return found
    return mean * values
