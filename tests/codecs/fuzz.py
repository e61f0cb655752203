"""Messages gone wrong, without end: real ones of every format, damaged in every way that we could think of.

Plain `random` and not Hypothesis: what is wanted here is a hundred thousand messages in half a minute, the same again
for the same seed, and not the smallest one that fails.
"""

import io
import json
import re
from collections.abc import Callable
from functools import cache
from random import Random
from struct import pack
from typing import Any, Final
from uuid import UUID

import fastavro

from detector.codecs.avro import HEADER
from detector.codecs.encoding import encode_json, encode_profile, encode_run_event
from detector.codecs.schema import text
from detector.core.events import Headers, Profile, Record, RunEvent
from tests.codecs.records import SAMPLES, event, record, run_document, sample, with_run_facets
from tests.codecs.registries import PROFILE_ID, RUN_EVENT_ID, MemoryRegistry, guid

JSON_ID, PROTOBUF_ID, BROKEN_ID, NEWER_RUN_EVENT_ID, NEWER_PROFILE_ID, UNKNOWN_ID = 9, 10, 11, 12, 13, 14

Message = tuple[bytes, Headers]
# What the real ones have little or nothing of.
_SOURCE: Final = {"namespace": "s3://lake", "name": "raw/", "field": "x", "transformations": [{"type": "DIRECT"}]}
_WORDS: Final = {
    "ownership": {"owners": [{"name": "team:data", "type": "MAINTAINER"}]},
    "tags": {"tags": [{"key": "env", "value": "prod"}, {"key": "pii", "value": "true", "field": "email"}]},
}
_SYMLINKS: Final = {"identifiers": [{"namespace": "glue", "name": "raw", "type": "TABLE"}]}
_PARTITIONS: Final = [{"identifier": "a"}, {"dimensions": {"day": "2026-10-20", "hour": 3}}]
_TOLD: Final = run_document(
    job={"namespace": "airflow", "name": "load", "facets": _WORDS},
    inputs=[
        {
            "namespace": "s3://lake",
            "name": "raw/",
            "facets": {**_WORDS, "symlinks": _SYMLINKS},
            "inputFacets": {"subset": {"inputCondition": {"type": "location", "locations": ["s3://lake/raw/1"]}}},
        }
    ],
    outputs=[
        {
            "namespace": "pg",
            "name": "orders",
            "facets": {"columnLineage": {"fields": {"a": {"inputFields": [_SOURCE]}}, "dataset": [_SOURCE]}},
            "outputFacets": {"subset": {"outputCondition": {"type": "partition", "partitions": _PARTITIONS}}},
        }
    ],
)
Damage = Callable[["Fuzz", bytes], bytes]


def newer(file: str) -> dict[str, Any]:
    """One of our schemas as a later release may have it, which fastavro has to resolve."""
    schema: dict[str, Any] = json.loads(text(file))
    more = {"name": "labels", "type": {"type": "array", "items": {"type": "map", "values": ["null", "bytes"]}}}
    schema["fields"] = [*schema["fields"][:2], {**more, "default": []}, *schema["fields"][2:]]
    return schema


def registry() -> MemoryRegistry:
    """A registry with all that one can come upon: ours, newer ones, JSON, Protobuf, and a text that is no schema."""
    known = MemoryRegistry()
    for key, file in ((RUN_EVENT_ID, "run_event.avsc"), (PROFILE_ID, "profile.avsc")):
        known.add(key, text(file)).add(guid(key), text(file))
    for key, file in ((NEWER_RUN_EVENT_ID, "run_event.avsc"), (NEWER_PROFILE_ID, "profile.avsc")):
        known.add(key, json.dumps(newer(file))).add(guid(key), json.dumps(newer(file)))
    known.add(JSON_ID, "{}", "JSON").add(PROTOBUF_ID, "message X {}", "PROTOBUF").add(BROKEN_ID, '{"type": "record"}')
    return known


@cache
def sound() -> tuple[Message, ...]:
    """Messages of every format that are as they should be."""
    lineage = [value for file in sorted(SAMPLES.glob("*.jsonl")) for value in sample(file.name)]
    runs = [found for value in lineage if isinstance(found := event(value), RunEvent)]
    datasets = [dataset for run in runs for dataset in run.inputs if dataset.profile is not None]
    profiles = [
        Profile(d.namespace, d.name, 1.7e9, d.rows, statistics=d.profile, schema=d.schema, partition="day=2026-10-20")
        for d in datasets
    ]
    found = [(value, ()) for value in [*lineage, *[json.dumps(_TOLD).encode()] * 20]]
    found += [message for run in runs[::3] for message in _as_run_event(run)]
    found += [message for profile in profiles for message in _as_profile(profile)]
    return tuple(found)


def _as_run_event(run: RunEvent) -> list[Message]:
    body = encode_run_event(run, RUN_EVENT_ID)
    return [
        (encode_json(run), ()),
        (encode_run_event(run), ()),
        (body, ()),
        (body[5:], ((HEADER, b"\x01" + UUID(guid(RUN_EVENT_ID)).bytes),)),
        (_written(newer("run_event.avsc"), NEWER_RUN_EVENT_ID, encode_json(run)), ()),
    ]


def _as_profile(profile: Profile) -> list[Message]:
    return [
        (encode_json(profile), ()),
        (encode_profile(profile), ()),
        (encode_profile(profile, PROFILE_ID), ()),
        (encode_profile(profile, PROFILE_ID, plain=True), ()),
        (_written(newer("profile.avsc"), NEWER_PROFILE_ID, encode_json(profile)), ()),
    ]


def _written(schema: dict[str, Any], number: int, as_json: bytes) -> bytes:
    fields = json.loads(as_json)
    fields["event_time"] = round(fields["event_time"] * 1e6)
    fields.pop("nominal_time", None)
    if "statistics" in fields:
        fields["statistics"]["values"] = b"\x00" * 8 * len(fields["statistics"]["columns"])
        fields["statistics"]["statistics"] = ["min"]
    fields["labels"] = [{"a": b"b"}]
    out = io.BytesIO(pack(">bI", 0, number))
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), fields)
    return out.getvalue()


class Fuzz:
    """Gives messages; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._sound = sound()

    def message(self) -> Record:
        """The next one."""
        value, headers = self.one()
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 2, 4))):
            value = self.random.choice(DAMAGES)(self, value)
        if self.random.random() < 0.1:
            headers = self._headers()
        return record(value, headers)

    def one(self) -> Message:
        """One that is as it should be."""
        return self.random.choice(self._sound)

    def at(self, value: bytes) -> int:
        """Some place in it, more often near its beginning, where the framing is."""
        end = min(len(value), 24) if self.random.random() < 0.3 else len(value)
        return self.random.randint(0, end)

    def bytes(self, most: int) -> bytes:
        """Any bytes."""
        return self.random.randbytes(self.random.randint(0, most))

    def _headers(self) -> Headers:
        number = pack(">bI", 0, self.random.randint(6, UNKNOWN_ID))
        named = b"\x01" + UUID(guid(self.random.randint(6, UNKNOWN_ID))).bytes
        value = self.random.choice((number, named, number, named, None, b"", self.bytes(20), b"\x00" + self.bytes(4)))
        return self.random.choice((((HEADER, value),), (("a", None), (HEADER, value)), (("", b"x"), ("ce_id", value))))


# ---------------------------------------------------------------- damage to any bytes


def flip(fuzz: Fuzz, value: bytes) -> bytes:
    out = bytearray(value)
    for _ in range(fuzz.random.choice((1, 1, 2, 8)) if out else 0):
        out[min(fuzz.at(value), len(out) - 1)] ^= 1 << fuzz.random.randrange(8)
    return bytes(out)


def cut(fuzz: Fuzz, value: bytes) -> bytes:
    return value[: fuzz.at(value)]


def insert(fuzz: Fuzz, value: bytes) -> bytes:
    at = fuzz.at(value)
    return value[:at] + fuzz.bytes(12) + value[at:]


def remove(fuzz: Fuzz, value: bytes) -> bytes:
    at = fuzz.at(value)
    return value[:at] + value[at + fuzz.random.randint(1, 16) :]


def repeat(fuzz: Fuzz, value: bytes) -> bytes:
    at = fuzz.at(value)
    return value[:at] + value[at : at + fuzz.random.randint(1, 64)] * fuzz.random.choice((2, 3, 20)) + value[at:]


def splice(fuzz: Fuzz, value: bytes) -> bytes:
    other, _ = fuzz.one()
    return value[: fuzz.at(value)] + other[fuzz.at(other) :]


def overwrite(fuzz: Fuzz, value: bytes) -> bytes:
    """A length, a count or a time that is huge or negative, in the place of what is there."""
    at = fuzz.at(value)
    new = fuzz.random.choice(NUMBERS)
    return value[:at] + new + value[at + fuzz.random.choice((0, 1, len(new))) :]


def reframe(fuzz: Fuzz, value: bytes) -> bytes:
    """The same bytes behind what names another schema, or none."""
    at = fuzz.random.choice((0, 0, 5, 10, 17))
    return fuzz.random.choice(FRAMES)(fuzz) + value[at:]


def anything(fuzz: Fuzz, value: bytes) -> bytes:
    return fuzz.random.choice(FRAMES)(fuzz) + fuzz.bytes(200)


# As Avro writes them: -1, the smallest and the greatest of 64 bits, more than that, a length of 2**31 and of 2**40.
NUMBERS: Final = (
    *(b"\x01", b"\xff" * 9 + b"\x01", b"\xfe" + b"\xff" * 8 + b"\x01", b"\xff" * 12, b"\x80" * 12 + b"\x01"),
    *(b"\x80\x80\x80\x80\x10", b"\x80\x80\x80\x80\x80\x40", b"\x00\x00\x00\x00\x00\x00\xf8\x7f", b"\xff" * 8),
)
FRAMES: Final[tuple[Callable[[Fuzz], bytes], ...]] = (
    lambda fuzz: pack(">bI", 0, fuzz.random.randint(6, UNKNOWN_ID)),
    lambda fuzz: pack(">bI", 0, fuzz.random.getrandbits(32)),
    lambda fuzz: b"\x01" + UUID(guid(fuzz.random.randint(6, UNKNOWN_ID))).bytes,
    lambda fuzz: fuzz.one()[0][: fuzz.random.choice((2, 10))],
    lambda _: b"\xef\xbb\xbf",
    lambda _: b"",
    lambda _: b" \n{",
)


# ---------------------------------------------------------------- damage to JSON


def restructure(fuzz: Fuzz, value: bytes) -> bytes:
    """Something, anywhere, in the place of what was there; other messages are damaged as bytes."""
    try:
        document = json.loads(value)
    except ValueError:
        return flip(fuzz, value)
    holder, key = _somewhere(fuzz.random, document)
    if isinstance(holder, dict):
        if fuzz.random.random() < 0.2:
            del holder[key]
        else:
            holder[key] = fuzz.random.choice(VALUES)
    elif isinstance(holder, list):
        holder[key : key + fuzz.random.randint(0, 1)] = [fuzz.random.choice(VALUES)] * fuzz.random.choice((0, 1, 1, 30))
    return json.dumps(document).encode()


def _somewhere(random: Random, document: Any) -> tuple[Any, Any]:
    holder = key = None
    while isinstance(document, dict | list) and document and (holder is None or random.random() < 0.8):
        holder = document
        key = random.choice(list(document)) if isinstance(document, dict) else random.randrange(len(document))
        document = document[key]
    return holder, key


def renumber(fuzz: Fuzz, value: bytes) -> bytes:
    """A number that no number type can hold, in the place of one of the first few."""
    places = list(re.finditer(rb"[:,\[] ?(-?\d+)", value))
    if not places:
        return overwrite(fuzz, value)
    place = fuzz.random.choice(places)
    return value[: place.start(1)] + fuzz.random.choice(LITERALS) + value[place.end(1) :]


def nest(fuzz: Fuzz, value: bytes) -> bytes:
    at = fuzz.at(value)
    return value[:at] + fuzz.random.choice((b"[", b'{"a":', b'{"fields":[')) * fuzz.random.choice((5, 200)) + value[at:]


_TIMES = ("2026-10-20", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-10-20T24:00:00Z[Europe/Berlin]")
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, 10**18, -(2**63), 2**64, 10**400),
    *(float("nan"), float("inf"), "", "a", "a" * 1001, "\ud800", "\x00", "NaN", "TABLE", "START", *_TIMES),
    *([], {}, [[]], [None], {"": None}, {"a": {}}, [{"name": "a"}] * 3, {"0.5": 1, "0.50": 2, "count": 3}),
    *({"namespace": "a", "name": "b"}, {"job": {"namespace": "a", "name": "b"}}, {"fields": [{"name": "a"}]}),
    *(
        {"inputFields": []},
        {"inputFields": [{"namespace": "a", "name": "b", "field": "c"}]},
        {"key": "a", "value": "b"},
    ),
    *([{"namespace": "a", "name": "b", "field": "c"}] * 30, {"type": "partition", "partitions": [{"identifier": "a"}]}),
    *({"columnMetrics": {"a": {"min": 1, "quantiles": {"0.5": 1}}}}, {"assertions": [{"assertion": "a"}]}),
)
LITERALS: Final = (b"1e999", b"-1e999", b"NaN", b"-Infinity", b"9" * 400, b"9" * 5000, b"1e-400", b"-", b"0x1", b"01")
_OF_BYTES: Final[tuple[Damage, ...]] = (flip, flip, cut, insert, remove, repeat, splice, overwrite, reframe, anything)
_OF_JSON: Final[tuple[Damage, ...]] = (restructure, restructure, restructure, renumber, nest)
DAMAGES: Final = _OF_BYTES + _OF_JSON


# ---------------------------------------------------------------- huge ones


def _lineage(**facets: Any) -> dict[str, Any]:
    """An OpenLineage document of two inputs with these facets."""
    dataset = {"namespace": "pg", "name": "orders", "facets": facets, "inputFacets": facets}
    return run_document(inputs=[dataset, {**dataset, "name": "raw"}])


def _assertions(datasets: int) -> dict[str, Any]:
    """5,000 inputs, which are so many datasets, with an assertion each."""
    facet = {"assertions": [{"assertion": "a" * 40, "success": True}]}
    inputs = [
        {"namespace": "pg", "name": f"o{i % datasets}", "inputFacets": {"dataQualityAssertions": facet}}
        for i in range(5000)
    ]
    return run_document(inputs=inputs)


def _columns(name: str = "raw", **facet: Any) -> dict[str, Any]:
    """Two outputs whose columns come from so many of an input, which is known by this name."""
    symlinks = {"identifiers": [{"namespace": "glue", "name": name, "type": "TABLE"}]}
    outputs = [{"namespace": "pg", "name": output, "facets": {"columnLineage": facet}} for output in ("a", "b")]
    return run_document(inputs=[{"namespace": "a", "name": "b", "facets": {"symlinks": symlinks}}], outputs=outputs)


def _measured(columns: dict[str, Any]) -> dict[str, Any]:
    return _lineage(dataQualityMetrics={"columnMetrics": columns})


_SOURCES: Final = [{"namespace": "a", "name": "b", "field": f"c{i}"} for i in range(9000)]
_PROFILE: Final = {"kind": "profile", "namespace": "pg", "name": "orders", "event_time": 1.7e9}
# A few hundred kB each, made of what grows when it is read, or of what a reader could stumble over.
HUGE: Final[dict[str, bytes | dict[str, Any]]] = {
    "arrays in arrays": b"[" * 300_000,
    "runs in runs": b'{"run":' * 50_000,
    "objects and arrays behind a state": b'{"state":' + b'{"a":[' * 50_000,
    "a number in the place of a name": b'{"job":{"namespace":"a","name":' + b"9" * 300_000 + b"}}",
    "a number without end in Avro": pack(">bI", 0, RUN_EVENT_ID) + b"\xff" * 300_000,
    "short texts where a newer run event should be": pack(">bI", 0, NEWER_RUN_EVENT_ID) + b"\x02a" * 100_000,
    "nulls where a profile should be": pack(">bI", 0, PROFILE_ID) + b"\x02a\x02a" + b"\x00" * 300_000,
    "nulls where a newer profile should be": pack(">bI", 0, NEWER_PROFILE_ID) + b"\x02a\x02a" + b"\x00" * 300_000,
    "5,000 inputs": _assertions(5000),
    "5,000 mentions of one input": _assertions(1),
    "columns that share no quantile": _measured({f"c{i}": {"quantiles": {f"0.{i:05}": 1}} for i in range(900)}),
    "many columns": _measured({f"c{i}": {"nullCount": 0} for i in range(9000)}),
    "inner columns behind a long name": _lineage(
        schema={"fields": [{"name": "n" * 900, "fields": [{"name": "x"}] * 9000}]}
    ),
    "a long name of a column that comes from many": _columns(fields={"n" * 900: {"inputFields": _SOURCES}}),
    "a long name of a column, as often as it may be": _columns(fields={"n" * 900: {"inputFields": _SOURCES[:200]}}),
    "columns of a source with a long name": _columns("n" * 900, dataset=_SOURCES),
    "more sources than may be": _columns(dataset=_SOURCES * 2),
    "owners, tags and aliases without end": _lineage(
        ownership={"owners": [{"name": f"o{i}"} for i in range(5000)]},
        tags={"tags": [{"key": f"k{i}"} for i in range(5000)]},
        symlinks={"identifiers": [{"namespace": "a", "name": f"{i}"} for i in range(5000)]},
    ),
    "NaN, and much that nobody knows": run_document(unknown=[{"a": [1, float("nan"), {"b": "c"}]}] * 10_000),
    "an error of one word": with_run_facets(errorMessage={"message": "a" * 300_000}),
    "an error of nothing but quotes": with_run_facets(errorMessage={"message": "'" * 300_000}),
    "own columns that share nothing": {
        **_PROFILE,
        "columns": [{"name": f"c{i}", "others": {f"o{i}": 1}} for i in range(5000)],
    },
    "a table of one name": {**_PROFILE, "statistics": {"columns": ["c"] * 50_000, "statistics": [], "values": []}},
    "a table of too many numbers": {
        **_PROFILE,
        "statistics": {
            "columns": [f"c{i}" for i in range(400)],
            "statistics": [f"s{i}" for i in range(400)],
            "values": [0] * 160_000,
        },
    },
}
