"""Kafka: a member of a consumer group that writes what it makes of its records in the same transaction.

librdkafka's mock cluster, which the demo and the quick tests run on, stores no offsets in transactions; there
(`embedded`) records are flushed and positions committed one after the other. Exactly once is claimed on Kafka only.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Thread
from typing import cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from detector.compacted import Identity, identities
from detector.core.events import Headers, Record
from detector.errors import CommitAborted, Fenced, LogMoved, Unreachable
from detector.seams import LARGEST, Committed, Compacted, Send

Settings = Mapping[str, str | int | float | bool]
Place = tuple[str, int]

LIBRDKAFKA = logging.getLogger("librdkafka")
LIBRDKAFKA.addHandler(logging.NullHandler())  # where nobody listens, nothing goes to standard error, either
ANSWER = 10.0  # seconds that a broker has for an answer
FENCE_PATIENCE = 15.0  # seconds for the group to tell a fenced member that it was expelled

# The next transaction meets the broker still finishing the last one, and waits for retry.backoff.ms then.
# fetch.queue.backoff.ms (1 s by default) stalls a consumer that catches up once its queue is full.
CONSUMER: Settings = {
    "group.protocol": "consumer",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "fetch.queue.backoff.ms": 5,
    "fetch.wait.max.ms": 10,
    "queued.min.messages": 50_000,
}
PRODUCER: Settings = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    "message.max.bytes": LARGEST,
}
TRANSACTIONAL: Settings = {"linger.ms": 0, "retry.backoff.ms": 5}
FATAL_TO_READ = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,
    KafkaError.UNSUPPORTED_VERSION,
}


def topic_identity(settings: Settings, topic: str, embedded: bool = False) -> Identity:
    """The id and the number of partitions of a topic. Raises `Unreachable` if it is not there."""
    return identities(settings, [topic], embedded)[topic]


class Member:
    """A member of a group: reads `topics`, writes in transactions under one stable `transactional_id`.

    `on_assigned`, `on_revoked` and `on_lost` are told of (topic, partition) places, inside `poll`. An assigned place is
    paused until `seek` and `resume`. Not for more than one thread. Call `close` in the end.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        topics: Sequence[str],
        transactional_id: str,
        transaction_timeout: float = 10.0,
        embedded: bool = False,
    ) -> None:
        self.on_assigned: Callable[[list[Place]], None] = _ignore
        self.on_revoked: Callable[[list[Place]], None] = _ignore
        self.on_lost: Callable[[list[Place]], None] = _ignore
        self.ends: dict[Place, int] = {}
        self._settings, self._group, self._embedded = settings, group, embedded
        self._assigned: set[Place] = set()
        self._sought: set[Place] = set()
        self._fenced = self._expelled = False
        self._timeout = transaction_timeout
        self._transactional_id = transactional_id
        self._producer: Producer | None = None
        self._starting: Producer | None = None
        self._began = 0.0
        self._writer()
        self._consumer = Consumer({**settings, **CONSUMER, "group.id": group}, logger=LIBRDKAFKA)
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    # ------------------------------------------------------------ reading

    @property
    def assigned(self) -> frozenset[Place]:
        """The places that this member has now."""
        return frozenset(self._assigned)

    def poll(self, timeout: float, limit: int) -> list[Record]:
        """Up to `limit` records, waiting up to `timeout` seconds for the first.

        Raises `LogMoved` when a position is out of the range of its partition, `Unreachable` when Kafka refuses.
        """
        if self._producer is not None:
            self._producer.poll(0)  # for what it wants to log
        first = self._consumer.poll(timeout)
        if first is None:
            return []
        records: list[Record] = []
        take = records.append
        for message in (first, *self._consumer.consume(limit - 1, 0)):
            error = message.error()
            if error is not None:
                self._note(error, message)
                continue
            take(record_of(message))
        return records

    def _note(self, error: KafkaError, message: Message) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            end = record_of(message)
            self.ends[end.topic, end.partition] = end.offset
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            place = (message.topic(), message.partition())
            if place in self._sought:
                raise LogMoved(f"{place[0]}/{place[1]}: the position {message.offset()} is not in the topic any more")
        elif code in FATAL_TO_READ or error.fatal():
            raise Unreachable(f"Kafka refuses: {error.str()}")

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Let the next polled record of this place be the one at `offset` or after it. Raises `Unreachable`."""
        self.ends.pop((topic, partition), None)
        deadline = time.monotonic() + ANSWER
        while True:
            try:
                self._consumer.seek(TopicPartition(topic, partition, offset))
                self._sought.add((topic, partition))
                return
            except KafkaException as error:
                # A place that was assigned a moment ago cannot be sought until its fetcher has started.
                if error.args[0].code() != KafkaError._STATE or time.monotonic() > deadline:
                    raise Unreachable(f"{topic}/{partition} cannot be sought: {_word(error)}") from None
                time.sleep(0.01)

    def pause(self, places: Iterable[Place]) -> None:
        """Poll nothing of these places until `resume`."""
        self._consumer.pause([TopicPartition(*place) for place in places if place in self._assigned])

    def resume(self, places: Iterable[Place]) -> None:
        """Poll these places again."""
        self._consumer.resume([TopicPartition(*place) for place in places if place in self._assigned])

    def committed(self, places: Sequence[Place]) -> dict[Place, Committed]:
        """The stable committed positions. Raises `Unreachable` while an open transaction holds one back."""
        self._writer()  # what an abandoned transaction comes to must be settled before anybody relies on a position
        asked = [TopicPartition(*place) for place in places]
        try:
            found = self._consumer.committed(asked, timeout=ANSWER)
        except KafkaException as error:
            raise Unreachable(f"Kafka does not tell committed positions: {_word(error)}") from None
        for at in found:
            if at.error is not None:
                raise Unreachable(
                    f"Kafka does not tell the committed position of {at.topic}/{at.partition}: {at.error}"
                )
        return {(at.topic, at.partition): Committed(at.offset, at.metadata or "") for at in found if at.offset >= 0}

    def low(self, topic: str, partition: int) -> int:
        """The first offset that is still there. Raises `Unreachable`."""
        try:
            low, _ = self._consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=ANSWER, cached=False
            )
        except KafkaException as error:
            raise Unreachable(f"Kafka does not tell the offsets of {topic}/{partition}: {_word(error)}") from None
        return int(low)

    def compacted(self, topic: str, partition: int) -> dict[str, bytes]:
        """The last committed value of each key of one partition, without tombstones. Raises `Unreachable`."""
        reader = Consumer(
            {
                **self._settings,
                **CONSUMER,
                "group.id": f"{self._group}-reader",
                "group.protocol": "classic",
                "log_level": 0,
            }
        )
        last: dict[str, bytes] = {}
        try:
            # Without knowing the leader, the first fetch fails, and librdkafka waits half a second after that.
            reader.list_topics(topic, ANSWER)
            reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            while True:
                message = reader.poll(ANSWER)
                if message is None:
                    raise Unreachable(f"{topic}/{partition} cannot be read to its end")
                error = message.error()
                name = message.key()
                if error is None and name is not None:
                    key, value = name.decode(), message.value()
                    last.pop(key, None)
                    if value is not None:
                        last[key] = value
                elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                    return last
        except KafkaException as error:
            raise Unreachable(f"{topic}/{partition} cannot be read: {_word(error)}") from None
        finally:
            reader.close()

    # ------------------------------------------------------------ the group

    def _on_assign(self, consumer: Consumer, found: list[TopicPartition]) -> None:
        places = [(at.topic, at.partition) for at in found]
        self._assigned |= set(places)
        self._sought -= set(places)
        consumer.incremental_assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
        self.pause(places)
        self.on_assigned(places)

    def _on_revoke(self, consumer: Consumer, gone: list[TopicPartition]) -> None:
        self.on_revoked(self._forget(gone))
        consumer.incremental_unassign(gone)

    def _on_lost(self, consumer: Consumer, gone: list[TopicPartition]) -> None:
        self._expelled = True
        self.on_lost(self._forget(gone))
        consumer.incremental_unassign(gone)

    def _forget(self, gone: list[TopicPartition]) -> list[Place]:
        places = [(at.topic, at.partition) for at in gone]
        self._assigned -= set(places)
        for place in places:
            self.ends.pop(place, None)
        return places

    # ------------------------------------------------------------ writing

    def commit(self, sends: Sequence[Send], positions: Mapping[Place, Committed]) -> None:
        """Write records and positions, all or nothing. Raises `CommitAborted` and `Fenced` (see `seams`)."""
        if self._fenced:
            raise CommitAborted("another process has taken the transactional.id")
        offsets = [TopicPartition(*place, at.offset, metadata=at.metadata) for place, at in positions.items()]
        try:
            producer = self._writer()
        except Unreachable as error:
            raise CommitAborted(str(error)) from None
        if self._embedded:
            self._commit_plainly(producer, sends, offsets)
            return
        try:
            self._began = time.monotonic()
            producer.begin_transaction()
            self._produce(producer, sends)
            group = self._consumer.consumer_group_metadata()

            def end() -> None:
                insist(lambda: producer.send_offsets_to_transaction(offsets, group, ANSWER), self._timeout)
                insist(lambda: producer.commit_transaction(ANSWER), self._timeout)

            self._bounded(end)
        except KafkaException as error:
            self._roll_back(producer, error)

    def _produce(self, producer: Producer, sends: Sequence[Send]) -> None:
        produce = producer.produce
        for send in sends:
            partition = -1 if send.partition is None else send.partition
            while True:
                try:
                    produce(
                        send.topic,
                        send.value,
                        send.key,
                        partition,
                        headers=list(send.headers),
                        timestamp=send.timestamp,
                    )
                    break
                except BufferError:
                    producer.poll(0.05)

    def _bounded(self, call: Callable[[], None]) -> None:
        """Make a call that may never return: librdkafka's calls on transactions can lose sight of a coordinator that
        goes away and comes back, and then ignore their timeouts (librdkafka's issues 5456 and 5511).

        The producer of such a call is given up: the next one under the same id ends its transaction. Raises
        `CommitAborted` then, and whatever the call raises.
        """
        raised: list[BaseException] = []

        def run() -> None:
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - it is raised below, where the caller is
                raised.append(error)

        thread = Thread(target=run, name="transaction", daemon=True)
        thread.start()
        thread.join(self._timeout + ANSWER)
        if thread.is_alive():
            self._producer = None
            raise CommitAborted(f"Kafka did not end a transaction within {self._timeout + ANSWER:.0f} s")
        if raised:
            raise raised[0]

    def _roll_back(self, producer: Producer, error: KafkaException) -> None:
        failed: KafkaError = error.args[0]
        if failed.txn_requires_abort():
            try:
                self._bounded(lambda: insist(lambda: producer.abort_transaction(ANSWER), self._timeout))
                raise CommitAborted(failed.str()) from None
            except KafkaException as second:
                failed = second.args[0]
        # A transaction that took too long was ended by the coordinator, which looks as if somebody else had done it.
        expired = time.monotonic() - self._began >= self._timeout
        fenced = failed.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED)
        if fenced and not expired and self._still_a_member():
            raise Fenced(
                f"another process uses transactional.id {self._transactional_id}: give each process a"
                " worker.slot of its own"
            ) from None
        self._producer = None
        raise CommitAborted(failed.str()) from None

    def _still_a_member(self) -> bool:
        """Whether the group lets this member be, or has expelled it while it was stopped.

        One that must share its partitions is a member: that is what a second process does to the first.
        """
        deadline = time.monotonic() + FENCE_PATIENCE
        self.pause(self._assigned)
        self._expelled = False
        self._fenced = True  # whoever is told of a revoked place in here cannot commit for it any more
        try:
            while time.monotonic() < deadline:
                self._consumer.poll(0.2)
                if self._expelled:
                    return False
            return True
        finally:
            self._fenced = False

    def _writer(self) -> Producer:
        """The producer; a new one under the same id ends what a former one left open, one way or the other.

        Raises `Unreachable` when Kafka gives no transactions now.
        """
        if self._producer is not None:
            return self._producer
        # One that did not get its answer may still get it, and would fence its successor: so it is asked again.
        producer = self._starting = self._starting or self._new_producer()
        if not self._embedded:
            try:
                insist(lambda: producer.init_transactions(ANSWER), self._timeout)
            except KafkaException as error:
                if not error.args[0].retriable():
                    self._starting = None
                raise Unreachable(f"Kafka gives no transactions: {_word(error)}") from None
        self._producer, self._starting = producer, None
        return producer

    def _new_producer(self) -> Producer:
        settings = {**self._settings, **PRODUCER}
        if self._embedded:
            return Producer({**settings, "linger.ms": 0})
        return Producer(
            {
                **settings,
                **TRANSACTIONAL,
                "transactional.id": self._transactional_id,
                "transaction.timeout.ms": int(self._timeout * 1000),
            },
            logger=LIBRDKAFKA,
        )

    def _commit_plainly(self, producer: Producer, sends: Sequence[Send], offsets: list[TopicPartition]) -> None:
        self._produce(producer, sends)
        if producer.flush(ANSWER):
            raise CommitAborted("records were not written in time")
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise CommitAborted(_word(error)) from None

    def close(self) -> None:
        """Leave the group: what is assigned is revoked first."""
        self._consumer.close()


class KafkaLog:
    """The log, as a member of the worker's group sees it."""

    def __init__(
        self, member: Member, topic: str, topic_id: str, partitions: int, topics: Mapping[Compacted, str]
    ) -> None:
        self.topic, self.topic_id, self.partitions = topic, topic_id, partitions
        self._member, self._topics = member, topics

    def committed(self, partition: int) -> Committed | None:
        """See `seams.Log`."""
        return self._member.committed([(self.topic, partition)]).get((self.topic, partition))

    def low(self, partition: int) -> int:
        """See `seams.Log`."""
        return self._member.low(self.topic, partition)

    def seek(self, partition: int, offset: int) -> None:
        """See `seams.Log`."""
        self._member.seek(self.topic, partition, offset)

    def pause(self, partition: int) -> None:
        """See `seams.Log`."""
        self._member.pause([(self.topic, partition)])

    def resume(self, partition: int) -> None:
        """See `seams.Log`."""
        self._member.resume([(self.topic, partition)])

    def compacted(self, topic: Compacted, partition: int) -> dict[str, bytes]:
        """See `seams.Log`."""
        return self._member.compacted(self._topics[topic], partition)

    def commit(self, sends: Sequence[Send], positions: Mapping[Place, Committed]) -> None:
        """See `seams.Transactions`."""
        self._member.commit(sends, positions)


def insist(call: Callable[[], None], within: float) -> None:
    """Repeat a call whose outcome is unknown until it is known, for as many seconds as a transaction may last."""
    deadline = time.monotonic() + within
    while True:
        try:
            call()
            return
        except KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > deadline:
                raise


def record_of(message: Message) -> Record:
    """A record as it was polled."""
    # A message without an error has all of these.
    return Record(
        cast(str, message.topic()),
        cast(int, message.partition()),
        cast(int, message.offset()),
        message.timestamp()[1] / 1000.0,
        message.key(),
        message.value(),
        cast(Headers, tuple(message.headers() or ())),
    )


def _word(error: KafkaException) -> str:
    return str(error.args[0].str() or error.args[0].name())


def _ignore(_: list[Place]) -> None:
    """Nobody asked to be told."""
