"""/healthz, /readyz and /metrics, served by a thread beside the loops."""

import time
from threading import Thread
from types import TracebackType
from typing import Self

import uvicorn
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from detector.config import Http
from detector.errors import Unreachable
from detector.telemetry import Telemetry

START = 10.0


class Web:
    """A server at `address` while it is entered. Raises `Unreachable` when the port cannot be had."""

    def __init__(self, config: Http, telemetry: Telemetry) -> None:
        self._config = config
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(telemetry),
                host=config.host,
                port=config.port,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = Thread(target=self._run, name="web", daemon=True)
        self.address = ""

    def _run(self) -> None:
        try:
            self._server.run()
        except SystemExit:  # how uvicorn says that it could not start; `__enter__` says it better
            self._server.should_exit = True

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + START
        while not self._server.started:
            if self._server.should_exit or not self._thread.is_alive() or time.monotonic() > deadline:
                raise Unreachable(
                    f"http: cannot listen on {self._config.host}:{self._config.port}: is another process there?"
                    " http.port 0 takes any that is free"
                )
            self._thread.join(0.01)
        host, port = self._server.servers[0].sockets[0].getsockname()[:2]
        self.address = f"http://{host}:{port}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(5)


def application(telemetry: Telemetry) -> Starlette:
    """The routes over one process's telemetry."""
    health = telemetry.health

    def healthz(_: Request) -> Response:
        return _verdict("alive", health.stuck(time.monotonic()))

    def readyz(_: Request) -> Response:
        return _verdict("ready", health.unready(time.monotonic()))

    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(telemetry.registry), headers={"content-type": content_type})

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)],
    )


def _verdict(word: str, reasons: list[str]) -> Response:
    return JSONResponse({word: not reasons, "reasons": reasons}, status_code=503 if reasons else 200)
