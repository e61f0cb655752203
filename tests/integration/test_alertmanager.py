"""The example for Alertmanager is right, and a real one does with an incident what the pages say."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from detector.sinks import Access, Alertmanager
from tests.contracts.sinks import alert, told
from tests.services.alertmanager import Alertmanager as Server
from tests.services.alertmanager import paging
from tests.services.receiver import ReceiverServer
from tests.services.requirements import require
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
EXAMPLE = Path(__file__).parent.parent.parent / "deploy" / "alertmanager" / "alertmanager.yml"


def amtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    require("amtool")
    return subprocess.run(
        [shutil.which("amtool") or "amtool", *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def test_the_example_is_a_configuration_of_alertmanager() -> None:
    done = amtool("check-config", str(EXAMPLE))

    assert (done.returncode, "SUCCESS" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        pytest.param("severity=critical team=orders", "orders-pagerduty,orders-slack", id="a team with a pager"),
        pytest.param("severity=warning team=orders", "orders-slack", id="a warning of that team"),
        pytest.param("severity=critical", "data-pagerduty,data-slack", id="nobody's, and critical"),
        pytest.param("severity=critical tags=,finance,pii,", "data-pagerduty", id="by a tag"),
        pytest.param("severity=warning", "data-mail", id="a warning that nobody owns"),
        pytest.param("severity=warning team=sales", "data-slack", id="a warning of another team"),
    ],
)
def test_an_incident_goes_by_the_example_to(labels: str, receivers: str) -> None:
    done = amtool(
        "config",
        "routes",
        "test",
        f"--config.file={EXAMPLE}",
        f"--verify.receivers={receivers}",
        "alertname=DetectorIncident",
        "entity=job:shop/load",
        *labels.split(),
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "receiver"), [("DetectorAbsent", "platform-mail"), ("Watchdog", "watchdog")])
def test_what_prometheus_says_of_detector_goes_to(name: str, receiver: str) -> None:
    done = amtool("config", "routes", "test", f"--config.file={EXAMPLE}", f"alertname={name}", "severity=critical")

    assert done.stdout.split() == [receiver]


@pytest.fixture
def pager() -> Iterator[ReceiverServer]:
    with ReceiverServer() as server:
        yield server


def events(pager: ReceiverServer) -> list[tuple[str, str]]:
    return [(request.json["event_action"], request.json["dedup_key"]) for request in pager.requests]


def test_what_ended_while_alertmanager_was_away_is_resolved_where_it_was_triggered(
    pager: ReceiverServer, tmp_path: Path
) -> None:
    """It forgets alerts when it ends, and not whom it has told: so what is over is told, though it knows of nothing."""
    now = time.time()
    with Server(tmp_path, paging(pager.url)) as server, closing(Alertmanager([server.url], Access())) as sink:
        told(sink, alert(at=now, began=now - 5), now=now)
        eventually(lambda: len(pager.requests) == 1, "the trigger")
        server.stop()
        server.start()
        told(sink, alert("resolve", at=now, began=now - 5), now=time.time() + 1)
        eventually(lambda: len(pager.requests) == 2, "the resolve")

    assert [action for action, _ in events(pager)] == ["trigger", "resolve"]
    assert len({key for _, key in events(pager)}) == 1


def test_what_nobody_tells_any_more_ends_by_itself_and_what_is_told_again_goes_on(
    pager: ReceiverServer, tmp_path: Path
) -> None:
    now = time.time()
    with Server(tmp_path, paging(pager.url)) as server, closing(Alertmanager([server.url], Access())) as sink:
        told(sink, alert(at=now, began=now - 5), now=now)
        [known] = eventually(lambda: server.alerts(incident="i1"), "the alert")
        told(sink, alert("update", title="worse", at=now, began=now - 5), now=now + 60)
        eventually(lambda: server.alerts(incident="i1")[0]["annotations"]["summary"] == "worse", "the new text")
        [later] = server.alerts(incident="i1")

    assert known["labels"] == later["labels"]
    assert later["endsAt"] > known["endsAt"]
    assert (later["fingerprint"], later["startsAt"]) == (known["fingerprint"], known["startsAt"])
    assert msgspec.json.encode(known["generatorURL"]) == b'"https://detector.example.com/#/incidents/i1"'
