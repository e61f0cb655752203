"""POST, and what an answer means: told, not now (`SinkBusy`), or never (`SinkRefused`). For all sinks.

No error holds more of an address than its host, and no secret that a receiver sends back. Redirects are not followed:
what is told is for whoever was named. httpx is imported late: whoever only reads CloudEvents needs none.
"""

import ssl
from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from detector.errors import ConfigError, SinkBusy, SinkRefused
from detector.sinks.seam import Access, Answer

LONGEST_RETRY: Final = 300.0
READ: Final = 4_096  # bytes of an answer: it is for the log
SAID: Final = 300
HIDDEN: Final = "***"
SHORTEST_SECRET: Final = 4  # a shorter one would hide half of each sentence


class Http:
    """A client for one receiver. `secrets` never appear in an error."""

    def __init__(self, access: Access, secrets: Collection[str] = ()) -> None:
        """Connects when it is first used. Raises `ConfigError` for a file of authorities that cannot be read."""
        import httpx

        self._errors = (httpx.TransportError, httpx.DecodingError, httpx.InvalidURL)
        self._unheard = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL)
        hidden = (*secrets, access.password, access.token)
        self._hidden = sorted({one for one in hidden if len(one) >= SHORTEST_SECRET}, key=len, reverse=True)
        try:
            verify = ssl.create_default_context(cafile=access.ca_location) if access.ca_location else True
        except OSError as error:
            raise ConfigError(f"alerts: ca_location {access.ca_location} cannot be used ({error.strerror})") from None
        headers = {"User-Agent": "detector"}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        login = (access.username, access.password) if access.username else None
        self._client = httpx.Client(
            timeout=access.timeout, verify=verify, headers=headers, auth=login, follow_redirects=False
        )

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """What came back. Raises `SinkBusy` when nothing did."""
        try:
            with self._client.stream("POST", url, content=body, headers=dict(headers)) as answer:
                read = b""
                for piece in answer.iter_raw():
                    read += piece
                    if len(read) >= READ:
                        break
                return Answer(answer.status_code, read[:READ].decode(errors="replace"), dict(answer.headers))
        except self._errors as error:
            why = self.clean(f"{type(error).__name__} {error}")
            heard = not isinstance(error, self._unheard)
            raise SinkBusy(f"{host(url)} does not answer: {why}", heard=heard) from None

    def judge(self, url: str, answer: Answer, final: Collection[int], now: float) -> None:
        """Nothing for a success. Raises `SinkRefused` for the codes in `final`, and `SinkBusy` for any other."""
        if 200 <= answer.status < 300:
            return
        said = f"{host(url)} says {answer.status}: {self.clean(answer.text)}".rstrip(": ")
        if answer.status in final:
            raise SinkRefused(said)
        heard = answer.status >= 500 or answer.status == 408
        raise SinkBusy(said, retry_after(answer.headers, now), heard=heard)

    def clean(self, text: str) -> str:
        """A text on one line, not too long, without secrets."""
        for secret in self._hidden:
            text = text.replace(secret, HIDDEN)
        text = " ".join(text.split())
        return "".join(letter if letter.isprintable() else "?" for letter in text)[:SAID]

    def close(self) -> None:
        """Give back the connections."""
        self._client.close()


def host(url: str) -> str:
    """What may be said of an address: without its path, which may be a secret."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def hidden_parts(url: str) -> tuple[str, ...]:
    """What of an address may be a secret: each long part of its path, and its query."""
    parts = urlsplit(url)
    words = [*parts.path.split("/"), parts.query, *(pair.partition("=")[2] for pair in parts.query.split("&"))]
    return tuple(word for word in words if len(word) > SHORTEST_SECRET)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """How long the receiver wants to be left alone, in seconds; None if it does not say."""
    asked = {name.lower(): value for name, value in headers.items()}.get("retry-after", "").strip()
    if asked.isdecimal():
        return min(float(asked), LONGEST_RETRY)
    try:
        return min(max(parsedate_to_datetime(asked).timestamp() - now, 0.0), LONGEST_RETRY)
    except (ValueError, TypeError):
        return None
