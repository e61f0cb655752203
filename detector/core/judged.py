"""Writes down how a run was judged, for whoever wants to see its series: nothing is decided by it."""

from typing import Literal

from detector.core.emissions import SEVERITIES, Emission, JudgedRun
from detector.core.state import Run
from detector.core.turn import Turn

RUN_JUDGED = "io.detector.run.judged.v1"
Kind = Literal["run", "load", "profile", "window"]


def write_down(turn: Turn, run: Run, kind: Kind, reason: str, *, run_id: str | None = None, grain: str = "") -> None:
    """Tell of a run that was judged, or of what was heard of it later, with all loads since the last call."""
    loads, turn.judged = turn.judged, []
    metrics, unusual, values, bands = list[str](), set[str](), b"", b""
    for load in loads:
        metrics += load.metrics
        unusual.update(load.unusual)
        values += load.values.astype("<f8", copy=False).tobytes()
        bands += load.bands.astype("<f8", copy=False).tobytes()
    data = JudgedRun(
        entity=turn.entity.key,
        kind=kind,
        state=run.state if run.state in ("FAIL", "ABORT") else "COMPLETE",  # type: ignore[arg-type]
        severity=SEVERITIES[run.severity],
        reason=reason,
        ended=turn.believed(run.ended or turn.at),
        run_id=run_id,
        began=None if run.started is None else turn.believed(run.started),
        nominal_time=run.nominal_time,
        grain=grain,
        version=run.version,
        code_version=run.code_version,
        metrics=metrics,
        values=values,
        bands=bands,
        unusual=[place for place, metric in enumerate(metrics) if metric in unusual] if unusual else [],
        due=turn.entity.runs.schedule.expected,
    )
    turn.emissions.append(Emission(turn.next_id(), "runs", turn.entity.key, RUN_JUDGED, turn.at, data))
