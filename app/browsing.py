"""What the Browse page shows: clips chosen by category, generator, round and split, a page at a time."""

from dataclasses import dataclass
from typing import TypedDict

from app.pages.clip_grid import ClipCard
from storage.generators import list_generators
from storage.prompts import get_prompts, list_categories
from storage.records import Split
from storage.store import Store
from storage.videos import count_videos, list_videos

PAGE_SIZE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFilter:
    """Which clips to show; None or an empty text means any."""

    category: str | None = None
    generator_id: str | None = None
    round: int | None = None
    split: str | None = None


class _Selection(TypedDict):
    category: str | None
    generator_id: str | None
    round: int | None
    split: Split | None
    with_media: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPage:
    """One page of clips."""

    cards: list[ClipCard]
    number: int
    """From 1; the nearest that there is to the one asked for."""
    num_pages: int
    num_clips: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChoices:
    """What there is to choose from."""

    categories: list[str]
    generators: list[tuple[str, str]]
    """Name and id."""
    rounds: list[int]


def filter_choices(store: Store) -> FilterChoices:
    """Return the choices of every filter."""
    generators = list_generators(store)
    return FilterChoices(
        categories=sorted(list_categories(store)),
        generators=[(generator.name, generator.generator_id) for generator in generators],
        rounds=sorted({generator.round for generator in generators}),
    )


def clip_page(store: Store, chosen: ClipFilter, *, number: int) -> ClipPage:
    """Return the clips of one page, those with a file alone."""
    selection: _Selection = {
        "category": chosen.category or None,
        "generator_id": chosen.generator_id or None,
        "round": chosen.round,
        "split": Split(chosen.split) if chosen.split else None,
        "with_media": True,
    }
    num_clips = count_videos(store, **selection)
    num_pages = max(1, -(-num_clips // PAGE_SIZE))
    number = min(max(1, number), num_pages)
    videos = list_videos(store, **selection, limit=PAGE_SIZE, offset=(number - 1) * PAGE_SIZE)
    prompts = get_prompts(store, [video.prompt_id for video in videos])
    names = {generator.generator_id: generator.name for generator in list_generators(store)}
    cards = [
        ClipCard(
            video_id=video.video_id,
            title=prompts[video.prompt_id].text,
            notes=(
                names[video.generator_id],
                ", ".join(prompts[video.prompt_id].categories) or "no category",
                f"seed {video.seed}" if video.seed is not None else video.source_key or "no seed",
            ),
        )
        for video in videos
    ]
    return ClipPage(cards=cards, number=number, num_pages=num_pages, num_clips=num_clips)
