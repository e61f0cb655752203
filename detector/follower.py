"""Keeps the Redis view of breakers: the fold of the compacted topic of breakers by a `read_committed` reader.

For each partition of the topic, the view says up to which offset it is the fold. A batch of records goes in by one
script that refuses unless that offset is the expected one, and moves it: so nothing old ever overwrites what is newer,
whoever else follows, and a Redis that lost its memory is noticed. A partition without an offset (a first start,
FLUSHALL, a re-created topic) is swept of its keys and read from the topic's start. Positions live in the view and not
in a consumer group, since they must be lost together with what they are true for.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any, Protocol, cast

import msgspec
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from detector.errors import Unreachable
from detector.view import escaped, hash_of, key_of

AT_ONCE = 500
POLL = 0.2
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
LOOK_AGAIN, ASK_AGAIN = 2.0, 10.0

Change = tuple[str, bytes | None]

_CLAIM = """
if redis.call('HGET', KEYS[1], 'topic_id') ~= ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'topic_id', ARGV[1])
end
return 1
"""

_APPLY = """
if redis.call('HGET', KEYS[1], 'topic_id') ~= ARGV[1] then return 'topic' end
local at = redis.call('HGET', KEYS[1], ARGV[2])
if at ~= ARGV[3] then return at or 'gone' end
for i = 2, #KEYS do
  if ARGV[i + 3] == '' then redis.call('DEL', KEYS[i]) else redis.call('SET', KEYS[i], ARGV[i + 3]) end
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
return ARGV[4]
"""

# What another topic's fold left behind, and what a partition without a position has: not after somebody began it anew.
_SWEEP = """
if redis.call('HGET', KEYS[1], 'topic_id') ~= ARGV[1] then return 0 end
local swept = 0
for i = 2, #KEYS do
  local value = redis.call('GET', KEYS[i])
  local good, stored = pcall(cjson.decode, value or 'null')
  local ours = good and type(stored) == 'table' and stored.topic_id == ARGV[1]
  if value and not (ours and redis.call('HEXISTS', KEYS[1], string.format('%d', stored.partition)) == 1) then
    swept = swept + redis.call('DEL', KEYS[i])
  end
end
return swept
"""


class Signals(Protocol):
    """What the follower tells of itself; `telemetry` makes log lines and metrics of it."""

    def view_waits(self, why: str) -> None:
        """The view stands still because Kafka or Redis is away."""

    def view_rebuilt(self, partitions: int, topic_id: str) -> None:
        """So many partitions of the view begin anew at the topic's start."""

    def view_applied(self, records: int, behind: float) -> None:
        """Records are in Redis, the newest of them `behind` seconds after it was appended."""

    def view_unreadable(self, partition: int, offset: int, why: str) -> None:
        """A record of the topic of breakers is none; it is left out."""


class Moved(Exception):
    """The view is not where this follower left it: look where it is, and go on from there."""


class RedisView:
    """The keys of the view, and the scripts that change them."""

    def __init__(self, client: "redis.Redis", prefix: str) -> None:
        self._redis, self._prefix, self._hash = client, prefix, hash_of(prefix)
        self._claim, self._apply = client.register_script(_CLAIM), client.register_script(_APPLY)
        self._sweep = client.register_script(_SWEEP)

    def claim(self, topic_id: str) -> dict[int, int]:
        """Where each partition's fold is. All are forgotten if it was the fold of another topic."""
        self._claim([self._hash], [topic_id])
        return self.positions(topic_id)

    def positions(self, topic_id: str) -> dict[int, int]:
        """Where each partition's fold is. Raises `Moved` if it is the fold of another topic, or of none."""
        fields = cast("dict[bytes, bytes]", self._redis.hgetall(self._hash))
        if fields.pop(b"topic_id", b"").decode() != topic_id:
            raise Moved("the view is lost, or that of another topic")
        return {int(partition): int(at) for partition, at in fields.items()}

    def begin(self, topic_id: str, partitions: Sequence[int]) -> None:
        """Let partitions without a position begin at the topic's start, swept of what they had."""
        names = [escaped(f"{self._hash}:{kind}:") + "*" for kind in ("breaker", "heartbeat")]
        for name in names:
            keys: list[bytes] = []
            for key in self._redis.scan_iter(match=name, count=1_000):
                keys.append(key)
                if len(keys) == AT_ONCE:
                    self._sweep([self._hash, *keys], [topic_id])
                    keys = []
            self._sweep([self._hash, *keys], [topic_id])
        for partition in partitions:
            self._redis.hsetnx(self._hash, str(partition), "0")

    def apply(self, topic_id: str, partition: int, at: int, upto: int, changes: Sequence[Change]) -> int:
        """Write what records [at, upto) say, if the fold is at `at`. Returns where it is then. Raises `Moved`."""
        keys = [self._hash, *(key_of(self._prefix, key) for key, _ in changes)]
        values = [value or b"" for _, value in changes]
        answer: bytes = self._apply(keys, [topic_id, partition, at, upto, *values])
        if not answer.isdigit() or int(answer) < at:
            raise Moved(f"partition {partition}: at {answer.decode()}, expected {at}")
        return int(answer)

    def forget(self, partition: int) -> None:
        """Let a partition begin anew."""
        self._redis.hdel(self._hash, str(partition))


class Follower:
    """Follows the topic of breakers. For a thread of its own: `run` returns when `stop` is set, and not before.

    `identify` asks Kafka for the topic's id and its number of partitions; it raises `Unreachable`. `settings` are
    librdkafka's, how to reach Kafka. Any number of followers may keep one view.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        topic: str,
        identify: Callable[[], tuple[str, int]],
        view: RedisView,
        signals: Signals,
    ) -> None:
        self._settings, self._topic, self._identify = settings, topic, identify
        self._view, self._signals = view, signals
        self._topic_id = ""
        self._at: dict[int, int] = {}
        self._wait = FIRST_WAIT

    def run(self, stop: Event) -> None:
        """Follow, through any outage of Kafka or Redis."""
        while not stop.is_set():
            try:
                with self._opened() as consumer:
                    self._follow(consumer, stop)
            except (Moved, Unreachable, redis.RedisError, KafkaException) as error:
                self._signals.view_waits(_text(error))
                stop.wait(self._wait)
                self._wait = min(self._wait * 2, LONGEST_WAIT)

    @contextmanager
    def _opened(self) -> Iterator[Consumer]:
        """A consumer that stands where the view is. What has no place there begins at the topic's start."""
        self._topic_id, partitions = self._identify()
        self._at = self._view.claim(self._topic_id)
        fresh = [p for p in range(partitions) if p not in self._at]
        if fresh:
            self._view.begin(self._topic_id, fresh)
            self._at = self._view.claim(self._topic_id)
            self._signals.view_rebuilt(len(fresh), self._topic_id)
        consumer = Consumer(consumer_settings(self._settings))
        try:
            # 0 stands for the first record that there is.
            consumer.assign([TopicPartition(self._topic, p, at or OFFSET_BEGINNING) for p, at in self._at.items()])
            yield consumer
        finally:
            consumer.close()

    def _follow(self, consumer: Consumer, stop: Event) -> None:
        looked = asked = time.monotonic()
        while not stop.is_set():
            first = consumer.poll(POLL)
            if first is not None:
                self._take([first, *consumer.consume(AT_ONCE - 1, 0)])
            now = time.monotonic()
            if now - looked >= LOOK_AGAIN:
                self._look()
                looked = now
            if now - asked >= ASK_AGAIN:
                self._ask()
                asked = now

    def _take(self, messages: Sequence[Message]) -> None:
        taken: dict[int, list[Message]] = {}
        for message in messages:
            self._refuse(message)
            taken.setdefault(message.partition() or 0, []).append(message)
        for partition, some in taken.items():
            self._fold(partition, some)
        self._wait = FIRST_WAIT
        self._signals.view_applied(len(messages), time.time() - messages[-1].timestamp()[1] / 1_000)

    def _refuse(self, message: Message) -> None:
        error = message.error()
        if error is None:
            return
        partition = message.partition()
        if error.code() == KafkaError._AUTO_OFFSET_RESET and partition is not None:
            self._view.forget(partition)
            raise Moved(f"partition {partition}: the topic no longer has offset {self._at.get(partition)}")
        raise KafkaException(error)

    def _fold(self, partition: int, messages: Sequence[Message]) -> None:
        """Put records in. If another follower was quicker, only what it did not put in."""
        upto = (messages[-1].offset() or 0) + 1
        while self._at[partition] < upto:
            at = self._at[partition]
            changes = dict(self._change(m) for m in messages if (m.offset() or 0) >= at)
            changes.pop("", None)
            self._at[partition] = self._view.apply(self._topic_id, partition, at, upto, list(changes.items()))

    def _change(self, message: Message) -> Change:
        """What a record says: the key, and the value with the record's place in it; no key if it says nothing."""
        key, value, offset = (message.key() or b"").decode(errors="replace"), message.value(), message.offset() or 0
        if value is None or not key:
            return key, None
        partition = message.partition() or 0
        try:
            said = msgspec.json.decode(value, type=dict[str, Any])
        except msgspec.DecodeError as error:
            self._signals.view_unreadable(partition, offset, str(error))
            return "", None
        place = {"partition": partition, "offset": offset, "topic_id": self._topic_id}
        return key, msgspec.json.encode({**said, **place})

    def _look(self) -> None:
        """Notice, without a record to write, that Redis lost its memory."""
        found = self._view.positions(self._topic_id)
        for partition, at in self._at.items():
            if found.get(partition, -1) < at:
                raise Moved(f"partition {partition}: at {found.get(partition)}, expected {at}")

    def _ask(self) -> None:
        """Notice that Kafka is away, or that the topic was re-created."""
        topic_id, partitions = self._identify()
        if (topic_id, partitions) != (self._topic_id, len(self._at)):
            raise Moved(f"{self._topic} is another topic now")


def consumer_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """How the topic of breakers is read: what is committed only, and without a place in a group."""
    return {
        "fetch.wait.max.ms": 100,
        **settings,
        "group.id": "detector-view",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
    }


def _text(error: BaseException) -> str:
    if isinstance(error, KafkaException):
        return f"Kafka: {error.args[0]}"
    return f"Redis: {error}" if isinstance(error, redis.RedisError) else str(error)
