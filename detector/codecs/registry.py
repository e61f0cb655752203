"""Where the schemas of a record's writer are found: a Schema Registry with Confluent's API.

A schema never changes under its id, so it is asked for once. That a registry is down says nothing about a record:
`Unreachable`, and whoever reads waits and tries the same record again. That it does not know an id is said of the
record.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from detector.codecs.checks import Refused
from detector.errors import ConfigError, Unreachable

TIMEOUT: Final = 10.0
_ASK_AGAIN: Final = 100  # records of an unknown id, before the registry is asked for it again
_MOST_UNKNOWN: Final = 1_000


class Registered(msgspec.Struct, frozen=True):
    """A schema as a registry has it. `type` is AVRO, JSON or PROTOBUF."""

    text: str
    type: str = "AVRO"
    references: bool = False


class Registry(Protocol):
    """Knows schemas by their id (a number) or their GUID (a text)."""

    def schema(self, key: int | str) -> Registered:
        """The schema of this id or GUID.

        Raises `Refused` (reason `unknown_schema`) when the registry has none, and `Unreachable` when it does not
        answer, or answers that it cannot now.
        """


class SchemaRegistry:
    """A Schema Registry over HTTP, or in the process for an address that begins with `mock://`.

    `settings` are those of confluent_kafka's `SchemaRegistryClient` (`basic.auth.user.info`, `ssl.ca.location` and so
    on). It makes one attempt of at most ten seconds unless they say otherwise: the waiting is the reader's, who can be
    stopped meanwhile. Raises `ConfigError` for settings that the client refuses.
    """

    def __init__(self, url: str, settings: Mapping[str, Any] | None = None) -> None:
        from confluent_kafka.schema_registry import SchemaRegistryClient

        self._address = re.sub(r"(?<=://)[^/@,]*@", "", url)
        try:
            asked = {"url": url, "timeout": TIMEOUT, "max.retries": 0, **(settings or {})}
            self.client = SchemaRegistryClient.new_client(asked)
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"registry: the client refuses the settings ({type(error).__name__})") from None
        self._known: dict[int | str, Registered] = {}
        self._unknown: dict[int | str, int] = {}

    def schema(self, key: int | str) -> Registered:
        """As `Registry.schema`."""
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._ask(key)
        return known

    def close(self) -> None:
        """Give back the connections."""
        self.client.close()

    def _ask(self, key: int | str) -> Registered:
        if self._unknown.get(key, 0) > 0:
            self._unknown[key] -= 1
            raise _unknown(key)
        try:
            found = self.client.get_schema(key) if isinstance(key, int) else self.client.get_schema_by_guid(key)
        except Exception as error:  # noqa: BLE001 - httpx, JSON, OAuth and the client's own: all say "not now"
            if _says_unknown(error, key):
                self._remember_unknown(key)
                raise _unknown(key) from None
            # Only the class of the error: its text may hold the address, with the password in it.
            said = f"{type(error).__name__} {getattr(error, 'http_status_code', '')}".strip()
            raise Unreachable(f"schema registry at {self._address}: no answer to schema {key} ({said})") from None
        return Registered(found.schema_str or "", found.schema_type or "AVRO", bool(found.references))

    def _remember_unknown(self, key: int | str) -> None:
        # Not for ever: a schema may be registered after the first record that carries its id was seen.
        if len(self._unknown) >= _MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown[key] = _ASK_AGAIN - 1


def _says_unknown(error: Exception, key: int | str) -> bool:
    """Whether the registry says that it has no such schema, rather than that nothing is at this address.

    Its own errors have codes of five digits. Older registries do not know GUIDs at all, and no waiting will help.
    """
    if getattr(error, "http_status_code", None) != 404:
        return False
    code = getattr(error, "error_code", None)
    return isinstance(key, str) or (isinstance(code, int) and 40400 <= code <= 40499)


def _unknown(key: int | str) -> Refused:
    return Refused("unknown_schema", f"the schema registry has no schema {key}")
