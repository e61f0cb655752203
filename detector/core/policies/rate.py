"""Trip on the share of runs that were bad: for pipelines that run often, and of which a few bad runs are usual."""

from dataclasses import dataclass
from typing import ClassVar

from detector.core.breaker import Outcome, Verdict
from detector.core.policies.limits import Severity, check_runs, level, verdict


@dataclass(frozen=True, slots=True)
class Rate:
    """Trip when `failure_rate_threshold` percent or more of the last `runs` runs were of this `severity` or worse.

    Nothing is said of fewer than `min_runs`. These are resilience4j's failureRateThreshold, slidingWindowSize and
    minimumNumberOfCalls of a window that counts; its defaults of 100 calls would be 100 days of a nightly load.
    """

    kind: ClassVar[str] = "rate"

    failure_rate_threshold: float = 50.0
    runs: int = 6
    min_runs: int = 3
    severity: Severity = "warning"

    def __post_init__(self) -> None:
        """Refuse a rate that can never be reached, or always is. Raises `ValueError`."""
        check_runs(self.runs)
        if not 1 <= self.min_runs <= self.runs:
            raise ValueError("min_runs: must be from 1 to runs")
        if not 0 < self.failure_rate_threshold <= 100:
            raise ValueError("failure_rate_threshold: must be above 0 and at most 100 (percent)")
        level(self.severity)

    @property
    def keeps(self) -> int:
        """How many outcomes it looks at."""
        return self.runs

    def verdict(self, outcomes: list[Outcome]) -> Verdict:
        """Whether enough of those that were seen are bad."""
        window, least = outcomes[-self.runs :], level(self.severity)
        bad = sum(outcome.severity >= least for outcome in window)
        reached = bad > 0 and 100 * bad >= self.failure_rate_threshold * len(window)
        return verdict(window, reached and len(window) >= self.min_runs)
