"""What few rows show by chance: how far the statistics of a load may be from the usual though nothing has changed.

What a series strays by itself is learned by its model. But a null rate that was nothing in two months knows no noise,
and then one null in ten rows looks like a jump to a tenth. The number of rows says what such a value is worth.

Each function says whether a difference is one that chance explains, at a probability of `RARE` for one statistic of
one load. The bounds hold for any number of rows; with many they are far below what is told at all.
"""

import math

RARE = 1e-4
LEAST_USUAL = 1e-3  # of a share
LEAST_ROWS = 3.0  # what fewer rows than these did is never told of a share
_LOG_RARE = -math.log(RARE)
_FARTHEST = math.sqrt(math.log(2 / RARE) / 2)  # times 1 / sqrt(rows)
_DEVIATIONS = 3.72  # of a normal distribution: beyond it lies RARE, on one side


def share(now: float, usual: float, rows: float) -> bool:
    """Whether so many of `rows` rows are by chance, where each has the probability `usual`.

    Source: the bound of Chernoff and Hoeffding on a binomial tail (W. Hoeffding, "Probability inequalities for sums of
    bounded random variables", 1963). A probability is believed to be half a row at least, also where it was never seen.

    >>> share(0.1, 0.0, 10), share(0.35, 0.0, 10), share(0.1, 0.05, 1_000)
    (True, False, False)
    """
    if abs(now - usual) * rows < LEAST_ROWS:
        return True
    least = min(LEAST_USUAL, 0.5 / rows)
    usual = min(max(usual, least), 1 - least)
    return rows * _divergence(now, usual) < _LOG_RARE


def _divergence(now: float, usual: float) -> float:
    """The Kullback-Leibler divergence of two coins, in nats."""
    total = 0.0
    for a, b in ((now, usual), (1 - now, 1 - usual)):
        if a > 0.0:
            total += a * math.log(a / b)
    return total


def distribution(apart: float, rows: float) -> bool:
    """Whether chance puts so large a part of `rows` rows elsewhere than it belongs.

    Source: the inequality of Dvoretzky, Kiefer and Wolfowitz, with the constant of P. Massart (1990).
    """
    return apart * math.sqrt(rows) < _FARTHEST


def mean(now: float, usual: float, deviation: float, rows: float) -> bool:
    """Whether the mean of `rows` rows that have this deviation is by chance so far from the usual one."""
    return abs(now - usual) * math.sqrt(rows) < _DEVIATIONS * deviation


def categories(distance: float, kinds: int, rows: float) -> bool:
    """Whether a Jensen-Shannon distance of `rows` rows of so many categories is by chance.

    Near to 0, eight times its square in nats is the divergence of a likelihood ratio, and with the rows that has a
    chi-square distribution, whose limit is Cornish and Fisher's (1938).
    """
    free = max(kinds - 1, 1)
    limit = free + _DEVIATIONS * math.sqrt(2 * free) + 2 * (_DEVIATIONS**2 - 1) / 3
    return 8 * math.log(2) * distance**2 * rows < limit


def distinct(now: float, usual: float) -> bool:
    """Whether a sample has by chance so many different values: as if each of them came or stayed away by itself."""
    return abs(now - usual) < max(LEAST_ROWS, _DEVIATIONS * math.sqrt(max(now, usual)))
