"""Keeps the Redis view of breakers: the fold of the compacted topic of breakers by a `read_committed` reader.

For each partition of the topic, the view says up to which offset it is the fold. A batch of records goes in by one
script that refuses unless that offset is the expected one, and moves it: so nothing old ever overwrites what is newer,
whoever else follows, and a Redis that lost its memory is noticed. A partition without an offset (a first start,
FLUSHALL, a re-created topic) is swept of its keys and read from the topic's start. Positions live in the view and not
in a consumer group, since they must be lost together with what they are true for.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any, Protocol, cast

import msgspec
import redis
from confluent_kafka import Message, TopicPartition

from detector.compacted import AT_ONCE, START, Identity, Moved, Reader, text
from detector.view import escaped, hash_of, key_of

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
        identify: Callable[[], Identity],
        view: RedisView,
        signals: Signals,
    ) -> None:
        self._topic = topic
        self._view, self._signals = view, signals
        self._topic_id = ""
        self._at: dict[int, int] = {}
        self._reader = Reader(settings, lambda: {topic: identify()}, self, (redis.RedisError,))

    def run(self, stop: Event) -> None:
        """Follow, through any outage of Kafka or Redis."""
        self._reader.run(stop)

    # ------------------------------------------------------------ the fold that the reader follows

    def begin(self, found: Mapping[str, Identity]) -> list[TopicPartition]:
        """Where the view is. What has no place there begins at the topic's start."""
        self._topic_id, partitions = found[self._topic]
        self._at = self._view.claim(self._topic_id)
        fresh = [p for p in range(partitions) if p not in self._at]
        if fresh:
            self._view.begin(self._topic_id, fresh)
            self._at = self._view.claim(self._topic_id)
            self._signals.view_rebuilt(len(fresh), self._topic_id)
        # 0 stands for the first record that there is.
        return [TopicPartition(self._topic, p, at or START) for p, at in self._at.items()]

    def take(self, messages: Sequence[Message]) -> None:
        """Put records into the view."""
        taken: dict[int, list[Message]] = {}
        for message in messages:
            taken.setdefault(message.partition() or 0, []).append(message)
        for partition, some in taken.items():
            self._fold(partition, some)
        self._signals.view_applied(len(messages), time.time() - messages[-1].timestamp()[1] / 1_000)

    def ended(self, place: TopicPartition) -> None:
        """Who follows for ever waits for what comes."""

    def forget(self, place: TopicPartition) -> None:
        """Let the partition begin anew."""
        self._view.forget(place.partition)

    def look(self) -> None:
        """Notice, without a record to write, that Redis lost its memory."""
        found = self._view.positions(self._topic_id)
        for partition, at in self._at.items():
            if found.get(partition, -1) < at:
                raise Moved(f"partition {partition}: at {found.get(partition)}, expected {at}")

    def answered(self) -> None:
        """The view tells of records only."""

    def waits(self, why: Exception) -> None:
        """Tell that the view stands still."""
        self._signals.view_waits(f"Redis: {why}" if isinstance(why, redis.RedisError) else text(why))

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
