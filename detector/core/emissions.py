"""What `step` says: control events, whole breaker values and incidents, heartbeats; messages to other entities.

Each has a deterministic id.
"""

from hashlib import blake2b
from typing import Literal

import msgspec

from detector.core.breaker import Breaker, Held, Mode, Override, Probe, State
from detector.core.commands import Commanded, Verdict
from detector.core.events import AliasTold
from detector.core.incidents import Incident
from detector.core.messages import Message
from detector.core.recovery import RecoveryPlan
from detector.core.schemas import Change, Compatibility

Phase = Literal["started", "updated", "ended"]
Season = Literal["weekday", "hour", "turn_of_month"]
Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


class Contributor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One series of many that were unusual together. Values of a column are told by their hash, with their shares.

    `share` is how much it has to do with what no series shows alone; those of all series add up to 1.
    `taught` is what people said of the series before.
    """

    metric: str
    severity: Severity
    observed: float | None = None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    score: float | None = None
    direction: Literal["low", "high"] | None = None
    share: float | None = None
    new_values: dict[str, float] = {}
    vanished_values: dict[str, float] = {}
    taught: str | None = None


class Anomaly(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something is wrong with an entity, with all that a person needs to judge it.

    `check` names what was looked at. `observed`, `expected`, `lower` and `upper` are in `unit`. `score` is in [0, 1].
    `episode` is the id of the event that started it; `since` and `count` speak of the episode so far. `cause` is what
    the model found; `seasons` are those that moved what was expected. While `warming_up`, so little was seen that only
    what is absurd is told. `taught` is what people said of the series before, where that changed its limits.
    """

    phase: Phase
    episode: str
    entity: str
    check: str
    severity: Severity
    summary: str
    since: float
    count: int = 1
    run_id: str | None = None
    observed: float | None = None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    unit: str | None = None
    score: float | None = None
    direction: Literal["low", "high"] | None = None
    cause: str | None = None
    seasons: list[Season] = []
    samples: int | None = None
    warming_up: bool = False
    last_values: list[float] | None = None
    nominal_time: float | None = None
    previous_good_run: str | None = None
    previous_good_version: str | None = None
    code_version: str | None = None
    previous_code_version: str | None = None
    error: str | None = None
    downstream: list[str] = []
    contributors: list[Contributor] = []
    compatibility: Compatibility | None = None
    changes: list[Change] = []
    taught: str | None = None


class BreakerChange(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker moved from one state to another."""

    entity: str
    from_state: State = msgspec.field(name="from")
    to_state: State = msgspec.field(name="to")
    mode: Mode
    reason: str
    cause: str | None
    retry_at: float | None
    trips: int
    sequence: int
    summary: str


class HeldBy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who holds an entity: `root` is bad, and `path` leads from there to here. A lease that ends at `until`.

    Who `mends` writes the root itself, and does not wait.
    """

    root: str
    path: list[str]
    since: float
    until: float
    reason: str
    bad_since: float
    epoch: int
    scope: list[str] = []
    episode: str = ""
    mends: bool = False

    @classmethod
    def of(cls, root: str, held: Held) -> "HeldBy":
        """What is published of a hold."""
        return cls(
            root=root,
            path=list(held.path),
            since=held.held_at,
            until=held.until,
            reason=held.reason,
            bad_since=held.since,
            epoch=held.epoch,
            scope=list(held.scope),
            episode=held.episode,
            mends=held.mends,
        )

    def held(self) -> Held:
        """The hold that this was published of."""
        path, scope = tuple(self.path), tuple(self.scope)
        what = self.reason, scope, self.episode, path[-1:], self.mends
        return Held(self.epoch, True, path, self.bad_since, self.until, self.since, *what)


class LastGood(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last run that had nothing wrong with it: to compare with, and to go back to."""

    run_id: str
    at: float
    version: str | None = None
    code_version: str | None = None


class HoldChange(msgspec.Struct, frozen=True, kw_only=True):
    """An entity is held, since `root` is bad upstream, or is no more. `path` leads from there to here."""

    entity: str
    root: str
    held: bool
    path: list[str]
    scope: list[str]
    mode: Mode
    reason: str
    until: float | None
    summary: str


class CommandDone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a command: `done`, or why not. What the command said is in it, for whoever audits."""

    id: str
    command: str
    by: str
    done: bool
    effect: str
    entity: str | None = None
    incident: str | None = None
    check: str | None = None
    episode: str | None = None
    verdict: Verdict | None = None
    comment: str = ""
    sent_at: float | None = None


class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset's breaker has opened, and this is what it can be put back to."""

    entity: str
    run_id: str
    version: str | None
    at: float
    cause: str | None
    summary: str


class OpenEpisode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An anomaly that goes on, as the breaker's record names it. `checks` are those that are unusual still."""

    id: str
    since: float
    severity: int
    count: int
    run_id: str | None
    checks: list[str] = []


class OwnBreaker(msgspec.Struct, frozen=True, kw_only=True):
    """What a breaker would say if nobody had overruled it, and nothing upstream held it."""

    state: State
    since: float
    reason: str
    scope: list[str] = []


class BreakerValue(msgspec.Struct, frozen=True, kw_only=True):
    """The whole value of a breaker, and the anomalies that go on, as `detector.breakers` keeps them.

    Valid while the heartbeat of `partition` is fresh. `state`, `since`, `reason` and `scope` are what a reader obeys;
    `own` is what the breaker found itself, `override` who has overruled it, `held_by` what is bad upstream. `scope`
    says what of a dataset is meant (`column:<name>`, `partition:<name>`); nothing: all of it. `up` and `down` are the
    neighbours in the lineage: who writes it and reads it, or what it reads and writes; `epoch` counts what these were
    told.
    """

    entity: str
    state: State
    mode: Mode
    on_unknown: Literal["allow", "block"]
    since: float
    retry_at: float | None
    reason: str
    cause: str | None
    trips: int
    sequence: int
    warming_up: bool
    partition: int
    episodes: dict[str, OpenEpisode] = {}
    scope: list[str] = []
    own: OwnBreaker | None = None
    held_by: list[HeldBy] = []
    override: Override | None = None
    probe: Probe | None = None
    last_good: LastGood | None = None
    up: list[str] = []
    down: list[str] = []
    parent: str | None = None
    epoch: int = 0

    @property
    def waits_for(self) -> list[HeldBy]:
        """The holds that the entity obeys: not those of what it writes itself."""
        return [held for held in self.held_by if not held.mends]

    def breaker(self) -> Breaker:
        """The breaker that this value was published of."""
        own = self.own or OwnBreaker(state=self.state, since=self.since, reason=self.reason, scope=self.scope)
        return Breaker(
            own.state,
            own.since,
            self.retry_at,
            self.trips,
            own.reason,
            self.cause,
            self.sequence,
            self.warming_up,
            tuple(own.scope),
        )


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The clock of one partition of the log: while it goes on, the breakers of that partition are valid."""

    partition: int
    clock: float


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """`step` failed on a record twice: the record was set aside, the entity's state is what it was before."""

    entity: str
    partition: int
    offset: int
    error: str
    failures: int
    summary: str


class Seeded(msgspec.Struct, frozen=True, kw_only=True):
    """A history of an entity came, and was `taken` over, or left, since the entity knows enough by itself.

    `known` is how many runs it has learned from now, of the history or of its own; `since` and `until` are the times of
    the first and the last event of the history.
    """

    entity: str
    taken: bool
    known: int
    since: float
    until: float
    summary: str


class Attained(msgspec.Struct, frozen=True, kw_only=True):
    """How many deadlines of a month were met, and how many missed."""

    met: int
    missed: int


class Sla(msgspec.Struct, frozen=True, kw_only=True):
    """A declared deadline has passed, and was met or missed; with the figures of its `month` so far, and of others.

    `completed` is when a run, or a load, last completed. Months are those of the deadline's own time zone.
    """

    entity: str
    deadline: float
    met: bool
    completed: float | None
    month: str
    months: dict[str, Attained]
    owner: str | None
    summary: str


class Unevaluated(msgspec.Struct, frozen=True, kw_only=True):
    """A declared check lacks what it needs: it has neither passed nor failed."""

    entity: str
    check: str
    reason: str
    summary: str


class JudgedRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run, a load or a profile as it was judged: the numbers of each of its `metrics`, and what was expected of them.

    `values` and `bands` are little-endian float64: one for each metric, and a row of (lower, expected, upper) for each,
    in the unit of the metric, not finite where nothing is known yet. `unusual` are the places of the
    metrics that were told as unusual. Times are seconds since 1970. A run of which more is heard later is told again,
    with what is new: the numbers of one `run_id` add up. `grain` is what a profile is of. `due` is when the next run is
    expected to begin, by what was learned of the schedule; none while too little is known.
    """

    entity: str
    kind: Literal["run", "load", "profile", "window"]
    state: Literal["COMPLETE", "FAIL", "ABORT"]
    severity: Severity
    reason: str
    ended: float
    run_id: str | None = None
    began: float | None = None
    nominal_time: float | None = None
    grain: str = ""
    version: str | None = None
    code_version: str | None = None
    metrics: list[str] = []
    values: bytes = b""
    bands: bytes = b""
    unusual: list[int] = []
    due: float | None = None


Data = (
    Anomaly
    | BreakerChange
    | BreakerValue
    | CommandDone
    | Heartbeat
    | HoldChange
    | Incident
    | JudgedRun
    | Quarantined
    | RecoveryPlan
    | Rollback
    | Seeded
    | Sla
    | Unevaluated
)


class Emission(msgspec.Struct, frozen=True):
    """One thing to say. `data` is None for a tombstone; `partition` is set where the place is not the key's."""

    id: str
    topic: Literal["control", "breakers", "incidents", "runs", "log"]
    key: str
    type: str
    time: float
    data: Data | Message | Commanded | AliasTold | None
    partition: int | None = None


def emission_id(topic_id: str, partition: int, offset: int, ordinal: int) -> str:
    """The same for every replay of the same log, and for no other emission: 32 hex digits."""
    return blake2b(f"{topic_id}/{partition}/{offset}/{ordinal}".encode(), digest_size=16).hexdigest()


_encoder = msgspec.msgpack.Encoder()


def digest(previous: bytes, emissions: list[Emission]) -> bytes:
    """The running digest of all signals of a partition, 16 bytes: equal if and only if all of them were.

    Judged runs are left out: the last digits of their bands may differ from one CPU to another, and stop nobody.
    """
    signals = [emission for emission in emissions if emission.topic != "runs"]
    if not signals:
        return previous
    running = blake2b(previous, digest_size=16)
    for emission in signals:
        running.update(_encoder.encode(emission))
    return running.digest()
