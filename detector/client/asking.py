"""May this pipeline go on? A `Client` asks a source, and says what that means for whoever asks, also when nobody knows.

What is unknown is settled by the breaker's own `on_unknown`, as far as that is known, else by what the caller wants.
"""

import logging
import os
import time
from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast

from detector.client.choosing import TIMEOUT, Kind, Where, source_of
from detector.client.sources import Source
from detector.errors import DetectorError
from detector.view import MAX_AGE, Answer, Asked

LOG = logging.getLogger("detector.client")
ASK_AGAIN = 2.0

OnUnknown = Literal["allow", "block"]
Outcome = Literal["allowed", "blocked", "allowed_although_unknown", "blocked_since_unknown"]
F = TypeVar("F", bound=Callable[..., Any])


class Permission(Answer, frozen=True, kw_only=True):
    """An `Answer`, and what follows from it: `outcome` is what whoever asked is to do, in a word."""

    outcome: Outcome

    @property
    def allowed(self) -> bool:
        """Whether it may go on."""
        return self.outcome in ("allowed", "allowed_although_unknown")


def settle(answer: Answer, on_unknown: OnUnknown = "allow", overruled: OnUnknown | None = None) -> Permission:
    """What follows from an answer. `overruled` counts before the breaker's own setting, `on_unknown` after it."""
    outcome: Outcome = "allowed" if answer.verdict == "allow" else "blocked"
    if answer.verdict == "unknown":
        wanted = overruled or answer.on_unknown or on_unknown
        outcome = "allowed_although_unknown" if wanted == "allow" else "blocked_since_unknown"
    fields = {name: getattr(answer, name) for name in answer.__struct_fields__ if name != "outcome"}
    return Permission(**fields, outcome=outcome)


class BreakerOpen(DetectorError):
    """This pipeline may not go on; `answer` says why, and so does the message."""

    def __init__(self, answer: Permission) -> None:
        """`answer` is the one that stops it."""
        super().__init__(told(answer))
        self.answer = answer

    def __reduce__(self) -> tuple[type["BreakerOpen"], tuple[Permission]]:
        """Whole also in another process."""
        return BreakerOpen, (self.answer,)


def told(answer: Permission) -> str:
    """Why it may not go on, and what can be done, for a person at 3 a.m."""
    if answer.outcome == "blocked_since_unknown":
        return f"{answer.entity} may not go on: nobody knows whether it may, and then it is to wait: {answer.message}"
    return (
        f"{answer.entity} may not go on: {answer.message}."
        f" The evidence: detector breaker show {answer.entity}. To let it go on all the same:"
        f" detector breaker override {answer.entity} --force-closed --until 2h --reason WHY"
    )


class Client:
    """Asks one source, which is found as docs/client.md says. For any thread; a process that was forked has its own."""

    def __init__(
        self,
        *,
        source: Kind | None = None,
        url: str | None = None,
        token: str | None = None,
        redis: str | None = None,
        kafka: str | None = None,
        config: str | Path | None = None,
        on_unknown: OnUnknown = "allow",
        max_age: float = MAX_AGE,
        timeout: float = TIMEOUT,
    ) -> None:
        """`on_unknown` is for entities whose breaker does not say. In seconds, `max_age` is how old a heartbeat may be,
        and `timeout` how long an answer may take.
        """
        file = None if config is None else Path(config)
        self._where = Where(source=source, url=url, token=token, redis=redis, kafka=kafka, config=file)
        self._on_unknown, self._max_age, self._timeout = on_unknown, max_age, timeout
        self._source: Source | None = None
        self._pid, self._lock = 0, Lock()

    def check(
        self,
        entity: str,
        *,
        on_unknown: OnUnknown | None = None,
        probe: str | None = None,
        partitions: tuple[str, ...] = (),
        columns: tuple[str, ...] = (),
    ) -> Permission:
        """May this entity's pipeline go on? Raises `ConfigError` only: a service that is away is an answer, too."""
        asked = Asked(probe=probe, partitions=tuple(partitions), columns=tuple(columns))
        return settle(self._open().read(entity, asked, self._max_age), on_unknown or self._on_unknown)

    async def acheck(self, entity: str, **asked: Any) -> Permission:
        """The same, beside the event loop."""
        import asyncio

        return await asyncio.to_thread(self.check, entity, **asked)

    def breaker(self, entity: str, *, wait: float = 0.0, **asked: Any) -> "Breaker":
        """A `with`, an `async with` or a decorator that lets pass what may go on, and raises `BreakerOpen` else.

        It waits for up to `wait` seconds until it may. What else there is to say is what `check` takes.
        """
        return Breaker(self, entity, wait, asked)

    def close(self) -> None:
        """Let go of what is open. Who asks again opens it again."""
        with self._lock:
            source, self._source = self._source, None
        if source is not None and self._pid == os.getpid():
            source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self) -> Source:
        with self._lock:
            if self._source is None or self._pid != os.getpid():
                # After a fork, connections and threads are those of another process: they are left to it.
                self._source, self._pid = source_of(self._where, self._timeout), os.getpid()
            return self._source


class Breaker:
    """Lets pass what may go on; see `Client.breaker`."""

    def __init__(self, client: Client, entity: str, wait: float, asked: dict[str, Any]) -> None:
        self._client, self._entity, self._wait, self._asked = client, entity, wait, asked

    def __enter__(self) -> Permission:
        until = time.monotonic() + self._wait
        while True:
            answer = self._client.check(self._entity, **self._asked)
            if answer.allowed or (pause := _pause(until)) is None:
                return _passed(answer)
            time.sleep(pause)

    async def __aenter__(self) -> Permission:
        import asyncio

        until = time.monotonic() + self._wait
        while True:
            answer = await self._client.acheck(self._entity, **self._asked)
            if answer.allowed or (pause := _pause(until)) is None:
                return _passed(answer)
            await asyncio.sleep(pause)

    def __exit__(self, *_: object) -> None:
        """What happens inside is not its affair."""

    async def __aexit__(self, *_: object) -> None:
        """The same."""

    def __call__(self, function: F) -> F:
        """The function, which then asks before each call."""
        if iscoroutinefunction(function):

            @wraps(function)
            async def asks(*args: Any, **named: Any) -> Any:
                async with self:
                    return await function(*args, **named)

            return cast("F", asks)

        @wraps(function)
        def asks_first(*args: Any, **named: Any) -> Any:
            with self:
                return function(*args, **named)

        return cast("F", asks_first)


def _pause(until: float) -> float | None:
    left = until - time.monotonic()
    return min(ASK_AGAIN, left) if left > 0 else None


def _passed(answer: Permission) -> Permission:
    if not answer.allowed:
        raise BreakerOpen(answer)
    if answer.verdict == "unknown":
        LOG.warning("%s goes on although nobody knows whether it may: %s", answer.entity, answer.message)
    return answer
