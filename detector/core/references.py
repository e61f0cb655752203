"""What is usual of the distribution of a column: learned slowly, and how far one load is from it.

Pure functions over `Reference`, which is made of a few bytes, since a table may have a thousand columns.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from detector.core import distances, profiles
from detector.core.profiles import Column, Value
from detector.core.state import Loads, Reference
from detector.core.text import rounded

MAX_COLUMNS = 1_000
MAX_CATEGORIES = 32
ALPHA = 0.1  # of the references: slower than that of what is judged against them
READY = 3  # loads that a reference is made of before anything is compared with it
MIN_QUANTILES = 3
DISTANCES = ("drift", "shift", "mix")
LISTED = 0.01  # share of a category that is told as new or vanished
LEAST_SHARE = 1e-12
KEY, CATEGORY = 0.98, 0.01  # shares of distinct values from which on, and up to which, a column is a key, a category


class Load(NamedTuple):
    """One load as it was measured; `shares` are of the most frequent values of its columns, by hash."""

    columns: Mapping[str, Column]
    rows: float | None
    at: float
    fractions: list[float]
    shares: Mapping[str, Mapping[str, float]]


class Categories(NamedTuple):
    """Hashes of values that came or went, with their shares."""

    new: dict[str, float]
    vanished: dict[str, float]


def series(loads: Loads, load: Load) -> Iterator[Value]:
    """Distances from the references, and distinct values. A distance that cannot be told yet is NaN."""
    for name, column in load.columns.items():
        reference = loads.references.get(name) or Reference()
        yield from _distinct(name, column, load.rows, reference)
        if profiles.unit_of_time(name, column, load.at) is None:
            same = load.fractions == loads.fractions
            yield from _distances(name, column, load.fractions, reference if same else Reference())
        if name in load.shares:
            ready = reference.hashes and reference.seen >= READY
            far = distances.jensen_shannon(_shares(reference), load.shares[name]) if ready else math.nan
            yield Value(f"mix({name})", name, far, 1)


def changes(loads: Loads, load: Load) -> dict[str, Categories]:
    """The values that are new or gone, of each column with frequent values."""
    known = {name: _shares(loads.references.get(name) or Reference()) for name in load.shares}
    return {name: _categories(known[name], shares) for name, shares in load.shares.items()}


def _distances(name: str, column: Column, fractions: list[float], reference: Reference) -> Iterator[Value]:
    """How far the quantiles are from the reference; NaN while there is none."""
    known = _unpacked(reference.quantiles) if reference.quantiles else [math.nan] * len(fractions)
    now = [(fraction, column[f"q{fraction:g}"]) for fraction in fractions if f"q{fraction:g}" in column]
    if len(now) < MIN_QUANTILES:
        return
    usual = {fraction: x for fraction, x in zip(fractions, known, strict=True) if x == x}
    both = [(fraction, usual[fraction], x) for fraction, x in now if fraction in usual]
    drift = shift = math.nan
    if reference.seen >= READY and len(both) >= MIN_QUANTILES:
        at, before, after = ([one[i] for one in both] for i in range(3))
        drift = distances.stability(*distances.binned(at, before, after))
        shift = distances.wasserstein(at, before, after)
    yield Value(f"drift({name})", name, drift, 1)
    yield Value(f"shift({name})", name, shift, 6)


def _distinct(name: str, column: Column, rows: float | None, reference: Reference) -> Iterator[Value]:
    """Distinct values: of a key as a share, of a category as a count; of what is between as a ratio to the usual.

    Neither the count nor the share of a column in between repeats when the rows grow, but it lies between the two: what
    is there is compared with the nearest that would be usual.
    """
    distinct, values = column.get("distinct"), profiles.values_in(column, rows)
    if distinct is None or not values:
        return
    share = min(distinct / values, 1.0)
    count, usual = _unpacked(reference.distinct) if reference.distinct else (math.nan, _log(share))
    if usual >= math.log(KEY):
        yield Value(f"distinct_share({name})", name, share, 2)
    elif usual <= math.log(CATEGORY):
        yield Value(f"distinct({name})", name, distinct, 2)
    else:
        ratio = math.nan
        if reference.seen >= READY and reference.distinct:
            grown = math.log(values) - (count - usual)
            near = min(max(_log(distinct), count + min(grown, 0.0)), count + max(grown, 0.0))
            ratio = round(distinct / _exp(near), 3)  # the reference has no more digits
        yield Value(f"distinct_ratio({name})", name, ratio, 2)


def _log(x: float) -> float:
    return math.log(max(x, LEAST_SHARE))


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0))


def _shares(reference: Reference) -> dict[str, float]:
    hashes = [reference.hashes[i : i + 8].hex() for i in range(0, len(reference.hashes), 8)]
    return dict(zip(hashes, _unpacked(reference.shares), strict=True))


def _categories(usual: Mapping[str, float], now: Mapping[str, float]) -> Categories:
    """A value that is not among the most frequent ones may still be there, if not all were told."""
    return Categories(
        {key: rounded(x) or 0.0 for key, x in now.items() if x >= _listed(usual) and key not in usual},
        {key: rounded(x) or 0.0 for key, x in usual.items() if x >= _listed(now) and key not in now},
    )


def _listed(shares: Mapping[str, float]) -> float:
    """The share from which on a value would have been among these."""
    complete = sum(shares.values()) > 0.99
    return LISTED if complete else max(LISTED, min(shares.values(), default=0.0))


def learn(loads: Loads, load: Load, flagged: set[str]) -> None:
    """Take a load into the references, without the columns that were found unusual."""
    if load.fractions != loads.fractions:
        loads.fractions = load.fractions
        for reference in loads.references.values():
            reference.quantiles = b""
    if len(loads.references) >= MAX_COLUMNS:
        loads.references = {name: known for name, known in loads.references.items() if name in load.columns}
    for name, column in load.columns.items():
        quantiles = [column.get(f"q{fraction:g}", math.nan) for fraction in load.fractions]
        measured = name in load.shares or "distinct" in column or any(q == q for q in quantiles)
        if name in flagged or not measured:
            continue
        if name in loads.references or len(loads.references) < MAX_COLUMNS:
            reference = loads.references.setdefault(name, Reference())
            reference.seen += 1
            alpha = max(ALPHA, 1 / reference.seen)
            reference.quantiles = _learned(reference.quantiles, quantiles, alpha)
            _learn_distinct(reference, column, load.rows, alpha)
            if name in load.shares:
                _learn_shares(reference, load.shares[name], alpha)


def _learned(packed: bytes, now: list[float], alpha: float) -> bytes:
    usual = _unpacked(packed) if packed else [math.nan] * len(now)
    return _packed(
        u + alpha * (x - u) if u == u and x == x else (u if u == u else x) for u, x in zip(usual, now, strict=True)
    )


def _unpacked(packed: bytes) -> list[float]:
    return [float(x) for x in np.frombuffer(packed, "<f4")]


def _packed(values: Iterable[float]) -> bytes:
    limit = float(np.finfo(np.float32).max)
    return np.array([min(max(x, -limit), limit) if x == x else x for x in values], "<f4").tobytes()


def _learn_distinct(reference: Reference, column: Column, rows: float | None, alpha: float) -> None:
    distinct, values = column.get("distinct"), profiles.values_in(column, rows)
    if not distinct or not values:
        return
    count, share = _log(distinct), min(_log(distinct / values), 0.0)
    usual, usual_share = _unpacked(reference.distinct) if reference.distinct else (count, share)
    reference.distinct = _packed((usual + alpha * (count - usual), usual_share + alpha * (share - usual_share)))


def _learn_shares(reference: Reference, now: Mapping[str, float], alpha: float) -> None:
    usual = _shares(reference)
    if not usual:
        alpha = 1.0
    mixed = {key: (1 - alpha) * usual.get(key, 0.0) + alpha * now.get(key, 0.0) for key in {*usual, *now}}
    kept = sorted(sorted(mixed), key=lambda key: -mixed[key])[:MAX_CATEGORIES]
    kept = [key for key in kept if mixed[key] > LISTED / 10]
    reference.hashes = b"".join(bytes.fromhex(key) for key in kept)
    reference.shares = _packed(mixed[key] for key in kept)
