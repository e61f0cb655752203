"""Registries for tests: a small real one in memory, and a server that answers what it is told to."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self
from uuid import UUID

from detector.codecs.checks import Refused
from detector.codecs.registry import Registered

RUN_EVENT_ID, PROFILE_ID = 7, 8


class MemoryRegistry:
    """Knows what it is given, by number and by GUID, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._schemas: dict[int | str, Registered] = {}

    def add(self, key: int | str, text: str, kind: str = "AVRO", references: bool = False) -> "MemoryRegistry":
        """Register `text` under `key`; gives itself."""
        self._schemas[key] = Registered(text, kind, references)
        return self

    def schema(self, key: int | str) -> Registered:
        self.asked += 1
        if key not in self._schemas:
            raise Refused("unknown_schema", f"the schema registry has no schema {key}")
        return self._schemas[key]


def guid(number: int) -> str:
    """A GUID for a test."""
    return str(UUID(int=number))


class HttpRegistry:
    """A server that gives every request the same answer, whatever that is; for how a client takes it."""

    def __init__(self, status: int, body: bytes) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # one connection for all requests,
            wbufsize = -1  # and one packet for each answer: a thousand of them in a second

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Into no test's output."""

        self.status, self.body = status, body
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
