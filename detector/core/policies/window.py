"""Trip on what happened in the last few runs: one critical finding, or some warnings."""

from dataclasses import dataclass
from typing import ClassVar

from detector.core.breaker import Outcome, Verdict
from detector.core.policies.limits import CRITICAL, WARNING, check_runs, verdict


@dataclass(frozen=True, slots=True)
class Window:
    """Trip on `criticals` critical runs, or `warnings` runs with a warning or worse, among the last `runs` runs.

    A run that follows a good one still trips if the window holds enough bad ones; a good run alone recovers.
    """

    kind: ClassVar[str] = "window"

    criticals: int = 1
    warnings: int = 2
    runs: int = 3

    def __post_init__(self) -> None:
        """Refuse a window that can never trip. Raises `ValueError`."""
        check_runs(self.runs)
        if not 1 <= self.criticals <= self.runs:
            raise ValueError("criticals: must be from 1 to runs")
        if not 1 <= self.warnings <= self.runs:
            raise ValueError("warnings: must be from 1 to runs")

    @property
    def keeps(self) -> int:
        """How many outcomes it looks at."""
        return self.runs

    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        """Whether the window holds enough bad runs."""
        window = outcomes[-self.runs :]
        bad = [outcome.severity for outcome in window if outcome.severity >= WARNING]
        criticals = sum(severity >= CRITICAL for severity in bad) if bad else 0
        return verdict(window, criticals >= self.criticals or len(bad) >= self.warnings)
