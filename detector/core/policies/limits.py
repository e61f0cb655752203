"""What the policies share: how bad a run must be to count, and how many runs an entity may be asked to remember."""

from collections.abc import Sequence
from typing import Literal

from detector.core.breaker import Outcome, Verdict

CRITICAL = 2
WARNING = 1
MOST_RUNS = 64  # each is a few bytes in the state of every entity
Severity = Literal["warning", "critical"]
LEVELS: dict[str, int] = {"warning": WARNING, "critical": CRITICAL}


def check_runs(runs: int) -> None:
    """Refuse a number of runs that no outcome is in, or that nobody keeps. Raises `ValueError`."""
    if not 1 <= runs <= MOST_RUNS:
        raise ValueError(f"runs: must be from 1 to {MOST_RUNS}")


def level(severity: str) -> int:
    """The severity from which on a run is bad. Raises `ValueError`."""
    if severity not in LEVELS:
        raise ValueError("severity: must be warning or critical")
    return LEVELS[severity]


def verdict(outcomes: Sequence[Outcome], trips: bool) -> Verdict:
    """A good last run recovers; after a bad one, what the policy found of all of them decides whether it trips."""
    if not outcomes:
        return Verdict.HOLD
    if outcomes[-1].severity == 0:
        return Verdict.RECOVER
    return Verdict.TRIP if trips else Verdict.HOLD
