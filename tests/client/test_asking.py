"""May this pipeline go on? From each source the same answers, and what follows from them."""

import asyncio
import logging
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from detector.client import BreakerOpen, Client, settle
from detector.embedded import EmbeddedBroker, EmbeddedRedis
from detector.view import Answer, Asked, decide, key_of, unknown
from tests.client.world import JOB, OTHER, WHY, Api, beat, opened, serving, value
from tests.services.gate import Gate
from tests.services.waiting import eventually

VALUES = {JOB: opened(), OTHER: value(OTHER), "job:a/block": opened("job:a/block", on_unknown="block")}


@pytest.fixture(scope="module")
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(tcp=True) as server, server.client() as client:
        for entity, breaker in VALUES.items():
            stored = {**msgspec.to_builtins(breaker), "offset": 1, "topic_id": "t"}
            client.set(key_of("detector", entity), msgspec.json.encode(stored))
        client.set(key_of("detector", "heartbeat:0"), beat())
        yield server


@pytest.fixture(scope="module")
def kafka() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        broker.create_topic("detector.breakers")
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        for entity, breaker in VALUES.items():
            producer.produce("detector.breakers", msgspec.json.encode(breaker), entity)
        producer.produce("detector.breakers", beat(), "heartbeat:0")
        assert producer.flush(20) == 0
        yield broker


@pytest.fixture
def api() -> Api:
    api = Api()
    api.values = dict(VALUES)
    return api


@pytest.fixture(params=["redis", "kafka", "http"])
def client(request: pytest.FixtureRequest, api: Api) -> Iterator[Client]:
    """A client of each source."""
    if request.param == "http":
        with serving(api) as url, Client(url=url, timeout=10) as client:
            yield client
    elif request.param == "redis":
        with Client(redis=request.getfixturevalue("redis").url, timeout=10) as client:
            yield client
    else:
        with Client(kafka=request.getfixturevalue("kafka").bootstrap, timeout=10) as client:
            yield client


def test_every_source_has_the_same_answers(client: Client) -> None:
    answers = [client.check(entity) for entity in (JOB, OTHER, "job:nobody/knows")]

    assert [(a.entity, a.verdict, a.reason, a.outcome) for a in answers] == [
        (JOB, "block", "open", "blocked"),
        (OTHER, "allow", "closed", "allowed"),
        ("job:nobody/knows", "unknown", "no_record", "allowed_although_unknown"),
    ]
    assert WHY in answers[0].message


def test_every_source_believes_no_heartbeat_that_is_too_old(client: Client) -> None:
    client._max_age = 0.0

    answer = client.check("job:a/block")

    assert (answer.reason, answer.outcome) == ("stale", "blocked_since_unknown")


def test_every_source_answers_beside_the_event_loop(client: Client) -> None:
    async def ask() -> tuple[bool, bool]:
        first, second = await asyncio.gather(client.acheck(JOB), client.acheck(OTHER))
        return first.allowed, second.allowed

    assert asyncio.run(ask()) == (False, True)


# ---------------------------------------------------------------- what follows from an answer

ALLOW = decide(JOB, value(), time.time(), time.time())
BLOCK = decide(JOB, opened(), time.time(), time.time())
NOBODY_KNOWS = unknown(JOB, "no_record", "no breaker is known for it")
MAY_GO = msgspec.structs.replace(NOBODY_KNOWS, on_unknown="allow")
MAY_NOT = msgspec.structs.replace(NOBODY_KNOWS, on_unknown="block")


@pytest.mark.parametrize(
    ("answer", "settings", "outcome"),
    [
        pytest.param(ALLOW, {}, "allowed", id="known to be good"),
        pytest.param(ALLOW, {"on_unknown": "block"}, "allowed", id="known to be good, whatever else"),
        pytest.param(BLOCK, {}, "blocked", id="known to be bad"),
        pytest.param(BLOCK, {"overruled": "allow"}, "blocked", id="known to be bad, whatever else"),
        pytest.param(NOBODY_KNOWS, {}, "allowed_although_unknown", id="nobody says anything"),
        pytest.param(NOBODY_KNOWS, {"on_unknown": "block"}, "blocked_since_unknown", id="the caller says it"),
        pytest.param(MAY_GO, {"on_unknown": "block"}, "allowed_although_unknown", id="the breaker goes before it"),
        pytest.param(MAY_NOT, {}, "blocked_since_unknown", id="the breaker says it"),
        pytest.param(MAY_NOT, {"overruled": "allow"}, "allowed_although_unknown", id="the caller insists"),
    ],
)
def test_what_follows_from_an_answer(answer: Answer, settings: dict, outcome: str) -> None:
    permission = settle(answer, **settings)

    assert (permission.outcome, permission.allowed) == (outcome, outcome.startswith("allowed"))
    assert permission.message == answer.message


# ---------------------------------------------------------------- with, and decorators


@pytest.fixture
def asking(api: Api) -> Iterator[Client]:
    with serving(api) as url, Client(url=url, token="hunter2", timeout=10) as client:
        yield client


def test_what_is_bad_is_not_entered_and_the_error_says_why_and_what_to_do(asking: Client) -> None:
    with pytest.raises(BreakerOpen) as caught, asking.breaker(JOB):
        pytest.fail("it went in")

    told = str(caught.value)
    assert told.startswith(f"{JOB} may not go on: open for 1 d: {WHY}.")
    assert f"detector breaker override {JOB} --force-closed" in told
    assert caught.value.answer.verdict == "block"


def test_what_is_good_is_entered_and_its_own_errors_come_out(asking: Client) -> None:
    with pytest.raises(ZeroDivisionError), asking.breaker(OTHER):
        _ = 1 / 0


def test_who_goes_on_although_nobody_knows_is_told_in_the_log(asking: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), asking.breaker("job:nobody/knows") as answer:
        assert answer.outcome == "allowed_although_unknown"

    (record,) = caplog.records
    assert record.getMessage().startswith(
        "job:nobody/knows goes on although nobody knows whether it may: no breaker is"
    )


def test_who_wants_to_wait_when_nobody_knows_does_not_go_on(asking: Client) -> None:
    with pytest.raises(BreakerOpen, match="nobody knows whether it may"), asking.breaker("job:a/b", on_unknown="block"):
        pytest.fail("it went in")


def test_a_decorated_function_asks_before_each_call(asking: Client, api: Api) -> None:
    @asking.breaker(OTHER)
    def load(rows: int) -> int:
        """Load."""
        return rows

    assert (load(5), load.__doc__) == (5, "Load.")
    api.values[OTHER] = opened(OTHER)
    with pytest.raises(BreakerOpen):
        load(6)


def test_a_decorated_coroutine_asks_before_each_call(asking: Client, api: Api) -> None:
    @asking.breaker(OTHER)
    async def load(rows: int) -> int:
        return rows

    assert asyncio.run(load(5)) == 5
    api.values[OTHER] = opened(OTHER)
    with pytest.raises(BreakerOpen):
        asyncio.run(load(6))


@pytest.mark.slow
def test_who_may_wait_goes_on_when_the_breaker_closes(asking: Client, api: Api) -> None:
    async def load() -> str:
        async with asking.breaker(JOB, wait=30) as answer:
            return answer.outcome

    async def mend() -> None:
        while not api.seen:
            await asyncio.sleep(0)
        api.values[JOB] = value()

    async def both() -> str:
        outcome, _ = await asyncio.gather(load(), mend())
        return outcome

    assert asyncio.run(both()) == "allowed"


def test_the_error_arrives_whole_in_another_process(asking: Client) -> None:
    with pytest.raises(BreakerOpen) as caught, asking.breaker(JOB):
        pytest.fail("it went in")

    there = pickle.loads(pickle.dumps(caught.value))

    assert (str(there), there.answer.entity) == (str(caught.value), JOB)


# ---------------------------------------------------------------- the HTTP API


def test_the_api_gets_the_entity_whole_the_token_and_who_asks(asking: Client, api: Api) -> None:
    asking.check(OTHER, probe="run 7", partitions=("day=1",), columns=("id", "a&b"))

    asked = Asked(probe="run 7", partitions=("day=1",), columns=("id", "a&b"))
    assert api.seen == [(OTHER, "Bearer hunter2", asked)]


def test_the_api_is_asked_over_one_connection(asking: Client, api: Api) -> None:
    for _ in range(5):
        asking.check(OTHER)

    assert (len(api.seen), api.connections) == (5, 1)


@pytest.mark.parametrize(
    ("status", "body", "reason", "message"),
    [
        pytest.param(401, b"{}", "unreachable", "is DETECTOR_TOKEN set and right?", id="without a token"),
        pytest.param(503, b'{"detail": "no copy yet"}', "unreachable", "refuses: 503 no copy yet", id="not ready"),
        pytest.param(502, b"<html>", "unreachable", "refuses: 502", id="a proxy"),
        pytest.param(200, b"<html>", "unreadable", "not readable", id="something else"),
    ],
)
def test_an_api_that_does_not_answer_the_question_is_unknown(
    asking: Client, api: Api, status: int, body: bytes, reason: str, message: str
) -> None:
    api.status, api.body = status, body

    answer = asking.check(OTHER)

    assert (answer.verdict, answer.reason) == ("unknown", reason)
    assert message in answer.message
    assert "hunter2" not in answer.message


# ---------------------------------------------------------------- while a source is away


def away_and_back(client: Client, leave: Callable[[], None], back: Callable[[], None]) -> tuple[str, str]:
    """What is answered while the source is away, and how long that takes; then it must answer again."""
    assert client.check(JOB).verdict == "block"
    leave()
    began = time.monotonic()
    answer = client.check(JOB)
    assert time.monotonic() - began < 3.0
    back()
    eventually(lambda: client.check(JOB).verdict == "block", "the source to answer again")
    return answer.reason, answer.outcome


def test_a_redis_that_is_away_is_unknown_soon_and_asked_again(redis: EmbeddedRedis) -> None:
    with Gate(int(redis.url.rsplit(":", 1)[1].split("/")[0])) as gate:
        gate.open()
        with Client(redis=f"redis://127.0.0.1:{gate.port}/0", timeout=1) as client:
            assert away_and_back(client, gate.shut, gate.open) == ("unreachable", "allowed_although_unknown")


def test_an_api_that_is_away_is_unknown_soon_and_asked_again(api: Api) -> None:
    with serving(api) as url, Gate(int(url.rsplit(":", 1)[1])) as gate:
        gate.open()
        with Client(url=f"http://127.0.0.1:{gate.port}", timeout=1) as client:
            assert away_and_back(client, gate.shut, gate.open) == ("unreachable", "allowed_although_unknown")


@pytest.mark.slow
@pytest.mark.parametrize("source", ["http", "redis"])
def test_who_does_not_answer_is_unknown_within_the_timeout(source: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        options: dict[str, Any] = {"url": f"http://{where}"} if source == "http" else {"redis": f"redis://{where}"}
        with Client(**options, timeout=0.5) as client:
            began = time.monotonic()
            answer = client.check(JOB)

    assert (answer.reason, answer.outcome) == ("unreachable", "allowed_although_unknown")
    assert time.monotonic() - began < 3.0


@pytest.mark.slow
def test_while_kafka_is_away_the_copy_is_believed_as_long_as_its_heartbeat_is_fresh(kafka: EmbeddedBroker) -> None:
    with Client(kafka=kafka.bootstrap, timeout=10, max_age=3_600) as client:
        assert away_and_back(client, kafka.refuse_connections, kafka.accept_connections) == ("open", "blocked")
        client._max_age = 0.0
        assert client.check(JOB).reason == "stale"


@pytest.mark.slow
def test_a_kafka_that_was_never_there_is_unknown_within_the_timeout() -> None:
    with Client(kafka="127.0.0.1:1", timeout=0.5) as client:
        answer = client.check(JOB)

    assert (answer.reason, answer.outcome) == ("unreachable", "allowed_although_unknown")
    assert "there is no copy of detector.breakers yet" in answer.message
