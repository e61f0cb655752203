"""/healthz, /readyz and /metrics, and with the stage `api` the HTTP API, served by a thread beside the loops."""

import os
import socket
from threading import Thread
from types import TracebackType
from typing import Final, Self

import uvicorn

from detector.config import Http
from detector.errors import ConfigError
from detector.telemetry import Telemetry
from detector.web.app import api, application
from detector.web.facts import Facts
from detector.web.sources import Sources
from detector.web.stream import Streams

__all__ = ["Facts", "Sources", "Web"]

STOP: Final = 3.0


class Web:
    """The server, from `with` to its end. It listens before `with` returns; `address` is where.

    With `sources` it has the API, too. Raises `ConfigError` when the address cannot be listened on.
    """

    def __init__(self, http: Http, telemetry: Telemetry, sources: Sources | None = None) -> None:
        """Nothing listens yet."""
        self._http, self._streams = http, None if sources is None else Streams(sources.facts, telemetry.stream_dropped)
        if sources is None or self._streams is None:
            self._app = application(telemetry)
        else:
            self._app = api(telemetry, http, sources, self._streams)
        self._server: uvicorn.Server | None = None
        self._thread: Thread | None = None
        self.address = ""

    def __enter__(self) -> Self:
        listening = self._listen()
        host, port = listening.getsockname()[:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        # No lifespan, no logging of its own, and a second at most for who is still being answered.
        settings = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            ws="none",
            server_header=False,
            proxy_headers=False,  # whoever asks could say that he is somebody else
        )
        self._server = uvicorn.Server(settings)
        self._thread = Thread(target=self._server.run, args=([listening],), name="web", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._streams is not None:
            self._streams.end()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP)

    def _listen(self) -> socket.socket:
        host, port = self._http.host, self._http.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Who listens on all addresses of IPv6 means all: a probe may come by IPv4.
        both = host == "::" and socket.has_dualstack_ipv6()
        try:
            return socket.create_server((host, port), family=family, backlog=128, dualstack_ipv6=both)
        except OSError as error:
            # Python's own text says the address again; names that are not found have numbers of their own, below zero.
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise ConfigError(
                f"http: cannot listen on {host}:{port} ({why}). `http.port: 0` takes any port that is free"
            ) from None
