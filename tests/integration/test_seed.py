"""A history that an installation is given to learn, on real services: judged by at once, never told, never twice."""

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from detector import app
from detector.broker import CONSUMER
from detector.codecs import Decoder
from detector.core.events import Seed, decode, encode
from detector.errors import DetectorError
from detector.seed import Span, Topics, Writer, learn, matching, read
from detector.settings import kafka_settings, rules_of
from tests.integration.system import System
from tests.services.kafka import Kafka
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

DAY = 86_400.0
JOBS, DAYS = 40, 60
Run = dict[str, Any]


@pytest.fixture
def system(kafka: Kafka, redis_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    with System(kafka.bootstrap, redis_url, topic_prefix, tmp_path) as made:
        yield made


def run(job: int, at: float, rows: float, state: str = "COMPLETE") -> list[Run]:
    """The two events of a run of ten minutes that has just ended at `at`."""
    event = {"namespace": "shop", "name": f"load{job}", "run_id": f"{job}-{at:.6f}"}
    written = [{"namespace": "db", "name": f"table{job}", "rows": rows}]
    return [
        {**event, "state": "START", "event_time": at - 600},
        {**event, "state": state, "event_time": at, "outputs": written},
    ]


def usual(job: int, random: Random) -> int:
    return round(random.gauss(10_000 * (1 + job % 5), 150))


def history(jobs: int = JOBS, days: int = DAYS, until: float | None = None) -> list[Run]:
    """Daily runs, at about this time of the day; in the last week one in ten fails or is empty."""
    random, now = Random(17), until or time.time() - 3_600
    events: list[Run] = []
    for ago in range(days, 0, -1):
        for job in range(jobs):
            bad = ago < 7 and random.random() < 0.1
            rows = 0 if bad and random.random() < 0.5 else usual(job, random)
            state = "FAIL" if bad and rows else "COMPLETE"
            events += run(job, now - ago * DAY - job, rows, state)
    return events


def written(system: System, events: list[Run], name: str = "history.jsonl.gz") -> Path:
    path = system.directory / name
    path.write_bytes(gzip.compress("".join(f"{json.dumps(event)}\n" for event in events).encode()))
    return path


def seed(system: System, *arguments: object) -> "subprocess.Popen[str]":
    """`detector seed` in a process of its own."""
    command = [sys.executable, "-m", "detector", "seed", *map(str, arguments), "--json", "-c", str(system.path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def seeded(system: System, *arguments: object) -> dict[str, Any]:
    """What it says when it is done."""
    child = seed(system, *arguments)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    told: dict[str, Any] = json.loads(out)
    return told


def in_log(system: System) -> list[str]:
    """The entities of the committed seeds that stand in the log."""
    found = system.read(system.config.topics.log)
    return sorted((key or b"").decode() for _, _, key, value, _ in found if isinstance(decode(value or b"").body, Seed))


def outcomes(system: System) -> dict[str, list[bool]]:
    """What the entities have said of the histories that they were given."""
    found: dict[str, list[bool]] = {}
    for _, _, key, value, headers in system.read(system.config.topics.control):
        if headers["ce_type"] == b"io.detector.entity.seeded.v1":
            found.setdefault((key or b"").decode(), []).append(json.loads(value or b"{}")["taken"])
    return found


def types(system: System) -> set[bytes]:
    return {headers["ce_type"] for *_, headers in system.read(system.config.topics.control)}


def states_are_those_of_one_pass(system: System) -> None:
    _, store = system.undisturbed()
    assert system.states() == {key: state for _, states, _ in store.snapshots.values() for key, state in states.items()}


def test_a_seeded_installation_judges_its_first_run_through_a_kill(system: System) -> None:
    told = seeded(system, written(system, history()))
    worker = system.start(DETECTOR_WORKER__SNAPSHOT_RECORDS="20")
    eventually(system.states, "a state in Redis", 60)
    worker.kill()  # it has learned some, and may have said so without a snapshot
    worker = system.start(DETECTOR_WORKER__SNAPSHOT_RECORDS="20")
    eventually(lambda: len(outcomes(system)) == 2 * JOBS, "all to be learned", 60)
    past = types(system)
    random, now = Random(18), time.time()
    for job in range(JOBS):
        system.send(*run(job, now, 400 * (1 + job % 5) if job < 5 else usual(job, random)))
        if job == JOBS // 2:
            system.flush()
            worker.kill()
            worker = system.start()
    system.wait_until_idle()

    found = [anomaly for anomaly in system.anomalies() if anomaly["phase"] == "started"]
    assert (told["written"], told["runs"], told["jobs"], told["datasets"]) == (True, JOBS * DAYS, JOBS, JOBS)
    assert past == {b"io.detector.entity.seeded.v1"}
    assert set(map(tuple, outcomes(system).values())) == {(True,)}
    assert {a["entity"] for a in found if a["check"] == "rows"} == {f"dataset:db/table{job}" for job in range(5)}
    assert {a["entity"] for a in found} == {
        f"{kind}{job}" for kind in ("job:shop/load", "dataset:db/table") for job in range(5)
    }
    for anomaly in found:
        rows = 10_000 * (1 + int(anomaly["entity"][-1]) % 5)
        assert 0.7 * rows < anomaly["lower"] < anomaly["expected"] < anomaly["upper"] < 1.4 * rows
        assert anomaly["samples"] >= DAYS - 7
    system.check()
    states_are_those_of_one_pass(system)


def test_seeding_while_workers_run_and_live_events_come(system: System) -> None:
    first, second = system.start("0"), system.start("1")
    random = Random(19)
    child = seed(system, written(system, history()))
    while child.poll() is None:
        for job in range(JOBS):
            system.send(*run(job, time.time() + random.random(), usual(job, random)))
        system.flush()
        if random.random() < 0.06:
            second.kill()
            second = system.start("1")
        time.sleep(0.2)  # the rate of the load, not a wait for something
    _, problems = child.communicate()
    system.send(*run(0, time.time(), 400))
    system.wait_until_idle()

    assert (child.returncode, problems) == (0, "")
    assert len(outcomes(system)) == 2 * JOBS
    assert first.popen.poll() is None
    system.check()
    states_are_those_of_one_pass(system)


def test_the_history_of_the_topics_ends_where_ingest_begins(system: System) -> None:
    old = history(jobs=5)
    system.send(*run(3, time.time() + 1_800, 7)[1:], *old)  # the first has a wrong clock, and ends no history
    system.send({"namespace": "shop", "name": "nothing", "event_time": time.time()})
    system.flush()
    ends = system.ends(system.config.topics.inputs[0])
    before = system.sent

    told = seeded(system, "--from-topics", "--since", "90d")

    group, topic = app.group_of("ingest", system.config), system.config.topics.inputs[0]
    assert (told["events"], told["runs"], told["dead_lettered"]) == (len(old), 5 * DAYS, {"format": 1})
    assert told["left_out"] == 1
    assert system.committed(group, topic) == ends
    assert len(system.read(system.config.topics.dead_letters)) == 1
    system.sent = 0
    system.send(*run(3, time.time(), 1_600))
    system.start()
    system.wait_until_idle()
    assert before == len(old) + 2
    assert [a["entity"] for a in system.anomalies("rows")] == ["dataset:db/table3"]
    system.check()


def test_where_ingest_has_begun_the_history_ends_before_its_position(system: System) -> None:
    old = history(jobs=3)
    system.send(*old)
    worker = system.start(stages="ingest")
    system.flush()
    group, topic = app.group_of("ingest", system.config), system.config.topics.inputs[0]
    eventually(lambda: system.committed(group, topic) == system.ends(topic), "ingest to read it")
    assert worker.terminate() == 0
    positions = system.committed(group, topic)
    system.send(*run(0, time.time(), 1))
    system.flush()

    told = seeded(system, "--from-topics", "--since", "30d")

    assert (told["events"], told["jobs"]) == (3 * 2 * 29, 3)
    assert system.committed(group, topic) == positions


def test_a_history_that_is_cut_leaves_the_rest_to_ingest(system: System) -> None:
    system.send(*history(jobs=3))
    system.flush()
    group, topic = app.group_of("ingest", system.config), system.config.topics.inputs[0]

    told = seeded(system, "--from-topics", "--since", "30d", "--until", "10d")

    left = {place: end - system.committed(group, topic)[place] for place, end in system.ends(topic).items()}
    assert told["events"] == 3 * 2 * 20
    assert sum(left.values()) == 3 * 2 * 9


def test_a_seed_that_dies_has_written_nothing_and_the_next_one_need_not_wait(system: System) -> None:
    path, log = written(system, history(jobs=5)), system.config.topics.log
    dead = Producer({"bootstrap.servers": system.bootstrap, "transactional.id": f"{log}.seed"})
    dead.init_transactions(30)
    dead.begin_transaction()
    dead.produce(log, encode(Seed(b"half", 0.0, 1.0)), b"job:shop/load0")
    assert dead.flush(30) == 0
    before = in_log(system)

    seeded(system, path)
    system.start()
    eventually(lambda: len(outcomes(system)) == 10, "all to be learned", 60)

    assert before == []
    assert len(in_log(system)) == len(set(in_log(system))) == 10
    assert system.read(system.config.topics.dead_letters) == []


def test_a_seed_that_is_killed_while_it_writes_has_written_all_or_nothing(system: System) -> None:
    path = written(system, history(jobs=300, days=15))
    log = system.config.topics.log
    child = seed(system, path)
    eventually(lambda: any(system.ends(log, committed=False).values()) or child.poll() is not None, "the writing", 60)
    child.kill()
    child.communicate()
    at_first = len(in_log(system))

    seeded(system, path)

    assert at_first in (0, 600)
    assert len(in_log(system)) == 600 + at_first


def test_the_same_history_twice_is_learned_once(system: System) -> None:
    path = written(system, history(jobs=5))
    seeded(system, path)
    seeded(system, path)
    system.start()
    eventually(lambda: sum(map(len, outcomes(system).values())) == 20, "both to be read", 60)

    assert set(map(tuple, outcomes(system).values())) == {(True, False)}
    assert types(system) == {b"io.detector.entity.seeded.v1"}


def test_where_ingest_begins_meanwhile_nothing_is_learned(system: System) -> None:
    system.send(*history(jobs=2))
    system.flush()
    settings, names = kafka_settings(system.config), system.config.topics
    group, everything = app.group_of("ingest", system.config), matching([])
    with closing(Topics(settings, names.inputs, group, names.dead_letters)) as source:
        events, summary = read(source, Decoder(), Span(0.0, time.time()), everything)
        sends = learn(events, rules_of(system.config), names.log, everything, summary)
        system.start(stages="ingest")
        topic = names.inputs[0]
        eventually(lambda: system.committed(group, topic) == system.ends(topic), "ingest")

        with pytest.raises(DetectorError, match="seed again"):
            source.write(Writer(settings, names.log), sends)
    with closing(Topics(settings, names.inputs, group, names.dead_letters)) as source:
        again, _ = read(source, Decoder(), Span(0.0, time.time()), everything)

    assert in_log(system) == []
    assert again == events


def test_a_member_that_has_not_committed_yet_is_in_the_way(system: System) -> None:
    system.send(*history(jobs=1, days=3))
    system.flush()
    settings, names = kafka_settings(system.config), system.config.topics
    group = app.group_of("ingest", system.config)
    member = Consumer({**settings, **CONSUMER, "group.id": group})
    assigned: list[object] = []
    member.subscribe(list(names.inputs), on_assign=lambda *given: assigned.append(given))
    eventually(lambda: member.poll(0.1) or assigned, "a partition")

    with (
        closing(Topics(settings, names.inputs, group, names.dead_letters)) as source,
        pytest.raises(DetectorError, match="seed again"),
    ):
        read(source, Decoder(), Span(0.0, time.time()), matching([]))
    member.close()
