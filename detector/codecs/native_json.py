"""Our own two records as JSON: the fields of `schemas/`, with the same names.

For those who have no Avro at hand. Times are RFC 3339 texts or seconds since 1970. What kind of record it is says the
field `kind` (`run_event`, `profile`), or else the fields that only one of them has.
"""

from typing import Any, ClassVar, Final

import msgspec

from detector.codecs import checks, loose, native
from detector.codecs.checks import Refused
from detector.core.events import DeadLetter, Event, Profile, Record, RunEvent

_BOM: Final = b"\xef\xbb\xbf"
_PROFILES_OWN: Final = ("rows", "statistics", "columns", "grain", "window_start")

_run_event = msgspec.json.Decoder(native.NativeRunEvent).decode
_profile = msgspec.json.Decoder(native.NativeProfile).decode


class NativeJson:
    """RunEvent and Profile of `schemas/`, as JSON."""

    kind: ClassVar[str] = "native_json"
    first_bytes: ClassVar[frozenset[int]] = frozenset(b"{ \t\r\n\xef")

    def decode(self, record: Record) -> Event | DeadLetter:
        """The event in `record`; reason `format` when it is JSON, but neither of the two."""
        try:
            return read(record.value or b"")
        except Refused as refused:
            return refused.letter(record)


def read(body: bytes) -> Event:
    """The event that `body` is. Raises `Refused`."""
    body = body.removeprefix(_BOM)
    try:
        found = _run_event(body)
    except loose.NOT_AT_FIRST:
        return _profile_at_first(body)
    if found.state is None or found.kind not in {None, "run_event"}:
        return _profile_at_first(body)
    return _as_run_event(found)


def _profile_at_first(body: bytes) -> Event:
    try:
        found = _profile(body)
    except loose.NOT_AT_FIRST:
        return _second_look(body)
    if found.kind == "profile" or (found.kind is None and any(getattr(found, f) is not None for f in _PROFILES_OWN)):
        return _as_profile(found)
    return _second_look(body)


def _second_look(body: bytes) -> Event:
    """What `body` holds once NaN and the like are understood, or `Refused` with the path to what is wrong."""
    found = loose.parse(body)
    loose.check_text(found)
    match _kind(found):
        case "run_event":
            return _as_run_event(loose.convert(found, native.NativeRunEvent))
        case "profile":
            return _as_profile(loose.convert(found, native.NativeProfile))
    raise Refused("format", "JSON, but neither OpenLineage nor one of our own records (is `kind` or `state` missing?)")


def _kind(found: Any) -> str | None:
    if not isinstance(found, dict):
        return None
    if (kind := found.get("kind")) is not None:
        return kind if isinstance(kind, str) else None
    if "state" in found:
        return "run_event"
    return "profile" if any(field in found for field in _PROFILES_OWN) else None


def _as_run_event(found: native.NativeRunEvent) -> RunEvent:
    event_time = _time(found.event_time)
    return native.run_event(found, event_time, _maybe(found.nominal_time))


def _as_profile(found: native.NativeProfile) -> Profile:
    event_time = _time(found.event_time)
    return native.profile(found, event_time, (_maybe(found.window_start), _maybe(found.window_end)))


def _time(time: str | float) -> float:
    return checks.parse_time(time, "event_time") if isinstance(time, str) else time


def _maybe(time: str | float | None) -> float | None:
    return checks.maybe_time(time) if isinstance(time, str) else time
