"""Avro: our reader against fastavro's, older and newer writers, and bytes that claim what they have not."""

import io
import json
import tracemalloc
from collections.abc import Callable
from struct import pack
from typing import Any

import fastavro
import fastavro.schema
import pytest
from hypothesis import given
from msgspec.structs import replace

from detector.codecs import Avro, Decoder, avro_reader
from detector.codecs.avro import SINGLE_OBJECT, _profile, _Resolved, _run_event
from detector.codecs.checks import Refused
from detector.codecs.encoding import encode_profile, encode_run_event
from detector.codecs.schema import PROFILE, PROFILE_1, RUN_EVENT, RUN_EVENT_1, read, text
from detector.core.events import DeadLetter, Event, Profile, RunEvent
from tests.codecs.records import record
from tests.codecs.registries import RUN_EVENT_ID, MemoryRegistry
from tests.codecs.test_formats import PROFILE as A_PROFILE
from tests.codecs.test_formats import RUN_EVENT as A_RUN
from tests.strategies import damaged, native_run_events, profiles

THROUGH_FASTAVRO = {
    "run_event": _Resolved(RUN_EVENT, RUN_EVENT, _run_event),
    "profile": _Resolved(PROFILE, PROFILE, _profile),
}


def schema(file: str = "run_event.avsc") -> dict[str, Any]:
    """One of our schemas, to be changed."""
    loaded: dict[str, Any] = json.loads(text(file))
    return loaded


def field(of: dict[str, Any], name: str) -> dict[str, Any]:
    """The field of this name."""
    found: dict[str, Any] = next(f for f in of["fields"] if f["name"] == name)
    return found


def written(by: dict[str, Any], values: dict[str, Any]) -> bytes:
    """A message in Confluent's framing, written by this schema."""
    out = io.BytesIO(pack(">bI", 0, RUN_EVENT_ID))
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(by), values)
    return out.getvalue()


def decode(by: dict[str, Any], message: bytes) -> Event | DeadLetter:
    """What a decoder makes of it whose registry has this schema."""
    return Decoder(MemoryRegistry().add(RUN_EVENT_ID, json.dumps(by))).decode(record(message))


def reason(by: dict[str, Any], message: bytes) -> str:
    found = decode(by, message)
    assert isinstance(found, DeadLetter), found
    return found.reason


VALUES: dict[str, Any] = {
    "namespace": "airflow",
    "name": "load",
    "run_id": "r",
    "state": "COMPLETE",
    "event_time": 1_792_461_548_941_000,
}
EXPECTED = RunEvent("airflow", "load", "r", "COMPLETE", 1_792_461_548.941)


# ---------------------------------------------------------------- two readers, one outcome


def outcome(reader: Callable[[bytes, int], Event], body: bytes) -> Event | str:
    try:
        return reader(body, 0)
    except Refused as refused:
        return refused.reason
    except avro_reader.MALFORMED:
        return "avro"


@given(native_run_events)
def test_our_reader_reads_run_events_as_fastavro_does(event: RunEvent) -> None:
    body = encode_run_event(event, 1)[5:]

    assert outcome(avro_reader.run_event, body) == outcome(THROUGH_FASTAVRO["run_event"], body) == event


@given(profiles)
def test_our_reader_reads_profiles_as_fastavro_does(event: Profile) -> None:
    for plain in (False, True):
        body = encode_profile(event, 1, plain)[5:]

        assert outcome(avro_reader.ProfileReader(), body) == outcome(THROUGH_FASTAVRO["profile"], body) == event


@given(damaged(native_run_events.map(lambda event: encode_run_event(event, 1)[5:])))
def test_what_our_reader_takes_of_a_damaged_run_event_fastavro_takes_too(body: bytes) -> None:
    ours = outcome(avro_reader.run_event, body)

    # Ours refuses more: a union's branch of -1, a boolean of 7, text after a negative length.
    assert ours in ("avro", outcome(THROUGH_FASTAVRO["run_event"], body))


@given(damaged(profiles.map(lambda event: encode_profile(event, 1)[5:])))
def test_what_our_reader_takes_of_a_damaged_profile_fastavro_takes_too(body: bytes) -> None:
    ours = outcome(avro_reader.ProfileReader(), body)

    # And it sees a table that cannot be before it sees that the record ends in the wrong place.
    assert ours in ("avro", "statistics", outcome(THROUGH_FASTAVRO["profile"], body))


def test_arrays_and_maps_in_several_blocks_and_with_sizes_are_read() -> None:
    plain = encode_run_event(RunEvent("a", "n", "r", "START", 1e9, metrics={"x": 1.0, "y": 2.0}), 1)[5:]
    one_block = b"\x04\x02x" + pack("<d", 1.0) + b"\x02y" + pack("<d", 2.0) + b"\x00"
    assert one_block in plain
    first, second = b"\x02x" + pack("<d", 1.0), b"\x02y" + pack("<d", 2.0)
    two_blocks = b"\x02" + first + b"\x01" + bytes([2 * len(second)]) + second + b"\x00"

    found = avro_reader.run_event(plain.replace(one_block, two_blocks), 0)

    assert found.metrics == {"x": 1.0, "y": 2.0}


@pytest.mark.parametrize("micros", [0, 1, 63, 64, 8191, 8192, 1 << 31, 1 << 48, (1 << 48) - 1, 7_258_118_399_999_999])
def test_times_of_any_length_are_read(micros: int) -> None:
    values = {**VALUES, "event_time": micros, "nominal_time": micros}

    found = decode(schema(), written(schema(), values))

    assert isinstance(found, RunEvent)
    assert found.event_time == found.nominal_time == micros / 1e6


def test_texts_of_any_length_are_read() -> None:
    for size in (1, 63, 64, 200, 1000):
        event = RunEvent(
            "n" * size, "m" * size, "r" * size, "START", 1e9, metrics={"k" * size: 1.0}, error=("error " * 33).strip()
        )

        assert Avro().decode(record(encode_run_event(event))) == event


def test_a_profile_of_other_names_after_one_of_the_same_length_is_not_mixed_up() -> None:
    codec = Avro()
    for columns in (("amount", "status"), ("status", "amount"), ("amount", "statuz")):
        table = A_PROFILE.statistics
        assert table is not None
        profile = Profile("pg", "orders", 1e9, 1.0, statistics=type(table)(columns, table.statistics, table.values))

        assert codec.decode(record(encode_profile(profile))) == profile


@pytest.mark.slow
@pytest.mark.parametrize(("tables", "size"), [(5_000, 900), (17_000, 1)], ids=["long names", "short names"])
def test_names_of_tables_do_not_pile_up(tables: int, size: int) -> None:
    reader = avro_reader.ProfileReader()
    table = A_PROFILE.statistics
    assert table is not None

    def message(i: int) -> bytes:
        columns = (f"{i}" + "c" * size, "d" * size)
        profile = Profile("pg", "orders", 1e9, 1.0, statistics=type(table)(columns, table.statistics, table.values))
        return encode_profile(profile, 1)

    messages = [message(i) for i in range(tables)]
    tracemalloc.start()
    for body in messages:
        reader(body, 5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 15_000_000


# ---------------------------------------------------------------- older and newer writers


def test_a_writer_of_our_schema_with_other_comments_is_read_by_our_reader() -> None:
    java = schema()
    java["doc"] = "generated"
    field(java, "name")["type"] = {"type": "string", "avro.java.string": "String"}
    field(java, "run_id").pop("doc")

    assert read(json.dumps(java)).canonical == RUN_EVENT.canonical
    assert decode(java, written(java, VALUES)) == EXPECTED


def test_an_older_writer_without_the_optional_fields_is_read() -> None:
    older = schema()
    older["fields"] = older["fields"][:5]

    assert decode(older, written(older, VALUES)) == EXPECTED


def test_a_newer_writer_with_more_fields_and_states_is_read() -> None:
    newer = schema()
    newer["fields"].insert(2, {"name": "owner", "type": {"type": "map", "values": "string"}})
    newer["fields"].append({"name": "cost", "type": ["null", {"type": "bytes", "logicalType": "decimal"}]})
    field(newer, "state")["type"]["symbols"].append("PAUSED")
    dataset = field(newer, "inputs")["type"]["items"]
    dataset["fields"].append({"name": "owner", "type": "string"})
    values = {
        **VALUES,
        "state": "PAUSED",
        "owner": {"a": "b"},
        "inputs": [{"namespace": "pg", "name": "o", "rows": 5.0, "owner": "x"}],
        "outputs": [],
        "metrics": {"x": 1.0},
        "streaming": False,
    }

    found = decode(newer, written(newer, values))

    assert isinstance(found, RunEvent)
    assert (found.state, found.inputs[0].rows, found.metrics) == ("OTHER", 5.0, {"x": 1.0})


@pytest.mark.parametrize(
    ("logical", "factor"),
    [
        pytest.param("timestamp-millis", 1e3, id="milliseconds"),
        pytest.param("local-timestamp-millis", 1e3, id="local milliseconds"),
        pytest.param("timestamp-micros", 1e6, id="microseconds"),
        pytest.param("timestamp-nanos", 1e9, id="nanoseconds"),
        pytest.param(None, 1e6, id="no unit is microseconds"),
    ],
)
def test_a_writer_may_have_times_of_another_unit(logical: str | None, factor: float) -> None:
    other = schema()
    kind: Any = "long" if logical is None else {"type": "long", "logicalType": logical}
    field(other, "event_time")["type"] = kind
    field(other, "nominal_time")["type"] = ["null", kind]
    bare = json.loads(json.dumps(other).replace('"logicalType"', '"ignored"'))
    values = {**VALUES, "event_time": round(1.5e9 * factor), "nominal_time": round(1.25e9 * factor)}

    found = decode(other, written(bare, values))

    assert isinstance(found, RunEvent)
    assert (found.event_time, found.nominal_time) == (1.5e9, 1.25e9)


def test_a_writer_may_count_rows_in_whole_numbers() -> None:
    other = schema()
    field(other, "metrics")["type"]["values"] = "long"

    found = decode(other, written(other, {**VALUES, "metrics": {"rows": 5}}))

    assert isinstance(found, RunEvent)
    assert found.metrics == {"rows": 5.0}


def test_a_writer_whose_field_has_another_type_cannot_be_resolved() -> None:
    other = schema()
    field(other, "event_time")["type"] = "string"

    assert reason(other, written(other, {**VALUES, "event_time": "now"})) == "schema"


def test_a_schema_is_asked_for_once() -> None:
    known = MemoryRegistry().add(RUN_EVENT_ID, text("run_event.avsc"))
    decoder = Decoder(known)
    for _ in range(3):
        assert isinstance(decoder.decode(record(written(schema(), VALUES))), RunEvent)

    assert known.asked == 1


# ---------------------------------------------------------------- schemas that are not read with


def nested(depth: int) -> Any:
    kind: Any = "int"
    for _ in range(depth):
        kind = {"type": "array", "items": kind}
    return kind


def with_field(kind: Any) -> dict[str, Any]:
    """Our schema with one more field."""
    more = schema()
    more["fields"].append({"name": "more", "type": kind})
    return more


def doubling(levels: int) -> Any:
    """A record of two records of two records ... of nothing: no bytes on the wire, and 2**levels values."""
    kind: Any = "null"
    for i in range(levels):
        kind = {
            "type": "record",
            "name": f"Level{i}",
            "fields": [{"name": "a", "type": kind}, {"name": "b", "type": f"Level{i - 1}" if i else "null"}],
        }
    return kind


LINKED = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("not json", id="no JSON"),
        pytest.param('"string"', id="a text"),
        pytest.param("[]", id="a union of nothing"),
        pytest.param(json.dumps([schema()]), id="a union of our record"),
        pytest.param('{"type": "record", "name": "RunEvent"}', id="a record without fields"),
        pytest.param(json.dumps({**schema(), "name": "com.acme.RunEvent", "namespace": "com.acme"}), id="another name"),
        pytest.param('{"type": "record", "name": "Order", "fields": []}', id="another record"),
        pytest.param(json.dumps(with_field("Unheard")), id="a type that is not there"),
        pytest.param(json.dumps(with_field(LINKED)), id="a record inside itself"),
        pytest.param(json.dumps(with_field({"type": "array", "items": "null"})), id="an array of nothings"),
        pytest.param(
            json.dumps(with_field({"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}})),
            id="an array of empty records",
        ),
        pytest.param(
            json.dumps(with_field({"type": "array", "items": {"type": "fixed", "name": "Zero", "size": 0}})),
            id="an array of texts of no length",
        ),
        pytest.param(json.dumps(with_field(doubling(40))), id="records that double"),
        pytest.param(json.dumps(with_field(nested(100))), id="arrays in arrays, 100 deep"),
        pytest.param(
            json.dumps(with_field("int")).replace('"int"', '{"type":' * 5000 + '"int"' + "}" * 5000), id="5,000 deep"
        ),
    ],
)
def test_a_schema_that_bytes_could_blow_up_is_refused(text: str) -> None:
    found = Decoder(MemoryRegistry().add(7, text)).decode(record(b"\x00\x00\x00\x00\x07" + b"\x02" * 50))

    assert isinstance(found, DeadLetter)
    assert found.reason == "schema"


@pytest.mark.parametrize(
    ("kind", "references"), [("PROTOBUF", False), ("AVRO", True)], ids=["Protobuf", "references to other schemas"]
)
def test_what_is_not_supported_is_said(kind: str, references: bool) -> None:
    known = MemoryRegistry().add(7, text("run_event.avsc"), kind, references)

    found = Decoder(known).decode(record(b"\x00\x00\x00\x00\x07abc"))

    assert isinstance(found, DeadLetter)
    assert found.reason == "schema"


# ---------------------------------------------------------------- bytes that claim what they have not

HEAD = encode_run_event(RunEvent("a", "n", "r", "START", 1e9), 1)[5:-8]  # up to and without the inputs
HUGE = (b"\xff" * 9 + b"\x01", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x10")


@pytest.mark.parametrize("newer", [False, True], ids=["our reader", "fastavro"])
@pytest.mark.parametrize(
    "body",
    [
        *(pytest.param(huge + b"abc", id=f"a text of {i}") for i, huge in enumerate(HUGE)),
        *(pytest.param(HEAD + huge, id=f"inputs of {i}") for i, huge in enumerate(HUGE)),
        *(pytest.param(HEAD + b"\x00\x00" + huge, id=f"metrics of {i}") for i, huge in enumerate(HUGE)),
        *(pytest.param(HEAD + b"\x00\x00\x02" + huge, id=f"a metric's name of {i}") for i, huge in enumerate(HUGE)),
        pytest.param(b"\xff" * 5000, id="a number without end"),
        pytest.param(HEAD, id="the end is missing"),
        pytest.param(b"\x02\xff\x02n\x02r\x00", id="a name that is not UTF-8"),
        pytest.param(b"\x02a\x02n\x02r\x63", id="a state that is not there"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_lengths_and_counts_claim_neither_memory_nor_time(body: bytes, newer: bool) -> None:
    by = with_field(["null", "int"]) if newer else schema()
    decoder = Decoder(MemoryRegistry().add(7, json.dumps(by)))
    message = record(b"\x00\x00\x00\x00\x07" + body)
    decoder.decode(message)
    tracemalloc.start()

    found = decoder.decode(message)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, DeadLetter)
    assert found.reason == "avro"
    assert peak < 100_000


@pytest.mark.parametrize("newer", [False, True], ids=["our reader", "fastavro"])
def test_bytes_behind_the_record_are_refused(newer: bool) -> None:
    by = with_field(["null", "int"]) if newer else schema()

    assert reason(by, written(by, VALUES) + b"\x00") == "avro"


@pytest.mark.slow
def test_a_record_cut_off_anywhere_is_refused() -> None:
    for message in (encode_run_event(A_RUN), encode_profile(A_PROFILE), encode_profile(A_PROFILE, plain=True)):
        for end in range(10, len(message)):
            found = Decoder().decode(record(message[:end]))

            assert isinstance(found, DeadLetter), end
            assert found.reason == "avro"


# ---------------------------------------------------------------- our schemas


@pytest.mark.parametrize("file", ["run_event.avsc", "profile.avsc"])
def test_every_field_of_our_schemas_is_documented(file: str) -> None:
    def undocumented(kind: Any, path: str) -> list[str]:
        if isinstance(kind, list):
            return [found for branch in kind for found in undocumented(branch, path)]
        if not isinstance(kind, dict):
            return []
        if kind["type"] == "record":
            own = [] if kind.get("doc") else [path]
            fields = [f"{path}.{f['name']}" for f in kind["fields"] if not f.get("doc")]
            inner = [u for f in kind["fields"] for u in undocumented(f["type"], f"{path}.{f['name']}")]
            return own + fields + inner
        return undocumented(kind.get("items", kind.get("values")), path)

    assert undocumented(schema(file), file) == []


def test_the_fingerprint_is_the_one_of_the_specification() -> None:
    # The Avro specification's own examples of CRC-64-AVRO, as little-endian bytes.
    assert fastavro.schema.fingerprint('"null"', "CRC-64-AVRO") == (0x63DD24E7CC258F8A).to_bytes(8, "little").hex()
    assert fastavro.schema.fingerprint('"int"', "CRC-64-AVRO") == (0x7275D51A3F395C8F).to_bytes(8, "little").hex()


def test_the_fingerprints_of_our_schemas_do_not_change_unnoticed() -> None:
    # Single objects on a topic carry these. A new one needs the old schema kept beside it, to read what was written.
    assert RUN_EVENT.fingerprint.hex() == "05c3e0f8243edec8"
    assert RUN_EVENT_1.fingerprint.hex() == "0a1e449ec5dd168b"
    assert PROFILE.fingerprint.hex() == "73f59090d0fe2ba4"
    assert PROFILE_1.fingerprint.hex() == "e6a63a2927d441de"


def test_a_single_object_of_the_first_schema_of_run_events_is_still_read() -> None:
    run = replace(A_RUN, owners=(), tags=())
    body = encode_run_event(run)
    old = SINGLE_OBJECT + RUN_EVENT_1.fingerprint + body[10:-2]  # without the empty arrays at the end

    assert body[-2:] == b"\0\0"
    assert Avro().decode(record(old)) == run


def test_a_single_object_of_the_first_schema_of_profiles_is_still_read() -> None:
    body = encode_profile(A_PROFILE)
    old = SINGLE_OBJECT + PROFILE_1.fingerprint + body[10:-1]  # without the empty map at the end

    assert body[-1:] == b"\0"
    assert Avro().decode(record(old)) == A_PROFILE
