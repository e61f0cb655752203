"""The pages and, with the stage `api`, the HTTP API. A scrape, a probe or a question never waits for Kafka or Redis."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from litestar import Litestar, Request, Response, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from prometheus_client.exposition import choose_encoder

from detector.config import Http
from detector.telemetry import Telemetry
from detector.web import documents, page
from detector.web.access import Access
from detector.web.front import FAULT, Front, template
from detector.web.operations import Asking, Operation, made
from detector.web.problems import CONTENT_TYPE, Problem
from detector.web.routes import ROUTES
from detector.web.routes.commands import LARGEST
from detector.web.sources import Sources
from detector.web.stream import Streams

DOWN: Final = 503
LOOK: Sequence[Literal["GET", "HEAD"]] = ("GET", "HEAD")
SAID: Final = {
    404: "There is no such page. /v1/docs lists what there is.",
    405: "This address does not take that method.",
    413: f"The body is larger than {LARGEST} bytes.",
}


def application(telemetry: Telemetry) -> ASGIApp:
    """The pages of one process."""
    return _litestar(_pages(telemetry), telemetry)


def api(telemetry: Telemetry, http: Http, sources: Sources, streams: Streams) -> ASGIApp:
    """The pages, and the API with its documents."""
    routes = [_api_route(operation, answer, sources) for operation, answer in ROUTES]
    inner = _litestar([*_pages(telemetry), *routes, *documents.routes(), *page.routes()], telemetry)
    return Front(inner, sources, Access(http), streams, telemetry)


def _litestar(handlers: Sequence[HTTPRouteHandler], telemetry: Telemetry) -> ASGIApp:
    def failed(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        telemetry.http_failed(template(request.scope), error)
        return _problem(request, Problem(500, FAULT))

    return Litestar(
        handlers,
        openapi_config=None,
        logging_config=None,
        request_max_body_size=LARGEST,
        exception_handlers={Problem: _problem, HTTPException: _refused, Exception: failed},
    )


def _api_route(operation: Operation, answer: Any, sources: Sources) -> HTTPRouteHandler:
    async def handle(request: Asking) -> Response[bytes]:
        # The front has let it in by its path as it was written; whatever another spelling leads here has no name.
        if "who" not in request.scope["state"]:
            raise Problem(404, SAID[404])
        found: Response[bytes] = await answer(sources, request)
        return found

    return made(operation, handle)


def _problem(_: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    return Response(problem.body(), status_code=problem.status, media_type=CONTENT_TYPE, headers=dict(problem.headers))


def _refused(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What Litestar refuses itself."""
    detail = SAID.get(error.status_code, error.detail or "This cannot be used.")
    return _problem(request, Problem(error.status_code, detail, headers=error.headers or {}))


def _pages(telemetry: Telemetry) -> list[HTTPRouteHandler]:
    @route("/healthz", http_method=LOOK)
    async def healthz() -> Response[dict[str, object]]:
        verdict = telemetry.health.verdict()
        body = {"alive": verdict.alive, "problems": list(verdict.stuck)}
        return Response(body, status_code=200 if verdict.alive else DOWN)

    @route("/readyz", http_method=LOOK)
    async def readyz() -> Response[dict[str, object]]:
        verdict = telemetry.health.verdict()
        body = {"ready": verdict.ready, "problems": [*verdict.stuck, *verdict.troubles]}
        return Response(body, status_code=200 if verdict.ready else DOWN)

    @route("/metrics", http_method=LOOK)
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(telemetry.registry), headers={"content-type": content_type})

    return [healthz, readyz, metrics]
