"""The status page in a real browser, over a real detector: the demo's company, held still while something is wrong."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, FloatRect, Page, expect

from detector.demo import prepared
from detector.demo.live import Demo
from detector.demo.screen import Status
from detector.demo.story import Story
from tests.services.waiting import eventually
from tests.web.browser import NAMELESS, TOO_WIDE, TWICE, Theme, Visit, chromium, visiting

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SEED = 7
NOT_SETTLED = 60.0


class Dark:
    """A screen that nobody looks at."""

    def show(self, story: Story, status: Status) -> None:
        """Nothing."""


@dataclass
class Company:
    """The company of the demo, held still: what is open stays open."""

    origin: str
    token: str
    demo: Demo

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Its time goes on for a while, slowly: what waits for the next tick comes about."""
        self.demo.speed = 30.0
        try:
            yield
        finally:
            self.hold_in_trouble()

    def hold_in_trouble(self) -> None:
        """Its time goes on until it is in trouble, and stands still while that lasts."""

        def is_held() -> bool:
            self.demo.speed = 0.0 if self.is_in_trouble() else 600.0
            if self.demo.speed:
                return False
            settled = time.monotonic() + 2.0  # what was on its way has come
            return all(self.is_in_trouble() for _ in iter(lambda: time.monotonic() < settled, False))

        eventually(is_held, "trouble that lasts", NOT_SETTLED)

    def get(self, path: str, **parameters: str) -> Any:
        headers = {"authorization": f"Bearer {self.token}"}
        answer = httpx.get(f"{self.origin}/v1/{path}", params=parameters, headers=headers, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def mute(self, match: str, reason: str) -> None:
        now = self.get("overview")["at"]
        window = {"id": match, "match": match, "start": now, "end": now + 7_200, "kind": "mute", "reason": reason}
        command = {"command": "window", "window": {**window, "owner": "alice"}}
        headers = {"authorization": f"Bearer {self.token}"}
        httpx.post(f"{self.origin}/v1/commands", json=command, headers=headers, timeout=20).raise_for_status()

    @property
    def incident(self) -> dict[str, Any]:
        """The open incident that most wait for."""
        rows = self.get("incidents", state="open")["items"]
        row = max(rows, key=lambda one: (one["affected_count"], one["opened"]), default=None)
        found: dict[str, Any] = self.get(f"incidents/{row['id']}") if row else {}
        return found

    @property
    def entity(self) -> str:
        """The dataset that holds those that wait; empty if none does."""
        found = (one["entity"] for one in self.incident.get("findings", []) if one.get("ended") is None)
        return next((entity for entity in found if entity.startswith("dataset:")), "")

    def is_in_trouble(self) -> bool:
        """Whether some wait for an open incident of a dataset, and something has to be done again."""
        is_waited_for = len(self.incident.get("affected", [])) >= 4
        return is_waited_for and bool(self.entity) and bool(self.get("plans")["items"])


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """The demo at its own pace until it is in trouble, and then held still."""
    with prepared(SEED, None, Dark()) as demo:
        thread = threading.Thread(target=demo.run, name="demo")
        thread.start()
        try:
            eventually(lambda: demo.status.phase == "live", "the company to live", 120)
            origin, _, token = demo.status.page.partition("/#token=")
            held = Company(origin, token, demo)
            held.hold_in_trouble()
            held.mute("job:airflow/ingest_ad_*", "the source is being moved")
            yield held
        finally:
            demo.stop()
            thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def visit(browser: Browser, company: Company) -> Iterator[Visit]:
    """The overview, with the operator's token."""
    with visiting(browser, company.origin, company.token) as found:
        found.ready()
        yield found


def pages(company: Company) -> dict[str, str]:
    """Each page there is, by the name of its picture."""
    incident, entity = company.incident["id"], quote(company.entity, safe="")
    plan = company.get("plans")["items"][0]["plan"]
    return {
        "overview": "#/",
        "incidents": "#/incidents?state=all",
        "incident": f"#/incidents/{incident}",
        "entity": f"#/entity/{entity}",
        "lineage": f"#/lineage/{entity}",
        "plans": "#/plans",
        "plan": f"#/plans/{plan}",
        "windows": "#/windows",
        "token": "#/token",
    }


# ---------------------------------------------------------------- what is shown


def test_the_overview_says_in_words_what_is_wrong(visit: Visit, company: Company) -> None:
    page = visit.page

    expect(page.locator(".headline")).to_contain_text("open")
    expect(page.locator(".headline")).to_contain_text("something upstream")
    expect(page.get_by_role("link", name=company.incident["title"].split(";")[0]).first).to_be_visible()


def test_entities_stand_in_order_with_the_worst_first(visit: Visit) -> None:
    states = visit.page.locator("table.list td.state .badge").all_inner_texts()
    order = ["open", "unknown", "half-open", "held", "closed"]
    ranks = [order.index(state.split()[-1]) for state in states]

    assert len(states) == 51
    assert ranks == sorted(ranks)
    assert ranks[0] < order.index("closed")


def test_search_and_filters_narrow_the_list_and_are_in_the_address(visit: Visit) -> None:
    page = visit.page

    page.get_by_role("searchbox", name="Search by name").fill("payments")
    page.get_by_label("Kind").select_option("job")

    expect(page.locator("table.list tbody tr")).to_have_count(2)
    assert "q=payments" in page.url
    assert "kind=job" in page.url
    page.get_by_role("searchbox", name="Search by name").fill("no such thing")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()


def test_an_incident_says_what_broke_why_who_is_hit_and_what_to_do(visit: Visit, company: Company) -> None:
    page = visit.go(f"#/incidents/{company.incident['id']}")

    for heading in ("What broke", "Why we think so", "Who is hit", "What to do", "What happened so far"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.locator(".evidence").first).to_contain_text("expected")
    expect(page.get_by_role("img", name="observed").first).to_be_visible()


def test_an_entity_shows_its_breaker_its_series_with_the_band_and_its_runs(visit: Visit, company: Company) -> None:
    page = visit.go(pages(company)["entity"])

    expect(page.locator("dl").first).to_contain_text("Reason")
    expect(page.locator(".uplot canvas")).to_be_visible()
    expect(page.locator(".readout")).to_contain_text("expected")
    expect(page.get_by_role("table").last).to_contain_text("complete")
    assert drawn_colours(page) > 4


def drawn_colours(page: Page) -> int:
    """How many colours are in the drawing: an empty one has one."""
    count = """() => { const canvas = document.querySelector(".uplot canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Set();
      for (let at = 0; at < data.length; at += 4) seen.add((data[at] << 16) + (data[at + 1] << 8) + data[at + 2]);
      return seen.size; }"""
    return int(page.evaluate(count))


def test_the_chart_is_walked_with_the_arrow_keys(visit: Visit, company: Company) -> None:
    page = visit.go(pages(company)["entity"])
    last = page.locator(".readout").inner_text()

    page.locator(".frame").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")

    expect(page.locator(".readout")).not_to_have_text(last)
    expect(page.locator(".readout")).to_contain_text("run")


def test_the_lineage_marks_who_is_held_and_the_way_it_came(visit: Visit, company: Company) -> None:
    page = visit.go(pages(company)["lineage"])

    expect(page.locator(".node.state-held").first).to_be_visible()
    expect(page.locator(".edge.hold").first).to_be_attached()
    page.get_by_label("As", exact=True).select_option("tree")
    expect(page.get_by_role("region", name="Lineage")).to_contain_text("held by")


def test_a_recovery_plan_has_its_steps_in_order_with_boxes_to_tick(visit: Visit, company: Company) -> None:
    page = visit.go(pages(company)["plan"])
    plan = company.get("plans")["items"][0]

    expect(page.locator("ol.steps > li")).to_have_count(len(plan["steps"]))
    expect(page.locator("ol.steps")).to_contain_text("☐")


# ---------------------------------------------------------------- for everybody


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_page_fits_has_names_for_its_controls_and_is_pictured(
    browser: Browser, company: Company, width: int, theme: Theme, update_golden: bool
) -> None:
    with visiting(browser, company.origin, company.token, width=width, theme=theme) as visit:
        visit.ready()
        for name, address in pages(company).items():
            page = visit.go(address)

            assert page.evaluate(TOO_WIDE) <= 0, f"{name} is wider than {width} pixels"
            assert page.evaluate(NAMELESS) == []
            assert page.evaluate(TWICE) == []
            assert page.locator("h1").count() == 1
            if update_golden:
                picture(page, name, theme, width)


def picture(page: Page, name: str, theme: Theme, width: int) -> None:
    """What the docs show: as much as there is, but not without end."""
    expect(page.locator("#live")).to_contain_text("live")
    height = min(page.evaluate("document.body.offsetHeight"), 960 if width > 700 else 1_400)
    shown: FloatRect = {"x": 0, "y": 0, "width": width, "height": height}
    path = PICTURES / f"page-{name}-{theme}-{width}.png"
    page.screenshot(path=path, full_page=True, clip=shown, animations="disabled")


def test_the_theme_is_the_systems_until_one_is_chosen_and_then_stays(browser: Browser, company: Company) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with visiting(browser, company.origin, company.token, theme="dark") as visit:
        page = visit.ready()
        dark = page.evaluate(ground)
        page.get_by_role("button", name="Light").click()
        light = page.evaluate(ground)
        page.reload()
        visit.ready()

        assert dark != light
        assert page.evaluate(ground) == light
        expect(page.get_by_role("button", name="Dark")).to_be_visible()


def test_the_keyboard_goes_everywhere(visit: Visit) -> None:
    page = visit.page
    press = page.keyboard.press

    press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("raw/")
    expect(page.locator("table.list tbody tr")).to_have_count(7)
    press("Escape")
    for key in "jjk":
        press(key)
    assert page.evaluate("document.activeElement.matches('a')")
    press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    press("g")
    press("i")
    expect(page.get_by_role("heading", name="Incidents", exact=True)).to_be_visible()
    visit.ready()
    press("j")
    press("Enter")
    expect(page.get_by_role("heading", name="What broke")).to_be_visible()
    press("g")
    press("o")
    expect(page.locator(".headline")).to_be_visible()


def test_the_first_tab_leads_past_the_head_of_the_page(visit: Visit) -> None:
    page = visit.page
    page.reload()
    visit.ready()

    page.keyboard.press("Tab")

    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.locator(".headline")).to_be_visible()


def test_times_are_the_readers_and_the_title_has_utc(visit: Visit, company: Company) -> None:
    page = visit.go(f"#/incidents/{company.incident['id']}")
    shown = page.locator(".timeline time").first
    at = max(entry["at"] for entry in company.incident["timeline"])

    assert time.strftime("%H:%M:%S", time.gmtime(at + 3_600)) in shown.inner_text()  # Berlin, in March
    assert f"{time.strftime('%H:%M:%S', time.gmtime(at))} UTC" in (shown.get_attribute("title") or "")


# ---------------------------------------------------------------- what people say


def send(page: Page, button: str) -> None:
    """Send the form of the open dialog, and see that it is done."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=button, exact=True).click()
    expect(dialog.get_by_role("status")).to_contain_text("✓ Done")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)


def test_who_acknowledges_an_incident_is_named_there_without_a_reload(visit: Visit, company: Company) -> None:
    incident = company.incident["id"]
    page = visit.go(f"#/incidents/{incident}")

    page.get_by_role("button", name="Acknowledge").click()
    send(page, "I look after it")

    with company.going_on():
        expect(page.locator("main")).to_contain_text("demo looks after it")
    assert company.get(f"incidents/{incident}")["acknowledged_by"] == "demo"


def test_feedback_with_a_comment_makes_the_command_happen_and_shows_what_came_of_it(
    visit: Visit, company: Company
) -> None:
    page = visit.go(pages(company)["entity"])

    page.get_by_role("button", name="Feedback").first.click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("radio").count() == 5
    dialog.get_by_label("It is a fault").check()
    dialog.get_by_label("Comment").fill("the source sent nothing")
    dialog.get_by_role("button", name="Send", exact=True).click()

    expect(dialog.get_by_role("status")).to_contain_text("✓ Done")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Feedback").first).to_be_focused()


def test_a_breaker_that_is_overruled_says_so_at_once_and_can_be_given_back(visit: Visit) -> None:
    page = visit.go(f"#/entity/{quote('job:airflow/board_report.refresh', safe='')}")

    page.get_by_role("button", name="Override").click()
    page.get_by_role("dialog").get_by_label("Stop it").check()
    page.get_by_role("dialog").get_by_label("Why").fill("the month is being closed")
    send(page, "Override")

    expect(page.locator(".over .badge").first).to_contain_text("open")
    expect(page.locator("dl").first).to_contain_text("the month is being closed")
    page.get_by_role("button", name="Override").click()
    page.get_by_role("dialog").get_by_label("Take the override back").check()
    page.get_by_role("dialog").get_by_label("Why").fill("it is closed")
    send(page, "Override")
    expect(page.locator("dl").first).not_to_contain_text("Overruled")


def test_a_mute_is_listed_until_it_is_ended(visit: Visit) -> None:
    page = visit.go(f"#/entity/{quote('job:dbt/daily_revenue', safe='')}")
    page.get_by_role("button", name="Mute").click()
    page.get_by_role("dialog").get_by_label("Why").fill("we know")
    send(page, "Add")

    visit.go("#/windows")
    card = page.locator("li.card", has_text="job:dbt/daily_revenue")
    expect(card).to_contain_text("in force")
    card.get_by_role("button", name="End it now").click()
    send(page, "End it")
    expect(card).to_have_count(0)


# ---------------------------------------------------------------- who may


def test_the_token_of_the_link_is_kept_for_this_tab_and_taken_out_of_the_address(visit: Visit) -> None:
    page = visit.page

    assert "token" not in page.url
    assert page.evaluate("[sessionStorage.length, localStorage.getItem('detector.token')]") == [1, None]


def test_without_a_token_there_is_a_place_to_enter_one(browser: Browser, company: Company) -> None:
    with visiting(browser, company.origin) as visit:
        page = visit.page
        expect(page.get_by_role("heading", name="Token")).to_be_visible()
        page.get_by_label("Token", exact=True).fill("not a token of anybody")
        page.get_by_role("button", name="Use it").click()
        expect(page.locator(".problem").last).to_contain_text("none of")

        page.get_by_label("Token", exact=True).fill(company.token)
        page.get_by_label("Remember it").check()
        page.get_by_role("button", name="Use it").click()

        expect(page.locator(".headline")).to_contain_text("open")
        visit.go("#/token")
        expect(page.get_by_text("You are demo, an operator")).to_be_visible()
        assert page.evaluate("localStorage.getItem('detector.token')") == company.token
        visit.wrong[:] = [one for one in visit.wrong if "401" not in one]  # the browser notes each refusal itself
