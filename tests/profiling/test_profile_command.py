"""`detector profile` as it is typed; and what it sends, judged."""

import json
from pathlib import Path

import duckdb
import pytest
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner, Result

from detector.__main__ import app
from detector.codecs import Decoder
from detector.core.events import DeadLetter, Profile, Record
from detector.embedded import EmbeddedBroker
from tests.services.waiting import eventually

ORDERS = "dataset:s3://lake/orders"
KEY = "a key of the tests, long enough"
DAY = 86_400


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no configuration is found."""
    monkeypatch.chdir(tmp_path)


def profile(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(app, ["profile", *arguments], prog_name="detector", env={"COLUMNS": "160", **env})


def load(day: int, rows: int = 1_000, bad: bool = False) -> str:
    """A file of orders; a bad one has null amounts, repeated ids, and a status and customers that nobody knows."""
    name = f"orders-{day:02}.parquet"
    with duckdb.connect() as connection:
        amount = (
            "CASE WHEN i % 2 = 0 THEN NULL ELSE 5.0::DOUBLE END"
            if bad
            else f"20 + (i * 7919 + {day} * 31) % 997 / 10.0"
        )
        status = "'lost'" if bad else "CASE WHEN i % 3 = 0 THEN 'new' ELSE 'paid' END"
        customer = "i % 100 + 50" if bad else "i % 100"
        number = "i // 2" if bad else f"{day * 100_000} + i"
        connection.execute(
            f"COPY (SELECT {number} AS id, {amount} AS amount, {status} AS status, {customer} AS customer,"
            f" 'm' || i || {chr(39) + ('' if bad else '@x.de') + chr(39)} AS mail"
            f" FROM range({rows}) t(i)) TO '{name}' (FORMAT parquet)"
        )
    return name


def decoded(text: str) -> Profile:
    found = Decoder().decode(Record("", 0, 0, 0.0, None, text.strip().encode()))
    assert not isinstance(found, DeadLetter), found.message
    assert isinstance(found, Profile)
    return found


CHECKS = """
rules:
  - match: dataset:s3://lake/*
    checks:
      - {kind: unique, column: id}
      - {kind: in_set, column: status, values: [new, paid]}
      - {kind: matches, column: mail, pattern: email}
      - {kind: matches, column: status, pattern: house style}
      - {kind: referential, column: customer, dataset: customers, key: id}
      - {kind: not_null, column: amount}
profile:
  patterns: {house style: "[a-z]+"}
  references: {customers: customers.csv}
"""


def configured() -> str:
    Path("customers.csv").write_text("id\n" + "".join(f"{i}\n" for i in range(100)))
    Path("checks.yaml").write_text(CHECKS)
    return "checks.yaml"


def test_people_see_a_table() -> None:
    result = profile(load(1), "-d", ORDERS, DETECTOR_PROFILE__KEY=KEY)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].startswith("dataset:s3://lake/orders: 1,000 rows, ")
    assert "column    type" in result.stdout
    assert "mail      VARCHAR" in result.stdout
    assert "length 7 to 9" in result.stdout
    assert result.stderr == ""


def test_programs_get_the_record_that_is_sent() -> None:
    result = profile(load(1), "-d", ORDERS, "--partition", "day=1", "--run-id", "r1", "--json")

    found = decoded(result.stdout)
    assert (found.namespace, found.name) == ("s3://lake", "orders")
    assert (found.rows, found.grain, found.partition, found.run_id) == (1_000, "partition", "day=1", "r1")
    assert [field.name for field in found.schema or ()] == ["id", "amount", "status", "customer", "mail"]


def test_what_the_checks_of_the_configuration_need_is_counted_along() -> None:
    result = profile(load(1, bad=True), "-d", ORDERS, "--config", configured(), "--json")

    columns = {column["name"]: column for column in json.loads(result.stdout)["columns"]}
    assert columns["mail"]["others"]["matches:email_count"] == 0
    assert columns["status"]["others"]["matches:house style_count"] == 1_000
    assert columns["customer"]["others"]["missing_in:customers.id_count"] == 500
    assert columns["id"]["distinct"] == 500


@pytest.mark.slow
@pytest.mark.parametrize("key", ["", KEY], ids=["without a key", "with a key"])
def test_a_load_that_breaks_its_promises_fails_the_checks_and_a_good_one_passes(key: str) -> None:
    """What was profiled and written to a file, judged as it would be live."""
    config = configured()
    lines = []
    for day in range(1, 9):
        sent = profile(
            load(day, 1_000 + day, bad=day == 8), "-d", ORDERS, "--config", config, "--out", "p.json",
            **({"DETECTOR_PROFILE__KEY": key} if key else {}),
        )  # fmt: skip
        assert sent.exit_code == 0, sent.output
        record = json.loads(Path("p.json").read_text())
        record["event_time"] = 1_790_000_000 + day * DAY
        lines.append({"key": None, "timestamp": record["event_time"] * 1_000, "value": json.dumps(record)})
    Path("history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    judged = CliRunner().invoke(app, ["backtest", "history.jsonl", "--config", config, "--json"], prog_name="detector")

    assert judged.exit_code == 0, judged.output
    events = [json.loads(line) for line in judged.stdout.splitlines()]
    found = {e["data"]["check"]: e["time"] for e in events if e.get("type") == "io.detector.anomaly.started.v1"}
    assert {
        "declared:unique(id)",
        "declared:in_set(status)",
        "declared:matches(mail, email)",
        "declared:referential(customer, customers.id)",
        "declared:not_null(amount)",
        "columns",
    } == set(found)
    assert set(found.values()) == {"2026-09-29T14:13:20Z"}  # the eighth day


def test_what_is_emitted_arrives_at_the_last_input(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("pipeline.profiles", 1)
    kafka = {"DETECTOR_KAFKA__BOOTSTRAP_SERVERS": embedded_broker.bootstrap}

    result = profile(load(1), "-d", ORDERS, "--emit", **kafka)

    assert (result.exit_code, result.stderr.splitlines()[-1]) == (0, "sent to pipeline.profiles")
    consumer = Consumer({"bootstrap.servers": embedded_broker.bootstrap, "group.id": "g"})
    consumer.assign([TopicPartition("pipeline.profiles", 0, 0)])
    message = eventually(lambda: consumer.poll(0.1), "the profile")
    assert message is not None
    assert message.key() == ORDERS.encode()
    assert decoded((message.value() or b"").decode()).rows == 1_000
    consumer.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "name a file, a database, or --topic", id="nothing"),
        pytest.param(["x.csv", "--emit"], "say which dataset this is", id="sent without a name"),
        pytest.param(["x.csv", "-d", "orders"], "is no dataset", id="no entity"),
        pytest.param(["x.csv", "--sample", "half"], "is no sample", id="no sample"),
        pytest.param(["x.csv", "--pattern", "x"], "write NAME=...", id="a pattern without a name"),
        pytest.param(["x.csv", "--pattern", "x=("], "pattern x:", id="no pattern"),
        pytest.param(["--topic", "t", "-d", ORDERS, "--to", "t"], "cannot go to t itself", id="into itself"),
        pytest.param(["--topic", "t", "-d", ORDERS, "--window", "soon"], "soon", id="no span"),
    ],
)
def test_what_cannot_be_asked_for_is_said(arguments: list[str], message: str) -> None:
    Path("x.csv").write_text("a\n1\n")

    result = profile(*arguments)

    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
