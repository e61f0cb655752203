"""Judges the schema that a load tells against the one before, and says which loads are no measure of volume.

A change is told when it comes. The next load confirms it, and it is the schema from then on; or takes it back. Only two
loads in a row with one schema end the episode, so a dataset that flaps between two is one episode. What different
sources tell is never compared: a profile may know fewer columns than the run that wrote them, and spell their types
otherwise. What a reader tells of its inputs is passed over: the columns that it reads are not all that there are.
"""

from typing import Final

from detector.core.events import Dataset, Field
from detector.core.schemas import Change, Compatibility, compare, compatibility, sentence
from detector.core.state import Run, Schema, Shape
from detector.core.turn import CRITICAL, INFO, WARNING, Turn

SEVERITY: Final[dict[Compatibility, int]] = {
    "identical": INFO,
    "compatible": INFO,
    "risky": WARNING,
    "breaking": CRITICAL,
}
MAX_COLUMNS, MAX_TEXT, MAX_SOURCES, KEEP_CHANGES = 2_000, 200_000, 6, 100
EXPLAINING: Final = frozenset({"CREATE", "DROP", "OVERWRITE", "TRUNCATE"})
VOLUMES: Final = frozenset({"rows", "bytes", "files"})
ALPHA, HABIT, FEWEST = 0.1, 0.1, 3
FORGET = 7 * 86_400.0  # a source that is silent for so long does not hold an episode open
CHECK: Final = "schema"


def kept(schema: tuple[Field, ...] | None) -> tuple[Field, ...] | None:
    """The schema, unless it is too large to be kept: a part of it would tell of changes that there are not."""
    if not schema or len(schema) > MAX_COLUMNS or sum(len(f.name) + len(f.type) for f in schema) > MAX_TEXT:
        return None
    return schema


def judge_schema(turn: Turn, run: Run, source: str, run_id: str | None, confirm: bool = True) -> int:
    """Judge the schema that a run has told, once; then forget it. Returns the severity (0 is fine).

    `confirm` is false for who tells a schema only when it changes: then what is told is so at once.
    """
    told, run.schema = run.schema, None
    watched = turn.settings.metrics
    if told is None or CHECK in run.judged or not (watched is None or CHECK in watched):
        return INFO
    at = turn.believed(turn.at if run.ended is None else run.ended)
    schemas = turn.entity.shape.schemas
    known = schemas.get(source)
    if known is None:
        if len(schemas) < MAX_SOURCES:
            schemas[source] = Schema(told, at)
            run.judged.append(CHECK)
        return INFO
    if at < known.at:
        return INFO  # a run of before: what it wrote is not what is there now
    run.judged.append(CHECK)
    known.at = at
    changes = compare(known.fields, told)
    if not changes:
        _as_before(turn, known, told, run_id)
        return INFO
    if known.pending is not None and not compare(known.pending, told):
        known.fields, known.pending = told, None
        turn.over(CHECK, "the next load has the new schema, too", run_id)
        return INFO
    severity = _tell(turn, changes, run_id)
    if confirm:
        known.pending = told
    else:
        known.fields = told
        turn.over(CHECK, "this is the schema now", run_id)
    return severity


def _as_before(turn: Turn, known: Schema, told: tuple[Field, ...], run_id: str | None) -> None:
    if known.pending is not None:
        known.pending = None  # it may be flapping: one more load tells
        return
    known.fields = told
    others = turn.entity.shape.schemas.values()
    if all(other.pending is None or other.at < known.at - FORGET for other in others):
        turn.over(CHECK, "the schema is as it was before", run_id)


def _tell(turn: Turn, changes: list[Change], run_id: str | None) -> int:
    worst = compatibility(changes)
    told = f"schema: {sentence(changes)}"
    turn.find(CHECK, SEVERITY[worst], told, run_id, compatibility=worst, changes=changes[:KEEP_CHANGES])
    return SEVERITY[worst]


# ---------------------------------------------------------------- what happened to the whole dataset


def lifecycle_of(dataset: Dataset) -> str | None:
    """What was done to the whole dataset, if that can explain how large it is now."""
    return dataset.lifecycle if dataset.lifecycle in EXPLAINING else None


def explain(shape: Shape, run: Run) -> None:
    """Decide, once, what explains how much this run wrote: a change of the whole dataset that is no habit.

    A table that each load overwrites is not explained by that: then nothing would ever be found in it. The change may
    have come by itself, before the load. Learns what the habit is.
    """
    if run.explained is not None or run.state != "COMPLETE":
        return
    if VOLUMES.isdisjoint(run.metrics):
        shape.lifecycle = run.lifecycle or shape.lifecycle
        return
    told, shape.lifecycle = run.lifecycle or shape.lifecycle, None
    unusual = told is not None and shape.loads >= FEWEST and shape.lifecycles.get(told, 0.0) <= HABIT
    run.explained = told if told is not None and unusual else ""
    shape.loads += 1
    weight = max(ALPHA, 1 / shape.loads)
    known = {*shape.lifecycles, told} if told else shape.lifecycles
    for kind in sorted(known):
        share = shape.lifecycles.get(kind, 0.0)
        shape.lifecycles[kind] = share + weight * ((kind == told) - share)


def is_explained(run: Run, metric: str) -> bool:
    """Whether this number of a run is a volume that something else than the load explains."""
    return bool(run.explained) and (metric in VOLUMES or metric.startswith(("profile_rows:", "profile_bytes:")))
