"""/v1/openapi.json, and /v1/docs, the same for people: a page of plain HTML, without a script, all from here."""

from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from typing import Any, Final

import msgspec
from litestar import Response, route
from litestar.handlers import HTTPRouteHandler

from detector.web.openapi import document
from detector.web.routes import ROUTES

MARK: Final = "\ue000"
KEPT: Final = {"cache-control": "public, max-age=300"}
STYLE: Final = """\
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #2563eb; }
@media (prefers-color-scheme: dark) { :root { --accent: #7aa2f7; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
body { overflow-wrap: anywhere; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .6rem 0; padding: 0 .8rem; }
details[open] { padding-bottom: .6rem; }
summary { cursor: pointer; padding: .5rem 0; }
code, pre { font: .9em/1.45 ui-monospace, monospace; background: var(--soft); padding: .1em .3em; }
pre { padding: .7rem; overflow-x: auto; }
.method { font-weight: 700; color: var(--accent); display: inline-block; min-width: 3.2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; }
td { border-top: 1px solid var(--line); } a { color: var(--accent); }
"""


def routes() -> list[HTTPRouteHandler]:
    """The routes of the documents."""
    as_json, as_page = rendered()

    @route("/v1/openapi.json", http_method=["GET", "HEAD"])
    async def openapi() -> Response[bytes]:
        return Response(as_json, media_type="application/json", headers=KEPT)

    @route("/v1/docs", http_method=["GET", "HEAD"])
    async def docs() -> Response[bytes]:
        return Response(as_page, media_type="text/html", headers=KEPT)

    @route("/v1/docs.css", http_method=["GET", "HEAD"])
    async def style() -> Response[bytes]:
        return Response(STYLE.encode(), media_type="text/css", headers=KEPT)

    return [openapi, docs, style]


@cache
def rendered() -> tuple[bytes, bytes]:
    """The document as JSON and as a page: made once."""
    made = document([operation for operation, _ in ROUTES])
    return msgspec.json.encode(made), page(made).encode()


def page(made: dict[str, Any]) -> str:
    """The document as HTML."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Detector: HTTP API</title>',
            '<link rel="stylesheet" href="/v1/docs.css"></head><body>',
            f"<h1>Detector: HTTP API</h1><p>{escape(made['info']['version'])}</p>",
            '<p><a href="/v1/openapi.json">The same as OpenAPI 3.1</a></p>',
            _prose(made["info"]["description"]),
            *_sections(made),
            "<h2>Schemas</h2>",
            *(_schema(name, schema) for name, schema in made["components"]["schemas"].items()),
            "</body></html>\n",
        ]
    )


def _sections(made: dict[str, Any]) -> Iterator[str]:
    for tag in made["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>"
        for path, methods in made["paths"].items():
            for method, one in methods.items():
                if tag["name"] in one["tags"]:
                    yield _operation(path, method, one)


def _operation(path: str, method: str, one: dict[str, Any]) -> str:
    what = f'<span class="method">{method.upper()}</span> <code>{escape(path)}</code> {escape(one["summary"])}'
    parts = [
        f'<details id="{escape(one["operationId"])}"><summary>{what}</summary>',
        _prose(one["description"]),
    ]
    if one["parameters"]:
        rows = [(one["name"], one["in"], _type(one["schema"]), one["description"]) for one in one["parameters"]]
        parts.append(_table(("parameter", "in", "type", "what"), rows))
    for name, example in (
        one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {}).items()
    ):
        parts.append(f"<p>Body, {escape(name)}:</p><pre>{escape(_pretty(example['value']))}</pre>")
    answers = [(status, answer["description"], _bodies(answer)) for status, answer in one["responses"].items()]
    parts.append(_table(("status", "what", "body"), answers))
    return "".join([*parts, "</details>"])


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (field + ("" if field in required else "?"), _type(one), str(one.get("description", "")))
        for field, one in schema.get("properties", {}).items()
    ]
    table = _table(("field", "type", "what"), rows) if rows else f"<pre>{escape(_pretty(schema))}</pre>"
    about = _prose(str(schema.get("description", "")))
    return f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{about}{table}</details>'


def _bodies(answer: dict[str, Any]) -> str:
    return ", ".join(f"{kind}: {_type(body['schema'])}" for kind, body in answer.get("content", {}).items())


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words; the name of another one stands between marks."""
    if "$ref" in schema:
        return MARK + str(schema["$ref"]).rpartition("/")[2] + MARK
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if isinstance(schema.get("items"), dict) else "list"
    return str(schema.get("type", schema.get("const", "anything")))


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{_linked(one)}</td>" for one in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _linked(text: str) -> str:
    """Text, with the names of schemas as links to them."""
    parts = text.split(MARK)
    made = [f'<a href="#{escape(one)}">{escape(one)}</a>' if at % 2 else _coded(one) for at, one in enumerate(parts)]
    return "".join(made)


def _coded(text: str) -> str:
    parts = escape(text).split("`")
    return "".join(f"<code>{one}</code>" if at % 2 else one for at, one in enumerate(parts))


def _prose(text: str) -> str:
    return "".join(f"<p>{_coded(one)}</p>" for one in text.split("\n\n") if one)


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
