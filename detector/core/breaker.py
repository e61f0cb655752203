"""The circuit breaker of one entity: a frozen value, a table of legal moves, and pure functions between them.

    closed ──trip──▶ open ──wait is over, or a run comes──▶ half_open ──good run──▶ closed
                      ▲                                         │
                      └───────────────bad run───────────────────┘

`enforce`, `shadow` and `off` are modes and not states: a shadow breaker moves just the same, and says that nobody
need obey. While open, a run that comes all the same (a repair by hand, say) is a probe.

What a reader is told, the `Signal`, is the breaker's state unless a person has overruled it, or an entity upstream
holds this one: neither changes the state itself, so that both end without a trace.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

from detector.errors import IllegalTransition

Mode = Literal["enforce", "shadow", "off"]
MAX_DOUBLINGS = 16


class State(StrEnum):
    """What a reader is told. `UNKNOWN`: the detector cannot judge this entity now; the reader's `on_unknown` rules."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What a policy says of the window of outcomes."""

    TRIP = "trip"
    HOLD = "hold"
    RECOVER = "recover"


LEGAL: frozenset[tuple[State, State]] = frozenset(
    {
        (State.CLOSED, State.OPEN),
        (State.OPEN, State.HALF_OPEN),
        (State.HALF_OPEN, State.OPEN),
        (State.HALF_OPEN, State.CLOSED),
        (State.CLOSED, State.UNKNOWN),
        (State.OPEN, State.UNKNOWN),
        (State.HALF_OPEN, State.UNKNOWN),
        (State.UNKNOWN, State.HALF_OPEN),
    }
)


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How one run ended, as the policy sees it: severity 0 good, 1 warning, 2 critical; `at` seconds since 1970."""

    run: int
    severity: int
    at: float


class Breaker(msgspec.Struct, frozen=True, array_like=True):
    """A breaker's whole value, as it is published.

    `since` is when it came into this state, `retry_at` when an open one admits a probe (both seconds since 1970),
    `trips` how often it tripped without a recovery between, `cause` the id of the anomaly that tripped it, `sequence`
    counts its changes. `scope` says what of a dataset is bad (`column:<name>`, `partition:<name>`); nothing: all of it.
    """

    state: State = State.CLOSED
    since: float = 0.0
    retry_at: float | None = None
    trips: int = 0
    reason: str = ""
    cause: str | None = None
    sequence: int = 0
    warming_up: bool = False
    scope: tuple[str, ...] = ()


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A hold by `root`, an entity upstream, that came along `path`.

    `epoch` is the newest that `root` said; once it has let go (`active` is false) that is kept until `until`, since an
    older message may still be under way. `since` is when the bad data began to be written, `held_at` when it came.
    `senders` are the neighbours above that have said so. Who `mends` writes the root itself, and must run for it to be
    good again: it only passes the hold on.
    """

    epoch: int
    active: bool
    path: tuple[str, ...]
    since: float
    until: float
    held_at: float
    reason: str = ""
    scope: tuple[str, ...] = ()
    episode: str = ""
    senders: tuple[str, ...] = ()
    mends: bool = False

    @property
    def stops(self) -> bool:
        """Whether the entity must wait because of it."""
        return self.active and not self.mends


class Override(msgspec.Struct, frozen=True):
    """A person has decided, whatever the breaker says: until `until` (seconds since 1970), with a name and a reason."""

    state: Literal["force_open", "force_closed"]
    owner: str
    reason: str
    until: float
    since: float


class Probe(msgspec.Struct, frozen=True):
    """Who may run while the breaker is half-open: one only, until its run is judged or `until` has come."""

    holder: str
    until: float


class Signal(msgspec.Struct, frozen=True):
    """What a reader is told to obey, since when, and why. `scope` says what of a dataset is meant; nothing: all."""

    state: State
    since: float
    reason: str
    scope: tuple[str, ...] = ()


def signal(breaker: Breaker, override: Override | None, holds: Mapping[str, Held]) -> Signal:
    """What counts: a person's word, then the breaker if it stops by itself, then who holds it, the longest first.

    One that is half-open and held stays shut: its probe would read bad data.
    """
    if override is not None:
        state = State.OPEN if override.state == "force_open" else State.CLOSED
        return Signal(state, override.since, f"{override.owner} has said so: {override.reason}")
    if breaker.state is State.OPEN:
        return Signal(State.OPEN, breaker.since, breaker.reason, breaker.scope)
    active = sorted((held.held_at, root) for root, held in holds.items() if held.stops)
    if active:
        held_at, root = active[0]
        held = holds[root]
        more = f" (and {len(active) - 1} more)" if len(active) > 1 else ""
        return Signal(State.OPEN, held_at, f"held: {root} is bad upstream{more}: {held.reason}", held.scope)
    return Signal(breaker.state, breaker.since, breaker.reason, breaker.scope)


def move(breaker: Breaker, to: State, at: float, reason: str, **change: object) -> Breaker:
    """The breaker after one move. Raises `IllegalTransition` for a move that the table does not have."""
    if (breaker.state, to) not in LEGAL:
        raise IllegalTransition(f"{breaker.state} to {to}")
    fields = {"state": to, "since": at, "reason": reason, "retry_at": None, "sequence": breaker.sequence + 1, **change}
    return msgspec.structs.replace(breaker, **fields)


def wait_of(trips: int, wait: float, max_wait: float) -> float:
    """Seconds before the next probe: doubled with each trip that follows another, up to `max_wait`."""
    return float(min(wait * 2 ** min(trips - 1, MAX_DOUBLINGS), max_wait))


def trip(
    breaker: Breaker,
    at: float,
    wait: float,
    max_wait: float,
    reason: str,
    cause: str | None,
    scope: tuple[str, ...] = (),
) -> list[Breaker]:
    """The values that the breaker takes when its policy says trip: none if it is open already and stays so."""
    moves: list[Breaker] = []
    if breaker.state in (State.OPEN, State.UNKNOWN):
        moves.append(move(breaker, State.HALF_OPEN, at, "a run came"))
        breaker = moves[0]
    trips = breaker.trips + 1
    retry_at = at + wait_of(trips, wait, max_wait)
    return [*moves, move(breaker, State.OPEN, at, reason, trips=trips, retry_at=retry_at, cause=cause, scope=scope)]


def recover(breaker: Breaker, at: float, reason: str) -> list[Breaker]:
    """The values that the breaker takes after a good run: none if it is closed."""
    moves: list[Breaker] = []
    if breaker.state is State.CLOSED:
        return moves
    if breaker.state in (State.OPEN, State.UNKNOWN):
        moves.append(move(breaker, State.HALF_OPEN, at, "a run came"))
        breaker = moves[0]
    return [*moves, move(breaker, State.CLOSED, at, reason, trips=0, cause=None, scope=())]


def on_time(breaker: Breaker, at: float) -> list[Breaker]:
    """The values that the breaker takes because time passed: an open one whose wait is over admits a probe."""
    if breaker.state is State.OPEN and breaker.retry_at is not None and at >= breaker.retry_at:
        return [move(breaker, State.HALF_OPEN, at, "the wait is over: one run may probe")]
    return []


def lose(breaker: Breaker, at: float, reason: str) -> list[Breaker]:
    """The values that the breaker takes when its entity cannot be judged any more."""
    if breaker.state is State.UNKNOWN:
        return []
    return [move(breaker, State.UNKNOWN, at, reason)]
