"""How fast the annotation page is for a rater, in headless Chromium.

    python benchmarks/page.py [--votes 30] [--report page.json] [--login URL]

Measures, on a small workspace made for it (or on one that is being served: give the one-time log-in link):

- from opening the page until both clips of the first pair run, with a cold and with a warm browser cache;
- from the key that submits a vote until both clips of the next pair run.

Times are taken inside the page, from the browser's own events.
"""

import argparse
import json
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser, Page, sync_playwright

from tests.served_workspace import make_workspace, serve_fixture

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NUM_OPENINGS = 5

# Notes when a vote was sent, and when both clips of the stage shown then are running.
WATCH = """
window.votes = [];
window.firstPair = null;
let sentAt = null;
addEventListener("keydown", (event) => { if (event.code === "Enter") sentAt = performance.now(); }, true);
document.addEventListener("playing", (event) => {
  const stage = event.target.closest(".vp-stage");
  if (!stage || stage.hidden) return;
  stage.running = (stage.running || new Set()).add(event.target);
  if (stage.running.size < 2 || stage.counted) return;
  stage.counted = true;
  if (window.firstPair === null) window.firstPair = performance.now();
  else if (sentAt !== null) window.votes.push(performance.now() - sentAt);
}, true);
"""


def opening_ms(page: Page, address: str) -> float:
    """Open the page and return the time until the first pair runs, from the start of the navigation."""
    page.goto(address)
    page.wait_for_function("() => window.firstPair !== null")
    return float(page.evaluate("window.firstPair"))


def voting_ms(page: Page, *, num_votes: int) -> list[float]:
    """Vote with the keyboard and return each time until the next pair ran."""
    for number in range(num_votes):
        page.wait_for_function("() => document.querySelectorAll('.vp-stage[hidden] video').length === 2")
        page.wait_for_timeout(300)  # A rater looks for longer than that; the next pair has arrived by then.
        page.keyboard.press("1234"[number % 4])
        page.keyboard.press("Enter")
        page.wait_for_function("count => window.votes.length > count", arg=number)
    return [float(time_ms) for time_ms in page.evaluate("window.votes")]


def measure(browser: Browser, login_url: str, *, num_votes: int) -> dict[str, object]:
    """Measure one served workspace, logged in through `login_url`."""
    address = login_url.split("/login")[0]
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(login_url)
    state = context.storage_state()
    context.close()
    cold = []
    for _ in range(NUM_OPENINGS):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, storage_state=state)
        context.add_init_script(WATCH)
        cold.append(opening_ms(context.new_page(), address))
        context.close()
    context = browser.new_context(viewport={"width": 1280, "height": 800}, storage_state=state)
    context.add_init_script(WATCH)
    page = context.new_page()
    opening_ms(page, address)
    warm = [opening_ms(page, address) for _ in range(NUM_OPENINGS)]
    votes = voting_ms(page, num_votes=num_votes)
    context.close()
    return {
        "first_pair_ms": {"cold_cache": _summary(cold), "warm_cache": _summary(warm)},
        "vote_to_next_pair_ms": _summary(votes),
    }


def _summary(times_ms: list[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    return {
        "median": round(median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 1),
        "max": round(ordered[-1], 1),
        "count": len(ordered),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--votes", type=int, default=30)
    parser.add_argument("--report", type=Path, help="write the figures here as JSON, too")
    parser.add_argument("--login", help="a one-time log-in link of a workspace that is served already")
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("no Chromium is installed: nothing was measured")
    with ExitStack() as stack:
        login = arguments.login or _served_here(stack, num_pairs=arguments.votes + 10)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(FLAGS))
        report = measure(browser, login, num_votes=arguments.votes)
        browser.close()
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.report:
        arguments.report.write_text(text + "\n")


def _served_here(stack: ExitStack, *, num_pairs: int) -> str:
    from app.accounts import create_one_time_login
    from storage.store import Store

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vidpref-page-")))
    prompts = [f"a square slides right, number {number}" for number in range(num_pairs)]
    fixture = make_workspace(folder / "workspace", prompt_texts=prompts)
    with Store.open(fixture.root) as store:
        secret = create_one_time_login(store, "adam")
    served = stack.enter_context(serve_fixture(fixture, with_pages=True))
    return f"{served.address}/login/once/{secret}"


if __name__ == "__main__":
    main()
