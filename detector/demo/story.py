"""What has happened in the demo so far, as people want to see it and as `--json` prints it.

Two voices tell it: the company (what was injected, who was held back) and Detector's control topic (what was found,
which breakers moved). Nothing here knows how it is shown.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from detector.core.text import duration
from detector.demo.faults import WHAT, Fault
from detector.demo.judge import Finding, Judge, blame
from detector.demo.simulation import Happening, Held, Injected, Sent

Tone = Literal["fault", "found", "symptom", "alarm", "open", "probe", "closed", "held", "call", "over", "plan", "plain"]
KEEP_LINES = 200
_UUID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what happened, at a moment of simulated time."""

    at: float
    tone: Tone
    text: str


@dataclass(slots=True)
class Case:
    """One injected fault and all that came of it."""

    fault: Fault
    finding: Finding | None = None
    symptoms: int = 0
    breakers: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    protected: set[str] = field(default_factory=set)
    wall_delay: float | None = None


class Story:
    """Fed in the order of events: the company first, then what Detector says of it."""

    def __init__(self) -> None:
        self.cases: dict[Fault, Case] = {}
        self.judge = Judge()
        self.lines: deque[Line] = deque(maxlen=KEEP_LINES)
        self.told = 0
        self.events = 0
        self.opened = 0
        self.calls = 0
        self._held_by: dict[str, str] = {}

    # ------------------------------------------------------------ the company

    def happened(self, happenings: Iterable[Happening]) -> None:
        """Take what the company did."""
        for happening in happenings:
            match happening:
                case Sent():
                    self.events += 1
                case Injected(at, fault):
                    self.cases[fault] = Case(fault)
                    self._tell(at, "fault", f"{short(fault.entity)}: {WHAT[fault.kind]}")
                case Held():
                    self._held(happening)

    def _held(self, held: Held) -> None:
        entity = self._held_by.get(held.entity, held.entity)
        fault = blame(self.cases, entity, held.at)
        if fault is not None and held.job.key not in fault.entities:
            self.cases[fault].protected.add(held.job.key)
        breaker = f"the breaker of {short(entity)}"
        self._tell(
            held.at,
            "held",
            f"{short(held.job.key)} waits for {breaker if held.directly else f'a job that {breaker} holds'}",
        )

    # ------------------------------------------------------------ Detector

    def heard(self, event: dict[str, Any], passed: Callable[[float], float | None], now: float) -> None:
        """Take one event of the control topic, heard at `now` (seconds of real time).

        `passed` tells when, in real time, the company's clock passed a moment of simulated time.
        """
        data, at = event["data"], _seconds(event["time"])
        kind = event["type"]
        if kind.startswith("io.detector.anomaly.started"):
            self._found(Finding(data["entity"], data["check"], at, data["summary"]), passed(at), now)
        elif kind.startswith("io.detector.breaker.state_changed"):
            self._moved(data, at)
        elif kind.startswith("io.detector.breaker.held"):
            self._reached(data)
        elif kind.startswith(("io.detector.incident.", "io.detector.recovery.plan")):
            self._people(kind, data, at)

    def _reached(self, data: dict[str, Any]) -> None:
        """A hold came to an entity by its lineage, or left it."""
        if data["held"]:
            self._held_by[data["entity"]] = data["root"]
        else:
            self._held_by.pop(data["entity"], None)

    def _people(self, kind: str, data: dict[str, Any], at: float) -> None:
        """What reaches people: one call for each cause, its end, and what to redo."""
        if data.get("pages"):
            self.calls += 1
            self._tell(at, "call", f"somebody is called: {data['summary']}")
        elif kind == "io.detector.incident.resolved.v1":
            self._tell(at, "over", data["summary"])
        elif "steps" in data and data["version"] == 1:
            self._tell(at, "plan", data["summary"])

    def _found(self, finding: Finding, passed: float | None, now: float) -> None:
        fault = self.judge.take(finding, self.cases)
        where = short(finding.entity)
        if fault is None:
            self._tell(finding.at, "alarm", f"{where}: {finding.summary} (no fault explains this)")
            return
        case = self.cases[fault]
        if self.judge.found.get(fault) is finding:
            case.finding = finding
            case.wall_delay = None if passed is None else max(now - passed, 0.0)
            self._tell(finding.at, "found", f"{where}: {finding.summary}")
        else:
            case.symptoms += 1
            self._tell(finding.at, "symptom", f"{where}: {finding.summary}")

    def _moved(self, data: dict[str, Any], at: float) -> None:
        entity, state, was = data["entity"], data["to"], data["from"]
        tone: dict[str, Tone] = {"open": "open", "half_open": "probe", "closed": "closed"}
        fault = blame(self.cases, entity, at)
        self.opened += state == "open" and was == "closed"
        if fault is not None:
            case = self.cases[fault]
            if state == "open":
                case.breakers.add(entity)
            (case.open.discard if state == "closed" else case.open.add)(entity)
        self._tell(
            at, tone.get(state, "plain"), f"breaker of {short(entity)} is {state.replace('_', '-')}: {data['reason']}"
        )

    def _tell(self, at: float, tone: Tone, text: str) -> None:
        self.lines.append(Line(at, tone, _UUID.sub(r"\1", text)))
        self.told += 1

    # ------------------------------------------------------------ the end

    @property
    def pending(self) -> list[Case]:
        """The faults that nobody has found yet."""
        return [case for case in self.cases.values() if case.finding is None]

    @property
    def protected(self) -> int:
        """How many runs of other jobs were kept from bad input."""
        return sum(len(case.protected) for case in self.cases.values())

    def as_json(self) -> dict[str, Any]:
        """The whole story in figures. Times are of simulated time."""
        return {
            "injected": len(self.cases),
            "found": len(self.judge.found),
            "false_alarms": len(self.judge.false_alarms),
            "events": self.events,
            "faults": [_fault(case) for case in self.cases.values()],
            "protected": self.protected,
            "breakers_opened": self.opened,
            "calls": self.calls,
            "unexplained": [_finding(finding) for finding in self.judge.false_alarms],
        }


def _fault(case: Case) -> dict[str, Any]:
    fault, finding = case.fault, case.finding
    assert fault.injected_at is not None
    return {
        "kind": fault.kind,
        "entity": fault.entity,
        "injected_at": _iso(fault.injected_at),
        "found_at": None if finding is None else _iso(finding.at),
        "delay_s": None if finding is None else round(max(finding.at - fault.injected_at, 0.0), 2),
        "wall_delay_s": None if case.wall_delay is None else round(case.wall_delay, 3),
        "check": None if finding is None else finding.check,
        "summary": None if finding is None else finding.summary,
        "symptoms": case.symptoms,
        "breakers": sorted(case.breakers),
        "protected": sorted(case.protected),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"entity": finding.entity, "check": finding.check, "at": _iso(finding.at), "summary": finding.summary}


def short(entity: str) -> str:
    """An entity as people call it: without its kind and without the address of the system that it lives in."""
    kind, _, name = entity.partition(":")
    if kind == "job":
        return name.partition("/")[2]
    return name.rpartition("//")[2].partition("/")[2]


def delay_of(case: Case) -> str:
    """How long the fault went unnoticed, in simulated time."""
    if case.finding is None or case.fault.injected_at is None:
        return ""
    delay = max(case.finding.at - case.fault.injected_at, 0.0)
    return "at once" if delay < 1 else duration(delay)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
