"""`detector profile --topic` on a real Kafka: what is killed goes on, and every row is in a profile."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.services.kafka import Kafka
from tests.services.waiting import eventually

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


def test_what_is_killed_goes_on_and_no_row_is_lost(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> None:
    rows, profiles = topic_prefix + "rows", topic_prefix + "profiles"
    kafka.create_topic(rows, 3)
    kafka.create_topic(profiles, 1)
    old = time.time() - 60
    _produce(kafka, rows, [(i % 3, old + i / 50) for i in range(1_000)])

    first = _profiler(kafka, rows, profiles, tmp_path)
    eventually(lambda: len(_told(kafka, profiles)) >= 3, "the first windows")
    first.kill()
    first.wait(30)
    _produce(kafka, rows, [(i % 3, time.time()) for i in range(500)])
    second = _profiler(kafka, rows, profiles, tmp_path)
    eventually(lambda: sum(_told(kafka, profiles).values()) >= 1_500, "all rows", 60)
    second.send_signal(signal.SIGINT)

    assert second.wait(30) == 0
    assert sum(_told(kafka, profiles).values()) == 1_500


def _produce(kafka: Kafka, topic: str, records: list[tuple[int, float]]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number, (partition, at) in enumerate(records):
        producer.produce(topic, json.dumps({"id": number}), partition=partition, timestamp=round(at * 1_000))
    assert producer.flush(30) == 0


def _profiler(kafka: Kafka, topic: str, to: str, folder: Path) -> subprocess.Popen[bytes]:
    command = ["profile", "--topic", topic, "--to", to, "--window", "2s", "--late", "1s", "--from-start"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap}
    with (folder / "profiler.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "detector", *command, "--dataset", "dataset:kafka/rows"],
            cwd=folder,
            env=env,
            stdout=log,
            stderr=log,
        )


def _told(kafka: Kafka, topic: str) -> dict[tuple[str, str], float]:
    """The rows of each window; one that was told twice is one."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "reader", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: dict[tuple[str, str], float] = {}
    while (message := consumer.poll(10)) is not None and message.error() is None:
        profile = json.loads(message.value() or b"")
        key = (profile["window_start"], profile["window_end"])
        assert found.setdefault(key, profile["rows"]) == profile["rows"]
    consumer.close()
    return found
