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
from storage.generators import find_generator
from storage.judgments import list_judgments
from storage.media import MediaStore
from storage.raters import list_raters
from storage.records import Pair, RaterKind
from storage.store import Store

POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundsRequest:
    """What `vidpref round` was asked to do."""

    categories: tuple[str, ...]
    rounds: int = 1
    generator: str | None = None
    """None: the newest generator of each category, else the tiny base."""
    people: int | None = None
    """Serve and wait until people have judged this many pairs of each round."""
    port: int | None = None
    config: RoundConfig = RoundConfig()
    install_seconds: float | None = None


def run_rounds(
    root: Path,
    request: RoundsRequest,
    *,
    progress: Progress = no_progress,
    say: Callable[[str], object],
) -> LoopReport:
    """Run the rounds and return the report; what was done before an interruption is not done again."""
    started = time.perf_counter()
    results: dict[str, list[CategoryResult]] = {category: [] for category in request.categories}
    with Store.open(root) as store, MediaStore(store.workspace) as media:
        loop = Loop(store=store, media=media, config=request.config, progress=progress)
        if request.people is not None:
            loop.wait_for_people = _waiter(store, request.people, request.port, say)
        for category in request.categories:
            for _ in range(request.rounds):
                generator = (
                    find_generator(store, request.generator)
                    if request.generator and not results[category]
                    else newest_generator(store, category)
                )
                record = run_round(loop, category=category, generator=generator)
                results[category].append(CategoryResult.from_dict(record.report))
    seconds = {"loop": time.perf_counter() - started, **loop.seconds}
    if request.install_seconds is not None:
        seconds["install"] = request.install_seconds
    return LoopReport(seconds=seconds, rounds={name: tuple(found) for name, found in results.items()})


def _waiter(
    store: Store, wanted: int, port: int | None, say: Callable[[str], object]
) -> Callable[[Sequence[Pair]], None]:
    def wait(pairs: Sequence[Pair]) -> None:
        # Gradio takes two seconds to import; a round without people does without it.
        from app.serve import serving  # noqa: PLC0415

        quota = min(wanted, len(pairs))
        config = load_server_config(store.workspace.config_path, port=port)
        with serving(store, config) as address:
            say(f"waiting for people to judge {quota} of {len(pairs)} pairs at {address}")
            while judged_by_people(store, pairs) < quota:
                time.sleep(POLL_S)

    return wait


def judged_by_people(store: Store, pairs: Sequence[Pair]) -> int:
    """Return how many of the pairs have at least one judgment by a person."""
    people = [rater.rater_id for rater in list_raters(store, kind=RaterKind.HUMAN)]
    if not people:
        return 0
    ids = [pair.pair_id for pair in pairs]
    return len({judgment.pair_id for judgment in list_judgments(store, pair_ids=ids, rater_ids=people)})
