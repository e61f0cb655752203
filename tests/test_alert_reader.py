"""The reader of `detector alert` on a broker: from the start each time, with what was told beside it."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka import Producer

from detector.alert_reader import AlertReader
from detector.embedded import EmbeddedBroker
from detector.errors import SinkBusy, Unreachable
from tests.services.waiting import eventually


@pytest.fixture
def settings(embedded_broker: EmbeddedBroker) -> dict[str, str]:
    for topic in ("incidents", "alerts"):
        embedded_broker.create_topic(topic, 2)
    return {"bootstrap.servers": embedded_broker.bootstrap}


@pytest.fixture
def reader(settings: dict[str, str]) -> Iterator[AlertReader]:
    with closing(AlertReader(settings, "group", "incidents", "alerts")) as made:
        yield made


def say(settings: dict[str, str], *keys: str) -> None:
    producer = Producer(settings)
    for key in keys:
        producer.produce("incidents", b"value", key, partition=1)
    assert producer.flush(10) == 0


def read(reader: AlertReader, count: int) -> list[str]:
    found: list[str] = []

    def all_of_it() -> bool:
        found.extend((record.key or b"").decode() for record in reader.poll(0.1))
        return len(found) >= count and bool(reader.places) and reader.caught_up

    eventually(all_of_it, "all records")
    return found


def test_it_reads_from_the_start_also_when_it_has_committed(settings: dict[str, str]) -> None:
    say(settings, "a", "b")
    with closing(AlertReader(settings, "group", "incidents", "alerts")) as first:
        assert read(first, 2) == ["a", "b"]
        first.commit({1: 2})
    with closing(AlertReader(settings, "group", "incidents", "alerts")) as second:
        assert read(second, 2) == ["a", "b"]
        assert set(second.places) == {0, 1}


def test_it_has_seen_the_end_until_more_comes(settings: dict[str, str], reader: AlertReader) -> None:
    read(reader, 0)
    say(settings, "a")

    assert read(reader, 1) == ["a"]


@pytest.mark.slow
def test_what_was_told_is_kept_where_the_incident_is(reader: AlertReader) -> None:
    reader.keep(1, "pager/a", b"1")
    reader.keep(1, "pager/a", b"2")
    reader.keep(1, "pager/b", b"3")
    reader.keep(1, "pager/b", None)

    assert reader.kept(1) == {"pager/a": b"2"}
    assert reader.kept(0) == {}


@pytest.mark.slow
def test_a_topic_that_is_not_there_is_said(embedded_broker: EmbeddedBroker) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        AlertReader({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, "group", "incidents", "alerts")


def test_what_cannot_be_kept_or_committed_is_tried_again(settings: dict[str, str]) -> None:
    with closing(AlertReader(settings, "group", "incidents", "alerts")) as reader:
        with pytest.raises(SinkBusy, match="does not take what was told"):
            reader.keep(99, "pager/a", b"1")
        with pytest.raises(SinkBusy, match="does not take the positions"):
            reader.commit({99: 1})
