"""Follows a topic of rows and sends a profile of each window of it.

How far it has come is committed only when the profiles of what was closed were delivered: what dies in between begins
with the same rows again, and sends a profile of the same window, which is judged once.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from detector.core.events import Headers
from detector.errors import Unreachable
from detector.profiling.counting import Wanted
from detector.profiling.result import DatasetProfile, Identity
from detector.profiling.sketches import Patterns, Rows
from detector.profiling.windows import Closed, Counted, Position, Tumbling, Windows
from detector.reach import Reach

if TYPE_CHECKING:
    from confluent_kafka import Message

    from detector.codecs.rows import Rows as Reader

ANSWER: Final = 10.0
BATCH: Final = 2_000
LOOK: Final = 60.0  # seconds between looks for new partitions
MOST_NAMES: Final = 1_000
_position = msgspec.json.Decoder(dict[str, float | None])


class Follower:
    """One topic, all its partitions, in this process. Two with one group would count twice."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        topic: str,
        to: str,
        who: Identity,
        windows: Windows,
        reader: "Reader",
        wanted: Wanted,
        group: str,
    ) -> None:
        """`reader` makes rows of values, `to` is where profiles go. Raises `Unreachable`."""
        from confluent_kafka import Consumer, Producer

        self._settings, self._topic, self._to, self._who = dict(settings), topic, to, who
        self._windows, self._reader, self._wanted = windows, reader, wanted
        self._reach = Reach()
        self._consumer: Consumer = Consumer(
            {
                **settings,
                **self._reach.settings,
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.queue.backoff.ms": 5,
            }
        )
        self._producer: Producer = Producer({**settings, "enable.idempotence": True, "message.timeout.ms": 0})
        self._partitions: set[int] = set()
        self._paused: set[int] = set()
        self._names: set[str] = set()
        self._looked = 0.0
        self.rows = 0

    def close(self) -> None:
        """Leave; what is open is read again by the next one."""
        self._consumer.close()

    def run(
        self, tell: Callable[[DatasetProfile], None], stopped: Callable[[], bool], from_start: bool = False
    ) -> None:
        """Follow until `stopped`; `tell` is called with each profile that was delivered. Raises `Unreachable`."""
        self._begin(from_start)
        while not stopped():
            self._read()
            closed = self._windows.closed(time.time())
            told = [self._profile(one) for one in closed]
            if told and not self._delivered(told, stopped):
                return
            for one in told:
                tell(one)
            if told:
                self._commit()
            self._align()

    # ------------------------------------------------------------ reading

    def _begin(self, from_start: bool) -> None:
        """Go on where the last one has committed; else at the end, or at the start of the topic."""
        from confluent_kafka import KafkaException, TopicPartition

        there = self._known()
        try:
            asked = [TopicPartition(self._topic, one) for one in sorted(there)]
            for found in self._consumer.committed(asked, timeout=ANSWER):
                low, high = self._consumer.get_watermark_offsets(found, timeout=ANSWER)
                fresh = found.offset < 0
                offset = (low if from_start else high) if fresh else max(found.offset, low)
                self._assign(found.partition, Position(offset, -float("inf") if fresh else _until(found.metadata)))
        except KafkaException as error:
            raise Unreachable(f"Kafka does not answer: {error.args[0].str()}") from None
        self._commit()

    def _known(self) -> set[int]:
        from confluent_kafka import KafkaException

        self._looked = time.monotonic()
        try:
            found = self._reach.ask(self._consumer, self._topics, ANSWER)
        except KafkaException as error:
            where = self._settings["bootstrap.servers"]
            raise Unreachable(f"Kafka at {where} does not answer: {error.args[0].str()}") from None
        if found.error is not None:
            raise Unreachable(f"Kafka has no topic {self._topic} ({found.error.str()})")
        return set(found.partitions)

    def _topics(self, within: float) -> Any:
        return self._consumer.list_topics(self._topic, timeout=within).topics[self._topic]

    def _assign(self, partition: int, position: Position) -> None:
        from confluent_kafka import TopicPartition

        self._windows.begin(partition, position)
        self._partitions.add(partition)
        self._consumer.incremental_assign([TopicPartition(self._topic, partition, position.offset)])

    def _read(self) -> None:
        if time.monotonic() - self._looked > LOOK:
            self._look_for_more()
        first = self._consumer.poll(0.2)
        if first is None:
            return
        for message in (first, *self._consumer.consume(BATCH - 1, 0)):
            self._take(message)

    def _look_for_more(self) -> None:
        """Partitions may be added to a topic; Kafka may be away."""
        try:
            for partition in self._known() - self._partitions:
                self._assign(partition, Position(0, -float("inf")))
        except Unreachable:
            return  # asked again in a while; the partitions that are known are read when it is back

    def _take(self, message: "Message") -> None:
        from confluent_kafka import KafkaError

        partition, error = message.partition(), message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF and partition is not None:  # noqa: SLF001
                self._windows.ended(partition)
            elif error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART):
                raise Unreachable(f"topic {self._topic}: {error.str()}")
            return  # an outage: librdkafka goes on by itself
        offset, value = message.offset(), message.value()
        assert partition is not None
        assert offset is not None
        rows = self._windows.accepts(partition, offset, message.timestamp()[1] / 1_000)
        if rows is None or value is None:
            return
        self.rows += 1
        rows.add(self._row(value, cast(Headers, tuple(message.headers() or ()))), len(value))

    def _row(self, value: bytes, headers: Headers) -> Mapping[str, Any] | None:
        """The row; None for what is none. While the registry is away this waits: nothing may be skipped for that."""
        from detector.codecs.checks import Refused

        while True:
            try:
                return self._reader.row(value, headers)
            except Refused:
                return None
            except Unreachable:
                time.sleep(1.0)

    def _align(self) -> None:
        """Let partitions that are far ahead wait for the others: what is between them is kept in memory."""
        from confluent_kafka import TopicPartition

        ahead = self._windows.ahead(time.time())
        for these, act in (
            (ahead - self._paused, self._consumer.pause),
            (self._paused - ahead, self._consumer.resume),
        ):
            if these:
                act([TopicPartition(self._topic, partition) for partition in sorted(these)])
        self._paused = ahead

    # ------------------------------------------------------------ telling

    def _profile(self, closed: Closed) -> DatasetProfile:
        """The profile of a window: by its times, so that the same window is the same profile again."""
        rows = closed.rows
        rows.expect(self._names)
        if len(self._names) < MOST_NAMES:
            self._names |= rows.names()
        who = msgspec.structs.replace(self._who, grain="window", window=(closed.start, closed.end))
        if closed.partition is not None:
            who = msgspec.structs.replace(who, partition=str(closed.partition))
        columns = rows.columns(self._wanted.hasher, self._wanted.asks)
        found = DatasetProfile(who, closed.end, float(rows.rows), columns, float(rows.size), with_schema=False)
        if rows.unreadable:
            found.notes.append(f"{rows.unreadable:,} records were no rows (neither JSON objects nor Avro)")
        if rows.left_out:
            found.notes.append(f"columns beyond the first {len(columns):,} were left out")
        return found

    def _delivered(self, told: list[DatasetProfile], stopped: Callable[[], bool]) -> bool:
        """Whether all have arrived. While Kafka is away this waits, until `stopped`."""
        key = f"dataset:{self._who.namespace}/{self._who.name}".encode()
        failed: list[str] = []

        def delivered(error: Any, _: Any) -> None:
            if error is not None:
                failed.append(error.str())

        for one in told:
            self._producer.produce(self._to, one.to_json(), key, on_delivery=delivered)
        while self._producer.flush(0.2) and not failed:
            if stopped():
                return False
        if failed:
            raise Unreachable(f"a profile could not be sent to {self._to}: {failed[0]}")
        return True

    def _commit(self) -> None:
        from confluent_kafka import KafkaException, TopicPartition

        positions = self._windows.positions()
        offsets = [
            TopicPartition(self._topic, partition, position.offset, metadata=_metadata(position.until))
            for partition, position in sorted(positions.items())
        ]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException:
            return  # the next one says as much; what is read again until then is judged once


def _metadata(until: float) -> str:
    return msgspec.json.encode({"until": until if until > -float("inf") else None}).decode()


def _until(metadata: str | None) -> float:
    """The end of the last window that was told, as it was committed."""
    try:
        found = _position.decode(metadata or "{}").get("until")
    except msgspec.DecodeError:
        found = None
    return -float("inf") if found is None else found


def windows_of(span: float, rows: int, grace: float, patterns: Patterns) -> Windows:
    """Windows of so many rows, or else of so many seconds. Raises `ValueError` for neither."""

    def new() -> Rows:
        return Rows(patterns)

    return Counted(rows, new) if rows else Tumbling(span, grace, new)
