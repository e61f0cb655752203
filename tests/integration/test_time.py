"""Time on real services: nothing is called late because of the detector itself, or of a clock; what is late is.

The stages run in this process, with a clock that the test moves: an hour takes no hour. What they read and write is a
real Kafka and a real Redis.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from detector.codecs.schema import text
from tests.integration.system import MINUTE, System, daemon
from tests.services.gate import Gate
from tests.services.kafka import Kafka
from tests.services.registry import SchemaRegistry
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

HOUR = 3_600.0
RUNS = 9


@pytest.fixture
def system(kafka: Kafka, redis_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    with System(kafka.bootstrap, redis_url, topic_prefix, tmp_path, settings=SETTINGS) as made:
        yield made


SETTINGS = {"time": {"tick": "30s", "gap": "3m"}}


def midnight() -> float:
    """A day ago, so that every moment of the stories below has passed."""
    return time.time() // HOUR * HOUR - 24 * HOUR


def nightly(start: float, hours: Sequence[int]) -> list[dict[str, Any]]:
    """The hourly runs of one job, each ten minutes long."""
    events: list[dict[str, Any]] = []
    for hour in hours:
        run = {"namespace": "airflow", "name": "load", "run_id": f"run-{start}-{hour}"}
        events.append({**run, "state": "START", "event_time": start + hour * HOUR})
        events.append({**run, "state": "COMPLETE", "event_time": start + hour * HOUR + 10 * MINUTE})
    return events


def others(start: float, count: int) -> list[dict[str, Any]]:
    """What fills a backlog: runs of jobs that nobody waits for."""
    return [
        {
            "namespace": "airflow",
            "name": f"other-{number}",
            "run_id": f"other-{number}",
            "state": "COMPLETE",
            "event_time": start,
        }
        for number in range(count)
    ]


def learned(system: System, start: float) -> None:
    """A detector that has seen nine hourly runs, and is stopped twenty minutes after the last one's start."""
    with daemon(system, start + (RUNS - 1) * HOUR + 20 * MINUTE) as running:
        system.send(*nightly(start, range(RUNS)))
        system.wait_until_idle()
        running.now += MINUTE
        running.ticked()
        running.pass_to(running.now + 6 * MINUTE)  # past the grace of a start


def late(system: System) -> list[dict[str, Any]]:
    return [found for found in system.anomalies("late") if found["phase"] == "started"]


def test_nothing_arrives_and_the_late_verdict_comes_at_the_learned_minute(system: System) -> None:
    start = midnight()
    with daemon(system, start + (RUNS - 1) * HOUR + 20 * MINUTE) as running:
        system.send(*nightly(start, range(RUNS)))
        system.wait_until_idle()
        running.ticked()
        running.pass_to(start + RUNS * HOUR + 5 * MINUTE - 1)
        system.wait_until_idle()
        before = late(system)
        running.pass_to(start + RUNS * HOUR + 6 * MINUTE)
        (found,) = eventually(lambda: late(system), "the late verdict")

    assert before == []
    assert found["entity"] == "job:airflow/load"
    assert 0 <= found["since"] - (start + RUNS * HOUR + 5 * MINUTE) <= MINUTE


def test_a_detector_that_was_down_for_two_hours_calls_nothing_late_of_the_backlog(system: System) -> None:
    start = midnight()
    learned(system, start)
    system.send(*others(start, 20_000), *nightly(start, [RUNS, RUNS + 1]))
    system.flush()
    with daemon(system, start + (RUNS + 1) * HOUR + 20 * MINUTE) as running:
        running.ticked()
        running.pass_to(running.now + 25 * MINUTE)
        system.wait_until_idle()
        backlog = late(system)
        running.pass_to(start + (RUNS + 2) * HOUR + 7 * MINUTE)
        found = eventually(lambda: late(system), "the first run that really stays away")

    assert backlog == []
    assert [one["entity"] for one in found] == ["job:airflow/load"]


def test_time_stands_still_while_ingest_alone_is_down(system: System) -> None:
    start = midnight()
    learned(system, start)
    system.send(*others(start, 2_000), *nightly(start, [RUNS, RUNS + 1]))
    system.flush()
    with daemon(system, start + (RUNS + 1) * HOUR + 20 * MINUTE, ["worker"]) as worker:
        eventually(lambda: worker.value("detector_consumer_lag_messages") > 2_000, "the worker to see the backlog")
        eventually(lambda: worker.value("detector_partitions_held") == system.partitions, "the partitions")
        looked = worker.value("detector_ticks_total")
        with daemon(system, worker.now, ["ingest"]):
            worker.ticked()
            worker.pass_to(worker.now + 25 * MINUTE)
            system.wait_until_idle()

    assert looked == 0
    assert late(system) == []


def test_time_stands_still_while_ingest_waits_for_the_registry(
    kafka: Kafka, registry: SchemaRegistry, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    start, address = midnight(), urlsplit(registry.url)
    with Gate(address.port or 0) as gate:
        settings = {**SETTINGS, "registry": {"url": f"http://127.0.0.1:{gate.port}{address.path}"}}
        with System(kafka.bootstrap, redis_url, topic_prefix, tmp_path, settings=settings) as system:
            learned(system, start)
            system.send(*nightly(start, [RUNS, RUNS + 1]), encode=partial(serialized, registry.url))
            system.flush()
            with daemon(system, start + (RUNS + 1) * HOUR + 20 * MINUTE) as running:
                eventually(lambda: running.value("detector_consumer_lag_messages") > 0, "ticks to wait", 60)
                eventually(lambda: not running.telemetry.health.verdict().ready, "somebody to say so")
                waited = running.value("detector_ticks_total")
                gate.open()
                running.ticked()
                running.pass_to(running.now + 25 * MINUTE)
                system.wait_until_idle()

            assert waited == 0
            assert system.read(system.config.topics.dead_letters) == []
            assert late(system) == []
            assert sum(system.runs_in_log().values()) == 2 * RUNS + 4


def test_no_tick_passes_what_arrived_behind_an_open_transaction(system: System) -> None:
    """Nobody can read it yet, but it has arrived: a tick before it would say that it has not."""
    start = midnight()
    learned(system, start)
    ids = {"bootstrap.servers": system.bootstrap, "transactional.id": system.name}
    producer = Producer(ids)
    producer.init_transactions(10)
    producer.begin_transaction()
    for event in nightly(start, [RUNS]):
        value = msgspec.json.encode(event)
        producer.produce(system.config.topics.inputs[0], value, "load", timestamp=int(event["event_time"] * 1000))
    producer.flush(10)
    with daemon(system, start + RUNS * HOUR + 20 * MINUTE) as running:
        eventually(lambda: running.value("detector_consumer_lag_messages") > 0, "ticks to wait", 60)
        before = running.value("detector_ticks_total")
        producer.commit_transaction(10)
        running.ticked()
        running.pass_to(running.now + 10 * MINUTE)
        system.wait_until_idle()

    assert before == 0
    assert late(system) == []


def serialized(url: str, event: Mapping[str, Any]) -> bytes:
    """An event in Confluent's wire format, by Confluent's own serializer."""
    at = datetime.fromtimestamp(event["event_time"], UTC)
    with SchemaRegistryClient({"url": url}) as client:
        write = AvroSerializer(client, text("run_event.avsc"))
        found = write({**event, "event_time": at}, SerializationContext("runs", MessageField.VALUE))
    assert found is not None
    return found


@pytest.mark.parametrize("wrong", [24 * HOUR, 2 * HOUR])
def test_the_ticks_of_a_clock_that_is_ahead_are_ignored_and_counted(system: System, wrong: float) -> None:
    now = time.time()
    runs = nightly(now - (RUNS - 1) * HOUR - 20 * MINUTE, range(RUNS))
    with daemon(system, now + wrong) as running:
        system.send(*runs)
        system.wait_until_idle()
        running.ticked()
        running.pass_to(running.now + 10 * MINUTE)
        eventually(lambda: running.value("detector_ticks_ignored") >= 10 * system.partitions, "them to be ignored")
        system.wait_until_idle()
    with daemon(system, time.time() - 3 * MINUTE) as right:
        right.pass_to(time.time())
        system.wait_until_idle()
        clocks = eventually(lambda: heartbeats(system), "a heartbeat")

    assert system.anomalies("late") == []
    assert all(clock <= time.time() for clock in clocks)


def heartbeats(system: System) -> list[float]:
    """The clocks that heartbeats on the topic of breakers told."""
    values = [value for _, _, key, value, _ in system.read(system.config.topics.breakers) if _is_heartbeat(key)]
    return [msgspec.json.decode(value or b"{}")["clock"] for value in values]


def _is_heartbeat(key: bytes | None) -> bool:
    return (key or b"").startswith(b"heartbeat:")
