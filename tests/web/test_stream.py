"""Server-sent events: what is told, to whom who comes again, and that a slow reader holds up nobody."""

import asyncio
import json
from collections.abc import Iterator
from threading import Thread
from typing import Any

import httpx
import pytest

from detector.core.emissions import Emission, Quarantined
from detector.web.ring import Ring, kind_of
from detector.web.stream import Streams
from tests.services.waiting import eventually
from tests.web.known import JOB, Known

Event = dict[str, Any]


def say(known: Known, number: int, partition: int = 0) -> None:
    data = Quarantined(entity=JOB, partition=0, offset=number, error="E", failures=1, summary=str(number))
    known.say(Emission(str(number), "control", JOB, "io.detector.entity.quarantined.v1", 0.0, data), partition)


def events(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream, as a browser takes them."""
    event: Event = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            event[name] = json.loads(value) if name == "data" else value
        elif "event" in event:
            yield event
            event = {}


def followed(client: httpx.Client, count: int, last: str = "", then: Any = None) -> list[Event]:
    """So many events; `then` is called when the stream has begun."""
    headers = {"last-event-id": last} if last else {}
    found: list[Event] = []
    with client.stream("GET", "/v1/events", headers=headers) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        for event in events(answer.iter_lines()):
            found.append(event)
            if len(found) == 1 and then is not None:
                then()
            if len(found) == count:
                return found
    return found


def test_a_stream_begins_with_the_clocks_and_tells_what_comes(reader: httpx.Client, known: Known) -> None:
    first, second = followed(reader, 2, then=lambda: say(known, 7))

    assert (first["event"], set(first["data"]["clocks"])) == ("heartbeat", {"0", "1", "2", "3"})
    assert (second["event"], second["data"]["entity"], second["data"]["data"]["summary"]) == ("other", JOB, "7")


def test_who_comes_again_hears_what_was_missed_and_nothing_twice(reader: httpx.Client, known: Known) -> None:
    (_, seen) = followed(reader, 2, then=lambda: say(known, 1))
    say(known, 2, partition=1)
    say(known, 3)

    found = followed(reader, 3, last=seen["id"])

    assert [event["data"]["data"]["summary"] for event in found[:2]] == ["2", "3"]
    assert found[2]["event"] == "heartbeat"


@pytest.mark.parametrize(
    "last", [pytest.param("nonsense", id="no id of ours"), pytest.param("9.9.9.9", id="an id of another topic")]
)
def test_who_missed_something_is_told_to_ask_anew(reader: httpx.Client, last: str) -> None:
    assert [event["event"] for event in followed(reader, 2, last=last)] == ["reset", "heartbeat"]


def test_readers_are_let_go_when_the_server_ends(known: Known) -> None:
    async def follow() -> list[bytes]:
        streams, sent = Streams(known.facts, lambda: None), list[bytes]()

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))
            streams.end()

        await asyncio.wait_for(streams.serve([], None, _never, send), 20)
        return sent

    assert asyncio.run(follow())[-1] == b""


def test_a_reader_that_does_not_read_is_cut_off_and_others_are_told_all(known: Known) -> None:
    async def follow() -> tuple[int, int]:
        dropped = list[int]()
        streams, heard = Streams(known.facts, lambda: dropped.append(1), patience=0.2), list[bytes]()

        async def stuck(message: Any) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        async def quick(message: Any) -> None:
            heard.append(message.get("body", b""))
            if b"summary" in heard[-1]:
                streams.end()

        slow = asyncio.create_task(streams.serve([], None, _never, stuck))
        fast = asyncio.create_task(streams.serve([], None, _never, quick))
        await asyncio.wait_for(slow, 20)
        say(known, 1)
        await asyncio.wait_for(fast, 20)
        return len(dropped), b"".join(heard).count(b'"summary":"1"')

    assert asyncio.run(follow()) == (1, 1)


async def _never() -> Any:
    await asyncio.Event().wait()


# ---------------------------------------------------------------- the ring


def add(ring: Ring, partition: int, offset: int) -> None:
    ring.add(partition, offset, JOB, {"id": f"{partition}/{offset}", "type": "io.detector.sla.v1", "data": None})


def test_the_ring_keeps_the_newest() -> None:
    ring = Ring(size=3)
    ring.begin(2)
    for offset in range(5):
        add(ring, 0, offset)

    assert [said.offset for said in ring.since("2.0") or []] == [2, 3, 4]
    assert ring.since("1.0") is None
    assert [said.offset for said in ring.after(ring.number - 1) or []] == [4]
    assert ring.after(0) is None


def test_the_ring_is_bounded_in_bytes() -> None:
    ring = Ring(size=1_000, most=500)
    ring.begin(1)
    for offset in range(50):
        add(ring, 0, offset)

    assert len(ring.since(f"{ring._gone[0]}") or []) < 6


def test_an_id_is_of_any_process_that_reads_the_topic() -> None:
    """Two read the partitions in another order: each goes on where the other's reader was."""
    one, other = Ring(), Ring()
    for ring, order in ((one, (0, 1)), (other, (1, 0))):
        ring.begin(2)
        for partition in order:
            add(ring, partition, 0)
    first = (one.since("0.0") or [])[0]

    place = first.lines.split(b"\n")[0].removeprefix(b"id: ").decode()

    assert [(said.partition, said.offset) for said in other.since(place) or []] == [(1, 0)]


def test_a_topic_that_was_made_anew_begins_a_new_ring() -> None:
    ring = Ring()
    ring.begin(1)
    add(ring, 0, 5)
    ring.begin(1)

    assert ring.since("6") is None


def test_the_news_wake_who_waits_from_another_thread() -> None:
    ring = Ring()
    ring.begin(1)

    async def wait() -> int:
        number = ring.number
        Thread(target=add, args=(ring, 0, 0)).start()
        await asyncio.wait_for(ring.news(number, 20), 30)
        return ring.number - number

    assert asyncio.run(wait()) == 1


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("io.detector.breaker.held.v1", "breaker"),
        ("io.detector.breaker.state_changed.v1", "breaker"),
        ("io.detector.anomaly.started.v1", "finding"),
        ("io.detector.incident.opened.v1", "incident"),
        ("io.detector.command.done.v1", "command"),
        ("io.detector.recovery.plan.v1", "plan"),
        ("io.detector.sla.v1", "other"),
    ],
)
def test_events_have_short_names(type_: str, kind: str) -> None:
    assert kind_of(type_) == kind


@pytest.mark.slow
def test_readers_are_counted_off_when_they_go(reader: httpx.Client, known: Known) -> None:
    followed(reader, 1)

    def answered() -> float | None:
        labels = {"route": "/v1/events", "status": "2xx"}
        return known.telemetry.registry.get_sample_value("detector_http_requests_total", labels)

    assert eventually(answered, "the stream to be over") == 1
