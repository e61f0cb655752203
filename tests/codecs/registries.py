"""A registry in memory: a small real one, for tests of what is read with its schemas."""

from uuid import UUID

from detector.codecs.checks import Refused
from detector.codecs.registry import Registered

RUN_EVENT_ID, PROFILE_ID = 7, 8


class MemoryRegistry:
    """Knows what it is given, by number and by GUID, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._schemas: dict[int | str, Registered] = {}

    def add(self, key: int | str, text: str, kind: str = "AVRO", references: bool = False) -> "MemoryRegistry":
        """Register `text` under `key`; gives itself."""
        self._schemas[key] = Registered(text, kind, references)
        return self

    def schema(self, key: int | str) -> Registered:
        self.asked += 1
        if key not in self._schemas:
            raise Refused("unknown_schema", f"the schema registry has no schema {key}")
        return self._schemas[key]


def guid(number: int) -> str:
    """A GUID for a test."""
    return str(UUID(int=number))
