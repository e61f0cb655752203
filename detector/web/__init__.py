"""/healthz, /readyz and /metrics, served by a thread beside the loops."""

import os
import socket
from threading import Thread
from types import TracebackType
from typing import Final, Self

import uvicorn

from detector.config import Http
from detector.errors import ConfigError
from detector.telemetry import Telemetry
from detector.web.app import application

STOP: Final = 2.0


class Web:
    """The server, from `with` to its end. It listens before `with` returns; `address` is where.

    Raises `ConfigError` when the address cannot be listened on.
    """

    def __init__(self, http: Http, telemetry: Telemetry) -> None:
        """Nothing listens yet."""
        self._http, self._app = http, application(telemetry)
        self._server: uvicorn.Server | None = None
        self._thread: Thread | None = None
        self.address = ""

    def __enter__(self) -> Self:
        listening = self._listen()
        host, port = listening.getsockname()[:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        # No lifespan, no logging of its own, and a second at most for who is still being answered.
        settings = uvicorn.Config(
            self._app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1, ws="none"
        )
        self._server = uvicorn.Server(settings)
        self._thread = Thread(target=self._server.run, args=([listening],), name="web", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
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
