"""What a profile is: the statistics of a set of rows, and how it is told as Detector's own record.

Only numbers and keyed hashes are in here. What is estimated is named, and said on the screen and in the JSON.
"""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec

KNOWN = ("count", "null_count", "distinct", "sum", "min", "max", "mean", "std")


class Column(msgspec.Struct):
    """One column: its statistics by name, `top` values by hash, and which statistics are `estimated`."""

    name: str
    type: str
    kind: str
    statistics: dict[str, float] = {}
    top: dict[str, float] = {}
    estimated: set[str] = set()

    def tell(self, statistic: str, value: float | None, estimated: bool = False) -> None:
        """Keep a number that is one."""
        if value is None or not math.isfinite(value := float(value)):
            return
        self.statistics[statistic] = value
        if estimated:
            self.estimated.add(statistic)

    def of(self, statistic: str) -> float | None:
        """A statistic, if it was measured."""
        return self.statistics.get(statistic)

    @property
    def values(self) -> float:
        """How many values are not null."""
        return self.statistics.get("count", 0.0) - self.statistics.get("null_count", 0.0)


class Identity(msgspec.Struct, frozen=True):
    """Which rows of which dataset: what stands in a profile beside its statistics."""

    namespace: str
    name: str
    grain: str = "load"
    partition: str | None = None
    run_id: str | None = None
    version: str | None = None
    window: tuple[float, float] | None = None


class DatasetProfile(msgspec.Struct):
    """The statistics of a set of rows. `size` is in bytes, `sampled` the share of the rows that was looked at."""

    identity: Identity
    event_time: float
    rows: float
    columns: list[Column]
    size: float | None = None
    with_schema: bool = True
    sampled: float = 1.0
    notes: list[str] = []

    def event(self) -> dict[str, Any]:
        """Detector's own record, in its plain layout. What it does not know (`estimated`, `notes`) it skips."""
        who = self.identity
        found: dict[str, Any] = {
            "kind": "profile",
            "namespace": who.namespace,
            "name": who.name,
            "event_time": _time(self.event_time),
            "rows": self.rows,
            "grain": who.grain,
            "partition": who.partition,
            "run_id": who.run_id,
            "version": who.version,
            "bytes": self.size,
        }
        if who.window is not None:
            found["window_start"], found["window_end"] = map(_time, who.window)
        if self.with_schema:
            told = enumerate(self.columns, 1)
            found["schema"] = [{"name": c.name, "type": c.type, "position": place} for place, c in told]
        found["columns"] = [_column(column) for column in self.columns]
        found["top_values"] = {column.name: column.top for column in self.columns if column.top}
        estimated = {c.name: sorted(c.estimated) for c in self.columns if c.estimated}
        told_besides = {"sampled": self.sampled if self.sampled < 1 else None, "estimated": estimated or None}
        found |= {**told_besides, "notes": self.notes or None}
        return {key: value for key, value in found.items() if value is not None}

    def to_json(self) -> bytes:
        """The record as one line of JSON, as it is sent."""
        return msgspec.json.encode(self.event())


def _column(column: Column) -> dict[str, Any]:
    known = {name: value for name, value in column.statistics.items() if name in KNOWN}
    quantiles = {name[1:]: value for name, value in column.statistics.items() if is_quantile(name)}
    others = {
        name: value for name, value in column.statistics.items() if name not in known and name[1:] not in quantiles
    }
    found: dict[str, Any] = {"name": column.name, **known}
    return found | {key: value for key, value in (("quantiles", quantiles), ("others", others)) if value}


def is_quantile(name: str) -> bool:
    """Whether this is the name of a quantile, `q0.5`."""
    return name.startswith("q0.") and name[3:].isdigit()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
