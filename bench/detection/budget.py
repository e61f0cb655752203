"""False alarms against the budget that was set, of series and of entities: `python -m bench.detection.budget`."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bench.detection import pipebench as pb
from bench.detection import regimes
from detector.config import Config
from detector.core.judge import QUARTER, observe
from detector.core.models import Model
from detector.core.rules import DAY, Rules
from detector.core.state import Entity
from detector.core.turn import Place, Turn
from detector.settings import rules_of

ENTITY_BUDGETS = (1.0, 6.0, 30.0)  # of an entity in a quarter: the shipped one is 6
BUDGETS = (4e-4, 8e-4, 1.6e-3)  # of the values of a series: the shipped one is 4.5e-4


class Kept(NamedTuple):
    """What became of a budget: false alarms per 1,000 observations of a series. Episodes are pipebench's."""

    stream: str
    budget: float
    episodes: float
    alerts: float
    series: int
    with_one: float

    @property
    def ratio(self) -> float:
        """Episodes for each one that the budget allows."""
        return self.episodes / self.budget


def healthy(stream: str, seeds: Sequence[int], n_series: int) -> list[pb.Series]:
    """The series of a generator without faults."""
    generate: Callable[..., list[pb.Series]] = {"pipebench": pb.generate, "regimes": regimes.generate}[stream]
    return [s for seed in seeds for s in generate(seed, n_series, faults=False)]


def kept(stream: str, series: list[pb.Series], share: float) -> Kept:
    """Run the shipped model with another budget, a share of the observations, over healthy series."""
    shipped: Callable[..., Model] = rules_of(Config()).default.model

    def factory() -> Callable[[float, float | None], tuple[float, bool]]:
        model = shipped(budget=share)

        def judge(at: float, x: float | None) -> tuple[float, bool]:
            reading = model.judge_one(at, x if x is not None else float("nan"))
            return reading.score, reading.alert

        return judge

    alerts, _ = pb.run(factory, series)
    result = pb.score(series, alerts)
    seen = sum(len(a) - pb.WARM for a in alerts)
    told = sum(int(a[pb.WARM :].sum()) for a in alerts)
    return Kept(
        stream, 1_000 * share, result["fa_per_1000"], 1_000 * told / seen, len(series), result["healthy_series_with_fa"]
    )


class Table(NamedTuple):
    """What became of the budget of an entity: loads of which something was told, in a quarter of a year."""

    columns: int
    step: float
    budget: float
    loads: int
    told: int

    @property
    def of_a_quarter(self) -> float:
        """So many loads of a quarter had something told of them."""
        return self.told / self.loads * QUARTER / self.step


def table(columns: int, step: float, budget: float, seed: int, loads: int = 300) -> Table:
    """A healthy table whose columns are independent, of heavy tails, two fifths of them shares of nulls.

    Loads come every `step` seconds; the first 30 are not counted. It is judged as one pass over the columns is, which
    may use half of the entity's budget.
    """
    random = np.random.default_rng([seed, columns])
    settings = replace(rules_of(Config()).default, budget=budget)
    entity, rules = Entity("dataset:bench/table"), Rules()
    names = [f"mean(c{column})" for column in range(columns)]
    level, sigma = 10 ** random.uniform(0, 5, columns), random.choice([0.02, 0.05, 0.1, 0.2], columns)
    is_share, share = random.random(columns) < 0.4, 10 ** random.uniform(-4, -1, columns)
    rows, told = int(10 ** random.uniform(3, 6)), 0
    for load in range(loads):
        values = level * np.exp(0.7 * sigma * random.standard_t(4, columns))
        nulls = random.binomial(rows, np.clip(share * np.exp(0.3 * random.normal(size=columns)), 0, 1)) / rows
        at = load * step
        turn = Turn(entity, settings, rules, Place("bench", 0, load, at), at, at, [])
        judged = observe(turn, names, np.where(is_share, nulls, values))
        told += load >= 30 and bool(judged.findings)
    return Table(columns, step, budget, loads - 30, told)


def of_tables(rows: Sequence[Table]) -> str:
    """The entities as a table."""
    head = f"{'columns':>7s} {'loads':>7s} {'budget':>7s} {'of it':>6s} {'told in a quarter':>18s}"
    body = [
        f"{r.columns:7,d} {'daily' if r.step == DAY else 'hourly':>7s} {r.budget:7.0f}"
        f" {r.budget / 2:6.1f} {r.of_a_quarter:18.2f}"
        for r in rows
    ]
    return "\n".join([head, *body])


def text(rows: Sequence[Kept]) -> str:
    """The budgets as a table."""
    head = (
        f"{'healthy series':14s} {'budget':>8s} {'episodes':>9s} {'ratio':>6s} {'alerts':>8s} {'series with one':>18s}"
    )
    body = [
        f"{r.stream:14s} {r.budget:8.3f} {r.episodes:9.3f} {r.ratio:6.1f} {r.alerts:8.3f} {r.with_one:11.0%}"
        for r in rows
    ]
    note = "per 1,000 observations of a series; a legitimate change is free once, calendar days always"
    return "\n".join([head, *body, note])


def measured(seeds: Sequence[int], n_series: int = 240) -> list[Kept]:
    """Three budgets on both generators."""
    rows = []
    for stream in ("pipebench", "regimes"):
        series = healthy(stream, seeds, n_series)
        rows += [kept(stream, series, budget) for budget in BUDGETS]
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m bench.detection.budget", description=__doc__)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--series", type=int, default=240)
    o = parser.parse_args()
    print(text(measured([o.seed], o.series)))
    sizes = [(columns, step) for columns in (5, 50, 300, 1_000) for step in (DAY, DAY / 24)]
    print(of_tables([table(columns, step, budget, o.seed) for columns, step in sizes for budget in ENTITY_BUDGETS]))


if __name__ == "__main__":
    main()
