"""A receiver of alerts on loopback: a real HTTP server that keeps what it is sent and answers as it is told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

from detector.embedded import free_port


@dataclass(frozen=True)
class Request:
    """What came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What goes back; `cut`: the connection ends without an answer, after all was read."""

    status: int = 202
    body: bytes = b'{"status":"success","message":"Event processed","dedup_key":"x"}'
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


class ReceiverServer:
    """At `url`. `replies` are given to the next requests, `always` to those after them. It keeps its port."""

    def __init__(self, always: Reply | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self.always = always or Reply()
        self._lock = Lock()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> Self:
        server, receiver = _Server(("127.0.0.1", self.port), _Handler), self
        server.receiver = receiver
        self._server = server
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Refuse connections from now on. Does nothing when it does not run."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            return self.replies.pop(0) if self.replies else self.always

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    receiver: ReceiverServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Who has read enough goes away: that is no error."""


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request: what is refused next time is refused by the system."""

    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        reply = self.server.receiver.take(Request(self.path, dict(self.headers), body))
        self.close_connection = True
        if reply.cut:
            return
        self.send_response(reply.status)
        for name, text in reply.headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """What came is in `requests`."""
