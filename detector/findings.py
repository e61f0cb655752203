"""The episodes that a backtest finds, and those that two configurations do not find alike.

Two configurations seldom begin and end an episode at the same record. So theirs are the same when they are of the same
entity and check and overlap in time: one that goes on for a week for the one, and in two parts for the other, is one
thing that both have found.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from detector.core.emissions import SEVERITIES, Severity

Side = Literal["a", "b"]
FIRST, SECOND = "a", "b"


class Finding(msgspec.Struct, kw_only=True):
    """An episode: how bad it became, and what was said when it began. Without `until` the history ended before it."""

    entity: str
    check: str
    severity: Severity
    summary: str
    since: float
    until: float | None = None
    count: int = 1

    @property
    def end(self) -> float:
        """When it was over, or never."""
        return math.inf if self.until is None else self.until


class _Anomaly(msgspec.Struct):
    """What is read here of the data of an event; other events have no phase."""

    phase: str = ""
    episode: str = ""
    entity: str = ""
    check: str = ""
    severity: Severity = "info"
    summary: str = ""
    since: float = 0.0
    count: int = 1


class _Line(msgspec.Struct):
    """A line of a backtest: an event, or the summary."""

    time: datetime | None = None
    data: _Anomaly | None = None


class Findings:
    """Collects the episodes out of the lines of JSON that a backtest writes."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}
        self._decoder = msgspec.json.Decoder(_Line)

    def __call__(self, line: bytes) -> None:
        """Take one line in."""
        read = self._decoder.decode(line)
        if read.data is None or not read.data.phase:
            return
        told = read.data
        finding = self._found.setdefault(told.episode, _begun(told))
        finding.count = max(finding.count, told.count)
        if told.phase == "ended" and read.time is not None:
            finding.until = read.time.timestamp()
        finding.severity = max(finding.severity, told.severity, key=SEVERITIES.index)

    def all(self) -> list[Finding]:
        """All of them, the earliest first."""
        return sorted(self._found.values(), key=lambda finding: (finding.since, finding.entity, finding.check))


def _begun(told: _Anomaly) -> Finding:
    summary = told.summary.removeprefix(f"{told.entity} is ").removeprefix(f"{told.entity}: ")
    return Finding(entity=told.entity, check=told.check, severity=told.severity, summary=summary, since=told.since)


# ---------------------------------------------------------------- of two configurations


class Compared(msgspec.Struct):
    """Episodes of one check of one entity that overlap: `found_by` says whether one configuration has them, or both."""

    found_by: Literal["a", "b", "both"]
    entity: str
    check: str
    since: float
    a: list[Finding]
    b: list[Finding]

    @property
    def shown(self) -> Finding:
        """The one to show: the first."""
        return min([*self.a, *self.b], key=lambda finding: finding.since)


def compare(a: Iterable[Finding], b: Iterable[Finding]) -> list[Compared]:
    """What the one found, the other, or both; the earliest first."""
    series: dict[tuple[str, str], list[tuple[Side, Finding]]] = defaultdict(list)
    for side, findings in ((FIRST, a), (SECOND, b)):
        for finding in findings:
            series[finding.entity, finding.check].append((side, finding))  # type: ignore[arg-type]
    found = [_compared(group) for of_one in series.values() for group in _overlapping(of_one)]
    return sorted(found, key=lambda one: (one.since, one.entity, one.check))


def _overlapping(findings: Sequence[tuple[Side, Finding]]) -> Iterator[list[tuple[Side, Finding]]]:
    """Groups in which each episode overlaps another one. Touching is no overlap, but to begin together is."""
    group: list[tuple[Side, Finding]] = []
    end = -math.inf
    for side, finding in sorted(findings, key=lambda one: one[1].since):
        if group and finding.since >= end and finding.since > group[0][1].since:
            yield group
            group, end = [], -math.inf
        group.append((side, finding))
        end = max(end, finding.end)
    if group:
        yield group


def _compared(group: Sequence[tuple[Side, Finding]]) -> Compared:
    a = [finding for side, finding in group if side == FIRST]
    b = [finding for side, finding in group if side == SECOND]
    first = group[0][1]
    return Compared("both" if a and b else "a" if a else "b", first.entity, first.check, first.since, a, b)
