"""What happens in the outside world, in one normal form, and the observations that the log carries of it.

A codec turns a record of an outside topic into an *event* (`RunEvent`, `DatasetEvent`, `JobEvent`, `Profile`);
`observations` splits an event into one *observation* for each entity that it speaks of. The log holds nothing but
observations, ticks, messages between entities, what was learned of a history (`Seed`) and what another log knew
(`Carried`), each in an `Envelope`, so whatever is decided later was in the log.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from detector.core.commands import Commanded
from detector.core.messages import Message
from detector.core.windows import Window

RunState = Literal["START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER"]
Headers = tuple[tuple[str, bytes | None], ...]
Role = Literal["input", "output", "described"]
# Which columns others come from: (own column, the other dataset's entity, its column), sorted.
Columns = tuple[tuple[str, str, str], ...]
TERMINAL: frozenset[str] = frozenset({"COMPLETE", "FAIL", "ABORT"})


class Field(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A column of a schema: its name, its type as the source spells it, and where it stands (1-based, 0 unknown)."""

    name: str
    type: str = ""
    position: int = 0


class Assertion(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The outcome of a check that somebody else ran on a dataset. Expected and actual values are not kept: raw data."""

    assertion: str
    success: bool
    column: str = ""
    severity: str = "error"


class Dataset(msgspec.Struct, frozen=True, array_like=True):
    """A dataset as one event speaks of it. `None` means not measured, which is neither zero nor null.

    `rows`, `bytes` and `files` are what this run read from or wrote to it; bytes in bytes, the others counts.
    `aliases` are other names of it, as entities. `columns_from` says where its columns come from; `*` stands for all of
    them, and `()` says that they come from nowhere, which is not the same as not knowing. `subset` names the parts of
    it (partitions, places) that were read or written, when it was not all of it.
    """

    namespace: str
    name: str
    rows: float | None = None
    bytes: float | None = None
    files: float | None = None
    schema: tuple[Field, ...] | None = None
    version: str | None = None
    lifecycle: str | None = None
    assertions: tuple[Assertion, ...] = ()
    profile: "Statistics | None" = None
    aliases: tuple[str, ...] = ()
    columns_from: Columns | None = None
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    subset: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The entity that this dataset is, `dataset:<namespace>/<name>`."""
        return dataset_key(self.namespace, self.name)


class Statistics(msgspec.Struct, frozen=True, array_like=True):
    """Statistics of columns, as a table: `columns` x `statistics`.

    `values` holds len(columns) * len(statistics) little-endian float64, row by row (all statistics of the first
    column first); NaN means not measured. `top_values` counts the most frequent values of a column by their hash: what
    the values are is not kept.
    """

    columns: tuple[str, ...]
    statistics: tuple[str, ...]
    values: bytes
    top_values: dict[str, dict[str, float]] = {}


class RunEvent(msgspec.Struct):
    """One event of a run of a job. Times are seconds since 1970 in UTC; `event_time` is when it happened.

    `metrics` are numbers of the run itself, beyond what its datasets carry. `streaming` runs are not judged when they
    end. `error` is the first line of the error, without data.
    """

    namespace: str
    name: str
    run_id: str
    state: RunState
    event_time: float
    nominal_time: float | None = None
    inputs: tuple[Dataset, ...] = ()
    outputs: tuple[Dataset, ...] = ()
    metrics: dict[str, float] = {}
    error: str | None = None
    streaming: bool = False
    snapshot_windows: bool = False
    incomplete: bool = False
    code_version: str | None = None
    parent: str | None = None
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class JobEvent(msgspec.Struct):
    """Static facts of a job, told outside any run."""

    namespace: str
    name: str
    event_time: float
    inputs: tuple[Dataset, ...] = ()
    outputs: tuple[Dataset, ...] = ()
    code_version: str | None = None
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class DatasetEvent(msgspec.Struct):
    """Static facts of a dataset, told outside any run."""

    dataset: Dataset
    event_time: float


class Profile(msgspec.Struct):
    """The statistics of a set of rows of one dataset: of one load, one partition, or a window of rows.

    `window_start` and `window_end` say which rows (seconds since 1970); `grain` names the kind of set (`load`,
    `partition`, `window`), and profiles of one dataset at different grains are different series.
    """

    namespace: str
    name: str
    event_time: float
    rows: float | None
    grain: str = "load"
    window_start: float | None = None
    window_end: float | None = None
    partition: str | None = None
    run_id: str | None = None
    statistics: Statistics | None = None
    schema: tuple[Field, ...] | None = None
    version: str | None = None
    bytes: float | None = None


Event = RunEvent | JobEvent | DatasetEvent | Profile


class Record(msgspec.Struct, gc=False):
    """One record of a topic, as it was polled. `timestamp` is in seconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that cannot be used, and why. `reason` is a short word to count by; `message` is for people.

    `stage` is where it failed, in Connect's words (`VALUE_CONVERTER`, `KEY_CONVERTER`) or ours (`step`). The message
    holds no value of the record: it goes into headers that more people may read than the record.
    """

    record: Record
    reason: str
    message: str
    stage: str = "VALUE_CONVERTER"


# ---------------------------------------------------------------- what the log carries


class RunObserved(msgspec.Struct, array_like=True, tag="run"):
    """A job's entity: one event of one of its runs. `inputs` and `outputs` map a dataset's key to (rows, bytes).

    `columns_from` has those outputs of which it is known where their columns come from.
    """

    run_id: str
    state: RunState
    event_time: float
    arrived: float
    nominal_time: float | None
    inputs: dict[str, tuple[float | None, float | None]]
    outputs: dict[str, tuple[float | None, float | None]]
    metrics: dict[str, float]
    error: str | None
    streaming: bool
    snapshot_windows: bool
    incomplete: bool
    code_version: str | None
    parent: str | None
    columns_from: dict[str, Columns] = {}
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class JobObserved(msgspec.Struct, array_like=True, tag="job"):
    """A job's entity: facts told outside any run."""

    event_time: float
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    code_version: str | None
    columns_from: dict[str, Columns] = {}
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class DatasetObserved(msgspec.Struct, array_like=True, tag="dataset"):
    """A dataset's entity: what one event of a run (or nobody's run: `described`) says of it.

    What a `streaming` run wrote in all its life is no load.
    """

    role: Role
    event_time: float
    arrived: float
    dataset: Dataset
    job: str | None
    run_id: str | None
    state: RunState | None
    streaming: bool = False


class Profiled(msgspec.Struct, array_like=True, tag="profile"):
    """A dataset's entity: the profile of a set of its rows."""

    arrived: float
    profile: Profile


class Tick(msgspec.Struct, array_like=True, tag="tick"):
    """All that had arrived outside before `at` (seconds since 1970) is in the log before this record."""

    at: float


class Seed(msgspec.Struct, array_like=True, tag="seed"):
    """What one entity has learned from a history, as the bytes of its state; the times of its first and last event.

    An older release, which does not know it, sets it aside like anything that is no observation.
    """

    state: bytes
    since: float
    until: float


class Carried(msgspec.Struct, array_like=True, tag="carried"):
    """One entity, out of a log with another number of partitions: it goes on as it is, and next wants the time at
    `due`.
    """

    state: bytes
    due: float


class Begun(msgspec.Struct, array_like=True, tag="begun"):
    """A whole partition, without a key: it goes on with entities that are `Carried` out of the log with the id `of`.

    Its clock stands where theirs stood, and the mutes and the maintenance are theirs.
    """

    of: str
    clock: float
    grace_until: float
    rules: str
    windows: list[Window] = []


class AliasTold(msgspec.Struct, array_like=True, tag="alias"):
    """A dataset's entity: `of` is another name of it, as an event at `at` says."""

    of: str
    at: float


Observation = (
    RunObserved
    | JobObserved
    | DatasetObserved
    | Profiled
    | Tick
    | Seed
    | Carried
    | Begun
    | AliasTold
    | Commanded
    | Message
)

ENVELOPE_VERSION = 2


class Envelope(msgspec.Struct, array_like=True):
    """What is around each record of the log."""

    body: Observation
    version: int = ENVELOPE_VERSION


def job_key(namespace: str, name: str) -> str:
    """The entity that a job is, `job:<namespace>/<name>`."""
    return f"job:{namespace}/{name}"


def dataset_key(namespace: str, name: str) -> str:
    """The entity that a dataset is, `dataset:<namespace>/<name>`."""
    return f"dataset:{namespace}/{name}"


def observations(event: Event, arrived: float) -> Iterator[tuple[str, Observation]]:
    """Split an event into (entity, observation) pairs, in a fixed order: the job first, then inputs, then outputs.

    `arrived` is the timestamp of the outside record, in seconds since 1970.
    """
    match event:
        case RunEvent():
            yield from _run_observations(event, arrived)
        case Profile():
            yield dataset_key(event.namespace, event.name), Profiled(arrived, event)
        case DatasetEvent():
            seen = DatasetObserved("described", event.event_time, arrived, event.dataset, None, None, None)
            yield event.dataset.key, seen
        case JobEvent():
            yield from _job_observations(event, arrived)


def _run_observations(event: RunEvent, arrived: float) -> Iterator[tuple[str, Observation]]:
    job = job_key(event.namespace, event.name)
    yield (
        job,
        RunObserved(
            run_id=event.run_id,
            state=event.state,
            event_time=event.event_time,
            arrived=arrived,
            nominal_time=event.nominal_time,
            inputs={d.key: (d.rows, d.bytes) for d in event.inputs},
            outputs={d.key: (d.rows, d.bytes) for d in event.outputs},
            metrics=event.metrics,
            error=event.error,
            streaming=event.streaming,
            snapshot_windows=event.snapshot_windows,
            incomplete=event.incomplete,
            code_version=event.code_version,
            parent=event.parent,
            columns_from=_columns_from(event.outputs),
            owners=event.owners,
            tags=event.tags,
        ),
    )
    inputs = _without_columns_from(event.inputs)
    sides: tuple[tuple[Role, tuple[Dataset, ...]], ...] = (("input", inputs), ("output", event.outputs))
    for role, datasets in sides:
        for dataset in datasets:
            yield (
                dataset.key,
                DatasetObserved(
                    role, event.event_time, arrived, dataset, job, event.run_id, event.state, event.streaming
                ),
            )


def _job_observations(event: JobEvent, arrived: float) -> Iterator[tuple[str, Observation]]:
    yield (
        job_key(event.namespace, event.name),
        JobObserved(
            event_time=event.event_time,
            inputs=tuple(d.key for d in event.inputs),
            outputs=tuple(d.key for d in event.outputs),
            code_version=event.code_version,
            columns_from=_columns_from(event.outputs),
            owners=event.owners,
            tags=event.tags,
        ),
    )
    for dataset in (*_without_columns_from(event.inputs), *event.outputs):
        seen = DatasetObserved("described", event.event_time, arrived, dataset, None, None, None)
        yield dataset.key, seen


def _columns_from(outputs: tuple[Dataset, ...]) -> dict[str, Columns]:
    return {d.key: d.columns_from for d in outputs if d.columns_from is not None}


def _without_columns_from(inputs: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """Where the columns of an input come from is for the job to say that writes it."""
    if all(d.columns_from is None for d in inputs):
        return inputs
    return tuple(msgspec.structs.replace(d, columns_from=None) for d in inputs)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def encode(body: Observation) -> bytes:
    """The bytes of one record of the log (MessagePack of `Envelope`)."""
    return _encoder.encode(Envelope(body, ENVELOPE_VERSION))


def decode(value: bytes) -> Envelope:
    """The record that `encode` wrote.

    Raises `msgspec.DecodeError` (or its child `ValidationError`) for bytes that are not one.
    """
    return _decoder.decode(value)
