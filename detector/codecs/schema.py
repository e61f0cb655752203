"""Avro schemas: our own two, and what must be known of somebody else's before bytes are read with it.

fastavro trusts the schema that it reads with. A schema of records inside themselves lets a message of 5 kB overflow the
stack and kill the process, and an array of nothings lets one of 10 bytes fill the memory. So a schema from a registry
is looked at once, and read with only if neither can happen.
"""

import json
from pathlib import Path
from typing import Any, Final, cast

import fastavro
import fastavro.schema
import msgspec

from detector.codecs.checks import Refused

MOST_NODES: Final = 10_000
DEEPEST: Final = 64
MICROS: Final = 1e6
_UNITS: Final = {"timestamp-millis": 1e3, "timestamp-micros": 1e6, "timestamp-nanos": 1e9}
_TIMES: Final = ("event_time", "nominal_time", "window_start", "window_end")


class Schema(msgspec.Struct, frozen=True):
    """A schema that can be read with.

    `parsed` is fastavro's form of it, without logical types: times stay numbers. `units` says how many of them a second
    has, for each field that is a time.
    """

    name: str
    parsed: Any
    canonical: str
    units: dict[str, float]

    @property
    def fingerprint(self) -> bytes:
        """CRC-64-AVRO of the canonical form, as single-object encoding has it: eight bytes, little-endian."""
        return bytes.fromhex(fastavro.schema.fingerprint(self.canonical, "CRC-64-AVRO"))


def read(text: str) -> Schema:
    """The schema that `text` is. Raises `Refused` (reason `schema`) for one that cannot, or must not, be read with."""
    try:
        bare, units = _without_logical_types(json.loads(text))
        parsed = fastavro.parse_schema(bare)
        canonical = fastavro.schema.to_parsing_canonical_form(parsed)
    except RecursionError:
        raise Refused("schema", "the writer's schema is nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - fastavro raises whatever its code stumbles over, KeyError included
        raise Refused("schema", f"the writer's schema cannot be parsed ({type(error).__name__})") from None
    if not isinstance(parsed, dict) or parsed.get("type") != "record":
        raise Refused("schema", "the writer's schema is not a record")
    _Walk().node(parsed, ())
    return Schema(str(parsed["name"]), parsed, canonical, units)


def _without_logical_types(schema: Any) -> tuple[Any, dict[str, float]]:
    """The schema as it is on the wire, and how many units a second has for each time among its fields."""
    fields = schema.get("fields", ()) if isinstance(schema, dict) else ()
    units = {field["name"]: _unit(field["type"]) for field in fields if field.get("name") in _TIMES}
    return _bare(schema), units


def _unit(kind: Any) -> float:
    branches = kind if isinstance(kind, list) else [kind]
    for branch in branches:
        if isinstance(branch, dict):
            word = str(branch.get("logicalType", "")).removeprefix("local-")
            if word in _UNITS:
                return _UNITS[word]
    return MICROS


def _bare(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_bare(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    bare = {key: value for key, value in schema.items() if key not in {"logicalType", "doc"}}
    for key in ("type", "items", "values"):
        if key in bare:
            bare[key] = _bare(bare[key])
    if "fields" in bare:
        bare["fields"] = [{**field, "type": _bare(field["type"])} for field in bare["fields"]]
    return bare


class _Walk:
    """Walks a parsed schema with its names expanded, and refuses what bytes could blow up."""

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._nodes = 0

    def node(self, schema: Any, inside: tuple[str, ...]) -> int:
        """The smallest number of bytes that a value of `schema` takes. `inside` names the records around it."""
        self._nodes += 1
        if self._nodes > MOST_NODES or len(inside) > DEEPEST:
            raise Refused("schema", "the writer's schema is too large")
        if isinstance(schema, list):
            return 1 + min((self.node(branch, (*inside, "")) for branch in schema), default=0)
        if isinstance(schema, str):
            return self.node(self._named[schema], inside) if schema in self._named else int(schema != "null")
        if "name" in schema:
            self._named[schema["name"]] = schema
        return self._complex(schema, inside)

    def _complex(self, schema: dict[str, Any], inside: tuple[str, ...]) -> int:
        kind = schema["type"]
        if kind in {"record", "error"}:
            if schema["name"] in inside:
                raise Refused("schema", "the writer's schema holds a record inside itself")
            return sum(self.node(field["type"], (*inside, schema["name"])) for field in schema["fields"])
        if kind in {"array", "map"}:
            smallest = self.node(schema["items" if kind == "array" else "values"], (*inside, ""))
            if kind == "array" and not smallest:
                raise Refused("schema", "the writer's schema holds an array of items that take no bytes")
            return 1
        if kind == "fixed":
            return cast("int", schema["size"])
        return 1 if kind == "enum" else self.node(kind, (*inside, ""))


def ours(file: str) -> Schema:
    """One of our own schemas, by the name of its file."""
    return read(text(file))


def text(file: str) -> str:
    """The text of one of our own schemas, to register it."""
    return (Path(__file__).parent / "schemas" / file).read_text(encoding="utf-8")


def _without(schema: str, *fields: str) -> Schema:
    """A schema before it had these fields."""
    found = json.loads(schema)
    return read(json.dumps({**found, "fields": [f for f in found["fields"] if f["name"] not in fields]}))


RUN_EVENT: Final = ours("run_event.avsc")
PROFILE: Final = ours("profile.avsc")
# The first that were: single objects may carry them.
RUN_EVENT_1: Final = _without(text("run_event.avsc"), "owners", "tags")
PROFILE_1: Final = _without(text("profile.avsc"), "top_values")
