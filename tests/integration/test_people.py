"""What people say, from the command to what pipelines are told, on a real Kafka and a real Redis.

The stages run in this process, with a clock that the test moves, a day behind that of the machine.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from detector.__main__ import app
from detector.core.events import Tick, decode
from tests.integration.system import MINUTE, Daemon, System, daemon
from tests.services.kafka import Kafka
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

HOUR, RUNS = 3_600.0, 20
RAW, LOAD, CLEAN = "dataset:warehouse/raw.orders", "job:airflow/load", "job:airflow/clean"


@pytest.fixture
def system(kafka: Kafka, redis_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    names = {key: f"{topic_prefix}{key}" for key in ("incidents", "commands")}
    settings = {"topics": names, "time": {"tick": "30s", "gap": "3m"}, "incidents": {"wait": "0s"}}
    with System(kafka.bootstrap, redis_url, topic_prefix, tmp_path, settings=settings) as made:
        yield made


def hour(start: float, number: int, rows: float, clean: bool = True) -> list[dict[str, Any]]:
    """A load of so many rows, and a job that reads what it wrote."""
    at = start + number * HOUR
    dataset = {"namespace": "warehouse", "name": "raw.orders"}
    load = {"namespace": "airflow", "name": "load", "run_id": f"load-{number}"}
    read = {"namespace": "airflow", "name": "clean", "run_id": f"clean-{number}"}
    written = {"outputs": [{**dataset, "rows": rows, "version": f"v{number}"}]}
    events = [
        {**load, "state": "START", "event_time": at},
        {**load, "state": "COMPLETE", "event_time": at + 5 * MINUTE, **written},
        {**read, "state": "START", "event_time": at + 10 * MINUTE},
        {**read, "state": "COMPLETE", "event_time": at + 15 * MINUTE, "inputs": [dataset]},
    ]
    return events if clean else events[:2]


class Shell:
    """Commands with the configuration of the system. The clock of the detector is behind: heartbeats may be old."""

    def __init__(self, system: System) -> None:
        self._system = system

    def run(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*arguments, "-c", str(self._system.path)], prog_name="detector")
        return result.exit_code, result.stdout

    def answer(self, entity: str, *options: str) -> tuple[int, str]:
        """What `check` says: the exit code and the word."""
        code, out = self.run("check", entity, "--max-age", "1e9", "--json", *options)
        return code, json.loads(out)["reason"]

    def becomes(self, entity: str, expected: tuple[int, str]) -> None:
        eventually(lambda: self.answer(entity) == expected, f"{entity} to be {expected}", 30)


def ticked(system: System) -> set[int]:
    """The partitions of the log that have had a tick."""
    records = system.read(system.config.topics.log)
    return {partition for partition, _, _, value, _ in records if isinstance(decode(value or b"").body, Tick)}


def spoiled(system: System, running: Daemon, start: float) -> None:
    """Twenty usual loads, and one of which most rows are missing."""
    while ticked(system) != set(range(system.partitions)):
        running.pass_to(running.now + MINUTE)  # a partition without a tick would go by the clock of the machine
    for number in range(RUNS):
        system.send(*hour(start, number, 1_000 + 10 * (number * 7 % 11 - 5)))
    system.wait_until_idle()
    running.ticked()
    system.send(*hour(start, RUNS, 12, clean=False))
    system.wait_until_idle()
    running.pass_to(running.now + 3 * MINUTE)


def told_with(words: str, shell: Shell, running: Daemon) -> str:
    """What is said of the incident once it says so: what reached the board since its last tick is told at the next."""

    def told() -> str:
        running.pass_to(running.now + MINUTE)
        return shell.run("incidents", "show")[1]

    return eventually(lambda: said if words in (said := told()) else "", f"the incident to say {words!r}", 30)


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def test_a_fault_is_told_and_what_people_say_of_it_is_done(system: System) -> None:
    shell, start = Shell(system), time.time() // HOUR * HOUR - 26 * HOUR
    with daemon(system, start + RUNS * HOUR + 6 * MINUTE) as running:
        spoiled(system, running, start)
        shell.becomes(CLEAN, (1, "held"))

        told = told_with(f"waits until {RAW} is good again:\n    {CLEAN}\n", shell, running)
        assert f"{LOAD} (where it began): critical" in told
        assert "12 rows" in told
        assert (
            shell.run("lineage", RAW, "--down", "--max-age", "1e9")[1].splitlines()[2].startswith(f"└─ {CLEAN}  held")
        )

        code, out = shell.run("incidents", "ack", "latest", "--by", "ada")
        assert (code, out.split()[0]) == (0, "done")

        until = moment(running.now + 10 * MINUTE)
        forced = shell.run("breaker", "override", RAW, "--force-closed", "--until", until, "--reason", "known")
        assert (forced[0], forced[1].split()[:2]) == (0, ["done", RAW])
        assert shell.answer(RAW) == (0, "override")
        shell.becomes(CLEAN, (0, "closed"))
        running.pass_to(running.now + 12 * MINUTE)
        shell.becomes(CLEAN, (1, "held"))

        assert shell.answer(LOAD, "--probe", "run-a") == (0, "probe")
        assert shell.answer(LOAD, "--probe", "run-b") == (1, "probing")
        shell.becomes(LOAD, (1, "probing"))
        assert shell.answer(LOAD, "--probe", "run-a") == (0, "probe")

        judged = shell.run("feedback", "--incident", "latest", "expected_once", "--comment", "Black Friday")
        assert (judged[0], judged[1].split()[0]) == (0, "done")
        assert f"done     {LOAD} rows_out  " in judged[1]
        assert f"done     {RAW} rows  " in judged[1]
        shell.becomes(CLEAN, (0, "closed"))
        shell.becomes(RAW, (0, "closed"))
        running.pass_to(running.now + 2 * MINUTE)
        eventually(lambda: "over after" in shell.run("incidents", "show", "latest")[1], "the incident to be over")

    [expected] = [json.loads(line) for line in shell.run("rules", "--json", "--entity", RAW)[1].splitlines()]
    assert (expected["rule"], expected["told"], expected["expected"]) == ("rows", 1, 1)


def test_what_cannot_be_done_is_refused_and_mutes_are_listed_until_they_end(system: System) -> None:
    shell = Shell(system)
    with daemon(system, time.time() - HOUR) as running:
        running.ticked()

        assert shell.run("breaker", "override", CLEAN, "--none")[0] == 1
        assert shell.run("mute", "job:airflow/*", "--for", "2h", "--reason", "OPS-71", "--by", "ada")[0] == 0
        weekly = ("--weekly", "sat,sun", "--at", "22:00", "--lasts", "4h", "--timezone", "Europe/Berlin")
        assert shell.run("maintenance", "add", "dataset:erp/*", *weekly)[0] == 0
        [mute] = [json.loads(line) for line in shell.run("mutes", "--json")[1].splitlines()]
        assert (mute["window"]["match"], mute["window"]["owner"], mute["active"]) == ("job:airflow/*", "ada", True)
        assert "sat, sun 22:00 for 4 h (Europe/Berlin)" in shell.run("maintenance", "list")[1]

        assert shell.run("unmute", mute["window"]["id"])[0] == 0
        assert shell.run("unmute", mute["window"]["id"])[0] == 1
        assert shell.run("mutes")[1] == ""

    assert shell.run("mute", "job:*", "--for", "2h", "--reason", "nobody runs", "--timeout", "0.5")[0] == 2
