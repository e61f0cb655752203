"""The canary drill: a value of a customer's data is put wherever producers put data, and must come out nowhere.

It goes through the whole program: ingest and worker, on the embedded Kafka and Redis. Afterwards all topics are read,
all keys of Redis, the log, the metrics, and what the commands print. Only a dead letter may have it, since it is the
record as it came: in its key, its value and the headers that it had, and in none of those that say what is wrong.
"""

import io
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx
import pytest
import redis
import yaml
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from typer.testing import CliRunner

from detector import app, logs
from detector.__main__ import app as commands
from detector.config import Config, Log, load
from detector.core.emissions import BreakerChange, Emission
from detector.core.events import DeadLetter
from detector.core.incidents import Incident
from detector.embedded import EmbeddedBroker, EmbeddedRedis
from detector.telemetry import Telemetry
from tests.services.waiting import eventually

pytestmark = pytest.mark.integration

# A surname: without digits, quotes or capitals that would give it away, where nobody happens to quote it.
CANARY = "quuxenschnee"
PARTITIONS = 2
MINUTE, HOUR = 60.0, 3_600.0
RUNS = 24


class Sent(NamedTuple):
    """A record of an outside topic."""

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    at: float | None = None


# ---------------------------------------------------------------- what producers send

ERRORS = (
    f"psycopg.errors.UniqueViolation: duplicate key: Key (name)=({CANARY}) already exists\nDETAIL: {CANARY}",
    f"ValueError: could not convert string to float: '{CANARY}'",
    f'java.lang.NumberFormatException: For input string: "{CANARY}"',
    f"org.apache.spark.SparkDateTimeException: Cannot parse value: {CANARY}",
    f"invalid input syntax for type integer: {CANARY}",
    f"Failed to read row {CANARY}, 12, 2026-01-01",
    f"the value {CANARY} is not one of those that are allowed",
    f"Database Error: rejected record: name={CANARY} password={CANARY}",
    f"{CANARY}@example.com is no customer",
    f"Cannot connect to postgres://{CANARY}:{CANARY}@db:5432/shop",
    f"KeyError: {CANARY}",
    f"Traceback (most recent call last):\n  {CANARY}",
)
FACET = {"_producer": "https://example.com/etl", "_schemaURL": "https://example.com/facet.json"}


def run_event(job: str, number: int, state: str, at: float, **more: Any) -> dict[str, Any]:
    event = {"kind": "run_event", "namespace": "shop", "name": job, "run_id": f"{job}-{number}", "state": state}
    return {**event, "event_time": at, **more}


def native(job: str, error: str, now: float) -> Iterator[dict[str, Any]]:
    """A job that ran well for a day and fails."""
    for number in range(RUNS):
        at = now - (RUNS - number) * HOUR
        outputs = [{"namespace": "db", "name": f"{job}_table", "rows": 1000 + number % 7}]
        yield run_event(job, number, "START", at - MINUTE)
        yield run_event(job, number, "COMPLETE", at, outputs=outputs, unknown=CANARY)
    yield run_event(job, RUNS, "FAIL", now, error=error, note={"customer": CANARY})


def profiles(now: float) -> Iterator[dict[str, Any]]:
    """Loads of two tables of customers: one becomes short, in the other one name is suddenly everywhere."""
    for table, short in (("customers", 3), ("names", 1000)):
        for number in range(RUNS):
            at, last = now - (RUNS - number) * HOUR, number == RUNS - 1
            rows = short if last else 1000 + number % 7
            top = {CANARY: 0.9 * rows} if last else {"a": 600.0 + number % 5, "b": 300.0}
            column = {"name": "name", "count": rows, "distinct": 40 + number % 3, "null_count": number % 2}
            profile = {"kind": "profile", "namespace": "db", "name": table, "event_time": at, "rows": rows}
            yield {**profile, "columns": [{**column, "sample": CANARY}], "top_values": {"name": top}, "note": [CANARY]}


def assertions() -> dict[str, Any]:
    """What dbt and Great Expectations say of a test that failed, as far as any of their versions goes."""
    said = {"assertion": "accepted_values", "success": False, "column": "name", "severity": "error"}
    data = {"actual": CANARY, "expected": f"[{CANARY}]", "message": f"Got {CANARY}", "failures": [CANARY]}
    return {**FACET, "assertions": [{**said, **data}]}


def open_lineage(job: str, state: str, at: float, error: str = "", **facets: Any) -> dict[str, Any]:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    failed = {"message": error, "programmingLanguage": "python", "stackTrace": f"{error}\n{CANARY}"}
    quality = {**FACET, "rowCount": 10, "columnMetrics": {"name": {"min": CANARY, "max": CANARY, "nullCount": 1}}}
    dataset = {
        "namespace": "db",
        "name": f"{job}_out",
        "facets": {
            "documentation": {**FACET, "description": CANARY},
            "schema": {**FACET, "fields": [{"name": "name", "type": "TEXT", "description": CANARY}]},
            "sample": {**FACET, "rows": [[CANARY]]},
            "dataQualityMetrics": quality,
            "dataQualityAssertions": assertions(),
        },
        "outputFacets": {"outputStatistics": {**FACET, "rowCount": CANARY}},
    }
    return {
        "eventType": state,
        "eventTime": moment,
        "producer": "https://example.com/etl",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {
            "runId": f"{job}-run",
            "facets": {
                "errorMessage": {**FACET, **failed},
                "dbt_test_results": {**FACET, "message": CANARY},
                "spark_properties": {**FACET, "properties": {"password": CANARY}},
                **facets,
            },
        },
        "job": {"namespace": "ol", "name": job, "facets": {"sql": {**FACET, "query": f"where name = '{CANARY}'"}}},
        "inputs": [{"namespace": "db", "name": f"{job}_in", "inputFacets": {"dataQualityAssertions": assertions()}}],
        "outputs": [dataset],
    }


def broken() -> Iterator[bytes]:
    """Records that cannot be used, each with the value where the trouble is."""
    good = run_event("broken", 1, "FAIL", 1.0)
    profile = {"kind": "profile", "namespace": "db", "name": "broken", "event_time": 1.0, "rows": 1}
    wrong: Sequence[Any] = (
        {**good, "event_time": CANARY},
        {**good, "run_id": {CANARY: CANARY}},
        {**good, "outputs": [{"namespace": "db", "name": "x", "rows": CANARY}]},
        {**good, "outputs": [{"namespace": "db", "name": f"{CANARY}\x07"}]},
        {**good, "metrics": {CANARY: CANARY}},
        {**good, "kind": CANARY},
        {**good, "name": "", "namespace": CANARY},
        {**profile, "columns": [{"name": "name", "min": CANARY, "max": CANARY}]},
        {**profile, "top_values": {"name": {CANARY: CANARY}}},
        {**profile, "top_values": {"name": [CANARY]}},
        {**profile, "statistics": {"columns": [CANARY, CANARY], "statistics": ["count"], "values": [1, 2]}},
        {**profile, "columns": [{"name": CANARY * 200, "count": 1}]},
        {**profile, "window_start": CANARY, "event_time": CANARY},
        {"eventType": CANARY, "eventTime": CANARY, "run": {"runId": "1"}, "job": {"namespace": "a", "name": "b"}},
        {"eventType": "FAIL", "eventTime": "2026-01-01T00:00:00Z", "run": {"runId": [CANARY]}, "job": {CANARY: 1}},
        [CANARY],
        CANARY,
    )
    yield from (json.dumps(one).encode() for one in wrong)
    yield json.dumps(good).encode()[:-1] + f', "x": {CANARY}'.encode()
    yield f'{{"kind": "run_event", "name": "{CANARY}'.encode()
    yield CANARY.encode()
    yield b"\x00\x00\x00\x00\x07" + CANARY.encode()
    yield b"\xc3\x01" + CANARY.encode()
    yield b"{" + CANARY.encode() + b"\xff\xfe}"


def bad_commands() -> Iterator[bytes]:
    known = {"id": "1", "by": "alice"}
    for wrong in (
        {**known, "command": CANARY},
        {**known, "command": "feedback", "entity": "job:a/b", "verdict": CANARY},
        {**known, "command": "override", "entity": "job:a/b", "state": CANARY, "until": CANARY},
        {**known, "command": "override", "entity": "job:a/b", "state": "force_open", "until": 1, CANARY: CANARY},
        {**known, "command": "window", "window": {"match": [CANARY], "start": CANARY}},
    ):
        yield json.dumps(wrong).encode()
    yield CANARY.encode()


def everything(names: Any, now: float) -> Iterator[Sent]:
    """All that is sent, in the order of time where there is one."""
    native_topic, lineage_topic = names.inputs
    for number, error in enumerate(ERRORS):
        job = f"job{number}"
        for event in native(job, error, now):
            yield Sent(native_topic, CANARY, json.dumps(event).encode(), at=event["event_time"])
        for state in ("START", "FAIL"):
            value = json.dumps(open_lineage(job, state, now - MINUTE, error)).encode()
            yield Sent(lineage_topic, CANARY, value, (("traceparent", CANARY.encode()),), now - MINUTE)
    for profile in profiles(now):
        yield Sent(native_topic, "k", json.dumps(profile).encode(), at=profile["event_time"])
    for value in broken():
        yield Sent(native_topic, CANARY, value, (("note", CANARY.encode()),))
        yield Sent(lineage_topic, "k", value, (("__value_schema_id", CANARY.encode()),))
    for value in bad_commands():
        yield Sent(names.commands, "k", value)


# ---------------------------------------------------------------- the program


@dataclass
class Told:
    """All that the program said, wherever, after it was sent everything."""

    config: Config
    path: Path
    topics: dict[str, list[tuple[bytes, bytes, dict[str, bytes]]]] = field(default_factory=dict)
    log: str = ""
    metrics: str = ""
    keys: dict[bytes, str] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)

    def letters(self) -> list[tuple[bytes, bytes, dict[str, bytes]]]:
        return self.topics[self.config.topics.dead_letters]

    def control(self, type_: str) -> list[dict[str, Any]]:
        """The data of the events of a type."""
        found = self.topics[self.config.topics.control]
        return [json.loads(value) for _, value, headers in found if headers["ce_type"].decode() == type_]


def configured(bootstrap: str, redis_url: str) -> str:
    return yaml.safe_dump(
        {
            "kafka": {"bootstrap_servers": bootstrap, "options": {"log_level": 0}},
            "topics": {"inputs": ["canary.native", "canary.lineage"], "partitions": PARTITIONS},
            "redis": {"url": redis_url},
            "worker": {"slot": "canary", "snapshot_interval": "200ms"},
            "time": {"tick": "200ms", "gap": "6h", "grace": "0s"},
            "incidents": {"wait": "0s"},
            "state": {"backstop_interval": "1s"},
            "http": {"port": 0},
            "metrics": {"entities": ["*"]},
        }
    )


@contextmanager
def running(config: Config, telemetry: Telemetry) -> Iterator[None]:
    """The daemon, as threads."""
    stop, failed = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            app.run(config, app.STAGES, stop, telemetry=telemetry, embedded=True)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        if failed:
            raise failed[0]


class Served(Telemetry):
    """Telemetry that remembers where its metrics are served, and counts what the drill waits for."""

    def __init__(self, stream: io.StringIO) -> None:
        super().__init__(logs.logger(Log(level="debug", format="json"), stream), watched=["*"])
        self.address, self.seen = "", Counter[str]()

    def started(self, stages: Sequence[str], slot: str, address: str) -> None:
        super().started(stages, slot, address)
        self.address = address

    def said(self, emission: Emission) -> None:
        super().said(emission)
        data = emission.data
        self.seen["shut"] += isinstance(data, BreakerChange) and data.to_state == "open"
        self.seen["incidents"] += isinstance(data, Incident)

    def dead_lettered(self, letter: DeadLetter) -> None:
        super().dead_lettered(letter)
        self.seen[letter.reason] += 1

    def snapshot_written(self, partition: int, states: int, size: int) -> None:
        super().snapshot_written(partition, states, size)
        self.seen["snapshots"] += 1


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The program, sent everything once, for all tests."""
    with EmbeddedBroker() as broker, EmbeddedRedis() as server:
        text = configured(broker.bootstrap, server.url)
        path = tmp_path_factory.mktemp("canary") / "detector.yaml"
        path.write_text(text)
        config, stream = load(text), io.StringIO()
        telemetry = Served(stream)
        names = config.topics
        every = (*names.outside, *(value for key, value in our_topics(config).items() if key != "commands"))
        for name in every:
            broker.create_topic(name, PARTITIONS)
        found = Told(config, path)
        with running(config, telemetry):
            send(broker.bootstrap, list(everything(names, time.time() - MINUTE)))
            wait(telemetry)
            found.metrics = httpx.get(
                f"{telemetry.address}/metrics", headers={"accept": "application/openmetrics-text"}, timeout=10
            ).text
            found.topics = {name: read(broker.bootstrap, name) for name in our_topics(config).values()}
            found.printed = {name: typed(found, *words) for name, words in TYPED.items()}
            page(found)
        found.log = stream.getvalue()
        found.topics |= {name: read(broker.bootstrap, name) for name in our_topics(config).values()}
        with redis.Redis.from_url(server.url) as client:
            found.keys = {key: held(client, key) for key in client.scan_iter(count=1_000)}
        yield found


def our_topics(config: Config) -> dict[str, str]:
    names = config.topics
    ours = {key: getattr(names, key) for key in names.__struct_fields__ if key not in ("inputs", "commands")}
    return {key: name for key, name in ours.items() if isinstance(name, str)}


def send(bootstrap: str, sent: Sequence[Sent]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
    for one in sent:
        at = int((one.at or time.time()) * 1_000)
        producer.produce(one.topic, one.value, one.key, timestamp=at, headers=list(one.headers))
        producer.poll(0)
    assert producer.flush(30) == 0


def wait(telemetry: Served) -> None:
    """Until all was judged, told, and is in Redis."""
    seen = telemetry.seen
    wanted = {"shut": 2 * len(ERRORS), "incidents": len(ERRORS), "command": 4}
    eventually(lambda: all(seen[what] >= count for what, count in wanted.items()), f"{wanted}", 60)
    passed = seen["snapshots"]
    eventually(lambda: seen["snapshots"] > passed + 2 * PARTITIONS, "snapshots", 30)


def read(bootstrap: str, topic: str) -> list[tuple[bytes, bytes, dict[str, bytes]]]:
    """All records of a topic: key, value, headers."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "canary", "log_level": 0})
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    ends = {p.partition: consumer.get_watermark_offsets(p, timeout=10)[1] for p in places}
    consumer.assign([TopicPartition(topic, p.partition, OFFSET_BEGINNING) for p in places if ends[p.partition]])
    found: list[tuple[bytes, bytes, dict[str, bytes]]] = []
    at = dict.fromkeys(ends, 0)

    def all_read() -> bool:
        for message in consumer.consume(1_000, 0.1):
            assert message.error() is None
            at[message.partition() or 0] = (message.offset() or 0) + 1
            named = cast("list[tuple[str, bytes | None]]", message.headers() or [])
            headers = {name: value or b"" for name, value in named}
            found.append((message.key() or b"", message.value() or b"", headers))
        return all(at[partition] >= end for partition, end in ends.items())

    try:
        eventually(all_read, f"all of {topic}")
    finally:
        consumer.close()
    return found


def held(client: redis.Redis, key: bytes) -> str:
    """What is under a key, as text that a search goes through."""
    kind = cast("bytes", client.type(key))
    reads: dict[bytes, Any] = {
        b"string": lambda: client.get(key),
        b"hash": lambda: client.hgetall(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
    }
    return repr(reads[kind]())


TYPED = {
    "incidents": ["incidents", "list"],
    "breakers": ["breaker", "list"],
    "a breaker": ["breaker", "show", "job:shop/job3"],
    "a dataset": ["breaker", "show", "dataset:db/customers"],
    "check": ["check", "job:shop/job3"],
    "check as JSON": ["check", "job:shop/job3", "--json"],
    "lineage": ["lineage", "job:shop/job3"],
    "tail": ["tail", "--from-start", "--max-wait", "1s"],
    "rules": ["rules"],
    "plans": ["recover", "status"],
}


def typed(told: Told, *words: str) -> str:
    """What a command prints, its errors included."""
    done = CliRunner().invoke(commands, [*words, "--config", str(told.path)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


def page(told: Told) -> None:
    """What is printed of each incident."""
    for _, value, _ in told.topics[told.config.topics.incidents]:
        if value:
            id_ = json.loads(value)["id"]
            told.printed[f"incident {id_}"] = typed(told, "incidents", "show", id_)


def hits(text: str | bytes) -> list[str]:
    """Where it is, with what stands around it."""
    whole = (text.decode("utf-8", "replace") if isinstance(text, bytes) else text).lower()
    return sorted({whole[max(at.start() - 120, 0) : at.end() + 60] for at in re.finditer(CANARY, whole)})


# ---------------------------------------------------------------- the drill


def test_the_drill_reached_what_it_is_about(told: Told) -> None:
    """Else nothing could leak: failures with texts, values that are new, and dead letters are there."""
    anomalies = told.control("io.detector.anomaly.started.v1") + told.control("io.detector.anomaly.updated.v1")
    reasons = {headers["__connect.errors.exception.class.name"].decode() for _, _, headers in told.letters()}

    assert len([one for one in anomalies if one.get("error")]) >= len(ERRORS)
    assert any(part.get("new_values") for one in anomalies for part in one.get("contributors", []))
    assert any(one["check"].startswith("assertion") for one in anomalies), {one["check"] for one in anomalies}
    assert reasons >= {"envelope", "format", "json", "name", "time", "statistics", "command", "no_registry"}
    assert len(told.keys) > len(ERRORS)


def test_no_topic_has_it(told: Told) -> None:
    names = [name for name in told.topics if name != told.config.topics.dead_letters]

    leaks = {(name, where) for name in names for key, value, _ in told.topics[name] for where in hits(key + value)}
    assert leaks == set()


def test_no_header_of_what_it_says_has_it(told: Told) -> None:
    names = [name for name in told.topics if name != told.config.topics.dead_letters]
    headers = [value for name in names for _, _, headers in told.topics[name] for value in headers.values()]

    assert [where for value in headers for where in hits(value)] == []


def test_a_dead_letter_is_as_it_came_and_says_nothing_of_it(told: Told) -> None:
    said = [v for _, _, headers in told.letters() for k, v in headers.items() if k.startswith("__connect.errors.")]

    assert [where for value in said for where in hits(value)] == []
    assert {value for _, value, _ in told.letters()} >= {value for value in broken() if value[:1] != b"\x00"}


def test_no_line_of_the_log_has_it(told: Told) -> None:
    assert hits(told.log) == []
    assert "anomaly_found" in told.log
    assert "dead_lettered" in told.log


def test_no_metric_has_it(told: Told) -> None:
    assert hits(told.metrics) == []
    assert "detector_breaker_state{" in told.metrics


def test_redis_does_not_have_it(told: Told) -> None:
    assert {key: where for key, value in told.keys.items() if (where := hits(key) + hits(value))} == {}


def test_no_command_prints_it(told: Told) -> None:
    assert {name: where for name, text in told.printed.items() if (where := hits(text))} == {}
    assert "failed" in told.printed["incidents"]
