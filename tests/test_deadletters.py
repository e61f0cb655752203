"""Dead letters: byte for byte what came, and why; for what is too large to be copied, where it stands."""

from detector.core.events import DeadLetter, Record
from detector.deadletters import send_of
from detector.seams import LARGEST

HEADERS = (("traceparent", b"00-1"), ("none", None))


def letter(
    value: bytes | None = b"junk", key: bytes | None = b"k", headers: tuple[tuple[str, bytes | None], ...] = HEADERS
) -> DeadLetter:
    return DeadLetter(Record("in", 3, 7, 1_700_000_000.25, key, value, headers), "json", "not JSON")


def test_a_record_is_copied_with_the_reason_added() -> None:
    send = send_of(letter(), "dead", "ingest-0")

    assert (send.topic, send.key, send.value, send.timestamp) == ("dead", b"k", b"junk", 1_700_000_000_250)
    assert send.headers[: len(HEADERS)] == HEADERS
    told = dict(send.headers)
    place = [told[f"__connect.errors.{name}"] for name in ("topic", "partition", "offset", "task.id")]
    assert place == [b"in", b"3", b"7", b"ingest-0"]
    assert told["__connect.errors.exception.class.name"] == b"json"


def test_a_letter_that_comes_by_again_says_where_it_failed_first() -> None:
    first = send_of(letter(), "dead", "ingest-0")
    again = DeadLetter(Record("dead", 0, 0, 0.0, first.key, first.value, first.headers), "bug", "other")

    assert send_of(again, "dead", "ingest-1").headers == first.headers


def test_a_value_that_is_too_large_is_left_out_and_its_size_told() -> None:
    send = send_of(letter(b"x" * LARGEST), "dead", "ingest-0")

    assert (send.key, send.value) == (b"k", None)
    assert send.headers[: len(HEADERS)] == HEADERS
    assert dict(send.headers)["__connect.errors.value.left.out"] == str(LARGEST).encode()


def test_a_key_or_a_header_that_is_too_large_leaves_the_place() -> None:
    for large in (letter(key=b"x" * LARGEST), letter(headers=(("big", b"x" * LARGEST),))):
        send = send_of(large, "dead", "ingest-0")

        assert (send.key, send.value) == (None, None)
        assert dict(send.headers)["__connect.errors.offset"] == b"7"
        assert send.size < LARGEST
