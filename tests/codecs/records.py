"""Records to decode, and what is asked of the outcome in nearly every test."""

import json
from pathlib import Path
from typing import Any

from detector.codecs import Decoder
from detector.core.events import DatasetEvent, DeadLetter, Event, Headers, JobEvent, Profile, Record, RunEvent

SAMPLES = Path(__file__).parent.parent / "samples" / "openlineage"
AT = 1_792_461_548.941  # 2026-10-20T01:59:08.941Z


def record(value: bytes | str | dict[str, Any] | None, headers: Headers = ()) -> Record:
    """A record of some topic; a dict becomes JSON."""
    if isinstance(value, dict):
        value = json.dumps(value)
    if isinstance(value, str):
        value = value.encode()
    return Record("any.topic", 3, 42, AT, b"key", value, headers)


def decode(value: bytes | str | dict[str, Any] | None, headers: Headers = ()) -> Event | DeadLetter:
    """What a decoder without a registry makes of it."""
    return Decoder().decode(record(value, headers))


def event(value: bytes | str | dict[str, Any], headers: Headers = ()) -> Any:
    """The event in it; a dead letter fails the test."""
    found = decode(value, headers)
    assert not isinstance(found, DeadLetter), f"{found.reason}: {found.message}"
    assert isinstance(found, RunEvent | JobEvent | DatasetEvent | Profile)
    return found


def refusal(value: bytes | str | dict[str, Any] | None, headers: Headers = ()) -> tuple[str, str]:
    """Reason and message of the dead letter that it makes; an event fails the test."""
    found = decode(value, headers)
    assert isinstance(found, DeadLetter), found
    return found.reason, found.message


def run_document(**more: Any) -> dict[str, Any]:
    """The smallest OpenLineage RunEvent, and what is to be added to it or changed in it."""
    return {
        "eventTime": "2026-10-20T01:59:08.941Z",
        "eventType": "COMPLETE",
        "producer": "https://github.com/acme/etl",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": "01a15708-c115-7f0f-9844-ac4163b7618a"},
        "job": {"namespace": "airflow", "name": "orders.load"},
        **more,
    }


def with_run_facets(**facets: Any) -> dict[str, Any]:
    """A RunEvent whose run has these facets."""
    return run_document(run={"runId": "01a15708-c115-7f0f-9844-ac4163b7618a", "facets": facets})


def with_job_facets(**facets: Any) -> dict[str, Any]:
    """A RunEvent whose job has these facets."""
    return run_document(job={"namespace": "airflow", "name": "orders.load", "facets": facets})


def with_input(**more: Any) -> dict[str, Any]:
    """A RunEvent with one input."""
    return run_document(inputs=[{"namespace": "pg", "name": "orders", **more}])


def with_output(**more: Any) -> dict[str, Any]:
    """A RunEvent with one output."""
    return run_document(outputs=[{"namespace": "pg", "name": "orders", **more}])


def sample(name: str) -> list[bytes]:
    """The values of a real capture, in the order that they were sent in."""
    lines = (SAMPLES / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["value"].encode() for line in lines]
