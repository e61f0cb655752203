"""Errors as problem details (RFC 9457): one shape for whatever goes wrong, with a sentence that says what to do."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType

import msgspec

CONTENT_TYPE = "application/problem+json"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with what was asked: `where` (a parameter, or a path in the body), and why."""

    where: str
    message: str


class Details(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457). `detail` says what to do; `errors` what exactly is wrong with a request."""

    title: str
    status: int
    detail: str
    errors: list[Fault] = []
    type: str = msgspec.field(default="about:blank")


class Problem(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        errors: Sequence[Fault] = (),
    ) -> None:
        """`headers` go with the answer."""
        super().__init__(detail)
        self.status, self.detail, self.headers, self.errors = status, detail, headers, errors

    def body(self) -> bytes:
        """The answer's body."""
        title = HTTPStatus(self.status).phrase
        return msgspec.json.encode(
            Details(title=title, status=self.status, detail=self.detail, errors=list(self.errors))
        )


def away(detail: str, retry_after: int = 5) -> Problem:
    """Something that is needed for the answer does not answer itself."""
    return Problem(503, detail, headers={"Retry-After": str(retry_after)})


def not_found(what: str) -> Problem:
    """There is nothing of that name."""
    return Problem(404, what)


def invalid(error: msgspec.ValidationError, of: str) -> Problem:
    """What was asked has the wrong shape; `of` is the parameters or the body."""
    problem, _, path = str(error).partition(" - at `$")
    where = path.rstrip("`").lstrip(".") or of
    return Problem(422, f"The {of} cannot be used: {problem}", errors=[Fault(where=where, message=problem)])
