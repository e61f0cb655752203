"""What is normal for a metric of pipeline runs: level, seasons, noise and tails, learned run by run.

One series is two records of plain numbers, `HEAD` and `SEASONS`, and one compiled function, `_judge`, scores a value
and then learns it. `judge_many` does the same for many series in one call, so that one and many are the same code.

The parts, in the order in which a value meets them:

1. *Repeats* (`_stuck`): a run of identical values is improbable by as much as the series' own repeats say.
2. *Zeros* of a series that is often zero are no values: they are judged by their own rate.
3. *Scale* (`_scale_of`): shares are judged as arcsin(sqrt(x)), small counts as 2 sqrt(x + 3/8) (Anscombe), other values
   that are never negative by their logarithm, the rest as they are.
4. *Expectation*: a slow level, plus the effects of the hour of day and of the day of the week as far as they have
   earned it, plus what the last residuals say of the next one (an autoregression on their exponential mean). A metric
   that moves at the turn of the month is compared with what it did at the last ones.
5. *Tests*: one residual against a limit that has a given tail probability by the series' own exceedances
   (peaks over threshold with a Pareto tail); two or three residuals on one side; a two-sided CUSUM on the residual to
   the slow level, for leaks and creeps; a CUSUM on squares, for noise. Each also needs a minimum effect.
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

from detector.core.models.compiled import compiled

HEAD = np.dtype(
    [
        ("last", "f8"),  # the last value, as it was
        ("at", "f8"),  # when, seconds since 1970
        ("mean", "f8"),  # of the size of the values: it may be larger than an f4 can be
        ("high", "f8"),  # slowly forgotten maximum
        ("offset_var", "f8"),  # squares: too large for an f4
        ("offset_cov", "f8"),
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
        ("profiled", "?"),  # each hour of a day was seen once
        ("whole", "f4"),  # share of whole numbers among the values
        ("unit", "f4"),  # smallest value above 0, up to 1: the quantum of a share
        ("level", "f4"),
        ("offset", "f4"),  # exponential mean of the residuals to the level
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
    ]
)
SEASONS = np.dtype(
    [
        ("day", "f4", (7,)),  # effect of the day of the week, Monday first
        ("day_odd", "f4", (7,)),  # the last flagged residual on that day
        ("day_seen", "u2", (7,)),
        ("hour", "f4", (24,)),  # effect of the hour of the day
        ("hour_odd", "f4", (24,)),
        ("hour_seen", "u2", (24,)),
    ]
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
LARGEST = 1e18  # what is larger is judged as this: squares of it are still numbers of 32 bits
HARD_RULES_FROM = 7  # values after which a value that is out by a factor of 8 is told
WARM = 14  # values after which the learned limits are believed
FACTOR = 8.0
SIGMA = 1.2533  # a standard deviation, in mean absolute ones of a normal distribution: sqrt(pi / 2)

# Repeats
STUCK_LIMIT = 5.2  # decades of improbability
STUCK_ACCEPTED = 12  # repeats after which a value is what the series is now

# The least deviation that is believed, and the least effect that is told: natural logarithms, arcsin(sqrt(share)),
# 2 sqrt(count + 3/8), shares of the mean
FLOOR_LOG = 0.02
FLOOR_SHARE = 0.53  # times the square root of the quantum, of a share that is often 0
FLOOR_COUNT = 0.37
EFFECT = 0.25
EFFECT_FRACTIONS = 0.8  # seconds and means: heavy upper tails are their nature
EFFECT_SHARE = 0.05
EFFECT_FIRST_SHARE = 0.2  # of a share that was always 0: about 4 %
EFFECT_STEPS = 0.3  # shares that take few values: of few rows
EFFECT_PLAIN = 1.2

# Limits of a residual, in deviations
BUDGET = 6e-05  # probability that a value of a healthy series is told
HOURLY_SHARE = 0.98  # of it for a value of a series with many values a day
TAIL_FROM = 2.5
TAIL_FIRST = 0.13  # before there is evidence; a normal distribution has about 0.1, a heavy tail 0.3
TAIL_MOST = 0.26
TAIL_MEMORY = 90.0  # a third of the values that exceedances are counted over
LIMIT_LEAST = 4.3
LIMIT_MOST = 11.0  # old storms excuse no more than this
LIMIT_SHARE = 4.2
LIMIT_YOUNG = 1.6  # times the limit on a weekday that was never seen
SEVERAL = 0.85  # times the limit, for two or three residuals together

# Leaks, creeps and noise
DRIFT_SLACK = 0.5
DRIFT_LIMIT = 9.4
DRIFT_CLIP = 2.5
DRIFT_RHO = 0.69
DRIFT_EFFECT = 0.19
DRIFT_HOLD = 0.76  # how much a growing CUSUM stops the level from following
RHO_RATE = 0.02
NOISE_SLACK = 3.0
NOISE_LIMIT = 30.0
NOISE_EFFECT = 0.43

# Learning: weights of the newest value
NEW_NORMAL_AFTER = 4
ALARMS_MOST = 0.37  # more alerts than this among the last ones mean that the model is wrong: it learns
LEVEL_RATE = 0.041
HOURLY_SLOWER = 3.5
OFFSET_RATE = 0.36
DEV_RATE = 0.028
DAY_RATE = 0.12
DAY_PLAIN = 4.0  # deviations beyond which a day of the week needs no more proof
DAY_RATE_HOURLY = 0.015
HOUR_RATE = 0.043

# What a reading has, in this order: score, alert (0 or 1), lower, expected, upper, cause, z, seasons (bits, below).
WIDTH = 8
WEEKDAY, HOUR, TURN = 1, 2, 4  # seasons that moved what is expected by `USED` deviations at least
USED = 1.0
Array = NDArray[Any]


@compiled
def _transform(scale: int, x: float, mean: float) -> float:
    if scale == LOG:
        return math.log(x + 0.005 * mean + 1e-12)
    if scale == SHARE:
        return math.asin(math.sqrt(min(max(x, 0.0), 1.0)))
    if scale == COUNT:
        return 2 * math.sqrt(max(x, 0.0) + 0.375)
    return x


@compiled
def _restore(scale: int, y: float, mean: float) -> float:
    if scale == LOG:
        return max(math.exp(min(y, 709.0)) - 0.005 * mean, 0.0)
    if scale == SHARE:
        return math.sin(min(max(y, 0.0), math.pi / 2)) ** 2
    if scale == COUNT:
        return max((max(y, 0.0) / 2) ** 2 - 0.375, 0.0)
    return y


@compiled
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


@compiled
def _stuck(h, x: float) -> float:  # type: ignore[no-untyped-def]
    """Count repeats. Returns how improbable the present run of them is, 1 being the limit."""
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
    return decades / STUCK_LIMIT


@compiled
def _scale_of(h, zero_share: float) -> int:  # type: ignore[no-untyped-def]
    if h.negative:
        return PLAIN
    if not h.large:
        return SHARE
    if h.whole > 0.7 and h.mean < 200 and zero_share < 0.3:
        return COUNT
    return LOG


@compiled
def _rescale(h, s, scale: int, zero_share: float) -> None:  # type: ignore[no-untyped-def]
    """Go over to another scale: between counts and logarithms with what is known, else from the start."""
    if (h.scale == COUNT and scale == LOG and h.mean < 300 and zero_share < 0.3) or (h.scale == LOG and scale == COUNT):
        return  # not to and fro at the border
    if h.scale == COUNT and scale == LOG and zero_share < 0.3:
        center = _restore(COUNT, h.level, h.mean)
        step = max(center * 0.01, 1e-9)
        before = _transform(COUNT, center + step, h.mean) - _transform(COUNT, center, h.mean)
        level = _transform(LOG, center, h.mean)
        factor = (_transform(LOG, center + step, h.mean) - level) / before
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
        for i in range(7):
            s.day[i] *= factor
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
    for i in range(24):
        s.hour[i] = 0.0
        s.hour_seen[i] = 0
    for i in range(7):
        s.day[i] = 0.0
        s.day_seen[i] = 0


@compiled
def _season(h, s, hourly: bool, weekday: int, hour: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """The effects of the day and of the hour, each shrunk by how well it is known (James and Stein)."""
    noise = (SIGMA * h.dev) ** 2 + 1e-12
    effect, of_hour, day = 0.0, 0.0, np.float64(s.day[weekday])
    if not hourly:
        if s.day_seen[weekday] >= 1:
            effect = day**3 / (day * day + noise / s.day_seen[weekday])
        return effect, of_hour
    if s.day_seen[weekday] >= 2:
        effect = day**3 / (day * day + 2 * noise / s.day_seen[weekday])
    if s.hour_seen[hour] >= 1:
        of_hour = np.float64(s.hour[hour])
        of_hour = of_hour**3 / (of_hour * of_hour + noise / s.hour_seen[hour])
    return effect, of_hour


@compiled
def _clip(x: float, limit: float) -> float:
    return min(max(x, -limit), limit)


@compiled
def _judge(h, s, at: float, x: float, p, out) -> None:  # type: ignore[no-untyped-def]
    """Score a value, then learn it. `p` is (budget, effect, direction); `out` takes the reading."""
    out[0] = 0.0
    out[1] = 0.0
    out[2] = -math.inf
    out[3] = x if h.seen == 0 else _restore(h.scale, h.level, h.mean)
    out[4] = math.inf
    out[5] = 0.0
    out[6] = 0.0
    out[7] = 0.0
    x = _clip(x, LARGEST)
    h.seen += 1
    if h.seen > 1:
        gap = at - h.at
        if h.gap == 0.0:
            h.gap = gap
        else:
            h.gap += 0.1 * (min(gap, 2.0 * h.gap) - h.gap)
    h.at = at
    alert, score, cause = False, 0.0, 0

    improbable = _stuck(h, x)
    if improbable > 0:
        score = improbable / (improbable + 1)
        if improbable >= 1:
            alert, cause, h.stuck = True, STUCK, True
    h.last = x

    # What kind of numbers these are
    if x < 0:
        h.negative = True
    h.whole += max(0.02, 1.0 / h.seen) * ((1.0 if x == math.floor(x) else 0.0) - h.whole)
    if x > 1.0 and not h.large:
        h.beyond += 1
        if h.seen <= WARM or h.beyond >= 3 or h.whole > 0.7 or x < 2 * h.high:
            h.large = True
            h.high = max(h.high, x if h.beyond >= 3 else 0.0)
        else:
            out[0], out[1], out[2], out[4], out[5] = 0.95, 1.0, 0.0, 1.0, float(RANGE)
            return
    elif not h.large:
        h.beyond = 0
    unit, nonzero = h.unit, h.seen - 1 - h.zeros
    if x > 0:
        h.unit = min(x if x < h.unit else h.unit * 1.002, 1.0)
    zero_share = (h.zeros + 0.5) / (h.seen + 1.0)
    if h.seen > WARM and h.large and ((h.learned < WARM and x > 4 * h.high > 0) or (h.high == 0 and x > 0)):
        alert, score, cause = True, 0.9, FIRST_LARGE
    h.high = max(min(x, 4 * h.high if h.high > 0 else x), 0.999 * h.high)

    # Zeros of a series that is often zero
    apart = h.large and not h.negative and (h.whole <= 0.7 or zero_share > 0.3)
    mean = h.mean + (min(abs(x), 5 * h.mean if h.mean > 0 else abs(x)) - h.mean) / min(h.seen, 50)
    if x == 0.0 and zero_share > 0.04 and apart:
        if 0 < h.learned <= 8 and h.zero_run == 0 and h.zeros > 0:
            _begin_anew(h, s)  # the first zeros were taken for values
        h.zeros += 1
        h.zero_run += 1
        if h.zero_run > 2 and h.seen > 30 and h.zero_run * math.log10(zero_share) < -5:
            alert, score, cause = True, 0.9, ONLY_ZEROS
        out[0], out[1], out[2], out[3], out[4], out[5] = (
            score,
            (1.0 if alert else 0.0),
            0.0,
            0.0,
            math.inf,
            float(cause),
        )
        return
    if x == 0.0:
        h.zeros += 1
    h.zero_run = 0
    if cause != FIRST_LARGE:
        h.mean = mean

    scale = _scale_of(h, zero_share)
    if h.learned == 0:
        h.scale = scale
    elif scale != h.scale:
        _rescale(h, s, scale, zero_share)
    y = _transform(h.scale, x, h.mean)
    h.learned += 1
    if h.learned == 3:  # the middle one of the first three: the first may have been the strange one
        near = min(abs(h.level - h.old), abs(h.level - y), abs(h.old - y))
        h.level = max(min(h.level, h.old), min(max(h.level, h.old), y))
        h.offset, h.old, h.dev, h.slow_dev, h.fitted = 0.0, 0.0, near, near, 2
    if h.learned == 2:
        h.old = y
    if h.learned == 1:
        h.level = y
        out[0], out[1], out[5] = score, (1.0 if alert else 0.0), float(cause)
        return

    # Expectation
    hourly = h.gap < DAY / 2
    weekday = (int(math.floor(at / DAY)) + 3) % 7
    hour = int(math.floor(at / 3600.0 + 0.5)) % 24
    young = hourly and s.day_seen[weekday] < 24
    if hourly and s.day_seen[weekday] == 0:  # a day that was never seen is like the one before it
        s.day[weekday] = s.day[(weekday + 6) % 7]
        s.day_seen[weekday] = 2
    of_day, of_hour = _season(h, s, hourly, weekday, hour)
    effect = of_day + of_hour
    earned = 0.0
    if h.learned > 8:
        best = min(h.loss_plain, h.loss_season) + 1e-9
        plain = math.exp(-6 * (h.loss_plain / best - 1))
        season = math.exp(-6 * (h.loss_season / best - 1))
        earned = season / (plain + season)
    if not hourly and s.day_seen[weekday] >= 2 and abs(effect) > DAY_PLAIN * SIGMA * h.dev:
        earned = 1.0  # one odd day in seven hardly shows in the losses
    slow = h.level + earned * effect
    phi = min(max(h.offset_cov / (h.offset_var + 1e-12), 0.0), 0.95)
    turning = not hourly and h.gap < 1.6 * DAY and _at_turn_of_month(at)
    carried = phi * h.offset
    as_turned = turning and abs(y - slow - carried - h.turn) < abs(y - slow - carried)
    if as_turned:
        slow += h.turn
    expected = slow + carried
    slow_residual = y - slow
    residual = y - expected

    # The smallest deviation that is believed, and the smallest effect that matters
    effect_of = p[1]
    if h.scale == LOG:
        floor = FLOOR_LOG
        least = (EFFECT if h.whole > 0.7 else EFFECT_FRACTIONS) * effect_of
        drift_least = DRIFT_EFFECT * effect_of
    elif h.scale == SHARE:
        rare = (h.repeats + 0.5) / (h.seen + 1.0) < 0.05 or h.level < 0.4
        floor = max(0.004, FLOOR_SHARE * math.sqrt(unit) if zero_share > 0.1 else 0.0)
        least = (EFFECT_SHARE if rare else EFFECT_STEPS) * effect_of
        if nonzero < 3:  # it was always nothing: how fine it is measured is not known
            floor, least = 0.03, EFFECT_FIRST_SHARE * effect_of
        drift_least = DRIFT_EFFECT / EFFECT * least
    elif h.scale == COUNT:
        floor = FLOOR_COUNT
        least = 2 * (math.sqrt((1 + EFFECT) * (h.mean + 0.375)) - math.sqrt(h.mean + 0.375)) * effect_of
        drift_least = DRIFT_EFFECT / EFFECT * least
    else:
        floor = 0.02 * h.mean
        least = EFFECT_PLAIN * h.mean * effect_of
        drift_least = DRIFT_EFFECT / EFFECT * least

    told = USED * max(SIGMA * h.dev, floor)
    out[7] = float(
        (WEEKDAY if abs(earned * of_day) >= told else 0)
        + (HOUR if abs(earned * of_hour) >= told else 0)
        + (TURN if as_turned and abs(h.turn) >= told else 0)
    )

    warm = h.learned > WARM
    z, slow_z, limit = 0.0, 0.0, 5.0
    out[3] = _restore(h.scale, expected, h.mean)
    if warm:
        cold = 1 + 5.0 / h.learned
        deviation = max(SIGMA * h.dev, floor)
        slow_deviation = max(SIGMA * h.slow_dev, floor)
        z, slow_z = residual / deviation, slow_residual / slow_deviation
        out[6] = z
        over, tail = (h.over_up, h.tail_up) if z > 0 else (h.over_down, h.tail_down)
        rate = p[0] * (HOURLY_SHARE if hourly else 1.0)
        limit = max(LIMIT_LEAST, TAIL_FROM * math.exp(tail * math.log(max(over / rate, 1.0)))) * cold
        limit = min(limit, (LIMIT_SHARE if h.scale == SHARE else LIMIT_MOST) * cold)
        if (not hourly and s.day_seen[weekday] < 2) or (hourly and s.hour_seen[hour] < 1):
            limit *= 1.6
        if young:
            limit *= LIMIT_YOUNG
        size = abs(z)
        wrong_way = (p[2] > 0 and residual < 0) or (p[2] < 0 and residual > 0)
        if size > limit and abs(residual) > least and not wrong_way:
            alert, cause = True, OUTLIER
        before1, before2 = _clip(h.z1, limit), _clip(h.z2, limit)
        damp = math.sqrt((1 - h.rho) / (1 + h.rho)) if h.rho > 0 else 1.0
        several = max(abs(z + before1) / 1.414, abs(z + before1 + before2) / 1.732) * damp
        if several > SEVERAL * limit and size > 0.45 * limit and abs(residual) > least and h.quiet == 0:
            if not alert and not wrong_way:
                alert, cause = True, OUTLIERS
        strongest = max(size, several / SEVERAL)
        score = max(score, strongest / (strongest + limit))
        h.z2 = h.z1
        h.z1 = z

        if alert and cause != STUCK and h.has_old and h.old_age < 80:
            from_old = abs(y - h.old - earned * effect)
            if from_old < max(3 * deviation, 0.35 * abs(residual)):  # back where it was before
                alert, cause, score = False, 0, min(score, 0.49)
                h.level, h.has_old = h.old, False
                h.count, h.side, h.offset, h.z1, h.z2 = 0, 0, 0.0, 0.0, 0.0
                expected = h.level + earned * effect
                slow_residual = y - expected
                residual = slow_residual
                z, slow_z = residual / deviation, slow_residual / slow_deviation
                size = abs(z)

        odd = s.hour_odd[hour] if hourly else s.day_odd[weekday]
        new_odd = 0.0
        if alert:
            new_odd = odd
            if (cause == OUTLIER or cause == OUTLIERS) and h.count == 0:
                new_odd = slow_residual
                if odd != 0.0 and abs(slow_residual - odd) < max(0.4 * abs(slow_residual), 2 * deviation):
                    # as odd as the last time on this day or at this hour: this is what it does then
                    alert, cause, score = False, 0, min(score, 0.49)
                    step = 0.5 * (slow_residual + odd)
                    if hourly:
                        s.hour[hour] += step
                        effect += step
                    else:
                        effect = earned * effect + step
                        s.day[weekday] = effect
                    new_odd, slow_residual, residual, z, slow_z, size = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
                    y = h.level + effect
        if hourly:
            s.hour_odd[hour] = new_odd
        else:
            s.day_odd[weekday] = new_odd
        h.old_age = min(h.old_age + 1, 60_000)

        # Leaks and creeps; noise
        damp = math.sqrt((1 - min(h.rho, DRIFT_RHO)) / (1 + min(h.rho, DRIFT_RHO)))
        pull = _clip(slow_z * damp, DRIFT_CLIP)
        h.up = max(0.0, h.up + pull - DRIFT_SLACK)
        h.down = max(0.0, h.down - pull - DRIFT_SLACK)
        drift = max(h.up, h.down)
        if h.quiet == 0:
            score = max(score, 0.999 * drift / (drift + DRIFT_LIMIT * cold))
        if drift > DRIFT_LIMIT * cold:
            down = h.down > h.up
            told_way = not ((p[2] > 0 and down) or (p[2] < 0 and not down))
            if abs(slow_residual) > drift_least and h.quiet == 0 and told_way:
                alert, cause = True, DRIFT
                h.quiet = 25
            h.up = 0.0
            h.down = 0.0
            if size < 0.7 * limit:
                h.level += 0.5 * slow_residual
                slow_residual *= 0.5
        h.spread = max(
            0.0, h.spread + (min(z * z, 16.0) if abs(residual) > NOISE_EFFECT * least else 0.0) - NOISE_SLACK
        )
        if h.spread > NOISE_LIMIT and h.learned > 40:
            if h.quiet == 0:
                alert, cause = True, DRIFT if max(h.up, h.down) > 0.5 * DRIFT_LIMIT * cold else NOISE
                h.quiet = 20
            h.spread = 0.0
        if h.quiet > 0:
            h.quiet -= 1

        # A new normal: some in a row, far out on one side
        if size > 0.7 * limit and abs(residual) > 0.5 * least and not young:
            side = 1 if residual > 0 else -1
            if h.side == side:
                h.count += 1
                h.total += slow_residual
            else:
                h.count, h.total, h.side = 1, slow_residual, side
            if h.count >= NEW_NORMAL_AFTER:
                if h.old_age > 80 or not h.has_old:
                    h.old, h.has_old, h.old_age = h.level, True, 0
                h.level += h.total / h.count
                h.offset, h.z1, h.z2 = 0.0, 0.0, 0.0
                h.count, h.side, h.up, h.down, h.spread = 0, 0, 0.0, 0.0, 0.0
                h.quiet = max(h.quiet, 10)
                h.alarms = min(h.alarms, 0.1)
                if alert:
                    alert, cause, score = False, NEW_NORMAL, min(score, 0.49)
        else:
            h.count, h.side = 0, 0
        reach = max(limit * deviation, least)
        out[2] = _restore(h.scale, expected - reach, h.mean)
        out[4] = _restore(h.scale, expected + reach, h.mean)
    elif h.learned > HARD_RULES_FROM and zero_share < 0.1 and (h.scale == LOG or h.scale == COUNT):
        center = out[3]
        out[2] = min(center / FACTOR, _restore(h.scale, expected - 6 * h.dev, h.mean))
        out[4] = max(center * FACTOR, _restore(h.scale, expected + 6 * h.dev, h.mean))
        if center >= 5 and (x > out[4] or x < out[2]):
            if not ((p[2] > 0 and x < center) or (p[2] < 0 and x > center)):
                alert, cause, score = True, OUTLIER, max(score, 0.7)
    h.alarms += 0.1 * ((1.0 if alert else 0.0) - h.alarms)
    if alert:
        score = max(score, 0.5)
    else:
        score = min(score, 0.499)
    out[0], out[1], out[5] = score, (1.0 if alert else 0.0), float(cause)

    # Learning
    if (
        turning
        and warm
        and ((abs(z) > 2.0 and as_turned) or abs(z) > limit)
        and (abs(slow_residual) < 3 or h.scale != LOG)
    ):
        h.turn += (0.5 if h.turn != 0.0 else 1.0) * (slow_residual + (h.turn if as_turned else 0.0) - h.turn)
        return
    held = (alert or cause == NEW_NORMAL) and cause not in (STUCK, DRIFT) and not young
    if held and h.alarms < ALARMS_MOST:
        return
    cap = 3 * SIGMA * h.dev + 1e-6 if warm else math.inf
    slow_cap = 3 * SIGMA * h.slow_dev + 1e-6 if warm else math.inf
    share = 1.0 / h.learned
    without = abs(y - h.level - phi * h.offset)
    with_season = abs(y - h.level - effect - phi * h.offset)
    if h.learned > 8 or s.day_seen[weekday] > 0:
        h.loss_plain += max(0.03, share) * (min(without, 2 * cap) - h.loss_plain)
        h.loss_season += max(0.03, share) * (min(with_season, 2 * cap) - h.loss_season)
    if hourly and not h.profiled and s.hour_seen[hour] >= 1:
        h.profiled = True
        h.fitted = 3  # what the first day left unexplained says nothing of the days to come
    h.fitted += 1
    h.dev += max(DEV_RATE, 1.0 / h.fitted) * (min(abs(residual), cap) - h.dev)
    h.slow_dev += max(DEV_RATE * 0.6, 1.0 / h.fitted) * (min(abs(slow_residual), slow_cap) - h.slow_dev)
    if warm and not alert:
        rate = max(1 / (TAIL_MEMORY * 3), 1.0 / (h.learned + 100))
        h.over_up += rate * ((1.0 if z > TAIL_FROM else 0.0) - h.over_up)
        h.over_down += rate * ((1.0 if z < -TAIL_FROM else 0.0) - h.over_down)
        if z > TAIL_FROM:
            h.tail_up = min(h.tail_up + 0.06 * (min(math.log(z / TAIL_FROM), 1.0) - h.tail_up), TAIL_MOST)
        if z < -TAIL_FROM:
            h.tail_down = min(h.tail_down + 0.06 * (min(math.log(-z / TAIL_FROM), 1.0) - h.tail_down), TAIL_MOST)
        clipped = _clip(slow_z, 3.0)
        h.rho = min(max(h.rho + RHO_RATE * (clipped * h.slow_z1 - h.rho), 0.0), 0.85)
        h.slow_z1 = clipped
    moved = _clip(slow_residual, slow_cap)
    if warm:
        h.offset_var += 0.03 * (h.offset * h.offset - h.offset_var)
        h.offset_cov += 0.03 * (moved * h.offset - h.offset_cov)
    h.offset += OFFSET_RATE * (moved - h.offset)
    if hourly:
        own = y - h.level - s.hour[hour] - (s.day[weekday] if s.day_seen[weekday] >= 20 else 0.0)
        s.hour_seen[hour] = min(s.hour_seen[hour] + 1, 60_000)
        known = s.hour_seen[hour]
        s.hour[hour] += max(HOUR_RATE, 1.0 / known) * (_clip(own, cap * (0.5 if young else 1.5)) if known > 1 else own)
        own = y - h.level - s.hour[hour] - s.day[weekday]
        s.day_seen[weekday] = min(s.day_seen[weekday] + 1, 60_000)
        known = s.day_seen[weekday]
        rate = max(DAY_RATE_HOURLY, 1.0 / (known + 3))
        s.day[weekday] += rate * (_clip(own, cap * 3) if known > 24 else own)
    else:
        own = y - h.level - s.day[weekday]
        if s.day_seen[weekday] > 1:
            own = _clip(own, slow_cap)
        s.day_seen[weekday] = min(s.day_seen[weekday] + 1, 60_000)
        s.day[weekday] += max(DAY_RATE, 1.0 / s.day_seen[weekday]) * own
    rate = max(LEVEL_RATE if not hourly else LEVEL_RATE / HOURLY_SLOWER, 1.0 / h.learned if h.learned < 10 else 0.0)
    if warm and h.quiet == 0:
        rate *= max(0.0, 1.0 - DRIFT_HOLD * max(h.up, h.down) / DRIFT_LIMIT)
    if not young or h.learned < 24:
        h.level += rate * _clip(y - h.level - effect if earned > 0.5 else y - slow, slow_cap)


@compiled
def bounds(h) -> tuple[float, float, float]:  # type: ignore[no-untyped-def]
    """(lower, expected, upper) around the level, seasons left out; infinitely wide while nothing is believed."""
    expected = _restore(h.scale, h.level, h.mean)
    if h.learned <= WARM:
        return -math.inf, expected, math.inf
    reach = LIMIT_LEAST * SIGMA * h.slow_dev
    return _restore(h.scale, h.level - reach, h.mean), expected, _restore(h.scale, h.level + reach, h.mean)


@compiled
def judge_many(heads, seasons, rows, at: float, values, parameters, out) -> None:  # type: ignore[no-untyped-def]
    """Score, then learn, one value of each of many series: `values[i]` of the series in row `rows[i]`.

    `heads` and `seasons` are arrays of `HEAD` and `SEASONS`; `out` is len(rows) x `WIDTH` and takes the readings.
    """
    for i in range(len(rows)):
        _judge(heads[rows[i]], seasons[rows[i]], at, values[i], parameters, out[i])


def blank(count: int) -> tuple[Array, Array]:
    """`HEAD` and `SEASONS` of so many series that have seen nothing."""
    heads, seasons = np.zeros(count, HEAD), np.zeros(count, SEASONS)
    heads["unit"] = 1.0
    heads["offset_var"] = 1e-9
    heads["over_up"] = heads["over_down"] = 0.008
    heads["tail_up"] = heads["tail_down"] = TAIL_FIRST
    return heads, seasons
