"""What `detector tail` writes of each kind of event: what it is about, and what is said of it, in one line."""

from typing import Any

import pytest

from detector.tail import Shown, line

ID, ROOT, JOB = "5f0c7a", "dataset:db/raw", "job:ns/clean"


@pytest.mark.parametrize(
    ("key", "kind", "data", "expected"),
    [
        pytest.param(
            ID,
            "incident.opened",
            {"root": ROOT, "pages": True, "severity": "critical", "summary": f"{ROOT}: 412 rows; 2 jobs held"},
            ("call", ROOT, "412 rows; 2 jobs held"),
            id="an incident that calls, by where it began",
        ),
        pytest.param(
            ID,
            "incident.resolved",
            {"root": ROOT, "severity": "critical", "summary": f"{ROOT}: over after 1 h"},
            ("resolved", ROOT, "over after 1 h"),
            id="an incident that is over",
        ),
        pytest.param(
            JOB,
            "breaker.held",
            {"held": True, "root": ROOT, "summary": f"{JOB} is held: 412 rows"},
            ("held", JOB, "412 rows"),
            id="a hold",
        ),
        pytest.param(
            JOB,
            "breaker.held",
            {"held": False, "root": ROOT, "summary": f"{JOB} may go on: {ROOT} is good again"},
            ("released", JOB, f"{JOB} may go on: {ROOT} is good again"),
            id="the end of a hold",
        ),
        pytest.param(
            ID,
            "recovery.plan",
            {"root": ROOT, "steps": [], "summary": f"{ROOT} is good again: redo 3 runs"},
            ("to redo", ROOT, "good again: redo 3 runs"),
            id="a plan",
        ),
        pytest.param(
            JOB,
            "command.done",
            {"command": "override", "by": "alice", "done": False, "effect": "an override needs an end"},
            ("refused", JOB, "alice: override: an override needs an end"),
            id="a command that was refused",
        ),
    ],
)
def test_an_event_is_a_line(key: str, kind: str, data: dict[str, Any], expected: tuple[str, str, str]) -> None:
    event = {"type": f"io.detector.{kind}.v1", "time": "2026-11-24T03:00:00Z", "data": data}
    told = line(Shown(0.0, key, event))

    assert (told.what, told.entity, told.text) == expected
