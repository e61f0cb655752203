"""Control events as CloudEvents 1.0 on Kafka, in binary mode: attributes in headers, plain JSON as the value.

Binary mode, because only there can a record be a tombstone, which the compacted topic of breakers needs. `as_json_line`
is the same event in one JSON object (structured mode), for files and pipes.
"""

from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from detector.core.emissions import Emission
from detector.core.events import Headers, Record
from detector.core.events import encode as encode_message
from detector.seams import Send

SPECVERSION = "1.0"
JSON = "application/json"
STRUCTURED = "application/cloudevents"
_ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time")
_HEADERS = tuple(f"ce_{name}" for name in _ATTRIBUTES)
_CONTENT_TYPE = ("content-type", JSON.encode())
_KINDS = ("job", "dataset")


class Topics(Protocol):
    """The names of the topics that emissions go to."""

    @property
    def control(self) -> str:
        """The topic of events."""

    @property
    def breakers(self) -> str:
        """The compacted topic of breakers and heartbeats."""

    @property
    def incidents(self) -> str:
        """The compacted topic of incidents."""

    @property
    def runs(self) -> str:
        """The topic of judged runs."""

    @property
    def log(self) -> str:
        """The log, for messages from one entity to another."""


_encoder = msgspec.json.Encoder()


class NotCloudEvent(ValueError):
    """The record holds no CloudEvent; the message says what is missing."""


def encode(emission: Emission, source: str, topics: Topics) -> Send:
    """The record that says `emission`. `source` names this installation (`/detector/prod`).

    A message between entities is no event for others, and goes into the log as all records of it are.
    """
    if emission.topic == "log":
        return Send(topics.log, emission.key.encode(), encode_message(emission.data))  # type: ignore[arg-type]
    headers = tuple(zip(_HEADERS, map(str.encode, _values(emission, source)), strict=False))
    topic, key, data = getattr(topics, emission.topic), emission.key.encode(), None
    if emission.data is not None:
        data, headers = _encoder.encode(emission.data), (*headers, _CONTENT_TYPE)
    return Send(topic, key, data, headers, emission.partition)


def attributes(emission: Emission, source: str) -> dict[str, str]:
    """The attributes of the event, in a fixed order. (source, id) is unique, and the same after any replay."""
    return dict(zip(_ATTRIBUTES, _values(emission, source), strict=False))


def _values(emission: Emission, source: str) -> tuple[str, ...]:
    """The values of `_ATTRIBUTES`; of a time that no calendar has there is none, and it is the last."""
    told, time = (SPECVERSION, emission.id, source, emission.type, subject(emission.key)), rfc3339(emission.time)
    return told if time is None else (*told, time)


def as_json_line(emission: Emission, source: str) -> bytes:
    """The event as one JSON object on one line, without the line's end."""
    return msgspec.json.encode({**attributes(emission, source), "data": emission.data})


def decode(record: Record) -> dict[str, Any]:
    """The event in a record as the object that `as_json_line` writes; `data` is None for a tombstone.

    Raises `NotCloudEvent`.
    """
    headers = _texts(record.headers)
    if headers.get("content-type", "").startswith(STRUCTURED):
        return _structured(record.value)
    event: dict[str, Any] = {name.removeprefix("ce_"): text for name, text in headers.items() if name.startswith("ce_")}
    missing = [name for name in ("specversion", "id", "source", "type") if name not in event]
    if missing:
        raise NotCloudEvent("no header " + ", ".join(f"ce_{name}" for name in missing))
    event["data"] = None if record.value is None else _json(record.value)
    return event


def subject(key: str) -> str:
    """The entity without its kind, `<namespace>/<name>`: the data says which kind it is."""
    kind, _, name = key.partition(":")
    return name if kind in _KINDS and kind != key else key


def rfc3339(at: float) -> str | None:
    """Seconds since 1970 as `2026-08-22T04:03:11.512Z`; None for a time that no calendar has.

    The attribute is optional, and the times of events come from outside: a wrong one must not stop the worker.
    """
    try:
        when = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    text: str = msgspec.to_builtins(when)
    return text[:-1].rstrip("0") + "Z" if when.microsecond else text


def _texts(headers: Headers) -> dict[str, str]:
    return {name.lower(): value.decode(errors="replace") for name, value in headers if value is not None}


def _json(value: bytes) -> Any:
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise NotCloudEvent(f"the value is not JSON: {error}") from None


def _structured(value: bytes | None) -> dict[str, Any]:
    event = None if value is None else _json(value)
    if not isinstance(event, dict):
        raise NotCloudEvent("the value is no JSON object")
    return {**event, "data": event.get("data")}
