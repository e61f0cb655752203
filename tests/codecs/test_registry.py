"""The client of the registry: what it makes of every answer, and how often it asks. The real one: tests/integration."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka.schema_registry import header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from detector.codecs import Decoder, SchemaRegistry
from detector.codecs.checks import Refused
from detector.codecs.registry import Registered
from detector.codecs.schema import text
from detector.core.events import DeadLetter, RunEvent
from detector.errors import ConfigError, Unreachable
from tests.codecs.records import record
from tests.codecs.registries import HttpRegistry, guid

FOUND = json.dumps({"schema": "{}", "schemaType": "JSON"}).encode()
NOT_FOUND = json.dumps({"error_code": 40403, "message": "Schema 7 not found"}).encode()
RUN = {"namespace": "a", "name": "b", "run_id": "r", "state": "START", "event_time": datetime(2026, 10, 20, tzinfo=UTC)}
EXPECTED = RunEvent("a", "b", "r", "START", datetime(2026, 10, 20, tzinfo=UTC).timestamp())


@pytest.fixture
def in_process() -> Iterator[SchemaRegistry]:
    registry = SchemaRegistry("mock://tests")
    yield registry
    registry.close()


def test_what_confluents_serializer_writes_with_an_id_in_front_is_read(in_process: SchemaRegistry) -> None:
    write = AvroSerializer(in_process.client, text("run_event.avsc"))

    value = write(RUN, SerializationContext("any.topic", MessageField.VALUE))

    assert value is not None
    assert value[0] == 0
    assert Decoder(in_process).decode(record(value)) == EXPECTED


def test_what_confluents_serializer_writes_with_a_guid_in_a_header_is_read(in_process: SchemaRegistry) -> None:
    settings = {"schema.id.serializer": header_schema_id_serializer}
    write = AvroSerializer(in_process.client, text("run_event.avsc"), conf=settings)
    headers: list[tuple[str, Any]] = []

    value = write(RUN, SerializationContext("any.topic", MessageField.VALUE, headers))

    assert value is not None
    assert [(name, len(named)) for name, named in headers] == [("__value_schema_id", 17)]
    assert Decoder(in_process).decode(record(value, tuple(headers))) == EXPECTED


def test_an_id_that_the_registry_in_the_process_does_not_have_is_a_dead_letter(in_process: SchemaRegistry) -> None:
    found = Decoder(in_process).decode(record(b"\x00\x00\x00\x00\x07abc"))

    assert isinstance(found, DeadLetter)
    assert (found.reason, found.message) == ("unknown_schema", "the schema registry has no schema 7")


# ---------------------------------------------------------------- answers


def test_a_schema_is_asked_for_once_by_its_number_or_its_guid() -> None:
    with HttpRegistry(200, FOUND) as server:
        registry = SchemaRegistry(f"http://{server.address}")
        for key in (7, guid(7), 7, guid(7)):
            assert registry.schema(key) == Registered("{}", "JSON")
        registry.close()

    assert [path.partition("?")[0] for path in server.asked] == ["/schemas/ids/7", f"/schemas/guids/{guid(7)}"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(500, b"", id="it is broken"),
        pytest.param(503, json.dumps({"error_code": 50301, "message": "x"}).encode(), id="it is not ready"),
        pytest.param(429, b"", id="it has too much to do"),
        pytest.param(401, b"", id="who are you"),
        pytest.param(403, json.dumps({"error_code": 40301, "message": "x"}).encode(), id="not for you"),
        pytest.param(404, b"<html>nothing here</html>", id="no registry at this address"),
        pytest.param(404, json.dumps({"error_code": 404, "message": "HTTP 404 Not Found"}).encode(), id="no such path"),
        pytest.param(200, b"<html>please log in</html>", id="a page in the place of JSON"),
        pytest.param(200, b"[]", id="JSON of another form"),
    ],
)
def test_an_answer_that_says_nothing_of_the_schema_is_to_be_waited_for(status: int, body: bytes) -> None:
    with HttpRegistry(status, body) as server:
        registry = SchemaRegistry(f"http://{server.address}")
        for _ in range(2):
            with pytest.raises(Unreachable):
                registry.schema(7)
        server.status, server.body = 200, FOUND

        assert registry.schema(7) == Registered("{}", "JSON")
        registry.close()


def test_a_schema_that_is_not_there_is_asked_for_again_after_a_hundred_records() -> None:
    with HttpRegistry(404, NOT_FOUND) as server:
        registry = SchemaRegistry(f"http://{server.address}")
        for _ in range(100):
            with pytest.raises(Refused, match="no schema 7"):
                registry.schema(7)
        assert len(server.asked) == 1
        server.status, server.body = 200, FOUND

        assert registry.schema(7) == Registered("{}", "JSON")
        registry.close()


@pytest.mark.slow
def test_a_thousand_ids_that_are_not_there_are_not_remembered_for_ever() -> None:
    with HttpRegistry(404, NOT_FOUND) as server:
        registry = SchemaRegistry(f"http://{server.address}")
        for key in range(1, 1003):
            with pytest.raises(Refused):
                registry.schema(key)
        asked = len(server.asked)

        with pytest.raises(Refused):
            registry.schema(1)
        registry.close()

    assert (asked, len(server.asked)) == (1002, 1003)


def test_an_old_registry_that_knows_no_guids_does_not_stop_the_topic() -> None:
    with HttpRegistry(404, b"<html>no such path</html>") as server:
        registry = SchemaRegistry(f"http://{server.address}")

        with pytest.raises(Refused, match="no schema"):
            registry.schema(guid(7))
        registry.close()


def test_a_registry_that_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        registry = SchemaRegistry(f"http://127.0.0.1:{listening.getsockname()[1]}", {"timeout": 0.1})

        with pytest.raises(Unreachable, match="Timeout"):
            registry.schema(7)
        registry.close()


def test_the_password_in_the_address_is_told_to_nobody() -> None:
    with HttpRegistry(500, b"") as server:
        registry = SchemaRegistry(f"http://me:secret@{server.address}")

        with pytest.raises(Unreachable) as caught:
            registry.schema(7)
        registry.close()

    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert server.address in str(caught.value)


def test_settings_that_the_client_does_not_know_are_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="registry: the client refuses the settings"):
        SchemaRegistry("http://127.0.0.1:1", {"no.such.setting": 1})
