"""Series of another structure than pipebench's, with faults of known place. Nothing may be tuned on these.

Entities have one to four series that share a latent factor. Times are those of a cron in local time with its change
to summer time, of an hourly or a quarter-hourly job, or of bursts: irregular, with gaps and batches. Levels are
products of seasons, a growth that saturates and a regime, of which two alternate (level and variance: what pipebench
calls a legitimate change). Noise grows with the level; tails are skewed; some series are mostly zero, some counters.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from bench.detection import pipebench as pb

Array = NDArray[Any]

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Tokyo")
KINDS = ("volume", "latency", "counter", "zeros", "share", "gauge")
START = datetime(2023, 2, 1, tzinfo=UTC)

# class: fewest and most observations that it lasts
LENGTHS = {
    "drop": (1, 4),
    "spike": (1, 4),
    "partial_load": (3, 8),
    "duplicate_load": (1, 3),
    "null_jump": (4, 15),
    "stuck": (8, 25),
    "creep": (25, 45),
    "leak": (30, 55),
    "unit": (2, 10),
    "decorrelation": (20, 40),
}
ALLOWED = {
    "volume": ("drop", "spike", "partial_load", "duplicate_load", "stuck", "leak", "unit", "decorrelation"),
    "latency": ("spike", "creep", "unit", "stuck"),
    "counter": ("drop", "stuck", "unit"),
    "zeros": ("spike", "unit"),
    "share": ("null_jump", "stuck"),
    "gauge": ("stuck", "decorrelation"),
}
pb.K.update(unit=2, decorrelation=20)


def generate(seed: int = 1, n_series: int = 240, *, faults: bool = True) -> list[pb.Series]:
    """So many series, the same for the same seed; without faults they are the same series but for these."""
    out: list[pb.Series] = []
    entity = 0
    while len(out) < n_series:
        out += _entity(seed, entity, faults=faults)
        entity += 1
    return out[:n_series]


def _entity(seed: int, entity: int, *, faults: bool) -> list[pb.Series]:
    """The series of one entity, which run at the same times and share a factor."""
    rng = np.random.default_rng([seed, entity, 7])
    cadence = str(rng.choice(["d", "d", "h", "q", "b"]))
    n = int(rng.choice([90, 180, 365, 600] if cadence == "d" else [400, 800, 1500]))
    zone = ZoneInfo(str(rng.choice(ZONES)))
    ts = _times(rng, cadence, n, zone)
    factor = _ar(rng, n, float(rng.uniform(0.3, 0.95)))
    regime = _regimes(rng, n)
    season = _season(rng, ts, zone, cadence)
    out = []
    for column, kind in enumerate(rng.choice(KINDS, int(rng.integers(1, 5)), p=(0.35, 0.2, 0.1, 0.1, 0.15, 0.1))):
        own = np.random.default_rng([seed, entity, column, 11])
        y, expected, sd = _values(own, str(kind), season, factor, regime)
        switches = [int(i) for i in np.flatnonzero(np.diff(regime)) + 1] if kind != "counter" else []
        name = f"e{entity}.{kind}{column}_{cadence}_{n}"
        s = pb.Series(name, str(kind), ts, y, [], switches, np.zeros(n, bool), (expected, sd))
        if faults and own.random() < 0.7:
            _faults(own, s)
        out.append(s)
    return out


# ---------------------------------------------------------------- what is healthy


def _times(rng: np.random.Generator, cadence: str, n: int, zone: ZoneInfo) -> Array:
    """Seconds since 1970 of each run."""
    begin = START + timedelta(days=int(rng.integers(0, 200)))
    if cadence == "d":
        hour = int(rng.integers(4, 23))
        days = ((begin + timedelta(days=i)).date() for i in range(n))
        at = [datetime(d.year, d.month, d.day, hour, 15, tzinfo=zone).timestamp() for d in days]
        return np.array(at) + rng.gamma(2.0, 60.0, n)
    if cadence in "hq":
        step = 3600.0 if cadence == "h" else 900.0
        kept = np.cumsum(1 + (rng.random(n) < 0.01) * rng.integers(1, 8, n))  # some runs never were: no value, no fault
        return begin.timestamp() + step * kept + rng.gamma(2.0, step / 200, n)
    waits = rng.exponential(1500.0, n)
    waits[rng.random(n) < 0.25] = 5.0  # a batch
    waits[rng.random(n) < 0.01] = 30_000.0  # a gap
    return begin.timestamp() + np.cumsum(waits + 1.0)


def _ar(rng: np.random.Generator, n: int, phi: float) -> Array:
    """An autoregression of deviation 1."""
    x, out = 0.0, np.zeros(n)
    for i, e in enumerate(rng.normal(0, (1 - phi * phi) ** 0.5, n)):
        x = phi * x + e
        out[i] = x
    return out


def _regimes(rng: np.random.Generator, n: int) -> Array:
    """0 or 1 for each run: two regimes that alternate, in a third of the entities."""
    out = np.zeros(n, int)
    if rng.random() < 0.67:
        return out
    i, state = int(rng.integers(60, 120)), 1
    while i < n:
        j = i + int(rng.integers(50, 200))
        out[i:j] = state
        i, state = j, 1 - state
    return out


def _season(rng: np.random.Generator, ts: Array, zone: ZoneInfo, cadence: str) -> Array:
    """A product of profiles of the local weekday, hour and day of the month."""
    local = [datetime.fromtimestamp(t, zone) for t in ts]
    week = np.exp(rng.normal(0, 0.1, 7))
    week[5:] *= rng.choice([1.0, 1.0, rng.uniform(0.1, 0.8)])
    out = week[[t.weekday() for t in local]]
    if cadence != "d":
        peak, width, floor = rng.uniform(0, 24), rng.uniform(1.5, 6), rng.uniform(0.05, 0.8)
        hour = np.array([t.hour + t.minute / 60 for t in local])
        apart = np.minimum(np.abs(hour - peak), 24 - np.abs(hour - peak))
        out = out * (floor + np.exp(-((apart / width) ** 2)))
    if rng.random() < 0.2:
        out = out * np.where(np.array([t.day for t in local]) == 1, rng.uniform(1.2, 2.5), 1.0)
    return out


def _values(
    rng: np.random.Generator, kind: str, season: Array, factor: Array, regime: Array
) -> tuple[Array, Array, Array]:
    """Values, and for the oracle what was expected and about how far they stray."""
    n = len(season)
    growth = 1 + rng.choice([0.0, 0.0, rng.uniform(0.3, 3)]) / (
        1 + np.exp(-(np.arange(n) - n * rng.uniform(0.2, 0.8)) / (n / 10))
    )
    level = season * growth * np.where(regime == 1, np.exp(rng.choice([-1, 1]) * rng.uniform(0.2, 1.0)), 1.0)
    sigma = float(rng.choice([0.02, 0.05, 0.1, 0.2])) * np.where(regime == 1, rng.uniform(0.6, 2.0), 1.0)
    sigma = sigma * (level / np.median(level)) ** rng.uniform(-0.4, 0.3)
    shared = rng.uniform(0.3, 0.9)
    noise = np.exp(sigma * (shared * factor + (1 - shared**2) ** 0.5 * rng.normal(0, 1, n)))
    scale = 10 ** rng.uniform(1.5, 7)
    if kind == "volume":
        return np.round(scale * level * noise), scale * level, scale * level * sigma
    if kind == "latency":
        shape = rng.uniform(3, 30)
        tail = 1 + np.where(rng.random(n) < 0.03, rng.pareto(3, n), 0.0)
        mean = 10 ** rng.uniform(0, 3) * level**0.5
        return mean * noise * tail * rng.gamma(shape, 1 / shape, n), mean, mean * (sigma + shape**-0.5)
    if kind == "counter":
        y = np.cumsum(np.round(scale * level * noise))
        return y, np.concatenate([[0.0], y[:-1]]) + scale * level, scale * level * sigma
    if kind == "zeros":
        mean = rng.uniform(2, 200) * level
        y = np.where(rng.random(n) < rng.uniform(0.4, 0.9), 0, rng.negative_binomial(2, 2 / (2 + mean)))
        return y.astype(float), mean * 0.35, mean
    if kind == "share":
        size, p = 10 ** rng.uniform(1.5, 4), rng.uniform(0.0005, 0.4)
        q = np.clip(p * noise, 0, 0.95)
        return rng.beta(q * size, (1 - q) * size), q, np.sqrt(q * (1 - q) / size)
    swing = rng.uniform(1, 50)
    sd = swing * sigma * 2
    mean = swing * (level - np.mean(season))
    return mean + sd * (shared * factor + (1 - shared**2) ** 0.5 * rng.standard_t(4, n)), mean, sd * 1.3


# ---------------------------------------------------------------- what is not


def _faults(rng: np.random.Generator, s: pb.Series) -> None:
    n = len(s.y)
    i = 50 + int(rng.integers(0, 30))
    while i < n - 10:
        cls = str(rng.choice(ALLOWED[s.kind]))
        j = min(n, i + int(rng.integers(LENGTHS[cls][0], LENGTHS[cls][1] + 1)))
        if any(i - 25 < change < j + 25 for change in s.legit) or (j == n and j - i < LENGTHS[cls][0]):
            i += 15
            continue
        s.y[i:j] = FAULTS[cls](rng, s.y[:j], i)
        s.faults.append((cls, i, j - 1))
        i = j + int(rng.integers(50, 80 + n // 4))


def _scaled(low: float, high: float) -> Callable[[np.random.Generator, Array, int], Array]:
    return lambda rng, y, i: y[i:] * rng.uniform(low, high)


def _ramp(low: float, high: float) -> Callable[[np.random.Generator, Array, int], Array]:
    return lambda rng, y, i: y[i:] * (1 + rng.uniform(low, high) * np.linspace(0.05, 1, len(y) - i) ** 1.5)


def _unit(rng: np.random.Generator, y: Array, i: int) -> Array:
    return np.asarray(y[i:] * rng.choice([1 / 1000, 1 / 60, 60.0, 1000.0]))


def _nulls(rng: np.random.Generator, y: Array, i: int) -> Array:
    return np.clip(y[i:] + (1 - y[i:]) * rng.uniform(0.03, 0.4), 0, 1)


def _stuck(_: np.random.Generator, y: Array, i: int) -> Array:
    return np.full(len(y) - i, y[i - 1])


def _shuffled(rng: np.random.Generator, y: Array, i: int) -> Array:
    """Values that are each usual, at times and beside other columns where they are not."""
    return rng.choice(y[max(0, i - 60) : i], len(y) - i)


# class: from all values until its end, and where it begins, to the faulty ones
FAULTS: dict[str, Callable[[np.random.Generator, Array, int], Array]] = {
    "drop": _scaled(0.0, 0.25),
    "spike": _scaled(3.5, 12),
    "partial_load": _scaled(0.4, 0.75),
    "duplicate_load": _scaled(2.0, 2.0),
    "null_jump": _nulls,
    "stuck": _stuck,
    "creep": _ramp(0.8, 2.0),
    "leak": _ramp(-0.7, -0.4),
    "unit": _unit,
    "decorrelation": _shuffled,
}
