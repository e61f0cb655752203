"""The rows of somebody's topic, for whoever counts them: JSON objects, or Avro by a Schema Registry.

What comes of it are the values themselves, which must not leave the process.
"""

import io
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import fastavro
import msgspec

from detector.codecs import loose, schema
from detector.codecs.avro import HEADER
from detector.codecs.checks import Refused
from detector.codecs.registry import Registry
from detector.core.events import Headers

_FRAME: Final = 5  # bytes before the record: a zero, and the number of the schema
_json = msgspec.json.Decoder().decode


class Rows:
    """Reads values of records as rows: columns by name."""

    def __init__(self, registry: Registry | None = None) -> None:
        """Without a registry only JSON can be read."""
        self._registry = registry
        self._schemas: dict[int | str, Any] = {}

    def row(self, value: bytes | None, headers: Headers = ()) -> Mapping[str, Any] | None:
        """The row that a value is; None for a tombstone, which is none.

        Raises `Refused` for what is no row, and `Unreachable` when the registry does not answer.
        """
        if value is None:
            return None
        named = next((told for name, told in headers if name == HEADER and told), None)
        if named is None and value[:1] != b"\0":
            return _object(value)
        if named is not None:
            key, at = (int.from_bytes(named[1:]) if named[0] == 0 else str(UUID(bytes=named[1:17]))), 0
        else:
            key, at = int.from_bytes(value[1:_FRAME]), _FRAME
        return self._written(value, at, key)

    def _written(self, value: bytes, at: int, key: int | str) -> Mapping[str, Any]:
        parsed = self._schemas.get(key)
        if parsed is None:
            parsed = self._schemas[key] = self._schema(key)
        if parsed == "JSON":
            return _object(value[at:])
        stream = io.BytesIO(value)
        stream.seek(at)
        try:
            found = fastavro.schemaless_reader(stream, parsed, None)
        except Exception as error:  # noqa: BLE001 - fastavro raises whatever its code stumbles over
            raise Refused("avro", f"the bytes are no record of their schema ({type(error).__name__})") from None
        if not isinstance(found, dict):
            raise Refused("schema", "the schema is not a record")
        return found

    def _schema(self, key: int | str) -> Any:
        if self._registry is None:
            raise Refused("no_registry", f"written with schema {key} of a registry; set `registry.url` to read it")
        found = self._registry.schema(key)
        if found.type == "JSON":
            return "JSON"
        if found.type != "AVRO" or found.references:
            raise Refused("schema", f"schema {key} cannot be read: Avro and JSON in one piece can")
        schema.read(found.text)  # refuses what is unsafe to read with
        return fastavro.parse_schema(msgspec.json.decode(found.text))


def _object(value: bytes) -> Mapping[str, Any]:
    try:
        found = _json(value)
    except msgspec.DecodeError:
        found = loose.parse(value)  # NaN and the like
    if not isinstance(found, dict):
        raise Refused("format", "JSON, but no object")
    return found
