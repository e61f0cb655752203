"""What a receiver is to be told next of an incident, by what it was told last. Pure: what is so in, what to say out.

Core decides whether people are called (mutes, maintenance, what comes and goes): here that is told, once to each
receiver. What is over is told to those who were told that it began, and to nobody else.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from detector import alert_text
from detector.core.incidents import LEVELS, Incident, Severity, call_of, kind_of
from detector.sinks.seam import Action, Alert


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a receiver was told of an incident that is open there: a value of the topic of alerts.

    It is kept from before the receiver is told first until it was told that the incident is over, and has what
    identifies it there. `at` is when it was told, `called_at` the call that it was told of; `began` is when the
    incident did; `taken` whether the receiver has said that it took it: if not, it may have.
    """

    sink: str
    incident: str
    at: float
    called_at: float
    began: float
    severity: Severity
    entity: str
    check: str = ""
    owner: str | None = None
    tags: list[str] = []
    acknowledged_by: str | None = None
    title: str = ""
    taken: bool = False


class Match(NamedTuple):
    """Which incidents a receiver is told of. Each condition that an incident once met it goes on to meet."""

    severity: Severity = "info"
    entities: tuple[str, ...] = ()
    owner: str | None = None
    tags: tuple[str, ...] = ()

    def matches(self, incident: Incident) -> bool:
        """Whether all that is asked for is so."""
        keys = {incident.root, *(one.entity for one in incident.findings)}
        return (
            LEVELS.index(incident.called or incident.severity) >= LEVELS.index(self.severity)
            and (not self.entities or any(fnmatchcase(key, glob) for key in keys for glob in self.entities))
            and (self.owner is None or fnmatchcase(incident.owner or "", self.owner))
            and (not self.tags or not set(self.tags).isdisjoint(incident.tags))
        )


class Links(NamedTuple):
    """Where the links of an alert lead: to the status page, and to a runbook."""

    status: str | None = None
    runbook: str | None = None

    def incident(self, id_: str) -> str | None:
        """The page of an incident."""
        return None if self.status is None else f"{self.status.rstrip('/')}/#/incidents/{quote(id_, safe='')}"

    def runbook_of(self, told: Told) -> str | None:
        """The runbook, with what it is about filled in."""
        if self.runbook is None:
            return None
        filled = self.runbook
        for name in ("entity", "check", "owner"):
            filled = filled.replace(f"{{{name}}}", quote(getattr(told, name) or "", safe=""))
        return filled


def decide(incident: Incident | None, told: Told | None, match: Match) -> Action | None:
    """What to tell next; None if all was told. No `incident`: it was taken off its topic, which only happens to old
    ones.
    """
    if incident is None or incident.state != "open":
        return None if told is None else "resolve"
    if match.matches(incident) and is_called_anew(incident, told):
        return "trigger"
    if told is None or not told.taken:
        return None
    by = incident.acknowledged_by
    return "acknowledge" if by is not None and by != told.acknowledged_by else "update"


def is_called_anew(incident: Incident, told: Told | None) -> bool:
    """Whether people were called, and this receiver has not taken it."""
    call = call_of(incident)
    if call is None or incident.called is None:
        return False
    return (
        told is None
        or not told.taken
        or call > told.called_at
        or LEVELS.index(incident.called) > LEVELS.index(told.severity)
    )


def told_of(sink: str, incident: Incident, now: float) -> Told:
    """What is kept of having told of a call."""
    mine = [one for one in incident.findings if one.entity == incident.root] or incident.findings
    worst = max(mine, key=lambda one: (LEVELS.index(one.severity), -one.since), default=None)
    return Told(
        sink=sink,
        incident=incident.id,
        at=now,
        called_at=call_of(incident) or incident.opened,
        began=incident.opened,
        severity=incident.called or incident.severity,
        entity=incident.root,
        check="" if worst is None else kind_of(worst.check),
        owner=incident.owner,
        tags=list(incident.tags),
        title=alert_text.title(incident),
    )


def alert_of(action: Action, told: Told, incident: Incident | None, links: Links, now: float) -> Alert:
    """The message. Of what was taken off its topic only the identity is known."""
    at = _time_of(action, told, incident, now)
    return Alert(
        id=_id([told.incident, action, repr(told.called_at), _by(incident) if action == "acknowledge" else ""]),
        action=action,
        incident=told.incident,
        at=at,
        began=told.began,
        severity=told.severity,
        entity=told.entity,
        check=told.check,
        owner=told.owner,
        tags=told.tags,
        title=told.title if incident is None else alert_text.title(incident),
        text=told.title if incident is None else alert_text.paragraph(incident),
        sections={} if incident is None else alert_text.sections(incident, now),
        link=links.incident(told.incident),
        runbook=links.runbook_of(told),
        acknowledged_by=_by(incident) or None,
        data=incident,
    )


def _time_of(action: Action, told: Told, incident: Incident | None, now: float) -> float:
    if action == "trigger":
        return told.called_at
    if incident is None:
        return now
    return incident.updated if incident.resolved is None else incident.resolved


def _by(incident: Incident | None) -> str:
    return "" if incident is None else incident.acknowledged_by or ""


def _id(parts: Sequence[str]) -> str:
    """Equal for what is told again, also by another process."""
    return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
