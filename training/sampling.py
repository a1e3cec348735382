"""Make clips from prompts and seeds, in batches of one fixed size.

A clip's pixels depend on the weights, its prompt, its own seed and the settings. They do not depend on which
other clips share its batch: starting noise comes from the clip's seed alone, and a short batch is filled up
with copies, so that every matrix product has the same shape and hence the same order of summation. The batch
size itself is one of the settings: another size, or another number of threads, may round differently in the
last bit of a float and, now and then, move a pixel by one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from training.draws import clip_noise
from training.families.family import Frames, SampleSettings, VideoFamily

DEFAULT_BATCH_SIZE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleJob:
    """One clip to make."""

    prompt: str
    seed: int
    key: str
    """The caller's name for it, handed back with the clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledClip:
    """A clip that was made."""

    job: SampleJob
    frames: Frames
    """[F, H, W, 3]"""
    fps: float
    settings: dict[str, str | int | float | bool]
    """Everything besides prompt and seed that decides the pixels, as stored with the video."""


def sample_videos(
    family: VideoFamily,
    jobs: Sequence[SampleJob],
    settings: SampleSettings | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[SampledClip]:
    """Yield the clips of `jobs` in their order, batch by batch.

    To resume, pass the jobs that are not done yet: each clip comes out as it would have.

    Args:
        family: a loaded model; one call at a time may use it.
        jobs: what to make.
        settings: the model's own where None.
        batch_size: clips per forward; part of the settings.
        progress: called after each clip is handed over, with the number done and the number of all.

    Raises:
        TrainingError: the model cannot make clips of this size.
        ValueError: batch_size is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
    chosen = settings or family.defaults
    shape = family.latent_shape(chosen)
    recorded = describe_settings(family, chosen, batch_size)
    done = 0
    for batch in _batches(jobs, batch_size):
        for job, frames in zip(batch, _sample_batch(family, batch, chosen, shape, batch_size), strict=True):
            yield SampledClip(job=job, frames=frames, fps=chosen.fps, settings=dict(recorded))
            done += 1
            if progress is not None:
                progress(done, len(jobs))


def describe_settings(
    family: VideoFamily, settings: SampleSettings, batch_size: int
) -> dict[str, str | int | float | bool]:
    """Return what is recorded with each video: with equal prompt and seed, equal values mean equal pixels."""
    return {
        **settings.to_dict(),
        "batch_size": batch_size,
        "family": family.name,
        "model_hash": family.model_hash,
        "adapter_hash": family.adapter_hash,
        "device": family.device.type,
        "num_threads": torch.get_num_threads(),
    }


def _sample_batch(
    family: VideoFamily,
    batch: Sequence[SampleJob],
    settings: SampleSettings,
    shape: tuple[int, ...],
    batch_size: int,
) -> Frames:
    filled = [*batch, *[batch[-1]] * (batch_size - len(batch))]
    noise = torch.from_numpy(np.stack([clip_noise(job.seed, shape) for job in filled]))
    frames = family.sample([job.prompt for job in filled], noise, settings)
    return frames[: len(batch)]


def _batches(jobs: Sequence[SampleJob], size: int) -> Iterator[Sequence[SampleJob]]:
    for start in range(0, len(jobs), size):
        yield jobs[start : start + size]
