"""Every query of the dashboards, and every alert, asked of a real Prometheus that scrapes the running demo."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from detector.embedded import free_port
from tests.dashboards import Query, queries
from tests.services.prometheus import Prometheus
from tests.services.requirements import require
from tests.services.waiting import eventually

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
ENTITY = "job:airflow/ingest_orders.load"
SETTLED = 10.0


@dataclass(frozen=True)
class Site:
    """A Prometheus, and since when it has seen the demo."""

    prometheus: Prometheus
    began: float

    def answers(self, query: Query) -> int:
        """How many series a panel would draw, over all that was seen."""
        filled = query.filled(entity=ENTITY, interval="10s", span="1m")
        found = self.prometheus.query_range(filled, self.began, time.time(), 1.0)
        return len([series for series in found if any(value != "NaN" for _, value in series["values"])])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demo, until it has found a fault and told it, watched all the time."""
    require("prometheus")
    port, began = free_port(), time.time()
    command = [sys.executable, "-m", "detector", "demo", "--port", str(port), "--json"]
    directory = tmp_path_factory.mktemp("prometheus")
    with (directory / "demo.log").open("wb") as log:
        demo = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        with Prometheus(directory, [f"127.0.0.1:{port}"], rules=RULES) as prometheus:
            for wanted in (
                'sum(detector_breaker_transitions_total{to="open"}) > 0',
                'sum(detector_incidents_total{phase="resolved"}) > 0',
                f'detector_run_rows{{entity="{ENTITY}", value="upper"}}',
                f"time() - min_over_time(timestamp(detector_anomalies_total)[10m:1s]) > {SETTLED}",
            ):
                eventually(lambda w=wanted: demo.poll() is None and prometheus.query(w), wanted, timeout=150)  # type: ignore[misc]
            yield Site(prometheus, began)
    finally:
        demo.terminate()
        demo.wait(30)


@pytest.mark.parametrize("query", [query for query in queries() if not query.quiet], ids=str)
def test_a_panel_shows_something(query: Query, site: Site) -> None:
    assert site.answers(query) > 0, query.expr


@pytest.mark.parametrize("query", [query for query in queries() if query.quiet], ids=str)
def test_what_may_be_empty_asks_for_series_that_there_are(query: Query, site: Site) -> None:
    filled = query.filled(entity=ENTITY, interval="10s", span="1m")
    metrics = re.findall(r"\b(?:detector|process)_\w+", filled)

    assert metrics
    assert all(site.prometheus.query(f"count({metric})") for metric in metrics)
    site.answers(query)  # it is understood


@pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
def test_an_alert_asks_for_series_that_there_are(rule: dict[str, str], site: Site) -> None:
    site.prometheus.query(rule["expr"])  # it is understood
    rare = {"detector_emissions_skipped_total", "detector_dlq_messages_total", "detector_breakers_not_closed"}
    asked = set(re.findall(r"\bdetector_\w+", rule["expr"])) - rare  # which have no series before there is one
    metrics = {metric for metric in asked if not metric.startswith("detector_alerts_")}  # of `detector alert`

    assert [metric for metric in metrics if not site.prometheus.query(f"max_over_time({metric}[10m])")] == []


def test_the_dead_mans_switch_fires(site: Site) -> None:
    assert site.prometheus.query('ALERTS{alertname="Watchdog", alertstate="firing"}')


def test_a_scrape_has_few_series(site: Site) -> None:
    """The demo has 43 entities, and asks for all of them."""
    (series,) = site.prometheus.query('scrape_samples_scraped{job="detector"}')

    assert float(series["value"][1]) < 1_500
