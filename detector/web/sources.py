"""What routes are given to answer from. They know no client of Kafka or Redis: who composes the program makes these."""

from dataclasses import dataclass
from typing import Protocol

from detector.core.commands import AnyCommand
from detector.core.emissions import CommandDone
from detector.health import Verdict
from detector.history import Past
from detector.web.facts import Facts


class Feed(Protocol):
    """What fills the facts."""

    @property
    def caught_up(self) -> bool:
        """Whether all that there was has been read once."""

    @property
    def trouble(self) -> str | None:
        """Why nothing new comes, if so."""


class Desk(Protocol):
    """Takes commands."""

    async def give(self, command: AnyCommand, patience: float) -> list[CommandDone]:
        """Send it, and what came of it within so many seconds. Raises `Unreachable`."""


class History(Protocol):
    """The judged runs of late."""

    def runs(self, entity: str, limit: int, before: float) -> list[Past]:
        """The last runs of an entity that ended before then, the newest first. Raises `Unreachable`."""


class Healthy(Protocol):
    """How the process is."""

    def verdict(self) -> Verdict:
        """What is wrong now."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All of them."""

    facts: Facts
    feed: Feed
    desk: Desk
    history: History
    health: Healthy
