"""How a route is made: structs are what it takes and what it answers, and both are in the OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_origin
from urllib.parse import quote, unquote

import msgspec
from litestar import Request, Response, route
from litestar.handlers import HTTPRouteHandler

from detector.web.problems import Problem, invalid
from detector.web.shapes import NoQuery, Query

Asking = Request[Any, Any, Any]
JSON = "application/json"
Handler = Callable[[Asking], Awaitable[Response[bytes]]]
Q = TypeVar("Q", bound=Query)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What the OpenAPI document says of a route.

    `answer` is the type of the body, `or_answer` the other one that it may be; `problems` are the statuses of errors
    beside those that every route has.
    """

    path: str
    tag: str
    summary: str
    about: str
    answer: Any
    or_answer: Any = None
    method: Literal["GET", "POST"] = "GET"
    query: type[Query] = NoQuery
    body: Any = None
    example: object = None
    body_examples: Mapping[str, object] = field(default_factory=dict)
    others: Sequence[str] = ()
    problems: Sequence[int] = ()
    accepted: bool = False


def made(operation: Operation, handler: Handler) -> HTTPRouteHandler:
    """The route of Litestar. What can be read can be asked for without its body."""
    methods: Any = ["GET", "HEAD"] if operation.method == "GET" else ["POST"]
    path = operation.path.replace("}", ":str}")

    async def handle(request: Asking) -> Response[bytes]:
        return await handler(request)

    return route(path, http_method=methods, status_code=200)(handle)


def json(value: object, status: int = 200) -> Response[bytes]:
    """An answer in JSON."""
    return Response(msgspec.json.encode(value), media_type=JSON, status_code=status)


def text(lines: str) -> Response[bytes]:
    """An answer for people."""
    return Response(lines.encode(), media_type="text/plain")


def key(request: Asking) -> str:
    """The entity, or the id, that the path names."""
    (found,) = request.path_params.values()
    return unquote(found)


def canonical(raw_path: bytes, prefix: str) -> str:
    """The path with all after the prefix as one segment: a key has slashes, which make no more of them."""
    return prefix + quote(unquote(raw_path.decode("latin-1")[len(prefix) :]), safe="")


def query(request: Asking, kind: type[Q]) -> Q:
    """The parameters. Raises a `Problem` that names what is wrong."""
    several = {one.name for one in msgspec.structs.fields(kind) if get_origin(_bare(one.type)) is list}
    given: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in several:
            given.setdefault(name, []).extend(value.split(",") if name == "state" else [value])
        elif name in given:
            raise Problem(422, f"The parameters cannot be used: {name} is given twice")
        else:
            given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error, "parameters") from None


def _bare(kind: Any) -> Any:
    return getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind
