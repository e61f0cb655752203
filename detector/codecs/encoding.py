"""Writes our own two records, for whoever sends them: the client, `detector emit`, the demo, tests and benchmarks."""

import io
from collections.abc import Iterable
from struct import pack, unpack
from typing import Any

import fastavro
import msgspec

from detector.codecs import statistics
from detector.codecs.avro import SINGLE_OBJECT
from detector.codecs.schema import MICROS, PROFILE, RUN_EVENT, Schema
from detector.core.events import Dataset, Profile, RunEvent, Statistics


def encode_run_event(event: RunEvent, schema_id: int | None = None) -> bytes:
    """`event` in Avro: with Confluent's prefix when `schema_id` is given, else as a single object.

    What its schema has no field for (a dataset's schema, assertions, `snapshot_windows`, `incomplete`) is left out.
    """
    return _framed(RUN_EVENT, _run_event(event), schema_id)


def encode_profile(profile: Profile, schema_id: int | None = None, plain: bool = False) -> bytes:
    """`profile` in Avro, framed as in `encode_run_event`; its statistics as a table, or `plain`, a record a column."""
    return _framed(PROFILE, _profile(profile, plain), schema_id)


def encode_json(event: RunEvent | Profile) -> bytes:
    """`event` as JSON, with the fields of the Avro schema and times in seconds since 1970."""
    if isinstance(event, RunEvent):
        fields = _run_event(event)
        times: Iterable[str] = ("event_time", "nominal_time")
    else:
        fields = _profile(event, plain=False)
        times = ("event_time", "window_start", "window_end")
    for time in times:
        if fields[time] is not None:
            fields[time] /= MICROS
    fields["kind"] = "run_event" if isinstance(event, RunEvent) else "profile"
    return msgspec.json.encode({key: value for key, value in fields.items() if value is not None})


def _framed(schema: Schema, fields: dict[str, Any], schema_id: int | None) -> bytes:
    out = io.BytesIO()
    out.write(SINGLE_OBJECT + schema.fingerprint if schema_id is None else pack(">bI", 0, schema_id))
    fastavro.schemaless_writer(out, schema.parsed, fields)
    return out.getvalue()


def _micros(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * MICROS)


def _run_event(event: RunEvent) -> dict[str, Any]:
    return {
        "namespace": event.namespace,
        "name": event.name,
        "run_id": event.run_id,
        "state": event.state,
        "event_time": _micros(event.event_time),
        "nominal_time": _micros(event.nominal_time),
        "inputs": [_dataset(dataset) for dataset in event.inputs],
        "outputs": [_dataset(dataset) for dataset in event.outputs],
        "metrics": event.metrics,
        "error": event.error,
        "streaming": event.streaming,
        "code_version": event.code_version,
        "parent": event.parent,
        "owners": event.owners,
        "tags": event.tags,
    }


def _dataset(dataset: Dataset) -> dict[str, Any]:
    return {field: getattr(dataset, field) for field in ("namespace", "name", "rows", "bytes", "files", "version")}


def _profile(profile: Profile, plain: bool) -> dict[str, Any]:
    table = profile.statistics
    return {
        "namespace": profile.namespace,
        "name": profile.name,
        "event_time": _micros(profile.event_time),
        "rows": profile.rows,
        "grain": profile.grain,
        "window_start": _micros(profile.window_start),
        "window_end": _micros(profile.window_end),
        "partition": profile.partition,
        "run_id": profile.run_id,
        "bytes": profile.bytes,
        "version": profile.version,
        "schema": None if profile.schema is None else [msgspec.structs.asdict(field) for field in profile.schema],
        "statistics": None if table is None or plain else _table(table),
        "columns": _columns(table) if table is not None and plain else None,
        "top_values": {} if table is None else table.top_values,
    }


def _table(table: Statistics) -> dict[str, Any]:
    return {"columns": table.columns, "statistics": table.statistics, "values": table.values}


def _columns(table: Statistics) -> list[dict[str, Any]]:
    cells = unpack(f"<{len(table.values) // 8}d", table.values)
    width = len(table.statistics)
    return [
        _column(name, dict(zip(table.statistics, cells[i * width : (i + 1) * width], strict=True)))
        for i, name in enumerate(table.columns)
    ]


def _column(name: str, measured: dict[str, float]) -> dict[str, Any]:
    """A record of one column: NaN becomes null, or is left out of the maps."""
    found = {key: value for key, value in measured.items() if value == value}
    quantiles = {key: value for key, value in found.items() if statistics.is_quantile(key)}
    others = {key: value for key, value in found.items() if key not in statistics.KNOWN and key not in quantiles}
    known = {key: found.get(key) for key in statistics.KNOWN}
    return {"name": name, **known, "quantiles": {key[1:]: value for key, value in quantiles.items()}, "others": others}
