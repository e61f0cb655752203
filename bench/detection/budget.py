"""Alerts of healthy series against the budget of false alarms that was set: `python -m bench.detection.budget`."""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.detection import pipebench as pb
from bench.detection import regimes
from detector.config import Config
from detector.core.models import Model
from detector.settings import rules_of

BUDGETS = (4e-4, 8e-4, 1.6e-3)  # of the values of a series: the shipped one is 6.4e-4


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


if __name__ == "__main__":
    main()
