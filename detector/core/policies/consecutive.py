"""Trip on several bad runs in a row: for a pipeline whose single bad run mends itself at the next one."""

from dataclasses import dataclass
from typing import ClassVar

from detector.core.breaker import Outcome, Verdict
from detector.core.policies.limits import Severity, check_runs, level, verdict


@dataclass(frozen=True, slots=True)
class Consecutive:
    """Trip when each of the last `runs` runs was of this `severity` or worse. Any other run begins the row anew."""

    kind: ClassVar[str] = "consecutive"

    runs: int = 2
    severity: Severity = "warning"

    def __post_init__(self) -> None:
        """Refuse a row that can never be full. Raises `ValueError`."""
        check_runs(self.runs)
        level(self.severity)

    @property
    def keeps(self) -> int:
        """How many outcomes it looks at."""
        return self.runs

    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        """Whether the row is full."""
        row, least = outcomes[-self.runs :], level(self.severity)
        return verdict(row, len(row) == self.runs and all(outcome.severity >= least for outcome in row))
