"""What entities tell each other through the log: neighbours in the lineage, and all of them the board of incidents.

A message is a record of the log with the receiver's key: it is ordered, replayed and consumed once like anything else.
`root` is the entity that a cause began at; `epoch` counts what that entity has said, so that what comes late by a
longer way is known to be old; `path` leads from the root to the one that sent it, and a receiver that is in it ends a
cycle.
"""

from typing import Literal

import msgspec

BOARD = "incidents:all"
COLUMN, PARTITION = "column:", "partition:"
Why = Literal["failed", "missed", "bad", "blocked"]


class Redo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run to redo. `why`: it failed, was missed, is bad (built on bad data, or wrote it), or was blocked by a hold.

    `nominal_time` is in seconds since 1970; `done_by` is the run that redid it, as it was observed.
    """

    why: Why
    run_id: str | None = None
    nominal_time: float | None = None
    done_by: str | None = None


class Hold(msgspec.Struct, array_like=True, frozen=True, tag="hold"):
    """To who reads what is bad: stop, until `until` at the latest unless this is said again (a lease).

    `since` is when the bad data began to be written. `scope` says what of the sender is bad (`column:<name>`,
    `partition:<name>`); nothing means all of it. `episode` is the anomaly that opened the breaker.
    """

    root: str
    epoch: int
    path: tuple[str, ...]
    since: float
    until: float
    reason: str
    scope: tuple[str, ...] = ()
    episode: str = ""


class Release(msgspec.Struct, array_like=True, frozen=True, tag="release"):
    """To who was held because of `root`: go on. `until` is how long an older hold may still be under way.

    `excused`: a person has said that nothing was wrong, so that what was read needs no repair. `overruled`: a person
    lets all go on although it may be bad still; what must be redone is not known before it is good.
    """

    root: str
    epoch: int
    path: tuple[str, ...]
    until: float
    reason: str
    excused: bool = False
    overruled: bool = False


class Blame(msgspec.Struct, array_like=True, frozen=True, tag="blame"):
    """To the job that wrote bad data into `root`: this run of yours must be redone."""

    root: str
    run_id: str
    at: float


# ---------------------------------------------------------------- to the board


class FindingTold(msgspec.Struct, array_like=True, frozen=True, tag="finding"):
    """An anomaly of an entity started, got worse, or ended. `up`, `down` are its neighbours, `parent` the job around
    it.
    """

    entity: str
    phase: Literal["started", "worse", "ended"]
    episode: str
    check: str
    severity: int
    at: float
    summary: str
    run_id: str | None = None
    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    parent: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()


class BreakerTold(msgspec.Struct, array_like=True, frozen=True, tag="breaker"):
    """A breaker opened (`stops`) or closed by itself or by an override: not because of a hold."""

    entity: str
    stops: bool
    at: float
    reason: str
    mode: str
    cause: str | None = None
    last_good_run: str | None = None
    last_good_version: str | None = None
    last_good_at: float | None = None


class HoldTold(msgspec.Struct, array_like=True, frozen=True, tag="held"):
    """An entity is held because of `root`, or is no more."""

    entity: str
    root: str
    held: bool
    at: float
    path: tuple[str, ...]
    tags: tuple[str, ...] = ()


class RunsTold(msgspec.Struct, array_like=True, frozen=True, tag="runs"):
    """A job that was touched by `root` says which of its runs must be redone, now that it may go on."""

    root: str
    job: str
    at: float
    up: tuple[str, ...]
    down: tuple[str, ...]
    runs: tuple[Redo, ...]


class RedoneTold(msgspec.Struct, array_like=True, frozen=True, tag="redone"):
    """Runs of a recovery plan were redone by `run_id`: these, by their index in what `RunsTold` said."""

    root: str
    job: str
    at: float
    run_id: str
    indexes: tuple[int, ...]


class VerdictTold(msgspec.Struct, array_like=True, frozen=True, tag="verdict"):
    """A person has judged an anomaly of an entity."""

    entity: str
    check: str
    episode: str
    verdict: str
    by: str
    at: float
    comment: str = ""


BoardMessage = FindingTold | BreakerTold | HoldTold | RunsTold | RedoneTold | VerdictTold
Message = Hold | Release | Blame | BoardMessage
