"""docs/inputs.md says what the code does: its examples are run, and its tables held to the code."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition

import detector
from detector.codecs import CODECS, Decoder, SchemaRegistry
from detector.codecs.checks import Reason
from detector.codecs.facets import DatasetFacets, Facet, InputFacets, JobFacets, OutputFacets, RunFacets
from detector.config import load
from detector.core.events import Assertion, Dataset, DeadLetter, Field, Profile, RunEvent, observations
from detector.deadletters import send_of
from detector.embedded import EmbeddedBroker
from tests.codecs.records import event, record
from tests.services.waiting import eventually

SOURCES = Path(detector.__file__).parent
PAGE = (SOURCES.parent / "docs" / "inputs.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- example: (.+?) -->\n```\w+\n(.+?)```", PAGE, re.DOTALL))
FACETS: dict[str, type[msgspec.Struct]] = {
    "run": RunFacets,
    "job": JobFacets,
    "dataset": DatasetFacets,
    "input": InputFacets,
    "output": OutputFacets,
}


def table(name: str) -> list[list[str]]:
    """The rows of the table under this mark."""
    found = re.search(rf"<!-- {name} -->\n\|.*\n\|-.*\n((?:\|.*\n)+)", PAGE)
    assert found, f"the page has no table of {name}"
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in found.group(1).splitlines()]


def words(cell: str) -> list[str]:
    """What stands in code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def run(example: str, **addresses: str) -> dict[str, Any]:
    """The names that an example in Python leaves behind, once it ran with these addresses in the place of its own."""
    code = EXAMPLES[example]
    for theirs, ours in addresses.items():
        assert theirs in code
        code = code.replace(theirs, ours)
    left: dict[str, Any] = {}
    exec(compile(code, f"docs/inputs.md: {example}", "exec"), left)
    return left


# ---------------------------------------------------------------- examples


def test_every_block_of_code_is_an_example_that_is_run_or_the_setting_of_somebody_elses_tool() -> None:
    languages = re.findall(r"^```(\w+)$", PAGE, re.MULTILINE)

    assert languages.count("json") + languages.count("python") == len(EXAMPLES) == 6
    assert set(languages) == {"json", "python", "sh", "yaml", "ini"}


def test_the_openlineage_example_is_a_run_with_its_datasets() -> None:
    found = event(EXAMPLES["openlineage"])

    source = "dataset:postgres://shop-db:5432/shop.public.orders"
    assert (found.state, found.parent, found.streaming) == ("COMPLETE", "job:airflow/orders", False)
    assert (found.owners, found.tags) == (("team:shop",), ("tier=1",))
    assert found.inputs == (
        Dataset(
            *("postgres://shop-db:5432", "shop.public.orders", 10208.0, 1632768.0),
            assertions=(Assertion("not_null", True, "id"),),
        ),
    )
    assert found.outputs == (
        Dataset(
            *("snowflake://acme-prod", "DWH.PUBLIC.ORDERS", 10208.0, 800321.0),
            schema=(Field("id", "BIGINT"), Field("amount", "DOUBLE")),
            version="8841",
            columns_from=(("amount", source, "price"), ("id", source, "id")),
        ),
    )
    assert [entity for entity, _ in observations(found, 0.0)] == [
        "job:airflow/orders.load",
        "dataset:postgres://shop-db:5432/shop.public.orders",
        "dataset:snowflake://acme-prod/DWH.PUBLIC.ORDERS",
    ]


def test_the_run_event_example_is_a_run() -> None:
    found = event(EXAMPLES["run event"])

    assert isinstance(found, RunEvent)
    assert (found.run_id, found.metrics) == ("orders-2026-10-20", {"rejected": 3.0, "retries": 0.0})
    assert (found.inputs[0].rows, found.outputs[0].version) == (10208.0, "8841")


def test_the_two_layouts_of_the_profile_example_are_one_profile() -> None:
    as_table, as_columns = event(EXAMPLES["profile, table"]), event(EXAMPLES["profile, columns"])

    assert isinstance(as_table, Profile)
    assert as_table.statistics is not None
    assert as_table.statistics.columns == ("amount", "status")
    assert as_table == as_columns


@pytest.mark.parametrize("name", ["run event", "profile, table", "profile, columns"])
def test_what_the_page_says_of_kind_is_so(name: str) -> None:
    example = json.loads(EXAMPLES[name])
    kind = example.pop("kind")

    assert kind == ("run_event" if name == "run event" else "profile")
    assert event(example) == event(EXAMPLES[name])


def test_the_registry_example_sends_a_run_that_is_read(
    embedded_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded_broker.create_topic("pipeline.run-events")
    monkeypatch.chdir(SOURCES / "codecs" / "schemas")
    addresses = {"127.0.0.1:9092": embedded_broker.bootstrap, "http://127.0.0.1:8081": "mock://page"}
    registry = SchemaRegistry("mock://page")
    registry.client = run("registry", **addresses)["registry"]  # a registry in the process is its client's own

    consumer = Consumer({"bootstrap.servers": embedded_broker.bootstrap, "group.id": "page"})
    consumer.assign([TopicPartition("pipeline.run-events", 0, 0)])
    sent = eventually(lambda: consumer.poll(0.1), "the record of the example")
    consumer.close()

    assert sent is not None
    assert sent.key() == b"run:airflow/orders.load"
    found = Decoder(registry).decode(record(sent.value()))
    assert isinstance(found, RunEvent)
    assert (found.state, found.outputs[0].rows) == ("COMPLETE", 10208.0)


def test_the_single_object_example_is_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SOURCES / "codecs" / "schemas")

    found = event(run("single object")["value"])

    assert isinstance(found, Profile)
    assert (found.rows, found.event_time) == (10208.0, 1_792_461_900.0)
    assert found.statistics is not None
    assert found.statistics.statistics == ("null_count", "q0.5")


def test_the_settings_of_other_tools_name_the_topic_that_is_read() -> None:
    airflow = re.search(r"TRANSPORT='(.+)'", PAGE)
    python = re.search(r"```yaml\n(.+?)```", PAGE, re.DOTALL)
    assert airflow
    assert python

    as_json, as_yaml = json.loads(airflow.group(1)), yaml.safe_load(python.group(1))["transport"]

    assert as_json == as_yaml
    assert as_json["topic"] == load("").topics.inputs[0]
    assert f"topicName={as_json['topic']}\n" in PAGE


def test_the_topics_that_the_page_names_are_the_defaults() -> None:
    topics = load("").topics

    assert all(f"`{name}`" in PAGE for name in topics.inputs)
    assert f"`topics.dead_letters` (`{topics.dead_letters}`)" in PAGE


# ---------------------------------------------------------------- tables


def test_every_facet_that_is_read_is_on_the_page_with_its_fields() -> None:
    def fields(facet: Any) -> list[str]:
        kind = next(t for t in get_args(facet) if isinstance(t, type) and issubclass(t, Facet))
        return [f.encode_name for f in msgspec.structs.fields(kind) if f.encode_name != "_deleted"]

    coded = {
        (of, f.encode_name): fields(f.type) for of, holder in FACETS.items() for f in msgspec.structs.fields(holder)
    }

    assert {(of, *words(facet)): words(told) for of, facet, told, _ in table("facets")} == coded


def test_every_first_byte_that_a_codec_knows_is_on_the_page() -> None:
    told = {int(byte, 16) for cell, _ in table("framing") for byte in words(cell) if len(byte) == 2}

    assert told == {byte for codec in CODECS.values() for byte in codec.first_bytes}


def test_every_reason_is_on_the_page_and_is_given_by_some_codec() -> None:
    given = set()
    for source in (*(SOURCES / "codecs").glob("*.py"), SOURCES / "ingest.py"):
        given |= set(re.findall(r'(?:Refused\(|DeadLetter\(record,)\s*"(\w+)"', source.read_text(encoding="utf-8")))

    assert sorted(words(reason)[0] for reason, _, _ in table("reasons")) == sorted(get_args(Reason))
    assert given == set(get_args(Reason))


def test_every_reason_of_the_log_is_on_the_page() -> None:
    given = re.findall(r'_aside\(record, "(\w+)"', (SOURCES / "checkpoint.py").read_text(encoding="utf-8"))

    assert [words(reason)[0] for reason, _, _ in table("reasons of the log")] == list(dict.fromkeys(given))


def test_every_header_of_a_dead_letter_is_on_the_page() -> None:
    letter = Decoder().decode(record("hello"))
    assert isinstance(letter, DeadLetter)
    headers: Mapping[str, bytes | None] = dict(send_of(letter, "detector.dead-letters", "0").headers)

    told = {words(header)[0]: words(what) for header, what in table("headers")}

    assert list(told) == list(headers)
    for name in ("connector.name", "class.name"):
        assert headers[f"__connect.errors.{name}"] == told[f"__connect.errors.{name}"][0].encode()
    assert told["__connect.errors.stage"] == ["VALUE_CONVERTER", "step"]
