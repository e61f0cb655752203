"""Alertmanager, by its API v2: labels are the identity of an alert, annotations the text that people read.

Alertmanager forgets what it is not told again, and so do its members that were away: what goes on is told at intervals,
with an end that lies ahead, so that it ends by itself if nobody tells it any more. What is over is told for five
minutes. Each member of a cluster is told, as Prometheus does; one that takes it is enough.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from detector.errors import SinkBusy, SinkRefused
from detector.sinks.cloudevents import rfc3339
from detector.sinks.http import Http
from detector.sinks.seam import ALL, Access, Action, Alert

NAME: Final = "DetectorIncident"
LASTS: Final = 900.0  # seconds that an alert goes on when nobody tells it any more
OVER: Final = 300.0  # seconds for which it is told that one is over
FINAL: Final = frozenset({400, 413, 422})
HEADERS: Final = {"Content-Type": "application/json"}
Labels = tuple[tuple[str, str], ...]
Body = dict[str, Any]


class Over(NamedTuple):
    """An alert that ended, and until when that is told; None: it was not told yet."""

    alert: Alert
    at: float
    until: float | None = None


class Alertmanager:
    """A sink for one Alertmanager, or for a cluster of them."""

    kind: ClassVar[str] = "alertmanager"
    takes: ClassVar[frozenset[Action]] = ALL

    def __init__(
        self, urls: Sequence[str], access: Access, labels: Mapping[str, str] | None = None, resend: float = 60.0
    ) -> None:
        """`resend` is the time between two tellings, in seconds. Connects when it is first used."""
        self._urls = [f"{url.rstrip('/')}/api/v2/alerts" for url in urls]
        self._more, self._resend = dict(labels or {}), resend
        self._http = Http(access)
        self._firing: dict[str, Alert] = {}
        self._over: dict[Labels, Over] = {}
        self._waiting: dict[str, None] = {}
        self._sent_at: float | None = None
        self._troubles: list[str] = []

    @property
    def trouble(self) -> str | None:
        """As `Sink.trouble`: members that do not answer."""
        return "; ".join(self._troubles) or None

    def add(self, alert: Alert) -> None:
        """As `Sink.add`."""
        before = self._firing.pop(alert.incident, None)
        if before is not None and labels_of(before, self._more) != labels_of(alert, self._more):
            self._end(before, alert.at)  # people are called anew, and for Alertmanager it is another alert
        if alert.action == "resolve":
            self._end(alert, alert.at)
        else:
            self._over.pop(labels_of(alert, self._more), None)
            self._firing[alert.incident] = alert
        self._waiting[alert.incident] = None

    def _end(self, alert: Alert, at: float) -> None:
        self._over[labels_of(alert, self._more)] = Over(alert, at)

    def drop(self, incident: str) -> None:
        """As `Sink.drop`."""
        self._firing.pop(incident, None)
        self._waiting.pop(incident, None)

    def flush(self, now: float) -> int:
        """As `Sink.flush`."""
        self._over = {key: one for key, one in self._over.items() if one.until is None or now < one.until}
        again = self._sent_at is None or not 0 <= now - self._sent_at < self._resend
        told = [alert for key, alert in self._firing.items() if again or key in self._waiting]
        over = [one for one in self._over.values() if again or one.until is None]
        batch = [body_of(alert, self._more, now, now + LASTS) for alert in told]
        batch += [body_of(one.alert, self._more, now, min(one.at, now)) for one in over]
        if not batch:
            return 0
        try:
            self._post(msgspec.json.encode(batch), now)
        except SinkRefused:
            self._told(again, now)
            raise
        self._told(again, now)
        return len(self._urls) - len(self._troubles)

    def _told(self, again: bool, now: float) -> None:
        self._waiting.clear()
        for key, one in self._over.items():
            self._over[key] = one._replace(until=now + OVER if one.until is None else one.until)
        if again:
            self._sent_at = now

    def _post(self, body: bytes, now: float) -> None:
        """To every member; one that takes it is enough."""
        failed: list[SinkBusy] = []
        refused: list[SinkRefused] = []
        for url in self._urls:
            try:
                self._http.judge(url, self._http.post(url, body, HEADERS), FINAL, now)
            except SinkBusy as error:
                failed.append(error)
            except SinkRefused as error:
                refused.append(error)
        if refused:
            raise refused[0]
        self._troubles = [str(error) for error in failed]
        if len(failed) == len(self._urls):
            asked = [error.retry_after for error in failed if error.retry_after is not None]
            heard = any(error.heard for error in failed)
            raise SinkBusy("; ".join(self._troubles), min(asked, default=None), heard=heard)

    def close(self) -> None:
        """As `Sink.close`."""
        self._http.close()


def labels_of(alert: Alert, more: Mapping[str, str]) -> Labels:
    """The identity: what is so for as long as people are not called anew."""
    labels = {
        **more,
        "alertname": NAME,
        "incident": alert.incident,
        "severity": alert.severity,
        "entity": alert.entity,
        "check": alert.check,
        "team": alert.owner or "",
        "tags": f",{','.join(alert.tags)}," if alert.tags else "",
    }
    return tuple(sorted((name, text) for name, text in labels.items() if text))


def body_of(alert: Alert, more: Mapping[str, str], now: float, ends: float) -> Body:
    """The alert as Alertmanager takes it. None begins after it ends, or later than now, whatever other clocks say."""
    texts = {
        "summary": alert.title,
        "description": alert.text,
        **{heading.lower().replace(" ", "_"): text for heading, text in alert.sections.items()},
        "acknowledged_by": alert.acknowledged_by,
        "runbook_url": alert.runbook,
        "incident_url": alert.link,
    }
    body: Body = {
        "labels": dict(labels_of(alert, more)),
        "annotations": {name: text for name, text in texts.items() if text},
        "startsAt": rfc3339(min(alert.began, now, ends)),
        "endsAt": rfc3339(ends),
    }
    return body if alert.link is None else {**body, "generatorURL": alert.link}
