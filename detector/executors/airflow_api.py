"""Airflow's REST API (v2, of Airflow 3): logging in, pages, and what an answer that is no success means.

`ExecutorBusy` for what passes (no answer, 429, 5xx), `RedoRefused` for what was asked (a DAG that forbids it, a wrong
value), `Unreachable` for what only an operator can mend (a refused login, something else at the address).
"""

import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx

from detector.errors import ConfigError, ExecutorBusy, RedoRefused, Unreachable
from detector.executors.seam import Access

PAGE: Final = 100
RETRY: Final = 10.0
LONGEST_RETRY: Final = 300.0
BUSY: Final = {408, 425, 429}


class NotThere(Exception):
    """404: Airflow has no such thing."""


class Conflict(Exception):
    """409: there is one already, or it changes at this moment."""


class Api:
    """One Airflow. `transport` is for tests."""

    def __init__(self, access: Access, transport: httpx.BaseTransport | None = None) -> None:
        """Connects when it is first used. Raises `ConfigError` for a file of authorities that cannot be read."""
        self._access = access
        self._token = access.token
        try:
            verify = ssl.create_default_context(cafile=access.ca_location) if access.ca_location else True
        except OSError as error:
            raise ConfigError(f"executor.ca_location: {access.ca_location} cannot be used ({error})") from None
        url = access.url.rstrip("/")
        self._http = httpx.Client(base_url=url, timeout=access.timeout, verify=verify, transport=transport)

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """The object at a path below /api/v2. Raises `NotThere`."""
        return self._call("GET", path, params=params)

    def pages(self, path: str, items: str, **params: Any) -> Iterator[Any]:
        """All objects of a collection, whose name is `items`. Airflow's pages may be shorter than what is asked for."""
        offset = 0
        while True:
            page = self.get(path, limit=PAGE, offset=offset, **params)
            yield from page[items]
            offset += len(page[items])
            if not page[items] or offset >= page["total_entries"]:
                return

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Raises `NotThere` and `Conflict`."""
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: Mapping[str, Any], **params: Any) -> Any:
        """Raises `NotThere` and `Conflict`."""
        return self._call("PATCH", path, json=body, params=params)

    def _call(self, method: str, path: str, **request: Any) -> Any:
        if not self._token:
            self._token = self._login()
        answer = self._send(method, f"/api/v2/{path}", self._token, **request)
        if _refuses_token(answer) and not self._access.token:
            self._token = self._login()  # a token lives for a day
            answer = self._send(method, f"/api/v2/{path}", self._token, **request)
        return self._judged(answer)

    def _send(self, method: str, path: str, token: str, **request: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return self._http.request(method, path, headers=headers, **request)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise ExecutorBusy(f"Airflow at {self._access.url} does not answer: {_words(error)}", RETRY) from None

    def _login(self) -> str:
        body = {"username": self._access.username, "password": self._access.password}
        answer = self._send("POST", "/auth/token", "", json=body)
        if answer.status_code in (400, 401, 403):
            raise Unreachable(f"Airflow at {self._access.url} refuses the login of {self._access.username}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Unreachable(f"there is no Airflow 3 at {self._access.url}: it has no /auth/token")
        return str(self._judged(answer)["access_token"])

    def _judged(self, answer: httpx.Response) -> Any:
        if answer.is_success:
            return self._object(answer)
        status, said = answer.status_code, f"Airflow says {answer.status_code}: {_detail(answer)}"
        if status == httpx.codes.NOT_FOUND:
            raise NotThere(said)
        if status == httpx.codes.CONFLICT:
            raise Conflict(said)
        if status in BUSY or answer.is_server_error:
            raise ExecutorBusy(said, _retry_after(answer))
        if _refuses_token(answer) or answer.is_redirect:
            raise Unreachable(f"Airflow at {self._access.url} lets nobody in with this token, or is something else")
        raise RedoRefused(said)

    def _object(self, answer: httpx.Response) -> Any:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Unreachable(f"what is at {self._access.url} is no Airflow: {answer.url.path} is no JSON object")
        return found


def _refuses_token(answer: httpx.Response) -> bool:
    """Without a right (403) a token may still be good; Airflow says 403, too, where it cannot read a token."""
    return answer.status_code == httpx.codes.UNAUTHORIZED or (
        answer.status_code == httpx.codes.FORBIDDEN and "JWT" in answer.text
    )


def _retry_after(answer: httpx.Response) -> float:
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), LONGEST_RETRY) if asked.isdigit() else RETRY


def _detail(answer: httpx.Response) -> str:
    """What Airflow says is wrong, on one line and not too long."""
    try:
        found = answer.json()
    except ValueError:
        found = answer.text
    said = found.get("detail", found) if isinstance(found, dict) else found
    if isinstance(said, list):  # of pydantic: one for each value that is wrong
        said = "; ".join(str(one.get("msg", one)) if isinstance(one, dict) else str(one) for one in said)
    return " ".join(str(said).split())[:300]


def _words(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
