"""A history of files is judged as the daemon would have judged it, whatever the files look like."""

import base64
import gzip
import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from detector.backtest import Replay, Summary, judge, run
from detector.codecs.encoding import encode_json, encode_run_event
from detector.config import Config, load
from detector.core.emissions import Emission
from detector.core.events import Dataset, RunEvent, RunState
from detector.core.models.baseline import Baseline
from detector.core.models.reading import Reading
from detector.core.rules import Rules, Settings
from detector.errors import DetectorError
from detector.settings import rules_of

SAMPLES = Path(__file__).parent / "samples" / "openlineage"
DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
MONDAY = datetime(2026, 1, 19, tzinfo=UTC).timestamp()


def judged(
    tmp_path: Path, lines: Iterable[bytes], config: Config | None = None, name: str = "events.jsonl"
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The control events and the summary that a file of these lines gives."""
    path = tmp_path / name
    path.write_bytes(b"\n".join(lines))
    return backtest([path], config)


def backtest(paths: list[Path], config: Config | None = None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    said: list[bytes] = []
    run([str(path) for path in paths], config or load(""), said.append)
    *events, summary = [json.loads(line) for line in said]
    return events, summary["summary"]


def started(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(time, entity, check) of each anomaly that began."""
    return [
        (event["time"], event["data"]["entity"], event["data"]["check"])
        for event in events
        if event["type"].startswith("io.detector.anomaly.started")
    ]


def verdicts(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """What was said, without what depends on a record's place in the log."""
    return [(event["time"], event["type"], event["data"]["summary"]) for event in events]


def event(name: str, day: int, at: float, state: RunState, rows: float | None = None, run: str = "") -> RunEvent:
    """An event of the run of a day; `at` is in seconds of that day."""
    outputs = () if rows is None else (Dataset("db", f"{name}_table", rows=rows),)
    return RunEvent("ns", name, run or f"{name}-{day}", state, MONDAY + day * DAY + at, outputs=outputs)


def daily(name: str, at: float, days: Iterable[int], rows: float = 1_000.0) -> list[RunEvent]:
    return [
        told
        for day in days
        for told in (
            event(name, day, at + day % 3, "START"),
            event(name, day, at + 300 + day % 5, "COMPLETE", rows + 7 * (day % 4)),
        )
    ]


def as_json(events: Iterable[RunEvent]) -> list[bytes]:
    return [encode_json(event) for event in events]


# ---------------------------------------------------------------- real captures


def computed(path: Path) -> dict[str, Any]:
    """The figures of a summary, computed from the capture by other means."""
    values = [json.loads(json.loads(line)["value"]) for line in path.read_text().splitlines()]
    sides = [dataset for value in values for side in ("inputs", "outputs") for dataset in value.get(side, ())]
    return {
        "read": len(values),
        "dead_lettered": {},
        "runs": len({(v["job"]["namespace"], v["job"]["name"], v["run"]["runId"]) for v in values}),
        "jobs": len({(v["job"]["namespace"], v["job"]["name"]) for v in values}),
        "datasets": len({(dataset["namespace"], dataset["name"]) for dataset in sides}),
    }


@pytest.mark.parametrize("name", ["dbt", "airflow-success", "client-first-20-days"])
def test_the_figures_of_real_captures_are_those_that_one_can_count(name: str) -> None:
    path = SAMPLES / f"{name}.jsonl"
    _, summary = backtest([path])
    summary.pop("findings")

    assert computed(path) == summary


def test_days_that_failed_and_were_aborted_are_found_in_the_job_and_in_its_parent_and_nothing_else() -> None:
    events, summary = backtest([SAMPLES / "client-first-20-days.jsonl"])

    assert started(events) == [
        ("2026-11-01T02:02:31.667Z", "job:nightly/orders_daily.load", "failed"),
        ("2026-11-01T02:02:33.667Z", "job:nightly/orders_daily", "failed"),
        ("2026-11-07T02:06:22.089Z", "job:nightly/orders_daily.load", "aborted"),
        ("2026-11-07T02:06:24.089Z", "job:nightly/orders_daily", "aborted"),
    ]
    assert summary["findings"] == 4


def test_a_dbt_test_of_severity_warn_is_no_failure_and_one_of_severity_error_is() -> None:
    events, summary = backtest([SAMPLES / "dbt.jsonl"])
    found = [event["data"]["summary"] for event in events if event["data"].get("check") == "assertion"]
    checks = [summary.partition(";")[0] for summary in found]

    assert checks == [
        "1 of 3 checks failed: accepted_values(status)",
        "1 of 1 checks failed: no_negative",
        "1 of 3 checks failed: accepted_values(status)",
    ]
    assert summary["findings"] == len(started(events)) == 8


def test_a_run_of_airflow_that_goes_well_says_nothing() -> None:
    events, summary = backtest([SAMPLES / "airflow-success.jsonl"])

    assert events == []
    assert summary["findings"] == 0


def test_the_same_files_give_the_same_bytes() -> None:
    paths = [str(SAMPLES / f"{name}.jsonl") for name in ("dbt", "client-first-20-days")]
    first: list[bytes] = []
    second: list[bytes] = []
    run(paths, load(""), first.append)
    run(paths, load(""), second.append)

    assert first == second


# ---------------------------------------------------------------- dirty is clean


def test_duplicates_disorder_junk_and_other_encodings_change_no_verdict(tmp_path: Path) -> None:
    clean = [*daily("load", 3 * HOUR, range(12)), *daily("load", 3 * HOUR, [12], rows=20.0)]
    clean += [event("load", 13, 3 * HOUR, "START"), event("load", 13, 3 * HOUR + 60, "FAIL")]
    lines = []
    for number, told in enumerate([*clean, *clean[::3]]):
        encoded = base64.b64encode(encode_run_event(told)).decode()
        captured = {"key": "k", "timestamp": 0, "value": encode_json(told).decode()}
        forms = (
            encode_json(told),
            json.dumps({"value_base64": encoded}).encode(),
            json.dumps(captured).encode(),
            openlineage(told),
        )
        lines.append(forms[number % 4])
    lines += [b"no json", b"", b"   ", b"{}", b'{"value": "neither"}', b'{"value_base64": "?"}', b"\xff\xfe", b"[1,"]
    random.Random(5).shuffle(lines)

    expected, plain = judged(tmp_path, as_json(clean))
    found, summary = judged(tmp_path, lines)

    assert verdicts(expected) == verdicts(found)
    assert len(started(found)) == 3
    assert sum(summary["dead_lettered"].values()) == 6
    assert summary["read"] == len(clean) + len(clean[::3]) + 6
    assert (plain["runs"], plain["jobs"], plain["datasets"]) == (14, 1, 1)
    assert {**plain, "read": 0, "dead_lettered": {}} == {**summary, "read": 0, "dead_lettered": {}}


def openlineage(told: RunEvent) -> bytes:
    """The same event as OpenLineage says it."""
    time = datetime.fromtimestamp(told.event_time, UTC).isoformat()
    outputs = [
        {
            "namespace": dataset.namespace,
            "name": dataset.name,
            "outputFacets": {"outputStatistics": {"_producer": "p", "_schemaURL": "s", "rowCount": dataset.rows}},
        }
        for dataset in told.outputs
    ]
    return json.dumps(
        {
            "eventType": told.state,
            "eventTime": time,
            "run": {"runId": told.run_id},
            "job": {"namespace": told.namespace, "name": told.name},
            "outputs": outputs,
            "producer": "https://example.com",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        }
    ).encode()


def test_gzip_is_read_by_name_and_several_files_are_one_history(tmp_path: Path) -> None:
    lines = as_json(daily("load", 3 * HOUR, range(10)) + daily("load", 3 * HOUR, [10], rows=20.0))
    plain, compressed = tmp_path / "late.jsonl", tmp_path / "early.jsonl.gz"
    plain.write_bytes(b"\n".join(lines[9:]))
    compressed.write_bytes(gzip.compress(b"\n".join(lines[:9])))

    assert judged(tmp_path, lines) == backtest([plain, compressed])


@pytest.mark.parametrize("broken", [b"not gzip", gzip.compress(b"{}\n" * 100)[:-12]], ids=["no gzip", "cut off"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "capture.jsonl.gz"
    path.write_bytes(broken)

    with pytest.raises(DetectorError, match=r"capture\.jsonl\.gz: cannot be read"):
        backtest([path])


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"nowhere\.jsonl: cannot be read"):
        backtest([tmp_path / "nowhere.jsonl"])


def test_an_empty_history_has_a_summary(tmp_path: Path) -> None:
    empty = {"read": 0, "dead_lettered": {}, "runs": 0, "jobs": 0, "datasets": 0, "findings": 0}

    assert ([], empty) == judged(tmp_path, [])


# ---------------------------------------------------------------- time


def test_a_run_that_does_not_come_is_late_at_the_learned_minute(tmp_path: Path) -> None:
    """Daily at 03:00, give or take two seconds: 5 % of a day is allowed, so it is late after 04:12."""
    others = [event("other", 14, minute * MINUTE, "RUNNING") for minute in range(0, 720, 7)]
    events, _ = judged(tmp_path, as_json([*daily("load", 3 * HOUR, range(14)), *others]))

    assert started(events) == [("2026-02-02T04:13:00Z", "job:ns/load", "late")]


def test_a_run_that_does_not_complete_misses_the_declared_deadline_to_the_minute(tmp_path: Path) -> None:
    config = load("rules: [{match: 'job:ns/load', deadline: {at: '04:30', timezone: Europe/Berlin}}]")
    others = [event("other", 14, minute * MINUTE, "RUNNING") for minute in range(0, 720, 7)]
    events, _ = judged(tmp_path, as_json([*daily("load", 3 * HOUR, range(14)), *others]), config)

    assert started(events) == [
        ("2026-02-02T03:30:00Z", "job:ns/load", "deadline"),
        ("2026-02-02T04:13:00Z", "job:ns/load", "late"),
    ]


def test_time_goes_on_to_the_end_of_the_last_minute_and_no_further(tmp_path: Path) -> None:
    """The last event comes at 04:11:30 or in the minute in which the run is late; only then can it be known."""
    for seconds, found in ((4 * HOUR + 11 * MINUTE + 30, 0), (4 * HOUR + 12 * MINUTE + 30, 1)):
        history = [*daily("load", 3 * HOUR, range(14)), event("other", 14, seconds, "RUNNING")]

        assert judged(tmp_path, as_json(history))[1]["findings"] == found


@pytest.mark.slow
def test_a_long_silence_costs_nothing_and_gives_what_every_single_tick_would_give() -> None:
    history = [*daily("load", 3 * HOUR, range(9)), event("load", 9, 3 * HOUR, "START"), *daily("other", HOUR, [200])]
    history.sort(key=lambda told: told.event_time)

    assert control(history, every_tick=False) == control(history, every_tick=True)


def control(history: list[RunEvent], every_tick: bool) -> list[Emission]:
    replay = Replay(rules_of(load("")))
    emissions = replay.tick(MONDAY)
    minute = MONDAY
    for told in history:
        while every_tick and minute + MINUTE <= told.event_time:
            minute += MINUTE
            emissions += replay.tick(minute)
        emissions += replay.ticks(told.event_time)
        emissions += replay.event(told)
    return [emission for emission in emissions if emission.topic == "control"]


# ---------------------------------------------------------------- what cannot be judged


class Refusing(Baseline):
    """A model that breaks at small values, as a plug-in of somebody's own might."""

    def judge_one(self, at: float, x: float) -> Reading:
        if x < 100.0:
            raise ZeroDivisionError
        return Baseline.judge_one(self, at, x)


def test_a_record_that_breaks_a_model_is_set_aside_and_the_rest_is_judged() -> None:
    history = [told for day in range(4) for told in daily("load", 3 * HOUR, [day], 13.0 if day == 1 else 1_000.0)]
    history.append(event("load", 5, 0.0, "FAIL"))
    said: list[bytes] = []
    summary = Summary()
    judge(list(history), Rules(Settings(model=Refusing)), summary, said.append)
    types = [json.loads(line)["type"] for line in said]

    assert types.count("io.detector.entity.quarantined.v1") == summary.dead_lettered["step"] == 2
    assert summary.findings == 1
