"""Avro by a real Schema Registry: what Confluent's serializer writes is read, also by other versions of a schema."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from detector.codecs import Decoder, SchemaRegistry
from detector.codecs.schema import text
from detector.core.events import Dataset, DeadLetter, Event, Field, Profile, Record, RunEvent, Statistics
from detector.errors import Unreachable
from tests.services.registry import SchemaRegistry as Server
from tests.services.requirements import require

pytestmark = pytest.mark.integration

AT = datetime(2026, 10, 20, 1, 59, 8, 941_000, tzinfo=UTC)
NOMINAL = datetime(2026, 10, 20, tzinfo=UTC)
RUN: dict[str, Any] = {
    "namespace": "airflow",
    "name": "orders.load",
    "run_id": "01a15708-c115-7f0f-9844-ac4163b7618a",
    "state": "COMPLETE",
    "event_time": AT,
    "nominal_time": NOMINAL,
    "inputs": [],
    "outputs": [{"namespace": "pg", "name": "orders", "rows": 9.0, "version": "7"}],
    "metrics": {"retries": 2.0},
}
RUN_EVENT = RunEvent(
    "airflow",
    "orders.load",
    "01a15708-c115-7f0f-9844-ac4163b7618a",
    "COMPLETE",
    AT.timestamp(),
    NOMINAL.timestamp(),
    outputs=(Dataset("pg", "orders", 9.0, version="7"),),
    metrics={"retries": 2.0},
)
OF_ROWS: dict[str, Any] = {
    "namespace": "pg",
    "name": "orders",
    "event_time": AT,
    "rows": 9.0,
    "schema": [{"name": "amount", "type": "DOUBLE", "position": 1}],
}
MEASURED = pack("<4d", 9.0, 1.0, 7.39, 33.19)
AS_TABLE = {"columns": ["amount"], "statistics": ["count", "null_count", "min", "q0.5"], "values": MEASURED}
AS_COLUMNS = [{"name": "amount", "count": 9.0, "null_count": 1.0, "min": 7.39, "quantiles": {"0.5": 33.19}}]
PROFILE = Profile(
    "pg",
    "orders",
    AT.timestamp(),
    9.0,
    statistics=Statistics(("amount",), ("count", "null_count", "min", "q0.5"), MEASURED),
    schema=(Field("amount", "DOUBLE", 1),),
)


@pytest.fixture
def client(registry: Server) -> Iterator[SchemaRegistry]:
    """Ours, of the real registry; the tests write with the client inside of it."""
    ours = SchemaRegistry(registry.url)
    yield ours
    ours.close()


def written(client: SchemaRegistry, topic: str, schema: str, fields: dict[str, Any]) -> Record:
    """The record that Confluent's serializer makes of these fields, its schema registered under the topic."""
    write = AvroSerializer(client.client, schema)
    return Record(topic, 0, 0, AT.timestamp(), None, write(fields, SerializationContext(topic, MessageField.VALUE)))


def changed(file: str) -> dict[str, Any]:
    """One of our schemas as somebody else's release has it: the fields in another order, and one that is not ours."""
    schema: dict[str, Any] = json.loads(text(file))
    fields = {field["name"]: field for field in schema["fields"]}
    first = [fields.pop(name) for name in ("event_time", "name", "namespace")]
    owner = {"name": "owner", "type": ["null", "string"], "default": None, "doc": "The team."}
    schema["fields"] = [*first, owner, *fields.values()]
    return schema


@pytest.mark.parametrize(
    ("file", "fields", "expected"),
    [
        pytest.param("run_event.avsc", RUN, RUN_EVENT, id="a run event"),
        pytest.param("profile.avsc", {**OF_ROWS, "statistics": AS_TABLE}, PROFILE, id="a profile with a table"),
        pytest.param("profile.avsc", {**OF_ROWS, "columns": AS_COLUMNS}, PROFILE, id="a profile with plain columns"),
    ],
)
def test_what_confluents_serializer_writes_is_read(
    client: SchemaRegistry, topic_prefix: str, file: str, fields: dict[str, Any], expected: Event
) -> None:
    record = written(client, topic_prefix + "t", text(file), fields)

    assert record.value is not None
    assert record.value[0] == 0
    assert Decoder(client).decode(record) == expected


@pytest.mark.parametrize(
    ("file", "fields", "expected"),
    [
        pytest.param("run_event.avsc", RUN, RUN_EVENT, id="a run event"),
        pytest.param("profile.avsc", {**OF_ROWS, "statistics": AS_TABLE}, PROFILE, id="a profile"),
    ],
)
def test_a_writer_with_one_more_field_and_the_others_in_another_order_is_read(
    client: SchemaRegistry, topic_prefix: str, file: str, fields: dict[str, Any], expected: Event
) -> None:
    first = written(client, topic_prefix + "t", text(file), fields)
    later = written(client, topic_prefix + "t", json.dumps(changed(file)), {**fields, "owner": "sales"})
    decoder = Decoder(client)

    assert first.value is not None
    assert later.value is not None
    assert first.value[:5] != later.value[:5], "the registry took them for one schema"
    assert [decoder.decode(first), decoder.decode(later)] == [expected, expected]


def test_an_id_that_the_registry_does_not_have_is_a_dead_letter(client: SchemaRegistry) -> None:
    record = Record("t", 0, 0, AT.timestamp(), None, pack(">bI", 0, 2_000_000_000) + b"abc")

    found = Decoder(client).decode(record)

    assert isinstance(found, DeadLetter)
    assert (found.reason, found.message) == ("unknown_schema", "the schema registry has no schema 2000000000")


def test_a_registry_without_guids_makes_a_dead_letter_of_a_header_with_one(client: SchemaRegistry) -> None:
    # Apicurio's API is older than GUIDs, so no serializer can get one from it: this one is made up.
    header = ("__value_schema_id", b"\x01" + bytes(range(16)))
    record = Record("t", 0, 0, AT.timestamp(), None, b"abc", (header,))

    found = Decoder(client).decode(record)

    assert isinstance(found, DeadLetter)
    assert found.reason == "unknown_schema"


def test_a_registered_schema_of_somebody_else_is_a_dead_letter_that_names_ours(
    client: SchemaRegistry, topic_prefix: str
) -> None:
    theirs = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}
    record = written(client, topic_prefix + "t", json.dumps(theirs), {"id": 1})

    found = Decoder(client).decode(record)

    assert isinstance(found, DeadLetter)
    assert found.reason == "schema"
    assert "neither io.detector.RunEvent nor io.detector.Profile" in found.message


def test_a_registry_that_is_down_is_waited_for_and_the_same_record_is_read_when_it_is_back(tmp_path: Path) -> None:
    require("java", "mvn")
    with Server(tmp_path / "registry") as server:
        writer = SchemaRegistry(server.url)
        run = written(writer, "t", text("run_event.avsc"), RUN)
        profile = written(writer, "t2", text("profile.avsc"), {**OF_ROWS, "statistics": AS_TABLE})
        reader = SchemaRegistry(server.url)
        decoder = Decoder(reader)
        assert decoder.decode(run) == RUN_EVENT
        server.kill()

        for _ in range(3):
            with pytest.raises(Unreachable, match="no answer to schema"):
                decoder.decode(profile)
        assert decoder.decode(run) == RUN_EVENT, "what is known already needs no registry"

        server.start()
        # It keeps all in memory: in the same order, the schemas get the same ids again.
        again = SchemaRegistry(server.url)
        assert written(again, "t", text("run_event.avsc"), RUN) == run
        assert written(again, "t2", text("profile.avsc"), {**OF_ROWS, "statistics": AS_TABLE}) == profile
        assert decoder.decode(profile) == PROFILE
        for used in (writer, reader, again):
            used.close()
