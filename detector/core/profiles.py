"""From the statistics of columns to the series that are judged, and to what tells a load from the one before.

Counts grow with the rows, so they become shares; what says the same twice (a sum beside a mean) is left out. Nothing
here knows an entity: `columns` judges.
"""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from detector.core.events import Statistics
from detector.core.models.compiled import compiled
from detector.core.models.kernel import Array

DAY, YEAR = 86_400.0, 366 * 86_400.0
LARGE = 10_000.0
SIZES = ("mean", "sum", "std")
COUNTS = frozenset({"count", "null_count", "distinct", "sum"})
AMOUNTS = ("mean", "std", "min", "max")
TIME_WORDS = ("_at", "_ts", "_time", "_date", "timestamp", "datetime", "eventtime", "updated", "created")
UNITS_OF_TIME = (1.0, 1e3, 1e6, 1e9)  # in a second
# The order in which series are watched; a distance from a reference has that of what it is about.
NULLS, DISTRIBUTION, DISTINCT, MEAN, STATISTIC, OTHER, SHIFT, QUANTILE = range(8)
NORMAL_QUARTILES = 1.349  # what lies between the quartiles of a normal distribution, in its deviations
NORMAL_TWENTIETHS = 3.290  # and between its twentieths


class Columns:
    """What was measured of the columns of a load: a row of `cells` for each column; NaN was not measured."""

    __slots__ = ("_places", "cells", "names", "statistics")

    def __init__(self, names: list[str], statistics: list[str], cells: Array) -> None:
        """`cells` are len(names) x len(statistics), and no name comes twice."""
        self.names, self.statistics, self.cells = names, statistics, cells
        self._places = {name: place for place, name in enumerate(statistics)}

    def __contains__(self, statistic: str) -> bool:
        return statistic in self._places

    def of(self, statistic: str) -> Array:
        """One statistic of every column."""
        if statistic not in self._places:
            return np.full(len(self.names), math.nan)
        found: Array = self.cells[:, self._places[statistic]]
        return found


class Series(NamedTuple):
    """Numbers to judge: `values[i]` is `statistic` of column `columns[i]`, by its place in the load; or, with the place
    after the last one, of all columns together. A NaN cannot be told yet, and keeps its place.

    What stands first in `order` is watched when not all can be.
    """

    statistic: str
    order: int
    columns: Array
    values: Array


class Fingerprint(NamedTuple):
    """What two loads have in common if they hold the same rows: `exact` for once, `shape` for any number of times.

    `telling` are the statistics that are not equal by chance: no small whole numbers.
    """

    exact: bytes
    shape: bytes
    telling: int


def columns_of(statistics: Statistics, most: int | None = None) -> Columns:
    """What was measured of each column, of no more than `most`. Of what comes twice by one name the last counts."""
    columns = {name: place for place, name in enumerate(statistics.columns)}
    names = {name: place for place, name in enumerate(statistics.statistics)}
    cells = np.frombuffer(statistics.values, "<f8").reshape(len(statistics.columns), len(statistics.statistics))
    chosen = list(columns)[:most]
    if cells.shape == (len(chosen), len(names)):
        cells = cells.astype(np.float64)
    else:
        cells = cells[np.ix_([columns[name] for name in chosen], list(names.values()))].astype(np.float64)
    cells[np.isinf(cells)] = math.nan
    return Columns(chosen, list(names), cells)


def rows_of(rows: float | None, columns: Columns) -> float | None:
    """How many rows were profiled, if anything tells. `rows` may be what one run wrote of a table that was looked at
    whole: then more values were counted in its columns.
    """
    counts = columns.of("count")
    counts = counts[counts == counts].tolist()
    return max(counts if rows is None else [rows, *counts], default=None)


def values_in(columns: Columns, rows: float | None) -> Array:
    """How many values of each column are not null; NaN if nothing tells. Some producers count nulls in, some do not."""
    count, nulls = columns.of("count"), columns.of("null_count")
    if rows is not None:
        count = np.where(np.isnan(count), rows, count)
    without = np.maximum(count - np.where(np.isnan(nulls), 0.0, nulls), 0.0)
    return without if rows is None else np.where(count >= rows, without, count)


def means_of(columns: Columns, rows: float | None) -> Array:
    """The mean of each column, also where only the sum and the count are there."""
    mean = columns.of("mean")
    if "sum" not in columns or "count" not in columns:
        return mean
    values = values_in(columns, rows)
    values[(values == 0) | np.isnan(columns.of("count"))] = math.nan
    with np.errstate(over="ignore"):
        return np.where(np.isnan(mean), columns.of("sum") / values, mean)


def deviation_of(columns: Columns, place: int) -> float | None:
    """The standard deviation of a column, or a normal one's with the widest of its quantiles, if anything tells."""

    def at(statistic: str) -> float:
        return float(columns.of(statistic)[place])

    inner = (("q0.25", "q0.75", NORMAL_QUARTILES), ("q0.05", "q0.95", NORMAL_TWENTIETHS))
    told = [at("std")] if at("std") == at("std") else [(at(high) - at(low)) / by for low, high, by in inner]
    return max((width for width in told if width == width), default=None)


def fractions_of(statistics: Statistics) -> list[float]:
    """The fractions of the quantiles that a profile has, in their order, without the extremes."""
    found = {fraction for name in statistics.statistics if (fraction := _fraction(name)) is not None}
    return sorted(fraction for fraction in found if 0.0 < fraction < 1.0)


@lru_cache(maxsize=10_000)
def _fraction(name: str) -> float | None:
    if name[:1] != "q" or not name[1:2].isdigit():
        return None
    try:
        return float(name[1:])
    except ValueError:
        return None


def units_of_time(columns: Columns, at: float) -> Array:
    """How many in a second, of each column that holds times (since 1970); NaN for the others.

    By its name, and by where its newest value lies: up to ten years before the load, and no more than a day after.
    """
    found = np.full(len(columns.names), math.nan)
    for place, newest in enumerate(columns.of("max").tolist()):
        if newest == newest and _may_be_time(columns.names[place]):
            for unit in UNITS_OF_TIME:
                if at - 10 * YEAR <= newest / unit <= at + DAY:
                    found[place] = unit
                    break
    return found


@lru_cache(maxsize=20_000)
def _may_be_time(name: str) -> bool:
    lowered = name.lower()
    return lowered.endswith(TIME_WORDS) or lowered in ("ts", "time", "date", "day")


def series(columns: Columns, rows: float | None, at: float) -> Iterator[Series]:
    """The series of a profile, but for distances and distinct values, which need a reference. `at` is the load's time.

    Of a column of times the age of the newest one is judged, and no amount: those move by themselves.
    """
    shares, units = _null_shares(columns, rows), units_of_time(columns, at)
    yield _series("null_share", NULLS, shares)
    known = shares[shares == shares].tolist()
    if len(known) > 1:
        yield Series("null_share", NULLS, np.array([len(columns.names)]), np.array([math.fsum(known) / len(known)]))
    yield _series("age", DISTINCT, np.maximum(at - columns.of("max") / units, 0.0))
    amounts = np.isnan(units)
    for statistic, order, values in _amounts(columns, rows):
        yield _series(statistic, order, np.where(amounts, values, math.nan))


def _series(statistic: str, order: int, values: Array) -> Series:
    (there,) = (values == values).nonzero()
    return Series(statistic, order, there, values[there])


def _null_shares(columns: Columns, rows: float | None) -> Array:
    of = np.array(rows) if rows else columns.of("count")
    return np.minimum(columns.of("null_count") / np.where(of == 0, math.nan, of), 1.0)


def _amounts(columns: Columns, rows: float | None) -> Iterator[tuple[str, int, Array]]:
    yield "mean", MEAN, means_of(columns, rows)
    for statistic in columns.statistics:
        if statistic in COUNTS or statistic == "mean":
            continue
        values = columns.of(statistic)
        if statistic.endswith("_count"):
            if rows:
                yield f"{statistic[:-6]}_share", STATISTIC, np.minimum(values / rows, 1.0)
        elif _fraction(statistic) is not None:
            yield statistic, QUANTILE, values
        else:
            yield statistic, STATISTIC if statistic in AMOUNTS else OTHER, values


def shares_of(counts: Mapping[str, float], values: float) -> dict[str, float]:
    """The share of each of the most frequent values among the `values` that are not null, if these are known."""
    told = sum(counts.values())
    values = max(values, told) if values > 0 else told
    return {value: count / values for value, count in counts.items()} if values else {}


def fingerprint(columns: Columns, at: float) -> Fingerprint:
    """The fingerprint of a profile. Sums of floats depend on their order in the last digits, which are left out.

    A column that only holds when it was loaded is new in every load, and says nothing of the rows.
    """
    kept = _without_stamps(columns, at)
    told = zip(kept.statistics, (kept.cells == kept.cells).any(axis=0).tolist(), strict=True)
    real = sorted(name for name, is_told in told if is_told and (name in SIZES or _fraction(name) is not None))
    cells = np.array([kept.of(name) for name in real])
    shape = np.array([means_of(kept, None), kept.of("min"), kept.of("max")])
    names = "\0".join([*kept.names, "", *real])
    known = cells[cells == cells]
    telling = int(np.count_nonzero((known != np.trunc(known)) | (np.abs(known) >= LARGE)))
    return Fingerprint(_hash(names, cells, 40), _hash(names.partition("\0\0")[0], shape, 30), telling)


def _hash(names: str, cells: Array, bits: int) -> bytes:
    """A hash of numbers that are rounded to so many bits: 40 are 12 decimal digits, 30 are 9."""
    dropped = 52 - bits
    rounded = np.ascontiguousarray(cells + 0.0).view(np.int64) + (1 << (dropped - 1)) >> dropped
    rounded[cells != cells] = 0
    return blake2b(names.encode() + b"\0" + rounded.astype("<i8").tobytes(), digest_size=8).digest()


def _without_stamps(columns: Columns, at: float) -> Columns:
    """The columns but for those that hold nothing but about the time of the load."""
    stamps = np.zeros(len(columns.names), np.bool_)
    if not _find_stamps(columns.of("min"), columns.of("max"), np.array(UNITS_OF_TIME), at, stamps):
        return columns
    names = [name for name, is_stamp in zip(columns.names, stamps.tolist(), strict=True) if not is_stamp]
    return Columns(names, columns.statistics, columns.cells[~stamps])


@compiled
def _find_stamps(low: Array, high: Array, units: Array, at: float, stamps: Array) -> int:
    """Returns how many there are."""
    found = 0
    for i in range(len(low)):
        for unit in units:
            if high[i] - low[i] <= 3_600 * unit and abs(high[i] / unit - at) <= DAY:
                stamps[i] = True
        found += stamps[i]
    return found
