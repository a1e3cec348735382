"""Several rounds for several categories in one workspace, and the report of what they achieved.

With `people`, the workspace is served while a round waits for people's judgments.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.config import load_server_config
from app.evaluation import CategoryResult
from app.progress import Progress, no_progress
from app.report import LoopReport
from app.rounds import Loop, RoundConfig, newest_generator, run_round
from storage.assignments import queue_rows
from storage.errors import VidprefError
from storage.generators import find_generator
from storage.judgments import list_judgments
from storage.media import MediaStore
from storage.raters import list_accounts, list_raters
from storage.records import Pair, RaterKind
from storage.rounds import list_rounds
from storage.store import Store

POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundsRequest:
    """What `vidpref round` was asked to do."""

    categories: tuple[str, ...]
    rounds: int = 1
    total: bool = False
    """`rounds` counts those in the ledger already, so that a finished request does nothing when repeated."""
    generator: str | None = None
    """None: the newest generator of each category, else the tiny base."""
    people: int | None = None
    """Serve and wait until people have judged this many pairs of each round."""
    port: int | None = None
    """To serve at; None: the one of the workspace's settings."""
    config: RoundConfig = RoundConfig()
    install_seconds: float | None = None


def run_rounds(
    root: Path,
    request: RoundsRequest,
    *,
    progress: Progress = no_progress,
    say: Callable[[str], object],
) -> LoopReport:
    """Run the rounds and return the report; what was done before an interruption is not done again.

    Raises:
        VidprefError: People are waited for and the workspace has no accounts.
    """
    started = time.perf_counter()
    results: dict[str, list[CategoryResult]] = {}
    with Store.open(root) as store, MediaStore(store.workspace) as media:
        loop = Loop(store=store, media=media, config=request.config, progress=progress)
        if request.people is not None:
            _check_people_can_log_in(store)
            loop.wait_for_people = _waiter(store, request.people, request.port, say)
        for category in request.categories:
            results[category] = _category_rounds(loop, category, request)
    seconds = {"loop": time.perf_counter() - started, **loop.seconds}
    if request.install_seconds is not None:
        seconds["install"] = request.install_seconds
    return LoopReport(seconds=seconds, rounds={name: tuple(found) for name, found in results.items()})


def _category_rounds(loop: Loop, category: str, request: RoundsRequest) -> list[CategoryResult]:
    ledger = list_rounds(loop.store, category=category) if request.total else []
    results = [CategoryResult.from_dict(record.report) for record in ledger[: request.rounds]]
    while len(results) < request.rounds:
        generator = (
            find_generator(loop.store, request.generator)
            if request.generator and not results
            else newest_generator(loop.store, category)
        )
        record = run_round(loop, category=category, generator=generator)
        results.append(CategoryResult.from_dict(record.report))
    return results


def _waiter(
    store: Store, wanted: int, port: int | None, say: Callable[[str], object]
) -> Callable[[Sequence[Pair]], None]:
    def wait(pairs: Sequence[Pair]) -> None:
        # Gradio takes two seconds to import; a round without people does without it.
        from app.serve import serving  # noqa: PLC0415

        quota = min(wanted, len(pairs))
        config = load_server_config(store.workspace.config_path, port=port)
        with serving(store, config, only_pairs=[pair.pair_id for pair in pairs]) as address:
            say(f"waiting for people to judge {quota} of {len(pairs)} pairs at {address}")
            while (num_judged := judged_by_people(store, pairs)) < quota and anybody_can_judge(store, pairs):
                time.sleep(POLL_S)
        if num_judged < quota:
            say(
                f"going on with {num_judged} of {quota} pairs judged by people: "
                "nobody with an account can be given another of them"
            )

    return wait


def _check_people_can_log_in(store: Store) -> None:
    if not list_accounts(store):
        raise VidprefError(
            "nobody can log in to judge: the workspace has no accounts. Add one first: "
            "vidpref users add NAME --role annotator"
        )


def judged_by_people(store: Store, pairs: Sequence[Pair]) -> int:
    """Return how many of the pairs have at least one judgment by a person that was not late."""
    people = [rater.rater_id for rater in list_raters(store, kind=RaterKind.HUMAN)]
    if not people:
        return 0
    ids = [pair.pair_id for pair in pairs]
    judgments = list_judgments(store, pair_ids=ids, rater_ids=people, include_late=False)
    return len({judgment.pair_id for judgment in judgments})


def anybody_can_judge(store: Store, pairs: Sequence[Pair]) -> bool:
    """Say whether one of the pairs lacks judgments and some account in use has not judged or skipped it."""
    accounts = {account.rater_id for account in list_accounts(store) if not account.disabled}
    return any(
        row.num_judged < row.pair.raters_per_pair and accounts - row.judged_by - row.skipped_by
        for row in queue_rows(store, pair_ids=[pair.pair_id for pair in pairs])
    )
