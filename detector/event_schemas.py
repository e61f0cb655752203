"""JSON Schemas of everything that others read or write as JSON: each type of event, and what people may say.

They are made of the structs that the program itself encodes and decodes, so that they cannot say anything else. A
reader should take fields that it does not know as they come: a later release may add some, and never takes one away
under the same type.
"""

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any

import msgspec

from detector.core import board, judged, lineage, people, pipeline, promises, seeding, turn
from detector.core.commands import AnyCommand
from detector.core.declared import judging
from detector.core.emissions import (
    Anomaly,
    BreakerChange,
    BreakerValue,
    CommandDone,
    Heartbeat,
    HoldChange,
    JudgedRun,
    Quarantined,
    Rollback,
    Seeded,
    Sla,
    Unevaluated,
)
from detector.core.incidents import Incident
from detector.core.recovery import RecoveryPlan

DIALECT = "https://json-schema.org/draft/2020-12/schema"
COMMAND = "io.detector.command.v1"  # no type of an event: commands are plain JSON, and this names their schema

EVENTS: Mapping[str, type[msgspec.Struct]] = {
    **dict.fromkeys(turn.ANOMALY.values(), Anomaly),
    turn.BREAKER_CHANGED: BreakerChange,
    lineage.BREAKER_HELD: HoldChange,
    turn.ROLLBACK: Rollback,
    **dict.fromkeys(board.INCIDENT.values(), Incident),
    board.VALUE: Incident,
    board.PLAN: RecoveryPlan,
    people.COMMAND_DONE: CommandDone,
    pipeline.QUARANTINED: Quarantined,
    seeding.SEEDED: Seeded,
    promises.SLA: Sla,
    judging.UNEVALUATED: Unevaluated,
    judged.RUN_JUDGED: JudgedRun,
    turn.BREAKER: BreakerValue,
    pipeline.HEARTBEAT: Heartbeat,
}
# What a type of event says by itself of a field of its data.
_SAID = {name: {"phase": phase} for phase, name in turn.ANOMALY.items()}
Meanings = Mapping[tuple[str, str], str]


NAMES = (*EVENTS, COMMAND)


def schema(name: str, examples: list[Any], meanings: Meanings) -> dict[str, Any]:
    """The schema of an event's data, or of commands. `meanings` are of fields, by the names of struct and field."""
    kind = EVENTS.get(name)
    made = msgspec.json.schema(kind or AnyCommand)
    parts: dict[str, Any] = made.pop("$defs")
    for part, body in parts.items():
        _describe(part, body, meanings)
    described = parts[kind.__name__]["description"] if kind else "One record of the topic of commands."
    fixed = {field: {"const": value} for field, value in _SAID.get(name, {}).items()}
    return {
        "$schema": DIALECT,
        "$id": f"urn:detector:schema:{name}",
        "title": name,
        "description": described,
        **made,
        **({"properties": fixed} if fixed else {}),
        "examples": examples,
        "$defs": parts,
    }


def _describe(name: str, body: dict[str, Any], meanings: Meanings) -> None:
    if "description" in body:
        body["description"] = cleandoc(body["description"])
    for field, told in body.get("properties", {}).items():
        if meaning := meanings.get((name, field)):
            told["description"] = meaning
