"""The demo from end to end, as a person starts it: embedded servers, the real ingest and worker, real time."""

import json
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest

# It takes half a minute of real time, which the quick tests have not.
pytestmark = pytest.mark.slow

SECONDS = 20


@pytest.fixture(scope="module")
def ended() -> subprocess.CompletedProcess[str]:
    """The demo of seed 7, once for all tests."""
    command = [sys.executable, "-m", "detector", "demo", "--for", f"{SECONDS}s", "--seed", "7", "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def told(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What it printed on standard output: one JSON object and nothing else."""
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("\n") == 1
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_every_fault_is_found_and_nothing_else_is_called_wrong(told: dict[str, Any]) -> None:
    assert told["injected"] == len(told["faults"]) >= 4
    assert told["found"] == told["injected"]
    assert told["false_alarms"] == 0, told["unexplained"]


def test_the_verdict_is_on_the_control_topic_within_a_second_of_the_event(told: dict[str, Any]) -> None:
    assert all(fault["wall_delay_s"] < 1.0 for fault in told["faults"]), told["faults"]


def test_the_delay_is_the_difference_of_the_times(told: dict[str, Any]) -> None:
    for fault in told["faults"]:
        between = datetime.fromisoformat(fault["found_at"]) - datetime.fromisoformat(fault["injected_at"])

        assert between.total_seconds() == pytest.approx(fault["delay_s"], abs=1.1)


def test_breakers_protect_jobs_that_would_have_read_bad_data(told: dict[str, Any]) -> None:
    assert told["protected"] > 0
    assert told["breakers_opened"] > 0


def test_history_and_live_events_went_through(told: dict[str, Any]) -> None:
    assert told["events"] > 9_400


def test_what_happens_is_told_on_standard_error_in_words(ended: subprocess.CompletedProcess[str]) -> None:
    lines = ended.stderr.splitlines()

    assert "-- live" in lines
    assert any(line.startswith("Faults injected: ") for line in lines)
    assert "detector doctor" in ended.stderr
    assert "Traceback" not in ended.stderr
