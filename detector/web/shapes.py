"""What the API takes as parameters and what it answers. The OpenAPI document is made of these."""

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from detector.core.breaker import Mode
from detector.core.emissions import Anomaly, CommandDone, Severity
from detector.core.incidents import Incident
from detector.graph import Standing
from detector.history import Judgement, Point
from detector.view import Answer, Verdict

T = TypeVar("T")
MOST = 500
Limit = Annotated[int, Meta(ge=1, le=MOST, description="How many at most.")]
Cursor = Annotated[str, Meta(max_length=5_000, description="`next` of the page before.")]


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a request."""


class NoQuery(Query, frozen=True):
    """None."""


class EntitiesQuery(Query, frozen=True, kw_only=True):
    """Which entities."""

    q: Annotated[
        str, Meta(max_length=2_100, description="A part of the key; with `*` in it, a glob over all of it.")
    ] = ""
    kind: Annotated[Literal["job", "dataset"] | None, Meta(description="Only these.")] = None
    state: Annotated[list[Standing], Meta(description="Only in these states; may be given several times.")] = []
    limit: Limit = 100
    cursor: Cursor = ""


class BreakerQuery(Query, frozen=True, kw_only=True):
    """Who asks, and what is read."""

    probe: Annotated[str | None, Meta(description="The name by which the right to probe was given.")] = None
    partition: Annotated[list[str], Meta(description="What is read of a dataset; may be given several times.")] = []
    column: Annotated[list[str], Meta(description="What is read of a dataset; may be given several times.")] = []


class IncidentsQuery(Query, frozen=True, kw_only=True):
    """Which incidents."""

    state: Annotated[Literal["open", "resolved", "all"], Meta(description="Which; all has merged ones, too.")] = "open"
    limit: Limit = 100
    cursor: Cursor = ""


class IncidentQuery(Query, frozen=True, kw_only=True):
    """In which form."""

    format: Annotated[
        Literal["json", "text"], Meta(description="text: the page for people that `detector incidents show` prints.")
    ] = "json"


class LineageQuery(Query, frozen=True, kw_only=True):
    """How far, and to which sides."""

    depth: Annotated[int, Meta(ge=1, le=50, description="So many hops.")] = 4
    direction: Annotated[Literal["up", "down", "both"], Meta(description="To which side.")] = "both"


class RunsQuery(Query, frozen=True, kw_only=True):
    """Which runs."""

    limit: Annotated[int, Meta(ge=1, le=499, description="How many at most.")] = 100
    before: Annotated[
        float | None, Meta(description="Only those that ended before this, in seconds since 1970: `next` of a page.")
    ] = None


class SeriesQuery(Query, frozen=True, kw_only=True):
    """Which series."""

    metric: Annotated[str, Meta(max_length=4_200, description="Which one; none lists them.")] = ""
    limit: Limit = MOST


class PlansQuery(Query, frozen=True, kw_only=True):
    """Which plans."""

    open: Annotated[bool | None, Meta(description="Only those that are open, or only those that are not.")] = None


class CommandQuery(Query, frozen=True, kw_only=True):
    """How long to wait."""

    wait: Annotated[float, Meta(ge=0, le=60, description="Seconds to wait for what comes of it.")] = 10.0


# ---------------------------------------------------------------- answers


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Some of them; `next` is the `cursor` of those that follow, null at the end."""

    items: list[T]
    next: str | None


class Items(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """All of them."""

    items: list[T]


class EntityRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job or a dataset.

    `state` is what a reader obeys (`held`: open because of something upstream, `unknown`: it cannot be relied on now);
    `checks` are those that are unusual now; `verdict` and `message` are what a pipeline is told.
    """

    entity: str
    kind: Literal["job", "dataset"]
    state: Standing
    mode: Mode
    verdict: Verdict
    message: str
    since: float
    checks: list[str]
    owner: str | None


class EntityWhole(Answer, frozen=True, kw_only=True):
    """All of one entity: what a pipeline is told, the breaker with its anomalies and neighbours, its open incident."""

    owner: str | None = None
    incident: str | None = None


class IncidentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An incident without its findings and its timeline.

    `findings_open` of `findings_count` go on, and `affected_count` entities are held.
    """

    id: str
    state: Literal["open", "resolved", "merged"]
    severity: Severity
    title: str
    summary: str
    root: str
    opened: float
    updated: float
    resolved: float | None
    reopened: int
    owner: str | None
    tags: list[str]
    acknowledged_by: str | None
    quiet: str
    findings_count: int
    findings_open: int
    affected_count: int
    downstream: int
    plan: str | None
    verdict: str | None

    @classmethod
    def of(cls, one: Incident) -> "IncidentRow":
        """The row of an incident."""
        counts = {
            "findings_count": len(one.findings),
            "findings_open": sum(finding.ended is None for finding in one.findings),
            "affected_count": len(one.affected),
        }
        alike = {name: getattr(one, name) for name in cls.__struct_fields__ if name not in counts}
        return cls(**alike, **counts)  # type: ignore[arg-type]


class IncidentWhole(Incident, frozen=True, kw_only=True, omit_defaults=True):
    """An incident, and as `evidence` the last that was said of each of its findings, by `episode`."""

    evidence: dict[str, Anomaly] = msgspec.field(default_factory=dict)


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run, a load or a profile as it was judged: each number by its metric, and what was expected of it.

    `grain` is what a profile is of; times are in seconds since 1970.
    """

    entity: str
    run_id: str | None
    kind: Literal["run", "load", "profile", "window"]
    state: Literal["COMPLETE", "FAIL", "ABORT"]
    severity: Severity
    reason: str
    began: float | None
    ended: float
    nominal_time: float | None
    grain: str
    version: str | None
    code_version: str | None
    judgements: dict[str, Judgement]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One of the series of an entity."""

    metric: str
    unit: str | None


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """The series that an entity has."""

    metrics: list[Metric]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One series, the oldest value first."""

    metric: str
    unit: str | None
    points: list[Point]


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong with an entity now. `severity`: 0 info, 1 warning, 2 critical."""

    entity: str
    check: str
    severity: int
    since: float
    count: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How Detector itself is.

    `heartbeats` has the age of the last one of each partition of the log in seconds, and `oldest` the greatest of them:
    how far what is told here is behind; `stale` are the partitions that are too far behind to be relied on.
    `trouble` is why nothing new comes, if so.
    """

    version: str
    ready: bool
    problems: list[str]
    caught_up: bool
    trouble: str | None
    oldest: float | None
    heartbeats: dict[str, float]
    stale: list[int]


class You(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, by the token: its name, empty without one, and its role."""

    name: str
    role: Literal["reader", "operator"]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at a glance.

    `late` and `wrong` have the newest; `late_count` and `wrong_count` say how many there are.
    """

    at: float
    you: You
    entities: dict[Literal["job", "dataset"], dict[Standing, int]]
    incidents: dict[Severity, int]
    late: list[Wrong]
    late_count: int
    wrong: list[Wrong]
    wrong_count: int
    plans: int
    detector: Health


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a command: `answers` has more than one where it was about several findings.

    Without an answer in time `done` is null: the command is in the topic, and is done when a worker comes to it.
    """

    id: str
    done: bool | None
    effect: str
    answers: list[CommandDone]
