"""A real browser for the tests of the page, and what every page of it must keep to, whatever a test is about."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.services.requirements import require

Theme = Literal["light", "dark"]
# What a screen reader would say of a control, roughly: nothing means that nobody can tell what it is.
NAMELESS = """() => {
  const named = (one) => one.getAttribute("aria-label") || one.textContent.trim() || one.title
    || [...(one.labels ?? [])].map((label) => label.textContent.trim()).join("");
  return [...document.querySelectorAll("button, a[href], input, select, [role=button], svg[role=img]")]
    .filter((one) => !named(one)).map((one) => one.outerHTML.slice(0, 120));
}"""
TWICE = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  return ids.filter((id, at) => ids.indexOf(id) !== at);
}"""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    require("chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page of the browser, and what went wrong in it. `origin` is where it may load from."""

    page: Page
    origin: str
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self._on_console)
        self.page.on("request", self._on_request)

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith(f"{self.origin}/"):
            self.wrong.append(f"leaves the origin: {request.url}")

    def go(self, address: str) -> Page:
        """Go to an address of the page, as somebody with a link would, and wait until all of it is there."""
        self.page.goto(f"{self.origin}/{address}")
        return self.ready()

    def ready(self) -> Page:
        """Wait until nothing is being loaded."""
        expect(self.page.locator("main :is(h1, h2)").first).to_be_attached()
        expect(self.page.locator("[aria-busy=true]")).to_have_count(0)
        return self.page


@contextmanager
def visiting(
    browser: Browser, origin: str, token: str = "", *, width: int = 1280, theme: Theme = "light"
) -> Iterator[Visit]:
    """A visit with a token, in a browser that has seen nothing before; in the end nothing may have gone wrong."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=theme, timezone_id="Europe/Berlin", locale="en-GB"
    )
    context.set_default_timeout(15_000)
    visit = Visit(context.new_page(), origin)
    visit.page.goto(f"{origin}/#token={token}" if token else f"{origin}/")
    try:
        yield visit
    finally:
        context.close()
    assert visit.wrong == []
