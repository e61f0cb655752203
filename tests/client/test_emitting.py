"""Runs and profiles arrive as the detector reads them, and nothing that goes wrong with that reaches the pipeline."""

import asyncio
import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from detector.client import BreakerOpen, Emitter, settle
from detector.client.emitting import LARGEST, PROFILES, RUNS
from detector.client.telling import Number, hashed, table
from detector.codecs import Decoder
from detector.core.events import Profile, Record, RunEvent
from detector.embedded import EmbeddedBroker
from detector.emit import key_of
from detector.seams import LARGEST as TAKEN
from detector.view import unknown
from tests.services.waiting import eventually

JOB, TABLE = "job:airflow/orders.load", "dataset:snowflake://acme-prod/DWH.PUBLIC.ORDERS"


class Site:
    """A broker with both topics, and what is on them as the detector reads it."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.broker = broker
        for topic in (RUNS, PROFILES):
            broker.create_topic(topic)
        self.emitter = Emitter(kafka=broker.bootstrap)

    def said(self, topic: str, count: int) -> list[RunEvent | Profile]:
        assert self.emitter.close() == 0
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": "g"})
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        messages = consumer.consume(count, 20)
        consumer.close()
        found = [Decoder().decode(Record(topic, 0, 0, 0.0, m.key(), m.value())) for m in messages]
        for event, message in zip(found, messages, strict=True):
            assert isinstance(event, RunEvent | Profile), event
            kind = "run" if isinstance(event, RunEvent) else "dataset"
            assert message.key() == f"{kind}:{event.namespace}/{event.name}".encode()
        return [event for event in found if isinstance(event, RunEvent | Profile)]

    def runs(self, count: int = 2) -> list[RunEvent]:
        return [event for event in self.said(RUNS, count) if isinstance(event, RunEvent)]


@pytest.fixture
def site(embedded_broker: EmbeddedBroker) -> Iterator[Site]:
    site = Site(embedded_broker)
    yield site
    site.emitter.close(0)


def test_a_run_that_ends_well_is_told_with_all_that_is_known_of_it(site: Site) -> None:
    with site.emitter.run(JOB, inputs=["dataset:shop/orders"], code_version="8f14e45", tags=["tier=1"]) as run:
        run.metric("rejected", 3)
        run.read("dataset:shop/orders", rows=10)
        run.wrote(TABLE, rows=9, bytes=512, version="8841")

    start, end = site.runs()
    assert (start.state, end.state, start.run_id) == ("START", "COMPLETE", end.run_id)
    assert (end.namespace, end.name, end.metrics) == ("airflow", "orders.load", {"rejected": 3.0})
    assert [(d.namespace, d.name, d.rows) for d in end.inputs] == [("shop", "orders", 10.0)]
    assert [(d.name, d.rows, d.bytes, d.version) for d in end.outputs] == [("DWH.PUBLIC.ORDERS", 9.0, 512.0, "8841")]
    assert (end.code_version, end.tags) == ("8f14e45", ("tier=1",))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        pytest.param(
            ValueError("no such id: 'ada@example.org'\nDETAIL"), "FAIL", "ValueError: no such id: '?'", id="fails"
        ),
        pytest.param(SystemExit(3), "FAIL", "SystemExit: #", id="exits badly"),
        pytest.param(SystemExit(0), "COMPLETE", None, id="exits well"),
        pytest.param(KeyboardInterrupt(), "ABORT", "KeyboardInterrupt", id="is interrupted"),
        pytest.param(asyncio.CancelledError(), "ABORT", "CancelledError", id="is cancelled"),
        pytest.param(BreakerOpen(settle(unknown(JOB, "lost", ""))), "ABORT", "BreakerOpen", id="is not let go"),
    ],
)
def test_how_a_run_ended_is_told_without_values(site: Site, error: BaseException, state: str, told: str | None) -> None:
    with suppress(BaseException), site.emitter.run(JOB):
        raise error

    end = site.runs()[1]
    assert (end.state, end.error) == (state, told)


@pytest.mark.slow
def test_a_run_may_be_a_coroutine(site: Site) -> None:
    async def load() -> None:
        async with site.emitter.run(JOB, run_id="r1"):
            await asyncio.sleep(0)

    asyncio.run(load())

    assert [(event.state, event.run_id) for event in site.runs()] == [("START", "r1"), ("COMPLETE", "r1")]


def test_a_profile_arrives_with_its_statistics_and_without_values(site: Site) -> None:
    statistics: dict[str, dict[str, Number]] = {
        "amount": {"count": 9, "mean": 46.1},
        "status": {"count": 9, "distinct": 3},
    }
    site.emitter.profile(
        TABLE, statistics, rows=9, top_values={"status": {"paid": 8}}, grain="partition", partition="d=1"
    )

    (profile,) = site.said(PROFILES, 1)
    assert isinstance(profile, Profile)
    assert (profile.name, profile.rows, profile.grain, profile.partition) == (
        "DWH.PUBLIC.ORDERS",
        9.0,
        "partition",
        "d=1",
    )
    assert profile.statistics is not None
    assert profile.statistics.columns == ("amount", "status")
    values = memoryview(profile.statistics.values).cast("d")
    assert [value if not math.isnan(value) else None for value in values] == [9.0, 46.1, None, 9.0, None, 3.0]


def test_no_value_of_a_column_leaves() -> None:
    assert list(hashed({"status": {"paid": 8}})["status"]) != ["paid"]


@given(st.dictionaries(st.text(max_size=3), st.dictionaries(st.sampled_from(["a", "b"]), st.floats() | st.none())))
def test_a_table_has_a_number_for_each_column_and_statistic(statistics: dict[str, dict[str, float | None]]) -> None:
    found = table(statistics).get("statistics", {"columns": [], "statistics": [], "values": b""})

    assert len(found["values"]) == 8 * len(found["columns"]) * len(found["statistics"])


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "run_event", "namespace": "a", "name": "b"},
        {"kind": "profile", "namespace": "a", "name": "b"},
    ],
)
def test_keys_are_those_of_detector_emit(site: Site, event: dict[str, str]) -> None:
    site.emitter.run("job:a/b").start()
    site.emitter.profile("dataset:a/b")

    site.said(RUNS if event["kind"] == "run_event" else PROFILES, 1)
    assert key_of(event) == ("run:a/b" if event["kind"] == "run_event" else "dataset:a/b")


@pytest.mark.parametrize("name", ["orders", "job:orders", "dataset:a/b", "job:/b", "job:a/", ""])
def test_a_job_that_is_none_is_refused_at_once(site: Site, name: str) -> None:
    with pytest.raises(ValueError, match="is no job: write job:<namespace>/<name>"):
        site.emitter.run(name)


def test_records_may_be_as_large_as_the_topics_take() -> None:
    assert LARGEST == TAKEN


# ---------------------------------------------------------------- nothing of it is the pipeline's affair


def test_what_cannot_be_told_is_counted_and_said_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), site.emitter.run(JOB) as run:
        run.metric("rows", "many")  # type: ignore[arg-type]
        site.emitter.profile(TABLE, {"a": {"count": object()}})  # type: ignore[dict-item]

    assert (site.emitter.close(), site.emitter.delivered, site.emitter.failed) == (0, 1, 2)
    assert len(caplog.records) == 1


def test_a_queue_that_is_full_loses_records_and_does_not_wait() -> None:
    emitter = Emitter(kafka="127.0.0.1:1", capacity=5)
    began = time.monotonic()

    for _ in range(50):
        emitter.run(JOB).start()

    assert time.monotonic() - began < 2.0
    assert emitter.failed == 45
    assert (emitter.close(0.1), emitter.failed) == (5, 50)


@pytest.mark.slow
def test_what_is_told_while_kafka_is_away_arrives_when_it_is_back(site: Site) -> None:
    site.broker.refuse_connections()
    with site.emitter.run(JOB):
        pass
    site.broker.accept_connections()

    assert [event.state for event in site.runs()] == ["START", "COMPLETE"]


@pytest.mark.slow
def test_who_has_closed_may_tell_again(site: Site) -> None:
    site.emitter.run(JOB).start()
    site.emitter.close()
    site.emitter.run(JOB).start()

    assert len(site.runs()) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_process_that_was_forked_tells_by_itself(site: Site) -> None:
    site.emitter.run(JOB, run_id="parent").start()
    assert (
        site.emitter._open().flush(20) == 0
    )  # at rest: what a thread that still connects has locked stays so in a child
    child = os.fork()
    if child == 0:
        site.emitter.run(JOB, run_id="child").start()
        os._exit(site.emitter.close())

    codes: list[int] = []

    def ended() -> bool:
        found, code = os.waitpid(child, os.WNOHANG)
        codes.append(code)
        return found == child

    eventually(ended, "the child to end", 20)
    assert codes[-1] == 0
    assert {event.run_id for event in site.runs()} == {"parent", "child"}
