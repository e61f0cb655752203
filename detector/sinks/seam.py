"""What `detector alert` needs of whoever is told of incidents, and what it is told."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

import msgspec

from detector.core.incidents import Incident, Severity

Action = Literal["trigger", "acknowledge", "update", "resolve"]
ALL: frozenset[Action] = frozenset({"trigger", "acknowledge", "update", "resolve"})


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How a receiver is spoken to: a name and a password, or a token, or neither. `timeout` is in seconds."""

    username: str = ""
    password: str = ""
    token: str = ""
    ca_location: str | None = None
    timeout: float = 10.0

    def __repr__(self) -> str:
        """Without the secrets."""
        return "Access(***)"


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a receiver is told of an incident. `id` names the message: told again, it is the same.

    `incident` is the key by which receivers drop repeats. `severity`, `entity`, `check`, `owner` and `tags` are what
    was so when people were called: they change only when people are called again, so that what is resolved is what was
    triggered. `title` and `text` are of now, and so are `sections`, by their headings. Times in seconds since 1970.
    """

    id: str
    action: Action
    incident: str
    at: float
    began: float
    severity: Severity
    entity: str
    check: str = ""
    owner: str | None = None
    tags: list[str] = []
    title: str = ""
    text: str = ""
    sections: dict[str, str] = {}
    link: str | None = None
    runbook: str | None = None
    acknowledged_by: str | None = None
    data: Incident | None = None


class Sink(Protocol):
    """A receiver of alerts. It keeps nothing that a restart may not lose."""

    kind: ClassVar[str]
    takes: ClassVar[frozenset[Action]]

    @property
    def trouble(self) -> str | None:
        """What is wrong although all could be told: one of several addresses that does not answer."""

    def add(self, alert: Alert) -> None:
        """Tell this with the next `flush`, in the place of what waits about the same incident."""

    def drop(self, incident: str) -> None:
        """Tell nothing more of it: it was never told, or another process tells it."""

    def flush(self, now: float) -> int:
        """Tell what waits, and what must be told again by now (seconds since 1970). Returns how many requests it took.

        Raises `SinkBusy`: what was not told is added again by the caller. Raises `SinkRefused`: it never will be.
        """

    def close(self) -> None:
        """Give back the connections."""


class Answer(msgspec.Struct, frozen=True):
    """What a receiver has answered: the beginning of its text only."""

    status: int
    text: str
    headers: Mapping[str, str]
