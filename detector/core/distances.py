"""How far a distribution is from a learned one, as an effect size: none of these grows with the number of rows.

Plain loops over few numbers and `math` only: a replay must give the same bits on every machine.
"""

import math
from collections.abc import Mapping

import numpy as np

from detector.core.models.compiled import compiled
from detector.core.models.kernel import Array

SLACK = 0.05  # of the range of the quantiles: so far a value may move
LEAST_MASS = 1e-3  # of a bin: an empty one would be infinitely far
FARTHEST = 100.0


@compiled
def stability(reference: Array, current: Array) -> float:
    """The population stability index of two distributions over the same bins: the sum of (c - r) ln(c / r).

    By custom, below 0.1 nothing has changed, and above 0.25 much has.

    >>> half = np.array([0.5, 0.5])
    >>> stability(half, half), round(stability(half, np.array([0.25, 0.75])), 4)
    (0.0, 0.2747)
    """
    total = 0.0
    for i in range(len(reference)):
        r, c = max(reference[i], LEAST_MASS), max(current[i], LEAST_MASS)
        total += (c - r) * math.log(c / r)
    return total


@compiled
def binned(fractions: Array, reference: Array, current: Array) -> tuple[Array, Array]:
    """The masses of two distributions, given by their quantiles, in the bins that the reference's quantiles make.

    Quantiles that are equal (a value that many rows have) are one edge, at which the fraction jumps.
    """
    edges, at_edges = _steps(fractions, reference)
    values, at_values = _steps(fractions, current)
    at_current = np.empty(len(edges))
    for i in range(len(edges)):
        at_current[i] = _fraction(values, at_values, edges[i])
    return _masses(at_edges), _masses(at_current)


@compiled
def levy(fractions: Array, reference: Array, current: Array) -> float:
    """How much of a distribution lies elsewhere than the reference says, with some slack for where: a Lévy distance.

    Learned quantiles are means: where many rows have one value they lie beside it, and without slack half of the rows
    would be found on the other side.

    >>> at, usual = np.array([0.25, 0.5, 0.75]), np.array([1.0, 2.0, 3.0])
    >>> levy(at, usual, usual + 0.05), levy(at, usual, usual + 1.0)
    (0.0, 0.225)
    """
    values, at_values = _steps(fractions, current)
    slack, farthest = SLACK * (reference[-1] - reference[0]), 0.0
    for i in range(len(fractions)):
        low = _fraction(values, at_values, reference[i] - slack)
        high = _fraction(values, at_values, reference[i] + slack)
        farthest = max(farthest, low - fractions[i], fractions[i] - high)
    return farthest


@compiled
def _steps(fractions: Array, quantiles: Array) -> tuple[Array, Array]:
    """Quantiles without repeats, each with the largest fraction that lies at or below it."""
    values, below, count = np.empty(len(quantiles)), np.empty(len(quantiles)), 0
    for i in range(len(quantiles)):
        if count > 0 and quantiles[i] <= values[count - 1]:
            below[count - 1] = fractions[i]
        else:
            values[count], below[count] = quantiles[i], fractions[i]
            count += 1
    return values[:count], below[:count]


@compiled
def _fraction(values: Array, below: Array, x: float) -> float:
    """The fraction of a distribution that lies at or below x: linear between quantiles, and beyond them an exponential
    tail that begins as steep as the nearest segment. A straight one would end, and an end is found a large change.
    """
    at = 0
    while at < len(values) and values[at] <= x:
        at += 1
    if at > 0 and values[at - 1] == x:
        return below[at - 1]  # type: ignore[no-any-return]
    if len(values) == 1:
        return 1.0 if at > 0 else 0.0
    left = min(max(at - 1, 0), len(values) - 2)
    slope = (below[left + 1] - below[left]) / (values[left + 1] - values[left])
    if at == 0:
        return below[0] * math.exp(-slope * (values[0] - x) / below[0])  # type: ignore[no-any-return]
    if at == len(values):
        return 1.0 - (1.0 - below[-1]) * math.exp(-slope * (x - values[-1]) / (1.0 - below[-1]))  # type: ignore[no-any-return]
    return below[left] + slope * (x - values[left])  # type: ignore[no-any-return]


@compiled
def _masses(fractions: Array) -> Array:
    masses, low = np.empty(len(fractions) + 1), 0.0
    for i in range(len(fractions)):
        masses[i] = fractions[i] - low
        low = fractions[i]
    masses[-1] = 1.0 - low
    return masses


@compiled
def wasserstein(fractions: Array, reference: Array, current: Array) -> float:
    """The first Wasserstein distance over these quantiles, in spreads of the reference (its interquartile range).

    >>> wasserstein(np.array([0.25, 0.5, 0.75]), np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))
    0.5
    """
    area = 0.0
    for i in range(len(fractions) - 1):
        heights = abs(current[i] - reference[i]) + abs(current[i + 1] - reference[i + 1])
        area += heights / 2 * (fractions[i + 1] - fractions[i])
    if area == 0.0:
        return 0.0
    return min(area / (fractions[-1] - fractions[0]) / _spread(fractions, reference), FARTHEST)  # type: ignore[no-any-return]


@compiled
def _spread(fractions: Array, quantiles: Array) -> float:
    """The interquartile range; where there is none, the whole range, or the size of the one value that there is."""
    first, last = -1, -1
    for i in range(len(fractions)):
        if 0.25 <= fractions[i] <= 0.75:
            first = i if first < 0 else first
            last = i
    inner = quantiles[last] - quantiles[first] if first >= 0 else 0.0
    for spread in (inner, quantiles[-1] - quantiles[0], abs(quantiles[0])):
        if spread > 0.0:
            return spread
    return 1.0


@compiled
def between(fractions: Array, usual: Array, now: Array, least: int, out: Array) -> None:
    """`stability` and `wasserstein` of many distributions: a row of `usual`, `now` (quantiles) and `out` for each.

    Only quantiles that both have count; with fewer than `least` of them `out` is NaN.
    """
    at, before, after = np.empty(len(fractions)), np.empty(len(fractions)), np.empty(len(fractions))
    for row in range(len(usual)):
        count = 0
        for i in range(len(fractions)):
            if not (math.isnan(usual[row, i]) or math.isnan(now[row, i])):
                at[count], before[count], after[count] = fractions[i], usual[row, i], now[row, i]
                count += 1
        if count < least:
            out[row, 0] = out[row, 1] = math.nan
            continue
        reference, current = binned(at[:count], before[:count], after[:count])
        out[row, 0] = stability(reference, current)
        out[row, 1] = wasserstein(at[:count], before[:count], after[:count])


def jensen_shannon(reference: Mapping[str, float], current: Mapping[str, float]) -> float:
    """The Jensen-Shannon distance of two distributions over categories: 0 for equal ones, 1 for ones without overlap.

    What the shares of one lack to 1 is in categories that were not told, as one category more. Source: J. Lin,
    "Divergence measures based on the Shannon entropy" (1991), of which this is the square root, with logarithms to 2.

    >>> jensen_shannon({"a": 1.0}, {"b": 1.0}), jensen_shannon({"a": 0.5, "b": 0.5}, {"b": 0.5, "a": 0.5})
    (1.0, 0.0)
    """
    pairs = [(reference.get(key, 0.0), current.get(key, 0.0)) for key in sorted({*reference, *current})]
    pairs.append((max(1.0 - sum(r for r, _ in pairs), 0.0), max(1.0 - sum(c for _, c in pairs), 0.0)))
    total = 0.0
    for r, c in pairs:
        middle = (r + c) / 2
        total += sum(x / 2 * math.log2(x / middle) for x in (r, c) if x > 0.0)
    return math.sqrt(min(max(total, 0.0), 1.0))
