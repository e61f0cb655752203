"""The last control events, ready to be sent, and who follows them.

A reader has a place in the ring and no queue of its own: one that is so slow that the ring has gone over its place is
cut off, and nobody else notices. The id of an event is where the control topic stood after it, the next offset of each
partition with dots between; so a reader that comes again, to another process or after a restart, misses nothing that
is still here, and is told (`reset`) when something is not.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, Final, NamedTuple

import msgspec

SIZE: Final = 2_000
BYTES: Final = 16 << 20
KINDS: Final = {
    "breaker": "breaker",
    "incident": "incident",
    "anomaly": "finding",
    "command": "command",
    "recovery": "plan",
}
PLACE: Final = re.compile(r"\d{1,19}(\.\d{1,19}){0,9999}")


class Said(NamedTuple):
    """One event in the ring: its place there, where it stands on the topic, and the lines that tell it."""

    number: int
    partition: int
    offset: int
    lines: bytes


def kind_of(type_: str) -> str:
    """What a stream calls an event of this CloudEvents type."""
    return KINDS.get(type_.removeprefix("io.detector.").partition(".")[0], "other")


def lines_of(event: str, data: object, place: str = "") -> bytes:
    """An event as a stream of server-sent events has it."""
    head = f"id: {place}\nevent: {event}\n" if place else f"event: {event}\n"
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


class Ring:
    """Filled by the thread that reads the control topic, read by the loop of the server."""

    def __init__(self, size: int = SIZE, most: int = BYTES) -> None:
        """At most `size` events, of `most` bytes together."""
        self._size, self._most, self._bytes = size, most, 0
        self._said: deque[Said] = deque()
        self._next: list[int] = []
        self._gone: dict[int, int] = {}
        self._number = 0
        self._lock = Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def begin(self, partitions: int) -> None:
        """The topic is another one now, or is read for the first time."""
        with self._lock:
            self._said.clear()
            self._bytes, self._next, self._gone = 0, [0] * partitions, {}
            self._number += 1

    def add(self, partition: int, offset: int, key: str, event: dict[str, Any]) -> None:
        """The next record of a partition."""
        with self._lock:
            if not 0 <= partition < len(self._next):
                return
            self._next[partition] = offset + 1
            told = {"entity": key, **{name: event.get(name) for name in ("id", "type", "time", "data")}}
            place = ".".join(map(str, self._next))
            self._number += 1
            said = Said(self._number, partition, offset, lines_of(kind_of(str(event.get("type"))), told, place))
            self._said.append(said)
            self._bytes += len(said.lines)
            self._shorten()
            waiting, self._waiting = self._waiting, []
        for loop, woken in waiting:
            _wake(loop, woken.set)

    def _shorten(self) -> None:
        while len(self._said) > self._size or (self._bytes > self._most and len(self._said) > 1):
            old = self._said.popleft()
            self._bytes -= len(old.lines)
            self._gone[old.partition] = old.offset + 1

    @property
    def number(self) -> int:
        """The place of the newest event: who begins here hears what comes next."""
        with self._lock:
            return self._number

    def after(self, number: int) -> list[Said] | None:
        """What came after a place; None if some of it is not here any more."""
        with self._lock:
            missing = self._number - number
            if missing > len(self._said):
                return None
            return [self._said[at] for at in range(len(self._said) - missing, len(self._said))] if missing > 0 else []

    def since(self, place: str) -> list[Said] | None:
        """What came after the event with this id; None if some of it is not here any more, or it is no id of ours."""
        if not PLACE.fullmatch(place):
            return None
        seen = [int(number) for number in place.split(".")]
        with self._lock:
            known = self._next
            if len(seen) != len(known) or any(mine > theirs for mine, theirs in zip(seen, known, strict=True)):
                return None
            if any(seen[partition] < gone for partition, gone in self._gone.items()):
                return None
            return [said for said in self._said if said.offset >= seen[said.partition]]

    async def news(self, number: int, within: float) -> None:
        """Return when there is more than up to this place, or after so many seconds."""
        woken = asyncio.Event()
        with self._lock:
            if self._number > number:
                return
            mine = (asyncio.get_running_loop(), woken)
            self._waiting.append(mine)
        try:
            async with asyncio.timeout(within):
                await woken.wait()
        except TimeoutError:
            with self._lock:
                if mine in self._waiting:
                    self._waiting.remove(mine)


def _wake(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        return  # the server has ended, and its loop with it
