"""Server-sent events: what changes, as it changes.

GET /v1/events     event: breaker | finding | incident | command | plan | other     what the control topic tells
                   event: heartbeat, each 15 s                                        the clocks of the partitions
                   event: reset                                                       something was missed: ask anew
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from detector.web.facts import Facts
from detector.web.problems import Problem, away
from detector.web.ring import Said, lines_of

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
HEARTBEAT: Final = 15.0
PATIENCE: Final = 10.0  # seconds that a reader may take for what it is sent
MOST: Final = 200
TEMPLATE: Final = "/v1/events"


class Streams:
    """The readers of one server."""

    def __init__(self, facts: Facts, dropped: Callable[[], None], patience: float = PATIENCE) -> None:
        """`dropped` is called for each reader that was too slow."""
        self._facts, self._dropped, self._patience = facts, dropped, patience
        self._ended = False
        self.open = 0

    def end(self) -> None:
        """Let all readers go: the server ends. They come again, and miss nothing."""
        self._ended = True

    async def serve(self, headers: list[tuple[bytes, bytes]], last: str | None, receive: Receive, send: Send) -> None:
        """Tell one reader, until it goes. `last` is the id of the last event that it has."""
        if self.open >= MOST:
            raise away(f"{MOST} readers follow the events already.", 30)
        self.open += 1
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            said, number = self._first(last)
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send(send, b"retry: 3000\n\n" + said)
            await self._follow(number, gone, send)
        except TimeoutError:
            self._dropped()
        finally:
            gone.cancel()
            self.open -= 1

    def _first(self, last: str | None) -> tuple[bytes, int]:
        """What a reader that comes, or comes again, is told at once, and from where on it follows."""
        ring = self._facts.ring
        number = ring.number
        if last is None:
            return self._beat(), number
        missed = ring.since(last)
        if missed is None:
            return lines_of("reset", {}) + self._beat(), number
        return b"".join(one.lines for one in missed) + self._beat(), max([number, *(one.number for one in missed)])

    async def _follow(self, number: int, gone: "asyncio.Future[None]", send: Send) -> None:
        loop = asyncio.get_running_loop()
        beat = loop.time() + HEARTBEAT
        while not gone.done() and not self._ended:
            await self._facts.ring.news(number, min(beat - loop.time(), 1.0))
            said: list[Said] | None = self._facts.ring.after(number)
            if said is None:  # so far behind that it is not here any more
                await self._send(send, lines_of("reset", {}))
                number = self._facts.ring.number
            elif said:
                await self._send(send, b"".join(one.lines for one in said))
                number = said[-1].number
            if loop.time() >= beat:
                beat = loop.time() + HEARTBEAT
                await self._send(send, self._beat())
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, lines: bytes) -> None:
        """Raises `TimeoutError` for a reader that does not read."""
        async with asyncio.timeout(self._patience):
            await send({"type": "http.response.body", "body": lines, "more_body": True})

    def _beat(self) -> bytes:
        clocks = {str(partition): clock for partition, clock in sorted(self._facts.clocks.copy().items())}
        return lines_of("heartbeat", {"at": self._facts.clock(), "clocks": clocks})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def last_event_id(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The id that a reader says it has. Raises a `Problem`."""
    for name, value in headers:
        if name == b"last-event-id" and value:
            if len(value) > 100_000:
                raise Problem(422, "Last-Event-ID is none of ours")
            return value.decode(errors="replace")
    return None
