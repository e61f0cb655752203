"""Which runs are open, which are over: events of a run come twice, in any order, days late, or never.

Events of one run are folded into one `Run`. Its end is judged once. The hash of a run that is over is kept, so that a
repeat of its end is no new run; a START later than that end is a new attempt under the same id (a scheduler that
derives run ids from the nominal time does this when a run is cleared), and so is a later end of another kind: a run
cannot both fail and complete.
"""

import math
from functools import lru_cache
from hashlib import blake2b

from detector.core.events import TERMINAL, RunState
from detector.core.state import Run, Runs

KEEP_ENDED = 128
KEEP_CLOSED = 3
MAX_OPEN = 64


def hash_of(name: str) -> int:
    """Eight bytes that stand for a name that may be long."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") >> 1


hash_of_dataset = lru_cache(maxsize=16_384)(hash_of)  # datasets come again and again, runs do not


def find_run(runs: Runs, run_id: str, state: RunState | None, event_time: float, now: float) -> Run | None:
    """The run that this event belongs to, made when it is a new one; None for a repeat of a run that is over."""
    if not math.isfinite(event_time):
        return None
    run = runs.open.get(run_id)
    if run is not None:
        return run if event_time > run.not_before else None
    closed, hashed = runs.closed.get(run_id), hash_of(run_id)
    ended = runs.ended.get(hashed)
    if ended is not None and not (event_time > ended and _is_new_attempt(closed, state)):
        if state in TERMINAL:
            runs.ended[hashed] = max(ended, event_time)
        return None if closed is not None and event_time <= closed.not_before else closed
    if ended is None and event_time <= runs.horizon:
        return None
    runs.closed.pop(run_id, None)
    runs.open[run_id] = run = Run(run_id, hashed, now, not_before=ended or 0.0)
    if len(runs.open) > MAX_OPEN:
        # One that has ended waits for its judgement, and must have it.
        del runs.open[next((other for other, r in runs.open.items() if r.ended is None))]
    return run


def _is_new_attempt(closed: Run | None, state: RunState | None) -> bool:
    return state == "START" or (closed is not None and state in TERMINAL and state != closed.state)


def is_new_profile(runs: Runs, name: str, event_time: float, believed: float) -> bool:
    """Whether a profile was not seen before. Profiles have a ring of their own: there may be many more than runs."""
    hashed = hash_of(name)
    if not math.isfinite(event_time) or hashed in runs.profiled or event_time < runs.profiled_before:
        return False
    runs.profiled[hashed] = event_time
    while len(runs.profiled) > KEEP_ENDED:
        first = next(iter(runs.profiled))
        runs.profiled_before = max(runs.profiled_before, min(runs.profiled.pop(first), believed))
    return True


def note_time(run: Run, state: RunState | None, event_time: float) -> None:
    """Fold the time of one event into a run: it started at its first START, and ended at its first terminal event."""
    if state == "START":
        run.started = event_time if run.started is None else min(run.started, event_time)
    if state in ("START", "RUNNING") and run.ended is None:
        run.state = "RUNNING"
    elif state in TERMINAL and run.ended is None:
        run.ended, run.state = event_time, str(state)


def close(runs: Runs, run: Run, believed: float) -> None:
    """A run is over: keep what late facts of it need for a while, and its hash for long.

    `believed` is the latest end that can be true; one beyond it must not move the horizon there, or no run would be
    seen until then.
    """
    runs.open.pop(run.id, None)
    runs.closed[run.id] = run
    while len(runs.closed) > KEEP_CLOSED:
        del runs.closed[next(iter(runs.closed))]
    ended = runs.ended
    ended.pop(run.hash, None)
    ended[run.hash] = run.ended or run.first_seen
    while len(ended) > KEEP_ENDED:
        first = next(iter(ended))
        runs.horizon = max(runs.horizon, min(ended.pop(first), believed))
