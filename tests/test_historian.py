"""The history in Redis holds every judged run of the topic, whatever happens to Redis and to whoever keeps it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
import redis
from confluent_kafka import Producer

from detector import history
from detector.embedded import EmbeddedBroker, EmbeddedRedis
from detector.historian import Historian
from tests.services.gate import Gate
from tests.services.waiting import eventually

TOPIC, PREFIX = "detector.runs", "test"
JOB = "job:ns/load"


class Told:
    """What the historian told."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        self.kept = 0

    def history_waits(self, why: str) -> None:
        self.waits.append(why)

    def history_kept(self, runs: int) -> None:
        self.kept += runs


class World:
    """A topic of runs, a Redis that can be cut off, and what is said and read."""

    def __init__(self, broker: EmbeddedBroker, server: EmbeddedRedis, gate: Gate) -> None:
        self.broker, self.gate, self.told = broker, gate, Told()
        self.client = redis.Redis.from_url(server.url)
        self._through_gate = redis.Redis.from_url(f"redis://127.0.0.1:{gate.port}", socket_timeout=0.5, retry=None)
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 0})

    def say(self, *ids: str) -> None:
        for run in ids:
            known = {"kind": "run", "state": "COMPLETE", "severity": "info", "reason": "a good run"}
            told = json.dumps({**known, "entity": JOB, "ended": float(run), "run_id": run})
            self._producer.produce(TOPIC, told, JOB, int(run) % 2)
        assert self._producer.flush(30) == 0

    def kept(self) -> list[str | None]:
        return [past.run.run_id for past in history.runs(self.client, PREFIX, JOB, 100)]

    @contextmanager
    def historian(self) -> Iterator[Thread]:
        stop = Event()
        settings = {"bootstrap.servers": self.broker.bootstrap}
        service = Historian(settings, "history", TOPIC, self._through_gate, PREFIX, self.told)
        thread = Thread(target=service.run, args=(stop,), daemon=True)
        thread.start()
        try:
            yield thread
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def world(embedded_broker: EmbeddedBroker) -> Iterator[World]:
    embedded_broker.create_topic(TOPIC, 2)
    with EmbeddedRedis(tcp=True) as server, Gate(int(server.url.rpartition(":")[2].partition("/")[0])) as gate:
        gate.open()
        yield World(embedded_broker, server, gate)


def test_runs_of_before_and_after_its_start_are_kept(world: World) -> None:
    world.say("1", "2")
    with world.historian():
        eventually(lambda: world.kept() == ["2", "1"], "the runs of before")
        world.say("3")

        eventually(lambda: world.kept() == ["3", "2", "1"], "the run of after")


@pytest.mark.slow
def test_while_redis_is_away_it_waits_and_loses_nothing(world: World) -> None:
    with world.historian():
        world.say("1")
        eventually(lambda: world.kept() == ["1"], "the first run")
        world.gate.shut()
        world.say("2", "3")
        eventually(lambda: world.told.waits, "the historian to notice")
        world.gate.open()

        eventually(lambda: world.kept() == ["3", "2", "1"], "what was said meanwhile")
    assert "Redis" in world.told.waits[0]


def test_the_next_one_goes_on_where_the_last_one_ended(world: World) -> None:
    with world.historian():
        world.say("1")
        eventually(lambda: world.kept() == ["1"], "the first run")
    world.client.flushall()
    world.say("2")
    with world.historian():
        eventually(lambda: world.kept() == ["2"], "the second run, and not the first again")


def test_it_ends_while_it_waits_for_redis(world: World) -> None:
    with world.historian():
        world.gate.shut()
        world.say("1")
        eventually(lambda: world.told.waits, "the historian to wait")
