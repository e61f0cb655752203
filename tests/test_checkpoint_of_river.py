"""Crashes, zombies and losses of Redis while River's estimators judge: what is said and kept is one quiet pass's."""

from functools import partial
from random import Random
from typing import Any

import pytest

from detector.checkpoint import Limits
from detector.core.models.estimator import Estimator
from detector.core.rules import Rules, Settings
from tests.fakes.cluster import Cluster, FakeStore
from tests.test_checkpoint import Schedule, Worker, fill, give, worker, written

MODELS: dict[str, dict[str, Any]] = {
    "GaussianScorer": {"estimator": "anomaly.GaussianScorer", "grace_period": 3, "threshold": 0.9},
    "HalfSpaceTrees": {"estimator": "anomaly.HalfSpaceTrees", "n_trees": 3, "window_size": 5, "threshold": 0.5},
    "PredictiveAnomalyDetection": {"estimator": "anomaly.PredictiveAnomalyDetection", "n_std": 1.0},
    "QuantileFilter": {"estimator": "anomaly.QuantileFilter", "q": 0.7},
    "ADWIN": {"estimator": "drift.ADWIN", "delta": 1.0, "grace_period": 1, "min_window_length": 1},
    "KSWIN": {"estimator": "drift.KSWIN", "window_size": 10, "stat_size": 4, "alpha": 0.3},
    "PageHinkley": {"estimator": "drift.PageHinkley", "min_instances": 3, "threshold": 1.0},
}


class RiverSchedule(Schedule):
    """The same accidents, with an estimator that is young enough to speak in so short a life."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.rules = rules
        super().__init__(seed)
        self.at = fill(self.cluster, self.random, 120, self.at)

    def new(self) -> Worker:
        self.members += 1
        limits = Limits(snapshot_records=self.random.choice((5, 20, 1_000)), cached=self.random.choice((1, 100)))
        chaos = Random(self.random.random())
        return worker(self.cluster, self.store, self.members, chaos, rules=self.rules, limits=limits)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_schedules_of_accidents_say_and_keep_what_a_quiet_run_does(name: str) -> None:
    rules = Rules(default=Settings(model=partial(Estimator, warmup=3, **MODELS[name])))
    judged = 0
    for seed in range(12):
        schedule = RiverSchedule(seed, rules)
        schedule.run(150)
        schedule.end()
        calm, store = Cluster(schedule.cluster.partitions, delivers=False), FakeStore()
        calm.records = schedule.cluster.records
        give(calm, worker(calm, store, rules=rules)).finish()

        assert written(schedule.cluster) == written(calm), f"seed {seed}"
        judged += sum(b"usual is about" in (value or b"") for _, _, value in written(calm))
        for partition, (head, states, due) in store.snapshots.items():
            found = schedule.store.snapshots[partition]
            assert found[0].digest == head.digest, f"seed {seed}"
            assert (found[1], found[2]) == (states, due), f"seed {seed}"

    assert judged > 0
