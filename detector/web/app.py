"""The pages. They answer from what is in memory: a scrape or a probe never waits for Kafka or Redis."""

from collections.abc import Sequence
from typing import Any, Literal

from litestar import Litestar, Request, Response, route
from prometheus_client.exposition import choose_encoder

from detector.telemetry import Telemetry

DOWN = 503
LOOK: Sequence[Literal["GET", "HEAD"]] = ("GET", "HEAD")


def application(telemetry: Telemetry) -> Litestar:
    """The pages of one process."""

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

    return Litestar([healthz, readyz, metrics], openapi_config=None, logging_config=None)
