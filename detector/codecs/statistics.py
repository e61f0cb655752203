"""Statistics of columns, from any format to the one table that the log carries.

The names are the same in every format: `count`, `null_count`, `distinct`, `sum`, `min`, `max`, `mean`, `std`, quantiles
as `q0.5`, and whatever names a producer adds.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.codecs.checks import LONGEST_NAME, Refused
from detector.core.events import Statistics
from detector.core.text import value_hash

KNOWN: Final = ("count", "null_count", "distinct", "sum", "min", "max", "mean", "std")
COUNTS: Final = frozenset({"count", "null_count", "distinct"})

# A table is dense and a message is not: columns that share no quantile would make 100 GB of a message of 1 MB. The most
# numbers are 800 kB, which is what a record of the log can carry. A small table may be as sparse as it likes.
MOST_CELLS: Final = 100_000
_SMALL: Final = 2_000
_SPARSEST: Final = 32
_LONGEST_FRACTION: Final = 32
_MOST_TOP: Final = 32  # values of a column
_LARGEST: Final = sys.float_info.max


class Layout(msgspec.Struct, frozen=True):
    """The names of a table, checked once for all tables that have them; `floor` is the least that each can be."""

    columns: tuple[str, ...]
    statistics: tuple[str, ...]
    floor: NDArray[np.float64]


class Column(NamedTuple):
    """The statistics of one column: those of `KNOWN` in that order, quantiles by their fraction, any others by name."""

    name: str
    known: Sequence[float | None]
    quantiles: Mapping[str, float | None] | None = None
    others: Mapping[str, float | None] | None = None


def layout(columns: Sequence[str], statistics: Sequence[str]) -> Layout:
    """The layout of a table. Raises `Refused` when a name is there twice, empty or too long, or the table too large."""
    for path, names in (("columns", columns), ("statistics", statistics)):
        if len(set(names)) != len(names):
            raise Refused("statistics", f"{path}: a name is there twice")
        if any(not 0 < len(name) <= LONGEST_NAME for name in names):
            raise Refused("statistics", f"{path}: a name is empty or longer than {LONGEST_NAME} characters")
    if len(columns) * len(statistics) > MOST_CELLS:
        raise Refused("statistics", f"{len(columns)} columns x {len(statistics)} are more than {MOST_CELLS} numbers")
    floor = np.array([0.0 if name in COUNTS else -_LARGEST for name in statistics])
    return Layout(tuple(columns), tuple(statistics), floor)


def table(names: Layout, values: bytes) -> Statistics | None:
    """The table of these names and values (float64, little-endian), or None for one without columns.

    Infinities and negative counts become NaN, not measured. Raises `Refused` when there are more or fewer values than
    the names ask for.
    """
    wanted = 8 * len(names.columns) * len(names.statistics)
    if len(values) != wanted:
        raise Refused("statistics", f"values: {len(values)} bytes, but the names ask for {wanted}")
    if not wanted:
        return None
    cells = np.frombuffer(values, "<f8").reshape(len(names.columns), -1)
    wrong = (cells < names.floor) | (cells > _LARGEST)
    if wrong.any():
        values = np.where(wrong, np.nan, cells).tobytes()
    return Statistics(names.columns, names.statistics, values)


def with_top_values(
    found: Statistics | None, top_values: Mapping[str, Mapping[str, float | None]] | None
) -> Statistics | None:
    """The table with the most frequent values of its columns, hashed: what a value is must not reach the log."""
    if not top_values:
        return found
    if found is None:
        unknown = np.full(len(top_values), np.nan, "<f8").tobytes()
        found = table(layout(tuple(top_values), ("count",)), unknown)
    assert found is not None
    known = set(found.columns)
    hashed = {column: top for column, counts in top_values.items() if column in known and (top := _top(counts))}
    if sum(map(len, hashed.values())) > MOST_CELLS:
        raise Refused("statistics", f"top_values: more than {MOST_CELLS} values")
    return Statistics(found.columns, found.statistics, found.values, hashed) if hashed else found


def _top(counts: Mapping[str, float | None]) -> dict[str, float]:
    plausible = [(count, value) for value, count in counts.items() if count is not None and 0.0 < count <= _LARGEST]
    largest = sorted(plausible, key=lambda found: -found[0])[:_MOST_TOP]
    return {value_hash(value): count for count, value in largest}


def from_columns(found: Iterable[Column]) -> Statistics | None:
    """The table of columns that each have statistics of their own, or None without any number.

    Known statistics come first, then quantiles in their order, then the others by name, however the source has them.
    What is told of a column twice counts as told last. Raises `Refused` as `layout` does.
    """
    columns = {column.name: column for column in found}
    fractions = {key: name for c in columns.values() for key in c.quantiles or () if (name := quantile(key))}
    keys = sorted(fractions, key=float)
    others = sorted({name for column in columns.values() for name in column.others or ()})
    statistics = (*KNOWN, *(fractions[key] for key in keys), *others)
    if len(set(statistics)) != len(statistics):
        return from_columns(_plain(column) for column in columns.values())
    names = layout(tuple(columns), statistics)
    if (cells := len(columns) * len(statistics)) > _SMALL:
        _check_density(columns.values(), cells)
    rows = [_row(column, keys, others) for column in columns.values()]
    return _measured(names, np.array(rows, dtype="<f8"))  # None becomes NaN


def _check_density(columns: Iterable[Column], cells: int) -> None:
    told = sum(
        sum(value is not None for value in column.known) + len(column.quantiles or ()) + len(column.others or ())
        for column in columns
    )
    if cells > _SPARSEST * told:
        raise Refused("statistics", f"columns: {told} numbers in a table of {cells}: the columns share no statistics")


def _row(column: Column, keys: list[str], others: list[str]) -> list[float | None]:
    row = list(column.known)
    if keys:
        row += map((column.quantiles or {}).get, keys)
    if others:
        row += map((column.others or {}).get, others)
    return row


def _plain(column: Column) -> Column:
    """The same column without names that mean the same, as the quantiles 0.5 and 0.50: the last of them counts."""
    found: dict[str, float | None] = {}
    for name, value in (column.others or {}).items():
        found[f"q{name[1:]}" if is_quantile(name) else name] = value
    for fraction, value in (column.quantiles or {}).items():
        canonical = quantile(fraction)
        if canonical is not None:
            found[canonical] = value
    known = [found.pop(name, None) if value is None else value for name, value in zip(KNOWN, column.known, strict=True)]
    quantiles = {name[1:]: found.pop(name) for name in list(found) if is_quantile(name)}
    return Column(column.name, known, quantiles, {name: found[name] for name in found if name not in KNOWN})


def _measured(names: Layout, cells: NDArray[np.float64]) -> Statistics | None:
    """The table without the statistics that no column has."""
    if not cells.size:
        return None
    cells[(cells < names.floor) | (cells > _LARGEST)] = np.nan
    there = np.flatnonzero(~np.isnan(cells).all(axis=0))
    if not there.size:
        return None
    return Statistics(names.columns, tuple(names.statistics[i] for i in there), cells[:, there].tobytes())


def is_quantile(name: str) -> bool:
    """Whether `name` is one that `quantile` gives."""
    return name[:1] == "q" and quantile(name[1:]) == name


def quantile(fraction: str) -> str | None:
    """The name of the quantile at this fraction, `q0.5` for `0.50`; None for what is no fraction between 0 and 1."""
    return _quantile(fraction) if len(fraction) <= _LONGEST_FRACTION else None


@lru_cache(maxsize=1024)  # short keys only: it would hold 1,024 messages otherwise
def _quantile(fraction: str) -> str | None:
    try:
        value = float(fraction)
    except ValueError:
        return None
    return f"q{value:g}" if 0.0 <= value <= 1.0 else None
