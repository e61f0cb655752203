"""How the script and both frameworks judge a job: River's EWMean and EWVar on six series, and one ADWIN.

The same in all three, so that they differ in nothing but how they read, keep state and commit.
"""

from collections.abc import Iterator
from typing import Any, Final

from river.drift import ADWIN
from river.stats import EWMean, EWVar

WARMUP: Final = 20
LIMIT: Final = 5.0
FADING: Final = 0.05
OPEN_RUNS: Final = 100


class Series:
    """One metric of a job."""

    __slots__ = ("count", "mean", "var")

    def __init__(self) -> None:
        self.count, self.mean, self.var = 0, EWMean(FADING), EWVar(FADING)

    def judge(self, value: float) -> float:
        """How many standard deviations it is off; it is learned after that."""
        spread = self.var.get() if self.count >= WARMUP else 0.0
        score = (value - self.mean.get()) / spread**0.5 if spread > 0 else 0.0
        self.mean.update(value)
        self.var.update(value)
        self.count += 1
        return float(score)


class JobState:
    """All that is kept of a job between its events."""

    __slots__ = ("drift", "series", "started")

    def __init__(self) -> None:
        self.started: dict[str, int] = {}
        self.series: dict[str, Series] = {}
        self.drift = ADWIN()  # type: ignore[no-untyped-call]

    def on_event(self, event: Any) -> list[dict[str, Any]]:
        """The alerts that an event gives."""
        if event["state"] == "START":
            self.started[event["run_id"]] = event["event_time"]
            if len(self.started) > OPEN_RUNS:
                del self.started[next(iter(self.started))]
            return []
        alerts = []
        for name, value in self._metrics(event):
            series = self.series.get(name)
            if series is None:
                series = self.series[name] = Series()
            score = series.judge(value)
            if abs(score) > LIMIT:
                alerts.append({"job": event["name"], "run": event["run_id"], "metric": name, "score": score})
            if name == "rows_written":
                self.drift.update(value)  # type: ignore[no-untyped-call]
                if self.drift.drift_detected:
                    alerts.append({"job": event["name"], "run": event["run_id"], "metric": name, "drift": True})
        return alerts

    def _metrics(self, event: Any) -> Iterator[tuple[str, float]]:
        started = self.started.pop(event["run_id"], None)
        if started is not None:
            yield "duration", (event["event_time"] - started) / 1e6
        for dataset in event["inputs"]:
            yield "rows_read", dataset["rows"]
        for dataset in event["outputs"]:
            yield "rows_written", dataset["rows"]
            yield "bytes_written", dataset["bytes"]
        yield from event["metrics"].items()
