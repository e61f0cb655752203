"""How long one waits for a Kafka: not long where nobody listens, and long enough where it is slow."""

import socket
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from detector.embedded import EmbeddedBroker, free_port
from detector.reach import Client, Reach

Made = Callable[[str, Reach], tuple[Client, Callable[[float], object]]]


def consumer(bootstrap: str, reach: Reach) -> tuple[Client, Callable[[float], object]]:
    client = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "log_level": 0, **reach.settings})
    return client, lambda timeout: client.list_topics(timeout=timeout)


def admin(bootstrap: str, reach: Reach) -> tuple[Client, Callable[[float], object]]:
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, **reach.settings})
    return client, lambda timeout: client.list_topics(timeout=timeout)


@pytest.mark.parametrize("make", [consumer, admin])
def test_where_nobody_listens_the_answer_is_soon_and_says_why(make: Made) -> None:
    reach, began = Reach(soon=0.3), time.monotonic()
    client, question = make(f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}", reach)

    with pytest.raises(KafkaException) as caught:
        reach.ask(client, question, within=60.0)

    assert time.monotonic() - began < 20.0
    assert "Connection refused" in caught.value.args[0].str()


@pytest.mark.slow
def test_who_listens_and_says_nothing_has_the_whole_time() -> None:
    reach, began = Reach(soon=0.2), time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client, question = admin(f"127.0.0.1:{silent.getsockname()[1]}", reach)

        with pytest.raises(KafkaException):
            reach.ask(client, question, within=1.0)

    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize("make", [consumer, admin])
def test_one_broker_that_answers_is_enough(make: Made, embedded_broker: EmbeddedBroker) -> None:
    reach = Reach()
    client, question = make(f"127.0.0.1:{free_port()},{embedded_broker.bootstrap}", reach)

    assert reach.ask(client, question, within=30.0)


def test_who_answers_late_is_heard_though_others_refused() -> None:
    """The question fails at first for another reason than that nobody is there."""
    asked: list[float] = []

    class Quiet:
        def poll(self, timeout: float, /) -> None:
            """Nothing to tell."""

    def question(timeout: float) -> str:
        asked.append(timeout)
        if len(asked) == 1:
            raise KafkaException("timed out")
        return "answer"

    assert Reach(soon=0.5).ask(Quiet(), question, within=10.0) == "answer"
    assert asked[0] == 0.5
    assert 9.0 < asked[1] <= 10.0
