"""`detector gate`: the command runs if it may, and then it is as if it had been run alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from detector.client.emitting import RUNS
from detector.codecs import Decoder
from detector.core.events import Record, RunEvent
from detector.embedded import EmbeddedBroker
from tests.client.world import JOB, OTHER, WHY, Api, opened, serving, value
from tests.services.waiting import eventually

ROOT = Path(__file__).parents[2]


class Shell:
    """Runs `detector gate` as a pipeline would, against an API of its own."""

    def __init__(self, api: Api, url: str, folder: Path) -> None:
        self.api, self.folder = api, folder
        self.environment = {**os.environ, "DETECTOR_URL": url, "PYTHONPATH": str(ROOT)}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "detector", "gate", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )

    def gate(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, told = process.communicate(timeout=60)
        return process.returncode, out, told


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    api = Api()
    api.values = {JOB: value(), OTHER: opened(OTHER)}
    with serving(api) as url:
        yield Shell(api, url, tmp_path)


def test_what_may_go_on_is_the_command_itself(shell: Shell) -> None:
    assert shell.gate(JOB, "--", "sh", "-c", "echo $0 $1; exit 7", "--wait", "x") == (7, "--wait x\n", "")


def test_what_may_not_go_on_is_not_started(shell: Shell) -> None:
    code, out, told = shell.gate(OTHER, "--", "touch", "started")

    assert (code, out, (shell.folder / "started").exists()) == (1, "", False)
    assert told.startswith(f"detector: {OTHER} may not go on: open for 1 d: {WHY}.")


@pytest.mark.parametrize(
    ("options", "configured", "code", "word"),
    [
        pytest.param([], "allow", 0, "runs although nobody knows", id="as the breaker says"),
        pytest.param([], "block", 1, "nobody knows whether it may", id="as the breaker says, to wait"),
        pytest.param(["--on-unknown", "block"], "allow", 1, "nobody knows", id="overruled: wait"),
        pytest.param(["--on-unknown", "allow"], "block", 0, "runs although nobody knows", id="overruled: go"),
    ],
)
def test_what_nobody_knows(shell: Shell, options: list[str], configured: str, code: int, word: str) -> None:
    shell.api.values[JOB], shell.api.age = value(on_unknown=configured), 3_600

    found, out, told = shell.gate(JOB, *options, "--", "echo", "loaded")

    assert (found, out) == (code, "" if code else "loaded\n")
    assert word in told


def test_a_configuration_that_is_wrong_is_unknown_and_no_bad_data(shell: Shell) -> None:
    shell.environment["DETECTOR_SOURCE"] = "reddis"

    code, out, told = shell.gate(JOB, "--", "echo", "loaded")

    assert (code, out) == (0, "loaded\n")
    assert "'reddis' is no source" in told


def test_a_command_that_is_not_there_ends_as_in_a_shell(shell: Shell) -> None:
    code, _, told = shell.gate(JOB, "--", "no-such-command")

    assert (code, told) == (127, "detector: no-such-command cannot be run: No such file or directory\n")


@pytest.mark.slow
def test_who_may_wait_runs_when_it_may(shell: Shell) -> None:
    with shell.start(OTHER, "--wait", "1m", "--", "echo", "loaded") as process:
        eventually(lambda: shell.api.seen, "it to ask")
        shell.api.values[OTHER] = value(OTHER)
        out, told = process.communicate(timeout=60)

    assert (process.returncode, out) == (0, "loaded\n")
    assert told.startswith(f"detector: {OTHER} waits, up to 60 s: open for 1 d")


def test_who_names_what_it_reads_is_asked_for_that(shell: Shell) -> None:
    shell.api.values[OTHER] = opened(OTHER, scope=["column:amount"])

    code, _, _ = shell.gate(OTHER, "--column", "id", "--", "true")

    assert code == 0


# ---------------------------------------------------------------- telling of the run


@pytest.fixture
def telling(shell: Shell, embedded_broker: EmbeddedBroker) -> Shell:
    embedded_broker.create_topic(RUNS)
    shell.environment["DETECTOR_KAFKA__BOOTSTRAP_SERVERS"] = embedded_broker.bootstrap
    return shell


def said(shell: Shell) -> list[tuple[str, str | None]]:
    settings = {"bootstrap.servers": shell.environment["DETECTOR_KAFKA__BOOTSTRAP_SERVERS"], "group.id": "g"}
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(RUNS, 0, OFFSET_BEGINNING)])
    messages = consumer.consume(2, 20)
    consumer.close()
    found = [Decoder().decode(Record(RUNS, 0, 0, 0.0, m.key(), m.value())) for m in messages]
    return [(event.state, event.error) for event in found if isinstance(event, RunEvent)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code", "end"),
    [
        pytest.param("exit 0", 0, ("COMPLETE", None), id="well"),
        pytest.param("exit 3", 3, ("FAIL", "exit code #"), id="badly"),
        pytest.param("kill -KILL $$", 137, ("FAIL", "killed by SIGKILL"), id="killed by somebody else"),
    ],
)
def test_how_the_command_ended_is_told(telling: Shell, command: str, code: int, end: tuple[str, str | None]) -> None:
    found, _, _ = telling.gate(JOB, "--emit", "--output", "dataset:a/b", "--", "sh", "-c", command)

    assert (found, said(telling)) == (code, [("START", None), end])


@pytest.mark.slow
def test_signals_are_passed_on_and_told(telling: Shell) -> None:
    with telling.start(JOB, "--emit", "--", "sh", "-c", "echo up; exec sleep 60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert (process.returncode, said(telling)) == (143, [("START", None), ("ABORT", "SIGTERM")])


def test_only_jobs_have_runs(shell: Shell) -> None:
    code, _, told = shell.gate(OTHER, "--emit", "--", "true")

    assert code == 2
    assert "only jobs have runs" in told
