"""What a dataset will hold: the labels that can be exported, and all they refer to."""

import itertools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from storage.errors import EmptyExport
from storage.generators import list_generators
from storage.pairs import list_pairs
from storage.prompts import get_prompts
from storage.reading import rows
from storage.records import Generator, Label, Media, Pair, Prompt, Video
from storage.store import Store
from storage.videos import list_videos, media_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExportContent:
    """What goes into the folder, in the order it is written."""

    labels: list[Label]
    prompts: dict[str, Prompt]
    videos: list[Video]
    media: dict[str, Media]
    generators: dict[str, Generator]
    num_without_media: int


def gather(store: Store, category: str | None, labels: Iterable[Label]) -> ExportContent:
    """Return the labels of the category whose clips are there, in a fixed order, with all they refer to.

    Raises:
        EmptyExport: No label with a winner and with clips is there.
        ValueError: Two labels are for the same pair and aspect, or one is for an unknown pair.
    """
    found = sorted(labels, key=lambda label: (label.pair_id, label.aspect))
    for one, other in itertools.pairwise(found):
        if (one.pair_id, one.aspect) == (other.pair_id, other.aspect):
            raise ValueError(f"pair {one.pair_id} has two labels for {one.aspect}; give one")
    prompts = get_prompts(store, {label.prompt_id for label in found})
    pairs = {pair.pair_id: pair for pair in list_pairs(store, pair_ids={label.pair_id for label in found})}
    for label in found:
        if label.pair_id not in pairs or label.prompt_id not in prompts:
            raise ValueError(f"label of unknown pair {label.pair_id} (prompt {label.prompt_id})")
    if category is not None:
        found = [label for label in found if category in prompts[label.prompt_id].categories]
    media = media_of(store, {side for pair in pairs.values() for side in _sides(pair)})
    kept = [label for label in found if all(video_id in media for video_id in _sides(pairs[label.pair_id]))]
    _check_not_empty(category, len(found), kept)
    if len(kept) < len(found):
        logger.warning(
            "%d of %d labels are left out: a clip of the pair has no file", len(found) - len(kept), len(found)
        )
    used = {video_id for label in kept for video_id in _sides(pairs[label.pair_id])}
    videos = sorted(list_videos(store, video_ids=used), key=lambda video: video.video_id)
    shown = {label.prompt_id for label in kept}
    return ExportContent(
        labels=kept,
        prompts={prompt_id: prompts[prompt_id] for prompt_id in sorted(shown)},
        videos=videos,
        media={video_id: media[video_id] for video_id in used},
        generators={generator.generator_id: generator for generator in list_generators(store)},
        num_without_media=len(found) - len(kept),
    )


def _sides(pair: Pair) -> tuple[str, str]:
    return pair.video_a_id, pair.video_b_id


def _check_not_empty(category: str | None, num_labels: int, kept: Sequence[Label]) -> None:
    if any(label.winner_id is not None for label in kept):
        return
    where = f"category {category!r}" if category else "the workspace"
    if num_labels == 0:
        raise EmptyExport(
            f"nothing to export: {where} has no labelled pair; make pairs with `vidpref pair`, and judge "
            "them with `vidpref judge` or in the browser"
        )
    if not kept:
        raise EmptyExport(
            f"nothing to export: none of the {num_labels} labelled pairs of {where} has both of its clips; "
            "import or sample the clips"
        )
    raise EmptyExport(
        f"nothing to export: all {len(kept)} labelled pairs of {where} are ties; judge more pairs, "
        "or let fewer votes decide"
    )


def raters(store: Store, content: ExportContent) -> list[dict[str, Any]]:
    """Return who judged the exported pairs, and how often."""
    sql = """
        SELECT rater.name, rater.kind, count(*)
        FROM current_judgment JOIN rater USING (rater_id)
        WHERE pair_id IN (SELECT unnest(?::VARCHAR[]))
        GROUP BY rater.name, rater.kind ORDER BY rater.name
    """
    found = rows(store, sql, [sorted({label.pair_id for label in content.labels})])
    return [{"name": name, "kind": kind, "judgments": number} for name, kind, number in found]


def lineage(content: ExportContent) -> list[dict[str, Any]]:
    """Return the generators of the clips and all their ancestors, oldest first."""
    wanted: set[str] = set()
    for generator_id in {video.generator_id for video in content.videos}:
        at: str | None = generator_id
        while at is not None and at not in wanted and at in content.generators:
            wanted.add(at)
            at = content.generators[at].parent_id
    chosen = sorted((content.generators[one] for one in wanted), key=lambda item: (item.round, item.name))
    return [
        {
            "generator_id": generator.generator_id,
            "name": generator.name,
            "family": generator.family,
            "model": generator.model,
            "adapter": generator.adapter,
            "parent_id": generator.parent_id,
            "category": generator.category,
            "round": generator.round,
        }
        for generator in chosen
    ]
