"""Lets the models learn a history: events of the past in, what each entity has learned into the log.

The history is read whole, put in the order of event times, and replayed as `backtest` does it: by the daemon's own
`step`, under a clock that follows the events. What it says is dropped. What is left of each entity at the end is one
record of the log (`core.seeding`), and all of them are one transaction: a crash leaves nothing, and the same history
again is refused by each entity that has it.

A history of topics ends where ingest begins. Where ingest has not begun yet, it will begin where the history ends, and
its position is part of the transaction: so no event is learned as history and judged as news, and none is neither.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from detector.backtest import decoded_lines, replayed, tell
from detector.broker import ANSWER, CONSUMER, PRODUCER, TRANSACTIONAL, Place, Settings, insist, record_of
from detector.codecs import Decoder
from detector.core.emissions import Emission
from detector.core.events import DeadLetter, Event, RunEvent, encode, observations
from detector.core.rules import Rules
from detector.core.seeding import YOUNG, learned
from detector.deadletters import send_of
from detector.errors import DetectorError, Unreachable
from detector.seams import LARGEST, Send

TRANSACTION = 60.0  # seconds that the broker waits for one that was begun: readers of the log wait as long
SKEW = 60.0  # seconds by which a producer's clock may be ahead; what is later would run the replay into the future
TASK = "seed"
BEGUN = "ingest has begun to read the topics meanwhile: seed again, and the history ends where ingest stands"
BATCH = 2_000


class Span(msgspec.Struct, frozen=True):
    """Times from `since` to before `until`, in seconds since 1970. `cut`: what is later is there, and is no history."""

    since: float
    until: float
    cut: bool = False

    def has(self, at: float) -> bool:
        """Whether the time is in it; one that is no number is not."""
        return self.since <= at < self.until


class Summary(msgspec.Struct):
    """What was read and learned. `dead_lettered` are records that cannot be used, by reason; `left_out` events of other
    times or entities. `known` are the entities of which the history has enough runs for the learned limits; `too_large`
    what could not be written. `since` and `until` are the times of the first and last event that was learned.
    """

    read: int = 0
    dead_lettered: dict[str, int] = {}
    left_out: int = 0
    events: int = 0
    runs: int = 0
    jobs: int = 0
    datasets: int = 0
    known: int = 0
    too_large: int = 0
    since: float | None = None
    until: float | None = None
    written: bool = False


class Range(msgspec.Struct, frozen=True):
    """Which records of one partition of an input topic are history, and whether it is `fresh`: ingest has not begun
    there, and is to begin at `end`."""

    place: Place
    begin: int
    end: int
    fresh: bool


# ---------------------------------------------------------------- where a history comes from


class Files:
    """A history of files, as `backtest` reads them."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def read(self, decoder: Decoder, span: Span) -> Iterator[Event | DeadLetter | None]:
        """Each line as an event, as what cannot be read, or None where it is not of these times."""
        for found in decoded_lines(self._paths, decoder):
            yield found if isinstance(found, DeadLetter) or span.has(found.event_time) else None

    def write(self, writer: "Writer", sends: Sequence[Send]) -> None:
        """Write what was learned."""
        writer.commit(sends)


class Topics:
    """The records of the input topics that ingest has read, or will never read. `close` it.

    `group` is that of ingest, `dead_letters` where records go that nobody else will set aside.
    """

    def __init__(self, settings: Settings, topics: Sequence[str], group: str, dead_letters: str) -> None:
        quiet = {**settings, **CONSUMER, "group.protocol": "classic", "group.id": group}
        self._consumer, self._admin = Consumer(quiet), AdminClient(dict(settings))
        self._group, self._topics, self._dead_letters = group, topics, dead_letters
        self._positions: list[TopicPartition] = []
        self._letters: list[Send] = []

    def close(self) -> None:
        """Nothing more will be asked of Kafka."""
        self._consumer.close()

    def read(self, decoder: Decoder, span: Span) -> Iterator[Event | DeadLetter | None]:
        """Each record of these times that stands before ingest's position, as with `Files`. Raises `Unreachable`."""
        try:
            ranges = self._ranges(span)
            self._positions = [TopicPartition(*r.place, r.end) for r in ranges if r.fresh]
            fresh = {r.place for r in ranges if r.fresh}
            if fresh:
                self._refuse_members()
            for message in self._messages([r for r in ranges if r.begin < r.end]):
                record = record_of(message)
                found = decoder.decode(record)
                if isinstance(found, DeadLetter):
                    if (record.topic, record.partition) in fresh:
                        self._letters.append(send_of(found, self._dead_letters, TASK))
                    yield found
                else:
                    yield found if found.event_time < span.until + SKEW else None
        except KafkaException as error:
            raise Unreachable(f"the history cannot be read: {error.args[0].str()}") from None

    def write(self, writer: "Writer", sends: Sequence[Send]) -> None:
        """Write what was learned, and where ingest is to begin, if it has not begun."""
        writer.commit([*sends, *self._letters], self._place)

    def _place(self, producer: Producer) -> None:
        """Let ingest begin at the end of the history, as a part of the transaction. Raises `DetectorError`.

        Kafka lets anybody move the positions of a group that is at work. But while a transaction is about to move them,
        nobody is told where they are: so whoever is no member of the group by then begins where it is to begin.
        """
        if not self._positions:
            return
        if any(at.offset >= 0 for at in self._consumer.committed(list(self._positions), timeout=ANSWER)):
            raise DetectorError(BEGUN)
        metadata = self._consumer.consumer_group_metadata()
        insist(lambda: producer.send_offsets_to_transaction(self._positions, metadata, ANSWER), TRANSACTION)
        self._refuse_members()

    def _refuse_members(self) -> None:
        described = self._admin.describe_consumer_groups([self._group], request_timeout=ANSWER)[self._group]
        if described.result(ANSWER + 1).members:
            raise DetectorError(BEGUN)

    def _ranges(self, span: Span) -> list[Range]:
        consumer = self._consumer
        known = consumer.list_topics(timeout=ANSWER).topics
        missing = [topic for topic in self._topics if topic not in known]
        if missing:
            raise Unreachable(f"Kafka has no topic {', '.join(missing)}: what is in topics.inputs?")
        places = [(topic, number) for topic in self._topics for number in sorted(known[topic].partitions)]
        asked = [TopicPartition(*place) for place in places]
        begins = self._at_time(places, span.since) if span.since > 0 else dict.fromkeys(places, 0)
        # A record with a wrong time, of long ago and from the future, must not end the history: only who says so does.
        ends = self._at_time(places, span.until) if span.cut else dict.fromkeys(places, -1)
        found = []
        for at in consumer.committed(asked, timeout=ANSWER):
            place, fresh = (at.topic, at.partition), at.offset < 0
            low, high = consumer.get_watermark_offsets(TopicPartition(*place), timeout=ANSWER, cached=False)
            end = min(high if ends[place] < 0 else ends[place], high if fresh else at.offset)
            begin = max(high if begins[place] < 0 else begins[place], low)
            found.append(Range(place, begin, max(end, low), fresh))
        return found

    def _at_time(self, places: Sequence[Place], at: float) -> dict[Place, int]:
        """The first offset of each place with this time or a later one; negative where there is none."""
        asked = [TopicPartition(*place, max(int(at * 1_000), 0)) for place in places]
        found = self._consumer.offsets_for_times(asked, timeout=ANSWER)
        return {(at.topic, at.partition): at.offset for at in found}

    def _messages(self, ranges: Sequence[Range]) -> Iterator[Message]:
        """All records of these ranges. Their last offsets may be control markers, which nobody sees."""
        ends = {r.place: r.end for r in ranges}
        total, done = sum(r.end - r.begin for r in ranges), 0
        self._consumer.assign([TopicPartition(*r.place, r.begin) for r in ranges])
        while ends:
            batch = self._consumer.consume(BATCH, ANSWER)
            if not batch:
                raise Unreachable(f"no record within {ANSWER:.0f} s of {min(ends)}")
            for message in batch:
                place = (str(message.topic()), int(message.partition() or 0))
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                    raise KafkaException(error)
                if place not in ends:
                    continue
                at = int(message.offset() or 0)
                if error is None and at < ends[place]:
                    done += 1
                    yield message
                    tell("read", done, total)
                if error is not None or at >= ends[place] - 1:
                    del ends[place]
                    self._consumer.incremental_unassign([TopicPartition(*place)])


Source = Files | Topics


# ---------------------------------------------------------------- learning


def read(source: Source, decoder: Decoder, span: Span, wanted: Callable[[str], bool]) -> tuple[list[Event], Summary]:
    """The events of the history in the order of their times, and what there was. Raises `DetectorError`.

    Events that speak of no `wanted` entity are left out.
    """
    summary, dead = Summary(), Counter[str]()
    events: list[Event] = []
    for found in source.read(decoder, span):
        summary.read += 1
        if isinstance(found, DeadLetter):
            dead[found.reason] += 1
        elif found is None or not any(wanted(key) for key, _ in observations(found, 0.0)):
            summary.left_out += 1
        else:
            events.append(found)
    events.sort(key=lambda event: event.event_time)
    summary.dead_lettered = dict(sorted(dead.items()))
    summary.events = len(events)
    return events, summary


def learn(events: list[Event], rules: Rules, log: str, wanted: Callable[[str], bool], summary: Summary) -> list[Send]:
    """Replay the history; returns the records of the log that say what each `wanted` entity has learned."""
    between: dict[str, tuple[float, float]] = {}
    runs: set[tuple[str, str]] = set()
    for event in events:
        for key, _ in observations(event, 0.0):
            between[key] = between.get(key, (event.event_time, 0.0))[0], event.event_time
        if isinstance(event, RunEvent):
            runs.add((f"{event.namespace}/{event.name}", event.run_id))
    replay, failed = replayed(events, rules, _say_nothing)
    if failed:
        summary.dead_lettered["step"] = failed
    sends: list[Send] = []
    for key, entity in sorted(replay.entities.items()):
        seed = learned(entity, *between[key]) if key in between and wanted(key) else None
        send = Send(log, key.encode(), encode(seed)) if seed is not None else None
        if send is None:
            continue
        if send.size > LARGEST:
            summary.too_large += 1
            continue
        sends.append(send)
        summary.jobs += key.startswith("job:")
        summary.datasets += key.startswith("dataset:")
        summary.known += len(entity.runs.ended) + len(entity.runs.profiled) >= YOUNG
    summary.runs = len(runs)
    if events:
        summary.since, summary.until = events[0].event_time, events[-1].event_time
    return sends


def matching(globs: Sequence[str]) -> Callable[[str], bool]:
    """Whether an entity's key matches one of the patterns; without any, all do."""
    return lambda key: not globs or any(fnmatchcase(key, glob) for glob in globs)


def _say_nothing(_: Emission) -> None:
    """What would have been said of the past is not."""


# ---------------------------------------------------------------- writing


def _nothing(_: Producer) -> None:
    """Nothing else belongs to it."""


class Writer:
    """Writes to the log in one transaction. Two at once cannot be: the second ends what the first has begun."""

    def __init__(self, settings: Settings, log: str) -> None:
        named = {"transactional.id": f"{log}.{TASK}", "transaction.timeout.ms": int(TRANSACTION * 1_000)}
        self._settings = {**settings, **PRODUCER, **TRANSACTIONAL, **named}

    def commit(self, sends: Sequence[Send], also: Callable[[Producer], None] = _nothing) -> None:
        """Write all of it, and what else belongs to the transaction, or nothing. Raises `Unreachable`, and what `also`
        raises.
        """
        producer = Producer(dict(self._settings))
        try:
            producer.init_transactions(ANSWER)
            producer.begin_transaction()
            for done, send in enumerate(sends):
                self._produce(producer, send)
                tell("written", done + 1, len(sends))
            also(producer)
            insist(lambda: producer.commit_transaction(ANSWER), TRANSACTION)
        except DetectorError:
            _abort(producer)
            raise
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                _abort(producer)
            raise Unreachable(f"the history was not learned: {error.args[0].str()}") from None

    def _produce(self, producer: Producer, send: Send) -> None:
        while True:
            try:
                producer.produce(send.topic, send.value, send.key, headers=list(send.headers), timestamp=send.timestamp)
                producer.poll(0)
                return
            except BufferError:
                producer.poll(0.05)


def _abort(producer: Producer) -> None:
    """Take everything back; if Kafka cannot be asked to, it will by itself after `TRANSACTION`."""
    with suppress(KafkaException):
        producer.abort_transaction(ANSWER)
