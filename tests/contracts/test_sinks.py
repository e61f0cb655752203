"""Every receiver of alerts, against every check; then what is each one's own."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import jsonschema
import pytest

from detector.errors import ConfigError, SinkBusy
from detector.sinks import SINKS, Access, Alertmanager, PagerDuty, Sink, Webhook
from tests.contracts.sinks import CHECKS, KEY, NOW, PATH, SECRET, alert, told
from tests.services.receiver import ReceiverServer, Reply

ACCESS = Access(timeout=5.0)


@dataclass(frozen=True)
class Maker:
    """How one is made for an address, and which secrets it has then."""

    make: Callable[[str], Sink]
    secrets: frozenset[str] = frozenset()

    def __call__(self, url: str) -> Sink:
        return self.make(url)


MADE = {
    "alertmanager": Maker(
        lambda url: Alertmanager([url], Access(timeout=5.0, username="ada", password="hunter22")),
        frozenset({"hunter22"}),
    ),
    "pagerduty": Maker(lambda url: PagerDuty(KEY, ACCESS, f"{url}/v2/enqueue"), frozenset({KEY})),
    "webhook": Maker(
        lambda url: Webhook(f"{url}/{PATH}?key={PATH}", SECRET, Access(timeout=5.0, token="tok-3333")),
        frozenset({SECRET, SECRET.removeprefix("whsec_"), PATH, "tok-3333"}),
    ),
}


def test_every_receiver_is_tested() -> None:
    assert MADE.keys() == SINKS.keys()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("kind", SINKS)
def test_a_receiver_keeps_to_the_contract(kind: str, check: Callable[[Callable[[str], Sink]], None]) -> None:
    check(MADE[kind])


@pytest.mark.parametrize("kind", SINKS)
def test_a_file_of_authorities_that_is_not_there_is_said(kind: str) -> None:
    makers: dict[str, Callable[[Access], Sink]] = {
        "alertmanager": lambda access: Alertmanager(["https://a"], access),
        "pagerduty": lambda access: PagerDuty(KEY, access),
        "webhook": lambda access: Webhook("https://a", SECRET, access),
    }

    with pytest.raises(ConfigError, match="cannot be used"):
        makers[kind](Access(ca_location="nowhere.pem"))


# ---------------------------------------------------------------- Alertmanager


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_alertmanager_labels_are_identity_and_annotations_text() -> None:
    with ReceiverServer() as server, closing(Alertmanager([f"{server.url}/"], ACCESS, {"environment": "prod"})) as sink:
        told(sink, alert(acknowledged_by="ada"))
    [request] = server.requests
    [body] = request.json

    assert request.path == "/api/v2/alerts"
    assert body["labels"] == {
        "alertname": "DetectorIncident",
        "incident": "i1",
        "severity": "critical",
        "entity": "job:shop/load",
        "check": "rows_out",
        "team": "team-orders",
        "tags": ",finance,",
        "environment": "prod",
    }
    assert body["annotations"]["summary"] == "job:shop/load: rows out: 12 rows"
    assert body["annotations"]["runbook_url"] == "https://wiki.example.com/rows_out"
    assert body["annotations"]["what_to_do"] == "1. Look at it."
    assert body["generatorURL"] == "https://detector.example.com/#/incidents/i1"
    assert (at(body["startsAt"]), at(body["endsAt"])) == (NOW - 120, NOW + 900)


def test_alertmanager_is_told_again_what_goes_on_and_for_five_minutes_what_is_over() -> None:
    with ReceiverServer() as server, closing(Alertmanager([server.url], ACCESS, resend=60.0)) as sink:
        told(sink, alert("trigger", "i1"), alert("trigger", "i2"))
        told(sink, alert("resolve", "i1"), now=NOW + 10)
        for second in range(11, 500):
            sink.flush(NOW + second)
    said = [{one["labels"]["incident"]: at(one["endsAt"]) for one in request.json} for request in server.requests]
    over = [one["i1"] for one in said if "i1" in one]

    assert said[0] == {"i1": NOW + 900, "i2": NOW + 900}
    assert said[1] == {"i1": NOW - 60}
    assert [round(one["i2"] - NOW - 900) for one in said[2:]] == [60, 120, 180, 240, 300, 360, 420, 480]
    assert over == [NOW + 900, *[NOW - 60] * 6]


def test_a_call_for_something_worse_ends_the_alert_that_was_and_begins_another() -> None:
    with ReceiverServer() as server, closing(Alertmanager([server.url], ACCESS)) as sink:
        told(sink, alert(severity="warning"))
        told(sink, alert(severity="critical", at=NOW + 5), now=NOW + 5)
    said = {one["labels"]["severity"]: at(one["endsAt"]) for one in server.requests[1].json}

    assert said == {"critical": NOW + 905, "warning": NOW + 5}


def test_a_text_that_changes_is_the_same_alert() -> None:
    with ReceiverServer() as server, closing(Alertmanager([server.url], ACCESS)) as sink:
        told(sink, alert())
        told(sink, alert("update", title="worse"), now=NOW + 5)
    first, second = (request.json for request in server.requests)

    assert [one["labels"] for one in first] == [one["labels"] for one in second]
    assert second[0]["annotations"]["summary"] == "worse"


def test_of_several_alertmanagers_each_is_told_and_one_that_is_away_is_named() -> None:
    with ReceiverServer() as one, ReceiverServer() as other:
        sink = Alertmanager([one.url, other.url], ACCESS)
        told(sink, alert())
        both, trouble = (len(one.requests), len(other.requests)), sink.trouble
        other.stop()
        told(sink, alert("resolve"), now=NOW + 1)
        alone, named = (len(one.requests), len(other.requests)), sink.trouble
        other.start()
        sink.flush(NOW + 70)

        assert (both, trouble) == ((1, 1), None)
        assert (alone, str(other.port) in str(named), str(one.port) in str(named)) == ((2, 1), True, False)
        assert (len(other.requests), sink.trouble) == (2, None)
        one.stop()
        other.stop()
        with pytest.raises(SinkBusy):
            sink.flush(NOW + 140)
        sink.close()


def test_no_alert_begins_or_ends_in_the_future_of_this_clock() -> None:
    with ReceiverServer() as server, closing(Alertmanager([server.url], ACCESS)) as sink:
        told(sink, alert(began=NOW + 50, at=NOW + 60))
        told(sink, alert("resolve", began=NOW + 50, at=NOW + 90), now=NOW + 1)
    [[first], [second]] = [request.json for request in server.requests]

    assert at(first["startsAt"]) == NOW
    assert (at(second["startsAt"]), at(second["endsAt"])) == (NOW + 1, NOW + 1)


# ---------------------------------------------------------------- PagerDuty

EVENT = {
    "type": "object",
    "required": ["routing_key", "event_action", "dedup_key"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "maxLength": 255},
        "client": {"type": "string"},
        "client_url": {"type": "string"},
        "links": {"type": "array", "items": {"type": "object", "required": ["href", "text"]}},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "additionalProperties": False,
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string"},
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
        },
    },
    "additionalProperties": False,
}


def test_pagerduty_hears_of_an_incident_under_one_key() -> None:
    with ReceiverServer() as server, closing(PagerDuty(KEY, ACCESS, f"{server.url}/v2/enqueue")) as sink:
        for action in ("trigger", "acknowledge", "resolve"):
            told(sink, alert(action, text="x" * 5_000))
    bodies = [request.json for request in server.requests]

    for body in bodies:
        jsonschema.validate(body, EVENT)
    assert {request.path for request in server.requests} == {"/v2/enqueue"}
    assert [body["event_action"] for body in bodies] == ["trigger", "acknowledge", "resolve"]
    assert {body["dedup_key"] for body in bodies} == {"i1"}
    assert {body["routing_key"] for body in bodies} == {KEY}
    assert bodies[0]["client_url"] == "https://detector.example.com/#/incidents/i1"
    assert [link["text"] for link in bodies[0]["links"]] == ["The incident in Detector", "Runbook"]
    assert bodies[0]["payload"]["custom_details"] == {"What to do": "1. Look at it.", "Tags": "finance"}
    assert (bodies[0]["payload"]["group"], bodies[0]["payload"]["class"]) == ("team-orders", "rows_out")


def test_pagerduty_hears_of_one_without_links_or_owner() -> None:
    with ReceiverServer() as server, closing(PagerDuty(KEY, ACCESS, server.url)) as sink:
        told(sink, alert(link=None, runbook=None, owner=None, tags=[], check="", severity="warning"))

    jsonschema.validate(server.requests[0].json, EVENT)


# ---------------------------------------------------------------- webhooks


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver does it."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    made = b64encode(hmac.new(b64decode(secret.removeprefix("whsec_")), signed, sha256).digest()).decode()
    return f"v1,{made}" in headers["webhook-signature"].split()


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_a_webhook_is_signed_and_another_body_is_not(mode: str) -> None:
    with ReceiverServer() as server, closing(Webhook(f"{server.url}/in", SECRET, ACCESS, mode=mode)) as sink:  # type: ignore[arg-type]
        told(sink, alert())
    [request] = server.requests
    headers = {name.lower(): text for name, text in request.headers.items()}

    assert verify(SECRET, headers, request.body)
    assert not verify(SECRET, headers, request.body.replace(b"12 rows", b"99 rows"))
    assert not verify(SECRET, {**headers, "webhook-timestamp": str(int(NOW) + 1)}, request.body)
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("i1-trigger", str(int(NOW)))


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of Standard Webhooks."""
    from detector.sinks.webhook import signed

    found = signed(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )

    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_is_a_cloud_event_in_either_mode() -> None:
    with ReceiverServer() as server:
        for mode in ("structured", "binary"):
            with closing(Webhook(server.url, SECRET, ACCESS, mode=mode)) as sink:
                told(sink, alert("resolve"))
    structured, binary = server.requests
    headers = {name.lower(): text for name, text in binary.headers.items()}
    event = structured.json

    assert structured.headers["Content-Type"].startswith("application/cloudevents+json")
    assert event["type"] == headers["ce-type"] == "io.detector.alert.resolved.v1"
    assert (event["specversion"], event["id"], event["source"]) == ("1.0", "i1-resolve", "/detector")
    assert event["subject"] == headers["ce-subject"] == "i1"
    assert event["data"] == binary.json
    assert binary.json["title"] == "job:shop/load: rows out: 12 rows"


def test_a_webhook_is_tried_again_while_a_proxy_says_that_there_is_nothing() -> None:
    with ReceiverServer() as server, closing(Webhook(server.url, SECRET, ACCESS)) as sink:
        server.replies = [Reply(404), Reply(401)]
        for _ in range(2):
            with pytest.raises(SinkBusy):
                told(sink, alert())
        told(sink, alert())

        assert len({request.headers["webhook-id"] for request in server.requests}) == 1


# ---------------------------------------------------------------- logging in


def test_who_asks_for_a_login_gets_one() -> None:
    with ReceiverServer() as server:
        for kind in ("alertmanager", "webhook", "pagerduty"):
            with closing(MADE[kind](server.url)) as sink:
                told(sink, alert())
    said = [request.headers.get("Authorization") for request in server.requests]

    assert said == [f"Basic {b64encode(b'ada:hunter22').decode()}", "Bearer tok-3333", None]
