"""A topic of rows, followed on the embedded broker: windows, positions, what dies and goes on."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from detector import profiling
from detector.codecs import Decoder
from detector.codecs.rows import Rows
from detector.core.events import DeadLetter, Profile, Record
from detector.core.profiles import columns_of
from detector.embedded import EmbeddedBroker
from detector.errors import Unreachable
from detector.profiling import DatasetProfile
from detector.profiling.asked import Asks
from detector.profiling.counting import Wanted
from detector.profiling.follow import Follower, windows_of
from detector.profiling.hashing import Hasher
from tests.services.waiting import eventually

KEY = b"a key of the tests, long enough"
OLD = time.time() // 60 * 60 - 300  # so that every window of it is closed
CANARY = "canary-4111111111111111"


def settings_of(bootstrap: str) -> dict[str, Any]:
    return {"bootstrap.servers": bootstrap, "log_level": 0}


def produce(bootstrap: str, records: list[tuple[int, float, bytes]], topic: str = "orders") -> None:
    """Values by partition and time."""
    producer = Producer(settings_of(bootstrap))
    for partition, at, value in records:
        producer.produce(topic, value, partition=partition, timestamp=round(at * 1_000))
    assert producer.flush(10) == 0


def row(**columns: Any) -> bytes:
    return msgspec.json.encode(columns)


def follower(bootstrap: str, span: float = 60.0, rows: int = 0, group: str = "g") -> Follower:
    who = profiling.identity("dataset:kafka/orders")
    wanted = Wanted(Hasher(KEY), Asks())
    windows = windows_of(span, rows, 1.0, {})
    return Follower(settings_of(bootstrap), "orders", "profiles", who, windows, Rows(), wanted, group)


@contextmanager
def following(
    made: Follower, from_start: bool = True, tell: Callable[[DatasetProfile], None] = lambda _: None
) -> Iterator[list[DatasetProfile]]:
    """A follower in a thread of its own; the profiles that it has delivered."""
    told: list[DatasetProfile] = []
    stop, failed = threading.Event(), list[BaseException]()

    def keep(found: DatasetProfile) -> None:
        told.append(found)
        tell(found)

    def run() -> None:
        try:
            made.run(keep, stop.is_set, from_start)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)
        finally:
            made.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join(30)
    assert failed == []


def sent(bootstrap: str, enough: Callable[[list[Profile]], bool]) -> list[Profile]:
    """The profiles on the topic, as Detector reads them."""
    consumer = Consumer({**settings_of(bootstrap), "group.id": "reader", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition("profiles", 0, 0)])
    found: list[Profile] = []

    def read() -> bool:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            assert message.key() == b"dataset:kafka/orders"
            event = Decoder().decode(Record("profiles", 0, message.offset() or 0, 0.0, None, message.value()))
            assert not isinstance(event, DeadLetter), event.message
            assert isinstance(event, Profile)
            found.append(event)
        return enough(found)

    eventually(read, "profiles")
    consumer.close()
    return found


@pytest.fixture
def broker(embedded_broker: EmbeddedBroker) -> str:
    embedded_broker.create_topic("orders", partitions=2)
    embedded_broker.create_topic("profiles", partitions=1)
    return embedded_broker.bootstrap


@pytest.mark.slow
def test_each_window_of_a_topic_is_a_profile(broker: str) -> None:
    first = [(i % 2, OLD + i, row(id=i, status="new" if i % 3 else "paid")) for i in range(40)]
    second = [(0, OLD + 60 + i, row(id=i, status=None)) for i in range(10)]
    produce(broker, first + second)

    with following(follower(broker)):
        profiles = sent(broker, lambda found: len(found) >= 2)

    start = OLD - OLD % 60
    assert [(p.window_start, p.window_end, p.event_time) for p in profiles[:2]] == [
        (start, start + 60, start + 60),
        (start + 60, start + 120, start + 120),
    ]
    assert sum(p.rows or 0 for p in profiles) == 50
    assert {p.grain for p in profiles} == {"window"}
    statistics = profiles[0].statistics
    assert statistics is not None
    columns = columns_of(statistics)
    assert columns.names == ["id", "status"]
    assert set(statistics.top_values["status"]) == {Hasher(KEY).of("new"), Hasher(KEY).of("paid")}


@pytest.mark.slow
def test_what_no_row_has_any_more_is_told_as_nulls(broker: str) -> None:
    produce(broker, [(0, OLD, row(a=1, b=2)), (0, OLD + 60, row(a=1))])

    with following(follower(broker)):
        profiles = sent(broker, lambda found: len(found) >= 2)

    statistics = profiles[1].statistics
    assert statistics is not None
    columns = columns_of(statistics)
    assert dict(zip(columns.names, columns.of("null_count").tolist(), strict=True)) == {"a": 0, "b": 1}


@pytest.mark.slow
def test_the_next_one_goes_on_where_the_last_one_has_delivered(broker: str) -> None:
    produce(broker, [(i % 2, OLD + i, row(id=i)) for i in range(12)])
    with following(follower(broker, span=2.0)) as told:
        eventually(lambda: sum(found.rows for found in told) == 12, "what is old to be told")

    produce(broker, [(i % 2, time.time(), row(id=i)) for i in range(4)])
    with following(follower(broker, span=2.0)) as more:
        eventually(lambda: sum(found.rows for found in more) == 4, "new rows")

    assert not {found.identity.window for found in told} & {found.identity.window for found in more}


@pytest.mark.slow
def test_what_died_before_it_committed_tells_the_same_windows_again(broker: str) -> None:
    produce(broker, [(0, OLD + i, row(id=i, x=i / 7)) for i in range(130)])

    class Died(Exception):
        pass

    def die(_: DatasetProfile) -> None:
        raise Died

    made = follower(broker)
    with pytest.raises(Died):
        made.run(die, lambda: False, True)
    made.close()
    with following(follower(broker)):
        profiles = sent(broker, lambda found: sum(p.window_start == OLD for p in found) == 2)

    first, again = (p for p in profiles if p.window_start == OLD)
    assert first == again


@pytest.mark.slow
def test_what_is_no_row_counts_as_one_of_nothing_but_nulls(broker: str) -> None:
    produce(broker, [(0, OLD, row(a=1)), (0, OLD + 1, f"{CANARY} is no JSON".encode()), (0, OLD + 2, b"[1]")])

    with following(follower(broker)) as told:
        eventually(lambda: len(told) >= 1, "a window")

    assert told[0].rows == 3
    assert told[0].columns[0].of("null_count") == 2
    assert "2 records were no rows" in told[0].notes[0]
    assert CANARY not in json.dumps(told[0].event())


def test_windows_of_rows_are_of_one_partition_each(broker: str) -> None:
    produce(broker, [(i % 2, OLD + i, row(id=i)) for i in range(25)])

    with following(follower(broker, rows=5)) as told:
        eventually(lambda: len(told) >= 4, "four windows")

    assert [found.rows for found in told] == [5, 5, 5, 5]
    assert {found.identity.partition for found in told} == {"0", "1"}


def test_without_a_commit_it_begins_at_the_end(broker: str) -> None:
    produce(broker, [(0, OLD, row(id=1))])
    made = follower(broker)

    with following(made, from_start=False):
        consumer = Consumer({**settings_of(broker), "group.id": "g"})
        committed = eventually(
            lambda: [p for p in consumer.committed([TopicPartition("orders", 0)], timeout=5) if p.offset >= 0],
            "the first commit",
        )
        consumer.close()

    assert (committed[0].offset, made.rows) == (1, 0)


@pytest.mark.slow
def test_a_topic_that_is_not_there_is_said(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.refuse_connections()
    made = follower(embedded_broker.bootstrap)

    with pytest.raises(Unreachable, match="does not answer"):
        made.run(lambda _: None, lambda: False)
    made.close()
