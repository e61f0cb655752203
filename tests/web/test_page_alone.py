"""The status page over an API of which the test decides what it knows, who may ask, and whether it is there."""

import time
from collections.abc import Iterator

import msgspec
import pytest
from playwright.sync_api import Browser, expect

from detector.config import Http
from detector.core.breaker import State
from detector.web import Web
from tests.web.browser import chromium, visiting
from tests.web.conftest import OPERATOR, READER, TOKENS, Serve
from tests.web.known import INCIDENT, NOW, PARTITIONS, ROOT, Known, breaker

pytestmark = pytest.mark.integration

MANY = 10_000
SOON = 3_000  # ms, on a machine that does other things, too


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def test_a_reader_is_told_why_buttons_do_nothing(browser: Browser, serve: Serve) -> None:
    origin = str(serve(tokens=TOKENS).base_url)
    with visiting(browser, origin, READER) as visit:
        page = visit.go(f"#/incidents/{INCIDENT}")

        page.get_by_role("button", name="Acknowledge").click()

        expect(page.get_by_role("dialog", name="Read only")).to_contain_text("The token of dashboard is a reader's")
        expect(page.locator("#who")).to_have_text("dashboard, read only")


def test_without_any_token_on_the_machine_itself_it_may_be_looked_at(browser: Browser, serve: Serve) -> None:
    with visiting(browser, str(serve().base_url)) as visit:
        page = visit.ready()

        expect(page.locator("table.list tbody tr")).to_have_count(4)
        expect(page.locator("#who")).to_have_text("read only")


def test_what_is_late_and_wrong_stands_there_in_words(browser: Browser, serve: Serve) -> None:
    with visiting(browser, str(serve().base_url)) as visit:
        page = visit.ready()

        expect(page.get_by_role("region", name="Now")).to_contain_text("orders.load is late")
        expect(page.get_by_role("region", name="Now")).to_contain_text("1 incident is open")


def test_stale_heartbeats_are_said_loudly_on_every_page(browser: Browser, serve: Serve, known: Known) -> None:
    known.now = NOW + 600
    with visiting(browser, str(serve().base_url)) as visit:
        page = visit.go("#/windows")

        expect(page.get_by_role("alert").first).to_contain_text("The detector itself is not well")
        expect(page.get_by_role("alert").first).to_contain_text("no heartbeat, the oldest is 10 min old")


def test_a_page_that_is_not_live_says_so_and_catches_up_when_it_is_again(browser: Browser, known: Known) -> None:
    with Web(Http(port=0), known.telemetry, known.sources) as first:
        origin = first.address
        with visiting(browser, origin) as visit:
            page = visit.ready()
            expect(page.locator("#live")).to_have_text("● live")

            first.__exit__(None, None, None)
            expect(page.locator("#live")).to_contain_text("not live")
            expect(page.locator("#away")).to_contain_text("This page is not live")
            known.breaker(breaker("job:airflow/new.load", State.OPEN, 1, reason="it came meanwhile"))
            with Web(Http(port=int(origin.rpartition(":")[2])), known.telemetry, known.sources):
                page.locator("#live button").click()

                expect(page.locator("#live")).to_have_text("● live")
                expect(page.locator("table.list")).to_contain_text("it came meanwhile")
                expect(page.locator("#away")).to_be_empty()
            visit.wrong.clear()  # the browser notes each request that nobody answered


def test_what_a_producer_wrote_is_never_markup(browser: Browser, serve: Serve, known: Known) -> None:
    evil = "<img src=x onerror=document.title='taken'><script>document.title='taken'</script>"
    incident = known.facts.incidents[INCIDENT]
    known.incident(msgspec.structs.replace(incident, title=evil, summary=evil))
    known.breaker(breaker(f"job:{evil}/x", State.OPEN, 1, reason=evil))
    with visiting(browser, str(serve(tokens=TOKENS).base_url), OPERATOR) as visit:
        page = visit.ready()
        expect(page.get_by_role("region", name="Entities")).to_contain_text("onerror")

        visit.go(f"#/incidents/{INCIDENT}")

        expect(page.get_by_role("heading", level=1)).to_have_text(evil)
        assert page.locator("main img, main script").count() == 0
        assert "taken'" in page.title() or "taken" not in page.title()


def test_ten_thousand_entities_stay_usable(browser: Browser, serve: Serve, known: Known) -> None:
    for number in range(MANY):
        known.breaker(breaker(f"job:airflow/made_up.task_{number:05d}", partition=number % PARTITIONS))
    with visiting(browser, str(serve().base_url)) as visit:
        page = visit.page
        began = time.monotonic()
        page.reload()
        expect(page.locator("table.list tbody tr")).to_have_count(100, timeout=SOON)
        shown = time.monotonic() - began

        expect(page.locator("table.list tbody tr").first).to_contain_text(ROOT.rpartition("/")[2])
        page.get_by_role("searchbox").fill("task_09999")
        expect(page.locator("table.list tbody tr")).to_have_count(1, timeout=SOON)
        page.get_by_role("searchbox").fill("")
        page.get_by_role("button", name="Show more").click()
        expect(page.locator("table.list tbody tr")).to_have_count(300, timeout=SOON)
        assert shown < SOON / 1_000
