"""The commands on a real Kafka and a real Redis: transactions, topics, ticks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis as redis_py
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from detector import topics
from detector.__main__ import app
from detector.config import Config, load_file
from detector.core.emissions import Emission, Quarantined
from detector.core.events import Tick, encode
from detector.settings import kafka_settings
from detector.sinks import cloudevents
from detector.tail import Tail, Wanted
from tests.services.kafka import Kafka
from tests.services.waiting import eventually

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
JOB = "job:airflow/orders.load"


class Site:
    """A directory with a configuration whose topics no other test has."""

    def __init__(self, directory: Path, kafka: Kafka, url: str, prefix: str) -> None:
        ours = ("log", "control", "breakers", "incidents", "alerts", "runs", "commands", "snapshots", "dead_letters")
        names = {key: f"{prefix}{key}" for key in ours} | {"inputs": [f"{prefix}events"], "partitions": 2}
        settings = {"kafka": {"bootstrap_servers": kafka.bootstrap}, "redis": {"url": url}, "topics": names}
        self.file = directory / "detector.yaml"
        self.file.write_text(json.dumps(settings))
        self.config: Config = load_file(self.file, {})
        self.settings = {**kafka_settings(self.config), "log_level": 0}

    def create(self) -> None:
        topics.ensure(AdminClient(dict(self.settings)), topics.specs(self.config), create=True)

    def run(self, *arguments: str, input: bytes | None = None) -> tuple[int, str, str]:  # noqa: A002
        result = CliRunner().invoke(app, [*arguments, "-c", str(self.file)], prog_name="detector", input=input)
        return result.exit_code, result.stdout, result.stderr

    def say(self, number: int, commit: bool = True) -> None:
        """One event on the control topic, in a transaction of its own."""
        data = Quarantined(entity=JOB, partition=0, offset=number, error="E", failures=1, summary=str(number))
        type_ = "io.detector.entity.quarantined.v1"
        send = cloudevents.encode(Emission(str(number), "control", JOB, type_, 0.0, data), "/d", self.config.topics)
        self._producer.begin_transaction()
        self._producer.produce(send.topic, send.value, send.key, headers=list(send.headers))
        self._producer.flush(30)
        self._producer.commit_transaction(30) if commit else self._producer.abort_transaction(30)

    def begin(self) -> None:
        self._producer = Producer({**self.settings, "transactional.id": self.config.topics.log, "retry.backoff.ms": 5})
        self._producer.init_transactions(30)

    def tick(self, at: float) -> None:
        producer = Producer(dict(self.settings))
        producer.produce(self.config.topics.log, encode(Tick(at)), partition=0)
        producer.flush(30)


@pytest.fixture
def site(tmp_path: Path, kafka: Kafka, redis_url: str, topic_prefix: str) -> Site:
    return Site(tmp_path, kafka, redis_url, topic_prefix)


# ---------------------------------------------------------------- tail and emit


def test_tail_shows_what_was_committed_however_many_markers_stand_between(site: Site) -> None:
    site.create()
    site.begin()
    for number in range(40):
        site.say(number, commit=number % 2 == 0)

    with Tail(site.settings, site.config.topics.control, Wanted(), first_look=4) as tail:
        shown = [each.event["id"] for each in tail.last(3)]

    assert shown == ["34", "36", "38"]


def test_what_was_said_since_a_time_is_found_by_the_times_of_the_records(site: Site) -> None:
    site.create()
    site.begin()
    for number in (1, 2, 3):
        site.say(number, commit=number < 3)

    with Tail(site.settings, site.config.topics.control, Wanted()) as tail:
        first, second = tail.since(0.0)
        shown = [[each.event["id"] for each in tail.since(at)] for at in (first.at, second.at, second.at + 60)]

    assert shown == [["1", "2"], ["2"], []]


def test_tail_of_a_topic_that_is_not_there_says_so(site: Site) -> None:
    result = CliRunner().invoke(app, ["tail", "-c", str(site.file)])

    assert "has no topic" in str(result.exception)


def test_emitted_events_are_in_the_topic(site: Site) -> None:
    site.create()
    line = b'{"namespace":"a","name":"b","run_id":"r","state":"START","event_time":5}\n'

    code, _, err = site.run("emit", input=line * 1_000)

    assert (code, err) == (0, "1,000 delivered, 0 failed\n")


# ---------------------------------------------------------------- doctor


def findings(site: Site) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(site.run("doctor", "--json")[1])
    return found


def test_before_the_first_start_the_doctor_warns_and_fails_nothing(site: Site) -> None:
    found = findings(site)

    assert {f["status"] for f in found} == {"ok", "warn"}
    assert sum(f["what"] == "topic" and f["status"] == "warn" for f in found) == 10


def test_everything_right_is_told_line_by_line(site: Site, redis: redis_py.Redis) -> None:
    site.create()
    now = time.time()
    site.tick(now)
    redis.set("detector:{view}:heartbeat:0", json.dumps({"partition": 0, "clock": now}))

    code, out, _ = site.run("doctor")

    assert code == 0
    assert [line for line in out.splitlines() if not line.startswith("ok ")] == []
    for said in ("gives transactions", "consumer groups of Kafka 4", "time       goes on", "fresh heartbeat"):
        assert said in out


def test_a_topic_with_wrong_settings_fails_and_says_how_to_mend_it(site: Site, kafka: Kafka) -> None:
    kafka.create_topic(site.config.topics.log, 2, cleanup_policy="compact")

    code, out, _ = site.run("doctor")

    assert code == 1
    assert f"FAIL  topic      {site.config.topics.log}" in out
    assert "--alter" in out


def test_a_topic_that_must_be_made_by_hand_fails_with_the_command_for_it(site: Site) -> None:
    settings = json.loads(site.file.read_text())
    settings["topics"]["create"] = False
    site.file.write_text(json.dumps(settings))

    code, out, _ = site.run("doctor")

    assert code == 1
    assert out.count("Create it: ") == 10


@pytest.mark.parametrize(
    ("ahead", "what", "status", "said"),
    [
        pytest.param(20.0, "clocks", "warn", "the tick's author and the broker differ by 2", id="a clock is ahead"),
        pytest.param(400.0, "clocks", "fail", "the tick's author and the broker differ by", id="far ahead"),
    ],
)
def test_a_clock_that_is_wrong_is_told(site: Site, ahead: float, what: str, status: str, said: str) -> None:
    site.create()
    site.tick(time.time() + ahead)

    assert [f for f in findings(site) if f["what"] == what and f["status"] == status and f["message"].startswith(said)]


# ---------------------------------------------------------------- run and reset


def start(site: Site) -> "subprocess.Popen[str]":
    env = {**os.environ, "DETECTOR_HTTP__PORT": "0", "DETECTOR_TIME__TICK": "1s", "DETECTOR_TIME__HEARTBEAT": "1s"}
    command = [sys.executable, "-m", "detector", "run", "-c", str(site.file)]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"])
def test_from_an_event_to_an_answer_and_a_stop_in_order(site: Site, number: signal.Signals, code: int) -> None:
    run = {"namespace": "airflow", "name": "orders.load", "run_id": "r", "event_time": time.time() - 60}
    failed = {**run, "state": "FAIL", "event_time": time.time() - 30, "error": "disk full"}
    child = start(site)
    try:
        eventually(
            lambda: site.config.topics.inputs[0] in AdminClient(dict(site.settings)).list_topics(timeout=10).topics,
            "topics",
            60,
        )
        site.run("emit", input=json.dumps({**run, "state": "START"}).encode())
        eventually(lambda: site.run("check", JOB)[0] == 0, f"{JOB} may go on", 60)
        site.run("emit", input=json.dumps(failed).encode())
        eventually(lambda: site.run("check", JOB)[0] == 1, f"{JOB} may not go on", 60)
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()

    assert child.returncode == code, err
    assert "Traceback" not in err
    assert "disk full" in site.run("tail", "--no-follow", "--type", "anomaly")[1]
    assert site.run("breaker", "list")[1].splitlines()[1].startswith("block")


def test_reset_does_what_it_says(site: Site) -> None:
    site.create()

    code, out, _ = site.run("reset", "--yes", "--partition", "1")

    assert (code, out) == (0, f"{site.config.topics.log}/1: the snapshot is discarded\n")


def test_a_second_ctrl_c_does_not_wait(site: Site) -> None:
    with start(site) as child:
        try:
            assert child.stderr is not None
            while '"started"' not in (line := child.stderr.readline()):
                assert line, "it ended before it had started"
            child.send_signal(signal.SIGINT)
            while '"stopping"' not in (line := child.stderr.readline()):  # two signals that wait at once are one
                assert line, "it ended before it was told twice"
            child.send_signal(signal.SIGINT)
            code = child.wait(timeout=20)
        finally:
            child.kill()

    assert code == 130
