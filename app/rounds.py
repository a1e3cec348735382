"""Rounds of the loop for one action category: sample, pair, judge, export, train, sample again, evaluate.

Every step looks at what the workspace holds already and does the rest, so a round that was interrupted is
simply run again. `app.demo` runs rounds for several categories, `vidpref round` for one.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from statistics import fmean

from annotation.pairing import make_pairs
from app.datasets import export_category
from app.evaluation import CategoryResult, compare, compare_measured, is_measurable, measure_videos
from app.generation import TINY, sample_missing
from app.labelling import BUILTIN, judge_with_builtin, score_videos
from app.progress import Progress, no_progress
from app.prompts import ensure_tiny_prompts
from app.training_runs import TrainingOutcome, carry_out, failure_recorded, plan_run, register_result
from storage.errors import UnknownName, VidprefError
from storage.generators import base_of, find_generator, list_generators
from storage.media import MediaStore
from storage.prompts import get_prompts, list_categories, list_prompts
from storage.records import (
    Aspect,
    DatasetRecord,
    Generator,
    Pair,
    Prompt,
    RoundRecord,
    Split,
    Video,
    record_id,
)
from storage.rounds import list_rounds
from storage.store import Store
from training import tiny


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundConfig:
    """Settings of one round."""

    seed: int = 0
    num_prompts: int = 32
    """Training prompts sampled per round."""
    per_prompt: int = 4
    """Candidate clips per training prompt."""
    num_eval_prompts: int = 16
    eval_per_prompt: int = 6
    """Held-out clips per prompt; prompts x clips is the number of compared pairs in the report."""
    num_steps: int | None = None
    """Optimizer steps of the training run; None keeps the recipe's."""
    pair_strategy: str = "best_vs_worst"
    raters_per_pair: int = 1
    label_source: str = "any"
    """Whose labels count: see `app.datasets.choose_judgments`."""
    batch_size: int = 16

    def __post_init__(self) -> None:
        for name in ("num_prompts", "per_prompt", "num_eval_prompts", "eval_per_prompt", "raters_per_pair"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")


@dataclass(slots=True, kw_only=True)
class Loop:
    """An open workspace, how to run rounds in it, and the seconds each step took."""

    store: Store
    media: MediaStore
    config: RoundConfig = field(default_factory=RoundConfig)
    progress: Progress = no_progress
    wait_for_people: Callable[[Sequence[Pair]], None] | None = None
    """Called with the round's pairs; returns when people have judged as many as are waited for."""
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time of the block to a step's seconds."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - started


def newest_generator(store: Store, category: str) -> Generator:
    """Return what the next round starts from: the newest generator of the category, else the tiny base."""
    rounds = list_rounds(store, category=category)
    by_id = {generator.generator_id: generator for generator in list_generators(store)}
    return by_id[rounds[-1].generator_id] if rounds else find_generator(store, TINY)


def run_round(loop: Loop, *, category: str, generator: Generator) -> RoundRecord:
    """Run one round from `generator` and append it to the ledger; return the ledger's line.

    Raises:
        UnknownName: No prompt has the category.
        VidprefError: The category has no held-out prompts to compare on.
        EmptyExport: The judgments hold no clear preference.
    """
    store = loop.store
    number = 1 + len(list_rounds(store, category=category))
    if generator.model == TINY and category in tiny.CATEGORIES:
        ensure_tiny_prompts(store, category)
    _prompts(store, category, Split.EVAL, loop.config.num_eval_prompts)  # refuse before any work is done
    pairs = candidate_pairs(loop, category, generator, number)
    if loop.wait_for_people is not None:
        loop.wait_for_people(pairs)
    with loop.timed("export"):
        dataset = export_category(
            store,
            category=category,
            label_source=loop.config.label_source,
            name=f"{category}-r{number}",
            pairs=pairs,
            progress=loop.progress,
        )
    outcome = _train(loop, category, generator, dataset, number)
    push_back(loop, category, outcome.generator, number)
    result = evaluate(loop, category, outcome.generator)
    record = RoundRecord(
        round_id=record_id("round", category, number, outcome.generator.generator_id),
        category=category,
        number=number,
        parent_generator_id=generator.generator_id,
        generator_id=outcome.generator.generator_id,
        dataset_id=dataset.dataset_id,
        run_id=outcome.run.run_id,
        report=result.as_dict(),
    )
    store.write([record])
    return record


def candidate_pairs(loop: Loop, category: str, generator: Generator, number: int) -> list[Pair]:
    """Sample candidates of round `number`, make pairs of them, and let the built-in rater judge these."""
    config = loop.config
    with loop.timed("sample"):
        videos = sample_missing(
            loop.store,
            loop.media,
            generator=generator,
            prompts=_prompts(loop.store, category, Split.TRAIN, config.num_prompts),
            per_prompt=config.per_prompt,
            seed=config.seed + number,
            batch_size=config.batch_size,
            progress=loop.progress,
        )
    with loop.timed("judge"):
        scores = score_videos(loop.store, videos, progress=loop.progress)
        pairs = make_pairs(
            videos,
            strategy=config.pair_strategy,
            prompts=get_prompts(loop.store, [video.prompt_id for video in videos]),
            scores={video_id: parts[Aspect.OVERALL] for video_id, parts in scores.items()},
            raters_per_pair=config.raters_per_pair,
            round=number,
        )
        loop.store.write(pairs)
        judge_with_builtin(loop.store, pairs, progress=loop.progress)
    return pairs


def push_back(loop: Loop, category: str, tuned: Generator, number: int) -> list[Pair]:
    """Sample the tuned model and put its clips up for judgment: they are the next round's candidates."""
    return candidate_pairs(loop, category, tuned, number + 1)


def evaluate(loop: Loop, category: str, tuned: Generator) -> CategoryResult:
    """Compare a tuned generator with its base on held-out prompts at the same seeds."""
    with loop.timed("sample"):
        base_videos = evaluation_videos(loop, category, base_of(loop.store, tuned))
        tuned_videos = evaluation_videos(loop, category, tuned)
    with loop.timed("evaluate"):
        if is_measurable(_prompts(loop.store, category, Split.EVAL, loop.config.num_eval_prompts)):
            return compare_measured(
                measure_videos(loop.store, base_videos, progress=loop.progress),
                measure_videos(loop.store, tuned_videos, progress=loop.progress),
            )
        return _compare_scored(loop, base_videos, tuned_videos)


def _compare_scored(loop: Loop, base: list[Video], tuned: list[Video]) -> CategoryResult:
    scores = score_videos(loop.store, [*base, *tuned], progress=loop.progress)
    overall, means = [], []
    for videos in (base, tuned):
        overall.append({(v.prompt_id, v.seed): scores[v.video_id][Aspect.OVERALL] for v in videos})
        means.append({aspect.value: fmean(scores[v.video_id][aspect] for v in videos) for aspect in Aspect})
    return compare(*overall, base_means=means[0], tuned_means=means[1], judged_by=BUILTIN)


def evaluation_videos(loop: Loop, category: str, generator: Generator) -> list[Video]:
    """Return a generator's clips of the held-out prompts, sampling those that are missing."""
    config = loop.config
    return sample_missing(
        loop.store,
        loop.media,
        generator=generator,
        prompts=_prompts(loop.store, category, Split.EVAL, config.num_eval_prompts),
        per_prompt=config.eval_per_prompt,
        seed=config.seed,
        batch_size=config.batch_size,
        progress=loop.progress,
    )


def _train(
    loop: Loop, category: str, generator: Generator, dataset: DatasetRecord, number: int
) -> TrainingOutcome:
    steps = loop.config.num_steps
    with loop.timed("train"):
        plan = plan_run(
            loop.store,
            dataset_dir=loop.store.workspace.root / dataset.path,
            generator=generator,
            name=f"{category}-r{number}",
            round_number=number,
            seed=loop.config.seed,
            changes={} if steps is None else {"steps": steps},
        )
        with failure_recorded(plan, lambda: nullcontext(loop.store)):
            adapter = carry_out(plan, progress=loop.progress)
        return register_result(loop.store, plan, adapter)


def _prompts(store: Store, category: str, split: Split, limit: int) -> list[Prompt]:
    prompts = list_prompts(store, category=category, split=split)
    if not prompts and not list_prompts(store, category=category):
        raise UnknownName("category", category, sorted({*list_categories(store), *tiny.CATEGORIES}))
    if not prompts:
        raise VidprefError(
            f"category {category!r} has no prompts of the split {split.value!r}; a round needs `train` and "
            "`eval` ones. Add some with `vidpref import prompts FILE` (column `split`)"
        )
    return sorted(prompts, key=lambda prompt: prompt.prompt_id)[:limit]
