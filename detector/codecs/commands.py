"""What people say, as JSON on the topic of commands; on no other topic is a record ever taken for a command."""

import msgspec

from detector.codecs.checks import Refused
from detector.core.commands import AnyCommand
from detector.core.events import DeadLetter, Record

_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def decode(record: Record) -> AnyCommand | DeadLetter:
    """The command in a record, or why there is none."""
    try:
        return _decoder.decode(record.value or b"")
    except msgspec.ValidationError as error:
        return Refused("command", f"this is no command: {error}").letter(record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Refused("json", "the value is not JSON").letter(record)
