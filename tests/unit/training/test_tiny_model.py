"""The shipped weights: small enough, loadable offline, repeatable, and a model of the tiny world."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanPipeline

from training.tiny import critic_path, held_out_prompts, model_dir
from training.tiny.build_config import SAMPLING
from training.tiny.evaluate import contact_sheet, load_pipeline, sample_clips, summarise
from training.tiny.measure import Measurement, measure

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)

MAX_SHIPPED_BYTES = 12_000_000


@pytest.fixture(scope="module")
def pipeline() -> WanPipeline:
    return load_pipeline(model_dir(), device=torch.device("cpu"))


def test_everything_shipped_is_at_most_twelve_megabytes() -> None:
    files = [
        path for folder in (model_dir(), critic_path().parent) for path in folder.rglob("*") if path.is_file()
    ]
    assert len(files) >= 10
    assert sum(path.stat().st_size for path in files) <= MAX_SHIPPED_BYTES


def test_pipeline_loads_in_float32_without_being_told() -> None:
    plain = WanPipeline.from_pretrained(model_dir())
    assert {plain.vae.dtype, plain.transformer.dtype, plain.text_encoder.dtype} == {torch.float32}
    assert plain.vae_scale_factor_spatial == 16
    assert plain.vae_scale_factor_temporal == 4


def test_latent_statistics_are_measured_ones(pipeline: WanPipeline) -> None:
    assert len(pipeline.vae.config.latents_std) == pipeline.vae.config.z_dim
    assert len(set(pipeline.vae.config.latents_std)) > 1
    assert min(pipeline.vae.config.latents_std) > 0.05


def test_settings_file_holds_what_the_model_is_made_for() -> None:
    assert json.loads((model_dir() / "sampling.json").read_text()) == SAMPLING


def test_same_seed_gives_the_same_clip_and_another_seed_another(pipeline: WanPipeline) -> None:
    settings: dict[str, Any] = SAMPLING | {"num_inference_steps": 3}
    texts = ["a red circle falling from the top"] * 2
    first, second = (sample_clips(pipeline, texts, settings=settings, seed=5) for _ in range(2))
    assert first.shape == (2, 9, 64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_samples_show_the_world_partly_as_asked(pipeline: WanPipeline) -> None:
    prompts = [
        prompt for category in ("slide", "shrink", "rise") for prompt in held_out_prompts(category, 8, 0)
    ]
    clips = sample_clips(pipeline, [prompt.text for prompt in prompts], settings=SAMPLING, seed=0)
    found = [measure(clip, action=p.action, color=p.color) for clip, p in zip(clips, prompts, strict=True)]
    summary = summarise(found)
    # Far above chance (one of eight actions, one of four colors), and with room to improve.
    assert 0.4 <= summary["right_action"] <= 0.95
    assert 0.45 <= summary["right_color"] <= 0.98
    assert summary["motion"] > 0.5
    assert np.std([m.flicker for m in found]) > 0.01


def test_summary_averages_what_was_measured() -> None:
    def one(right: bool, flicker: float) -> Measurement:
        return Measurement(
            action="fall", color="red", shape="circle", right_action=right, right_color=True,
            flicker=flicker, smoothness=1.0, motion=1.0,
        )  # fmt: skip

    summary = summarise([one(True, 0.0), one(False, 0.25)])
    assert summary["right_action"] == 0.5
    assert summary["flicker"] == 0.125
    assert summary["score"] == pytest.approx((3.5 + 2.0) / 2)
    assert summary["num_clips"] == 2


def test_contact_sheet_holds_every_frame_and_fills_up_the_last_row() -> None:
    clips = np.zeros((3, 9, 64, 64, 3), np.uint8)
    sheet = contact_sheet(clips, ["one", "two", "three"])
    assert sheet.shape == (2 * (16 + 66), 2 * (9 * 66 + 6), 3)
    assert np.all(sheet[90:, 610:] == 255)


def test_no_shipped_file_says_where_it_was_built() -> None:
    for path in model_dir().rglob("*.json"):
        assert "_name_or_path" not in path.read_text(), path
