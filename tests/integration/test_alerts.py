"""`detector alert` with a real Kafka: who is called hears of an incident once, through outages of all that it needs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
import yaml
from confluent_kafka import Producer

from detector.alerts import Told
from detector.core.incidents import Incident
from detector.latest import fold
from tests.contracts.sinks import KEY, SECRET
from tests.fakes.alerting import incident, over
from tests.integration.system import System
from tests.integration.test_company import LEVELS, WIDTH, load, run
from tests.services.alertmanager import Alertmanager, paging
from tests.services.kafka import Kafka
from tests.services.receiver import ReceiverServer, Reply
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
HISTORY, EVERY = 12, 10.0


class Telling:
    """Processes of `detector alert`, and what they log."""

    def __init__(self, config: Path) -> None:
        self._config, self._log = config, config.with_suffix(".alert.log")
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "detector", "alert", "--port", "0", "-c", str(self._config)]
        began = len(self.said("alerting"))
        with self._log.open("ab") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=out, env={**os.environ, "DETECTOR_LOG__FORMAT": "json"}
            )
        self.processes.append(process)
        begun = lambda: process.poll() is not None or len(self.said("alerting")) > began  # noqa: E731
        eventually(begun, "`detector alert` to begin", 90)
        assert process.poll() is None, self.text()
        return process

    def text(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.said('alerting')[-1]['address']}{path}")

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


Tell = Callable[[Path], Telling]


@pytest.fixture
def tell() -> Iterator[Tell]:
    made: list[Telling] = []

    def make(config: Path) -> Telling:
        made.append(Telling(config))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def pager() -> Iterator[ReceiverServer]:
    with ReceiverServer() as server:
        yield server


def actions(server: ReceiverServer) -> list[str]:
    return [request.json["event_action"] for request in server.requests]


def types(server: ReceiverServer) -> list[str]:
    return [request.json["type"].split(".")[3] for request in server.requests]


# ---------------------------------------------------------------- through the real detector


def runs(at: float, rows: float) -> Iterator[dict[str, Any]]:
    """A load of the source, and a run of each of the 40 jobs below it, which write so many rows."""
    chance = Random(int(at))
    yield from load(0, at, rows + chance.gauss(0, rows / 100))
    for level in range(LEVELS):
        for number in range(WIDTH):
            for event in run(0, level, number, at, at):
                for written in event.get("outputs", ()):
                    written["rows"] = rows + chance.gauss(0, rows / 100)
                yield event


def test_forty_symptoms_of_one_cause_are_one_trigger_and_one_resolve(
    kafka: Kafka, redis_url: str, topic_prefix: str, tmp_path: Path, pager: ReceiverServer, tell: Tell
) -> None:
    with (
        ReceiverServer() as direct,
        ReceiverServer(Reply(204)) as hook,
        Alertmanager(tmp_path / "alertmanager", paging(pager.url)) as alertmanager,
    ):
        settings = {
            "incidents": {"wait": "2s"},
            "alerts": [
                {"kind": "alertmanager", "urls": [alertmanager.url], "resend": "1s"},
                {"kind": "pagerduty", "routing_key": KEY, "url": f"{direct.url}/v2/enqueue"},
                {"kind": "webhook", "url": f"{hook.url}/in", "secret": SECRET, "match": {"severity": "critical"}},
            ],
        }
        with System(kafka.bootstrap, redis_url, topic_prefix, tmp_path, settings=settings) as system:
            system.start()
            telling = tell(system.path)
            telling.start()
            for step in range(HISTORY):
                system.send(*runs(time.time() - EVERY * (HISTORY - step), 1_000.0))
            system.wait_until_idle(120)
            system.send(*runs(time.time(), 12.0))
            system.flush()
            eventually(lambda: pager.requests and direct.requests and hook.requests, "the triggers", 60)
            system.wait_until_idle(120)
            system.send(*runs(time.time(), 1_000.0))
            system.flush()
            eventually(lambda: "resolve" in actions(pager), "Alertmanager to resolve", 90)
            eventually(lambda: "resolve" in actions(direct) and "resolved" in types(hook), "the resolves", 30)
            system.wait_until_idle(120)
            told = [
                msgspec.json.decode(value, type=Incident)
                for _, _, _, value, _ in system.read(system.config.topics.incidents)
                if value is not None
            ]
        symptoms = {finding.entity for finding in told[-1].findings if finding.entity.startswith("job:")}

    assert len({one.id for one in told}) == 1
    assert len(symptoms) >= 40
    assert actions(pager) == ["trigger", "resolve"]
    assert actions(direct) == ["trigger", "resolve"]
    assert types(hook) == ["triggered", "resolved"]
    assert len({request.json["dedup_key"] for request in pager.requests}) == 1
    assert {request.json["dedup_key"] for request in direct.requests} == {told[-1].id}
    assert told[-1].root in pager.requests[0].json["payload"]["summary"]
    assert len(direct.requests[0].json["payload"]["summary"]) <= 1_024
    assert telling.said("alert_refused") == telling.said("alert_skipped") == []
    assert KEY not in telling.text()
    assert SECRET not in telling.text()


# ---------------------------------------------------------------- outages


class Board:
    """A topic of incidents with a configuration, and somebody who writes to it as the board does."""

    def __init__(self, kafka: Kafka, prefix: str, directory: Path, alerts: list[dict[str, Any]]) -> None:
        names = {key: f"{prefix}{key}" for key in ("incidents", "alerts", "log")}
        self.topics, self.path = names, directory / "detector.yaml"
        for key in ("incidents", "alerts"):
            kafka.create_topic(names[key], 3, cleanup_policy="compact", max_message_bytes="8388608")
        config = {
            "kafka": {"bootstrap_servers": kafka.bootstrap},
            "topics": {**names, "partitions": 3},
            "alerts": alerts,
            "http": {"status_url": "https://detector.example.com"},
        }
        self.path.write_text(yaml.safe_dump(config))
        self._settings = {"bootstrap.servers": kafka.bootstrap}
        self._producer = Producer(self._settings)

    def taken(self) -> set[str]:
        """What is kept of what receivers have taken and is open there."""
        values = fold(self._settings, self.topics["alerts"])
        return {key for key, value in values.items() if msgspec.json.decode(value, type=Told).taken}

    def say(self, *incidents: Incident) -> None:
        for one in incidents:
            self._producer.produce(self.topics["incidents"], msgspec.json.encode(one), one.id, partition=1)
        assert self._producer.flush(30) == 0


def counted(server: ReceiverServer) -> Counter[tuple[str, str]]:
    return Counter((request.json["event_action"], request.json["dedup_key"]) for request in server.requests)


def test_while_the_receiver_is_away_nothing_is_lost_and_nothing_told_twice(
    kafka: Kafka, topic_prefix: str, tmp_path: Path, pager: ReceiverServer, tell: Tell
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    with ReceiverServer(Reply(200)) as hook:
        wanted = [
            {"kind": "pagerduty", "routing_key_file": str(tmp_path / "key"), "url": pager.url},
            {"kind": "webhook", "url": f"{hook.url}/token-AAAA1111", "secret": SECRET},
        ]
        board = Board(kafka, topic_prefix, tmp_path, wanted)
        telling = tell(board.path)
        telling.start()
        board.say(incident("before"), incident("during"))
        eventually(lambda: len(pager.requests) == len(hook.requests) == 2, "both to be told")
        eventually(lambda: telling.get("/readyz").json() == {"ready": True, "problems": []}, "readiness")

        pager.stop()
        board.say(over(incident("before")), incident("new"), incident("short"), over(incident("short")))
        board.say(incident("missed"))
        eventually(lambda: telling.said("alert_waits"), "the pager to be missed")
        eventually(lambda: telling.get("/readyz").status_code == 503, "no readiness")
        [away] = telling.get("/readyz").json()["problems"]
        eventually(lambda: {"webhook/new", "webhook/missed"} <= board.taken(), "the other to be told")
        telling.processes[-1].kill()
        board.say(over(incident("missed")))
        telling.start()
        eventually(lambda: telling.metric('detector_alerts_failed_total{sink="pagerduty"}') >= 2, "more than one try")
        waiting = telling.metric('detector_alerts_waiting{sink="pagerduty"}')
        pager.start()
        eventually(lambda: {("resolve", "before"), ("trigger", "new")} <= counted(pager).keys(), "it to hear all", 60)
        board.say(over(incident("during")), over(incident("new")))
        eventually(lambda: ("resolve", "new") in counted(pager), "the end")
        eventually(lambda: telling.get("/readyz").is_success, "readiness")
        sent = telling.metric('detector_alerts_sent_total{action="resolve",sink="pagerduty"}')
        code = stopped(telling)

    keys = ("before", "during", "new")
    assert counted(pager) == {(action, key): 1 for key in keys for action in ("trigger", "resolve")}
    assert Counter(r.json["subject"] for r in hook.requests) == dict.fromkeys(("before", "during", "new", "missed"), 2)
    assert away.startswith("alert pagerduty waits: http://127.0.0.1:")
    assert (waiting, sent, code) == (2.0, 3.0, 0)
    assert all(word not in telling.text() for word in (KEY, SECRET, "token-AAAA1111"))


def stopped(telling: Telling) -> int:
    process = telling.processes[-1]
    process.send_signal(signal.SIGTERM)
    return process.wait(20)


def test_two_processes_share_the_work_and_one_goes_on_when_the_other_dies(
    kafka: Kafka, topic_prefix: str, tmp_path: Path, pager: ReceiverServer, tell: Tell
) -> None:
    board = Board(kafka, topic_prefix, tmp_path, [{"kind": "pagerduty", "routing_key": KEY, "url": pager.url}])
    telling = tell(board.path)
    telling.start()
    telling.start()
    for name, victim in (("i0", 0), ("i1", 1)):
        board.say(incident(name))
        eventually(lambda: f"pagerduty/{name}" in board.taken(), "it to be told", 90)  # noqa: B023 - called at once
        telling.processes[victim].kill()
        telling.start()
    board.say(over(incident("i0")), over(incident("i1")))
    eventually(lambda: len(pager.requests) >= 4 and not board.taken(), "all to be over", 90)

    assert set(counted(pager).values()) == {1}
    assert len(counted(pager)) == 4


def test_a_dry_run_says_what_would_be_told_and_tells_nobody(
    kafka: Kafka, topic_prefix: str, tmp_path: Path, pager: ReceiverServer
) -> None:
    board = Board(kafka, topic_prefix, tmp_path, [{"kind": "pagerduty", "routing_key": KEY, "url": pager.url}])
    board.say(incident("i1"), incident("i2"), over(incident("i2")))

    command = [sys.executable, "-m", "detector", "alert", "--dry-run", "-c", str(board.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=True).stdout

    assert done.stdout.split()[:4] == ["pagerduty", "trigger", "critical", "job:shop/load:"]
    assert json.loads(lines)["alert"]["incident"] == "i1"
    assert pager.requests == []
