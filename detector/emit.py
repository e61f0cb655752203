"""Sends events from a file to Kafka, keyed as OpenLineage's own client keys them.

A line is an event (OpenLineage or our own JSON), or a captured record `{"key", "timestamp", "value"}`, whose value goes
out byte for byte. Events are looked at before they are sent: a typing error is told here, with the number of the line,
and not found later among the dead letters. Captured records are not, since broken ones are worth replaying, too. Their
timestamps are not kept: history goes through `detector backtest`, and to a live detector a record arrives when it does.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from detector.broker import LIBRDKAFKA
from detector.core.events import DeadLetter, Record
from detector.errors import Unreachable
from detector.reach import Reach, absent

if TYPE_CHECKING:
    from detector.codecs import Decoder

ANSWER = 10.0
TOLD = 10


class Refused(ValueError):
    """The line is nothing that can be sent; the message says why."""


class Outgoing(msgspec.Struct, frozen=True):
    """A record to send."""

    key: bytes | None
    value: bytes


class Counts(msgspec.Struct):
    """What became of the lines. `problems` holds the first few, with the number of the line (1-based) where known."""

    lines: int = 0
    delivered: int = 0
    failed: int = 0
    problems: list[str] = []

    @property
    def ended(self) -> int:
        """The lines of which it is known what became of them."""
        return self.delivered + self.failed

    def fail(self, why: str) -> None:
        """One more that was not delivered."""
        self.failed += 1
        if len(self.problems) < TOLD:
            self.problems.append(why)


class _Captured(msgspec.Struct):
    value: str | None = None
    value_base64: bytes | None = None
    key: str | None = None


_captured = msgspec.json.Decoder(_Captured)


@cache
def decoder() -> "Decoder | None":
    """What looks at events before they are sent; nothing where only the light package is installed."""
    try:
        from detector.codecs import Decoder
    except ModuleNotFoundError:
        return None
    return Decoder()


def outgoing(line: bytes) -> Outgoing:
    """The record that a line stands for. Raises `Refused`."""
    try:
        found = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Refused(f"not a JSON object: {error}") from None
    if "value" in found or "value_base64" in found:
        return _as_captured(line)
    looks = decoder()
    decoded = looks.decode(Record("", 0, 0, 0.0, None, line)) if looks is not None else None
    if isinstance(decoded, DeadLetter):
        raise Refused(decoded.message)
    return Outgoing(key_of(found).encode(), line)


def key_of(event: Mapping[str, Any]) -> str:
    """The key of an event: of a run, that of the job at the root of its runs, so that one tree keeps its order."""
    if "run" in event:
        return f"run:{_named(_root(event))}"
    if "state" in event or event.get("kind") == "run_event":
        return f"run:{_named(event)}"
    if "job" in event:
        return f"job:{_named(_inside(event, 'job'))}"
    return f"dataset:{_named(_inside(event, 'dataset') or event)}"


def _root(event: Mapping[str, Any]) -> Mapping[str, Any]:
    parent = _inside(_inside(event["run"], "facets"), "parent")
    return _inside(_inside(parent, "root"), "job") or _inside(parent, "job") or _inside(event, "job")


def _inside(thing: Any, name: str) -> Mapping[str, Any]:
    """An object within an object, or nothing: facets come from many hands."""
    found = thing.get(name) if isinstance(thing, dict) else None
    return found if isinstance(found, dict) else {}


def _named(thing: Mapping[str, Any]) -> str:
    return f"{thing.get('namespace', '')}/{thing.get('name', '')}"


def _as_captured(line: bytes) -> Outgoing:
    try:
        captured = _captured.decode(line)
    except msgspec.ValidationError as error:
        raise Refused(f"not a captured record: {error}") from None
    value = captured.value_base64 if captured.value is None else captured.value.encode()
    if value is None:
        raise Refused("a captured record without a value")
    return Outgoing(None if captured.key is None else captured.key.encode(), value)


def send(
    lines: Iterable[bytes], settings: Mapping[str, Any], topic: str, progress: Callable[[Counts], None], patience: float
) -> Counts:
    """Send every line that can be sent, and wait until all are delivered or given up after `patience` seconds.

    Raises `Unreachable` if Kafka does not answer, or has no such topic, before anything is sent.
    """
    reach = Reach()
    producer = Producer(
        {
            **settings,
            **reach.settings,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "delivery.timeout.ms": int(patience * 1_000),
        },
        logger=LIBRDKAFKA,
    )
    _look(producer, reach, topic, settings)
    counts = Counts()
    for line in lines:
        counts.lines += 1
        if not line.strip():
            continue
        try:
            _produce(producer, topic, outgoing(line.strip()), counts)
        except Refused as refused:
            counts.fail(f"line {counts.lines}: {refused}")
        progress(counts)
    while producer.flush(0.2):
        progress(counts)
    return counts


def _look(producer: Producer, reach: Reach, topic: str, settings: Mapping[str, Any]) -> None:
    try:
        known = reach.ask(producer, lambda within: producer.list_topics(topic, timeout=within), ANSWER).topics[topic]
    except KafkaException as error:
        raise Unreachable(f"Kafka at {settings['bootstrap.servers']} does not answer: {error.args[0].str()}") from None
    if known.error is not None:
        raise Unreachable(f"Kafka {absent(topic, known.error, ': create it, or name another with --topic')}")


def _produce(producer: Producer, topic: str, record: Outgoing, counts: Counts) -> None:
    number = counts.lines

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is None:
            counts.delivered += 1
        else:
            counts.fail(f"line {number}: not delivered: {error.str()}")

    while True:
        try:
            producer.produce(topic, record.value, record.key, on_delivery=delivered)
            producer.poll(0)
            return
        except BufferError:
            producer.poll(0.05)
        except KafkaException as error:
            raise Refused(f"not sent: {error.args[0].str()}") from None
