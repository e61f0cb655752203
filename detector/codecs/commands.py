"""What people say, as JSON on the topic of commands; on no other topic is a record ever taken for a command."""

import msgspec

from detector.codecs.checks import Refused
from detector.core.commands import AnyCommand
from detector.core.events import DeadLetter, Record

_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def decode(record: Record) -> AnyCommand | DeadLetter:
    """The command in a record, or why there is none."""
    if not record.value:
        return Refused("empty", "no value").letter(record)
    try:
        return _decoder.decode(record.value)
    except msgspec.ValidationError as error:
        return Refused("command", f"this is no command: {_without_values(str(error))}").letter(record)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Refused("json", "the value is not JSON").letter(record)


def _without_values(message: str) -> str:
    """What is wrong, and where, but not with what: msgspec quotes a value that it does not know, and so does Python."""
    what, at, path = message.rpartition(" - at ")
    return (what or message).partition(" '")[0].removesuffix(":") + (at + path if at else "")
