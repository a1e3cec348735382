"""AI raters over the workspace: score clips with the built-in scorer, judge pairs by scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from annotation.judge import ScorerJudge, judge_from_scores
from annotation.pairing import make_pairs
from annotation.scorers.builtin import BuiltinScorer
from app.progress import Progress, no_progress
from storage.clips import read_frames
from storage.generators import find_generator
from storage.judgments import list_judgments
from storage.media import media_file
from storage.pairs import list_pairs
from storage.prompts import get_prompts, require_category
from storage.ratings import canonical_aspect, list_ratings, mean_ratings
from storage.records import Judgment, Pair, Rater, RaterKind, Rating, Split, Video, record_id
from storage.store import Store
from storage.videos import list_videos, media_of
from training import tiny

BUILTIN = "builtin"
BATCH = 64


def builtin_rater() -> Rater:
    """Return the record of the built-in scorer as a rater."""
    return Rater(
        rater_id=record_id("rater", BUILTIN),
        name=BUILTIN,
        kind=RaterKind.MODEL,
        details={"version": BuiltinScorer.VERSION},
    )


def score_videos(
    store: Store, videos: Sequence[Video], *, progress: Progress = no_progress
) -> dict[str, dict[str, float]]:
    """Score the clips that the built-in scorer has not rated yet; return all scores by video and name.

    Parts (`sharpness`, ...) and aspects are stored as ratings in 0..1.
    """
    rater = builtin_rater()
    wanted = [video.video_id for video in videos]
    rated = {r.video_id for r in list_ratings(store, rater_ids=[rater.rater_id], video_ids=wanted)}
    missing = [video for video in videos if video.video_id not in rated]
    store.write([rater])
    scorer = BuiltinScorer(critic_path=tiny.critic_path()) if missing else None
    for start in range(0, len(missing), BATCH):
        assert scorer is not None
        store.write(_score_batch(store, scorer, rater, missing[start : start + BATCH]))
        progress("score clips", len(videos) - len(missing) + min(start + BATCH, len(missing)), len(videos))
    scores: dict[str, dict[str, float]] = {}
    for rating in list_ratings(store, rater_ids=[rater.rater_id], video_ids=wanted):
        scores.setdefault(rating.video_id, {})[rating.aspect] = rating.value
    return scores


def _score_batch(store: Store, scorer: BuiltinScorer, rater: Rater, videos: Sequence[Video]) -> list[Rating]:
    media = media_of(store, [video.video_id for video in videos])
    prompts = get_prompts(store, [video.prompt_id for video in videos])
    ratings: list[Rating] = []
    for video in videos:
        path = media_file(store.workspace, media[video.video_id].media_id, kind="original")
        scores = scorer.score(read_frames(path), prompts[video.prompt_id].text)
        for name, value in [*scores.parts.items(), *scores.aspects.items()]:
            ratings.append(
                Rating(
                    rating_id=record_id(
                        "rating", rater.rater_id, video.video_id, name, BuiltinScorer.VERSION
                    ),
                    video_id=video.video_id,
                    rater_id=rater.rater_id,
                    aspect=name,
                    value=value,
                    scale_low=0.0,
                    scale_high=1.0,
                )
            )
    return ratings


def judge_with_builtin(
    store: Store, pairs: Sequence[Pair], *, progress: Progress = no_progress
) -> list[Judgment]:
    """Let the built-in scorer judge every pair it has not judged yet; return the new judgments, stored."""
    rater = builtin_rater()
    open_pairs = _not_judged_by(store, pairs, rater.rater_id)
    ids = sorted({video_id for pair in open_pairs for video_id in (pair.video_a_id, pair.video_b_id)})
    scores = score_videos(store, list_videos(store, video_ids=ids), progress=progress)
    judgments = ScorerJudge(rater_id=rater.rater_id, version=BuiltinScorer.VERSION).judge(open_pairs, scores)
    store.write(judgments)
    return judgments


def parse_score_source(text: str) -> tuple[str, str]:
    """Split `SOURCE:ASPECT` (`human:temporal quality`) into the source and the canonical aspect.

    Raises:
        ValueError: There is no colon or one side is empty.
    """
    source, colon, aspect = text.rpartition(":")
    if not colon or not source.strip() or not aspect.strip():
        raise ValueError(
            f"score source {text!r} is not SOURCE:ASPECT; "
            "for example human:motion_quality or CLIPScore:text_alignment"
        )
    return source.strip(), canonical_aspect(aspect)


def judge_with_ratings(store: Store, pairs: Sequence[Pair], source: str, aspect: str) -> list[Judgment]:
    """Let the mean ratings of a source (`human`, or a rater's name) decide pairs; store and return them.

    The rater is named `SOURCE:ASPECT` and is a model: it is arithmetic on ratings, not a vote on a pair.
    """
    rater = Rater(
        rater_id=record_id("rater", f"{source}:{aspect}"),
        name=f"{source}:{aspect}",
        kind=RaterKind.MODEL,
        details={"derived_from": source, "aspect": aspect},
    )
    open_pairs = _not_judged_by(store, pairs, rater.rater_id)
    judgments = judge_from_scores(
        open_pairs, mean_ratings(store, source=source, aspect=aspect), rater_id=rater.rater_id, aspect=aspect
    )
    store.write([rater, *judgments])
    return judgments


def _not_judged_by(store: Store, pairs: Sequence[Pair], rater_id: str) -> list[Pair]:
    ids = [pair.pair_id for pair in pairs]
    judged = {judgment.pair_id for judgment in list_judgments(store, pair_ids=ids, rater_ids=[rater_id])}
    return [pair for pair in pairs if pair.pair_id not in judged]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingResult:
    """What `pair_category` did."""

    num_pairs: int
    """Pairs that the strategy asks for."""
    num_new: int
    """Those of them that did not exist."""
    num_judgments: int
    """Judgments that the ratings of a score source gave."""


def pair_category(
    store: Store,
    *,
    category: str | None,
    strategy: str,
    score: str | None = None,
    raters_per_pair: int = 1,
    generator: str | None = None,
    min_gap: float = 0.0,
    progress: Progress = no_progress,
) -> PairingResult:
    """Make pairs of a category's playable training clips; ratings used as scores also judge them.

    Raises:
        UnknownName: The category or generator does not exist.
        ValueError: The strategy needs scores and none are given, or nothing of the source is rated.
    """
    if category is not None:
        require_category(store, category)
    generator_id = find_generator(store, generator).generator_id if generator else None
    videos = list_videos(
        store, category=category, generator_id=generator_id, split=Split.TRAIN, with_media=True
    )
    source, aspect = parse_score_source(score) if score else ("", "")
    scores = _scores(store, videos, source, aspect, progress) if score else None
    pairs = make_pairs(
        videos,
        strategy=strategy,
        prompts=get_prompts(store, [video.prompt_id for video in videos]),
        scores=scores,
        raters_per_pair=raters_per_pair,
        min_gap=min_gap,
    )
    num_new = store.write(pairs)
    judged = [] if source in ("", BUILTIN) else judge_with_ratings(store, pairs, source, aspect)
    return PairingResult(num_pairs=len(pairs), num_new=num_new, num_judgments=len(judged))


def _scores(
    store: Store, videos: Sequence[Video], source: str, aspect: str, progress: Progress
) -> dict[str, float]:
    if source == BUILTIN:
        scored = score_videos(store, videos, progress=progress)
        return {video_id: parts[aspect] for video_id, parts in scored.items() if aspect in parts}
    return mean_ratings(store, source=source, aspect=aspect)


def judge_category(
    store: Store, *, rater: str, category: str | None, progress: Progress = no_progress
) -> list[Judgment]:
    """Let a model rater (`builtin` or `SOURCE:ASPECT`) judge a category's pairs; return the new judgments.

    Raises:
        UnknownName: The category does not exist.
        ValueError: `rater` is neither.
    """
    if category is not None:
        require_category(store, category)
    pairs = list_pairs(store, category=category)
    if rater != BUILTIN:
        return judge_with_ratings(store, pairs, *parse_score_source(rater))
    return judge_with_builtin(store, pairs, progress=progress)


def score_category(store: Store, *, category: str | None, progress: Progress = no_progress) -> int:
    """Score every playable clip of a category with the built-in scorer; return how many have scores.

    Raises:
        UnknownName: The category does not exist.
    """
    if category is not None:
        require_category(store, category)
    return len(score_videos(store, list_videos(store, category=category, with_media=True), progress=progress))
