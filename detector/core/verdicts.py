"""Verdicts on what is no single value: on schedules, schemas, data that came again, and what goes together."""

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from detector.core import schema_changes
from detector.core.columns import USUAL
from detector.core.commands import Verdict
from detector.core.lessons import FEEDBACK
from detector.core.models.taught import MOST, WIDER
from detector.core.text import duration
from detector.core.together import CHECK as TOGETHER
from detector.core.together import calm_down
from detector.core.turn import SAME_DATA, Turn

OVER: Final[Mapping[str, str]] = {
    "expected_once": f"expected this once, {FEEDBACK}",
    "new_normal": f"this is the new normal, {FEEDBACK}",
    "false_positive": f"nothing was wrong, {FEEDBACK}",
}


class Word(NamedTuple):
    """What was said, of which check, and whether its anomaly goes on."""

    verdict: Verdict
    check: str
    goes_on: bool


def _late(turn: Turn, word: Word) -> str:
    """The same lateness is silent: of a schedule that was not kept once, nothing is learned."""
    lessons, schedule = turn.entity.lessons, turn.entity.runs.schedule
    told = lessons.told.get(word.check)
    if word.verdict in OVER and word.goes_on:
        schedule.late_at = None  # until the next run comes
    if word.verdict not in ("new_normal", "false_positive") or told is None:
        return "late: noted; the schedule is as it was"
    came = turn.now if word.goes_on else told.observed
    wanted = math.ceil(WIDER * (came - told.expected))
    lessons.late = max(lessons.late, min(wanted, MOST * (told.upper - told.expected)))
    return f"late: a run may begin {duration(lessons.late)} after it is expected from now on"


def _hanging(turn: Turn, word: Word) -> str:
    lessons = turn.entity.lessons
    told = lessons.told.get(word.check)
    if word.verdict not in ("new_normal", "false_positive") or told is None:
        return "hanging: noted; the limit is as it was"
    took = told.observed + (turn.now - told.at if word.goes_on else 0.0)
    wanted = math.ceil(1e4 * WIDER * took / told.upper) / 1e4
    lessons.hanging = max(lessons.hanging, min(wanted, MOST))
    return f"hanging: the learned limit is {lessons.hanging:.3g} times as long from now on"


def _schema(turn: Turn, word: Word) -> str:
    """The next load with this schema is as expected, and one with that of before is told."""
    if word.verdict not in OVER:
        return "schema: noted; the next load confirms the change, or takes it back"
    for schema in turn.entity.shape.schemas.values():
        if schema.pending is not None:
            schema.fields, schema.pending = schema.pending, None
    return "schema: this is the schema from now on"


def _same_data(turn: Turn, word: Word) -> str:
    if word.verdict not in ("new_normal", "false_positive"):
        return "same data: noted; how often data is loaded again is learned as before"
    loads = turn.entity.loads.get(word.check.partition(":")[2] or "load")
    if loads is not None:
        loads.repeats = max(loads.repeats, USUAL)
    return "same data: that it is loaded again is usual from now on, and news when it was not for some ten loads"


def _together(turn: Turn, word: Word) -> str:
    """What goes together has no band of its own that a person could judge as too narrow."""
    if word.verdict in OVER and word.goes_on:
        calm_down(turn, renew=word.verdict == "new_normal")
        if word.verdict == "new_normal":
            return "together: how they went together at last is the new normal from now on"
    return "together: noted; what goes together is learned as before"


BY_CHECK: Final[Mapping[str, Callable[[Turn, Word], str]]] = {
    "late": _late,
    "hanging": _hanging,
    schema_changes.CHECK: _schema,
    SAME_DATA: _same_data,
    TOGETHER: _together,
}
