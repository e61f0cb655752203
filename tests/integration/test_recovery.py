"""Recovery on real services: records that cannot be judged, changes of configuration, snapshots of another release."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import yaml

from detector import view
from detector.core.breaker import State
from detector.core.commands import Commanded
from detector.core.events import decode
from detector.core.models import MODELS
from detector.core.models.band import Band
from detector.core.state import load
from tests.integration.system import MINUTE, Process, System, daemon, run_events
from tests.services.kafka import Kafka
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

Make = Callable[..., System]
BROKEN = "job:shop/broken"


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


def run(state: str, run_id: str, **more: Any) -> dict[str, Any]:
    """An event of a run of the job that breaks."""
    return {"namespace": "shop", "name": "broken", "run_id": run_id, "state": state, "event_time": time.time(), **more}


def test_the_stages_apart_do_what_they_do_together(make: Make) -> None:
    system = make()
    for slot in ("0", "1"):
        system.start(slot, "ingest")
        system.start(slot, "worker")
    system.send(*islice(run_events(Random(31)), 4_000))
    system.wait_until_idle()

    system.check()


def test_what_people_say_is_done_once_and_what_is_no_command_is_set_aside(make: Make) -> None:
    system = make()
    system.start()
    system.send(run("START", "r1"))
    said = {"id": "1", "by": "alice", "comment": "hunter2"}
    until = time.time() + 3_600
    mute = {"id": "w", "match": "job:*", "start": time.time(), "end": until, "kind": "mute"}
    override = {**said, "command": "override", "entity": BROKEN, "state": "force_open", "until": until}
    eventually(lambda: published(system) is State.CLOSED, "the breaker to be there")
    for command in (
        override,
        override,
        {**said, "command": "window", "window": mute},
        {**override, "state": "hunter2"},
    ):
        system.command(command)
    eventually(lambda: published(system) is State.OPEN, "the override to be in force")
    [letter] = eventually(lambda: system.read(system.config.topics.dead_letters), "the dead letter")
    [done] = [d for d in answers(system) if d["command"] == "override"]
    eventually(lambda: any(d["command"] == "window" for d in answers(system)), "the mute to be in force")
    broadcast = [
        p for p, _, key, value, _ in system.read(system.config.topics.log) if is_command(value) and key is None
    ]

    assert (done["done"], done["by"]) == (True, "alice")
    assert sorted(broadcast) == list(range(system.config.topics.partitions))
    assert letter[4]["__connect.errors.exception.class.name"] == b"command"
    assert b"hunter2" not in letter[4]["__connect.errors.exception.message"]
    system.check()


def answers(system: System) -> list[dict[str, Any]]:
    """What came of commands."""
    said = [(headers, value) for _, _, _, value, headers in system.read(system.config.topics.control)]
    return [msgspec.json.decode(v or b"") for h, v in said if h["ce_type"] == b"io.detector.command.done.v1"]


def is_command(value: bytes | None) -> bool:
    """Whether a record of the log is a command."""
    return isinstance(decode(value or b"").body, Commanded)


class Brittle(Band):
    """A model with a bug: there is one number that it does not stand."""

    kind = "brittle"

    def score_one(self, at: float, x: float) -> float:
        if x == 666.0:
            raise ZeroDivisionError("a bug")
        return super().score_one(at, x)


def test_a_record_on_which_the_step_raises_costs_a_dead_letter_and_an_event(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "brittle", Brittle)
    system = make(detection={"model": {"kind": "brittle"}}, worker={"snapshot_interval": "200ms"})
    with daemon(system, time.time() - 10 * MINUTE) as running:
        system.send(*islice(run_events(Random(32)), 400))
        system.send(run("COMPLETE", "poison", metrics={"cost": 666.0}))
        system.send(*islice(run_events(Random(33)), 400), run("FAIL", "after"))
        system.wait_until_idle()
        running.pass_to(running.now + 3 * MINUTE)  # ends without a START are judged when time has passed
        system.wait_until_idle()
    calm, store = system.undisturbed()

    ((_, _, _, value, headers),) = system.read(system.config.topics.dead_letters)
    assert b"poison" in (value or b"")
    assert (headers["__connect.errors.stage"], BROKEN.encode() in headers["__connect.errors.exception.message"]) == (
        b"step",
        True,
    )
    types = [headers["ce_type"] for *_, headers in system.read(system.config.topics.control)]
    assert types.count(b"io.detector.entity.quarantined.v1") == 1
    system.check()
    assert len([s for s in calm.written if s.topic == system.config.topics.dead_letters]) == 1
    kept = {key: state for _, states, _ in store.snapshots.values() for key, state in states.items()}
    assert system.states() == kept


def test_records_of_any_size_are_taken_or_set_aside_and_the_stream_goes_on(make: Make) -> None:
    system = make()
    junk: dict[str, Any] = {"name": "junk", "event_time": time.time(), "value": b"{" + b"x" * 999_000}
    huge = {**junk, "value": b"{" + b"x" * (10 << 20)}
    many = {f"metric-{number:06}": float(number) for number in range(45_000)}
    tables = [{"namespace": "db", "name": f"{number:05}" + "n" * 900} for number in range(9_800)]
    system.send(run("START", "r1"), run("COMPLETE", "large", metrics=many), run("COMPLETE", "larger", outputs=tables))
    system.send(junk, huge, encode=lambda event: event["value"])
    system.send(run("FAIL", "r2"))
    system.start()
    system.wait_until_idle()

    letters = [(value, headers) for *_, value, headers in system.read(system.config.topics.dead_letters)]
    reasons = {headers["__connect.errors.exception.class.name"]: value for value, headers in letters}
    left_out = [headers.get("__connect.errors.value.left.out") for _, headers in letters]
    assert (len(letters), set(reasons)) == (3, {b"size", b"json"})
    assert junk["value"] in [value for value, _ in letters]
    assert str(len(huge["value"])).encode() in left_out
    assert {run_id for run_id, _ in system.runs_in_log()} == {"r1", "large", "r2"}
    assert system.said() == system.expected()


def test_a_crash_in_a_change_of_configuration_leaves_no_breaker_open_that_nobody_closes(make: Make) -> None:
    system = make(worker={"snapshot_interval": "1h"})
    strict = system.start()
    system.send(*islice(run_events(Random(34)), 200))
    system.wait_until_idle()
    assert strict.terminate() == 0  # a snapshot of before
    strict = system.start()
    system.send(run("FAIL", "r1"))
    system.wait_until_idle()
    eventually(lambda: published(system) is State.OPEN, "the breaker to open")
    strict.kill()  # published as open, and no snapshot knows
    lenient = yaml.safe_load(system.text)
    lenient["breaker"] = {"policy": {"kind": "window", "criticals": 2, "warnings": 3, "runs": 3}}
    system.path.write_text(yaml.safe_dump(lenient))
    process = system.start()
    eventually(lambda: "replay_differs" in process.text(), "the replay to say something else")

    assert all_say(system, process) == {State.OPEN}
    system.send(run("COMPLETE", "r2"))
    system.wait_until_idle()
    eventually(lambda: published(system) is State.CLOSED, "the breaker to close")
    assert all_say(system, process) == {State.CLOSED}


def published(system: System) -> State | None:
    """What the topic of breakers says of the job that breaks."""
    values = [value for _, _, key, value, _ in system.read(system.config.topics.breakers) if key == BROKEN.encode()]
    return State(msgspec.json.decode(values[-1] or b"{}")["state"]) if values else None


def all_say(system: System, process: Process) -> set[State | None]:
    """What the topic of breakers, the view in Redis and, after a clean stop, the worker's snapshot say."""

    def viewed() -> State | None:
        with system.redis as client:
            answer = view.read(client, system.config.redis.prefix, BROKEN, time.time())
        return answer.breaker.state if answer.breaker else None

    eventually(lambda: viewed() is published(system), "the view to follow")
    assert process.terminate() == 0
    found = {published(system), viewed(), load(system.states()[BROKEN]).judgement.breaker.state}
    process.popen = system.start().popen
    return found


def test_a_snapshot_of_a_newer_release_is_refused_and_kept_until_it_can_be_read(make: Make) -> None:
    system = make()
    worker = system.start()
    system.send(*islice(run_events(Random(35)), 400))
    system.wait_until_idle()
    assert worker.terminate() == 0
    with system.redis as client:
        index = next(iter(client.scan_iter(f"{system.config.redis.prefix}:*:index")))
        head: bytes = client.hget(index, "") or b""
        client.hset(index, "", head[:8] + bytes((head[8] + 1,)) + head[9:])
        before = client.hgetall(index)
        again = system.start()
        refused = eventually(lambda: [line for line in lines(again) if line["event"] == "partition_refused"], "no")
        system.send(*islice(run_events(Random(36)), 400))
        eventually(lambda: any(line["event"] == "anomaly_found" for line in lines(again)), "the others to go on")

        assert refused[0]["reason"] == "SnapshotTooNew"
        assert again.popen.poll() is None
        assert client.hgetall(index) == before
        client.hset(index, "", head)
    system.wait_until_idle()

    system.check()


def lines(process: Process) -> list[dict[str, Any]]:
    """The lines of its log that are finished."""
    return [json.loads(line) for line in process.text().splitlines()[:-1] if line.startswith("{")]
