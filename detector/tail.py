"""Reads the control topic for people: the last events, and then what comes, a line each.

It stands outside any consumer group, so that looking never moves anybody's position.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Self, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from detector.core.events import Headers, Record
from detector.errors import Unreachable
from detector.reach import EVER_RAN, Reach, absent
from detector.sinks import cloudevents

ANSWER = 10.0
POLL = 0.2
AT_ONCE = 500
FIRST_LOOK = 1_000
FURTHER = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are shown: those whose entity and type match the globs.

    A type may be given in short, `breaker`, and several with commas between.
    """

    entity: str = "*"
    type: str = "*"

    def matches(self, key: str, type_: str) -> bool:
        """Whether an event of this type about the entity `key` is shown."""
        short = type_.removeprefix("io.detector.")
        types = [pattern for one in self.type.split(",") for pattern in (one, f"{one}.*")]
        return fnmatchcase(key, self.entity) and any(fnmatchcase(t, p) for t in (type_, short) for p in types)


@dataclass(frozen=True, slots=True)
class Shown:
    """An event of the control topic: the entity that it is about, and the CloudEvent as an object."""

    at: float
    entity: str
    event: dict[str, Any]


class Tail:
    """A reader of one topic. Use it in a `with`; raises `Unreachable` when Kafka does not answer.

    `first_look` is how many offsets of each partition are read to find its last events, before more are.
    """

    def __init__(self, settings: Mapping[str, Any], topic: str, wanted: Wanted, first_look: int = FIRST_LOOK) -> None:
        self._topic, self._wanted, self._first_look = topic, wanted, first_look
        self._where = settings["bootstrap.servers"]
        self._reach = Reach()
        self._consumer = Consumer(
            {
                "fetch.wait.max.ms": 100,
                **settings,
                **self._reach.settings,
                "group.id": "detector-tail",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def last(self, count: int | None) -> list[Shown]:
        """The last `count` events that are wanted (None: all of them), in the order of their times.

        After it, `follow` goes on where this ended.
        """
        with self._asking():
            ends = {
                p: self._consumer.get_watermark_offsets(TopicPartition(self._topic, p), ANSWER) for p in self._all()
            }
        window = self._first_look if count is not None else max((high for _, high in ends.values()), default=0)
        while True:
            starts = {p: max(low, high - window) for p, (low, high) in ends.items()}
            found = self._read(starts)
            if count is None or len(found) >= count or all(starts[p] == low for p, (low, _) in ends.items()):
                return found if count is None else found[len(found) - min(count, len(found)) :]
            # Aborted records and markers of transactions have offsets, too, and a filter may leave little.
            window *= FURTHER

    def since(self, at: float) -> list[Shown]:
        """The events that are wanted of this time (seconds since 1970) and later, in the order of their times."""
        with self._asking():
            asked = [TopicPartition(self._topic, p, max(int(at * 1_000), 0)) for p in self._all()]
            found = self._consumer.offsets_for_times(asked, ANSWER)
            lows = {p.partition: self._consumer.get_watermark_offsets(p, ANSWER)[0] for p in found}
        # No offset: nothing is as late as that, or the broker does not know times, as the embedded one does not.
        starts = {p.partition: lows[p.partition] if p.offset < 0 else p.offset for p in found}
        return [shown for shown in self._read(starts) if shown.at >= at]

    def skip(self) -> None:
        """Leave out all that was said until now: `follow` goes on from here."""
        with self._asking():
            places = [TopicPartition(self._topic, p) for p in self._all()]
            ends = [(p.partition, self._consumer.get_watermark_offsets(p, ANSWER)[1]) for p in places]
        self._consumer.assign([TopicPartition(self._topic, p, end) for p, end in ends])

    def follow(self, stopped: Callable[[], bool]) -> Iterator[Shown]:
        """What comes from now on."""
        while not stopped():
            message = self._consumer.poll(POLL)
            if message is not None:
                yield from self._shown(message)

    def _all(self) -> list[int]:
        consumer = self._consumer
        known = self._reach.ask(consumer, lambda within: consumer.list_topics(self._topic, timeout=within), ANSWER)
        topic = known.topics[self._topic]
        if topic.error is not None:
            raise Unreachable(f"Kafka at {self._where} {absent(self._topic, topic.error, EVER_RAN)}")
        return sorted(topic.partitions)

    def _read(self, starts: Mapping[int, int]) -> list[Shown]:
        self._consumer.assign([TopicPartition(self._topic, p, at) for p, at in starts.items()])
        found: list[Shown] = []
        reading = set(starts)
        while reading:
            message = self._consumer.poll(ANSWER)
            if message is None:
                raise Unreachable(f"Kafka at {self._where} does not answer: {self._topic} cannot be read")
            for one in (message, *self._consumer.consume(AT_ONCE, 0)):
                error = one.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    reading.discard(cast(int, one.partition()))
                found += self._shown(one)
        return sorted(found, key=lambda shown: shown.at)

    def _shown(self, message: Message) -> Sequence[Shown]:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise Unreachable(f"Kafka refuses: {error.str()}")
            return ()
        record = _record(message)
        key = (record.key or b"").decode(errors="replace")
        try:
            event = cloudevents.decode(record)
        except cloudevents.NotCloudEvent:
            return ()
        return (Shown(record.timestamp, key, event),) if self._wanted.matches(key, event["type"]) else ()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise Unreachable(f"Kafka at {self._where} does not answer: {error.args[0].str()}") from None


def _record(message: Message) -> Record:
    return Record(
        cast(str, message.topic()),
        cast(int, message.partition()),
        cast(int, message.offset()),
        message.timestamp()[1] / 1_000,
        message.key(),
        message.value(),
        cast(Headers, tuple(message.headers() or ())),
    )


# ---------------------------------------------------------------- for people

STYLES = {
    "critical": "bold red",
    "open": "bold red",
    "quarantined": "bold red",
    "warning": "yellow",
    "half-open": "yellow",
    "unknown": "magenta",
    "ended": "green",
    "closed": "green",
    "call": "bold magenta",
    "held": "blue",
    "released": "green",
    "resolved": "green",
    "refused": "yellow",
}


@dataclass(frozen=True, slots=True)
class Line:
    """An event in four columns."""

    when: str
    what: str
    entity: str
    text: str

    @property
    def style(self) -> str:
        """How the second column looks, in rich's words."""
        return STYLES.get(self.what, "")


def line(shown: Shown) -> Line:
    """An event as a person reads it: when it happened, how bad it is, what it is about, and what is said of it."""
    data = shown.event["data"] if isinstance(shown.event["data"], dict) else {}
    # Incidents and plans have ids of their own as keys: people know them by where they began.
    of = shown.entity if shown.entity.startswith(("job:", "dataset:")) else str(data.get("root", shown.entity))
    said = str(data.get("summary", ""))
    if "effect" in data:
        said = f"{data.get('by')}: {data.get('command')}: {data['effect']}"
    for opening in (f"{of} is ", f"{of}: "):
        said = said.removeprefix(opening)
    what = _what(shown.event["type"], data)
    return Line(_when(shown), what, of, said.removeprefix(f"{what}: "))


def _what(type_: str, data: Mapping[str, Any]) -> str:
    if data.get("phase") == "ended":
        return "ended"
    if ".incident." in type_:
        return "call" if data.get("pages") else type_.split(".")[-2]
    if "held" in data:
        return "held" if data["held"] else "released"
    if "steps" in data:
        return "to redo"
    if "effect" in data:
        return "done" if data.get("done") else "refused"
    if "to" in data:
        return str(data["to"]).replace("_", "-")
    if "severity" in data:
        return str(data["severity"])
    words = type_.split(".")
    return words[-2] if len(words) > 1 else type_


def _when(shown: Shown) -> str:
    """In UTC, as the summaries have it. The time of the record if the event has none."""
    at = shown.event.get("time")
    try:
        when = datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(shown.at, UTC)
    except ValueError:
        return str(at)
    return when.astimezone(UTC).strftime("%d %b %H:%M:%S")
