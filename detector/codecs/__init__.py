"""From the bytes of a record to an event, whatever the topic: the bytes say what they are.

A header that names a schema goes first, then the first byte. Codecs that know a first byte are asked in the order of
`CODECS`, until one says something else than "this is none of mine". Adding a format is one file and one name here.
"""

from collections.abc import Callable
from typing import ClassVar, Final, Protocol

from detector.codecs.avro import HEADER, Avro
from detector.codecs.checks import Refused
from detector.codecs.native_json import NativeJson
from detector.codecs.openlineage import OpenLineage
from detector.codecs.registry import Registry, SchemaRegistry
from detector.core.events import DeadLetter, Event, Record
from detector.errors import DetectorError

__all__ = ["CODECS", "Avro", "Codec", "Decoder", "NativeJson", "OpenLineage", "Registry", "SchemaRegistry"]


class Codec(Protocol):
    """Reads one format. `first_bytes` are those that a value of this format can begin with."""

    kind: ClassVar[str]
    first_bytes: ClassVar[frozenset[int]]

    def decode(self, record: Record) -> Event | DeadLetter:
        """The event in `record`, or why there is none; reason `format` says that another codec may know it.

        Raises nothing for bytes, whatever they are; `Unreachable` when a service that it needs does not answer.
        """


CODECS: Final[dict[str, type[Codec]]] = {codec.kind: codec for codec in (Avro, OpenLineage, NativeJson)}


class Decoder:
    """Decodes records of any topic and format. Not for several threads at once."""

    def __init__(self, registry: Registry | None = None) -> None:
        avro = Avro(registry)
        codecs: list[Codec] = [avro if kind == Avro.kind else codec() for kind, codec in CODECS.items()]
        self._headed = avro.decode
        self._by_first_byte: list[tuple[Callable[[Record], Event | DeadLetter], ...]] = [
            tuple(c.decode for c in codecs if byte in c.first_bytes) for byte in range(256)
        ]

    def decode(self, record: Record) -> Event | DeadLetter:
        """The event in `record`, or why there is none; the dead letter holds `record` as it came.

        Raises `Unreachable` when the registry that knows its schema does not answer: try the same record again.
        """
        value = record.value
        if not value:
            return Refused("empty", "no value" if value is None else "a value of no bytes").letter(record)
        try:
            if record.headers:
                for key, _ in record.headers:
                    if key == HEADER:
                        return self._headed(record)
            for decode in self._by_first_byte[value[0]]:
                found = decode(record)
                if type(found) is not DeadLetter or found.reason != "format":
                    return found
        except (DetectorError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - a defect of a codec must cost one record, not stop all of them
            return Refused("bug", f"a codec failed with {type(error).__name__}: please report it").letter(record)
        return Refused("format", "neither JSON of OpenLineage or ours, nor Avro that names its schema").letter(record)
