"""Writes down how a run was judged, for whoever wants to see its series: nothing is decided by it."""

from typing import Literal

import numpy as np

from detector.core.emissions import SEVERITIES, Emission, JudgedRun
from detector.core.state import Run
from detector.core.turn import Turn

RUN_JUDGED = "io.detector.run.judged.v1"
Kind = Literal["run", "load", "profile", "window"]


def write_down(turn: Turn, run: Run, kind: Kind, reason: str, *, run_id: str | None = None, grain: str = "") -> None:
    """Tell of a run that was judged, or of what was heard of it later, with all readings since the last call."""
    readings, turn.readings = turn.readings, []
    metrics = [metric for one in readings for metric in one.metrics]
    places = {metric: place for place, metric in enumerate(metrics)}
    bands = [np.asarray(one.bands, "<f8") for one in readings]
    values = [np.asarray(one.values, "<f8") for one in readings]
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
        values=np.concatenate(values).tobytes() if values else b"",
        bands=_narrow(np.concatenate(bands)) if bands else b"",
        unusual=sorted(places[metric] for one in readings for metric in one.unusual),
    )
    turn.emissions.append(Emission(turn.next_id(), "runs", turn.entity.key, RUN_JUDGED, turn.at, data))


def _narrow(bands: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> bytes:
    with np.errstate(over="ignore"):  # what is too large for a float32 is as good as unbounded
        return bands.astype("<f4").tobytes()
