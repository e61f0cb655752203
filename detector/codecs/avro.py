"""Avro: our two records, in each of the framings that say by which schema they were written.

| begins with                          | schema                                    | then |
|--------------------------------------|-------------------------------------------|------|
| header `__value_schema_id`           | 0x01 and a GUID, or 0x00 and an id        | the whole value is the record |
| 0x00                                 | 4 bytes id, big-endian (Confluent)        | the record |
| 0x01                                 | 16 bytes GUID (Confluent)                 | the record |
| 0xC3 0x01                            | 8 bytes CRC-64-AVRO (single object)       | the record |
"""

import io
from collections.abc import Callable
from typing import Any, ClassVar, Final, cast
from uuid import UUID

import fastavro
from fastavro.read import SchemaResolutionError

from detector.codecs import avro_reader, loose, native, native_json, openlineage
from detector.codecs.checks import Refused
from detector.codecs.registry import Registry
from detector.codecs.schema import PROFILE, PROFILE_1, RUN_EVENT, RUN_EVENT_1, Schema, read
from detector.core.events import DeadLetter, Event, Record

HEADER: Final = "__value_schema_id"
SINGLE_OBJECT: Final = b"\xc3\x01"
_PREFIXES: Final = {0x00: 5, 0x01: 17, 0xC3: 10}  # how many bytes name the schema, by the first of them
Reader = Callable[[bytes, int], Event]


class Avro:
    """Avro with a Schema Registry (or, as single objects, without one)."""

    kind: ClassVar[str] = "avro"
    first_bytes: ClassVar[frozenset[int]] = frozenset({0x00, 0x01, 0xC3})

    def __init__(self, registry: Registry | None = None) -> None:
        self._registry = registry
        self._ours: dict[str, Reader] = {
            RUN_EVENT.name: avro_reader.run_event,
            PROFILE.name: avro_reader.ProfileReader(),
        }
        # By the bytes that name the schema. Only schemas that exist get in, so it cannot grow without bound.
        self._readers: dict[bytes, Reader] = {
            SINGLE_OBJECT + schema.fingerprint: self._ours[schema.name] for schema in (RUN_EVENT, PROFILE)
        }
        self._readers[SINGLE_OBJECT + RUN_EVENT_1.fingerprint] = _Resolved(RUN_EVENT_1, RUN_EVENT, _run_event)
        self._readers[SINGLE_OBJECT + PROFILE_1.fingerprint] = _Resolved(PROFILE_1, PROFILE, _profile)

    def decode(self, record: Record) -> Event | DeadLetter:
        """The event in `record`, or why there is none. Raises `Unreachable` when the registry does not answer."""
        body = record.value or b""
        try:
            name, at = _schema_name(record, body)
            reader = self._readers.get(name)
            if reader is None:
                reader = self._readers[name] = self._reader(name)
            return reader(body, at)
        except Refused as refused:
            return refused.letter(record)
        except avro_reader.MALFORMED:
            return Refused("avro", "the bytes are no record of their schema, or are cut off").letter(record)

    def _reader(self, name: bytes) -> Reader:
        if name[:1] == SINGLE_OBJECT[:1]:
            raise Refused("unknown_schema", "single object of a schema that is not ours: a registry could name it")
        key = int.from_bytes(name[1:]) if name[0] == 0 else str(UUID(bytes=name[1:]))
        if self._registry is None:
            raise Refused("no_registry", f"written with schema {key} of a registry; set `registry.url` to read it")
        found = self._registry.schema(key)
        if found.type == "JSON":
            return _json
        if found.type != "AVRO":
            raise Refused("schema", f"schema {key} is of a type that cannot be read; AVRO and JSON can")
        if found.references:
            raise Refused("schema", f"schema {key} refers to other schemas, which is not supported: register it whole")
        return self._reader_of(read(found.text), key)

    def _reader_of(self, writer: Schema, key: int | str) -> Reader:
        for ours, build in ((RUN_EVENT, _run_event), (PROFILE, _profile)):
            if writer.name == ours.name:
                if writer.canonical == ours.canonical and writer.units == ours.units:
                    return self._ours[ours.name]
                return _Resolved(writer, ours, build)
        raise Refused("schema", f"schema {key} is neither {RUN_EVENT.name} nor {PROFILE.name}")


def _schema_name(record: Record, body: bytes) -> tuple[bytes, int]:
    """The bytes that name the schema, and where the record begins. The header goes first, as with Confluent."""
    for key, value in record.headers:
        if key == HEADER:
            if value is None or (value[:1], len(value)) not in {(b"\x00", 5), (b"\x01", 17)}:
                raise Refused("header", f"{HEADER} is neither 0x00 and 4 bytes nor 0x01 and 16 bytes")
            return value, 0
    size = _PREFIXES.get(body[0], 0) if body else 0
    if size > len(body) or (size == 10 and body[1] != 1) or not size:
        raise Refused("format", "neither Avro with a schema's id in front nor an Avro single object")
    return body[:size], size


def _json(body: bytes, at: int) -> Event:
    """What a serializer for JSON Schema wrote."""
    try:
        return openlineage.read(body[at:])
    except Refused as refused:
        if refused.reason != "format":
            raise
    return native_json.read(body[at:])


class _Resolved:
    """Reads what was written by an older or newer schema of the same name, by Avro's rules for that."""

    def __init__(self, writer: Schema, ours: Schema, build: Callable[[dict[str, Any]], Event]) -> None:
        self._writer = writer
        self._ours = ours
        self._build = build

    def __call__(self, body: bytes, at: int) -> Event:
        stream = io.BytesIO(body)
        stream.seek(at)
        try:
            found = cast("dict[str, Any]", fastavro.schemaless_reader(stream, self._writer.parsed, self._ours.parsed))
        except SchemaResolutionError:
            raise Refused("schema", f"the writer's {self._writer.name} cannot be resolved to ours") from None
        except Exception as error:  # noqa: BLE001 - fastavro raises whatever its code stumbles over
            raise Refused("avro", f"the bytes are no record of their schema ({type(error).__name__})") from None
        if (rest := len(body) - stream.tell()) != 0:
            raise Refused("avro", f"{rest} bytes follow the record")
        for field, unit in self._writer.units.items():
            if found.get(field) is not None:
                found[field] /= unit
        return self._build(found)


def _run_event(found: dict[str, Any]) -> Event:
    event = loose.convert(found, native.NativeRunEvent)
    return native.run_event(event, found["event_time"], found["nominal_time"])


def _profile(found: dict[str, Any]) -> Event:
    event = loose.convert(found, native.NativeProfile)
    return native.profile(event, found["event_time"], (found["window_start"], found["window_end"]))
