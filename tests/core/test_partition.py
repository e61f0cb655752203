"""Where a key lives is what every producer of Kafka says with `murmur2_random`."""

import pytest
from confluent_kafka import Message, Producer
from hypothesis import given
from hypothesis import strategies as st

from detector.core.partition import murmur2, partition_of
from detector.embedded import EmbeddedBroker


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # From Kafka's own UtilsTest#testMurmur2.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_kafkas_java_client(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF


def test_a_partition_is_the_positive_hash_modulo_their_number() -> None:
    assert murmur2(b"21") & 0x7FFFFFFF == 1_173_551_340
    assert partition_of("21", 1_000) == 340


@given(st.text(), st.integers(1, 10_000))
def test_every_key_has_a_partition(key: str, count: int) -> None:
    assert 0 <= partition_of(key, count) < count


def test_the_producer_that_we_use_puts_a_key_where_we_say(embedded_broker: EmbeddedBroker) -> None:
    keys = [f"job:ns/{'x' * number}é{number}" for number in range(50)] + ["dataset:/", "x"]
    embedded_broker.create_topic("log", 7)
    producer = Producer({"bootstrap.servers": embedded_broker.bootstrap, "partitioner": "murmur2_random"})
    found: dict[str, int] = {}

    def told(_: object, message: Message) -> None:
        found[(message.key() or b"").decode()] = message.partition() or 0

    for key in keys:
        producer.produce("log", b"", key.encode(), on_delivery=told)
    producer.flush(10)

    assert found == {key: partition_of(key, 7) for key in keys}
