"""Whole snapshots of partitions out of Redis and into it, while workers may be at work.

Out: one script copies both keys of a partition within Redis, so that what is read then, piece by piece, is of one
moment, and no script takes long. In: the pieces go under names that nobody else knows, and one script puts them in the
place of what is there, if that is still what it was (the guard). Copies that are left behind expire.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import uuid4

import redis

from detector.errors import BackupRefused, SnapshotMoved
from detector.seams import Head
from detector.store import STAGED_FOR, RedisStore, ask, read_head
from detector.view import escaped

PIECE = 4 << 20  # bytes that are read or written at once, about
MOST_KEYS, FEWEST_KEYS = 1_000, 16

_COPY = """
if redis.call('HEXISTS', KEYS[1], '') == 0 then return 0 end
for i = 1, 2 do
  redis.call('COPY', KEYS[i], KEYS[i + 2])
  redis.call('EXPIRE', KEYS[i + 2], ARGV[1])
end
return 1
"""

_PLACE = """
local head = redis.call('HGET', KEYS[1], '')
if (head or '') ~= ARGV[1] then return redis.error_reply('SNAPSHOT moved') end
redis.call('UNLINK', KEYS[1], KEYS[2])
for i = 1, 2 do
  if redis.call('EXISTS', KEYS[i + 2]) == 1 then
    redis.call('RENAME', KEYS[i + 2], KEYS[i])
    redis.call('PERSIST', KEYS[i])
  end
end
redis.call('HSET', KEYS[1], '', ARGV[2])
return 1
"""

Entities = list[tuple[str, float, bytes]]


class Frozen:
    """The snapshot of one partition as it was at one moment. `raw` is its head as Redis has it."""

    def __init__(self, client: redis.Redis, partition: int, index: str, states: str) -> None:
        self._redis, self._partition, self._states = client, partition, states
        found = ask(lambda: cast("dict[bytes, bytes]", client.hgetall(index)))
        self.raw = found.pop(b"")
        self.head: Head = read_head(self.raw)
        self.due = {key.decode(): float(at) for key, at in found.items()}

    def entities(self) -> Iterator[Entities]:
        """All of its entities, some at a time. Raises `BackupRefused` if a state is missing, and `Unreachable`."""
        keys, at, count = list(self.due), 0, FEWEST_KEYS
        while at < len(keys):
            some = keys[at : at + count]
            found = self._read(some)
            yield found
            at += len(some)
            mean = sum(len(state) for _, _, state in found) / len(found)
            count = int(min(max(PIECE / max(mean, 1.0), 1), MOST_KEYS))

    def _read(self, keys: Sequence[str]) -> Entities:
        states = ask(lambda: cast("list[bytes | None]", self._redis.hmget(self._states, list(keys))))
        found = []
        for key, state in zip(keys, states, strict=True):
            if state is None:
                raise BackupRefused(
                    f"partition {self._partition}: the index names {key}, but Redis lacks its state: a worker will"
                    " notice and make the snapshot anew; try again then"
                )
            found.append((key, self.due[key], state))
        return found


class Staged:
    """A snapshot that is being written, and not in force before `place`."""

    def __init__(self, client: redis.Redis, keys: list[str], place: Callable[[list[str], list[bytes]], Any]) -> None:
        self._redis, self._place = client, place
        self._keys, self._staged = keys, [f"{key}:{uuid4().hex}" for key in keys]

    def put(self, entities: Entities) -> None:
        """Some of its entities. Raises `Unreachable`."""
        index: Mapping[Any, Any] = {key: repr(due) for key, due, _ in entities}
        states: Mapping[Any, Any] = {key: state for key, _, state in entities}
        pipe = self._redis.pipeline(transaction=False)
        for key, pairs in zip(self._staged, (index, states), strict=True):
            pipe.hset(key, mapping=dict(pairs))
            pipe.expire(key, STAGED_FOR)
        ask(pipe.execute)

    def place(self, head: bytes, before: bytes) -> None:
        """Let it be the snapshot, if the head of the one there is still `before` (empty: there is none).

        Raises `SnapshotMoved`.
        """
        try:
            ask(lambda: self._place([*self._keys, *self._staged], [before, head]))
        except redis.ResponseError as error:
            if "SNAPSHOT moved" in str(error):
                raise SnapshotMoved("a worker has written a snapshot meanwhile") from None
            raise

    def drop(self) -> None:
        """Take away what was not put in place."""
        ask(lambda: self._redis.unlink(*self._staged))


class Copies:
    """Snapshots of the partitions of one log, as wholes."""

    def __init__(self, client: redis.Redis, store: RedisStore, prefix: str, log: str) -> None:
        self._redis, self._store, self._name = client, store, f"{prefix}:{{{log}-"
        self._copy, self._place = client.register_script(_COPY), client.register_script(_PLACE)

    def partitions(self) -> list[int]:
        """The partitions that have a snapshot. Raises `Unreachable`."""
        index = re.compile(re.escape(self._name) + r"(\d+)\}:index")
        wanted = escaped(self._name) + "*}:index"
        names = ask(lambda: [name.decode() for name in self._redis.scan_iter(match=wanted, count=1_000)])
        return sorted({int(found[1]) for name in names if (found := index.fullmatch(name))})

    def head(self, partition: int) -> bytes:
        """The head of a partition's snapshot as Redis has it; empty if there is none. Raises `Unreachable`."""
        found = ask(lambda: cast("bytes | None", self._redis.hget(self._store.keys(partition)[0], "")))
        return found or b""

    @contextmanager
    def frozen(self, partition: int) -> Iterator[Frozen | None]:
        """The snapshot of a partition as it is now; None if there is none.

        Raises `SnapshotTooNew` and `Unreachable`.
        """
        keys = self._store.keys(partition)
        names = [f"{key}:{uuid4().hex}" for key in keys]
        try:
            there = ask(lambda: self._copy([*keys, *names], [STAGED_FOR]))
            yield Frozen(self._redis, partition, *names) if there else None
        finally:
            ask(lambda: self._redis.unlink(*names))

    @contextmanager
    def staged(self, partition: int) -> Iterator[Staged]:
        """A new snapshot of a partition, to be filled and put in place."""
        staged = Staged(self._redis, self._store.keys(partition), self._place)
        try:
            yield staged
        finally:
            staged.drop()
