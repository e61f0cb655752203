"""From the statistics of columns to the series that are judged, and to what tells a load from the one before.

Counts grow with the rows, so they become shares; what says the same twice (a sum beside a mean) is left out. Nothing
here knows an entity: `columns` judges.
"""

import math
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from detector.core.events import Statistics

DAY, YEAR = 86_400.0, 366 * 86_400.0
LARGE = 10_000.0
COUNTS = frozenset({"count", "null_count", "distinct", "sum"})
AMOUNTS = ("mean", "std", "min", "max")
TIME_WORDS = ("_at", "_ts", "_time", "_date", "timestamp", "datetime", "eventtime", "updated", "created")
UNITS_OF_TIME = (1.0, 1e3, 1e6, 1e9)  # in a second
Column = Mapping[str, float]


class Value(NamedTuple):
    """One number to judge. What stands first in `order` is watched when not all can be."""

    metric: str
    column: str
    value: float
    order: int


class Fingerprint(NamedTuple):
    """What two loads have in common if they hold the same rows: `exact` for once, `shape` for any number of times.

    `telling` are the statistics that are not equal by chance: no small whole numbers.
    """

    exact: bytes
    shape: bytes
    telling: int


def columns_of(statistics: Statistics) -> dict[str, dict[str, float]]:
    """What was measured of each column, by the name of the statistic."""
    cells = np.frombuffer(statistics.values, "<f8").reshape(len(statistics.columns), -1).tolist()
    return {
        column: {name: x for name, x in zip(statistics.statistics, row, strict=True) if math.isfinite(x)}
        for column, row in zip(statistics.columns, cells, strict=True)
    }


def rows_of(rows: float | None, columns: Mapping[str, Column]) -> float | None:
    """How many rows were profiled, if anything tells. `rows` may be what one run wrote of a table that was looked at
    whole: then more values were counted in its columns.
    """
    counts = [column["count"] for column in columns.values() if "count" in column]
    return max(counts if rows is None else [rows, *counts], default=None)


def values_in(column: Column, rows: float | None) -> float | None:
    """How many values of a column are not null. Some producers count nulls in, and some do not."""
    count, nulls = column.get("count", rows), column.get("null_count", 0.0)
    if count is None:
        return None
    return max(count - nulls, 0.0) if rows is None or count >= rows else count


def mean_of(column: Column, rows: float | None) -> float | None:
    """The mean, also where only the sum and the count are there."""
    if "mean" in column or "sum" not in column or "count" not in column:
        return column.get("mean")
    values = values_in(column, rows)
    return column["sum"] / values if values else None


def fractions_of(statistics: Statistics) -> list[float]:
    """The fractions of the quantiles that a profile has, in their order, without the extremes."""
    found = {fraction for name in statistics.statistics if (fraction := _fraction(name)) is not None}
    return sorted(fraction for fraction in found if 0.0 < fraction < 1.0)


def _fraction(name: str) -> float | None:
    if name[:1] != "q" or not name[1:2].isdigit():
        return None
    try:
        return float(name[1:])
    except ValueError:
        return None


def unit_of_time(name: str, column: Column, at: float) -> float | None:
    """How many in a second, where a column holds times (since 1970); None where it does not.

    By its name, and by where its newest value lies: up to ten years before the load, and no more than a day after.
    """
    newest, lowered = column.get("max"), name.lower()
    if newest is None or not (lowered.endswith(TIME_WORDS) or lowered in ("ts", "time", "date", "day")):
        return None
    return next((unit for unit in UNITS_OF_TIME if at - 10 * YEAR <= newest / unit <= at + DAY), None)


def series(columns: Mapping[str, Column], rows: float | None, at: float) -> Iterator[Value]:
    """The series of a profile, but for distances and distinct values, which need a reference. `at` is the load's time.

    Of a column of times the age of the newest one is judged, and no amount: those move by themselves.
    """
    shares: list[float] = []
    for name, column in columns.items():
        share = _null_share(column, rows)
        if share is not None:
            shares.append(share)
            yield Value(f"null_share({name})", name, share, 0)
        unit = unit_of_time(name, column, at)
        if unit is None:
            yield from _amounts(name, column, rows)
        else:
            yield Value(f"age({name})", name, max(at - column["max"] / unit, 0.0), 2)
    if len(shares) > 1:
        yield Value("null_share", "", math.fsum(shares) / len(shares), 0)


def _null_share(column: Column, rows: float | None) -> float | None:
    of = rows or column.get("count")
    return min(column["null_count"] / of, 1.0) if of and "null_count" in column else None


def _amounts(name: str, column: Column, rows: float | None) -> Iterator[Value]:
    mean = mean_of(column, rows)
    if mean is not None:
        yield Value(f"mean({name})", name, mean, 3)
    for statistic, value in column.items():
        if statistic in COUNTS or statistic == "mean":
            continue
        if statistic.endswith("_count"):
            if rows:
                yield Value(f"{statistic[:-6]}_share({name})", name, min(value / rows, 1.0), 4)
        elif _fraction(statistic) is not None:
            yield Value(f"{statistic}({name})", name, value, 7)
        else:
            yield Value(f"{statistic}({name})", name, value, 4 if statistic in AMOUNTS else 5)


def shares_of(counts: Mapping[str, float], column: Column, rows: float | None) -> dict[str, float]:
    """The share of each of the most frequent values among the values that are not null."""
    told = sum(counts.values())
    values = max(values_in(column, rows) or told, told)
    return {value: count / values for value, count in counts.items()} if values else {}


def fingerprint(columns: Mapping[str, Column], at: float) -> Fingerprint:
    """The fingerprint of a profile. Sums of floats depend on their order in the last digits, which are left out.

    A column that only holds when it was loaded is new in every load, and says nothing of the rows.
    """
    exact, shape = blake2b(digest_size=8), blake2b(digest_size=8)
    telling = 0
    for name, column in columns.items():
        if _is_stamp(column, at):
            continue
        for statistic in sorted(column):
            x = column[statistic]
            if statistic in ("mean", "sum", "std") or _fraction(statistic) is not None:
                exact.update(f"{name}\0{statistic}\0{x:.12g}\0".encode())
                telling += x != int(x) or abs(x) >= LARGE
        extremes = ("min", column.get("min")), ("max", column.get("max"))
        for statistic, found in (("mean", mean_of(column, None)), *extremes):
            if found is not None:
                shape.update(f"{name}\0{statistic}\0{found:.9g}\0".encode())
    return Fingerprint(exact.digest(), shape.digest(), telling)


def _is_stamp(column: Column, at: float) -> bool:
    if "min" not in column or "max" not in column:
        return False
    return any(
        column["max"] - column["min"] <= 3_600 * unit and abs(column["max"] / unit - at) <= DAY
        for unit in UNITS_OF_TIME
    )
