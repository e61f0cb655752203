"""River's estimators in the daemon, on real services: after a kill they say and keep what one pass does."""

import json
import time
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.integration.system import System, run_events
from tests.services.kafka import Kafka
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

LEARNED = 800  # events: fifty loads of each table, which is more than an estimator waits for


@pytest.mark.parametrize(
    "model",
    [
        pytest.param({"estimator": "anomaly.GaussianScorer"}, id="GaussianScorer"),
        pytest.param({"estimator": "anomaly.HalfSpaceTrees", "n_trees": 10}, id="HalfSpaceTrees"),
        pytest.param({"estimator": "anomaly.PredictiveAnomalyDetection"}, id="PredictiveAnomalyDetection"),
        pytest.param({"estimator": "drift.ADWIN"}, id="ADWIN"),
        pytest.param({"estimator": "drift.KSWIN", "seed": 3}, id="KSWIN"),
    ],
)
def test_an_estimator_of_rivers_lives_on_after_a_kill(
    kafka: Kafka, redis_url: str, topic_prefix: str, tmp_path: Path, model: dict[str, Any]
) -> None:
    random = Random(31)
    settings = {"detection": {"model": {"kind": "river", **model}, "metrics": ["rows"]}}
    with System(kafka.bootstrap, redis_url, topic_prefix, tmp_path, partitions=1, settings=settings) as system:
        events = run_events(random, jobs=4)
        worker = system.start(DETECTOR_WORKER__SNAPSHOT_RECORDS="60")
        system.send(*islice(events, LEARNED))
        eventually(system.states, "a state in Redis")
        for _ in range(8):
            system.send(*(times(event, 3) for event in islice(events, LEARNED // 8)))
            system.flush()
            time.sleep(random.uniform(0, 0.15))  # where it is when it dies, not a wait for something
        worker.kill()
        system.send(*(times(event, 3) for event in islice(events, 200)))
        second = system.start()
        system.wait_until_idle()

        assert from_a_snapshot(second.text())
        system.check()
        told = [anomaly for anomaly in system.anomalies("rows") if anomaly["phase"] == "started"]
        assert told
        assert all("usual is about" in anomaly["summary"] for anomaly in told)
        _, store = system.undisturbed()
        assert system.states() == {
            key: state for _, states, _ in store.snapshots.values() for key, state in states.items()
        }


def from_a_snapshot(log: str) -> bool:
    """Whether a process began where a snapshot was, and not at the beginning of the log."""
    found = [json.loads(line) for line in log.splitlines() if '"recovered"' in line]
    return any(line["at"] > 0 for line in found)


def times(event: dict[str, Any], factor: float) -> dict[str, Any]:
    """The same event with so many times the rows."""
    for written in event.get("outputs", ()):
        written["rows"] *= factor
    return event
