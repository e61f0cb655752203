"""Trip on what the last runs weigh together: one critical run as much as several warnings."""

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

from detector.core.breaker import Outcome, Verdict
from detector.core.policies.limits import CRITICAL, WARNING, check_runs, verdict


@dataclass(frozen=True, slots=True)
class Weighted:
    """Trip when the last `runs` runs weigh `threshold` or more: `warning` or `critical` each, by its severity."""

    kind: ClassVar[str] = "weighted"

    warning: float = 1.0
    critical: float = 3.0
    threshold: float = 3.0
    runs: int = 4

    def __post_init__(self) -> None:
        """Refuse weights that can never reach the threshold. Raises `ValueError`."""
        check_runs(self.runs)
        if not (isfinite(self.warning) and self.warning >= 0):
            raise ValueError("warning: must be 0 or more")
        if not (isfinite(self.critical) and self.critical >= self.warning and self.critical > 0):
            raise ValueError("critical: must be above 0 and not less than warning")
        if not 0 < self.threshold <= self.runs * self.critical:
            raise ValueError("threshold: must be above 0 and at most runs times critical")

    @property
    def keeps(self) -> int:
        """How many outcomes it looks at."""
        return self.runs

    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        """Whether the window is too heavy."""
        window = outcomes[-self.runs :]
        criticals = sum(outcome.severity >= CRITICAL for outcome in window)
        warnings = sum(outcome.severity == WARNING for outcome in window)
        return verdict(window, criticals * self.critical + warnings * self.warning >= self.threshold)
