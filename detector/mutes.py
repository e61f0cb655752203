"""The mutes and maintenance windows that are in force or still to come: the fold of the topic of commands.

The workers keep them in their state, where nobody else looks; who added and ended them is on the topic, which forgets
nothing.
"""

from collections.abc import Iterable
from math import inf

import msgspec

from detector.core.commands import AddWindow, AnyCommand, EndWindow
from detector.core.windows import Kind, Window, Zones, is_active, next_change

_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A window, whether it holds now, and when that changes next (seconds since 1970; None: never)."""

    window: Window
    active: bool
    changes: float | None


def fold(values: Iterable[bytes | None], now: float, zones: Zones) -> list[Window]:
    """What was added and not ended, and is not past at `now`: as it was last added, in the order of the first times.

    What is no command is passed over, as ingest does; and a zone that there is not, as the workers refuse it.
    """
    found: dict[str, Window] = {}
    for value in values:
        heard(found, value, zones)
    return ahead(found.values(), now, zones)


def heard(found: dict[str, Window], value: bytes | None, zones: Zones) -> None:
    """Take one record of the topic of commands into what was found so far."""
    command = _command(value)
    if isinstance(command, AddWindow) and command.window.zone in zones:
        found[command.window.id] = command.window
    elif isinstance(command, EndWindow):
        found.pop(command.window, None)


def ahead(windows: Iterable[Window], now: float, zones: Zones) -> list[Window]:
    """Those that are not past."""
    return [window for window in windows if next_change([window], now, zones) < inf]


def told(windows: Iterable[Window], kind: Kind, now: float, zones: Zones) -> list[Told]:
    """Those of one kind, those that hold now first."""
    some = [
        Told(window=window, active=_holds(window, now, zones), changes=next_change([window], now, zones))
        for window in windows
        if window.kind == kind
    ]
    return sorted(some, key=lambda one: (not one.active, one.changes or inf, one.window.id))


def _holds(window: Window, now: float, zones: Zones) -> bool:
    return is_active(msgspec.structs.replace(window, match="*"), "", now, zones)


def _command(value: bytes | None) -> AnyCommand | None:
    try:
        return _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
