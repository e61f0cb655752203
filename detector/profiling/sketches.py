"""The statistics of rows that pass by once: sketches of DataSketches, in memory that does not grow with the rows.

Counts, sums, extremes, means and deviations are exact. Different values are exact up to some ten thousand and then
within about 1 %; quantiles are those of at most half a percent more or less of the rows (KLL).
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np

from detector.errors import Unreadable
from detector.profiling.asked import Asks
from detector.profiling.hashing import Hasher
from detector.profiling.result import Column

BATCH: Final = 2_000  # rows that wait to be counted together
MOST_COLUMNS: Final = 1_000
DEEPEST: Final = 4
DISTINCT_BITS: Final = 14
QUANTILE_SIZE: Final = 400
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
CATEGORIES: Final = 10_000
CODES: Final = 64
Patterns = Mapping[str, Mapping[str, re.Pattern[str]]]


def library() -> Any:
    """DataSketches. Raises `Unreadable` where it is not installed."""
    try:
        import datasketches
    except ImportError:
        raise Unreadable("DataSketches is not installed: pip install 'detector[profile]'") from None
    return datasketches


class Rows:
    """Counts rows: `add` them, then ask for `columns`. A row that could not be read counts, with nothing in it."""

    def __init__(self, patterns: Patterns | None = None) -> None:
        """`patterns` are those that checks ask for, by column."""
        library()
        self._patterns = patterns or {}
        self.rows = 0
        self.size = 0
        self.unreadable = 0
        self._waiting: list[Mapping[str, Any]] = []
        self._columns: dict[str, _Counted] = {}
        self.left_out = 0

    def add(self, row: Mapping[str, Any] | None, size: int) -> None:
        """One more row, or one that is none (None)."""
        self.rows += 1
        self.size += size
        if row is None:
            self.unreadable += 1
            return
        self._waiting.append(row)
        if len(self._waiting) >= BATCH:
            self._count()

    def columns(self, hasher: Hasher, asks: Asks) -> list[Column]:
        """The statistics of all columns that any row had, by name."""
        self._count()
        return [found.told(name, self.rows, hasher, asks) for name, found in sorted(self._columns.items())]

    def names(self) -> set[str]:
        """The columns that were seen."""
        self._count()
        return set(self._columns)

    def expect(self, names: Iterable[str]) -> None:
        """Columns that rows had before: where no row has them now, that is news."""
        for name in names:
            self._columns.setdefault(name, _Counted(self._patterns.get(name)))

    def _count(self) -> None:
        values: dict[str, list[Any]] = {}
        for row in self._waiting:
            _flatten(row, "", 0, values)
        self._waiting.clear()
        for name, found in values.items():
            column = self._columns.get(name)
            if column is None:
                if len(self._columns) >= MOST_COLUMNS:
                    self.left_out += 1
                    continue
                column = self._columns[name] = _Counted(self._patterns.get(name))
            column.add(found)


def _flatten(row: Mapping[str, Any], prefix: str, depth: int, values: dict[str, list[Any]]) -> None:
    """The values of a row by column; `a.b` for field b inside a. A null is as good as none."""
    for name, value in row.items():
        if isinstance(value, dict) and depth < DEEPEST:
            _flatten(value, f"{prefix}{name}.", depth + 1, values)
        elif value is not None:
            values.setdefault(f"{prefix}{name}", []).append(value)


class _Counted:
    """One column: what was counted of its values so far."""

    def __init__(self, patterns: Mapping[str, re.Pattern[str]] | None) -> None:
        sketches = library()
        self._patterns = patterns or {}
        self.values = 0
        self.kinds: Counter[str] = Counter()
        self.amounts = _Amounts(sketches.kll_doubles_sketch(QUANTILE_SIZE))
        self.lengths = _Lengths()
        self.times = [math.inf, -math.inf]
        self.true = self.empty = 0
        self.texts: Counter[str] | None = Counter()
        self.matched: Counter[str] = Counter()
        self._distinct = sketches.update_theta_sketch(DISTINCT_BITS)

    def add(self, values: Sequence[Any]) -> None:
        """More values, none of which is null."""
        self.values += len(values)
        sorted_: dict[str, list[Any]] = {"number": [], "text": [], "boolean": [], "time": [], "list": [], "bytes": []}
        for value in values:
            sorted_[_kind(value)].append(value)
        for kind, found in sorted_.items():
            if found:
                self.kinds[kind] += len(found)
                getattr(self, f"_add_{kind}")(found)
        for name, pattern in self._patterns.items():
            self.matched[name] += sum(pattern.fullmatch(str(value)) is not None for value in values)

    def _add_number(self, values: list[Any]) -> None:
        self.amounts.add(np.array([float(value) for value in values]))
        self._differ({int(v) if float(v).is_integer() else float(v) for v in values})
        self._categories(str(int(v)) if float(v).is_integer() else str(v) for v in values)

    def _add_text(self, values: list[Any]) -> None:
        texts = [str(value) for value in values]
        self.lengths.add([len(value) for value in texts])
        self.empty += texts.count("")
        self._differ(set(texts))
        self._categories(texts)

    def _add_boolean(self, values: list[bool]) -> None:
        self.true += sum(values)
        self._differ({str(value).lower() for value in values})
        self._categories(str(value).lower() for value in values)

    def _add_time(self, values: list[date]) -> None:
        seconds = [_seconds(value) for value in values]
        self.times = [min(self.times[0], *seconds), max(self.times[1], *seconds)]
        self._differ(set(seconds))

    def _add_list(self, values: list[Any]) -> None:
        self.lengths.add([len(value) for value in values])

    def _add_bytes(self, values: list[bytes]) -> None:
        self.lengths.add([len(value) for value in values])
        self._differ({value.hex() for value in values})

    def _differ(self, values: set[Any]) -> None:
        for value in values:
            self._distinct.update(value)

    def _categories(self, values: Iterable[str]) -> None:
        if self.texts is not None:
            self.texts.update(values)
            if len(self.texts) > CATEGORIES:
                self.texts = None

    def told(self, name: str, rows: int, hasher: Hasher, asks: Asks) -> Column:
        """What is told of the column, of so many rows."""
        kind = self.kinds.most_common(1)[0][0] if self.kinds else "other"
        column, own = Column(name, "", kind), asks.of(name)
        column.tell("count", rows)
        column.tell("null_count", max(rows - self.values, 0))
        if kind != "list":
            estimated = self._distinct.is_estimation_mode()
            column.tell("distinct", round(min(self._distinct.get_estimate(), self.values)), estimated)
        if own.private:
            return column
        self.amounts.tell(column)
        self.lengths.tell(column)
        if self.kinds["text"]:
            column.tell("empty_count", self.empty)
        if self.kinds["boolean"]:
            column.tell("true_count", self.true)
        if self.kinds["time"]:
            column.tell("min", self.times[0])
            column.tell("max", self.times[1])
        for pattern in self._patterns:
            column.tell(f"matches:{pattern}_count", self.matched[pattern])
        self._tell_top(column, hasher, own.in_set)
        return column

    def _tell_top(self, column: Column, hasher: Hasher, declared: frozenset[str] | None) -> None:
        if not self.texts:
            return
        few = len(self.texts) <= (CODES if column.kind == "number" else max(self.values / 2, 32))
        if declared is not None or (hasher.keyed and few):
            ordered = sorted(self.texts.items(), key=lambda pair: (-pair[1], pair[0]))
            column.top = hasher.top(((value, float(count)) for value, count in ordered), declared)


class _Amounts:
    """Numbers: exact moments, by the formulas of Chan for parts, and a sketch of the quantiles."""

    def __init__(self, quantiles: Any) -> None:
        self.count = self.zero = self.negative = self.strange = 0
        self.low, self.high, self.total, self.mean, self.squares = math.inf, -math.inf, 0.0, 0.0, 0.0
        self.quantiles = quantiles

    def add(self, values: "np.ndarray[Any, np.dtype[np.float64]]") -> None:
        """More numbers."""
        finite = values[np.isfinite(values)]
        self.strange += len(values) - len(finite)
        if not len(finite):
            return
        count, mean = len(finite), float(finite.mean())
        both, apart = self.count + count, mean - self.mean
        with np.errstate(over="ignore"):
            self.squares += float(((finite - mean) ** 2).sum()) + apart * apart * self.count * count / both
        self.mean += apart * count / both
        self.count, self.total = both, self.total + math.fsum(finite)
        self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
        self.zero += int((finite == 0).sum())
        self.negative += int((finite < 0).sum())
        self.quantiles.update(finite)

    def tell(self, column: Column) -> None:
        """What is told of them."""
        if self.strange:
            column.tell("nan_count", self.strange)
        if not self.count:
            return
        for name, value in (("min", self.low), ("max", self.high), ("sum", self.total), ("mean", self.mean)):
            column.tell(name, value)
        if self.count > 1:
            column.tell("std", math.sqrt(self.squares / (self.count - 1)))
        column.tell("zero_count", self.zero)
        column.tell("negative_count", self.negative)
        for fraction in QUANTILES:
            value = self.quantiles.get_quantile(fraction)
            column.tell(f"q{fraction:g}", value, self.quantiles.is_estimation_mode())


class _Lengths:
    """How long texts and lists are."""

    def __init__(self) -> None:
        self.count = self.total = self.high = 0
        self.low: int | None = None

    def add(self, lengths: list[int]) -> None:
        """More of them."""
        self.count += len(lengths)
        self.total += sum(lengths)
        self.low = min(lengths) if self.low is None else min(self.low, *lengths)
        self.high = max(self.high, *lengths)

    def tell(self, column: Column) -> None:
        """What is told of them."""
        if self.low is not None:
            column.tell("length_min", self.low)
            column.tell("length_max", self.high)
            column.tell("length_mean", self.total / self.count)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, date):
        return "time"
    if isinstance(value, bytes):
        return "bytes"
    return "list" if isinstance(value, list | dict | tuple) else "text"


def _seconds(value: date) -> float:
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
