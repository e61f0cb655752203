"""The episodes of a backtest, and which of them two configurations share."""

import json
from typing import Any

import pytest

from detector.findings import Finding, Findings, compare

Span = tuple[float, float | None]


def finding(since: float, until: float | None = None, entity: str = "job:a/b", check: str = "rows") -> Finding:
    return Finding(entity=entity, check=check, severity="warning", summary="few", since=since, until=until)


def anomaly(phase: str, time: int, **data: Any) -> bytes:
    """A line of a backtest."""
    told = {"phase": phase, "episode": "e1", "entity": "job:a/b", "check": "rows", "severity": "warning"}
    data = {**told, "summary": "job:a/b is late", "since": 0.0, **data}
    return json.dumps({"time": f"1970-01-01T00:00:{time:02}Z", "data": data}).encode()


def test_an_episode_is_told_by_how_it_began_how_bad_it_became_and_when_it_was_over() -> None:
    findings = Findings()
    findings(anomaly("started", 0))
    findings(b'{"time": "1970-01-01T00:00:05Z", "data": {"entity": "job:a/b", "from": "closed", "to": "open"}}')
    findings(anomaly("updated", 10, severity="critical", summary="worse", count=2))
    findings(anomaly("ended", 20, severity="info", summary="over", count=2))
    findings(anomaly("started", 30, episode="e2", since=30.0))
    findings(b'{"summary": {"read": 4}}')

    first = Finding(entity="job:a/b", check="rows", severity="critical", summary="late", since=0.0, until=20.0, count=2)
    second = Finding(entity="job:a/b", check="rows", severity="warning", summary="late", since=30.0)
    assert findings.all() == [first, second]


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        pytest.param([], [], [], id="nothing is found by nobody"),
        pytest.param([(1, 2)], [], ["a"], id="found by A only"),
        pytest.param([], [(1, 2)], ["b"], id="found by B only"),
        pytest.param([(1, 5)], [(4, 9)], ["both"], id="overlapping episodes are the same"),
        pytest.param([(1, 5)], [(5, 9)], ["a", "b"], id="one that begins when the other is over is another one"),
        pytest.param([(1, None)], [(8, 9)], ["both"], id="an episode that was not over overlaps all that comes"),
        pytest.param([(1, 9)], [(2, 3), (5, 6)], ["both"], id="two parts of one episode are one thing"),
        pytest.param([(1, 1)], [(1, 1)], ["both"], id="moments are the same if they are the same moment"),
        pytest.param([(1, 2), (5, 6)], [(5, 6)], ["a", "both"], id="the earliest first"),
        pytest.param([(1, 3), (3, 5)], [(2, 4)], ["both"], id="what overlaps in a chain is one thing"),
    ],
)
def test_episodes_that_overlap_are_found_by_both(a: list[Span], b: list[Span], found: list[str]) -> None:
    compared = compare([finding(*span) for span in a], [finding(*span) for span in b])

    assert [one.found_by for one in compared] == found
    assert sum(len(one.a) for one in compared) == len(a)
    assert sum(len(one.b) for one in compared) == len(b)


def test_episodes_of_other_entities_and_checks_are_others() -> None:
    compared = compare([finding(1, 9)], [finding(1, 9, entity="job:a/c"), finding(1, 9, check="bytes")])

    assert [(one.found_by, one.entity, one.check) for one in compared] == [
        ("b", "job:a/b", "bytes"),
        ("a", "job:a/b", "rows"),
        ("b", "job:a/c", "rows"),
    ]
