"""A webhook: a CloudEvent by POST, signed as Standard Webhooks says, so that the receiver knows who has sent it.

The signature is of the id, the time and the body: in structured mode that is all of the event, in binary mode the
attributes in the headers are not covered. A message that is told again has the id that it had.
"""

import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any, ClassVar, Final, Literal

import msgspec

from detector.sinks.cloudevents import JSON, SPECVERSION, STRUCTURED, rfc3339
from detector.sinks.http import Http, hidden_parts
from detector.sinks.seam import Access, Action, Alert

PREFIX: Final = "whsec_"
FINAL: Final = frozenset({400, 410, 413, 415, 422})
TYPE: Final = {name: f"io.detector.alert.{name}d.v1" for name in ("acknowledge", "resolve")}
TRIGGERED: Final = "io.detector.alert.triggered.v1"


class Webhook:
    """A sink for one address."""

    kind: ClassVar[str] = "webhook"
    takes: ClassVar[frozenset[Action]] = frozenset({"trigger", "acknowledge", "resolve"})
    trouble: str | None = None

    def __init__(
        self,
        url: str,
        secret: str,
        access: Access,
        source: str = "/detector",
        mode: Literal["structured", "binary"] = "structured",
    ) -> None:
        """Connects when it is first used. `source` names this installation in the events."""
        self._url, self._secret, self._source, self._mode = url, secret, source, mode
        self._http = Http(access, [secret, secret.removeprefix(PREFIX), *hidden_parts(url)])
        self._waiting: dict[str, Alert] = {}

    def add(self, alert: Alert) -> None:
        """As `Sink.add`."""
        self._waiting[alert.incident] = alert

    def drop(self, incident: str) -> None:
        """As `Sink.drop`."""
        self._waiting.pop(incident, None)

    def flush(self, now: float) -> int:
        """As `Sink.flush`."""
        count = 0
        for key, alert in list(self._waiting.items()):
            body, headers = message(alert, self._source, self._mode)
            headers |= signed(self._secret, alert.id, int(now), body)
            try:
                self._http.judge(self._url, self._http.post(self._url, body, headers), FINAL, now)
            finally:
                del self._waiting[key]
            count += 1
        return count

    def close(self) -> None:
        """As `Sink.close`."""
        self._http.close()


def message(alert: Alert, source: str, mode: str) -> tuple[bytes, dict[str, str]]:
    """The body of the request and what says how to read it."""
    attributes: dict[str, Any] = {
        "specversion": SPECVERSION,
        "id": alert.id,
        "source": source,
        "type": TYPE.get(alert.action, TRIGGERED),
        "subject": alert.incident,
        "time": rfc3339(alert.at),
    }
    attributes = {name: text for name, text in attributes.items() if text is not None}
    if mode == "structured":
        event = {**attributes, "datacontenttype": JSON, "data": alert}
        return msgspec.json.encode(event), {"Content-Type": f"{STRUCTURED}+json; charset=UTF-8"}
    headers = {f"ce-{name}": str(text) for name, text in attributes.items()}
    return msgspec.json.encode(alert), {"Content-Type": JSON, **headers}


def signed(secret: str, id_: str, at: int, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks."""
    key = b64decode(secret.removeprefix(PREFIX))
    made = hmac.new(key, f"{id_}.{at}.".encode() + body, sha256).digest()
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{b64encode(made).decode()}",
    }
