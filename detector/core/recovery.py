"""What must be redone after a fault: the plan that the control topic carries.

Each event of a plan is the whole plan, and one with a higher `version` replaces those before. Detector plans and
watches, and runs nothing: that is for people, or for an executor.
"""

from typing import Literal

import msgspec


class Redo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run to redo. `why`: failed, missed, bad (built on bad data or wrote it), blocked (did not run while held)."""

    why: Literal["failed", "missed", "bad", "blocked"]
    run_id: str | None = None
    nominal_time: float | None = None  # seconds since 1970
    done_by: str | None = None  # the run that redid it, as it was observed


class PlanStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be redone of one job."""

    job: str  # job:<namespace>/<name>
    after: list[str] = []  # jobs of this plan that must be done before
    runs: list[Redo] = []


class RecoveryPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be redone for one fault."""

    plan: str  # id
    version: int  # counts its changes
    root: str  # the entity whose breaker opened
    incident: str | None
    state: Literal["open", "done", "abandoned"]
    opened: float
    steps: list[PlanStep]  # in topological order
    summary: str
