"""Whatever stands on a topic is read or set aside: it stops nothing, and costs no more than its size is worth."""

import gc
import secrets
import time
import tracemalloc

import pytest

from detector.codecs import Decoder
from detector.core.events import DeadLetter, Record, encode, observations
from detector.deadletters import send_of
from tests.codecs import fuzz
from tests.codecs.fuzz import Fuzz
from tests.codecs.records import record
from tests.strategies import how_many

# Of bytes that a message takes while it is decoded, and in the log, for each byte of it. The most seen is 20.
MOST_TIMES = 40
AND_FIXED = 200_000
MOST_KEPT = 1_000_000  # by all decoders, of half of the messages: 20 bytes each; names of tables are most of it
MOST_SECONDS = 2.0


def outcome(decoder: Decoder, message: Record) -> str:
    """What became of it, after checks of what ingest will do with it next."""
    found = decoder.decode(message)
    if isinstance(found, DeadLetter):
        assert found.record is message
        assert len(send_of(found, "dead-letters", "0").headers) > len(message.headers)
        return found.reason
    written = sum(len(encode(seen)) for _, seen in observations(found, message.timestamp))
    assert written < MOST_TIMES * len(message.value or b"") + AND_FIXED
    return type(found).__name__


def feed(decoders: tuple[Decoder, ...], messages: Fuzz, count: int, seed: int) -> set[str]:
    """All outcomes of the next `count` messages; the peak of memory is held to each when it is traced."""
    found = set()
    for number in range(count):
        message = messages.message()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        try:
            said = outcome(decoders[number % len(decoders)], message)
        except Exception as error:
            error.add_note(f"message {number} of seed {seed}: {message}")
            raise
        _, peak = tracemalloc.get_traced_memory()
        assert said != "bug", f"message {number} of seed {seed}: {message}"
        assert peak - before < MOST_TIMES * len(message.value or b"") + AND_FIXED, f"message {number} of seed {seed}"
        found.add(said)
    return found


@pytest.mark.parametrize(
    ("count", "seed"),
    [
        pytest.param(how_many(30), 20_261_020, id="always the same messages"),
        pytest.param(100_000, secrets.randbits(32), id="100,000 messages, new ones each time", marks=pytest.mark.slow),
    ],
)
def test_any_message_is_read_or_set_aside_and_memory_stays_flat(count: int, seed: int) -> None:
    decoders = (*(Decoder(fuzz.registry()) for _ in range(3)), Decoder())
    messages = Fuzz(seed)
    found = feed(decoders, messages, count // 2, seed)

    # Only now, when what is remembered of schemas has been seen.
    gc.collect()
    tracemalloc.start()
    try:
        found |= feed(decoders, messages, count // 2, seed)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < MOST_KEPT
    assert found >= {"RunEvent", "Profile", "avro", "json", "format", "envelope", "unknown_schema", "no_registry"}


@pytest.mark.parametrize("value", fuzz.HUGE.values(), ids=fuzz.HUGE.keys())
def test_a_huge_message_costs_no_more_than_its_size_is_worth(value: bytes) -> None:
    decoder = Decoder(fuzz.registry())
    message = record(value)
    decoder.decode(message)
    tracemalloc.start()
    began = time.thread_time()

    said = outcome(decoder, message)

    took = time.thread_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said != "bug"
    assert took < MOST_SECONDS
    assert peak < MOST_TIMES * len(message.value or b"") + AND_FIXED
