"""May this pipeline go on? The rule as a table, and what Redis must hold for it."""

import time
from collections.abc import Iterator

import msgspec
import pytest
import redis

from detector import view
from detector.core.breaker import State
from detector.core.emissions import BreakerValue
from detector.embedded import EmbeddedRedis
from detector.view import decide, read

NOW = 1_787_371_391.0
JOB = "job:airflow/orders"


def value(**change: object) -> BreakerValue:
    closed = BreakerValue(
        entity=JOB,
        state=State.CLOSED,
        mode="enforce",
        on_unknown="allow",
        since=NOW - 3_600,
        retry_at=None,
        reason="a good run",
        cause=None,
        trips=0,
        sequence=4,
        warming_up=False,
        partition=3,
    )
    return msgspec.structs.replace(closed, **change)


OPEN = {"state": State.OPEN, "reason": "412 rows, expected 9,400 to 11,800", "retry_at": NOW + 300, "trips": 1}


@pytest.mark.parametrize(
    ("breaker", "age", "expected"),
    [
        pytest.param(value(), 4, ("allow", "closed"), id="a closed one lets pass"),
        pytest.param(value(**OPEN), 4, ("block", "open"), id="an open one blocks"),
        pytest.param(value(**OPEN | {"retry_at": NOW - 1}), 4, ("block", "open"), id="until the detector moves it"),
        pytest.param(value(state=State.HALF_OPEN), 4, ("allow", "probe"), id="a half-open one admits a probe"),
        pytest.param(value(state=State.UNKNOWN), 4, ("unknown", "lost"), id="the detector itself does not know"),
        pytest.param(value(**OPEN, mode="shadow"), 4, ("allow", "shadow"), id="a shadow stops nobody"),
        pytest.param(value(mode="off"), 4, ("allow", "off"), id="one that is off stops nobody"),
        pytest.param(value(), None, ("unknown", "no_heartbeat"), id="no heartbeat was ever seen"),
        pytest.param(value(), 60, ("allow", "closed"), id="as old as it may be"),
        pytest.param(value(), 61, ("unknown", "stale"), id="too old to believe that it is closed"),
        pytest.param(value(**OPEN), 61, ("unknown", "stale"), id="too old to believe that it is open"),
        pytest.param(value(mode="shadow"), 61, ("unknown", "stale"), id="too old to believe the mode"),
        pytest.param(value(), -5, ("allow", "closed"), id="clocks differ a little"),
        pytest.param(value(), -61, ("unknown", "ahead"), id="clocks differ too much to know how old it is"),
        pytest.param(None, None, ("unknown", "no_record"), id="nobody has spoken of it"),
    ],
)
def test_the_answer(breaker: BreakerValue | None, age: float | None, expected: tuple[str, str]) -> None:
    answer = decide(JOB, breaker, None if age is None else NOW - age, NOW)

    assert (answer.verdict, answer.reason) == expected


@pytest.mark.parametrize(
    ("breaker", "expected"),
    [
        pytest.param(value(on_unknown="block"), "block", id="as configured"),
        pytest.param(value(on_unknown="block", mode="shadow"), "allow", id="a shadow never stops anybody"),
        pytest.param(None, None, id="not known either"),
    ],
)
def test_what_to_do_when_unknown(breaker: BreakerValue | None, expected: str | None) -> None:
    answer = decide(JOB, breaker, None, NOW)

    assert (answer.verdict, answer.on_unknown) == ("unknown", expected)


def test_a_message_has_all_that_a_person_needs() -> None:
    answer = decide(JOB, value(**OPEN), NOW - 4, NOW)

    assert answer.message == (
        "open for 1 h: 412 rows, expected 9,400 to 11,800; a probe may run from Sat 22 Aug 04:08:11 UTC, in 5 min"
    )
    assert answer.heartbeat_age == 4


def test_a_shadow_says_what_it_would_have_done() -> None:
    answer = decide(JOB, value(**OPEN, mode="shadow"), NOW - 4, NOW)

    assert answer.message == (
        "its breaker is in shadow mode, which stops nobody; it is open for 1 h: 412 rows, expected 9,400 to 11,800"
    )


# ---------------------------------------------------------------- reading


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def client(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    client = server.client()
    client.flushall()
    yield client
    client.close()


def stored(breaker: BreakerValue) -> bytes:
    return msgspec.json.encode({**msgspec.to_builtins(breaker), "offset": 17, "topic_id": "t"})


def test_reading_takes_the_breaker_and_the_heartbeat_of_its_partition(client: redis.Redis) -> None:
    client.set("d:breaker:job:airflow/orders", stored(value(**OPEN)))
    client.set("d:heartbeat:3", b'{"partition":3,"clock":%d,"offset":4,"topic_id":"t"}' % (NOW - 7))
    client.set("d:heartbeat:2", b'{"partition":2,"clock":0,"offset":4,"topic_id":"t"}')

    answer = read(client, "d", JOB, NOW)

    assert (answer.verdict, answer.heartbeat_age) == ("block", 7)
    assert isinstance(answer.breaker, view.Stored)
    assert (answer.breaker.offset, answer.breaker.topic_id) == (17, "t")


def test_a_client_that_decodes_reads_the_same(server: EmbeddedRedis, client: redis.Redis) -> None:
    client.set("d:breaker:job:airflow/orders", stored(value()))
    client.set("d:heartbeat:3", b'{"partition":3,"clock":%d}' % NOW)
    decoding = redis.Redis.from_url(server.url, decode_responses=True)

    assert read(decoding, "d", JOB, NOW) == read(client, "d", JOB, NOW)
    decoding.close()


def test_an_empty_redis_knows_nothing(client: redis.Redis) -> None:
    assert read(client, "d", JOB, NOW).reason == "no_record"


@pytest.mark.parametrize("broken", [b"{", b'{"state":"molten"}'])
def test_what_a_newer_release_wrote_is_unknown_and_no_crash(client: redis.Redis, broken: bytes) -> None:
    client.set("d:breaker:job:airflow/orders", broken)

    assert read(client, "d", JOB, NOW).reason == "unreadable"


def test_a_redis_that_is_away_is_an_answer() -> None:
    away = redis.Redis.from_url("unix:///nonexistent/redis.sock", retry=None)

    answer = read(away, "d", JOB, time.time())

    assert (answer.verdict, answer.reason) == ("unknown", "unreachable")


def test_every_verdict_has_its_exit_code() -> None:
    assert view.EXIT_CODES == {"allow": 0, "block": 1, "unknown": 2}


def test_the_list_has_every_breaker_and_those_that_block_first(client: redis.Redis) -> None:
    client.set("d:heartbeat:3", b'{"partition":3,"clock":%d}' % NOW)
    for name, breaker in (("a", value()), ("b", value(**OPEN)), ("c", value(partition=4))):
        client.set(f"d:breaker:job:airflow/{name}", stored(breaker))
    client.set("d:breaker:job:airflow/d", b"{")
    client.set("d2:breaker:job:airflow/e", stored(value()))

    answers = view.read_all(client, "d", NOW)

    assert [(answer.entity, answer.reason) for answer in answers] == [
        ("job:airflow/b", "open"),
        ("job:airflow/c", "no_heartbeat"),
        ("job:airflow/d", "unreadable"),
        ("job:airflow/a", "closed"),
    ]
