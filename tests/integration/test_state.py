"""What was learned, to a file and back, and into a log of another size: on real services, with the commands."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import yaml

from detector import app
from detector.archive.standing import Groups
from detector.config import load
from detector.core.breaker import State
from detector.core.events import Carried, decode
from detector.core.state import load as load_state
from tests.integration.system import System, run_events
from tests.services.kafka import Kafka
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

Make = Callable[..., System]
BROKEN = "job:shop/broken"
# As a power cut while the new log is being written: the transaction stays open.
CUT = """
import os, sys
from detector import __main__, reshard
whole = reshard.Drain.still
def cut(*args):
    for number, send in enumerate(whole(*args)):
        if number == 20:
            os._exit(9)
        yield send
reshard.Drain.still = cut
sys.argv[0] = "detector"
__main__.main()
"""


@pytest.fixture
def make(kafka: Kafka, redis_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[Make]:
    """Makes the system of a test, with the settings that it wants."""
    made: list[System] = []

    def system(**settings: Any) -> System:
        made.append(System(kafka.bootstrap, redis_url, topic_prefix, tmp_path, settings=settings))
        return made[-1]

    yield system
    for each in made:
        each.__exit__(None, None, None)


def detector(system: System, *arguments: str, program: tuple[str, ...] = ("-m", "detector")) -> Any:
    """`detector state ...` with the configuration of the system."""
    command = [sys.executable, *program, "state", *arguments]
    if arguments[0] != "show":
        command += ["--config", str(system.path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def run(state: str, run_id: str) -> dict[str, Any]:
    return {"namespace": "shop", "name": "broken", "run_id": run_id, "state": state, "event_time": time.time()}


def published(system: System, key: str = BROKEN) -> dict[str, Any] | None:
    """The last record of a breaker on its topic."""
    values = [v for _, _, found, v, _ in system.read(system.config.topics.breakers) if found == key.encode()]
    return msgspec.json.decode(values[-1]) if values and values[-1] else None


def incidents(system: System) -> dict[str, dict[str, Any]]:
    """The last value of each incident."""
    found = system.read(system.config.topics.incidents)
    return {(key or b"").decode(): msgspec.json.decode(value) for _, _, key, value, _ in found if value}


def test_states_that_were_saved_while_workers_ran_are_rolled_forward_after_redis_was_lost(
    make: Make, tmp_path: Path
) -> None:
    system, file = make(), tmp_path / "detector.state"
    worker = system.start()
    system.send(*islice(run_events(Random(41)), 1_000))
    system.wait_until_idle()
    eventually(lambda: len(system.states()) > 20, "a snapshot")
    saved = detector(system, "backup", str(file))
    again = detector(system, "backup", str(file))
    system.send(*islice(run_events(Random(42)), 500))
    system.wait_until_idle()
    early = detector(system, "restore", str(file), "--yes")
    assert worker.terminate() == 0
    with system.redis as client:
        client.flushall()
    shown = json.loads(detector(system, "show", str(file), "--json").stdout)
    dry = detector(system, "restore", str(file), "--dry-run")
    nothing = system.states()
    back = detector(system, "restore", str(file), "--yes")
    system.start()
    system.send(*islice(run_events(Random(43)), 300))
    system.wait_until_idle()
    recovered = [json.loads(line) for line in system.processes[-1].text().splitlines() if '"recovered"' in line]

    assert (saved.returncode, back.returncode, dry.returncode) == (0, 0, 0), saved.stderr + back.stderr + dry.stderr
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    assert (early.returncode, "stop all of them first" in early.stderr) == (1, True), early.stderr
    assert (nothing, "nothing was changed" in dry.stdout) == ({}, True)
    assert {found["partition"]: found["at"] for found in recovered} == {
        part["partition"]: part["at"] for part in shown["partitions"]
    }
    assert all(found["replay"] > 0 for found in recovered)
    system.check()
    _, store = system.undisturbed()
    assert system.states() == {key: state for _, states, _ in store.snapshots.values() for key, state in states.items()}


def test_states_of_another_log_of_that_name_are_refused(make: Make, tmp_path: Path) -> None:
    system, file = make(), tmp_path / "detector.state"
    worker = system.start()
    system.send(*islice(run_events(Random(44)), 200))
    system.wait_until_idle()
    assert worker.terminate() == 0
    assert detector(system, "backup", str(file)).returncode == 0
    names = system.config.topics
    system.admin.delete_topics([names.log])[names.log].result(30)
    eventually(lambda: names.log not in system.admin.list_topics(timeout=10).topics, "the log to be gone")
    app.prepare(system.config, {"bootstrap.servers": system.bootstrap})
    refused = detector(system, "restore", str(file), "--yes")

    assert (refused.returncode, "its offsets mean other records" in refused.stderr) == (1, True), refused.stderr


def after(system: System, partitions: int) -> System:
    """The same installation with the new topics."""
    moved = copy(system)
    text = yaml.safe_load(system.text)
    mark = ".v2"
    for key in ("log", "breakers", "incidents", "alerts", "snapshots"):
        text["topics"][key] += mark
    text["topics"]["partitions"] = partitions
    moved.text = yaml.safe_dump(text)
    moved.path = system.directory / "moved.yaml"
    moved.path.write_text(moved.text)
    moved.config = load(moved.text)
    return moved


def forget_the_dead(system: System) -> None:
    """Wait until Kafka knows that nobody runs any more."""
    groups = Groups({"bootstrap.servers": system.bootstrap})
    for stage in ("ingest", "worker", "history"):
        group = app.group_of(stage, system.config)
        eventually(lambda group=group: groups.members(group) == 0, f"{group} to be empty", 60)  # type: ignore[misc]


def carried(system: System) -> Counter[bytes]:
    """How often each entity stands at the beginning of the new log."""
    records = system.read(system.config.topics.log)
    return Counter(key or b"" for _, _, key, value, _ in records if isinstance(decode(value or b"").body, Carried))


def test_a_log_of_more_partitions_goes_on_where_the_old_one_was(make: Make) -> None:
    system = make()
    worker = system.start()
    system.send(*islice(run_events(Random(45)), 800), run("COMPLETE", "r0"), run("FAIL", "r1"))
    system.wait_until_idle()
    before = eventually(lambda: _opened(system), "the breaker to be open") or {}
    going_on = eventually(
        lambda: {key: told for key, told in incidents(system).items() if told["state"] == "open"}, "an incident"
    )
    early = detector(system, "reshard", "--partitions", "6", "--dry-run")
    assert (early.returncode, "stop everything" in early.stderr) == (1, True), early.stderr
    worker.kill()  # and what it has appended to the log is judged by the reshard
    system.send(*islice(run_events(Random(46)), 300))  # nobody reads these before it
    system.flush()
    forget_the_dead(system)
    cut = detector(system, "reshard", "--partitions", "6", "--yes", program=("-c", CUT))
    new = after(system, 6)
    half = carried(new)
    forget_the_dead(system)
    done = detector(system, "reshard", "--partitions", "6", "--yes")
    twice = detector(system, "reshard", "--partitions", "6", "--yes")
    states, ends = system.states(), system.ends(system.config.topics.log)
    told = {emission for emission, _, _ in system.said()}
    kept = [each.committed(app.group_of("history", each.config), each.config.topics.runs) for each in (system, new)]
    new.start()
    new.wait_until_idle()
    still = eventually(lambda: published(new), "the breaker on its new topic") or {}
    new.send(run("COMPLETE", "r2"), *islice(run_events(Random(47)), 300))
    new.wait_until_idle()
    eventually(lambda: (published(new) or {})["state"] == State.CLOSED, "the breaker to close")
    for process in new.processes:
        process.terminate(30)

    assert (cut.returncode, half) == (9, Counter())
    assert done.returncode == 0, done.stderr
    assert f"log: {new.config.topics.log}" in done.stdout
    assert (twice.returncode, "has records already" in twice.stderr) == (1, True), twice.stderr
    assert carried(new) == Counter(dict.fromkeys((key.encode() for key in states), 1))
    assert system.committed(app.group_of("worker", system.config), system.config.topics.log) == ends
    assert (kept[0], sum(kept[0].values()) > 0) == (kept[1], True)
    assert {**still, "partition": 0} == {**before, "partition": 0}
    assert set(going_on) <= set(incidents(new))
    runs = system.runs_in_log() + new.runs_in_log()
    assert (sum(runs.values()), set(runs.values())) == (new.sent, {1})
    # Exactly once in the new log, as of any log: what was published is what one quiet pass over it says.
    assert Counter(one for one in new.said() if one[0] not in told) == Counter(new.expected())
    assert '"backstop_used"' not in new.processes[-1].text()
    closed = load_state(new.states()[BROKEN]).judgement.breaker
    assert (closed.state, closed.trips) == (State.CLOSED, 0)


def _opened(system: System) -> dict[str, Any] | None:
    told = published(system)
    return told if told and told["state"] == State.OPEN else None
