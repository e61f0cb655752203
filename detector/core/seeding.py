"""How an entity takes over what it would have learned from a history, had it been watched then.

The history itself does not come by: it is older than the partition's clock, on which depends what `step` does. It is
replayed elsewhere (`detector seed`), by the same `step` under a clock of its own, and each entity's outcome is one
record of the log. So a history is learned as a whole or not at all, a live event can come before or after it but not
between, and a replay of the log learns the same again.

What is past stays past: anomalies, outcomes, breakers, runs that did not end, and what was due then are left behind.
"""

from msgspec.structs import replace

from detector.core.emissions import Seeded
from detector.core.events import Seed
from detector.core.judge import model_of
from detector.core.lineage import Lineage
from detector.core.state import Entity, Runs, Shape, dump, load
from detector.core.text import moment
from detector.core.turn import Turn

SEEDED = "io.detector.entity.seeded.v1"
YOUNG = 14  # runs that an entity must have seen itself to know better than a history: its learned limits hold then


def learned(entity: Entity, since: float, until: float) -> Seed | None:
    """What an entity has learned in a replay of a history with events between these times; None if that is nothing."""
    past = entity.runs
    if not (entity.series or past.ended or past.profiled):
        return None
    runs = Runs(
        ended=past.ended,
        horizon=past.horizon,
        schedule=past.schedule,
        completed=past.completed,
        good=past.good,
        streaming=past.streaming,
        sends_start=past.sends_start,
        profiled=past.profiled,
        profiled_before=past.profiled_before,
        ended_last=past.ended_last,
    )
    around = Lineage(up=entity.lineage.up, down=entity.lineage.down, parent=entity.lineage.parent)
    kept = Entity(entity.key, runs=runs, series=entity.series, loads=entity.loads, shape=entity.shape, lineage=around)
    return Seed(dump(kept), since, until)


def on_seed(turn: Turn, seed: Seed) -> None:
    """Take over what a history has taught, unless the entity has seen enough itself, or as much as the history.

    Raises `ValueError` for bytes that are no state, or one of another entity, and `SnapshotTooNew`.
    """
    entity, past = turn.entity, load(seed.state)
    if past.key != entity.key:
        raise ValueError("what was learned is of another entity")
    known, offered = _known(turn), _known(replace(turn, entity=past))
    taken = known < min(YOUNG, offered)
    if taken:
        _learn(entity, past)
    between = f"between {moment(seed.since)} and {moment(seed.until)}"
    if taken:
        told = f"learned from {offered} runs {between}"
    else:
        told = f"keeps what it has learned from {known} runs of its own; the history has {offered} {between}"
    data = Seeded(
        entity=entity.key,
        taken=taken,
        known=offered if taken else known,
        since=seed.since,
        until=seed.until,
        summary=f"{entity.key}: {told}",
    )
    turn.say(SEEDED, data)


def _known(turn: Turn) -> int:
    """How many runs, loads or values were learned from: the most that any part of the entity has seen."""
    entity = turn.entity
    seen = max((model_of(turn, metric).samples for metric in list(entity.series)), default=0)
    return max(seen, len(entity.runs.ended) + len(entity.runs.profiled))


def _learn(entity: Entity, past: Entity) -> None:
    """The series and references of the history replace the little that is there; facts of live events stay."""
    entity.series = past.series
    entity.loads = {**entity.loads, **past.loads}
    _learn_shape(entity.shape, past.shape)
    _learn_runs(entity.runs, past.runs)


def _learn_shape(shape: Shape, past: Shape) -> None:
    shape.schemas = {**past.schemas, **shape.schemas}
    shape.lifecycles, shape.loads = past.lifecycles, past.loads
    shape.lifecycle = shape.lifecycle or past.lifecycle


def _learn_runs(runs: Runs, past: Runs) -> None:
    """Runs of the history are over: if they come again, they are no new runs."""
    runs.ended, runs.profiled = {**past.ended, **runs.ended}, {**past.profiled, **runs.profiled}
    runs.horizon = max(past.horizon, runs.horizon)
    runs.profiled_before = max(past.profiled_before, runs.profiled_before)
    runs.completed = max(past.completed, runs.completed)
    runs.ended_last = max(past.ended_last, runs.ended_last)
    runs.good = runs.good or past.good
    runs.streaming = runs.streaming or past.streaming
    runs.sends_start = runs.sends_start or past.sends_start
    runs.schedule.precede(past.schedule)
