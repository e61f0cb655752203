"""What is normal for a metric of pipeline runs: level, seasons, noise and tails, learned run by run.

One series is two records of plain numbers, `HEAD` and `SEASONS`, and one compiled function, `_judge`, scores a value
and then learns it. `judge_many` does the same for many series in one call, so that one and many are the same code.

The parts are named functions that share a scratch record, `m`; compiled they are one piece of code without calls, and
the fields of `m` are registers. What then costs time is one result that waits for another, so what can be known early
is (the limits of both sides), and references to arrays, which are counted: a part takes records and numbers only.

The parts, in the order in which a value meets them:

1. *Repeats* (`_stuck`): a run of identical values is improbable by as much as the series' own repeats say.
2. *Zeros* of a series that is often zero are no values: they are judged by their own rate.
3. *Scale* (`_scale_of`): shares are judged as arcsin(sqrt(x)), small counts as 2 sqrt(x + 3/8) (Anscombe), other values
   that are never negative by their logarithm, the rest as they are.
4. *Expectation*: a slow level, plus the effects of the hour of day, of the day of the week and of the hours of a
   weekend as far as they have earned it, plus what the last residuals say of the next one (an autoregression on their
   exponential mean). Quiet hours have noise of their own, and are held against that. A metric
   that moves at the turn of the month is compared with what it did at the last ones.
5. *Tests*: one residual against a limit that has a given tail probability by the series' own exceedances
   (peaks over threshold with a Pareto tail; several in a row count as one); two or three residuals on one side; a
   two-sided CUSUM on the residual to the slow level, for leaks and creeps; a CUSUM on squares, for noise. Each also
   needs a minimum effect.
6. *Learning*: an alerted value is quarantined. Some in a row that agree are a new normal; the old one is remembered,
   so that a return to it alarms nobody; a deviation that comes back on the same weekday or hour is a season.

Sources: F. J. Anscombe, "The transformation of Poisson, binomial and negative-binomial data" (1948); E. S. Page,
"Continuous inspection schemes" (1954); A. Siffer et al., "Anomaly detection in streams with extreme value theory"
(2017), of which the Pareto tail is an online form by Hill's estimator; W. James and C. Stein, "Estimation with
quadratic loss" (1961) for the shrinkage of seasonal effects.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.core.models.compiled import compiled, fused, part, scratch

HEAD = np.dtype(
    [
        ("last", "f8"),  # the last value, as it was
        ("at", "f8"),  # when, seconds since 1970
        ("gap", "f4"),  # usual seconds between two values
        ("seen", "u4"),  # values seen
        ("learned", "u4"),  # values that were not zeros of an intermittent series
        ("fitted", "u4"),  # values that the deviation was learned from
        ("repeats", "u4"),  # values equal to the one before
        ("again", "u4"),  # of these, such after another one
        ("run", "u4"),  # how often the last value was repeated
        ("zeros", "u4"),
        ("zero_run", "u4"),
        ("old_age", "u2"),  # values since `old` was left
        ("scale", "u1"),
        ("count", "u1"),  # flagged values in a row on one side
        ("side", "i1"),  # which
        ("quiet", "u1"),  # values until a drift may be told again
        ("beyond", "u1"),  # values above 1 in a row of a series of shares
        ("stuck", "?"),  # this run of repeats was told
        ("has_old", "?"),
        ("negative", "?"),  # a value below 0 was seen
        ("large", "?"),  # a value above 1 was seen
        ("profiled", "?"),  # each hour of a day was seen once, or weekdays explain most of it
        ("whole", "f4"),  # share of whole numbers among the values
        ("unit", "f4"),  # smallest value above 0, up to 1: the quantum of a share
        ("mean", "f4"),  # of the size of the values
        ("high", "f4"),  # slowly forgotten maximum
        ("level", "f4"),
        ("offset", "f4"),  # exponential mean of the residuals to the level
        ("offset_var", "f4"),  # and of its square, and of it times the residual
        ("offset_cov", "f4"),
        ("dev", "f4"),  # mean absolute residual to the expectation
        ("slow_dev", "f4"),  # to the level with seasons
        ("loss_plain", "f4"),  # mean absolute residual without seasons
        ("loss_season", "f4"),  # and with
        ("over_up", "f4"),  # share of residuals above TAIL_FROM deviations
        ("over_down", "f4"),
        ("tail_up", "f4"),  # mean logarithm of the excess over TAIL_FROM: the index of a Pareto tail
        ("tail_down", "f4"),
        ("z1", "f4"),  # the last two residuals, in deviations
        ("z2", "f4"),
        ("slow_z1", "f4"),
        ("rho", "f4"),  # autocorrelation of the residuals to the level
        ("up", "f4"),  # CUSUM upwards, and downwards
        ("down", "f4"),
        ("spread", "f4"),  # CUSUM of squares
        ("total", "f4"),  # sum of the residuals of the flagged values in a row
        ("turn", "f4"),  # what the turn of the month adds
        ("old", "f4"),  # the level before the last new normal
        ("alarms", "f4"),  # exponential share of alerts
        ("day", "f4", (7,)),  # effect of the day of the week, Monday first
        ("day_odd", "f4", (7,)),  # the last flagged residual on that day
        ("day_seen", "u1", (7,)),
        ("turns", "?"),  # the last odd day at a turn of the month was like `turn`
    ]
)
SEASONS = np.dtype(  # what only a series with many values a day has come to use, apart: others need not be waited for
    [
        ("hour", "f4", (24,)),  # effect of the hour of the day
        ("hour_odd", "f4", (24,)),  # the last flagged residual at that hour
        ("hour_odd_on", "u1", (24,)),  # and on which weekday; `WEEKLY` more where other days were calm since
        ("hour_seen", "u1", (24,)),
        ("rest", "f4", (2, 24)),  # what the hours of a Saturday and of a Sunday add
        ("rest_odd", "f4", (2, 24)),
        ("hour_dev", "f4", (24,)),  # mean absolute residual at that hour, in those of the series
    ]
)
MOMENT = np.dtype(  # scratch: what is known of the value that is judged, filled in from part to part
    [
        ("at", "f8"),
        ("x", "f8"),
        ("y", "f8"),  # on the scale of its kind, as all that follows but `lower`, `usual` and `upper`
        ("lower", "f8"),
        ("usual", "f8"),
        ("upper", "f8"),
        ("score", "f8"),
        ("z", "f8"),
        ("slow_z", "f8"),
        ("size", "f8"),
        ("limit", "f8"),
        ("zero_share", "f8"),
        ("unit", "f8"),
        ("effect", "f8"),  # of day and hour
        ("earned", "f8"),  # how far it is believed, in [0, 1]
        ("phi", "f8"),
        ("expected", "f8"),
        ("residual", "f8"),
        ("slow_residual", "f8"),
        ("deviation", "f8"),
        ("slow_deviation", "f8"),
        ("cold", "f8"),
        ("damp", "f8"),
        ("strictness", "f8"),
        ("floor", "f8"),
        ("least", "f8"),
        ("drift_least", "f8"),
        ("drifts", "f8"),  # to which side: -1 or 1
        ("held", "f8"),  # how much a sum that grows stops the level from following, in [0, 1]
        ("reach", "f8"),  # of the band to each side, before what people taught of it
        ("low", "f8"),  # and from here to `patience` what they taught: see `LESSONS`
        ("high", "f8"),
        ("of_several", "f8"),
        ("of_drift", "f8"),
        ("of_noise", "f8"),
        ("of_repeats", "f8"),
        ("of_zeros", "f8"),
        ("patience", "f8"),
        ("nonzero", "i8"),
        ("weekday", "i8"),
        ("hour", "i8"),
        ("cause", "i8"),
        ("season", "i8"),
        ("alert", "?"),
        ("warm", "?"),
        ("hourly", "?"),
        ("young", "?"),
        ("first_day", "?"),  # of all, of a series with hours
        ("new_kind", "?"),  # the first day of a weekend, or the first working day, of these
        ("unlike", "?"),  # and the first values of it
        ("turning", "?"),
        ("same_hour", "?"),  # as the value before
        ("as_turned", "?"),
        ("drifting", "?"),
        ("month_turns", "?"),
        ("is_zero", "?"),
    ],
    align=True,
)
# What `judge_many` is told: see `parameters`.
PARAMETERS = np.dtype(
    [
        ("per_rate", "f8"),  # one over the exceedances that the tails are asked for
        ("least_effect", "f8"),
        ("direction", "f8"),
        ("strictness", "f8"),  # of what adds up over many values
        ("root", "f8"),  # of the strictness of tails
        ("tails", "f8"),
        ("fractions", "f8"),  # the least upper tail that fractions are believed to have
        ("bounds", "?"),
    ],
    align=True,
)
CAUSES = (
    "",
    "repeated value",
    "first large value",
    "only zeros",
    "outlier",
    "several outliers",
    "drift",
    "noise",
    "out of range",
    "new normal",
)
STUCK, FIRST_LARGE, ONLY_ZEROS, OUTLIER, OUTLIERS, DRIFT, NOISE, RANGE, NEW_NORMAL = range(1, 10)
LOG, SHARE, COUNT, PLAIN = range(4)
DAY = 86_400.0
SATURDAY = 5
WEEKLY = 8
EVERY_HOUR = 1_800.0  # series with values further apart have one an hour, at most
LARGEST = 1e18  # what is larger is judged as this: squares of it are still numbers of 32 bits
HARD_RULES_FROM = 7  # values after which a value that is out by a factor of 8 is told
WARM = 14  # values after which the learned limits are believed
FACTOR = 8.0
SIGMA = 1.2533  # a standard deviation, in mean absolute ones of a normal distribution: sqrt(pi / 2)

# Repeats
STUCK_LIMIT = 5.5  # decades of improbability
STUCK_ACCEPTED = 20  # repeats after which a value is what the series is now: earlier, and faults would count as habits

# Zeros, as a share of the values, from which on they are no values but are judged by their own rate. A count that rests
# every night has zeros that its hour explains: at one limit for both, it went to and fro and began anew twice a day.
ZEROS_APART = 0.3
ZEROS_APART_BY_HOURS = 0.598
ZEROS_APART_OF_COUNTS = 0.459

# The first value of a series of zeros
FIRST_FACTOR = 8.0  # times all that it has shown

# The least deviation that is believed, and the least effect that is told: natural logarithms, arcsin(sqrt(share)),
# 2 sqrt(count + 3/8), shares of the mean
FLOOR_LOG = 0.02
FLOOR_SHARE = 0.99  # times the square root of the quantum, of a share that is often 0
FLOOR_COUNT = 0.37
EFFECT = 0.276
EFFECT_FRACTIONS = 0.8  # seconds and means: heavy upper tails are their nature
EFFECT_SHARE = 0.04
EFFECT_FIRST_SHARE = 0.25  # of a share that was always 0: about 6 %
EFFECT_STEPS = 0.519  # shares that take few values: of few rows
EFFECT_PLAIN = 1.2
KIND_SEEN = 2  # first values of a first weekend, or first working day, that are told by what they are out by alone
KIND_FACTOR = 4.0  # namely by so much: what a weekend is like is not known
KIND_EFFECT, KIND_ROOT = math.log(KIND_FACTOR), math.sqrt(KIND_FACTOR)

# Limits of a residual, in deviations
TAIL_FROM = 2.51
TAIL_FIRST = 0.13  # before there is evidence; a normal distribution has about 0.1, a heavy tail 0.3
TAIL_MOST = 0.317
TAIL_MEMORY = 180.0  # a third of the values that exceedances are counted over
TAIL_RATE = 0.03
TAIL_OF_FRACTIONS = 0.285  # upwards at least: most seconds and means have a heavy one, which few values show
TAIL_OF_COUNTS = 0.1  # that of a normal distribution, which the square root makes of counts
LIMIT_LEAST = 3.39
LIMIT_MOST = 10.7  # old storms excuse no more than this
LIMIT_SHARE = 4.91  # of a small share: a rate of nulls has storms in its nature
SHARE_SMALL = 0.271
SHARE_REACH = 0.526  # and no storm excuses so much more: 26 % where there was nothing
LIMIT_UNSEEN = 1.91  # times the limit on a weekday or at an hour that was never seen
COLD = 6.5  # values that a first deviation is as uncertain as: limits are 1 + COLD / n times as wide
LIMIT_YOUNG = 1.1  # the same on the first Monday, Tuesday, ... of a series with hours: of logarithms
LIMIT_YOUNG_OTHERS = 1.6  # and of others
ONE_OF_TWO, ONE_OF_THREE = 1 / 1.414, 1 / 1.732  # what the sum of so many residuals is multiplied by
SEVERAL = 0.836  # times the limit, for two or three residuals together

# Leaks, creeps and noise
DRIFT_SLACK = 0.592
DRIFT_LIMIT = 11.5
DRIFT_HOURLY = 0.46  # times the limit, of a series with many values a day
DRIFT_CLIP = 3.0  # that one value counts for at most: a metric with one a day cannot wait for many
DRIFT_CLIP_HOURLY = 1.77
DRIFT_DAMP = 0.47  # how much less a residual may count because it goes on from the last ones
DRIFT_EFFECT = 0.19
QUIET_AFTER_DRIFT = 25  # values until a drift or noise may be told again
QUIET_AFTER_NOISE = 20
DRIFT_HOLD = 0.762  # how much a growing CUSUM stops the level from following
RHO_RATE = 0.021
NOISE_SLACK = 4.06
NOISE_LIMIT = 30.0
NOISE_EFFECT = 0.746  # times the least effect of a drift

# Learning: weights of the newest value
NEW_NORMAL_AFTER = 4
TURN_FIRST = 3.0  # deviations of a turn of the month that are remembered
OLD_KEPT = 80  # values that a level which was left is remembered for
DOUBTED = 8  # and so many where a return may have been none
ALARMS_MOST = 0.332  # more alerts than this among the last ones mean that the model is wrong: it learns
LEVEL_RATE = 0.0439
HOURLY_SLOWER = 2.73
OFFSET_RATE = 0.33
DEV_RATE = 0.028
SLOW_DEV_RATE = 0.0195
LATE = 0.5  # share of the values, the last ones, that first deviations of logarithms are of: hours are being learned
DAY_RATE = 0.093
DAY_PLAIN = 4.9  # deviations beyond which a day of the week needs no more proof
DAY_RATE_HOURLY = 0.0128
DAY_AGAIN = 4.67  # the smaller, the more a weekday may differ from the same one a week before
DAY_UNSEEN = 19.2  # a weekday that was never seen may differ from the day before by so many variances of what is left
DAY_EXPLAINS = 0.5  # of what is left without weekdays, so little is left with them that the noise is learned anew
HOUR_RATE = 0.0466
HOUR_UNSEEN = 100.0  # and an hour that was never seen from the level: on a first day of a weekend no more than the day
REST_RATE = 0.108
REST_SHRINK = 7.91  # times what the others are shrunk by: a weekend like the other days is the rule
REST_CLIP = 1.5  # times what others are clipped at
HOUR_DEV_RATE = 0.0289
HOUR_DEV_PRIOR = 3.88  # values at an hour that its own noise must outweigh
HOUR_DEV_MOST = 4.06
HOUR_DEV_CLIP = 6.59
LIKE_BEFORE = 2  # values that this counts for
MOST_SEEN = 250  # that is counted of a weekday or an hour
DIGITS = 10  # binary ones after the first
# What is kept of what the hours add: so many steps for a deviation, where `DIGITS` are not coarser. What values teach
# must often be more than half of a step, or what is a little wrong stays so.
HOUR_STEPS, REST_STEPS, HOUR_DEV_STEPS = 16.0, 8.0, 64.0

# What a reading has, in this order: score, alert (0 or 1), lower, expected, upper, cause, z, seasons (bits, below), of
# an alert the strictness at which it would still have been one; how many values were seen before; and -1 for a value
# below its band, 1 above it, 0 within.
WIDTH = 11
ALERT, LOWER, EXPECTED, UPPER, Z, SEEN, SIDE = 1, 2, 3, 4, 6, 9, 10
WEEKDAY, HOUR, TURN = 1, 2, 4  # seasons that moved what is expected by `USED` deviations at least
USED = 1.0
Array = NDArray[Any]
# What people taught of a series, in this order: what the band is multiplied by below and above what is expected; the
# limits of several outliers, drift, noise, repeats and zeros; and `NEW_NORMAL_AFTER`. 1 is as learned.
LESSONS = 8
UNTAUGHT = np.zeros((0, LESSONS))
SEVERAL_TAUGHT = 2.0  # times the limit of several, on a side that was taught to be wider: three at its edge stay silent

# False alarms of a healthy series, for each of its values, by strictness: measured, see docs/benchmarks.md
BUDGETS = (1.9e-4, 2.5e-4, 4.5e-4, 1.02e-3, 2.6e-3, 4.6e-3, 6.6e-3)
STRICTNESSES = (1.4, 1.2, 1.0, 0.85, 0.7, 0.6, 0.5)
EXCEEDANCE = 4.8e-05  # that the tails are asked for at strictness 1
DECAY = -math.log(EXCEEDANCE)
STRICTEST = 2.5  # what is so many times beyond its limit is no noise, however small the budget

# ---------------------------------------------------------------- the exponential and the logarithm
#
# Those of the C library take a call, before which all that is in registers must be put away, and their results are
# waited for: they took a third of the time. These are exact to 1e-13 of the value (`log`: of 1, if that is more); a
# record keeps most numbers to 6e-8.

STEPS = 64  # 2**x is that of the steps below x by a table, and by a short series what is left: at most 1/128
POWERS = (2.0 ** (np.arange(STEPS) / STEPS)).view(np.int64)
CENTERS = 1 + (np.arange(STEPS) + 0.5) / STEPS  # and log(x) of the middle of the step that x is in
INVERSES, LOGARITHMS = 1 / CENTERS, np.log(CENTERS)
LN2 = math.log(2.0)
FRACTION, ONE = (1 << 52) - 1, 1023 << 52  # bits of a number: those after its exponent; the exponent of 1
EXPONENT = 255 << 23  # the same bits of a number of 32
ROUNDER = 1.5 * 2.0**52  # where this is added, a number is rounded, and its last bits count what it was
MOST_EXPONENT = 708.0


@fused
def exp(x: float) -> float:
    """e to the power of x, which must be `MOST_EXPONENT` at most, and no less than its negative."""
    shifted = x * (STEPS / LN2) + ROUNDER
    steps = np.float64(shifted).view(np.int64)
    power = np.int64(POWERS[steps & (STEPS - 1)] + ((steps >> 6) << 52)).view(np.float64)
    r = x - (shifted - ROUNDER) * (LN2 / STEPS)
    square = r * r  # the series in two halves, which need not wait for each other
    found: float = power + power * (r + square * ((1 / 2 + r * (1 / 6)) + square * (1 / 24)))
    return found


@fused
def log(x: float) -> float:
    """The natural logarithm of x, which must be above 0 by 1e-307 at least."""
    bits = np.float64(x).view(np.int64)
    step = (bits >> 46) & (STEPS - 1)
    r = np.int64((bits & FRACTION) | ONE).view(np.float64) * INVERSES[step] - 1
    square = r * r
    series = r + square * ((-1 / 2 + r * (1 / 3)) + square * ((-1 / 4 + r * (1 / 5)) + square * (-1 / 6)))
    found: float = ((bits >> 52) - 1023) * LN2 + LOGARITHMS[step] + series
    return found


# ---------------------------------------------------------------- the parts


@part
def _clip(x: float, limit: float) -> float:
    return min(max(x, -limit), limit)


@part
def _transform(scale: int, x: float, mean: float) -> float:
    if scale == LOG:
        return log(x + 0.005 * mean + 1e-12)
    if scale == SHARE:
        return math.asin(math.sqrt(min(max(x, 0.0), 1.0)))
    if scale == COUNT:
        return 2 * math.sqrt(max(x, 0.0) + 0.375)
    return x


@part
def _restore(scale: int, y: float, mean: float) -> float:
    if scale == LOG:
        return max(exp(_clip(y, MOST_EXPONENT)) - 0.005 * mean, 0.0)
    if scale == SHARE:
        return math.sin(min(max(y, 0.0), math.pi / 2)) ** 2
    if scale == COUNT:
        return max((max(y, 0.0) / 2) ** 2 - 0.375, 0.0)
    return y


@part
def _at_turn_of_month(at: float) -> bool:
    """Whether this is one of the last two days of a month or the first (UTC; civil calendar by H. Hinnant)."""
    days = int(math.floor(at / DAY)) + 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153  # 0 is March
    day = of_year - (153 * month + 2) // 5 + 1
    length = 30 if month in (1, 3, 6, 8) else (28 if month == 11 else 31)
    return day <= 1 or day >= length - 1


@part
def _stuck(h, x: float) -> float:  # type: ignore[no-untyped-def]
    """Count repeats. Returns how improbable the present run of them is, in decades."""
    if h.seen > 1 and x == h.last:
        h.run += 1
        if h.run + 2 >= h.seen or h.run > STUCK_ACCEPTED:  # it was always so, or has become so
            h.repeats += 1
            if h.run > 1:
                h.again += 1
    else:
        if h.run > 0 and not h.stuck and h.run + 2 < h.seen:
            h.repeats += h.run
            h.again += h.run - 1
        h.run = 0
        h.stuck = False
    if h.run < 2 or h.seen <= WARM or x == 0:
        return 0.0
    first = (h.repeats + 0.5) / (h.seen + 1.0)
    then = max(first, (h.again + 4 * first) / (h.repeats + 4.0))
    decades: float = -(math.log10(first) + (h.run - 1) * math.log10(then))
    return decades


@part
def _zeros_apart(h) -> float:  # type: ignore[no-untyped-def]
    if h.scale == COUNT:
        return ZEROS_APART_OF_COUNTS
    return ZEROS_APART_BY_HOURS if h.gap < DAY / 2 else ZEROS_APART


@part
def _scale_of(h, zero_share: float) -> int:  # type: ignore[no-untyped-def]
    if h.negative:
        return PLAIN
    if not h.large:
        return SHARE
    if h.whole > 0.7 and h.mean < 200 and zero_share < _zeros_apart(h):
        return COUNT
    return LOG


@compiled
def _rescale(h, s, scale: int, zero_share: float) -> None:  # type: ignore[no-untyped-def]
    """Go over to another scale with what is known, but where shares or many zeros made it: there from the start.

    So the first value below zero is held against what there was before.
    """
    down = h.scale == LOG and scale == COUNT
    if (h.scale == COUNT and scale == LOG and h.mean < 300 and zero_share < ZEROS_APART_OF_COUNTS) or (
        down and h.mean > 20 and zero_share < ZEROS_APART
    ):
        return  # not to and fro at the border
    if h.scale != SHARE and scale != SHARE and (zero_share < ZEROS_APART or down):
        center = _restore(h.scale, h.level, h.mean)
        step = max(center * 0.01, 1e-6 * h.mean, 1e-9)
        before = _transform(h.scale, center + step, h.mean) - _transform(h.scale, center, h.mean)
        level = _transform(scale, center, h.mean)
        factor = (_transform(scale, center + step, h.mean) - level) / before
        h.level = level
        h.dev *= factor
        h.slow_dev *= factor
        h.offset *= factor
        h.loss_plain *= factor
        h.loss_season *= factor
        h.turn *= factor
        h.total *= factor
        h.offset_var *= factor * factor
        h.offset_cov *= factor * factor
        for i in range(24):
            s.hour[i] *= factor
            s.hour_odd[i] *= factor
            for j in range(2):
                s.rest[j, i] *= factor
                s.rest_odd[j, i] *= factor
        for i in range(7):
            h.day[i] *= factor
            h.day_odd[i] *= factor
    else:
        _begin_anew(h, s)
    h.has_old = False
    h.scale = scale


@compiled
def _begin_anew(h, s) -> None:  # type: ignore[no-untyped-def]
    h.learned = 0
    h.fitted = 0
    h.profiled = False
    h.dev = 0.0
    h.slow_dev = 0.0
    h.offset = 0.0
    h.loss_plain = 0.0
    h.loss_season = 0.0
    h.turn = 0.0
    h.turns = False
    for i in range(24):
        s.hour[i], s.hour_odd[i] = 0.0, 0.0
        for j in range(2):
            s.rest[j, i], s.rest_odd[j, i] = 0.0, 0.0
        s.hour_seen[i] = 0
    for i in range(7):
        h.day[i], h.day_odd[i] = 0.0, 0.0
        h.day_seen[i] = 0


@part
def _shrunk(effect: float, noise: float, count: int) -> float:
    """An effect that is the mean of so many values with this noise, as far as it is known (James and Stein)."""
    evidence = effect * effect * count
    return effect * evidence / (evidence + noise)


@part
def _season(h, s, hourly: bool, weekday: int, hour: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """The effects of the day and of the hour, each shrunk by how well it is known."""
    noise = (SIGMA * h.dev) ** 2 + 1e-12
    effect, of_hour, day = 0.0, 0.0, np.float64(h.day[weekday])
    if not hourly:
        if h.day_seen[weekday] >= 1:
            effect = _shrunk(day, noise, h.day_seen[weekday])
        return effect, of_hour
    if h.day_seen[weekday] >= 2:
        effect = _shrunk(day, 2 * noise, h.day_seen[weekday])
    if s.hour_seen[hour] >= 1:
        of_hour = _shrunk(np.float64(s.hour[hour]), noise, s.hour_seen[hour])
    if weekday >= SATURDAY:
        rest = np.float64(s.rest[weekday - SATURDAY, hour])
        if rest != 0.0:  # a value for every 24 of the day
            of_hour += _shrunk(rest, REST_SHRINK * 24 * noise, h.day_seen[weekday])
    return effect, of_hour


@part
def _weight(least: float, count: float) -> float:
    """Of the newest of so many values in a mean: all weigh the same until one weighs this at least."""
    return least if least * count >= 1.0 else 1.0 / count  # most values have no need of the division


@part
def _judge(h, s, m, x: float, p) -> None:  # type: ignore[no-untyped-def]
    """Score a value, then learn it. `p` is what `parameters` makes; the reading is in `m`."""
    m.lower, m.upper = -math.inf, math.inf
    m.score, m.alert, m.cause, m.z, m.season, m.strictness, m.is_zero = 0.0, False, 0, 0.0, 0, 0.0, False
    m.held = 0.0
    m.x = _clip(x, LARGEST)
    _count(h, m)
    _repeats(h, m, p)
    if not (_is_measured(h, s, m) and _is_comparable(h, s, m)):
        m.usual = 0.0 if m.is_zero else (x if h.seen == 1 else _restore(h.scale, h.level, h.mean))
    else:
        _expect(h, s, m)
        _least(h, m, p)
        if m.warm:
            _compare(h, s, m, p)
            _return_to_old(h, m)
            _odd_again(h, s, m)
            _drift(h, s, m, p)
            _noise(h, m, p)
            _new_normal(h, m)
            if m.alert or p.bounds:
                m.lower = _restore(h.scale, m.expected - m.low * m.reach, h.mean)
                m.usual = _restore(h.scale, m.expected, h.mean)
                m.upper = _restore(h.scale, m.expected + m.high * m.reach, h.mean)
        else:
            _hard_rules(h, m, p)
        h.alarms += 0.1 * ((1.0 if m.alert else 0.0) - h.alarms)
        m.score = max(m.score, 0.5) if m.alert else min(m.score, 0.499)
        if not _turn_of_month(h, m):
            _learn(h, s, m)
        if m.cause == DRIFT:  # what is expected follows it, and may have come to the other side of the value
            m.z = m.drifts * abs(m.slow_z)
        _shorten(h, s, m)


@part
def _hours(at: float) -> int:
    """The hour that this is nearest to, counted since 1970: jobs of an hour start after it, or a little before."""
    return int(math.floor(at / 3600.0 + 0.5))


@part
def _count(h, m) -> None:  # type: ignore[no-untyped-def]
    h.seen += 1
    m.same_hour = h.seen > 1 and _hours(m.at) == _hours(h.at)
    if h.seen > 1:
        gap = max(m.at - h.at, 0.0)  # clocks are put back, and events come in disorder
        if h.gap == 0.0:
            h.gap = gap
        else:
            h.gap += 0.1 * (min(gap, 2.0 * h.gap) - h.gap)
    h.at = m.at


@part
def _repeats(h, m, p) -> None:  # type: ignore[no-untyped-def]
    decades = _stuck(h, m.x)
    if decades > 0:
        improbable = decades / (STUCK_LIMIT * p.strictness * m.of_repeats)
        m.score = improbable / (improbable + 1)
        if improbable >= 1:
            m.alert, m.cause, h.stuck = True, STUCK, True
            m.strictness = improbable * p.strictness
    h.last = m.x


@part
def _is_measured(h, s, m) -> bool:  # type: ignore[no-untyped-def]
    """Learn what kind of numbers these are. False where that is all: a value out of its range, a zero among many."""
    x = m.x
    if x < 0:
        h.negative = True
    h.whole += _weight(0.02, h.seen) * ((1.0 if x == math.floor(x) else 0.0) - h.whole)
    if x > 1.0 and not h.large:
        h.beyond += 1
        if h.seen <= WARM or h.beyond >= 3 or h.whole > 0.7 or x < 2 * h.high:
            h.large = True
            h.high = max(h.high, x if h.beyond >= 3 else 0.0)
        else:
            m.score, m.alert, m.cause, m.strictness, m.lower, m.upper = 0.95, True, RANGE, STRICTEST, 0.0, 1.0
            return False
    elif not h.large:
        h.beyond = 0
    m.unit, m.nonzero = h.unit, h.seen - 1 - h.zeros
    if x > 0:
        h.unit = min(x if x < h.unit else h.unit * 1.002, 1.0)
    m.zero_share = (h.zeros + 0.5) / (h.seen + 1.0)
    first = (h.learned < WARM and x > FIRST_FACTOR * h.high > 0) or (h.high == 0 and x > 0)
    if h.seen > WARM and h.large and first:
        m.alert, m.score, m.cause, m.strictness = True, 0.9, FIRST_LARGE, STRICTEST
    h.high = max(min(x, 4 * h.high if h.high > 0 else x), 0.999 * h.high)
    return not _is_zero_apart(h, s, m)


@part
def _is_zero_apart(h, s, m) -> bool:  # type: ignore[no-untyped-def]
    """Zeros of a series that is often zero are judged by their own rate."""
    x = m.x
    m.is_zero = False
    apart = h.large and not h.negative and (h.whole <= 0.7 or m.zero_share > _zeros_apart(h))
    mean = h.mean + (min(abs(x), 5 * h.mean if h.mean > 0 else abs(x)) - h.mean) * _weight(0.02, h.seen)
    if x == 0.0 and m.zero_share > 0.04 and apart:
        if 0 < h.learned <= 8 and h.zero_run == 0 and h.zeros > 0:
            _begin_anew(h, s)  # the first zeros were taken for values
        h.zeros += 1
        h.zero_run += 1
        if h.zero_run > 2 and h.seen > 30 and h.zero_run * math.log10(m.zero_share) < -5 * m.of_zeros:
            m.alert, m.score, m.cause, m.strictness = True, 0.9, ONLY_ZEROS, STRICTEST
        m.lower, m.is_zero = 0.0, True
        return True
    if x == 0.0:
        h.zeros += 1
    h.zero_run = 0
    if m.cause != FIRST_LARGE:
        h.mean = mean
    return False


@part
def _is_comparable(h, s, m) -> bool:  # type: ignore[no-untyped-def]
    """Bring the value to the scale of its kind. False for the first one, which nothing can be said of."""
    scale = _scale_of(h, m.zero_share)
    if h.learned == 0:
        h.scale = scale
    elif scale != h.scale:
        _rescale(h, s, scale, m.zero_share)
    m.y = _transform(h.scale, m.x, h.mean)
    h.learned += 1
    m.warm = h.learned > WARM
    if h.learned == 1:
        h.level = m.y
    if h.learned == 2:
        h.old = m.y
    if h.learned == 3:  # the middle one of the first three: the first may have been the strange one
        near = min(abs(h.level - h.old), abs(h.level - m.y), abs(h.old - m.y))
        h.level = max(min(h.level, h.old), min(max(h.level, h.old), m.y))
        h.offset, h.old, h.dev, h.slow_dev, h.fitted = 0.0, 0.0, near, near, 2
    return bool(h.learned > 1)


@part
def _is_only_day(h, weekday: int) -> bool:  # type: ignore[no-untyped-def]
    others = 0
    for i in range(7):
        others += h.day_seen[i] if i != weekday else 0
    return others == 0


@part
def _last_alike(h, weekday: int) -> int:  # type: ignore[no-untyped-def]
    """The last weekday before this one that is as it a working day, or a day of the weekend, and was seen; else -1."""
    for back in range(1, 7):
        other = (weekday + 7 - back) % 7
        if h.day_seen[other] > 0 and (other >= SATURDAY) == (weekday >= SATURDAY):
            return other
    return -1


@part
def _expect(h, s, m) -> None:  # type: ignore[no-untyped-def]
    """What the level, the seasons as far as they are earned, and the last residuals say of this value."""
    m.hourly = h.gap < DAY / 2
    day_seen = h.day_seen[m.weekday]
    m.young = m.hourly and day_seen < 24
    m.first_day = m.hourly and _is_only_day(h, m.weekday)
    m.new_kind = m.unlike = False
    if m.young and not m.first_day:
        alike = _last_alike(h, m.weekday)
        m.new_kind = alike < 0
        m.unlike = m.new_kind and day_seen < LIKE_BEFORE + KIND_SEEN
        if day_seen == 0:  # as the last such day, or else as the day before
            h.day[m.weekday] = h.day[alike if alike >= 0 else (m.weekday + 6) % 7]
            h.day_seen[m.weekday] = day_seen = LIKE_BEFORE
    of_day, of_hour = _season(h, s, m.hourly, m.weekday, m.hour)
    if not m.hourly and day_seen == 0 and m.weekday >= SATURDAY:  # it may be like the other day of the weekend
        other = SATURDAY + 6 - m.weekday
        like, _ = _season(h, s, m.hourly, other, m.hour)
        if abs(m.y - h.level - like) < abs(m.y - h.level):
            of_day, day_seen = like, h.day_seen[other]
    m.effect = of_day + of_hour
    m.earned = 0.0
    if h.learned > 8:
        best = min(h.loss_plain, h.loss_season) + 1e-9
        m.earned = 1 / (1 + exp(_clip(6 * (h.loss_season - h.loss_plain) / best, 50.0)))
    if not m.hourly and day_seen >= 2 and abs(m.effect) > DAY_PLAIN * SIGMA * h.dev:
        m.earned = 1.0  # one odd day in seven hardly shows in the losses
    slow = h.level + m.earned * m.effect
    m.phi = min(max(h.offset_cov / (h.offset_var + 1e-12), 0.0), 0.95)
    carried = m.phi * h.offset
    m.turning = m.month_turns and not m.hourly and h.gap < 1.6 * DAY
    m.as_turned = m.turning and abs(m.y - slow - carried - h.turn) < abs(m.y - slow - carried)
    if h.count > 1 and h.side * h.turn > 0:  # it was so for two values or more: a new level, or a fault
        m.as_turned = False
    if m.as_turned:
        slow += h.turn
    m.expected = slow + carried
    # Less than nothing may be expected of a logarithm only where this is so: log(a) <= log(b) + (a - b) / b.
    if h.scale == LOG and not h.negative and (m.y - m.expected) * (m.x + 0.005 * h.mean + 1e-12) > m.x:
        m.expected = max(m.expected, _transform(LOG, 0.0, h.mean))
    m.slow_residual = m.y - slow
    m.residual = m.y - m.expected
    told = USED * SIGMA * h.dev
    m.season = (
        (WEEKDAY if abs(m.earned * of_day) > told else 0)
        + (HOUR if abs(m.earned * of_hour) > told else 0)
        + (TURN if m.as_turned and abs(h.turn) > told else 0)
    )


@part
def _least(h, m, p) -> None:  # type: ignore[no-untyped-def]
    """The smallest deviation that is believed, and the smallest effects that matter, of this kind of number."""
    if h.scale == LOG:
        m.floor = FLOOR_LOG
        m.least = EFFECT if h.whole > 0.7 else EFFECT_FRACTIONS
        m.drift_least = DRIFT_EFFECT
    elif h.scale == SHARE:
        rare = (h.repeats + 0.5) / (h.seen + 1.0) < 0.05 or m.expected < 0.4
        m.floor = max(0.004, FLOOR_SHARE * math.sqrt(m.unit) if m.zero_share > 0.1 else 0.0)
        m.least = EFFECT_SHARE if rare else EFFECT_STEPS
        if m.nonzero < 3:  # it was always nothing: how fine it is measured is not known
            m.floor, m.least = 0.03, EFFECT_FIRST_SHARE
        m.drift_least = DRIFT_EFFECT / EFFECT * m.least
    elif h.scale == COUNT:
        m.floor = FLOOR_COUNT
        m.least = 2 * (math.sqrt((1 + EFFECT) * (h.mean + 0.375)) - math.sqrt(h.mean + 0.375))
        m.drift_least = DRIFT_EFFECT / EFFECT * m.least
    else:
        m.floor = 0.02 * h.mean
        m.least = EFFECT_PLAIN * h.mean
        m.drift_least = DRIFT_EFFECT / EFFECT * m.least
    if m.unlike and (h.scale == LOG or h.scale == COUNT):
        by = KIND_EFFECT  # of a count, the root of the factor
        if h.scale == COUNT:
            by = m.expected * (KIND_ROOT - 1 if m.residual > 0 else 1 - 1 / KIND_ROOT)
        m.least, m.drift_least = max(m.least, by), max(m.drift_least, by)
    m.least *= p.least_effect
    m.drift_least *= p.least_effect


@part
def _is_wrong_way(p, residual: float) -> bool:  # type: ignore[no-untyped-def]
    """Whether nobody wants to be told of this direction."""
    return bool(p.direction * residual < 0)


@part
def _limit(over: float, tail: float, most: float, p) -> float:  # type: ignore[no-untyped-def]
    """What so many exceedances with this tail leave to chance (peaks over threshold), in deviations."""
    limit = TAIL_FROM * exp(tail * log(max(over * p.per_rate, 1.0)))
    return float(min(max(LIMIT_LEAST * p.root, limit), p.root * most))


@part
def _compare(h, s, m, p) -> None:  # type: ignore[no-untyped-def]
    """The residual against its limit; then the last two or three together."""
    m.cold = 1 + COLD / h.learned
    wider = 1.0
    if m.hourly:  # quiet hours have noise of their own
        known = min(float(s.hour_seen[m.hour]), 1.0 / HOUR_DEV_RATE)
        wider = (known * s.hour_dev[m.hour] + HOUR_DEV_PRIOR) / (known + HOUR_DEV_PRIOR)
        wider = min(max(wider, 1.0), HOUR_DEV_MOST)
    m.deviation = max(SIGMA * h.dev * wider, m.floor)
    m.slow_deviation = max(SIGMA * h.slow_dev * wider, m.floor)
    m.z, m.slow_z = m.residual / m.deviation, m.slow_residual / m.slow_deviation
    z = m.z
    m.size = size = abs(z)

    most = LIMIT_MOST
    if h.scale == SHARE and m.expected < SHARE_SMALL:
        most = min(LIMIT_SHARE, max(SHARE_REACH / (m.deviation * m.cold), TAIL_FROM))
    stretch = m.cold
    if (not m.hourly and h.day_seen[m.weekday] < 2) or (m.hourly and s.hour_seen[m.hour] < 1):
        stretch *= LIMIT_UNSEEN
    if m.young:
        stretch *= LIMIT_YOUNG if h.scale == LOG else LIMIT_YOUNG_OTHERS
    counts = h.scale == COUNT
    tail_up = TAIL_OF_COUNTS if counts else np.float64(h.tail_up)
    if h.scale == LOG and h.whole <= 0.7:
        tail_up = max(tail_up, p.fractions)
    tail_down = TAIL_OF_COUNTS if counts else np.float64(h.tail_down)
    # Both, though one is asked for: these need not wait for the logarithm of the value, as the side does.
    limit_up, limit_down = _limit(h.over_up, tail_up, most, p), _limit(h.over_down, tail_down, most, p)
    above, high, low = m.residual > 0, m.high, m.low
    limit, tail = limit_up if above else limit_down, tail_up if above else tail_down
    limit *= stretch
    m.reach = max(limit * m.deviation, m.least)
    taught = high if above else low
    m.limit = limit = limit * taught
    m.least *= taught

    wrong_way = _is_wrong_way(p, m.residual)
    if size > limit and abs(m.residual) > m.least and not wrong_way:
        m.alert, m.cause = True, OUTLIER
    before1, before2 = _clip(h.z1, limit), _clip(h.z2, limit)
    m.damp = damp = math.sqrt((1 - h.rho) / (1 + h.rho))
    several = max(abs(z + before1) * ONE_OF_TWO, abs(z + before1 + before2) * ONE_OF_THREE) * damp
    wider = max(m.of_several, SEVERAL_TAUGHT if taught > 1.0 else 1.0)
    if wider > 1.0:
        several /= wider
    if several > SEVERAL * limit and size > 0.45 * limit and abs(m.residual) > m.least and h.quiet == 0:
        if not m.alert and not wrong_way:
            m.alert, m.cause = True, OUTLIERS
    strongest = max(size, several * (1 / SEVERAL))
    m.score = max(m.score, strongest / (strongest + limit))
    if m.cause == OUTLIER or m.cause == OUTLIERS:
        m.strictness = p.tails + log(strongest / limit) / (DECAY * max(tail, TAIL_FIRST))
    h.z2 = h.z1
    h.z1 = z


@part
def _return_to_old(h, m) -> None:  # type: ignore[no-untyped-def]
    """Back where it was before the last new normal: nothing is told, and that level holds again.

    One value may be there by chance, as that of a holiday is. So the level it left is remembered, but not for long, and
    no longer by returning again: a fault that had become the new normal is to be told when it comes again.
    """
    if m.alert and m.cause != STUCK and h.has_old and h.old_age < OLD_KEPT:
        from_old = abs(m.y - h.old - m.earned * m.effect)
        if from_old < max(3 * m.deviation, 0.35 * abs(m.residual)):
            m.alert, m.cause, m.score = False, 0, min(m.score, 0.49)
            h.level, h.old, h.old_age = h.old, h.level, max(h.old_age, OLD_KEPT - DOUBTED - 1)
            h.count, h.side, h.offset, h.z1, h.z2 = 0, 0, 0.0, 0.0, 0.0
            m.expected = h.level + m.earned * m.effect
            m.slow_residual = m.residual = m.y - m.expected
            m.z, m.slow_z = m.residual / m.deviation, m.slow_residual / m.slow_deviation
            m.size = abs(m.z)
    h.old_age = min(h.old_age + 1, 60_000)


@part
def _odd_again(h, s, m) -> None:  # type: ignore[no-untyped-def]
    """As odd as the last time on this weekday, at this hour, or at this hour of a weekend: it does so, a season.

    What an hour does on one working day of the week is no season of its own, but is not told again while it does it.
    """
    resting, on, weekly = _at_rest(h, m), m.weekday, False
    if resting:
        odd = float(s.rest_odd[m.weekday - SATURDAY, m.hour])
    elif m.hourly:
        odd, on = float(s.hour_odd[m.hour]), np.int64(s.hour_odd_on[m.hour])
        weekly = on % WEEKLY == m.weekday and h.gap > EVERY_HOUR and not m.same_hour
    else:
        odd = float(h.day_odd[m.weekday])
    alike = odd != 0.0 and abs(m.slow_residual - odd) < max(0.4 * abs(m.slow_residual), 2 * m.deviation)
    if resting:
        alike = alike and not m.same_hour  # a run again, and no week
    elif on % WEEKLY != m.weekday:
        alike = alike and on < WEEKLY
    flagged = m.alert and (m.cause == OUTLIER or m.cause == OUTLIERS)
    step = 0.5 * (m.slow_residual + odd)
    if flagged and alike and (h.count == 0 or resting):
        m.alert, m.cause, m.score = False, 0, min(m.score, 0.49)
        if resting:
            s.rest[m.weekday - SATURDAY, m.hour] += step
            m.effect += step
        elif m.hourly and not weekly:
            s.hour[m.hour] += step
            m.effect += step
        elif not m.hourly:
            m.effect = m.earned * m.effect + step
            h.day[m.weekday] = m.effect
        m.slow_residual, m.residual, m.z, m.slow_z, m.size = 0.0, 0.0, 0.0, 0.0, 0.0
        m.y = h.level + m.effect
        odd, on = (step, m.weekday + WEEKLY) if weekly else (0.0, m.weekday)
    elif flagged and (h.count == 0 or m.hourly):  # of several in a row, none but the first may be so on all days
        odd, on = m.slow_residual, m.weekday + (0 if h.count == 0 else WEEKLY)
    elif not m.alert and on % WEEKLY == m.weekday:
        odd = 0.0
    elif not m.alert:
        on = on % WEEKLY + WEEKLY  # a calm one since: no hour of all days
    _keep_odd(h, s, m, resting, odd, on)


@part
def _at_rest(h, m) -> bool:  # type: ignore[no-untyped-def]
    """Whether this is an hour of a weekend that is known by itself: of series with one value an hour."""
    return bool(m.hourly and m.weekday >= SATURDAY and h.gap > EVERY_HOUR)


@part
def _keep_odd(h, s, m, resting: bool, odd: float, on: int) -> None:  # type: ignore[no-untyped-def]
    if resting:
        s.rest_odd[m.weekday - SATURDAY, m.hour] = odd
    elif m.hourly:
        s.hour_odd[m.hour], s.hour_odd_on[m.hour] = odd, on
    else:
        h.day_odd[m.weekday] = odd


@part
def _drift(h, s, m, p) -> None:  # type: ignore[no-untyped-def]
    """Leaks and creeps: a CUSUM to each side of the residuals to the slow level."""
    limit = DRIFT_LIMIT * p.strictness * m.cold * (DRIFT_HOURLY if m.hourly else 1.0) * m.of_drift
    pull = _clip(m.slow_z * max(m.damp, DRIFT_DAMP), DRIFT_CLIP_HOURLY if m.hourly else DRIFT_CLIP)
    h.up = max(0.0, h.up + pull - DRIFT_SLACK)
    h.down = max(0.0, h.down - pull - DRIFT_SLACK)
    drift = max(h.up, h.down)
    if h.quiet == 0:
        m.score = max(m.score, 0.999 * drift / (drift + limit))
    m.drifting = drift > limit
    m.held = DRIFT_HOLD / DRIFT_LIMIT * drift
    m.drifts = -1.0 if h.down > h.up else 1.0
    if m.drifting:
        wanted = h.quiet == 0 and not _is_wrong_way(p, m.drifts)
        if wanted and abs(m.slow_residual) > m.drift_least:
            m.alert, m.cause = True, m.cause if m.alert else DRIFT
            m.strictness = max(m.strictness, p.strictness * drift / limit)
            h.quiet = QUIET_AFTER_DRIFT
        elif wanted:  # too little to be told, so far: the sum waits at its limit for more
            h.up, h.down = min(h.up, limit), min(h.down, limit)
        if h.quiet > 0 or not wanted:
            h.up = h.down = 0.0
            if m.size < 0.7 * m.limit:
                h.level += 0.5 * m.slow_residual
                if m.first_day:
                    _stay(s, 0.5 * m.slow_residual)
                m.slow_residual *= 0.5
    m.drifting = m.drifting or drift > 0.5 * limit


@part
def _noise(h, m, p) -> None:  # type: ignore[no-untyped-def]
    """More noise than usual: a CUSUM of squares."""
    square = min(m.z * m.z, 16.0) if abs(m.residual) > NOISE_EFFECT * m.drift_least else 0.0
    h.spread = max(0.0, h.spread + square - NOISE_SLACK)
    if h.spread > NOISE_LIMIT * p.strictness * m.of_noise and h.learned > 40:
        if h.quiet == 0:
            if not m.alert:
                m.cause = DRIFT if m.drifting else NOISE
            m.alert = True
            m.strictness = max(m.strictness, h.spread / (NOISE_LIMIT * m.of_noise))
            h.quiet = QUIET_AFTER_NOISE
        h.spread = 0.0
    if h.quiet > 0:
        h.quiet -= 1


@part
def _new_normal(h, m) -> None:  # type: ignore[no-untyped-def]
    """Some values in a row, far out on one side: that is the level now."""
    if m.size <= 0.7 * m.limit or abs(m.residual) <= 0.5 * m.least or m.young:
        h.count, h.side = 0, 0
        return
    side = 1 if m.residual > 0 else -1
    if h.side == side:
        h.count += 1
        h.total += m.slow_residual
    else:
        h.count, h.total, h.side = 1, m.slow_residual, side
    if h.count < NEW_NORMAL_AFTER * m.patience:
        return
    if h.old_age >= OLD_KEPT - DOUBTED or not h.has_old:  # what a return left was no level to come back to
        h.old, h.has_old, h.old_age = h.level, True, 0
    _move_level(h, h.total / h.count)
    if m.alert:
        m.alert, m.cause, m.score = False, NEW_NORMAL, min(m.score, 0.49)


@part
def _move_level(h, by: float) -> None:  # type: ignore[no-untyped-def]
    h.level += by
    h.offset, h.z1, h.z2 = 0.0, 0.0, 0.0
    h.count, h.side, h.up, h.down, h.spread = 0, 0, 0.0, 0.0, 0.0
    h.quiet = max(h.quiet, 10)
    h.alarms = min(h.alarms, 0.1)


@part
def _hard_rules(h, m, p) -> None:  # type: ignore[no-untyped-def]
    """Before the limits are believed: only what is out by a factor is told."""
    m.usual = _restore(h.scale, m.expected, h.mean)
    if h.learned <= HARD_RULES_FROM or m.zero_share >= 0.1 or (h.scale != LOG and h.scale != COUNT):
        return
    m.lower = min(m.usual / FACTOR, _restore(h.scale, m.expected - 6 * h.dev, h.mean))
    m.upper = max(m.usual * FACTOR, _restore(h.scale, m.expected + 6 * h.dev, h.mean))
    if m.low != 1.0:
        reach = m.low * (m.expected - _transform(h.scale, m.lower, h.mean))
        m.lower = _restore(h.scale, m.expected - reach, h.mean)
    if m.high != 1.0:
        reach = m.high * (_transform(h.scale, m.upper, h.mean) - m.expected)
        m.upper = _restore(h.scale, m.expected + reach, h.mean)
    if m.usual >= 5 and not m.lower <= m.x <= m.upper and not _is_wrong_way(p, m.x - m.usual):
        m.alert, m.cause, m.score, m.strictness = True, OUTLIER, max(m.score, 0.7), STRICTEST


@part
def _turn_of_month(h, m) -> bool:  # type: ignore[no-untyped-def]
    """Learn what the turn of the month adds; whether this value shows that, and is to teach nothing else."""
    if not m.turning or not m.warm or (abs(m.slow_residual) >= 3 and h.scale == LOG):
        return False
    if m.alert and m.patience > 1:  # people say that it is wrong
        return False
    odd, plain = min(m.limit, TURN_FIRST), m.slow_residual + (h.turn if m.as_turned else 0.0)
    if m.as_turned:
        if abs(plain) > odd * m.slow_deviation:
            h.turns = True
        if abs(m.z) > 2.0:
            h.turn += 0.5 * m.slow_residual
            return True
    elif abs(m.z) > odd and h.count <= 1:
        if not h.turns:
            h.turn = plain
            h.count, h.side = 0, 0
            return True
        h.turns = False  # a fault, or a holiday: what turns do is forgotten only if the next one is odd as well
    return False


@part
def _learn(h, s, m) -> None:  # type: ignore[no-untyped-def]
    """What is alerted is quarantined, but for repeats and drifts, and where so much alerts that the model is wrong."""
    held = (m.alert or m.cause == NEW_NORMAL) and m.cause not in (STUCK, DRIFT) and not m.young
    if held and (h.alarms < ALARMS_MOST or m.patience > 1):
        return
    cap = 3 * SIGMA * h.dev + 1e-6 if m.warm else math.inf
    slow_cap = 3 * SIGMA * h.slow_dev + 1e-6 if m.warm else math.inf
    _learn_noise(h, s, m, cap, slow_cap)
    if m.warm and not m.alert:
        _learn_tails(h, m)
    moved = _clip(m.slow_residual, slow_cap)
    if m.warm:
        h.offset_var += 0.03 * (h.offset * h.offset - h.offset_var)
        h.offset_cov += 0.03 * (moved * h.offset - h.offset_cov)
    h.offset += OFFSET_RATE * (moved - h.offset)
    plain = m.y - h.level - m.effect if m.earned > 0.5 else m.slow_residual
    if m.hourly:
        _learn_hour(h, s, m, cap)
    else:
        own = m.y - h.level - h.day[m.weekday]
        if h.day_seen[m.weekday] > 1:
            own = _clip(own, slow_cap)
        h.day_seen[m.weekday] = min(h.day_seen[m.weekday] + 1, MOST_SEEN)
        h.day[m.weekday] += _weight(DAY_RATE, h.day_seen[m.weekday]) * own
    rate = max(LEVEL_RATE if not m.hourly else LEVEL_RATE / HOURLY_SLOWER, 1.0 / h.learned if h.learned < 10 else 0.0)
    if h.quiet == 0:
        rate *= max(0.0, 1.0 - m.held)
    step = rate * _clip(plain, slow_cap)
    if not m.young or m.first_day or h.learned < 24:
        h.level += step
        if m.young or m.first_day:
            _stay(s, step)


@part
def _stay(s, step: float) -> None:  # type: ignore[no-untyped-def]
    """The level has moved in the first day: the hours that were seen stay where they were, since what they add to it is
    learned by the days that follow, each a little.
    """
    for i in range(24):
        if s.hour_seen[i] > 0:
            s.hour[i] -= step


@part
def _learn_noise(h, s, m, cap: float, slow_cap: float) -> None:  # type: ignore[no-untyped-def]
    """How far values stray, and whether the seasons make them stray less."""
    without = abs(m.y - h.level - m.phi * h.offset)
    with_season = abs(m.y - h.level - m.effect - m.phi * h.offset)
    if h.learned > 8 or h.day_seen[m.weekday] > 0:
        rate = _weight(0.03, h.learned)
        h.loss_plain += rate * (min(without, 2 * cap) - h.loss_plain)
        h.loss_season += rate * (min(with_season, 2 * cap) - h.loss_season)
    if m.hourly and not h.profiled and s.hour_seen[m.hour] >= 1:
        h.profiled = True
        h.fitted = 3  # what the first day left unexplained says nothing of the days to come
    elif not h.profiled and h.day_seen[m.weekday] >= 2 and h.loss_season < DAY_EXPLAINS * h.loss_plain:
        h.profiled = True
        h.fitted = min(h.fitted, 4)  # nor does what was left before the days of the week were known
        h.dev *= h.loss_season / h.loss_plain
        h.slow_dev *= h.loss_season / h.loss_plain
    if m.hourly and h.profiled and m.warm:
        odd = min(abs(m.residual) / (h.dev + 1e-9), HOUR_DEV_CLIP)
        rate = _weight(HOUR_DEV_RATE, s.hour_seen[m.hour] + 2)
        s.hour_dev[m.hour] += rate * (odd - s.hour_dev[m.hour])
    h.fitted += 1
    of_late = max(LATE * h.fitted, 1.0) if m.hourly and h.scale == LOG else float(h.fitted)
    h.dev += _weight(DEV_RATE, of_late) * (min(abs(m.residual), cap) - h.dev)
    h.slow_dev += _weight(SLOW_DEV_RATE, of_late) * (min(abs(m.slow_residual), slow_cap) - h.slow_dev)


@part
def _learn_tails(h, m) -> None:  # type: ignore[no-untyped-def]
    z, before = m.z, h.z2
    rate = _weight(1 / (TAIL_MEMORY * 3), h.learned + 100)
    up = z > TAIL_FROM >= before  # of several in a row, as in a storm, only the first: what is told is told once
    down = z < -TAIL_FROM <= before
    h.over_up += rate * ((1.0 if up else 0.0) - h.over_up)
    h.over_down += rate * ((1.0 if down else 0.0) - h.over_down)
    if up:
        h.tail_up = min(h.tail_up + TAIL_RATE * (min(log(z / TAIL_FROM), 1.0) - h.tail_up), TAIL_MOST)
    if down:
        h.tail_down = min(h.tail_down + TAIL_RATE * (min(log(-z / TAIL_FROM), 1.0) - h.tail_down), TAIL_MOST)
    clipped = _clip(m.slow_z, 3.0)
    h.rho = min(max(h.rho + RHO_RATE * (clipped * h.slow_z1 - h.rho), 0.0), 0.85)
    h.slow_z1 = clipped


@part
def _learn_hour(h, s, m, cap: float) -> None:  # type: ignore[no-untyped-def]
    """Share what is left of a value out to its hour and its day, by how little is known of each.

    So a first Saturday is news of Saturdays, and not of its hours. The very first day is the hours' alone: no other day
    is known. (R. E. Kalman, "A new approach to linear filtering and prediction problems", 1960, without covariances.)
    """
    hour, weekday = m.hour, m.weekday
    seen, days = float(s.hour_seen[hour]), h.day_seen[weekday] / 24.0
    if weekday >= SATURDAY and days > 1:
        own = m.y - h.level - s.hour[hour] - h.day[weekday] - s.rest[weekday - SATURDAY, hour]
        s.rest[weekday - SATURDAY, hour] += _weight(REST_RATE, days + 1) * _clip(own, REST_CLIP * cap)
    of_hour, of_day = max(1.0 / seen, HOUR_RATE) if seen > 0 else (DAY_UNSEEN if m.new_kind else HOUR_UNSEEN), 0.0
    if not m.first_day:
        of_day = max(1.0 / (24.0 * days - LIKE_BEFORE), DAY_RATE_HOURLY) if days > LIKE_BEFORE / 24.0 else DAY_UNSEEN
    if days > 1 and h.gap > EVERY_HOUR:
        of_day = max(of_day, 1.0 / (DAY_AGAIN * days * days + hour))
    if m.alert and days < 1:  # it may be a fault: the days to come must not be like it
        of_day = min(of_day, 1.0)
    own = (m.y - h.level - s.hour[hour] - h.day[weekday]) / (1.0 + of_hour + of_day)
    of_one = cap / (1.0 + of_hour + of_day)
    s.hour[hour] += of_hour * (_clip(own, 1.5 * of_one) if seen > 0 else own)
    h.day[weekday] += of_day * (_clip(own, 3.0 * of_one) if days >= 1 else own)
    s.hour_seen[hour] = min(s.hour_seen[hour] + 1, MOST_SEEN)
    h.day_seen[weekday] = min(h.day_seen[weekday] + 1, MOST_SEEN)


@part
def _shorten(h, s, m) -> None:  # type: ignore[no-untyped-def]
    """Leave `DIGITS` of what needs no more: means, but for the level, and for those of more than some 200 values. What
    hours add is counted in parts of a deviation.

    It makes a stored series a third shorter, and one with hours two thirds. Here, and not where it is stored: a state
    that was stored and loaded must go on as one that was not.
    """
    h.gap, h.whole, h.mean, h.alarms = _short(h.gap), _short(h.whole), _short(h.mean), _short(h.alarms)
    h.offset, h.offset_var, h.offset_cov = _short(h.offset), _short(h.offset_var), _short(h.offset_cov)
    h.dev, h.slow_dev, h.rho = _short(h.dev), _short(h.slow_dev), _short(h.rho)
    h.loss_plain, h.loss_season = _short(h.loss_plain), _short(h.loss_season)
    h.tail_up, h.tail_down = _short(h.tail_up), _short(h.tail_down)
    h.z1, h.slow_z1 = _short(h.z1), _short(h.slow_z1)
    h.up, h.down, h.spread = _short(h.up), _short(h.down), _short(h.spread)
    h.day[m.weekday], h.day_odd[m.weekday] = _short(h.day[m.weekday]), _short(h.day_odd[m.weekday])
    if m.hourly:
        hour, rest, unit = m.hour, max(m.weekday - SATURDAY, 0), _power(h.dev)
        s.hour[hour], s.hour_odd[hour] = _stepped(s.hour[hour], unit / HOUR_STEPS), _short(s.hour_odd[hour])
        s.rest[rest, hour] = _stepped(s.rest[rest, hour], unit / REST_STEPS)
        s.rest_odd[rest, hour] = _short(s.rest_odd[rest, hour])
        s.hour_dev[hour] = _stepped(s.hour_dev[hour], 1 / HOUR_DEV_STEPS)


@part
def _short(x: float) -> float:
    bits = np.float32(x).view(np.int32)
    return float(np.int32((bits + np.int32(1 << (22 - DIGITS))) & np.int32(-1 << (23 - DIGITS))).view(np.float32))


@part
def _power(x: float) -> float:
    """The power of two that x, which must not be negative, is at least; 0 of 0."""
    return float(np.int32(np.float32(x).view(np.int32) & np.int32(EXPONENT)).view(np.float32))


@part
def _stepped(x: float, step: float) -> float:
    """The multiple of this power of two that is nearest to x, as far as `DIGITS` go."""
    shift = step * ROUNDER
    return _short((x + shift) - shift)


@compiled
def bounds(heads, row: int) -> tuple[float, float, float]:  # type: ignore[no-untyped-def]
    """(lower, expected, upper) around the level of one series, seasons left out; infinitely wide while nothing is
    believed.
    """
    h = heads[row]
    expected = _restore(h.scale, h.level, h.mean)
    if h.learned <= WARM:
        return -math.inf, expected, math.inf
    reach = LIMIT_LEAST * SIGMA * h.slow_dev
    lower, upper = _restore(h.scale, h.level - reach, h.mean), _restore(h.scale, h.level + reach, h.mean)
    return min(lower, expected), expected, max(upper, expected)  # `exp` is not that exact


@compiled
def judge_many(  # type: ignore[no-untyped-def]
    heads, seasons, rows, at: float, values, parameters, taught, out
) -> int:
    """Score, then learn, one value of each of many series: `values[i]` of the series in row `rows[i]`.

    Returns how many are alerts.

    `heads` and `seasons` are arrays of `HEAD` and `SEASONS`; `out` is len(rows) x `WIDTH` and takes the readings.
    `taught` is len(rows) x `LESSONS`, or `UNTAUGHT`.
    """
    m, p, alerts = scratch(MOMENT), parameters[0], 0
    _begin(m, at)
    for i in range(len(rows)):
        if i < len(taught):
            _take_lessons(m, taught, i)
        out[i, SEEN] = heads[rows[i]].seen
        _judge(heads[rows[i]], seasons[rows[i]], m, values[i], p)
        out[i, 0], out[i, 1], out[i, 2], out[i, 3], out[i, 4] = m.score, m.alert, m.lower, m.usual, m.upper
        out[i, 5], out[i, 6], out[i, 7], out[i, 8] = m.cause, m.z, m.season, m.strictness if m.alert else 0.0
        out[i, SIDE] = (1.0 if values[i] > m.upper else 0.0) - (1.0 if values[i] < m.lower else 0.0)
        alerts += m.alert
    return alerts


@compiled
def are_finite(values) -> bool:  # type: ignore[no-untyped-def]
    """Whether all of these are numbers, and none is infinite."""
    for i in range(len(values)):  # noqa: SIM110  # compiled
        if not math.isfinite(values[i]):
            return False
    return True


@part
def _begin(m, at: float) -> None:  # type: ignore[no-untyped-def]
    """What is the same for all values of a moment."""
    m.at = at
    m.weekday = (int(math.floor(at / DAY)) + 3) % 7
    m.hour = _hours(at) % 24
    m.month_turns = _at_turn_of_month(at)
    m.low, m.high, m.of_several, m.of_drift, m.of_noise = 1.0, 1.0, 1.0, 1.0, 1.0
    m.of_repeats, m.of_zeros, m.patience = 1.0, 1.0, 1.0


@part
def _take_lessons(m, taught, i: int) -> None:  # type: ignore[no-untyped-def]
    m.low, m.high, m.of_several, m.of_drift = taught[i, 0], taught[i, 1], taught[i, 2], taught[i, 3]
    m.of_noise, m.of_repeats, m.of_zeros, m.patience = taught[i, 4], taught[i, 5], taught[i, 6], taught[i, 7]


# ---------------------------------------------------------------- what people say of a value


@part
def _look(h, s, m, at: float, x: float, p) -> bool:  # type: ignore[no-untyped-def]
    """As far as a value would be judged by itself, if it came next: `h` and `s` are copies. False where it is not."""
    _begin(m, at)
    h.at = at - h.gap
    m.x, m.alert, m.cause = _clip(x, LARGEST), False, 0
    m.lower, m.upper = -math.inf, math.inf
    _count(h, m)
    if not (_is_measured(h, s, m) and _is_comparable(h, s, m)):
        return False
    _expect(h, s, m)
    _least(h, m, p)
    if m.warm:
        _compare(h, s, m, p)
    else:
        _hard_rules(h, m, p)
    return True


@compiled
def how_far(heads, seasons, at: float, x: float, parameters) -> float:  # type: ignore[no-untyped-def]
    """How far a value at this time would be out, if it came next: -1 at the lower limit as learned, 1 at the upper one.

    NaN where there is no such limit. The records (one of each) are spoiled: give copies.
    """
    m, h = scratch(MOMENT), heads[0]
    if not _look(h, seasons[0], m, at, x, parameters[0]):
        return math.nan
    far: float = math.nan
    if m.warm:
        far = m.residual / m.reach
    elif m.upper < math.inf:
        limit = m.upper if m.x > m.usual else m.lower
        reach = _transform(h.scale, limit, h.mean) - m.expected
        if reach != 0.0:
            far = abs(m.residual) / reach
    return far


@compiled
def unlearn(heads, seasons, at: float) -> None:  # type: ignore[no-untyped-def]
    """Take the last value out of all that adds up over several: the sums, new normals, seasons that begin."""
    h, s = heads[0], seasons[0]
    h.count, h.side, h.total, h.z1, h.z2 = 0, 0, 0.0, 0.0, 0.0
    h.up, h.down, h.spread = 0.0, 0.0, 0.0
    h.alarms = max(h.alarms - 0.1, 0.0)
    weekday, hour = (int(math.floor(at / DAY)) + 3) % 7, _hours(at) % 24
    h.day_odd[weekday] = 0.0
    if weekday >= SATURDAY and h.gap > EVERY_HOUR:
        s.rest_odd[weekday - SATURDAY, hour] = 0.0
    else:
        s.hour_odd[hour] = 0.0


@compiled
def renew(heads, seasons, at: float, x: float, parameters) -> None:  # type: ignore[no-untyped-def]
    """The new normal, at once: the mean of the flagged values in a row, or x at its time where there are none.

    The old level is not remembered: it is not where the series may come back to.
    """
    h, m, then, seasons_then = heads[0], scratch(MOMENT), heads.copy(), seasons.copy()
    if h.count > 0:
        by = h.total / h.count
    elif _look(then[0], seasons_then[0], m, at, x, parameters[0]) and then[0].scale == h.scale:
        by = m.slow_residual
    else:
        by = _transform(h.scale, _clip(x, LARGEST), h.mean) - h.level
    h.has_old = False
    _move_level(h, by)


@compiled
def renew_repeats(heads) -> None:  # type: ignore[no-untyped-def]
    """That a value repeats as it did at last is what the series does now."""
    h = heads[0]
    if h.run > 0:
        h.repeats, h.again = h.repeats + h.run, h.again + h.run - 1
    h.run, h.stuck = 0, False


def strictness_of(budget: float) -> float:
    """What all limits are multiplied by, so that of the values of healthy series this share is told; 1 is usual.

    All limits go with the budget: those on one residual by its tail, the sums (CUSUM, repeats) with its logarithm.
    """
    known, wanted = np.log(BUDGETS), math.log(budget)
    steepness = (STRICTNESSES[0] - STRICTNESSES[1]) / (known[1] - known[0])
    return float(np.interp(wanted, known, STRICTNESSES) + steepness * max(known[0] - wanted, 0.0))


def budget_of(strictness: float) -> float:
    """The inverse: the share of the values of healthy series that is told at this strictness."""
    known = np.log(BUDGETS)
    steepness = (STRICTNESSES[0] - STRICTNESSES[1]) / (known[1] - known[0])
    inside = float(np.interp(-strictness, np.negative(STRICTNESSES), known))
    return math.exp(inside - max(strictness - STRICTNESSES[0], 0.0) / steepness)


def parameters(
    budget: float,
    effect: float,
    direction: float,
    *,
    sums: float | None = None,
    bounds: bool = True,
    fractions: float = TAIL_OF_FRACTIONS,
) -> Array:
    """What `judge_many` is told: how often a value of a healthy series may be told, in [0, 1]; what the least effects
    are multiplied by; -1 to be told of drops only, 1 of spikes only, 0 of both; another budget for what adds up over
    many values (drift, noise, repeats); whether the bounds of what is not told are wanted (they cost a fifth); the
    least upper tail (an index of Pareto's) that numbers which are not whole are believed to have.
    """
    tails = strictness_of(budget)
    strictness = tails if sums is None else strictness_of(sums)
    told = (
        math.exp(min(DECAY * tails, MOST_EXPONENT)),
        effect,
        direction,
        strictness,
        math.sqrt(tails),
        tails,
        fractions,
        bounds,
    )
    return np.array([told], PARAMETERS)


def blank(count: int) -> tuple[Array, Array]:
    """`HEAD` and `SEASONS` of so many series that have seen nothing."""
    heads, seasons = np.zeros(count, HEAD), np.zeros(count, SEASONS)
    heads["unit"] = 1.0
    seasons["hour_dev"] = 1.0
    heads["offset_var"] = 1e-9
    heads["over_up"] = heads["over_down"] = 0.008
    heads["tail_up"] = heads["tail_down"] = TAIL_FIRST
    return heads, seasons
