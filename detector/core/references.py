"""What is usual of the distribution of a column: learned slowly, and how far one load is from it.

Pure functions over `Reference`, which is made of a few bytes, since a table may have a thousand columns.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from detector.core import distances, profiles
from detector.core.models.compiled import compiled
from detector.core.models.kernel import Array
from detector.core.profiles import Columns, Series
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
_NONE = Reference()
_MISSING, _LARGEST = np.float32(math.nan).astype("<f4").tobytes(), float(np.finfo(np.float32).max)


class Load(NamedTuple):
    """One load as it was measured; `shares` are of the most frequent values of its columns, by hash."""

    columns: Columns
    rows: float | None
    at: float
    fractions: list[float]
    shares: Mapping[str, Mapping[str, float]]

    @property
    def quantiles(self) -> Array:
        """Those of each column, in the order of `fractions`."""
        found = np.empty((len(self.columns.names), len(self.fractions)))
        for place, fraction in enumerate(self.fractions):
            found[:, place] = self.columns.of(_named(fraction))
        return found

    def place(self, name: str) -> int:
        """Which row is a column's. Raises `ValueError` for one that is not there."""
        return self.columns.names.index(name)


@lru_cache(maxsize=1_000)
def _named(fraction: float) -> str:
    return f"q{fraction:g}"


class Categories(NamedTuple):
    """Hashes of values that came or went, with their shares."""

    new: dict[str, float]
    vanished: dict[str, float]


def series(loads: Loads, load: Load) -> Iterator[Series]:
    """Distances from the references, and distinct values. A distance that cannot be told yet is NaN."""
    known = [loads.references.get(name) or _NONE for name in load.columns.names]
    ready = np.array([reference.seen >= READY for reference in known], np.bool_)
    yield from _distinct(known, ready, load)
    yield from _distances(known if load.fractions == loads.fractions else [_NONE] * len(known), ready, load)
    mixes = [place for place, name in enumerate(load.columns.names) if name in load.shares]
    far = [_mix(known[place], load.shares[load.columns.names[place]]) for place in mixes]
    yield Series("mix", profiles.DISTRIBUTION, np.array(mixes, np.intp), np.array(far, np.float64))


def _mix(reference: Reference, shares: Mapping[str, float]) -> float:
    ready = reference.hashes and reference.seen >= READY
    return distances.jensen_shannon(_shares(reference), shares) if ready else math.nan


def changes(loads: Loads, load: Load) -> dict[str, Categories]:
    """The values that are new or gone, of each column with frequent values."""
    known = {name: _shares(loads.references.get(name) or Reference()) for name in load.shares}
    return {name: _categories(known[name], shares) for name, shares in load.shares.items()}


def apart(loads: Loads, load: Load, name: str) -> float | None:
    """How far the distribution of a column is from the usual one, as `distances.levy`; None where it cannot be told."""
    reference = loads.references.get(name) or _NONE
    if load.fractions != loads.fractions or not reference.quantiles:
        return None
    usual, now = _unpacked([reference.quantiles], len(load.fractions))[0], load.quantiles[load.place(name)]
    both = np.flatnonzero((usual == usual) & (now == now))
    if len(both) < MIN_QUANTILES:
        return None
    return float(distances.levy(np.array(load.fractions)[both], usual[both], now[both]))


def kinds(loads: Loads, load: Load, name: str) -> int:
    """How many frequent values of a column are known, of this load and usually."""
    return len({*_shares(loads.references.get(name) or _NONE), *load.shares[name]})


def extremes(loads: Loads, name: str) -> tuple[float, float] | None:
    """Between which values a column has lain of late, if that is known."""
    reference = loads.references.get(name) or _NONE
    if reference.seen < READY or not reference.extremes:
        return None
    low, high = _unpacked([reference.extremes], 2)[0].tolist()
    return (low, high) if low == low and high == high else None


def _distances(known: Sequence[Reference], ready: Array, load: Load) -> Iterator[Series]:
    """How far the quantiles are from the reference; NaN while there is none."""
    now, amounts = load.quantiles, np.isnan(profiles.units_of_time(load.columns, load.at))
    there = np.flatnonzero(((now == now).sum(axis=1) >= MIN_QUANTILES) & amounts)
    usual = _unpacked([reference.quantiles for reference in known], len(load.fractions))
    usual[~ready] = math.nan
    far = np.empty((len(there), 2))
    distances.between(np.array(load.fractions), usual[there], now[there], MIN_QUANTILES, far)
    yield Series("drift", profiles.DISTRIBUTION, there, far[:, 0])
    yield Series("shift", profiles.SHIFT, there, far[:, 1])


def _distinct(known: Sequence[Reference], ready: Array, load: Load) -> Iterator[Series]:
    """Distinct values: of a key as a share, of a category as a count; of what is between as a ratio to the usual."""
    distinct, values = load.columns.of("distinct"), profiles.values_in(load.columns, load.rows)
    told = np.empty((len(known), 2))
    _compare_distinct(distinct, values, _unpacked([reference.distinct for reference in known], 2), ready, told)
    for kind, statistic in enumerate(("distinct_share", "distinct", "distinct_ratio")):
        there = np.flatnonzero(told[:, 0] == kind)
        yield Series(statistic, profiles.DISTINCT, there, told[there, 1])


@compiled
def _compare_distinct(distinct: Array, values: Array, known: Array, ready: Array, told: Array) -> None:
    """What is told of each column: 0 a share, 1 a count, 2 a ratio, or -1 nothing; and which.

    Neither the count nor the share of a column in between repeats when the rows grow, but it lies between the two: what
    is there is compared with the nearest that would be usual.
    """
    for i in range(len(distinct)):
        told[i, 0], told[i, 1] = -1.0, math.nan
        if math.isnan(distinct[i]) or not values[i] > 0:
            continue
        share = min(distinct[i] / values[i], 1.0)
        count, usual = known[i, 0], known[i, 1]
        if math.isnan(usual):
            usual = _log(share)
        if usual >= math.log(KEY):
            told[i, 0], told[i, 1] = 0.0, share
        elif usual <= math.log(CATEGORY):
            told[i, 0], told[i, 1] = 1.0, distinct[i]
        else:
            told[i, 0] = 2.0
            if ready[i] and not math.isnan(count):
                grown = math.log(values[i]) - (count - usual)
                near = min(max(_log(distinct[i]), count + min(grown, 0.0)), count + max(grown, 0.0))
                # the reference has no more digits
                told[i, 1] = round(distinct[i] / math.exp(min(near, 700.0)), 3)


@compiled
def _log(x: float) -> float:
    return math.log(max(x, LEAST_SHARE))


def _shares(reference: Reference) -> dict[str, float]:
    hashes = [reference.hashes[i : i + 8].hex() for i in range(0, len(reference.hashes), 8)]
    return dict(zip(hashes, np.frombuffer(reference.shares, "<f4").tolist(), strict=True))


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
    names, now, distinct = load.columns.names, load.quantiles, load.columns.of("distinct")
    if len(loads.references) >= MAX_COLUMNS:
        here = set(names)
        loads.references = {name: known for name, known in loads.references.items() if name in here}
    ends = _ends(load.columns)
    measured = ((now == now).any(axis=1) | (distinct == distinct) | (ends == ends).any(axis=1)).tolist()
    places, references = [], []
    for place, name in enumerate(names):
        if name in flagged or not (measured[place] or name in load.shares):
            continue
        if name in loads.references or len(loads.references) < MAX_COLUMNS:
            places.append(place)
            references.append(loads.references.setdefault(name, Reference()))
    for reference in references:
        reference.seen += 1
    chosen, alpha = np.array(places, np.intp), np.array([max(ALPHA, 1 / reference.seen) for reference in references])
    quantiles = _packed(_learned(_unpacked([one.quantiles for one in references], now.shape[1]), now[chosen], alpha))
    measures = np.empty((len(chosen), 2))
    _measure_distinct(distinct[chosen], profiles.values_in(load.columns, load.rows)[chosen], measures)
    counts = _packed(_learned(_unpacked([one.distinct for one in references], 2), measures, alpha))
    told = (~np.isnan(measures[:, 0])).tolist()
    usual_ends = _unpacked([one.extremes for one in references], 2)
    wider = _learned(usual_ends, ends[chosen], alpha)
    wider[:, 0], wider[:, 1] = np.fmin(wider[:, 0], ends[chosen, 0]), np.fmax(wider[:, 1], ends[chosen, 1])
    between, has_ends = _packed(wider), (wider == wider).any(axis=1).tolist()
    rows = zip(places, references, quantiles, counts, told, between, has_ends, strict=True)
    for place, reference, own, count, known, lies, has in rows:
        reference.quantiles = own
        reference.extremes = lies if has else b""
        if reference.distinct or known:
            reference.distinct = count
        if names[place] in load.shares:
            _learn_shares(reference, load.shares[names[place]], max(ALPHA, 1 / reference.seen))


def _ends(columns: Columns) -> Array:
    """The smallest and the largest value of each column; where one is not told, the other."""
    low, high = columns.of("min"), columns.of("max")
    return np.stack([np.where(low == low, low, high), np.where(high == high, high, low)], axis=1)


def _learned(usual: Array, now: Array, alpha: Array) -> Array:
    """What is usual, moved towards what is; what is new begins as it is, and what is missing says nothing."""
    moved = np.empty(usual.shape)
    _move(usual, now, alpha, moved)
    return moved


@compiled
def _move(usual: Array, now: Array, alpha: Array, moved: Array) -> None:
    for i in range(usual.shape[0]):
        for j in range(usual.shape[1]):
            if math.isnan(usual[i, j]):
                moved[i, j] = now[i, j]
            elif math.isnan(now[i, j]):
                moved[i, j] = usual[i, j]
            else:
                moved[i, j] = usual[i, j] + alpha[i] * (now[i, j] - usual[i, j])


def _unpacked(packed: Sequence[bytes], width: int) -> Array:
    """Rows of so many numbers; NaN where there are none."""
    missing = width * _MISSING
    cells = np.frombuffer(b"".join([one or missing for one in packed]), "<f4")
    return cells.reshape(len(packed), width).astype(np.float64)


def _packed(values: Array) -> list[bytes]:
    """The bytes of each row."""
    packed, size = values.clip(-_LARGEST, _LARGEST).astype("<f4").tobytes(), 4 * values.shape[1]
    return [packed[at : at + size] for at in range(0, len(packed), size)] if size else [b""] * len(values)


@compiled
def _measure_distinct(distinct: Array, values: Array, out: Array) -> None:
    """The logarithms of the distinct values and of their share; NaN where they are not known."""
    for i in range(len(distinct)):
        if distinct[i] > 0 and values[i] > 0:
            out[i, 0], out[i, 1] = _log(distinct[i]), min(_log(distinct[i] / values[i]), 0.0)
        else:
            out[i, 0] = out[i, 1] = math.nan


def _learn_shares(reference: Reference, now: Mapping[str, float], alpha: float) -> None:
    usual = _shares(reference)
    if not usual:
        alpha = 1.0
    mixed = {key: (1 - alpha) * usual.get(key, 0.0) + alpha * now.get(key, 0.0) for key in {*usual, *now}}
    kept = sorted(sorted(mixed), key=lambda key: -mixed[key])[:MAX_CATEGORIES]
    kept = [key for key in kept if mixed[key] > LISTED / 10]
    reference.hashes = b"".join(bytes.fromhex(key) for key in kept)
    reference.shares = np.array([mixed[key] for key in kept], "<f4").tobytes()
