"""Which findings the injected faults explain, and which are false alarms.

A finding is an anomaly episode that began. It *finds* a fault if it is of a kind that the fault should raise, on the
faulted job or on what that job writes. It is a *symptom* if it is on the faulted job, on what it writes, or downstream
of it, while the fault lasts or its consequences do: until an entity has had time for a run of its own after the faulted
job was well again. All else is a false alarm.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from detector.demo.company import BY_KEY, DAY, EVERY_DAY, HOUR, JOBS, Job, downstream, entity_of
from detector.demo.faults import CHECKS, Fault

ROUNDING = 0.002  # times of events are written in milliseconds
_WRITER_OF: dict[str, Job] = {entity_of(output.dataset): job for job in JOBS for output in job.writes}


@dataclass(frozen=True, slots=True)
class Finding:
    """An anomaly episode that began at `at` (seconds of simulated time), heard at `heard` (seconds of real time)."""

    entity: str
    check: str
    at: float
    summary: str = ""
    heard: float = 0.0


@dataclass(slots=True)
class Judge:
    """Findings are taken as they come; a fault must be known before the first finding that it explains."""

    found: dict[Fault, Finding] = field(default_factory=dict)
    symptoms: list[tuple[Fault, Finding]] = field(default_factory=list)
    false_alarms: list[Finding] = field(default_factory=list)

    def take(self, finding: Finding, faults: Iterable[Fault]) -> Fault | None:
        """The fault that this finding is of, or a symptom of; None for a false alarm."""
        possible = [fault for fault in faults if explains(fault, finding.entity, finding.at)]
        for fault in possible:
            if finding.entity in fault.entities and finding.check in CHECKS[fault.kind] and fault not in self.found:
                self.found[fault] = finding
                return fault
        if possible:
            self.symptoms.append((possible[-1], finding))
            return possible[-1]
        self.false_alarms.append(finding)
        return None


def explains(fault: Fault, entity: str, at: float) -> bool:
    """Whether a fault may be felt at an entity at a moment."""
    if fault.injected_at is None or at < fault.injected_at - ROUNDING:
        return False
    if entity not in fault.entities and entity not in downstream(fault.job):
        return False
    return fault.cleared_at is None or at <= fault.cleared_at + _aftermath(entity)


def blame(faults: Iterable[Fault], entity: str, at: float) -> Fault | None:
    """The fault that most likely is behind what happens to an entity: one of its own, else the last one upstream."""
    possible = [fault for fault in faults if explains(fault, entity, at)]
    own = [fault for fault in possible if entity in fault.entities]
    return next(reversed(own or possible), None)


def _aftermath(entity: str) -> float:
    """How long after the faulted job was well again its fault may still be felt at an entity."""
    job = BY_KEY.get(entity) or _WRITER_OF.get(entity)
    if job is None or job.hour is None:
        return 2.5 * HOUR
    return DAY + 2 * HOUR if job.days == EVERY_DAY else 3 * DAY + 2 * HOUR
