"""Which videos are put side by side: always two of one prompt. The same input gives the same pairs."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import combinations, pairwise

from storage.records import Pair, Prompt, Split, Video, record_id, utc_now

VideoPair = tuple[str, str]


class Strategy(StrEnum):
    """How the videos of one prompt become pairs. All but the first need a score per video."""

    ALL_PAIRS = "all_pairs"
    """Every two videos."""
    BEST_VS_WORST = "best_vs_worst"
    """The highest score against the lowest: one pair per prompt."""
    THRESHOLD = "threshold"
    """Every two videos whose scores differ by more than the least gap."""
    ADJACENT = "adjacent"
    """Neighbours in the order of scores."""


def make_pairs(
    videos: Iterable[Video],
    *,
    strategy: str,
    prompts: Mapping[str, Prompt] | None = None,
    scores: Mapping[str, float] | None = None,
    min_gap: float = 0.0,
    raters_per_pair: int = 1,
    round: int = 0,
    existing: Collection[str] = frozenset(),
    include_eval: bool = False,
) -> list[Pair]:
    """Pair the videos of each prompt, in the order of prompt id and video id.

    Args:
        videos: candidates, of any number of prompts.
        strategy: one of `Strategy`.
        prompts: the prompts of these videos by id: those held out for evaluation then give no pair. None
            where the caller has chosen the videos by split.
        scores: score by video id; a video without one is left out by every strategy that needs scores.
        min_gap: two videos whose scores differ by no more than this give no pair (where scores are used).
        raters_per_pair: how many people each pair is for.
        round: the round written on the pairs.
        existing: ids of pairs that there are already; they are left out of the result.
        include_eval: pair the videos of held-out prompts too (for a comparison, never for training).

    Raises:
        ValueError: unknown strategy, no scores where the strategy needs them, a prompt missing from
            `prompts`, or a number out of range.
    """
    chosen = _check(strategy, scores=scores, min_gap=min_gap, raters_per_pair=raters_per_pair)
    now = utc_now()
    pairs = []
    for prompt_id, video_ids in _by_prompt(videos, prompts=prompts, include_eval=include_eval):
        for first, second in _CHOOSE[chosen](video_ids, scores or {}, min_gap):
            pair = _pair(
                prompt_id, first, second, strategy=chosen, raters=raters_per_pair, round=round, now=now
            )
            if pair.pair_id not in existing:
                pairs.append(pair)
    return pairs


def _check(
    strategy: str, *, scores: Mapping[str, float] | None, min_gap: float, raters_per_pair: int
) -> Strategy:
    if strategy not in list(Strategy):
        raise ValueError(f"unknown pairing strategy {strategy!r}; allowed: {', '.join(Strategy)}")
    if strategy != Strategy.ALL_PAIRS and scores is None:
        raise ValueError(
            f"the strategy {strategy!r} needs a score per video; name one, such as builtin:overall"
        )
    if min_gap < 0:
        raise ValueError(f"min_gap is {min_gap}; it must be 0 or more")
    if raters_per_pair < 1:
        raise ValueError(f"raters_per_pair is {raters_per_pair}; it must be 1 or more")
    return Strategy(strategy)


def _by_prompt(
    videos: Iterable[Video], *, prompts: Mapping[str, Prompt] | None, include_eval: bool
) -> Iterator[tuple[str, list[str]]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for video in videos:
        groups[video.prompt_id].add(video.video_id)
    for prompt_id in sorted(groups):
        if prompts is not None and prompt_id not in prompts:
            raise ValueError(f"prompt {prompt_id!r} is not among the {len(prompts)} prompts given")
        if include_eval or prompts is None or prompts[prompt_id].split is not Split.EVAL:
            yield prompt_id, sorted(groups[prompt_id])


def _all_pairs(video_ids: Sequence[str], scores: Mapping[str, float], min_gap: float) -> Iterable[VideoPair]:
    return combinations(video_ids, 2)


def _best_vs_worst(
    video_ids: Sequence[str], scores: Mapping[str, float], min_gap: float
) -> Iterable[VideoPair]:
    ranked = _ranked(video_ids, scores)
    return _far_apart([(ranked[0], ranked[-1])] if ranked else [], scores, min_gap)


def _threshold(video_ids: Sequence[str], scores: Mapping[str, float], min_gap: float) -> Iterable[VideoPair]:
    return _far_apart(combinations(_ranked(video_ids, scores), 2), scores, min_gap)


def _adjacent(video_ids: Sequence[str], scores: Mapping[str, float], min_gap: float) -> Iterable[VideoPair]:
    return _far_apart(pairwise(_ranked(video_ids, scores)), scores, min_gap)


_CHOOSE: Mapping[Strategy, Callable[[Sequence[str], Mapping[str, float], float], Iterable[VideoPair]]] = {
    Strategy.ALL_PAIRS: _all_pairs,
    Strategy.BEST_VS_WORST: _best_vs_worst,
    Strategy.THRESHOLD: _threshold,
    Strategy.ADJACENT: _adjacent,
}


def _ranked(video_ids: Sequence[str], scores: Mapping[str, float]) -> list[str]:
    return sorted(
        (video for video in video_ids if video in scores), key=lambda video: (-scores[video], video)
    )


def _far_apart(
    pairs: Iterable[VideoPair], scores: Mapping[str, float], min_gap: float
) -> Iterator[VideoPair]:
    return (pair for pair in pairs if scores[pair[0]] - scores[pair[1]] > min_gap)


def _pair(
    prompt_id: str, first: str, second: str, *, strategy: Strategy, raters: int, round: int, now: datetime
) -> Pair:
    video_a_id, video_b_id = sorted((first, second))
    return Pair(
        pair_id=record_id("pair", video_a_id, video_b_id),
        prompt_id=prompt_id,
        video_a_id=video_a_id,
        video_b_id=video_b_id,
        strategy=strategy.value,
        raters_per_pair=raters,
        round=round,
        created_at=now,
    )
