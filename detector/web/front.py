"""What every request meets first: who asks, how often, what goes with the answer, and how long it took.

The question for a breaker, and the stream of events, are answered here; all else goes to Litestar.
"""

import time
from typing import Any, Final, Protocol

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from detector.web import breakers, stream
from detector.web.access import Access
from detector.web.operations import canonical
from detector.web.problems import CONTENT_TYPE, Problem
from detector.web.sources import Sources
from detector.web.stream import Streams

Header = tuple[bytes, bytes]
NO_SNIFFING: Final[Header] = (b"x-content-type-options", b"nosniff")
POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    b" font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    b" require-trusted-types-for 'script'"
)
SECURE: Final[list[Header]] = [
    NO_SNIFFING,
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", POLICY),
]
FRESH: Final[Header] = (b"cache-control", b"no-store")
# What a browser must have before anybody can give it a token: nothing of it tells of a pipeline.
WITHOUT_TOKEN: Final = frozenset({b"/", b"/favicon.ico", b"/v1/docs", b"/v1/docs.css", b"/v1/openapi.json"})
STATIC: Final = b"/static/"
WITH_KEYS: Final = ("/v1/entities/", "/v1/runs/", "/v1/series/", "/v1/lineage/", "/v1/incidents/", "/v1/plans/")
OPEN: Final = frozenset({b"/healthz", b"/readyz", b"/metrics"})
FAULT: Final = "This is a fault of Detector, not of the request: its log says more."
READS: Final = frozenset({"GET", "HEAD"})


class Signals(Protocol):
    """What is told of requests; `telemetry` makes metrics and log lines of it."""

    def http_answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""

    def http_failed(self, route: str, error: BaseException) -> None:
        """A request was not answered, because of a fault of ours."""


class Front:
    """The application as the server calls it."""

    def __init__(self, inner: ASGIApp, sources: Sources, access: Access, streams: Streams, signals: Signals) -> None:
        """`inner` answers what is not answered here."""
        self._inner, self._sources, self._access, self._streams = inner, sources, access, streams
        self._signals = signals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI says. Nothing but HTTP is spoken."""
        if scope["type"] != ScopeType.HTTP:
            return
        call = _Call(scope, send, time.perf_counter())
        try:
            if scope["raw_path"].startswith(breakers.PREFIX):
                call.route = breakers.TEMPLATE
                await self._breaker(call)
            else:
                await self._other(call, receive)
        except Problem as problem:
            await call.refuse(problem)
        except Exception as error:  # noqa: BLE001 - whoever asks is told that it is our fault, and the log has it
            self._signals.http_failed(call.route, error)
            await call.refuse(Problem(500, FAULT))
        finally:
            seconds = 0.0 if call.route == stream.TEMPLATE else time.perf_counter() - call.began
            self._signals.http_answered(call.route, call.status, seconds)

    async def _breaker(self, call: "_Call") -> None:
        scope = call.scope
        if scope["method"] not in READS:
            raise _not_allowed()
        try:
            self._access.who(scope["headers"])
        except Problem:
            self._access.limit.take(_client(scope))  # so that nobody can try tokens here as fast as he likes
            raise
        await call.answer(breakers.answer(self._sources.facts, scope["raw_path"], scope["query_string"]))

    async def _other(self, call: "_Call", receive: Receive) -> None:
        scope, path = call.scope, call.scope["raw_path"]
        if path not in OPEN:
            self._let_in(scope, path)
        if path == stream.TEMPLATE.encode():
            call.route = stream.TEMPLATE
            await self._stream(call, receive)
            return
        for prefix in WITH_KEYS:
            if path.startswith(prefix.encode()) and len(path) > len(prefix):
                scope["path"] = canonical(path, prefix)
        try:
            await self._inner(scope, receive, call.send)
        finally:
            call.route = template(scope)

    def _let_in(self, scope: Any, path: bytes) -> None:
        """Raises a `Problem` for whoever may not ask, or asks too often."""
        if path in WITHOUT_TOKEN or path.startswith(STATIC):
            self._access.refuse_shut()
            return
        client = _client(scope)
        try:
            who = self._access.who(scope["headers"])
        except Problem:
            self._access.limit.take(client)
            raise
        self._access.limit.take(f"token {who.name}" if who.name else client)
        if scope["method"] not in READS:
            self._access.must_write(who)
        scope["state"]["who"] = who

    async def _stream(self, call: "_Call", receive: Receive) -> None:
        scope = call.scope
        if scope["method"] not in READS:
            raise _not_allowed()
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            FRESH,
            (b"x-accel-buffering", b"no"),
            *SECURE,
        ]
        if scope["method"] == "HEAD":
            await call.pass_on({"type": "http.response.start", "status": 200, "headers": headers})
            await call.pass_on({"type": "http.response.body", "body": b""})
            return
        last = stream.last_event_id(scope["headers"])
        await self._streams.serve(headers, last, receive, call.pass_on)


class _Call:
    """One request and its answer."""

    __slots__ = ("_send", "began", "route", "scope", "status")

    def __init__(self, scope: Any, send: Send, began: float) -> None:
        self.scope, self._send, self.began = scope, send, began
        self.route, self.status = "other", 0

    async def pass_on(self, message: Any) -> None:
        """Send as it is."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def send(self, message: Any) -> None:
        """Send what Litestar answers, with the headers that all answers have."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message["headers"])
            fresh = [] if any(name == b"cache-control" for name, _ in headers) else [FRESH]
            message = {**message, "headers": [*headers, *fresh, *SECURE]}
        await self._send(message)

    async def answer(
        self, body: bytes, status: int = 200, kind: bytes = b"application/json", more: tuple[Header, ...] = ()
    ) -> None:
        """Send a whole answer in JSON: what guards pages means nothing to it."""
        self.status = status
        length = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", kind), length, FRESH, NO_SNIFFING, *more]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def refuse(self, problem: Problem) -> None:
        """Send a problem, unless an answer has begun."""
        if self.status == 0:
            more = tuple((name.lower().encode(), value.encode()) for name, value in problem.headers.items())
            await self.answer(problem.body(), problem.status, CONTENT_TYPE.encode(), more)


def template(scope: Any) -> str:
    """The route of a request: few words, whatever was asked."""
    return str(scope.get("path_template") or "other").replace(":str}", "}")


def _client(scope: Any) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _not_allowed() -> Problem:
    return Problem(405, "This can only be read: GET or HEAD.", headers={"Allow": "GET, HEAD"})
