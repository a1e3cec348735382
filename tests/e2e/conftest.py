"""A browser, a served workspace with pages, and a page that somebody is logged in to."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, Route, sync_playwright

from tests.served_workspace import PASSWORD, Fixture, ServedFixture, make_workspace, serve_fixture

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MARKUP = "<img src=x onerror=\"document.title='broken'\"> & a <b>bold</b> square"
PROMPTS = (MARKUP, *(f"a square slides right, number {number}" for number in range(1, 40)))


def chromium() -> str | None:
    """Return the installed Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("VIDPREF_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if chromium() is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium is installed"))


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Drive the browser; its event loop runs in this thread and must not outlive the module."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium(), headless=True, args=list(FLAGS))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedFixture]:
    fixture: Fixture = make_workspace(
        tmp_path_factory.mktemp("e2e") / "workspace",
        prompt_texts=PROMPTS,
        raters_per_pair=9,
        annotators=[f"rater{number}" for number in range(12)],
    )
    with serve_fixture(fixture, with_pages=True) as served:
        yield served


class Visit:
    """A rater's browser window, with what it was sent and what went wrong in it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.problems: list[str] = []
        self.hosts: set[str] = set()
        self.bodies: list[tuple[str, bytes]] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.problems.append(message.text))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def record_bodies(self) -> None:
        """Keep every body sent to this window from now on."""
        self.page.route("**/*", self._fetch)

    def stop_recording(self) -> None:
        """Let what is on its way arrive, so that nothing is still being fetched when the window closes."""
        self.page.unroute_all(behavior="wait")

    def _fetch(self, route: Route) -> None:
        if not route.request.url.startswith("http"):
            route.continue_()
            return
        response = route.fetch()
        self.bodies.append((route.request.url, str(response.headers).encode() + response.body()))
        route.fulfill(response=response)

    def log_in(self, name: str, path: str = "/") -> None:
        self.page.goto(self.address + path)
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()

    def wait_for_pair(self) -> str:
        """Wait until both clips of a pair run; return its prompt."""
        self.page.wait_for_selector(".vp-player[data-state=judging]")
        self.page.wait_for_function(RUNNING)
        return self.page.get_by_test_id("prompt").inner_text()

    def wait_for_other_pair(self, prompt: str) -> str:
        """Wait until another pair than that of `prompt` runs."""
        self.page.wait_for_function(
            "before => document.querySelector('[data-testid=prompt]').innerText !== before", arg=prompt
        )
        return self.wait_for_pair()

    def wait_until_saved(self) -> None:
        self.page.wait_for_function("() => document.querySelector('.vp-status').innerText === 'Saved'")


VISIBLE = "[...document.querySelectorAll('.vp-stage:not([hidden]) video')]"
RUNNING = f"""() => {{
  const videos = {VISIBLE};
  return videos.length === 2 && videos.every((video) => video.currentTime > 0 && video.readyState >= 2);
}}"""


OpenWindow = Callable[..., Visit]


@pytest.fixture
def visit(browser: Browser, served: ServedFixture) -> Iterator[OpenWindow]:
    """Open a window of its own for a rater; `visit(viewport=(390, 844))`."""
    with ExitStack() as stack:

        def open_window(*, viewport: tuple[int, int] = (1280, 800), **options: Any) -> Visit:
            context = browser.new_context(viewport={"width": viewport[0], "height": viewport[1]}, **options)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(30_000)
            return Visit(page, served.address)

        yield open_window
