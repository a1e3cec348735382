"""A clip's pixels follow from weights, prompt, seed and settings, and from nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from tests.tiny_pipelines import Sizes, save_wan_pipeline
from training.families.family import SampleSettings, VideoFamily
from training.families.load import load_family
from training.sampling import SampledClip, SampleJob, sample_videos

SETTINGS = SampleSettings(
    height_px=32, width_px=32, num_frames=9, fps=8.0, num_inference_steps=3, max_sequence_length=16
)
PROMPTS = ["a red circle slides left", "the blue square spins", "a green triangle grows"]
JOBS = [SampleJob(prompt=PROMPTS[n % 3], seed=n // 2, key=f"clip-{n}") for n in range(7)]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> VideoFamily:
    sizes = Sizes(num_heads=4, head_dim=24, ffn_dim=96, vae_dim=6)
    return load_family(str(save_wan_pipeline(tmp_path_factory.mktemp("wan"), sizes)), device="cpu")


def sample(family: VideoFamily, jobs: list[SampleJob], batch_size: int = 3) -> dict[str, SampledClip]:
    return {clip.job.key: clip for clip in sample_videos(family, jobs, SETTINGS, batch_size)}


def test_every_job_gives_its_clip_in_order(family: VideoFamily) -> None:
    clips = list(sample_videos(family, JOBS, SETTINGS, 3))
    assert [clip.job for clip in clips] == JOBS
    assert all(clip.frames.shape == (9, 32, 32, 3) and clip.frames.dtype == np.uint8 for clip in clips)
    assert {clip.fps for clip in clips} == {8.0}


def test_clip_has_the_same_bytes_whatever_shares_its_batch(family: VideoFamily) -> None:
    whole = sample(family, JOBS)
    for jobs in (JOBS[::-1], JOBS[2:3], JOBS[1:6], [JOBS[5], JOBS[0], JOBS[3]]):
        for key, clip in sample(family, jobs).items():
            assert np.array_equal(clip.frames, whole[key].frames), key


def test_resumed_sampling_gives_what_an_unbroken_one_would(family: VideoFamily) -> None:
    whole = sample(family, JOBS)
    broken = {}
    for clip in sample_videos(family, JOBS, SETTINGS, 3):
        broken[clip.job.key] = clip
        if len(broken) == 4:
            break
    broken |= sample(family, [job for job in JOBS if job.key not in broken])
    assert all(np.array_equal(broken[key].frames, whole[key].frames) for key in whole)


def test_seed_and_prompt_each_change_the_clip(family: VideoFamily) -> None:
    base = SampleJob(prompt=PROMPTS[0], seed=1, key="base")
    jobs = [base, replace(base, seed=2, key="seed"), replace(base, prompt=PROMPTS[1], key="prompt")]
    clips = sample(family, jobs)
    assert not np.array_equal(clips["base"].frames, clips["seed"].frames)
    assert not np.array_equal(clips["base"].frames, clips["prompt"].frames)


def test_settings_say_what_decided_the_pixels(family: VideoFamily) -> None:
    (clip,) = sample(family, JOBS[:1]).values()
    assert clip.settings["num_inference_steps"] == 3
    assert clip.settings["batch_size"] == 3
    assert clip.settings["model_hash"] == family.model_hash
    assert clip.settings["adapter_hash"] == ""


def test_guidance_changes_the_clip(family: VideoFamily) -> None:
    plain = sample(family, JOBS[:1])["clip-0"]
    (guided,) = sample_videos(family, JOBS[:1], replace(SETTINGS, guidance_scale=4.0), 3)
    assert not np.array_equal(guided.frames, plain.frames)


def test_progress_counts_each_clip(family: VideoFamily) -> None:
    seen: list[tuple[int, int]] = []
    list(
        sample_videos(family, JOBS[:4], SETTINGS, 3, progress=lambda done, total: seen.append((done, total)))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_no_jobs_give_no_clips(family: VideoFamily) -> None:
    assert list(sample_videos(family, [], SETTINGS)) == []


def test_batch_size_below_one_is_refused(family: VideoFamily) -> None:
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        next(sample_videos(family, JOBS, SETTINGS, 0))
