"""`detector seed` without a Kafka: what is read, what is left out, what is said; and a daemon that learned it."""

import gzip
import json
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
import typer
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from detector import app as daemon
from detector.__main__ import app
from detector.codecs import Decoder
from detector.commands.seeds import moment
from detector.config import Config
from detector.config.schema import Http, Kafka, Redis, Time, Topics
from detector.core.events import Event
from detector.core.rules import Rules
from detector.embedded import EmbeddedBroker, EmbeddedRedis
from detector.seed import Files, Span, Summary, Writer, learn, matching, read
from detector.tail import Tail, Wanted
from tests.services.waiting import eventually

DAY = 86_400.0
NOW = 1_750_000_000.0  # of the histories: long past
ALWAYS = Span(0.0, NOW + 60)
SAMPLES = Path(__file__).parent / "samples" / "openlineage"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no configuration is found."""
    monkeypatch.chdir(tmp_path)


def seed(*arguments: str, input: bytes | None = None) -> Result:  # noqa: A002
    return CliRunner().invoke(app, ["seed", *arguments], prog_name="detector", env={"COLUMNS": "120"}, input=input)


def run(name: str, at: float, rows: float) -> dict[str, Any]:
    written = [{"namespace": "db", "name": f"{name}_table", "rows": rows}]
    told = {"namespace": "shop", "name": name, "run_id": f"{name}-{at}", "state": "COMPLETE", "event_time": at}
    return {**told, "outputs": written}


def daily(name: str = "load", days: int = 30, until: float = NOW) -> list[dict[str, Any]]:
    random = Random(3)
    return [run(name, until - ago * DAY, round(random.gauss(10_000, 150))) for ago in range(days, 0, -1)]


def lines(events: list[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(event)}\n" for event in events).encode()


def learn_files(
    *paths: str, span: Span = ALWAYS, globs: tuple[str, ...] = ()
) -> tuple[list[Event], list[str], Summary]:
    """What the files teach: events, the entities that are written, and the summary."""
    wanted = matching(globs)
    events, summary = read(Files(paths), Decoder(), span, wanted)
    return events, [(s.key or b"").decode() for s in learn(events, Rules(), "log", wanted, summary)], summary


# ---------------------------------------------------------------- files


def test_a_history_is_read_from_files_in_any_order_and_what_is_none_is_counted() -> None:
    Path("b.jsonl.gz").write_bytes(gzip.compress(lines(daily(days=10))))
    Path("a.jsonl").write_bytes(b"no event\n\n" + lines(daily(days=20, until=NOW - 10 * DAY)))

    events, keys, summary = learn_files("b.jsonl.gz", "a.jsonl")

    assert [event.event_time for event in events] == sorted(event.event_time for event in events)
    assert keys == ["dataset:db/load_table", "job:shop/load"]
    assert (summary.read, summary.dead_lettered, summary.left_out) == (31, {"format": 1}, 0)
    assert (summary.events, summary.runs, summary.jobs, summary.datasets, summary.known) == (30, 30, 1, 1, 2)
    assert (summary.since, summary.until) == (NOW - 30 * DAY, NOW - DAY)


def test_only_these_times_and_these_entities() -> None:
    Path("h.jsonl").write_bytes(lines([*daily("load"), *daily("other")]))
    span = Span(NOW - 21.5 * DAY, NOW - 11.5 * DAY)

    events, keys, summary = learn_files("h.jsonl", span=span, globs=("dataset:*load*",))

    assert len(events) == 10
    assert keys == ["dataset:db/load_table"]
    assert (summary.left_out, summary.known) == (50, 0)


def test_what_is_from_the_future_is_left_out() -> None:
    Path("h.jsonl").write_bytes(lines([*daily(), run("load", NOW + 400 * DAY, 9.0)]))

    events, _, summary = learn_files("h.jsonl")

    assert (len(events), summary.left_out) == (30, 1)


def test_a_dry_run_says_what_would_be_learned_and_needs_no_kafka() -> None:
    Path("h.jsonl").write_bytes(lines(daily()))

    people, program = seed("--dry-run", "h.jsonl"), seed("--dry-run", "--json", "h.jsonl")

    assert (people.exit_code, program.exit_code) == (0, 0)
    assert "30 runs of 1 job, 1 dataset; 2 of these 2 with enough runs" in people.stdout
    assert "Nothing was written." in people.stdout
    told = json.loads(program.stdout)
    assert (told["runs"], told["written"], told["dead_lettered"]) == (30, False, {})


def test_openlineage_is_read_as_backtest_reads_it() -> None:
    result = seed("--dry-run", "--json", str(SAMPLES / "client-first-20-days.jsonl"))

    assert (json.loads(result.stdout)["runs"], json.loads(result.stdout)["jobs"]) == (38, 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "what is the history?", id="no history"),
        pytest.param(["h.jsonl", "--from-topics"], "what is the history?", id="two histories"),
        pytest.param(["nowhere.jsonl"], "nowhere.jsonl is no file", id="no such file"),
        pytest.param(["h.jsonl", "--since", "lately"], "'lately' is no time", id="no time"),
    ],
)
def test_what_is_typed_wrong_is_told(arguments: list[str], says: str) -> None:
    Path("h.jsonl").write_bytes(lines(daily(days=1)))

    result = seed(*arguments)

    assert result.exit_code == 2
    assert says in " ".join(result.stderr.replace("│", "").split())


def test_a_history_of_nothing_fails() -> None:
    result = seed("-", "--dry-run", input=b"no event\n")

    assert result.exit_code == 1
    assert result.stdout == "1 record read, 1 not usable (format).\nNothing was written.\n"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 7.0),
        ("60d", NOW - 60 * DAY),
        ("12h", NOW - 12 * 3_600),
        ("2026-03-01", 1_772_323_200.0),
        ("2026-03-01T06:00", 1_772_344_800.0),
        ("2026-03-01T06:00+02:00", 1_772_337_600.0),
    ],
)
def test_times_are_dates_or_so_long_ago(text: str, at: float) -> None:
    assert moment(text, NOW, 7.0) == at


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="is no time"):
        moment("60 days", NOW, 0.0)


# ---------------------------------------------------------------- the daemon


def put(broker: EmbeddedBroker, topic: str, event: dict[str, Any]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(topic, json.dumps(event).encode(), event["name"].encode())
    assert producer.flush(10) == 0


@pytest.mark.slow
def test_a_daemon_judges_its_first_run_by_what_it_was_given(
    embedded_broker: EmbeddedBroker, embedded_redis: EmbeddedRedis
) -> None:
    config = Config(
        kafka=Kafka(bootstrap_servers=embedded_broker.bootstrap),
        topics=Topics(inputs=("in",), partitions=2),
        redis=Redis(url=embedded_redis.url),
        time=Time(tick=0.2),
        http=Http(port=0),
    )
    names, settings = config.topics, {"bootstrap.servers": embedded_broker.bootstrap}
    for topic in (*names.outside, names.log, names.control, names.breakers, names.incidents, names.snapshots):
        embedded_broker.create_topic(topic, 2)
    Path("h.jsonl").write_bytes(lines(daily(until=time.time())))
    events, summary = read(Files(["h.jsonl"]), Decoder(), Span(0.0, time.time()), matching([]))
    Writer(settings, names.log).commit(learn(events, Rules(), names.log, matching([]), summary))
    stop = threading.Event()
    thread = threading.Thread(target=lambda: daemon.run(config, daemon.STAGES, stop, embedded=True), daemon=True)
    thread.start()
    try:
        with Tail(settings, names.control, Wanted()) as tail:
            past = eventually(lambda: tail.last(None)[1:] and tail.last(None), "what it learned")
            put(embedded_broker, "in", run("load", time.time(), 412))
            said = eventually(lambda: [e for e in tail.last(None) if "anomaly" in e.event["type"]][1:], "the anomalies")
    finally:
        stop.set()
        thread.join(30)

    assert {shown.event["type"] for shown in past} == {"io.detector.entity.seeded.v1"}
    assert all(shown.event["data"]["taken"] for shown in past)
    assert all(9_999 > shown.event["data"]["lower"] > 5_000 for shown in said)
    assert all(shown.event["data"]["samples"] == 30 for shown in said)
