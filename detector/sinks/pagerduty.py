"""PagerDuty, by its Events API v2: trigger, acknowledge, resolve, under the id of the incident as dedup key."""

from typing import Any, ClassVar, Final

import msgspec

from detector.sinks.cloudevents import rfc3339
from detector.sinks.http import Http, hidden_parts
from detector.sinks.seam import Access, Action, Alert

URL: Final = "https://events.pagerduty.com/v2/enqueue"
CLIENT: Final = "Detector"
FINAL: Final = frozenset({400, 413})
HEADERS: Final = {"Content-Type": "application/json"}
LONGEST: Final = 1_024  # characters of a summary
LONGEST_SOURCE: Final = 255


class PagerDuty:
    """A sink for one service of PagerDuty."""

    kind: ClassVar[str] = "pagerduty"
    takes: ClassVar[frozenset[Action]] = frozenset({"trigger", "acknowledge", "resolve"})
    trouble: str | None = None

    def __init__(self, routing_key: str, access: Access, url: str | None = None) -> None:
        """Connects when it is first used. `url` is that of another region."""
        self._key, self._url = routing_key, url or URL
        self._http = Http(access, [routing_key, *(hidden_parts(url) if url else ())])
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
            body = msgspec.json.encode({"routing_key": self._key, **event(alert)})
            try:
                self._http.judge(self._url, self._http.post(self._url, body, HEADERS), FINAL, now)
            finally:
                del self._waiting[key]
            count += 1
        return count

    def close(self) -> None:
        """As `Sink.close`."""
        self._http.close()


def event(alert: Alert) -> dict[str, Any]:
    """The event as PagerDuty takes it, without the routing key."""
    said: dict[str, Any] = {"event_action": alert.action, "dedup_key": alert.incident}
    if alert.action != "trigger":
        return said
    links = [(alert.link, "The incident in Detector"), (alert.runbook, "Runbook")]
    payload = {
        "summary": alert.text[:LONGEST] or alert.title[:LONGEST],
        "source": alert.entity[:LONGEST_SOURCE],
        "severity": alert.severity,  # PagerDuty's words are critical, error, warning, info
        "timestamp": rfc3339(alert.began),
        "component": alert.entity[:LONGEST_SOURCE],
        "group": alert.owner,
        "class": alert.check,
        "custom_details": {**alert.sections, **({"Tags": ", ".join(alert.tags)} if alert.tags else {})},
    }
    said["payload"] = {name: value for name, value in payload.items() if value}
    said["client"] = CLIENT
    if alert.link is not None:
        said["client_url"] = alert.link
    return {**said, "links": [{"href": href, "text": text} for href, text in links if href]}
