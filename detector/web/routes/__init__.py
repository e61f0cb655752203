"""The routes of the API: what each is, and what it answers. `ROUTES` has all of them."""

from collections.abc import Awaitable, Callable

from litestar import Response

from detector.web.operations import Asking, Operation
from detector.web.routes import commands, entities, history, incidents, overview, plans
from detector.web.sources import Sources

Route = tuple[Operation, Callable[[Sources, Asking], Awaitable[Response[bytes]]]]
ROUTES: list[Route] = [
    route for part in (overview, entities, history, incidents, plans, commands) for route in part.ROUTES
]
