"""What `detector execute` needs of whoever runs the pipelines."""

from typing import ClassVar, Literal, Protocol

import msgspec

from detector.plans import Ask

Status = Literal["running", "success", "failed", "unknown"]


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Where an executor is and how to log in: a name and a password, or a token. `timeout` is in seconds."""

    url: str
    username: str = ""
    password: str = ""
    token: str = ""
    ca_location: str | None = None
    timeout: float = 30.0

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Access({self.url!r})"


class Requested(msgspec.Struct, frozen=True):
    """A run that was asked for, or goes on already. `id` is the executor's own; `message` is for people."""

    id: str
    message: str


class Executor(Protocol):
    """Somebody who can run a job again. All may raise `ExecutorBusy` (ask again later) and `Unreachable`."""

    kind: ClassVar[str]

    def redo(self, ask: Ask) -> Requested:
        """Let a run be redone, unless it goes on already or was redone for this plan: asked twice, it runs once.

        Raises `RedoRefused` for what cannot be redone, and for what was redone for this plan and failed again.
        """

    def status(self, requested: Requested) -> Status:
        """What became of it."""

    def check(self) -> None:
        """Log in and look, so that what is set wrong is known before anything is broken."""

    def close(self) -> None:
        """Give back the connections."""
