"""One event in every format and framing is one normal form."""

import json
from struct import pack
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given

from detector.codecs import CODECS, Codec, Decoder, NativeJson, OpenLineage
from detector.codecs.encoding import encode_json, encode_profile, encode_run_event
from detector.codecs.schema import text
from detector.core.events import (
    Dataset,
    DeadLetter,
    Event,
    Field,
    Headers,
    Profile,
    Record,
    RunEvent,
    Statistics,
    observations,
)
from detector.core.events import decode as decode_log
from detector.core.events import encode as encode_log
from detector.core.text import value_hash
from tests.codecs.records import AT, decode, record, refusal
from tests.codecs.registries import PROFILE_ID, RUN_EVENT_ID, MemoryRegistry, guid
from tests.strategies import events, native_run_events, profiles

RUN_EVENT = RunEvent(
    "airflow",
    "orders.load",
    "01a15708-c115-7f0f-9844-ac4163b7618a",
    "FAIL",
    AT,
    1_792_461_600.0,
    (Dataset("pg", "raw", 10.0, 1000.0, 1.0, None, "6"),),
    (Dataset("pg", "orders", 9.0), Dataset("pg", "rejected", 0.0)),
    {"retries": 2.0, "lag": -0.5},
    "IO Error: disk full",
    True,
    False,
    False,
    "8f14e45",
    "job:airflow/orders",
    ("team:data", "me"),
    ("tier=1",),
)
AS_OPENLINEAGE: dict[str, Any] = {
    "eventTime": "2026-10-20T01:59:08.941Z",
    "eventType": "FAIL",
    "run": {
        "runId": "01a15708-c115-7f0f-9844-ac4163b7618a",
        "facets": {
            "nominalTime": {"nominalStartTime": "2026-10-20T02:00:00Z"},
            "parent": {"job": {"namespace": "airflow", "name": "orders"}},
            "errorMessage": {"message": "IO Error: disk full"},
        },
    },
    "job": {
        "namespace": "airflow",
        "name": "orders.load",
        "facets": {
            "jobType": {"processingType": "STREAMING"},
            "sourceCodeLocation": {"version": "8f14e45"},
            "ownership": {"owners": [{"name": "team:data"}, {"name": "me"}]},
            "tags": {"tags": [{"key": "tier", "value": "1"}]},
        },
    },
    "inputs": [
        {
            "namespace": "pg",
            "name": "raw",
            "facets": {"version": {"datasetVersion": "6"}},
            "inputFacets": {"inputStatistics": {"rowCount": 10, "size": 1000, "fileCount": 1}},
        }
    ],
    "outputs": [
        {"namespace": "pg", "name": "orders", "outputFacets": {"outputStatistics": {"rowCount": 9}}},
        {"namespace": "pg", "name": "rejected", "outputFacets": {"outputStatistics": {"rowCount": 0}}},
    ],
}
# OpenLineage has no place for numbers of the run itself.
FROM_OPENLINEAGE = msgspec.structs.replace(RUN_EVENT, metrics={})
PROFILE = Profile(
    "pg",
    "orders",
    AT,
    9.0,
    "partition",
    1_792_461_600.0,
    1_792_465_200.0,
    "day=2026-10-20",
    "run-1",
    Statistics(
        ("amount", "status"),
        ("count", "null_count", "min", "std", "q0.5", "q1", "entropy"),
        pack("<14d", 9, 1, -7.39, 2.5, 33.19, 148.34, 0.1, 9, 0, *[float("nan")] * 4, 1.58),
    ),
    (Field("amount", "DOUBLE", 1), Field("status", "VARCHAR", 2)),
    "7",
    1000.0,
)


def registry() -> MemoryRegistry:
    known = MemoryRegistry()
    for key, file in ((RUN_EVENT_ID, "run_event.avsc"), (PROFILE_ID, "profile.avsc")):
        known.add(key, text(file)).add(guid(key), text(file))
    return known.add(9, "{}", "JSON")


def body(event: RunEvent | Profile, plain: bool = False) -> bytes:
    """The record alone, without what names its schema."""
    return (encode_profile(event, 1, plain) if isinstance(event, Profile) else encode_run_event(event, 1))[5:]


def framings(event: RunEvent | Profile) -> dict[str, tuple[bytes, Headers]]:
    """The same event in every format that our own records come in."""
    number = PROFILE_ID if isinstance(event, Profile) else RUN_EVENT_ID
    confluent = pack(">bI", 0, number)
    by_guid = b"\x01" + UUID(guid(number)).bytes
    single = encode_profile(event) if isinstance(event, Profile) else encode_run_event(event)
    as_json = encode_json(event)
    without_kind = {key: value for key, value in msgspec.json.decode(as_json).items() if key != "kind"}
    cloud: Headers = (("ce_specversion", b"1.0"), ("ce_type", b"x"), ("content-type", b"application/json"))
    forms: dict[str, tuple[bytes, Headers]] = {
        "Confluent's prefix with an id": (confluent + body(event), ()),
        "Confluent's prefix with a GUID": (by_guid + body(event), ()),
        "a header with a GUID": (body(event), (("other", None), ("__value_schema_id", by_guid))),
        "a header with an id": (body(event), (("__value_schema_id", confluent),)),
        "a single object": (single, ()),
        "JSON": (as_json, ()),
        "JSON that does not say its kind": (json.dumps(without_kind).encode(), ()),
        "JSON after blanks": (b" \r\n\t" + as_json, ()),
        "JSON after a byte order mark": (b"\xef\xbb\xbf" + as_json, ()),
        "JSON with the headers of a CloudEvent": (as_json, cloud),
        "JSON with the prefix of a JSON Schema": (pack(">bI", 0, 9) + as_json, ()),
    }
    if isinstance(event, Profile):
        forms["plain Avro"] = (confluent + body(event, plain=True), ())
    return forms


FORMS = [
    *(pytest.param(*form, RUN_EVENT, id=f"run event: {name}") for name, form in framings(RUN_EVENT).items()),
    *(pytest.param(*form, PROFILE, id=f"profile: {name}") for name, form in framings(PROFILE).items()),
    pytest.param(json.dumps(AS_OPENLINEAGE).encode(), (), FROM_OPENLINEAGE, id="OpenLineage"),
    pytest.param(
        pack(">bI", 0, 9) + json.dumps(AS_OPENLINEAGE).encode(), (), FROM_OPENLINEAGE, id="OpenLineage, registered"
    ),
]


@pytest.mark.parametrize(("value", "headers", "expected"), FORMS)
def test_the_same_event_in_every_format_has_the_same_normal_form(
    value: bytes, headers: Headers, expected: Event
) -> None:
    assert Decoder(registry()).decode(record(value, headers)) == expected


@pytest.mark.parametrize(("value", "headers", "expected"), FORMS)
def test_the_topic_does_not_decide(value: bytes, headers: Headers, expected: Event) -> None:
    for topic in ("openlineage.events", "pipeline.profiles", "x"):
        given_there = msgspec.structs.replace(record(value, headers), topic=topic)

        assert Decoder(registry()).decode(given_there) == expected


@given(native_run_events)
def test_a_run_event_survives_every_format(event: RunEvent) -> None:
    decoder = Decoder(registry())
    for name, (value, headers) in framings(event).items():
        assert decoder.decode(record(value, headers)) == event, name


def test_owners_and_tags_that_cannot_be_names_or_are_too_many_are_left_out_in_every_format() -> None:
    many = [f"o{i}" for i in range(100)]
    event = msgspec.structs.replace(RUN_EVENT, owners=("", "a\nb", "me", "me", *many), tags=("x" * 1001, "x", *many))

    for value, headers in framings(event).values():
        found = Decoder(registry()).decode(record(value, headers))
        assert isinstance(found, RunEvent)
        assert (found.owners, found.tags) == (("me", *many[:15]), ("x", *many[:31]))


def test_what_the_most_frequent_values_are_does_not_reach_the_log() -> None:
    sent = {"namespace": "n", "name": "t", "event_time": 1e9, "kind": "profile", "rows": 10,
            "columns": [{"name": "city", "distinct": 3}],
            "top_values": {"city": {"Rome": 6, "f" * 16: 3, "Oslo": None, "Bonn": -1}, "other": {"a": 1}}}  # fmt: skip
    read = Decoder().decode(record(json.dumps(sent).encode()))

    assert isinstance(read, Profile)
    assert read.statistics is not None
    assert read.statistics.top_values == {"city": {value_hash("Rome"): 6, "f" * 16: 3}}
    assert b"Rome" not in msgspec.msgpack.encode(read)


@given(profiles)
def test_a_profile_survives_every_format(event: Profile) -> None:
    decoder = Decoder(registry())
    for name, (value, headers) in framings(event).items():
        assert decoder.decode(record(value, headers)) == event, name


@given(events)
def test_every_event_becomes_observations_that_the_log_can_hold(event: Event) -> None:
    for _, seen in observations(event, AT):
        assert decode_log(encode_log(seen)).body == seen


# ---------------------------------------------------------------- what is none of it


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        pytest.param(None, (), "empty", id="a tombstone"),
        pytest.param(b"", (), "empty", id="a value of no bytes"),
        pytest.param(b"hello", (), "format", id="text"),
        pytest.param(b"[1]", (), "format", id="a JSON array"),
        pytest.param(b"{}", (), "format", id="an empty object"),
        pytest.param(b'{"kind": "invoice", "state": "paid"}', (), "format", id="somebody else's JSON"),
        pytest.param(b"\x7bnot json", (), "json", id="something that begins as JSON does"),
        pytest.param(b"\x00\x00", (), "format", id="a prefix that is cut off"),
        pytest.param(b"\x01" * 16, (), "format", id="a GUID that is cut off"),
        pytest.param(b"\xc3\x01\x00", (), "format", id="a fingerprint that is cut off"),
        pytest.param(b"\xc3\x02" + b"\x00" * 20, (), "format", id="a single object of another version"),
        pytest.param(b"\xc3\x01" + b"\x00" * 20, (), "unknown_schema", id="a single object of another schema"),
        pytest.param(b"\x00\x00\x00\x00\x07abc", (), "no_registry", id="an id, and no registry to ask"),
        pytest.param(b"abc", (("__value_schema_id", b"\x02abc"),), "header", id="a header of another kind"),
        pytest.param(b"abc", (("__value_schema_id", None),), "header", id="a header of nothing"),
        pytest.param(b"abc", (("__value_schema_id", b"\x00\x00\x00\x00\x07"),), "no_registry", id="a header's id"),
        pytest.param(b"Obj\x01avro.schema", (), "format", id="an Avro file"),
        pytest.param(b"\x1f\x8b\x08\x00", (), "format", id="something compressed"),
    ],
)
def test_what_cannot_be_told_is_a_dead_letter(value: bytes | None, headers: Headers, reason: str) -> None:
    assert refusal(value, headers)[0] == reason


def test_the_message_without_a_registry_says_what_to_set() -> None:
    _, message = refusal(b"\x00\x00\x00\x00\x07abc")

    assert "schema 7" in message
    assert "registry.url" in message


def test_a_dead_letter_holds_the_record_as_it_came() -> None:
    came = record(b"hello", (("a", b"b"), ("c", None)))

    found = Decoder().decode(came)

    assert isinstance(found, DeadLetter)
    assert found.record is came
    assert found.record == record(b"hello", (("a", b"b"), ("c", None)))
    assert found.stage == "VALUE_CONVERTER"


def test_a_header_goes_before_the_first_byte() -> None:
    looks_like_json = b"{" + body(RUN_EVENT)
    header: Headers = (("__value_schema_id", pack(">bI", 0, RUN_EVENT_ID)),)

    found = Decoder(registry()).decode(record(looks_like_json, header))

    assert isinstance(found, DeadLetter)
    assert found.reason == "avro"


def test_the_first_of_two_headers_counts() -> None:
    headers: Headers = (
        ("__value_schema_id", pack(">bI", 0, RUN_EVENT_ID)),
        ("__value_schema_id", pack(">bI", 0, PROFILE_ID)),
    )

    assert Decoder(registry()).decode(record(body(RUN_EVENT), headers)) == RUN_EVENT


# ---------------------------------------------------------------- the registry of codecs


@pytest.mark.parametrize("kind", CODECS)
def test_every_codec_is_filed_under_its_kind_and_claims_its_first_bytes(kind: str) -> None:
    codec: Codec = CODECS[kind]()

    assert codec.kind == kind
    assert codec.first_bytes
    for byte in range(256):
        assert isinstance(codec.decode(record(bytes([byte]) * 3)), DeadLetter)


def test_codecs_of_json_pass_on_what_is_the_others() -> None:
    native, lineage = record(encode_json(RUN_EVENT)), record(AS_OPENLINEAGE)

    assert NativeJson().decode(native) == RUN_EVENT
    assert OpenLineage().decode(lineage) == FROM_OPENLINEAGE
    for found in (NativeJson().decode(lineage), OpenLineage().decode(native)):
        assert isinstance(found, DeadLetter)
        assert found.reason == "format"


def test_a_defect_of_a_codec_costs_one_record() -> None:
    class Broken(Decoder):
        def __init__(self) -> None:
            super().__init__()
            self._by_first_byte[ord("{")] = (self._fail, self._fail)

        @staticmethod
        def _fail(_: Record) -> Event | DeadLetter:
            raise ZeroDivisionError

    found = Broken().decode(record("{}"))

    assert isinstance(found, DeadLetter)
    assert (found.reason, "ZeroDivisionError" in found.message) == ("bug", True)
    assert decode(AS_OPENLINEAGE) == FROM_OPENLINEAGE
