"""Our own formats in their plain form: the fields of `schemas/`, as JSON has them and as fastavro reads them.

What comes from either goes through the same two functions, so a field means the same in both.
"""

from typing import cast

import msgspec
import numpy as np

from detector.codecs import checks, statistics
from detector.codecs.avro_reader import native_dataset, native_field
from detector.codecs.statistics import Column
from detector.core.events import Dataset, Profile, RunEvent, Statistics


class NativeDataset(msgspec.Struct, gc=False):
    namespace: str
    name: str
    rows: float | None = None
    bytes: float | None = None
    files: float | None = None
    version: str | None = None


class NativeRunEvent(msgspec.Struct):
    """`schemas/run_event.avsc`. Times are as their format has them."""

    namespace: str
    name: str
    run_id: str
    event_time: str | float
    state: str | None = None
    nominal_time: str | float | None = None
    inputs: list[NativeDataset] | None = None
    outputs: list[NativeDataset] | None = None
    metrics: dict[str, float | None] | None = None
    error: str | None = None
    streaming: bool | None = None
    code_version: str | None = None
    parent: str | None = None
    owners: list[str] | None = None
    tags: list[str] | None = None
    kind: str | None = None


class NativeField(msgspec.Struct, gc=False):
    name: str
    type: str | None = None
    position: int | None = None


class NativeTable(msgspec.Struct):
    """Statistics as a table; in JSON the values are a list, with null for not measured, or base64 as in Avro."""

    columns: list[str]
    statistics: list[str]
    values: bytes | list[float | None]


class NativeColumn(msgspec.Struct):
    name: str
    count: float | None = None
    null_count: float | None = None
    distinct: float | None = None
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: dict[str, float | None] | None = None
    others: dict[str, float | None] | None = None


class NativeProfile(msgspec.Struct):
    """`schemas/profile.avsc`. Times are as their format has them."""

    namespace: str
    name: str
    event_time: str | float
    rows: float | None = None
    grain: str | None = None
    window_start: str | float | None = None
    window_end: str | float | None = None
    partition: str | None = None
    run_id: str | None = None
    bytes: float | None = None
    version: str | None = None
    schema: list[NativeField] | None = None
    statistics: NativeTable | None = None
    columns: list[NativeColumn] | None = None
    top_values: dict[str, dict[str, float | None]] | None = None
    kind: str | None = None


def run_event(found: NativeRunEvent, event_time: float, nominal_time: float | None) -> RunEvent:
    """The run event that was read, its times in seconds since 1970. Raises `Refused`."""
    metrics = found.metrics or {}
    if None in metrics.values():
        metrics = {name: value for name, value in metrics.items() if value is not None}
    return checks.run_event(
        RunEvent(
            found.namespace,
            found.name,
            found.run_id,
            checks.state(found.state),
            event_time,
            nominal_time,
            _datasets(found.inputs) if found.inputs else (),
            _datasets(found.outputs) if found.outputs else (),
            cast("dict[str, float]", metrics),
            found.error,
            bool(found.streaming),
            False,  # snapshot_windows and
            False,  # incomplete: OpenLineage only
            found.code_version,
            found.parent,
            tuple(found.owners or ()),
            tuple(found.tags or ()),
        )
    )


def _datasets(found: list[NativeDataset]) -> tuple[Dataset, ...]:
    return tuple(native_dataset(d.namespace, d.name, d.rows, d.bytes, d.files, d.version) for d in found)


def profile(found: NativeProfile, event_time: float, window: tuple[float | None, float | None]) -> Profile:
    """The profile that was read, its times in seconds since 1970. Raises `Refused`."""
    return checks.profile(
        Profile(
            found.namespace,
            found.name,
            event_time,
            found.rows,
            "load" if found.grain is None else found.grain,
            *window,
            found.partition,
            found.run_id,
            statistics.with_top_values(_statistics(found), found.top_values),
            None
            if found.schema is None
            else tuple(native_field(f.name, f.type or "", f.position or 0) for f in found.schema),
            found.version,
            found.bytes,
        )
    )


def _statistics(found: NativeProfile) -> Statistics | None:
    table = found.statistics
    if table is not None:
        values = table.values
        if isinstance(values, list):
            values = np.array(values, dtype="<f8").tobytes()  # None becomes NaN
        return statistics.table(statistics.layout(table.columns, table.statistics), values)
    return statistics.from_columns(_column(column) for column in found.columns or ())


def _column(c: NativeColumn) -> Column:
    known = (c.count, c.null_count, c.distinct, c.sum, c.min, c.max, c.mean, c.std)
    return Column(c.name, known, c.quantiles, c.others)
