"""`detector alert` as people meet it, and what is wrong with `alerts` in words."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from detector.__main__ import app
from detector.config import load, show
from detector.errors import ConfigError
from detector.settings import receivers_of
from tests.contracts.sinks import KEY, SECRET
from tests.services.receiver import ReceiverServer, Reply


def detector(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["alert", *arguments, "-c", str(path)], prog_name="detector")


def config(directory: Path, *alerts: dict[str, object]) -> Path:
    path = directory / "detector.yaml"
    path.write_text(json.dumps({"kafka": {"bootstrap_servers": "127.0.0.1:1"}, "alerts": list(alerts)}))
    return path


def test_a_test_alert_is_sent_and_resolved_and_what_came_of_it_is_said(tmp_path: Path) -> None:
    with ReceiverServer() as server, ReceiverServer(Reply(400, b'{"errors": ["wrong key"]}')) as other:
        path = config(
            tmp_path,
            {"kind": "pagerduty", "name": "oncall", "routing_key": KEY, "url": server.url},
            {"kind": "alertmanager", "urls": [server.url]},
            {"kind": "webhook", "url": f"{other.url}/token-AAAA", "secret": SECRET},
        )
        done = detector(path, "--test")
        lines = [json.loads(line) for line in detector(path, "--test", "--json").stdout.splitlines()]

    assert done.stdout.splitlines() == [
        "ok      oncall  trigger: taken",
        "ok      alertmanager  trigger: taken",
        f'failed  webhook  trigger: {other.url} says 400: {{"errors": ["wrong key"]}}',
        "ok      oncall  resolve: taken",
        "ok      alertmanager  resolve: taken",
    ]
    assert done.exit_code == 1
    assert [(line["sink"], line["action"], line["worked"]) for line in lines[:3]] == [
        ("oncall", "trigger", True),
        ("alertmanager", "trigger", True),
        ("webhook", "trigger", False),
    ]
    events = [request.json for request in server.requests if isinstance(request.json, dict)]
    assert [event["event_action"] for event in events[:2]] == ["trigger", "resolve"]
    assert events[0]["payload"]["severity"] == "critical"
    assert "nothing is wrong" in events[0]["payload"]["summary"]


def test_a_test_alert_that_lasts_is_told_meanwhile(tmp_path: Path) -> None:
    with ReceiverServer() as server:
        done = detector(config(tmp_path, {"kind": "alertmanager", "urls": [server.url]}), "--test", "--for", "0.2s")

    assert (done.exit_code, len(server.requests)) == (0, 2)


def test_test_and_dry_run_do_not_go_together(tmp_path: Path) -> None:
    assert detector(config(tmp_path), "--test", "--dry-run").exit_code == 2


def test_nobody_to_tell_is_an_error_that_says_where_to_look(tmp_path: Path) -> None:
    assert "docs/alerts.md" in str(detector(config(tmp_path), "--test").exception)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("kind: pagerduty", "alerts[0].routing_key: is needed with kind pagerduty", id="no key"),
        pytest.param("kind: alertmanager", "alerts[0].urls: is needed with kind alertmanager", id="no address"),
        pytest.param(
            f"kind: webhook, secret: {SECRET}", "alerts[0].url: is needed with kind webhook", id="no hook's address"
        ),
        pytest.param("kind: webhook, url: 'https://a'", "alerts[0].secret: is needed", id="no secret"),
        pytest.param("kind: slack", "known: alertmanager, pagerduty, webhook", id="no such kind"),
        pytest.param(
            "kind: alertmanager, urls: [a], routing_key: x",
            "alerts[0].routing_key: is of kind pagerduty, and this is alertmanager",
            id="a key of another kind",
        ),
        pytest.param(
            "kind: alertmanager, urls: ['am:9093']", "alerts[0].urls[0]: must begin with http", id="no scheme"
        ),
        pytest.param("kind: alertmanager, urls: ['http://a:b@c']", "put the name and the password", id="a password"),
        pytest.param("kind: webhook, url: 'https://a', secret: hunter2", "make one: printf", id="no good secret"),
        pytest.param("kind: webhook, url: 'ftp://tok-1', secret: x", "alerts[0].url: must begin", id="no web address"),
        pytest.param(
            "kind: alertmanager, urls: ['http://a'], resend: 10m", "must not be more than 150s", id="too seldom"
        ),
        pytest.param(
            "kind: alertmanager, urls: ['http://a'], labels: {severity: x}", "sets this label", id="our label"
        ),
        pytest.param("kind: alertmanager, urls: ['http://a'], labels: {a-b: x}", "a label is made of", id="no label"),
        pytest.param(
            "kind: alertmanager, urls: ['http://a'], runbook_url: 'https://w/{id}'",
            "known: entity, check",
            id="no place",
        ),
        pytest.param(
            "kind: alertmanager, urls: ['http://a'], token: x, username: y", "only one of them", id="two ways to log in"
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_path(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"alerts: [{{{text}}}]")

    assert said in str(caught.value)
    assert "tok-1" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_two_of_one_name_are_refused() -> None:
    one = "{kind: alertmanager, urls: ['http://a']}"

    with pytest.raises(ConfigError, match="is called alertmanager already; give each a name"):
        load(f"alerts: [{one}, {one}]")


def test_no_secret_is_shown() -> None:
    made = load(
        "alerts: [{kind: webhook, url_file: a, secret_file: b, token: tok-1},"
        f" {{kind: pagerduty, routing_key: {KEY}}}]",
        read=lambda path: {"a": "https://hooks/secret-path", "b": SECRET}[path],
    )
    receivers = receivers_of(made)

    shown = show(made) + repr(made)
    assert [word for word in (KEY, SECRET, "secret-path", "tok-1") if word in shown] == []
    assert [receiver.name for receiver in receivers] == ["webhook", "pagerduty"]
    for receiver in receivers:
        receiver.sink.close()
