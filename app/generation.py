"""Sampling into the workspace: what is missing is sampled, stored and recorded, batch by batch."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from app.progress import Progress, no_progress
from app.prompts import ensure_tiny_prompts
from storage.errors import UnknownName
from storage.generators import find_generator, list_generators
from storage.media import MediaStore
from storage.prompts import list_categories, list_prompts
from storage.records import Generator, Media, Prompt, Record, Split, Video, VideoMedia, record_id
from storage.store import Store
from storage.videos import list_videos
from training import tiny

TINY = "tiny"
RUNNABLE_FAMILIES = ("wan",)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedVideo:
    """One clip that a request asks for; its name depends on generator, prompt, seed and settings alone."""

    video_id: str
    prompt: Prompt
    seed: int


def clip_seed(seed: int, prompt_id: str, index: int) -> int:
    """Return the seed (0..2^31-1) of the `index`-th clip of a prompt, the same for every generator."""
    digest = hashlib.sha256(f"{seed}/{prompt_id}/{index}".encode()).digest()
    return int.from_bytes(digest[:4]) & 0x7FFFFFFF


def plan_videos(
    *,
    generator: Generator,
    prompts: Sequence[Prompt],
    per_prompt: int,
    seed: int,
    settings: Mapping[str, str | int | float | bool],
) -> list[PlannedVideo]:
    """Return the clips a request asks for, in a fixed order."""
    stamp = json.dumps(dict(settings), sort_keys=True)
    return [
        PlannedVideo(
            video_id=record_id("video", generator.generator_id, prompt.prompt_id, video_seed, stamp),
            prompt=prompt,
            seed=video_seed,
        )
        for prompt in sorted(prompts, key=lambda prompt: prompt.prompt_id)
        for video_seed in (clip_seed(seed, prompt.prompt_id, index) for index in range(per_prompt))
    ]


def sample_missing(
    store: Store,
    media: MediaStore,
    *,
    generator: Generator,
    prompts: Sequence[Prompt],
    per_prompt: int,
    seed: int,
    batch_size: int = 16,
    progress: Progress = no_progress,
) -> list[Video]:
    """Sample every clip of the request that the workspace does not hold yet, and return all of them.

    Clips are stored as they come, so an interrupted call goes on where it stopped.

    Raises:
        ValueError: The generator cannot sample (an imported source), or no prompts are given.
    """
    if generator.family == "external":
        raise ValueError(
            f"generator {generator.name!r} is an imported source: it has no model to sample from"
        )
    if not prompts:
        raise ValueError("there are no prompts to sample; add some with `vidpref import prompts FILE`")
    # Imported when sampling is asked for: torch and diffusers take seconds to load.
    from training.families.load import load_family  # noqa: PLC0415
    from training.sampling import SampleJob, describe_settings, sample_videos  # noqa: PLC0415

    family = load_family(generator.model, adapter=adapter_folder(store, generator))
    settings = describe_settings(family, family.defaults, batch_size)
    planned = plan_videos(
        generator=generator, prompts=prompts, per_prompt=per_prompt, seed=seed, settings=settings
    )
    wanted = [plan.video_id for plan in planned]
    present = {video.video_id for video in list_videos(store, video_ids=wanted, with_media=True)}
    missing = {plan.video_id: plan for plan in planned if plan.video_id not in present}
    label = f"sample {generator.name}"
    progress(label, len(present), len(planned))
    jobs = [SampleJob(key=key, prompt=plan.prompt.text, seed=plan.seed) for key, plan in missing.items()]
    writes: list[Future[int]] = []
    for done, clip in enumerate(sample_videos(family, jobs, batch_size=batch_size), start=1):
        stored = media.ingest_frames(clip.frames, fps=clip.fps)
        writes.append(store.append(clip_records(missing[clip.job.key], generator, stored, settings)))
        progress(label, len(present) + done, len(planned))
    for write in writes:
        write.result()
    by_id = {video.video_id: video for video in list_videos(store, video_ids=wanted)}
    return [by_id[video_id] for video_id in wanted]


def adapter_folder(store: Store, generator: Generator) -> Path | None:
    """Return the generator's adapter folder, or None for a base model."""
    return store.workspace.root / generator.adapter if generator.adapter else None


def clip_records(
    plan: PlannedVideo,
    generator: Generator,
    stored: Media,
    settings: Mapping[str, str | int | float | bool],
) -> list[Record]:
    """Return the records that make a stored clip known: its file, the video, and the link between them."""
    video = Video(
        video_id=plan.video_id,
        prompt_id=plan.prompt.prompt_id,
        generator_id=generator.generator_id,
        seed=plan.seed,
        settings=settings,
    )
    return [stored, video, VideoMedia(video_id=plan.video_id, media_id=stored.media_id)]


def add_generator(store: Store, *, name: str, family: str, model: str) -> Generator:
    """Register a base model to sample from and to train.

    Raises:
        ValueError: The name is taken, or the family is not one we can run.
    """
    if family not in RUNNABLE_FAMILIES:
        raise ValueError(f"family {family!r} is not known; there are {', '.join(RUNNABLE_FAMILIES)}")
    if any(name in (known.name, *known.aliases) for known in list_generators(store)):
        raise ValueError(f"a generator called {name!r} exists already; choose another name")
    generator = Generator(generator_id=record_id("generator", name), name=name, family=family, model=model)
    store.write([generator])
    return generator


def sample_category(
    store: Store,
    media: MediaStore,
    *,
    category: str,
    generator: str,
    per_prompt: int,
    seed: int,
    num_prompts: int | None = None,
    batch_size: int = 16,
    progress: Progress = no_progress,
) -> list[Video]:
    """Sample clips for a category's training prompts, adding the tiny world's prompts where it has none.

    Raises:
        UnknownName: The category or the generator does not exist.
    """
    found = find_generator(store, generator)
    if found.model == TINY and category in tiny.CATEGORIES:
        ensure_tiny_prompts(store, category)
    prompts = list_prompts(store, category=category, split=Split.TRAIN)
    if not prompts:
        raise UnknownName("category", category, sorted({*list_categories(store), *tiny.CATEGORIES}))
    prompts.sort(key=lambda prompt: prompt.prompt_id)
    return sample_missing(
        store,
        media,
        generator=found,
        prompts=prompts[:num_prompts],
        per_prompt=per_prompt,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
    )
