"""The judged runs of each entity of late, kept in Redis, for people who want to see its series.

    <prefix>:runs:<entity>    a sorted set: records of the topic of runs as they are, by when they were appended (ms)

A record that is put in twice is there once, so that whoever follows the topic may begin again anywhere. What is kept of
an entity is bounded in runs and in bytes, and goes when nothing was heard of it for three months. Losing it harms
nobody: it is read by people only.
"""

import math
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec

from detector.core.emissions import JudgedRun
from detector.core.text import rounded, unit_of
from detector.errors import Unreachable

if TYPE_CHECKING:
    import redis

MOST_RUNS: Final = 500
MOST_BYTES: Final = 1 << 20  # of one entity
FEWEST_RUNS: Final = 20  # however large they are
KEPT: Final = 91 * 86_400  # seconds


class Appended(NamedTuple):
    """A record of the topic of runs, and when it was appended, in milliseconds since 1970."""

    entity: str
    at: int
    value: bytes


class Judgement(msgspec.Struct, frozen=True):
    """One value, what was expected of it, and whether it was told as unusual; None where nothing was known."""

    value: float
    lower: float | None
    expected: float | None
    upper: float | None
    unusual: bool


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A judged run with all that was heard of it, as `JudgedRun`: `judgements` are its values by metric."""

    run: JudgedRun
    judgements: Mapping[str, Judgement]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a series: `at` is when its run ended, in seconds since 1970."""

    at: float
    run_id: str | None
    value: float
    lower: float | None
    expected: float | None
    upper: float | None
    unusual: bool


class History:
    """The history of all entities, for whoever is not to know that it is in Redis."""

    def __init__(self, client: "redis.Redis", prefix: str) -> None:
        self._client, self._prefix = client, prefix

    def runs(self, entity: str, limit: int, before: float = math.inf) -> list[Past]:
        """As the function `runs`. Raises `Unreachable`."""
        from redis import RedisError

        try:
            return runs(self._client, self._prefix, entity, limit, before)
        except RedisError as error:
            raise Unreachable(f"Redis does not answer: {error}") from None


def key_of(prefix: str, entity: str) -> str:
    """The Redis key of an entity's history."""
    return f"{prefix}:runs:{entity}"


def keep(client: "redis.Redis", prefix: str, records: Iterable[Appended]) -> None:
    """Put records in, and what is too much out. Raises `redis.RedisError`; then do it again."""
    found: dict[str, list[Appended]] = {}
    for record in records:
        found.setdefault(record.entity, []).append(record)
    pipe = client.pipeline(transaction=False)
    for entity, some in found.items():
        key, largest = key_of(prefix, entity), max(len(record.value) for record in some)
        most = max(FEWEST_RUNS, min(MOST_RUNS, MOST_BYTES // (largest or 1)))
        pipe.zadd(key, {record.value: record.at for record in some})
        pipe.zremrangebyrank(key, 0, -most - 1)
        pipe.expire(key, KEPT)
    pipe.execute()


def runs(client: "redis.Redis", prefix: str, entity: str, limit: int, before: float = math.inf) -> list[Past]:
    """The last judged runs of an entity that ended before then, the newest first. Raises `redis.RedisError`."""
    found = cast("list[bytes]", client.zrange(key_of(prefix, entity), 0, -1))
    told: dict[tuple[str | None, str, str, float], Past] = {}
    for value in found:
        run = msgspec.json.decode(value, type=JudgedRun)
        if run.ended < before:
            # What was told of a run later adds to it; without an id it is known by its time.
            name = run.run_id, run.kind, run.grain, 0.0 if run.run_id and run.kind != "window" else run.ended
            judged = {**(told[name].judgements if name in told else {}), **judgements(run)}
            told[name] = Past(run=run, judgements=judged)
    return sorted(told.values(), key=lambda past: -past.run.ended)[:limit]


def judgements(run: JudgedRun) -> dict[str, Judgement]:
    """The numbers of a record, by metric. One that does not hold as many as it has metrics has none."""
    count = len(run.metrics)
    if len(run.values) != 8 * count or len(run.bands) != 24 * count:
        return {}
    values, bands, unusual = struct.unpack(f"<{count}d", run.values), _bands(run.bands), set(run.unusual)
    return {
        metric: Judgement(value, *band, place in unusual)
        for place, (metric, value, band) in enumerate(zip(run.metrics, values, bands, strict=True))
    }


def _bands(raw: bytes) -> Iterable[tuple[float | None, float | None, float | None]]:
    for band in struct.iter_unpack("<3d", raw):
        lower, expected, upper = (rounded(x) for x in band)
        yield lower, expected, upper


def series(past: Iterable[Past], metric: str) -> list[Point]:
    """One metric of these runs, the oldest first. What profiles are of is a part of a metric's name."""
    points = [
        Point(at=one.run.ended, run_id=one.run.run_id, **msgspec.structs.asdict(one.judgements[metric]))
        for one in past
        if metric in one.judgements
    ]
    return sorted(points, key=lambda point: point.at)


def metrics(past: Iterable[Past]) -> dict[str, str | None]:
    """The metrics that any of these runs has, and their units."""
    return {metric: unit_of(metric) for metric in sorted({metric for one in past for metric in one.judgements})}
