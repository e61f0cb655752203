"""The form of what Detector says: CloudEvents' Kafka binding, byte for byte."""

import json
from dataclasses import dataclass

import msgspec
import pytest

from detector.core.breaker import State
from detector.core.emissions import Anomaly, BreakerValue, Emission, Heartbeat
from detector.core.events import Record
from detector.seams import Send
from detector.sinks import cloudevents

ORDERS = "dataset:snowflake://acme-prod/DWH.PUBLIC.ORDERS"
AT = 1_787_371_391.512


@dataclass(frozen=True)
class Topics:
    control: str = "detector.control"
    breakers: str = "detector.breakers"
    incidents: str = "detector.incidents"
    runs: str = "detector.runs"
    log: str = "detector.observations"


def anomaly(**change: object) -> Emission:
    data = Anomaly(
        phase="started",
        episode="5f0c",
        entity=ORDERS,
        check="rows",
        severity="critical",
        summary="412 rows, expected 9,400 to 11,800",
        since=AT,
        observed=412.0,
    )
    emission = Emission("5f0c", "control", ORDERS, "io.detector.anomaly.started.v1", AT, data)
    return msgspec.structs.replace(emission, **change)


def breaker_value() -> BreakerValue:
    return BreakerValue(
        entity=ORDERS,
        state=State.OPEN,
        mode="enforce",
        on_unknown="allow",
        since=AT,
        retry_at=AT + 600,
        reason="412 rows",
        cause="5f0c",
        trips=1,
        sequence=1,
        warming_up=False,
        partition=3,
    )


def received(send: Send) -> Record:
    return Record(send.topic, send.partition or 0, 7, AT, send.key, send.value, send.headers)


def test_binary_mode_has_attributes_in_headers_and_plain_json_as_value() -> None:
    send = cloudevents.encode(anomaly(), "/detector/prod", Topics())

    assert send.topic == "detector.control"
    assert send.key == ORDERS.encode()
    assert send.partition is None
    assert dict(send.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"5f0c",
        "ce_source": b"/detector/prod",
        "ce_type": b"io.detector.anomaly.started.v1",
        "ce_subject": b"snowflake://acme-prod/DWH.PUBLIC.ORDERS",
        "ce_time": b"2026-08-22T04:03:11.512Z",
        "content-type": b"application/json",
    }
    assert json.loads(send.value or b"")["observed"] == 412.0


def test_a_tombstone_has_no_value_but_says_of_what_it_is() -> None:
    gone = Emission("9a", "breakers", ORDERS, "io.detector.breaker.v1", AT, None)

    send = cloudevents.encode(gone, "/detector", Topics())

    assert (send.topic, send.value) == ("detector.breakers", None)
    assert "content-type" not in dict(send.headers)
    assert cloudevents.decode(received(send))["data"] is None
    assert cloudevents.decode(received(send))["type"] == "io.detector.breaker.v1"


def test_a_heartbeat_goes_to_its_own_partition() -> None:
    beat = Emission("1", "breakers", "heartbeat:3", "io.detector.heartbeat.v1", AT, Heartbeat(partition=3, clock=AT), 3)

    send = cloudevents.encode(beat, "/detector", Topics())

    assert (send.topic, send.partition, send.key) == ("detector.breakers", 3, b"heartbeat:3")
    assert json.loads(send.value or b"") == {"partition": 3, "clock": AT}


@pytest.mark.parametrize("data", [anomaly().data, breaker_value(), Heartbeat(partition=3, clock=AT), None])
def test_what_is_decoded_is_the_json_line(data: object) -> None:
    emission = anomaly(data=data)

    line = cloudevents.as_json_line(emission, "/detector")

    assert b"\n" not in line
    assert cloudevents.decode(received(cloudevents.encode(emission, "/detector", Topics()))) == json.loads(line)


def test_the_json_line_is_a_structured_cloudevent() -> None:
    event = json.loads(cloudevents.as_json_line(anomaly(), "/detector"))

    assert list(event) == ["specversion", "id", "source", "type", "subject", "time", "data"]


def test_a_structured_record_is_read_too() -> None:
    line = cloudevents.as_json_line(anomaly(), "/detector")
    headers = (("Content-Type", b"application/cloudevents+json; charset=UTF-8"),)

    event = cloudevents.decode(Record("t", 0, 0, AT, None, line, headers))

    assert event == json.loads(line)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param(0.0, "1970-01-01T00:00:00Z", id="whole seconds have no fraction"),
        pytest.param(AT, "2026-08-22T04:03:11.512Z", id="a fraction is as short as it can be"),
        pytest.param(1.000001, "1970-01-01T00:00:01.000001Z", id="microseconds are kept"),
        pytest.param(100.0, "1970-01-01T00:01:40Z", id="zeros of whole seconds stay"),
        pytest.param(1e18, None, id="no year has so many digits"),
        pytest.param(float("nan"), None, id="no number"),
    ],
)
def test_times_are_rfc3339_in_utc(at: float, expected: str | None) -> None:
    assert cloudevents.rfc3339(at) == expected


def test_a_time_that_no_calendar_has_is_left_out() -> None:
    assert "ce_time" not in dict(cloudevents.encode(anomaly(time=1e18), "/detector", Topics()).headers)


@pytest.mark.parametrize(
    ("value", "headers", "message"),
    [
        pytest.param(b"{}", (), "no header ce_specversion, ce_id, ce_source, ce_type", id="no headers"),
        pytest.param(
            b"\x00",
            tuple((f"ce_{n}", b"1") for n in ("specversion", "id", "source", "type")),
            "the value is not JSON",
            id="not JSON",
        ),
        pytest.param(b"[]", (("content-type", b"application/cloudevents+json"),), "no JSON object", id="a list"),
        pytest.param(None, (("content-type", b"application/cloudevents+json"),), "no JSON object", id="nothing"),
    ],
)
def test_what_is_no_cloudevent_is_refused(
    value: bytes | None, headers: tuple[tuple[str, bytes], ...], message: str
) -> None:
    with pytest.raises(cloudevents.NotCloudEvent, match=message):
        cloudevents.decode(Record("t", 0, 0, AT, None, value, headers))
