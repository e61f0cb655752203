"""How far a distribution is from a learned one, as an effect size: none of these grows with the number of rows.

Plain loops over few numbers and `math` only: a replay must give the same bits on every machine.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence

LEAST_MASS = 1e-3  # of a bin: an empty one would be infinitely far
FARTHEST = 100.0


def stability(reference: Sequence[float], current: Sequence[float]) -> float:
    """The population stability index of two distributions over the same bins: the sum of (c - r) ln(c / r).

    By custom, below 0.1 nothing has changed, and above 0.25 much has.

    >>> stability([0.5, 0.5], [0.5, 0.5]), round(stability([0.5, 0.5], [0.25, 0.75]), 4)
    (0.0, 0.2747)
    """
    total = 0.0
    for r, c in zip(reference, current, strict=True):
        r, c = max(r, LEAST_MASS), max(c, LEAST_MASS)
        total += (c - r) * math.log(c / r)
    return total


def binned(
    fractions: Sequence[float], reference: Sequence[float], current: Sequence[float]
) -> tuple[list[float], list[float]]:
    """The masses of two distributions, given by their quantiles, in the bins that the reference's quantiles make.

    Quantiles that are equal (a value that many rows have) are one edge, at which the fraction jumps.
    """
    edges, at_edges = _steps(fractions, reference)
    values, at_values = _steps(fractions, current)
    return _masses(at_edges), _masses([_fraction(values, at_values, edge) for edge in edges])


def _steps(fractions: Sequence[float], quantiles: Sequence[float]) -> tuple[list[float], list[float]]:
    """Quantiles without repeats, each with the largest fraction that lies at or below it."""
    values: list[float] = []
    below: list[float] = []
    for fraction, value in zip(fractions, quantiles, strict=True):
        if values and value <= values[-1]:
            below[-1] = fraction
        else:
            values.append(value)
            below.append(fraction)
    return values, below


def _fraction(values: list[float], below: list[float], x: float) -> float:
    """The fraction of a distribution that lies at or below x: linear between quantiles, and beyond them an exponential
    tail that begins as steep as the nearest segment. A straight one would end, and an end is found a large change.
    """
    at = bisect_right(values, x)
    if at and values[at - 1] == x:
        return below[at - 1]
    if len(values) == 1:
        return 1.0 if at else 0.0
    left = min(max(at - 1, 0), len(values) - 2)
    slope = (below[left + 1] - below[left]) / (values[left + 1] - values[left])
    if at == 0:
        return below[0] * math.exp(-slope * (values[0] - x) / below[0])
    if at == len(values):
        return 1.0 - (1.0 - below[-1]) * math.exp(-slope * (x - values[-1]) / (1.0 - below[-1]))
    return below[left] + slope * (x - values[left])


def _masses(fractions: list[float]) -> list[float]:
    return [high - low for low, high in zip([0.0, *fractions], [*fractions, 1.0], strict=True)]


def wasserstein(fractions: Sequence[float], reference: Sequence[float], current: Sequence[float]) -> float:
    """The first Wasserstein distance over these quantiles, in spreads of the reference (its interquartile range).

    >>> wasserstein([0.25, 0.5, 0.75], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    0.5
    """
    area = 0.0
    for i in range(len(fractions) - 1):
        heights = abs(current[i] - reference[i]) + abs(current[i + 1] - reference[i + 1])
        area += heights / 2 * (fractions[i + 1] - fractions[i])
    if area == 0.0:
        return 0.0
    return min(area / (fractions[-1] - fractions[0]) / _spread(fractions, reference), FARTHEST)


def _spread(fractions: Sequence[float], quantiles: Sequence[float]) -> float:
    """The interquartile range; where there is none, the whole range, or the size of the one value that there is."""
    inner = [q for fraction, q in zip(fractions, quantiles, strict=True) if 0.25 <= fraction <= 0.75]
    for spread in (inner[-1] - inner[0] if inner else 0.0, quantiles[-1] - quantiles[0], abs(quantiles[0])):
        if spread > 0.0:
            return spread
    return 1.0


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
