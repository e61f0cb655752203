"""What goes wrong in the company: the kinds of faults, and which one comes next."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from detector.demo.company import JOBS, Job, downstream, entity_of, readers

Kind = Literal["failed_run", "late", "hanging_run", "slow_run", "short_load", "zero_rows", "double_load", "retries"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LOADS: frozenset[str] = frozenset({"short_load", "zero_rows", "double_load"})
FACTOR: dict[str, float] = {"short_load": 0.05, "zero_rows": 0.0, "double_load": 2.0}
SLOW = 2.6

WHAT: dict[Kind, str] = {
    "failed_run": "the run fails",
    "late": "the run never starts",
    "hanging_run": "the run never ends",
    "slow_run": f"takes {SLOW:g} times as long",
    "short_load": "only 5 % of the rows",
    "zero_rows": "no rows at all",
    "double_load": "every row twice",
    "retries": "fails twice, then succeeds",
}
CHECKS: dict[Kind, frozenset[str]] = {
    "failed_run": frozenset({"failed"}),
    "late": frozenset({"late", "deadline"}),
    "hanging_run": frozenset({"hanging"}),
    "slow_run": frozenset({"duration"}),
    "short_load": frozenset({"rows", "rows_out"}),
    "zero_rows": frozenset({"rows", "rows_out"}),
    "double_load": frozenset({"rows", "rows_out"}),
    "retries": frozenset({"failed"}),
}


@dataclass(slots=True, eq=False)
class Fault:
    """One thing that goes wrong with one run of a job. Times are seconds of simulated time.

    `injected_at` is when it begins to be visible from outside: when the run should have begun (late), when it began
    (hanging, slow), when its wrong end was told (all others); None for one that never came about, since the run was
    held back. `cleared_at` is when the job was well again.
    """

    kind: Kind
    job: Job
    slot: float
    injected_at: float | None = None
    cleared_at: float | None = None

    @property
    def entity(self) -> str:
        """Where a person would say that the fault is: the dataset for a wrong load, else the job."""
        return entity_of(self.job.writes[0].dataset) if self.kind in LOADS else self.job.key

    @property
    def entities(self) -> frozenset[str]:
        """Where a finding counts as this fault's: the job and all that it writes."""
        return frozenset({self.job.key, *(entity_of(output.dataset) for output in self.job.writes)})


def can_have(job: Job, kind: Kind) -> bool:
    """Whether a person would expect this kind of fault to be found on this job, and within the hour.

    Twice the rows are no surprise where customers make them; what a long or a daily job does wrong in time is known
    hours later. A wrong load is of interest where somebody reads it soon: who is to be protected?
    """
    match kind:
        case "late":
            return job.hour is None
        case "hanging_run" | "slow_run":
            return job.seconds <= 600
        case "double_load":
            return _has_readers(job) and all(output.swing == 0 for output in job.writes)
        case "short_load" | "zero_rows":
            return _has_readers(job) and job.hour is None
        case _:
            return True


def _has_readers(job: Job) -> bool:
    return any(readers(output.dataset) for output in job.writes)


class Deck:
    """All kinds of faults in a random order: each comes once before one comes again."""

    def __init__(self, random: Random) -> None:
        """`random` decides the order and the jobs."""
        self._random = random
        self._kinds: list[Kind] = []

    def draw(self, after: float, until: float, well: Callable[[Job, Kind], bool]) -> Fault | None:
        """The next fault: of a run that is due in [after, until), of a job that `well` lets through.

        A kind that finds no such job now waits for its turn; None if none does.
        """
        if not self._kinds:
            self._kinds = self._random.sample(KINDS, len(KINDS))
        for kind in self._kinds:
            found = [
                (job, slot)
                for job in JOBS
                if can_have(job, kind) and well(job, kind)
                for slot in job.slots(after, until)
            ]
            if found:
                job, slot = self._random.choice(found)
                self._kinds.remove(kind)
                return Fault(kind, job, slot)
        return None

    def put_back(self, fault: Fault) -> None:
        """A fault that never came about: its kind is next."""
        self._kinds.insert(0, fault.kind)


def related(one: Job, other: Job) -> bool:
    """Whether a fault of one may be felt at the other, or at somebody who reads both."""
    return one.key == other.key or other.key in downstream(one) or one.key in downstream(other)
