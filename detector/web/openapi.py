"""The OpenAPI 3.1 document, made of the routes and of the structs that they take and answer."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from detector import __version__
from detector.web.operations import JSON, Operation
from detector.web.problems import CONTENT_TYPE, Details
from detector.web.routes.commands import GIVE
from detector.web.routes.entities import BREAKER
from detector.web.shapes import NoQuery
from detector.web.stream import TEMPLATE as EVENTS

REF: Final = "#/components/schemas/{name}"
ALWAYS: Final = (401, 403, 422, 429, 500)
WHY: Final = {
    401: "There is no token, or none that is known.",
    403: "The token's role does not allow it, or there are no tokens and it would write.",
    404: "There is nothing of that name.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    422: "The parameters or the body cannot be used; `errors` says what of them.",
    429: "Too many requests; come again after `Retry-After` seconds.",
    500: "A fault of Detector.",
    503: "Kafka or Redis is away; come again after `Retry-After` seconds.",
}
TAGS: Final = {
    "overview": "Everything at a glance.",
    "entities": "Jobs and datasets, their breakers, who waits for whom.",
    "history": "How it was: judged runs, and series with what was expected.",
    "incidents": "What is wrong, one for each cause.",
    "recovery": "What must be redone.",
    "windows": "When nobody is called, and when what is wrong is expected.",
    "commands": "What people tell the detector.",
    "events": "What changes, as it changes.",
}
ABOUT: Final = (
    "What Detector knows, and what people tell it. Times are in seconds since 1970. Send"
    " `Authorization: Bearer TOKEN` with a token of `http.tokens`; without tokens only the machine itself may read.\n\n"
    "Errors are problem details (RFC 9457)."
)


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole document."""
    every = [*operations, BREAKER]
    given = [kind for one in every for kind in (one.answer, one.or_answer, one.body) if kind is not None]
    types = [Details, *given]
    queries = {one.query for one in every} - {NoQuery}
    schemas, components = msgspec.json.schema_components([*types, *queries], ref_template=REF)
    of = dict(zip(map(repr, [*types, *queries]), schemas, strict=True))
    made = {name: _completed(schema) for name, schema in components.items()}
    _without_sender(made)
    paths: dict[str, dict[str, Any]] = {}
    for one in every:
        parameters = _parameters(one, made)
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, of, parameters)
    for query in queries:
        made.pop(query.__name__, None)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "Detector", "version": __version__, "description": ABOUT},
        "security": [{"token": []}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": {**dict(sorted(paths.items())), EVENTS: {"get": _events()}},
        "components": {
            "schemas": dict(sorted(made.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Of `http.tokens`."}},
        },
    }


def _operation(one: Operation, of: dict[str, Any], parameters: list[dict[str, Any]]) -> dict[str, Any]:
    schema = of[repr(one.answer)]
    if one.or_answer is not None:
        schema = {"anyOf": [schema, of[repr(one.or_answer)]]}
    content: dict[str, Any] = {JSON: {"schema": schema}}
    if one.example is not None:
        content[JSON]["example"] = one.example
    content |= {kind: {"schema": {"type": "string"}} for kind in one.others}
    answers = {"200": {"description": "The answer.", "content": content}}
    if one.accepted:
        answers["202"] = {"description": "It is sent; nobody has answered in time.", "content": content}
    made: dict[str, Any] = {
        "operationId": _id(one),
        "tags": [one.tag],
        "summary": one.summary,
        "description": one.about,
        "parameters": parameters,
        "responses": {**answers, **_problems(set(ALWAYS) | set(one.problems) - ({429} if one is BREAKER else set()))},
    }
    if one.body is not None:
        examples = {name: {"value": value} for name, value in one.body_examples.items()}
        made["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": of[repr(one.body)], "examples": examples}},
        }
    return made


def _id(one: Operation) -> str:
    words = [word.strip("{}") for word in one.path.removeprefix("/v1/").split("/")]
    return "_".join([one.method.lower(), *words])


def _problems(statuses: Iterable[int]) -> dict[str, Any]:
    schema = {"$ref": REF.format(name="Details")}
    headers = {
        401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "Bearer."}},
        429: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
        503: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
    }
    made: dict[str, Any] = {}
    for status in sorted(statuses):
        phrase = HTTPStatus(status).phrase
        example = {"type": "about:blank", "title": phrase, "status": status, "detail": WHY[status]}
        made[str(status)] = {
            "description": WHY[status],
            "content": {CONTENT_TYPE: {"schema": schema, "example": example}},
            **({"headers": headers[status]} if status in headers else {}),
        }
    return made


def _parameters(one: Operation, components: dict[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if "{entity}" in one.path:
        schema = {"type": "string", "minLength": 1}
        if one is not BREAKER:
            schema["pattern"] = r"^(job|dataset):"
        about = "The key of the entity."
        made.append(_parameter("entity", "path", schema, about, example="job:airflow/orders.load"))
    if "{id}" in one.path:
        made.append(_parameter("id", "path", {"type": "string", "minLength": 1}, "Its whole id."))
    if one.query is not NoQuery:
        for name, schema in components[one.query.__name__]["properties"].items():
            made.append(_parameter(name, "query", schema, schema.get("description", "")))
    return made


def _parameter(name: str, where: str, schema: dict[str, Any], about: str, **more: Any) -> dict[str, Any]:
    """A parameter that is left out is not null, though its default in the program is."""
    plain = {key: value for key, value in schema.items() if key not in ("description", "default")}
    others = [option for option in plain.get("anyOf", []) if option != {"type": "null"}]
    if others:
        plain = {
            **{key: value for key, value in plain.items() if key != "anyOf"},
            **(others[0] if len(others) == 1 else {"anyOf": others}),
        }
    if isinstance(plain.get("enum"), list):
        plain["enum"] = [choice for choice in plain["enum"] if choice is not None]
    return {"name": name, "in": where, "required": where == "path", "description": about, "schema": plain, **more}


def _events() -> dict[str, Any]:
    about = (
        "Server-sent events: `breaker`, `finding`, `incident`, `command`, `plan` and `other` have as data"
        " `{entity, id, type, time, data}`, what the control topic told; `heartbeat`, each 15 s, has the clocks of the"
        " partitions; `reset` says that something was missed, so that all must be asked for anew."
    )
    header = _parameter(
        "Last-Event-ID", "header", {"type": "string"}, "The id of the last event that was seen: it goes on behind it."
    )
    content = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "operationId": "get_events",
        "tags": ["events"],
        "summary": "What changes",
        "description": about,
        "parameters": [header],
        "responses": {"200": {"description": "The stream.", "content": content}, **_problems({*ALWAYS, 503})},
    }


def _completed(schema: dict[str, Any]) -> dict[str, Any]:
    """Descriptions on one line: they are the docstrings of the program."""
    if isinstance(schema.get("description"), str):
        schema["description"] = " ".join(schema["description"].split())
    return schema


def _without_sender(components: dict[str, Any]) -> None:
    """Who sends a command is the token, when is now, and an id is made: none of them must be given."""
    for kind in GIVE.body.__args__:
        schema = components[kind.__name__]
        for name in ("by", "at"):
            schema["properties"].pop(name, None)
        schema["required"] = [name for name in schema["required"] if name not in ("by", "id")]
        schema["additionalProperties"] = False
