"""The state of one entity and of one partition, and their bytes.

A snapshot is one format byte, a checksum, and named sections (`breaker`, `runs`, `series`, `profile`, `schema`,
`together`, `taught`, `intent`, `lineage`, `recovery`, `board`), each with a version of its own, so that a new engine of
one section does not wipe the others. A section that is newer than this release knows refuses the partition
(`SnapshotTooNew`): dropping it would lose what a later release needs.
"""

from struct import Struct
from typing import Any
from zlib import crc32

import msgspec

from detector.core.breaker import Breaker, Held, Outcome, Override, Probe
from detector.core.events import Field, Statistics
from detector.core.incidents import Board
from detector.core.intent import Intent
from detector.core.lessons import Lessons
from detector.core.lineage import Lineage
from detector.core.models.together import Together
from detector.core.recovery import Collected
from detector.core.schedule import Schedule
from detector.core.table import SeriesTable, Stored
from detector.core.windows import Window
from detector.errors import SnapshotTooNew

FORMAT = 1
_HEAD = Struct("<BI")
NEVER = float("inf")


class Episode(msgspec.Struct, array_like=True):
    """An anomaly that goes on: one check of one entity, from its first finding until it is over.

    `checks` are those of a load that are unusual still, where it is of several; it is called by the first that led.
    `holds` is how many calm values do not end it yet. `columns` are those of a dataset that it is about, if it is about
    nothing else.
    `cause` is what the model found last, where it was one that judged.
    """

    id: str
    since: float
    severity: int
    count: int = 1
    run_id: str | None = None
    cause: str = ""
    checks: list[str] = []
    holds: int = 0
    columns: list[str] = []


class Measured(msgspec.Struct, array_like=True):
    """The statistics of the columns of one load, until they are judged. `of` says which rows: none are told twice."""

    statistics: Statistics
    rows: float | None
    bytes: float | None
    grain: str
    of: str = ""


class Run(msgspec.Struct, array_like=True):
    """A run as far as its events tell. `inputs` and `outputs` map a dataset to (rows, bytes); times in seconds.

    `hash` stands for its id where that is too long to keep. `inputs` and `outputs` are rows and bytes by the hash of a
    dataset's key. `state` is OTHER while nothing tells that the run goes on.
    `judged` names the metrics that were judged already, so that a fact that comes late is judged once. `newest` is the
    time of the newest event: what an older one says does not replace it. `scheduled` is the begin that the schedule has
    learned. `schema` waits for the end of the run; `lifecycle` is what it did to the whole
    dataset, and `explained` what of that explains how much it wrote (empty: nothing does). `job` is whose run it is,
    where a dataset knows it.
    """

    id: str
    hash: int
    first_seen: float
    started: float | None = None
    ended: float | None = None
    state: str = "OTHER"
    nominal_time: float | None = None
    inputs: dict[int, tuple[float | None, float | None]] = {}
    outputs: dict[int, tuple[float | None, float | None]] = {}
    metrics: dict[str, float] = {}
    error: str | None = None
    streaming: bool = False
    incomplete: bool = False
    code_version: str | None = None
    version: str | None = None
    settle_at: float | None = None
    not_before: float = 0.0
    assertions: dict[str, bool] = {}
    judged: list[str] = []
    severity: int = 0
    newest: float = 0.0
    scheduled: float | None = None
    measured: Measured | None = None
    schema: tuple[Field, ...] | None = None
    lifecycle: str | None = None
    explained: str | None = None
    job: str | None = None

    @property
    def began(self) -> float:
        """When it began, as far as is known."""
        return self.first_seen if self.started is None else self.started


class Good(msgspec.Struct, array_like=True):
    """The last run that had nothing wrong with it: to compare with, and to go back to."""

    run_id: str
    at: float
    version: str | None = None
    code_version: str | None = None


class Runs(msgspec.Struct, array_like=True):
    """What is kept of the runs of an entity.

    `ended` maps the hashes of runs that are over to the time of their end, the oldest first; what ended before
    `horizon` has left it. With both, the repeat of a run's end that comes days later is no new run. `profiled` and
    `profiled_before` are the same for profiles. `failing` are the checks of others that failed last, and when.
    `ended_last` is the last end of a run of a job, which may have kept the next one away.
    """

    open: dict[str, Run] = {}
    closed: dict[str, Run] = {}
    ended: dict[int, float] = {}
    horizon: float = 0.0
    schedule: Schedule = msgspec.field(default_factory=Schedule)
    deadline_checked: float = 0.0
    completed: float = 0.0
    good: Good | None = None
    streaming: bool = False
    sends_start: bool = False
    profiled: dict[int, float] = {}
    profiled_before: float = 0.0
    failing: dict[str, float] = {}
    ended_last: float = 0.0


class Reference(msgspec.Struct, array_like=True):
    """What is usual of the distribution of one column, slowly learned.

    `quantiles` are float32, `hashes` are of the most frequent values (8 bytes each), `shares` (float32) theirs.
    `distinct` are two float32: the logarithms of the distinct values and of their share. `extremes` are two as well:
    between which values it lay, at once where that is wider, and slowly where it is narrower.
    """

    seen: int = 0
    quantiles: bytes = b""
    hashes: bytes = b""
    shares: bytes = b""
    distinct: bytes = b""
    extremes: bytes = b""


class Loads(msgspec.Struct, array_like=True):
    """What is kept of the profiles of one grain: references, and the last load, to know it again.

    `repeats` is how often the same data is loaded again, of late, after `compared` loads.
    """

    fractions: list[float] = []
    references: dict[str, Reference] = {}
    exact: bytes = b""
    shape: bytes = b""
    telling: int = 0
    rows: float = 0.0
    of: str = ""
    compared: int = 0
    repeats: float = 0.0


class Schema(msgspec.Struct, array_like=True):
    """The columns of a dataset as one source tells them. `pending` is a change that the next load must confirm."""

    fields: tuple[Field, ...]
    at: float
    pending: tuple[Field, ...] | None = None


class Shape(msgspec.Struct, array_like=True):
    """What is kept of how a dataset is made: its schema by who told it, and how its loads treat what was there.

    `lifecycles` is the share of loads, of late, that created, overwrote, truncated or dropped it, after `loads` of
    them; `lifecycle` is such a change that no load has followed yet.
    """

    schemas: dict[str, Schema] = {}
    lifecycles: dict[str, float] = {}
    loads: int = 0
    lifecycle: str | None = None


class Judgement(msgspec.Struct, array_like=True):
    """What the breaker section holds: the breaker, the outcomes that its policy sees, and the open episodes.

    `holds` are by entities upstream. `commands` are hashes of the last commands: one that comes twice is done once.
    `good_version` is the last good version of a dataset that readers were told.
    """

    breaker: Breaker = msgspec.field(default_factory=Breaker)
    outcomes: list[Outcome] = []
    episodes: dict[str, Episode] = {}
    poisoned: int = 0
    announced: str = ""
    holds: dict[str, Held] = {}
    override: Override | None = None
    probe: Probe | None = None
    commands: list[int] = []
    good_version: str | None = None


class Entity(msgspec.Struct):
    """The whole state of one entity. `at` is the offset of the log that it is true for; `seen` when it last spoke.

    `watch` is what `together` holds, once it is in use: `dump` takes its snapshot. `board` is that of incidents, of the
    one entity that has it.
    """

    key: str
    at: int = 0
    seen: float = 0.0
    judgement: Judgement = msgspec.field(default_factory=Judgement)
    runs: Runs = msgspec.field(default_factory=Runs)
    series: SeriesTable = msgspec.field(default_factory=SeriesTable)
    loads: dict[str, Loads] = msgspec.field(default_factory=dict)
    shape: Shape = msgspec.field(default_factory=Shape)
    together: bytes = b""
    watch: Together | None = None
    lineage: Lineage = msgspec.field(default_factory=Lineage)
    recovery: dict[str, Collected] = msgspec.field(default_factory=dict)
    board: Board | None = None
    intent: Intent = msgspec.field(default_factory=Intent)
    lessons: Lessons = msgspec.field(default_factory=Lessons)


class _Section(msgspec.Struct, array_like=True):
    name: str
    version: int
    body: msgspec.Raw


class _Head(msgspec.Struct, array_like=True):
    key: str
    at: int
    seen: float


_SECTIONS: dict[str, tuple[int, Any]] = {
    "head": (1, msgspec.msgpack.Decoder(_Head)),
    "breaker": (1, msgspec.msgpack.Decoder(Judgement)),
    "runs": (1, msgspec.msgpack.Decoder(Runs)),
    "series": (1, msgspec.msgpack.Decoder(Stored)),
    "profile": (1, msgspec.msgpack.Decoder(dict[str, Loads])),
    "schema": (1, msgspec.msgpack.Decoder(Shape)),
    "together": (1, msgspec.msgpack.Decoder(bytes)),
    "lineage": (1, msgspec.msgpack.Decoder(Lineage)),
    "recovery": (1, msgspec.msgpack.Decoder(dict[str, Collected])),
    "board": (1, msgspec.msgpack.Decoder(Board | None)),
    "intent": (1, msgspec.msgpack.Decoder(Intent)),
    "taught": (1, msgspec.msgpack.Decoder(Lessons)),
}
_LATER: dict[str, Any] = {
    "profile": dict,
    "schema": Shape,
    "together": bytes,
    "lineage": Lineage,
    "recovery": dict,
    "board": type(None),
    "intent": Intent,
    "taught": Lessons,
}  # sections that older releases did not write, and what they begin as
_encoder = msgspec.msgpack.Encoder()
_sections = msgspec.msgpack.Decoder(list[_Section])


def dump(entity: Entity) -> bytes:
    """The bytes of an entity's state: equal states give equal bytes, however they came about."""
    if entity.watch is not None:
        entity.together = entity.watch.snapshot()
    parts = {
        "head": _Head(entity.key, entity.at, entity.seen),
        "breaker": entity.judgement,
        "runs": entity.runs,
        "series": entity.series.store(),
        "profile": entity.loads,
        "schema": entity.shape,
        "together": entity.together,
        "lineage": entity.lineage,
        "recovery": entity.recovery,
        "board": entity.board,
        "intent": entity.intent,
        "taught": entity.lessons,
    }
    sections = [(name, _SECTIONS[name][0], msgspec.Raw(_encoder.encode(part))) for name, part in parts.items()]
    body = _encoder.encode(sections)
    return _HEAD.pack(FORMAT, crc32(body)) + body


def load(snapshot: bytes) -> Entity:
    """The entity that `dump` wrote.

    Raises `SnapshotTooNew` for a format or a section that a newer release wrote, and `ValueError` (of which
    `msgspec.DecodeError` is a child) for bytes that are corrupt.
    """
    found = {name: begin() for name, begin in _LATER.items()}
    found |= {section.name: _decode(section) for section in _opened(snapshot)}
    if found.keys() != _SECTIONS.keys():
        raise ValueError("a section is missing")
    head: _Head = found["head"]
    return Entity(
        head.key,
        head.at,
        head.seen,
        found["breaker"],
        found["runs"],
        SeriesTable.of(found["series"]),
        found["profile"],
        found["schema"],
        found["together"],
        lineage=found["lineage"],
        recovery=found["recovery"],
        board=found["board"],
        intent=found["intent"],
        lessons=found["taught"],
    )


def check(snapshot: bytes) -> None:
    """Whether this release can load these bytes, at a tenth of the cost. Raises what `load` raises of whole states."""
    for section in _opened(snapshot):
        _decoder(section)


def _opened(snapshot: bytes) -> list[_Section]:
    if not snapshot or snapshot[0] == 0:
        raise ValueError("no snapshot")
    if snapshot[0] > FORMAT:
        raise SnapshotTooNew(f"state has format {snapshot[0]}; this release knows formats up to {FORMAT}")
    body = snapshot[_HEAD.size :]
    if len(snapshot) < _HEAD.size or _HEAD.unpack_from(snapshot)[1] != crc32(body):
        raise ValueError("the checksum does not fit: the bytes are corrupt")
    return _sections.decode(body)


def _decoder(section: _Section) -> Any:
    version, decoder = _SECTIONS.get(section.name, (0, None))
    if decoder is None or section.version > version:
        raise SnapshotTooNew(f"state has section {section.name!r} in version {section.version}; known: {version}")
    return decoder


def _decode(section: _Section) -> Any:
    return _decoder(section).decode(section.body)


class Partition(msgspec.Struct):
    """The state of one partition of the log: its clock, and when each of its entities next wants the time.

    `clock` is the highest accepted tick (0 before the first), `grace_until` holds lateness back after an outage, and
    `due` has every entity of the partition, `NEVER` for those that wait for nothing; `queue` is a heap over it, in
    which what is out of date is passed over. `changed` names the entities whose due time is not in the snapshot yet.
    `rules` names the configuration that all its entities have seen. `windows` are mutes and maintenance.
    """

    number: int
    count: int
    clock: float = 0.0
    grace_until: float = 0.0
    heartbeat_at: float = 0.0
    ignored_ticks: int = 0
    rules: str = ""
    due: dict[str, float] = msgspec.field(default_factory=dict)
    queue: list[tuple[float, str]] = msgspec.field(default_factory=list)
    windows: list[Window] = msgspec.field(default_factory=list)
    changed: set[str] = msgspec.field(default_factory=set)


class PartitionHead(msgspec.Struct, array_like=True):
    """What of a partition's state is stored beside the due times, which the index holds."""

    clock: float
    grace_until: float
    heartbeat_at: float
    ignored_ticks: int
    rules: str
    windows: list[Window] = []
