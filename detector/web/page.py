"""The status page: files of this package, read once. Nothing of them tells of a pipeline: the page asks the API."""

from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, NamedTuple

from litestar import Request, Response, route
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler

KINDS: Final = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
}


class File(NamedTuple):
    """What is served: its bytes, what they are, and a name that changes with them."""

    content: bytes
    kind: str
    tag: str


def routes() -> list[HTTPRouteHandler]:
    """The page at `/`, and what it is made of below `/static/`."""
    found = {name: _file(entry) for name, entry in _walk(files("detector.web") / "static")}

    @route("/", http_method=["GET", "HEAD"])
    async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _answer(request, found["index.html"])

    @route("/static/{name:path}", http_method=["GET", "HEAD"])
    async def static(request: Request[Any, Any, Any]) -> Response[bytes]:
        name = str(request.path_params["name"]).lstrip("/")
        if name not in found:
            raise NotFoundException
        return _answer(request, found[name])

    return [page, static]


def _walk(folder: Traversable, before: str = "") -> list[tuple[str, Traversable]]:
    listed: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            listed += _walk(entry, f"{before}{entry.name}/")
        elif entry.name.rpartition(".")[2] in KINDS:
            listed.append((before + entry.name, entry))
    return listed


def _file(entry: Traversable) -> File:
    content = entry.read_bytes()
    return File(content, KINDS[entry.name.rpartition(".")[2]], f'"{sha256(content).hexdigest()[:32]}"')


def _answer(request: Request[Any, Any, Any], file: File) -> Response[bytes]:
    """The browser keeps a file, and asks each time whether it is still the same: a new release is seen at once."""
    headers = {"etag": file.tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(b"", status_code=304, headers=headers)
    return Response(file.content, media_type=file.kind, headers=headers)
