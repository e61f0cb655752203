"""What no single series shows: runs whose metrics go together, and faults that part them. `--together` measures it.

An entity has two to eight metrics. Most follow a common factor (the size of the load) with noise of their own; the
factor has weekdays and hours, drifts, and sometimes moves to another level, with all that follow it. Noise has heavy
tails in half of the entities. Some metrics are missing in some runs, some have a season of their own, some follow
nothing.

Faults move one metric by a third or so (`apart`), half of them (`group`), or let one forget the factor (`loose`): each
value alone is mostly as usual. A table of several hundred columns has loads in which a tenth of them is off by a
little (`crowd`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river.anomaly import HalfSpaceTrees

from detector.config import Config
from detector.core.emissions import Anomaly, Emission
from detector.core.judge import observe
from detector.core.models.baseline import Baseline
from detector.core.state import Entity
from detector.core.together import CHECK, judge_together
from detector.core.turn import Place, Turn
from detector.settings import rules_of

Array = NDArray[Any]
DAY, HOUR = 86_400.0, 3_600.0
START = 1_672_617_600.0  # 2 January 2023, a Monday
NAMES = ("rows_in", "rows_out", "bytes_in", "bytes_out", "duration", "cost", "files", "pages")
KINDS = ("apart", "group", "loose")
HEAVY = 0.5  # share of entities
QUIET = 60  # loads before the first fault


class Stream(NamedTuple):
    """The runs of one entity: `values` is runs x metrics, NaN where one was not measured. Faults: (kind, first, last,
    the columns that are wrong).
    """

    at: Array
    names: tuple[str, ...]
    values: Array
    faults: list[tuple[str, int, int, list[int]]]


def generate(seed: int, count: int, *, faults: bool) -> Iterator[Stream]:
    """So many entities, the same for the same seed."""
    for number in range(count):
        yield _stream(np.random.default_rng([seed, number, 5]), faults)


def _stream(rng: np.random.Generator, faults: bool) -> Stream:
    hourly = rng.random() < 0.4
    n, d = (int(rng.choice([300, 600])) if hourly else int(rng.choice([150, 250, 400]))), int(rng.integers(2, 9))
    at = START + (HOUR if hourly else DAY) * np.arange(n) + 3 * HOUR + rng.gamma(2.0, 60.0, n)
    season = _season(rng, at, hourly)
    factor = season + _ar(rng, n, rng.uniform(0, 0.8)) * rng.uniform(0.08, 0.3) + _shifts(rng, n)
    heavy = rng.random() < HEAVY
    loading = np.where(rng.random(d) < 0.7, 1.0, rng.uniform(0.3, 1.2, d))
    loading[rng.random(d) < 0.2] = 0.0
    loading[:2] = 1.0
    noise = rng.standard_t(5, (n, d)) / 1.29 if heavy else rng.standard_normal((n, d))
    y = factor[:, None] * loading + noise * rng.uniform(0.01, 0.07, d) + np.log(10 ** rng.uniform(3, 8, d))
    for column in np.flatnonzero(rng.random(d) < 0.15):
        y[:, column] += 0.5 * _season(rng, at, hourly)
    for column in np.flatnonzero(loading == 0.0):
        y[:, column] += _ar(rng, n, 0.5) * 0.2
    wrong = _faults(rng, y, loading, factor, n) if faults else []
    values = np.round(np.exp(y))
    if rng.random() < 0.2:
        values[rng.random(n) < 0.3, int(rng.integers(d))] = np.nan
    return Stream(at, NAMES[:d], values, wrong)


def _ar(rng: np.random.Generator, n: int, phi: float) -> Array:
    out, x = np.zeros(n), 0.0
    for i, e in enumerate(rng.normal(0, (1 - phi * phi) ** 0.5, n)):
        x = phi * x + e
        out[i] = x
    return out


def _season(rng: np.random.Generator, at: Array, hourly: bool) -> Array:
    week = rng.normal(0, 0.1, 7)
    week[5:] -= rng.choice([0.0, 0.3, 0.8])
    out: Array = week[(at // DAY).astype(int) % 7 - 4]
    if hourly:
        out = out + rng.uniform(0.1, 0.8) * np.sin((at % DAY) / DAY * 2 * np.pi + rng.uniform(0, 6))
    return out


def _shifts(rng: np.random.Generator, n: int) -> Array:
    out = np.zeros(n)
    for _ in range(int(rng.integers(0, 3))):
        out[int(rng.integers(QUIET, n)) :] += rng.choice([-1, 1]) * rng.uniform(0.2, 0.9)
    return out


def _faults(
    rng: np.random.Generator, y: Array, loading: Array, factor: Array, n: int
) -> list[tuple[str, int, int, list[int]]]:
    out: list[tuple[str, int, int, list[int]]] = []
    follow = np.flatnonzero(loading > 0)
    i = QUIET + int(rng.integers(0, 20))
    while i < n - 25:
        kind = str(rng.choice(KINDS))
        columns = rng.permutation(follow)[: 1 if kind != "group" else max(1, len(follow) // 2)].tolist()
        j = i + (20 if kind == "loose" else int(rng.integers(1, 4)))
        if kind == "loose":
            y[i:j, columns] += (rng.permutation(factor[i - 40 : i])[: j - i] - factor[i:j])[:, None] * loading[columns]
        else:
            y[i:j, columns] += rng.choice([-1, 1]) * rng.uniform(0.25, 0.5)
        out.append((kind, i, j - 1, columns))
        i = j + int(rng.integers(30, 50))
    return out


def crowds(seed: int, count: int, *, faults: bool, columns: int = 600) -> Iterator[Stream]:
    """Means of the columns of a table, which follow five factors a little; a tenth are off together at some loads."""
    for number in range(count):
        rng = np.random.default_rng([seed, number, 9])
        n = 150
        at = START + DAY * np.arange(n) + 3 * HOUR
        weights = rng.normal(0, 0.3, (5, columns))
        noise = rng.standard_normal((n, columns)) if rng.random() < 0.5 else rng.standard_t(5, (n, columns)) / 1.3
        z = rng.standard_normal((n, 5)) @ weights + noise
        wrong: list[tuple[str, int, int, list[int]]] = []
        if faults:
            for i in range(QUIET, n - 2, 15):
                which = rng.permutation(columns)[: columns // 10]
                z[i, which] = 3.0 * rng.choice([-1, 1], len(which)) * (1 + (weights[:, which] ** 2).sum(0)) ** 0.5
                wrong.append(("crowd", i, i, which.tolist()))
        values = np.exp(np.log(10 ** rng.uniform(1, 6, columns)) + 0.1 * z)
        yield Stream(at, tuple(f"mean(c{k})" for k in range(columns)), values, wrong)


# ---------------------------------------------------------------- who judges


class Judged(NamedTuple):
    """Of each load: how unusual it is together (an alert from 1 on), and whether a series is unusual by itself."""

    together: Array
    alone: Array


Judge = Callable[[Stream], Judged]


def shipped(stream: Stream) -> Judged:
    """What ships, as it is called in the daemon."""
    rules = rules_of(Config())
    entity = Entity("dataset:bench/table")
    settings = rules.of(entity.key)
    together, alone, names = np.zeros(len(stream.at)), np.zeros(len(stream.at), bool), list(stream.names)
    for i, at in enumerate(stream.at.tolist()):
        said: list[Emission] = []
        turn = Turn(entity, settings, rules, Place("bench", 0, i, at), at, at, said)
        judged = observe(turn, names, stream.values[i])
        alone[i] = bool(judged.findings)
        related = dict(zip(judged.load.metrics, judged.load.values.tolist(), strict=True))
        judge_together(turn, judged.load, judged.findings, related, "load")
        turn.tell(None)
        together[i] = any(
            isinstance(e.data, Anomaly) and e.data.check == CHECK and e.data.phase != "ended" for e in said
        )
    return Judged(together, alone)


def _deviations(stream: Stream) -> tuple[Array, Array]:
    """What single baselines say: deviations from what was expected, at most 4, and whether one was unusual."""
    models = [Baseline() for _ in stream.names]
    z, alone = np.zeros(stream.values.shape), np.zeros(len(stream.at), bool)
    for i, at in enumerate(stream.at.tolist()):
        readings = [model.judge_one(at, x) for model, x in zip(models, stream.values[i].tolist(), strict=True)]
        z[i] = [reading.z for reading in readings]
        alone[i] = any(reading.alert for reading in readings)
    return np.clip(z, -4, 4), alone


def half_space_trees(stream: Stream) -> Judged:
    """River's half-space trees over the deviations of the single series, scaled to 0 to 1."""
    z, alone = _deviations(stream)
    trees = HalfSpaceTrees(
        n_trees=25, height=6, window_size=50, limits=dict.fromkeys(range(z.shape[1]), (0, 1)), seed=1
    )
    out = np.zeros(len(z))
    for i, row in enumerate((z / 8 + 0.5).tolist()):
        x = dict(enumerate(row))
        out[i] = trees.score_one(x) if i >= QUIET else 0.0
        if not alone[i]:
            trees.learn_one(x)
    return Judged(out, alone)


def conditional(stream: Stream) -> Judged:
    """The largest residual of a deviation given all others, by an exponential covariance, shrunk (Ledoit and Wolf)."""
    return _by_covariance(stream, lambda p, z: float(np.max(np.abs(p @ z) / np.sqrt(np.maximum(np.diag(p), 0.1)))))


def mahalanobis(stream: Stream) -> Judged:
    """The squared length of all deviations by the same covariance, over how many there are."""
    return _by_covariance(stream, lambda p, z: float(z @ p @ z) / len(z))


def _by_covariance(stream: Stream, statistic: Callable[[Array, Array], float]) -> Judged:
    z, alone = _deviations(stream)
    d = z.shape[1]
    cov, n, out = np.eye(d), 0, np.zeros(len(z))
    for i, row in enumerate(z):
        known = np.flatnonzero(row)
        if len(known) > 1 and n >= 20:
            sd = np.sqrt(np.diag(cov))
            r = cov / np.outer(sd, sd)
            off = r[np.triu_indices(d, 1)]
            shrunk = min(1.0, float(((1 - off**2) ** 2).sum()) / min(n, 40) / max(float((off**2).sum()), 1e-9))
            r = (1 - shrunk) * r + shrunk * np.eye(d)
            out[i] = statistic(np.linalg.inv(r[np.ix_(known, known)]), row[known] / sd[known])
        if len(known) > 1 and not alone[i]:
            n += 1
            both = np.outer(row != 0, row != 0) * max(0.02, 1 / (n + 1))
            clipped = np.clip(row, -3, 3)
            cov = cov + both * (np.outer(clipped, clipped) - cov)
    return Judged(out, alone)


JUDGES: dict[str, Judge] = {
    "detector": shipped,
    "half-space trees": half_space_trees,
    "conditional residual": conditional,
    "Mahalanobis": mahalanobis,
}
ALLOWED = 0.3  # false alarms per 1,000 loads


def measured(
    judge: Judge, streams: Callable[..., Iterator[Stream]], seeds: Sequence[int], count: int, *, best: bool
) -> dict[str, float]:
    """False alarms per 1,000 loads of healthy streams (the first of several in a row), and the share of each kind of
    fault that is found until the load after it; `alone` is what single series find.

    With `best`, the threshold is the lowest that raises `ALLOWED`: one that nobody can know beforehand.
    """
    healthy = [judge(stream) for seed in seeds for stream in streams(seed, count, faults=False)]
    loads = sum(len(judged.alone) for judged in healthy)
    quiet = [np.where(judged.alone, 0.0, judged.together) for judged in healthy]
    threshold = 1.0
    if best:
        threshold = float(np.nextafter(np.sort(np.concatenate(quiet))[-int(ALLOWED * loads / 1_000) - 1], np.inf))
    false = sum(_begins(out >= threshold) for out in quiet)
    figures = {
        "false per 1,000": 1_000 * false / loads,
        "series, alone": 1_000 * sum(_begins(j.alone) for j in healthy) / loads,
    }
    hits: dict[str, list[bool]] = {}
    for seed in seeds:
        for stream in streams(seed, count, faults=True):
            judged = judge(stream)
            told = (judged.together >= threshold) & ~judged.alone
            for kind, first, last, _ in stream.faults:
                hits.setdefault(f"found: {kind}", []).append(bool(told[first : last + 2].any()))
                hits.setdefault(f"alone: {kind}", []).append(bool(judged.alone[first : last + 2].any()))
    return figures | {name: float(np.mean(found)) for name, found in sorted(hits.items())}


def _begins(told: Array) -> int:
    return int((told[1:] & ~told[:-1]).sum() + told[0])


def table(seeds: Sequence[int], count: int = 60) -> str:
    """Everybody side by side: what ships at its own threshold, the others at the best one."""
    rows = {n: measured(judge, generate, seeds, count, best=n != "detector") for n, judge in JUDGES.items()}
    crowd = measured(shipped, crowds, seeds, max(count // 6, 1), best=False)
    lines = [f"together, seeds {', '.join(map(str, seeds))}", f"{'':24s}" + "".join(f"{n:>22s}" for n in rows)]
    lines += [f"{key:24s}" + "".join(f"{row[key]:22.3f}" for row in rows.values()) for key in rows["detector"]]
    lines += [
        "",
        "600 columns, of which 60 are off by three deviations",
        *(f"{k:24s}{v:22.3f}" for k, v in crowd.items()),
    ]
    return "\n".join(lines) + "\n"
