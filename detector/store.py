"""Snapshots in Redis: one hash of states and one index for each partition of the log, changed by two guarded scripts.

    <prefix>:{<log>-<partition>}:index     "" -> the head; <entity> -> when it is due, as text
    <prefix>:{<log>-<partition>}:states    <entity> -> the bytes of its state

The braces make both keys of a partition live in one slot of a Redis Cluster. Each script first compares the offset in
the head with the one that the caller expects: this compare-and-set is the whole fencing.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast
from uuid import uuid4

import msgspec
import redis

from detector.errors import ConfigError, SnapshotMoved, SnapshotTooNew, Unreachable
from detector.redis_access import infos
from detector.seams import Head

FORMAT = 1
KEYS_AT_ONCE = 5_000
PIECE = 8 << 20
STAGED_FOR = 3_600
_AT = struct.Struct(">q")
_T = TypeVar("_T")

_GUARD = """
local head = redis.call('HGET', KEYS[1], '')
if (head and string.sub(head, 1, 8) or '') ~= ARGV[1] then return redis.error_reply('SNAPSHOT moved') end
"""

_LOAD = (
    _GUARD
    + """
return redis.call('HMGET', KEYS[2], unpack(ARGV, 2))
"""
)

# ARGV: the expected offset, the head, how many pairs are states, then pairs of states and of due times; '' deletes.
# A third key holds states that were sent ahead.
_SNAPSHOT = (
    _GUARD
    + """
if not head then redis.call('DEL', KEYS[1], KEYS[2]) end
if KEYS[3] then
  redis.call('RENAME', KEYS[3], KEYS[2])
  redis.call('PERSIST', KEYS[2])
end
local function put(key, first, last)
  for at = first, last, 2 do
    if ARGV[at + 1] == '' then redis.call('HDEL', key, ARGV[at])
    else redis.call('HSET', key, ARGV[at], ARGV[at + 1]) end
  end
end
local middle = 3 + 2 * tonumber(ARGV[3])
put(KEYS[2], 4, middle)
put(KEYS[1], middle + 1, #ARGV)
redis.call('HSET', KEYS[1], '', ARGV[2])
return 1
"""
)

_head = msgspec.msgpack.Decoder(Head)


class RedisStore:
    """The snapshots of the partitions of one log. `client` must not decode responses."""

    def __init__(self, client: redis.Redis, prefix: str, log: str) -> None:
        self._redis, self._prefix, self._log = client, prefix, log
        self._load, self._snapshot = client.register_script(_LOAD), client.register_script(_SNAPSHOT)

    def check(self) -> None:
        """Refuse a Redis that may throw snapshots away. Raises `ConfigError` and `Unreachable`."""
        policies = {str(one.get("maxmemory_policy", "noeviction")) for one in ask(lambda: infos(self._redis, "memory"))}
        for found in sorted(policies - {"noeviction"}):
            raise ConfigError(
                f"redis: maxmemory-policy is {found}, under which Redis silently drops states;"
                " set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf)"
            )

    def open(self, partition: int) -> tuple[Head | None, dict[str, float]]:
        """The head and the index of a partition's snapshot. Raises `SnapshotTooNew` and `Unreachable`."""
        index = ask(lambda: cast("dict[bytes, bytes]", self._redis.hgetall(self.keys(partition)[0])))
        stored = index.pop(b"", None)
        if stored is None:
            return None, {}
        return read_head(stored), {key.decode(): float(at) for key, at in index.items()}

    def load(self, partition: int, keys: Sequence[str], expect: int) -> list[bytes | None]:
        """The states of these entities. Raises `SnapshotMoved` if the snapshot is not at `expect`."""
        found: list[bytes | None] = []
        for first in range(0, len(keys), KEYS_AT_ONCE):
            found += self._load_some(partition, [_AT.pack(expect), *keys[first : first + KEYS_AT_ONCE]])
        return found

    def _load_some(self, partition: int, arguments: list[Any]) -> list[bytes | None]:
        found = self._guarded(partition, lambda: self._load(self.keys(partition), arguments))
        return cast("list[bytes | None]", found)

    def snapshot(
        self,
        partition: int,
        head: Head,
        states: Mapping[str, bytes | None],
        due: Mapping[str, float | None],
        expect: int | None,
    ) -> None:
        """Write a snapshot, if the stored one is at `expect`. Raises `SnapshotMoved` and `Unreachable`.

        A first snapshot may be large: its states go ahead of it in pieces, under a name that nobody else knows.
        """
        keys = self.keys(partition)
        if expect is None and sum(len(state or b"") for state in states.values()) > PIECE:
            keys.append(self._send_ahead(keys[1], states))
            states = {}
        arguments: list[Any] = [b"" if expect is None else _AT.pack(expect), _write_head(head), len(states)]
        for entity, state in states.items():
            arguments += (entity, state or b"")
        for entity, at in due.items():
            arguments += (entity, b"" if at is None else repr(at))
        self._guarded(partition, lambda: self._snapshot(keys, arguments))

    def discard(self, partition: int) -> None:
        """Delete a partition's snapshot. Raises `Unreachable`."""
        ask(lambda: self._redis.unlink(*self.keys(partition)))

    def keys(self, partition: int) -> list[str]:
        """The keys of a partition's index and of its states."""
        tag = f"{self._prefix}:{{{self._log}-{partition}}}"
        return [f"{tag}:index", f"{tag}:states"]

    def _send_ahead(self, states_key: str, states: Mapping[str, bytes | None]) -> str:
        staged = f"{states_key}:{uuid4().hex}"
        for piece in _pieces(states):
            ask(partial(self._redis.hset, staged, mapping=piece))
            ask(partial(self._redis.expire, staged, STAGED_FOR))
        return staged

    def _guarded(self, partition: int, call: Callable[[], Any]) -> Any:
        try:
            return ask(call)
        except redis.ResponseError as error:
            if "SNAPSHOT moved" in str(error):
                raise SnapshotMoved(f"the snapshot of partition {partition} is not where it was left") from None
            raise


def _pieces(states: Mapping[str, bytes | None]) -> Iterator[dict[Any, Any]]:
    piece: dict[Any, Any] = {}
    size = 0
    for entity, state in states.items():
        if state is not None:
            piece[entity] = state
            size += len(state)
        if size >= PIECE:
            yield piece
            piece, size = {}, 0
    if piece:
        yield piece


def ask(call: Callable[[], _T]) -> _T:
    """Ask Redis; what is no answer is `Unreachable`."""
    try:
        return call()
    except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError) as error:
        raise Unreachable(f"Redis does not answer: {type(error).__name__}") from error
    except redis.OutOfMemoryError as error:
        raise Unreachable("Redis is out of memory: raise maxmemory") from error


def _write_head(head: Head) -> bytes:
    return _AT.pack(head.at) + bytes((FORMAT,)) + msgspec.msgpack.encode(head)


def read_head(stored: bytes) -> Head:
    if stored[8] > FORMAT:
        raise SnapshotTooNew(f"the snapshot has format {stored[8]}; this release knows formats up to {FORMAT}")
    return _head.decode(stored[9:])
