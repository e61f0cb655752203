"""The pages. They answer from what is in memory: a scrape or a probe never waits for Kafka or Redis."""

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from detector.telemetry import Telemetry

DOWN = 503


def application(telemetry: Telemetry) -> Starlette:
    """The pages of one process."""

    async def healthz(_: Request) -> Response:
        verdict = telemetry.health.verdict()
        body = {"alive": verdict.alive, "problems": list(verdict.stuck)}
        return JSONResponse(body, 200 if verdict.alive else DOWN)

    async def readyz(_: Request) -> Response:
        verdict = telemetry.health.verdict()
        body = {"ready": verdict.ready, "problems": [*verdict.stuck, *verdict.troubles]}
        return JSONResponse(body, 200 if verdict.ready else DOWN)

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(telemetry.registry), headers={"content-type": content_type})

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
