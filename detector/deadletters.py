"""Dead letters: a record that cannot be used, byte for byte, with Kafka Connect's headers that say why."""

from detector.core.events import DeadLetter, Headers
from detector.seams import LARGEST, Send

PREFIX = "__connect.errors."


def send_of(letter: DeadLetter, topic: str, task: str) -> Send:
    """The record that sets `letter` aside on `topic`: key, value, headers and timestamp as they came.

    `task` names the process that gives up on it. Headers that are there already are not written over: a letter that
    comes by a second time still says where it failed first. A record that is too large to be copied leaves its key, its
    headers and the place where it stands.
    """
    record = letter.record
    told = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "connector.name": "detector",
        "task.id": task,
        "stage": letter.stage,
        "class.name": "detector",
        "exception.class.name": letter.reason,
        "exception.message": letter.message,
    }
    present = {name for name, _ in record.headers}
    added: Headers = tuple(
        (PREFIX + name, text.encode()) for name, text in told.items() if PREFIX + name not in present
    )
    at = max(int(record.timestamp * 1000), 0)
    send = Send(topic, record.key, record.value, record.headers + added, timestamp=at)
    if send.size <= LARGEST:
        return send
    left_out = (f"{PREFIX}value.left.out", str(len(record.value or b"")).encode())
    without = Send(topic, record.key, None, (*record.headers, *added, left_out), timestamp=at)
    return without if without.size <= LARGEST else Send(topic, None, None, (*added, left_out), timestamp=at)
