"""The judged runs in Redis: what is kept of them, and what is read back."""

import math
import struct
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from detector import history
from detector.core.emissions import JudgedRun
from detector.embedded import EmbeddedRedis
from tests.core.world import JOB, TABLE, World

PREFIX = "test"
NAN = math.nan


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as running:
        yield running


@pytest.fixture
def client(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as connected:
        connected.flushall()
        yield connected


def told(run_id: str | None, ended: float, *rows: tuple[str, float, float, float, float], **more: Any) -> JudgedRun:
    """A judged run with a row (metric, value, lower, expected, upper) for each series."""
    numbers = {
        "metrics": [row[0] for row in rows],
        "values": b"".join(struct.pack("<d", row[1]) for row in rows),
        "bands": b"".join(struct.pack("<3d", *row[2:]) for row in rows),
    }
    known: dict[str, Any] = {"kind": "run", "state": "COMPLETE", "severity": "info", "reason": "a good run"}
    return JudgedRun(**{**known, "entity": JOB, "run_id": run_id, "ended": ended, **numbers, **more})


def kept(client: redis.Redis, *runs: JudgedRun, at: int = 0) -> None:
    records = [history.Appended(run.entity, at + n, msgspec.json.encode(run)) for n, run in enumerate(runs)]
    history.keep(client, PREFIX, records)


def test_what_was_judged_is_read_back_the_newest_first(client: redis.Redis) -> None:
    kept(
        client, told("a", 100.0, ("rows_out", 9.0, 8.0, 9.0, 10.0)), told("b", 200.0, ("rows_out", 2.0, 8.0, 9.5, 10.0))
    )

    found = history.runs(client, PREFIX, JOB, 10)

    assert [past.run.run_id for past in found] == ["b", "a"]
    assert found[0].judgements == {"rows_out": history.Judgement(2.0, 8.0, 9.5, 10.0, False)}


def test_what_is_not_known_yet_is_nothing(client: redis.Redis) -> None:
    kept(client, told("a", 100.0, ("rows_out", 9.0, -math.inf, NAN, math.inf)))

    assert history.runs(client, PREFIX, JOB, 1)[0].judgements["rows_out"] == history.Judgement(
        9, None, None, None, False
    )


def test_what_was_heard_of_a_run_later_adds_to_it(client: redis.Redis) -> None:
    early = told("a", 100.0, ("duration", 5.0, 4.0, 5.0, 6.0))
    late = told("a", 100.0, ("rows_out", 1.0, 8.0, 9.0, 10.0), severity="critical", unusual=[0])
    kept(client, early, late)

    (past,) = history.runs(client, PREFIX, JOB, 10)

    assert (past.run.severity, sorted(past.judgements)) == ("critical", ["duration", "rows_out"])
    assert past.judgements["rows_out"].unusual


def test_windows_of_one_run_are_told_apart(client: redis.Redis) -> None:
    kept(client, *(told("stream", at, ("rows_out", at, 0.0, 0.0, 0.0), kind="window") for at in (1.0, 2.0)))

    assert [past.run.ended for past in history.runs(client, PREFIX, JOB, 10)] == [2.0, 1.0]


def test_a_record_that_comes_twice_is_there_once(client: redis.Redis) -> None:
    run = told("a", 100.0, ("rows_out", 9.0, 8.0, 9.0, 10.0))
    kept(client, run)
    kept(client, run)

    assert client.zcard(history.key_of(PREFIX, JOB)) == 1


def test_a_page_ends_where_the_next_begins(client: redis.Redis) -> None:
    kept(client, *(told(str(n), float(n)) for n in range(5)))

    first = history.runs(client, PREFIX, JOB, 2)
    second = history.runs(client, PREFIX, JOB, 2, before=first[-1].run.ended)

    assert [past.run.run_id for past in (*first, *second)] == ["4", "3", "2", "1"]


def test_the_oldest_go_when_there_are_too_many(client: redis.Redis) -> None:
    kept(client, *(told(str(n), float(n)) for n in range(history.MOST_RUNS + 5)))

    found = history.runs(client, PREFIX, JOB, 10_000)

    assert (len(found), found[-1].run.run_id) == (history.MOST_RUNS, "5")


def test_large_profiles_are_kept_as_long_as_the_memory_that_they_may_have(client: redis.Redis) -> None:
    wide = [(f"mean(column_{n})", 1.0, 0.0, 1.0, 2.0) for n in range(900)]
    for n in range(40):
        kept(client, told(str(n), float(n), *wide), at=n)

    size = client.memory_usage(history.key_of(PREFIX, JOB))
    assert history.FEWEST_RUNS <= len(history.runs(client, PREFIX, JOB, 100)) < 40
    assert size is not None
    assert size < 2 * history.MOST_BYTES


def test_a_series_is_one_metric_in_the_order_of_time(client: redis.Redis) -> None:
    kept(
        client,
        told("b", 2.0, ("rows_out", 2.0, 0, 1, 2)),
        told("a", 1.0, ("rows_out", 1.0, 0, 1, 2), ("files", 1, 0, 1, 2)),
    )
    past = history.runs(client, PREFIX, JOB, 10)

    assert [(point.at, point.value) for point in history.series(past, "rows_out")] == [(1.0, 1.0), (2.0, 2.0)]
    assert history.metrics(past) == {"files": None, "rows_out": "rows"}


def test_a_band_of_the_wrong_size_harms_nobody() -> None:
    assert history.judgements(told("a", 1.0, ("rows_out", 1.0, 0, 1, 2), values=b"12")) == {}


def test_what_the_core_judges_comes_through(client: redis.Redis) -> None:
    world = World()
    for day in range(20):
        world.run(86_400.0 * (20_000 + day), rows=9_400.0 + 10 * day)
    world.run(86_400.0 * 20_020, rows=12.0)
    kept(client, *(run for run in world.judged if run.entity == JOB))

    newest, *older = history.runs(client, PREFIX, JOB, 100)

    judged = newest.judgements["rows_out"]
    assert (judged.value, judged.unusual, len(older)) == (12.0, True, 20)
    assert judged.lower is not None
    assert 12.0 < judged.lower < 9_400.0
    assert {run.kind for run in world.judged if run.entity == TABLE} == {"load"}
