"""docs/control-topic.md says what the code says: every type of event, every field, with its type."""

import re
from collections.abc import Iterable
from enum import EnumType
from pathlib import Path
from typing import get_args

import msgspec
import msgspec.inspect as inspection
import pytest

from detector.core import board, emissions, judged, lineage, people, pipeline, promises, seeding, turn
from detector.core.breaker import Override, Probe
from detector.core.declared import judging
from detector.core.emissions import (
    Anomaly,
    Attained,
    BreakerChange,
    BreakerValue,
    CommandDone,
    Contributor,
    Heartbeat,
    HeldBy,
    HoldChange,
    JudgedRun,
    LastGood,
    OpenEpisode,
    OwnBreaker,
    Quarantined,
    Rollback,
    Seeded,
    Sla,
    Unevaluated,
)
from detector.core.incidents import Entry, Incident, IncidentFinding, Past
from detector.core.messages import Redo
from detector.core.recovery import PlanStep, RecoveryPlan
from detector.core.schemas import Change

PAGE = (Path(__file__).parent.parent / "docs" / "control-topic.md").read_text(encoding="utf-8")
STRUCTS: dict[str, type[msgspec.Struct]] = {
    kind.__name__: kind
    for kind in (
        *(Anomaly, Attained, BreakerChange, BreakerValue, Change, CommandDone, Contributor, Entry, Heartbeat, HeldBy),
        *(
            HoldChange,
            Incident,
            IncidentFinding,
            JudgedRun,
            LastGood,
            OpenEpisode,
            Override,
            OwnBreaker,
            Past,
            PlanStep,
            Probe,
        ),
        *(Quarantined, RecoveryPlan, Redo, Rollback, Seeded, Sla, Unevaluated),
    )
}
TYPES = {*turn.ANOMALY.values(), turn.BREAKER_CHANGED, turn.BREAKER, pipeline.HEARTBEAT, pipeline.QUARANTINED}
TYPES |= {seeding.SEEDED, promises.SLA, judging.UNEVALUATED, turn.ROLLBACK, lineage.BREAKER_HELD, people.COMMAND_DONE}
TYPES |= {*board.INCIDENT.values(), board.VALUE, board.PLAN, judged.RUN_JUDGED}
WORDS = {
    inspection.StrType: "string",
    inspection.FloatType: "number",
    inspection.IntType: "integer",
    inspection.BoolType: "boolean",
    inspection.NoneType: "null",
    inspection.BytesType: "string",
}


def written(kind: inspection.Type, optional: bool) -> str:
    """A type as the page writes it. An optional field is left out and not null."""
    match kind:
        case inspection.UnionType():
            return " or ".join(written(t, optional) for t in kind.types if not (optional and is_null(t)))
        case inspection.LiteralType():
            return ordered(f"`{value}`" for value in kind.values)
        case inspection.EnumType():
            assert isinstance(kind.cls, EnumType)
            return ordered(f"`{member.value}`" for member in kind.cls)
        case inspection.ListType():
            return f"list of {written(kind.item_type, optional)}"
        case inspection.DictType():
            return f"object of {written(kind.value_type, optional)}"
        case inspection.StructType():
            return kind.cls.__name__
    return WORDS[type(kind)]


def ordered(values: Iterable[str]) -> str:
    """The page has them in the order that people think in, msgspec in its own."""
    return ", ".join(sorted(values))


def is_null(kind: inspection.Type) -> bool:
    return isinstance(kind, inspection.NoneType)


def coded(struct: type[msgspec.Struct]) -> list[tuple[str, str, str]]:
    info = inspection.type_info(struct)
    assert isinstance(info, inspection.StructType)
    return [
        (f"`{field.encode_name}`", written(field.type, not field.required), "" if field.required else "optional")
        for field in info.fields
    ]


def told(name: str) -> list[tuple[str, str, str]]:
    table = re.search(rf"<!-- fields: {name} -->\n\|.*\n\|-.*\n((?:\|.*\n)+)", PAGE)
    assert table, f"the page has no table of {name}"
    rows = [[cell.strip() for cell in line.split("|")] for line in table.group(1).splitlines()]
    return [(field, sorted_kind(kind), optional) for _, field, kind, optional, _, _ in rows]


def sorted_kind(kind: str) -> str:
    listed = "list of " if kind.startswith("list of ") else ""
    return listed + ordered(kind.removeprefix(listed).split(", "))


def events() -> list[tuple[str, type[msgspec.Struct], bytes]]:
    """(heading, struct, example) of every section about an event."""
    found: list[tuple[str, type[msgspec.Struct], bytes]] = []
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        struct = re.search(r"<!-- fields: (\w+) -->", section)
        example = re.search(r"```json\n(.+?)```", section, re.DOTALL)
        assert struct, section
        assert example, section
        found.append((section.partition("\n")[0], STRUCTS[struct.group(1)], example.group(1).encode()))
    return found


@pytest.mark.parametrize("name", STRUCTS)
def test_every_field_is_on_the_page_with_its_type(name: str) -> None:
    assert told(name) == coded(STRUCTS[name])


def test_every_struct_that_is_said_is_on_the_page() -> None:
    assert {kind.__name__ for kind in get_args(emissions.Data)} <= STRUCTS.keys()


def test_the_page_has_every_type_of_event_and_no_other() -> None:
    assert {name for heading, _, _ in events() for name in re.findall(r"`([^`]+)`", heading)} == TYPES


@pytest.mark.parametrize(("heading", "struct", "example"), events(), ids=lambda part: str(part)[:40])
def test_every_example_is_one(heading: str, struct: type[msgspec.Struct], example: bytes) -> None:
    decoded = msgspec.json.decode(example, type=struct)

    assert msgspec.to_builtins(decoded) == msgspec.json.decode(example), heading
