"""Takes commands for the API: sends them as a command line does, and hears on the control topic what came of them.

The API reads that topic anyway, so nothing is read for one command alone. While it is not read, no command is taken:
nobody could say what came of it.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from detector.core.commands import AnyCommand, Feedback
from detector.core.emissions import CommandDone
from detector.errors import Unreachable
from detector.orders import MORE, Orders, is_of

Listener = Callable[[CommandDone], None]


class Heard(Protocol):
    """Who reads the control topic, and tells in a thread of its own what comes of commands."""

    def listen(self, listener: Listener) -> None:
        """Tell this one."""

    def listen_no_more(self, listener: Listener) -> None:
        """And no more."""


class Feed(Protocol):
    """Whether the control topic is read."""

    @property
    def trouble(self) -> str | None:
        """Why nothing new comes, if so."""


class Desk:
    """As `web.sources.Desk`."""

    def __init__(self, orders: Orders, heard: Heard, feed: Feed) -> None:
        self._orders, self._heard, self._feed = orders, heard, feed

    async def give(self, command: AnyCommand, patience: float) -> list[CommandDone]:
        """Send it, and what came of it within `patience` seconds. Raises `Unreachable`."""
        if self._feed.trouble is not None:
            raise Unreachable(self._feed.trouble)
        loop = asyncio.get_running_loop()
        answers: asyncio.Queue[CommandDone] = asyncio.Queue()

        def hear(done: CommandDone) -> None:
            if is_of(done.id, command.id):
                loop.call_soon_threadsafe(answers.put_nowait, done)

        self._heard.listen(hear)
        try:
            await asyncio.to_thread(self._orders.send, [command])
            return await _collect(answers, patience, MORE if isinstance(command, Feedback) else 0.0)
        finally:
            self._heard.listen_no_more(hear)


async def _collect(answers: "asyncio.Queue[CommandDone]", patience: float, more: float) -> list[CommandDone]:
    """The first answer within `patience` seconds, and those that come within `more` seconds after it."""
    found: list[CommandDone] = []
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while True:
        try:
            async with asyncio.timeout_at(until):
                found.append(await answers.get())
        except TimeoutError:
            return found
        if len(found) == 1:
            until = min(until, loop.time() + more)
