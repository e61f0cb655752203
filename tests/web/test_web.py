"""The pages as a probe and a scraper meet them: over a real connection on the loopback interface."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from detector.config import Http
from detector.core.emissions import Anomaly, Emission
from detector.errors import ConfigError
from detector.health import STUCK
from detector.telemetry import Telemetry
from detector.web import Web
from tests.web.conftest import Listening


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


HAS_IPV6 = _has_ipv6()  # a container may have none
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def telemetry(clock: Clock) -> Telemetry:
    return Telemetry(clock=clock)


@pytest.fixture
def site(telemetry: Telemetry, listening: Listening) -> Iterator[httpx.Client]:
    """A client of the pages; the port is one that is free."""
    with client_of(listening(Web(Http(port=0), telemetry)).address) as client:
        yield client


def client_of(address: str) -> httpx.Client:
    """Without certificates, whose loading takes longer than all the rest."""
    return httpx.Client(base_url=address, timeout=10, verify=False)


def is_served(address: str) -> bool:
    with client_of(address) as client:
        return client.get("/healthz").status_code == 200


def asked(site: httpx.Client, page: str) -> tuple[int, dict[str, Any]]:
    answer = site.get(page)
    return answer.status_code, json.loads(answer.content)


def test_a_process_that_works_is_alive_and_ready(site: httpx.Client, telemetry: Telemetry) -> None:
    telemetry.started(["worker"], "0", "")
    telemetry.worker_alive(3, {}, 0)

    assert asked(site, "/healthz") == (200, {"alive": True, "problems": []})
    assert asked(site, "/readyz") == (200, {"ready": True, "problems": []})


def test_who_waits_is_alive_and_not_ready_and_says_why(site: httpx.Client, telemetry: Telemetry) -> None:
    telemetry.worker_alive(3, {4: "Redis is away"}, 0)

    assert asked(site, "/healthz")[0] == 200
    assert asked(site, "/readyz") == (503, {"ready": False, "problems": ["partition 4 waits: Redis is away"]})


def test_a_loop_that_is_stuck_asks_for_a_restart(site: httpx.Client, telemetry: Telemetry, clock: Clock) -> None:
    telemetry.worker_alive(3, {}, 0)
    clock.now += STUCK + 1

    said = ["worker has not gone round for 301 s"]
    assert asked(site, "/healthz") == (503, {"alive": False, "problems": said})
    assert asked(site, "/readyz") == (503, {"ready": False, "problems": said})


def test_a_process_that_stops_gets_no_more_requests(site: httpx.Client, telemetry: Telemetry) -> None:
    telemetry.stopping()

    assert asked(site, "/readyz") == (503, {"ready": False, "problems": ["stopping"]})


def test_metrics_are_what_prometheus_reads(site: httpx.Client, telemetry: Telemetry) -> None:
    telemetry.consumed("openlineage.events", "run", 5)

    answer = site.get("/metrics")

    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    (sample,) = [s for s in families["detector_events_consumed"].samples if s.name.endswith("_total")]
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert (sample.labels, sample.value) == ({"topic": "openlineage.events", "kind": "run"}, 5.0)


def test_a_scraper_that_asks_for_openmetrics_gets_exemplars(site: httpx.Client, telemetry: Telemetry) -> None:
    found = Anomaly(
        phase="started", episode="5f0c", entity="job:a/b", check="rows", severity="critical", summary="x", since=0.0
    )
    telemetry.said(Emission("5f0c", "control", "job:a/b", "type", 0.0, found))

    openmetrics = site.get("/metrics", headers={"accept": OPENMETRICS})
    plain = site.get("/metrics", headers={"accept": "text/plain"})

    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")
    assert '# {entity="job:a/b"} 1.0' in openmetrics.text
    assert "job:a/b" not in plain.text


@pytest.mark.parametrize(
    ("method", "page", "status"),
    [
        pytest.param("HEAD", "/healthz", 200, id="only the head"),
        pytest.param("GET", "/healthz?verbose=1", 200, id="with a question"),
        pytest.param("POST", "/healthz", 405, id="writing"),
        pytest.param("GET", "/", 404, id="another page"),
    ],
)
def test_what_else_may_be_asked(site: httpx.Client, method: str, page: str, status: int) -> None:
    assert site.request(method, page).status_code == status


def test_a_port_that_is_taken_is_said_in_words(telemetry: Telemetry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigError) as caught, Web(Http(port=port), telemetry):
            pass

    assert str(caught.value).startswith(f"http: cannot listen on 127.0.0.1:{port} (Address already in use). ")


def test_an_address_that_is_not_ours_is_said_in_words(telemetry: Telemetry) -> None:
    with (
        pytest.raises(ConfigError, match=r"http: cannot listen on 192\.0\.2\.1:0 \("),
        Web(Http(host="192.0.2.1", port=0), telemetry),
    ):
        pass


def test_a_port_is_free_again_after_the_end(telemetry: Telemetry) -> None:
    with Web(Http(port=0), telemetry) as web:
        address = web.address
        assert is_served(address)

    with pytest.raises(httpx.ConnectError):
        is_served(address)
    with Web(Http(port=int(address.rpartition(":")[2])), telemetry) as again:
        assert again.address == address


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        pytest.param("::1", ["[::1]"], id="IPv6"),
        pytest.param("::", ["[::1]", "127.0.0.1"], id="all addresses of IPv6, and so those of IPv4"),
        pytest.param("0.0.0.0", ["127.0.0.1"], id="all addresses of IPv4"),
        pytest.param("localhost", ["127.0.0.1"], id="a name"),
    ],
)
def test_where_the_pages_are(host: str, reached: list[str], telemetry: Telemetry) -> None:
    if ":" in host and not HAS_IPV6:
        with pytest.raises(ConfigError, match="http: cannot listen on ::"), Web(Http(host=host, port=0), telemetry):
            pass
        return
    with Web(Http(host=host, port=0), telemetry) as web:
        port = web.address.rpartition(":")[2]

        assert [at for at in reached if not is_served(f"http://{at}:{port}")] == []


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "http://127.0.0.1:"), *([("::1", "http://[::1]:")] if HAS_IPV6 else [])]
)
def test_the_address_can_be_opened(host: str, address: str, telemetry: Telemetry) -> None:
    with Web(Http(host=host, port=0), telemetry) as web:
        assert web.address.startswith(address)
        assert is_served(web.address)


def test_the_end_does_not_wait_for_who_keeps_a_connection_open(telemetry: Telemetry) -> None:
    with Web(Http(port=0), telemetry) as web:
        host, _, port = web.address.removeprefix("http://").partition(":")
        idle = socket.create_connection((host, int(port)))
        idle.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert idle.recv(15) == b"HTTP/1.1 200 OK"

    idle.settimeout(10)
    while idle.recv(4_096):  # the end is told to who is connected
        pass
    idle.close()
