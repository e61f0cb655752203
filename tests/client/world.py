"""Breakers for clients to ask for, and a small real API that has them, as the contract of /v1/breakers says."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from detector.core.breaker import State
from detector.core.emissions import BreakerValue
from detector.view import Asked, decide

JOB = "job:airflow/orders.load"
OTHER = "dataset:postgres://shop-db:5432/shop.public.orders"
WHY = "412 rows, expected 9,400 to 11,800"


def value(entity: str = JOB, **change: object) -> BreakerValue:
    """A closed breaker of partition 0, with changes."""
    closed = BreakerValue(
        entity=entity,
        state=State.CLOSED,
        mode="enforce",
        on_unknown="allow",
        since=time.time() - 86_400,
        retry_at=None,
        reason="a good run",
        cause=None,
        trips=0,
        sequence=4,
        warming_up=False,
        partition=0,
    )
    return msgspec.structs.replace(closed, **change)


def opened(entity: str = JOB, **change: object) -> BreakerValue:
    return value(entity, state=State.OPEN, reason=WHY, **change)


def beat(age: float = 1.0) -> bytes:
    return msgspec.json.encode({"partition": 0, "clock": time.time() - age})


class Api:
    """What it answers: `values` by entity, a heartbeat of `age`; or `status` and `body` as they are, to everybody."""

    def __init__(self) -> None:
        self.values: dict[str, BreakerValue] = {}
        self.age = 1.0
        self.status, self.body = 200, b""
        self.seen: list[tuple[str, str | None, Asked]] = []
        self.connections = 0

    def answer(self, target: str, token: str | None) -> tuple[int, bytes]:
        parts = urlsplit(target)
        entity = unquote(parts.path.removeprefix("/v1/breakers/"))
        query = parse_qs(parts.query)
        asked = Asked(
            probe=query.get("probe", [None])[0],
            partitions=tuple(query.get("partition", ())),
            columns=tuple(query.get("column", ())),
        )
        self.seen.append((entity, token, asked))
        if self.body or self.status != 200:
            return self.status, self.body
        now = time.time()
        return 200, msgspec.json.encode(decide(entity, self.values.get(entity), now - self.age, now, asked=asked))


@contextmanager
def serving(api: Api, port: int = 0) -> Iterator[str]:
    """The API at the URL that this gives, until the end of the `with`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # as every server of today

        def setup(self) -> None:
            super().setup()
            api.connections += 1

        def do_GET(self) -> None:
            status, body = api.answer(self.path, self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)
