"""The Wan family on a random pipeline: conventions, adapters over rounds, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanPipeline
from torch import Tensor

from tests.tiny_pipelines import make_wan_pipeline, save_wan_pipeline
from training.draws import clip_noise
from training.errors import TrainingError
from training.families.family import SampleSettings, VideoFamily, pad_embeddings
from training.families.load import load_family

PROMPTS = ["a red circle slides left", "the blue square spins"]
SETTINGS = SampleSettings(
    height_px=32, width_px=32, num_frames=9, fps=8.0, num_inference_steps=3, max_sequence_length=16
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = save_wan_pipeline(tmp_path_factory.mktemp("wan"))
    values = {
        "height": 32,
        "width": 32,
        "num_frames": 9,
        "fps": 8,
        "num_inference_steps": 3,
        "lossless": True,
    }
    (path / "sampling.json").write_text(
        json.dumps({**values, "guidance_scale": 1.0, "max_sequence_length": 16})
    )
    return path


@pytest.fixture
def family(folder: Path) -> VideoFamily:
    return load_family(str(folder), device="cpu")


def inputs(family: VideoFamily) -> tuple[Tensor, Tensor, Tensor]:
    """Return noised latents, times and embeddings for two clips."""
    shape = family.latent_shape(SETTINGS)
    noise = torch.from_numpy(np.stack([clip_noise(seed, shape) for seed in (0, 1)]))
    embeds = pad_embeddings(family.encode_prompts(PROMPTS, 16), 16)
    return noise, torch.tensor([0.3, 0.8]), embeds


def shake(family: VideoFamily, size: float = 0.05) -> None:
    """Move the adapter's weights away from their start, as training would."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in family.adapter_parameters().values():
            parameter += size * torch.randn(parameter.shape, generator=random)


@torch.no_grad()
def plain_diffusers(folder: Path, adapter: Path, given: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the prediction of a program that knows nothing of us."""
    pipeline = WanPipeline.from_pretrained(folder)
    pipeline.load_lora_weights(adapter)
    noised, t, embeds = given
    prediction: Tensor = pipeline.transformer(noised, t * 1000, embeds, return_dict=False)[0]
    return prediction


def test_sampling_settings_come_from_the_model_folder(family: VideoFamily) -> None:
    assert family.defaults == SETTINGS


def test_damaged_sampling_settings_are_named(folder: Path, tmp_path: Path) -> None:
    make_wan_pipeline().save_pretrained(tmp_path)
    (tmp_path / "sampling.json").write_text('{"num_frames": 0}')
    with pytest.raises(TrainingError, match=r"sampling\.json: num_frames must be above 0, got 0"):
        load_family(str(tmp_path), device="cpu")


def test_new_adapter_changes_nothing_and_alone_is_trainable(family: VideoFamily) -> None:
    given = inputs(family)
    before = family.predict(*given)
    family.add_adapter(rank=4, scale=1.0, seed=0)
    assert torch.equal(family.predict(*given), before)
    trainable = {name for name, parameter in family.network.named_parameters() if parameter.requires_grad}
    assert trainable == set(family.adapter_parameters())
    # 2 blocks x 2 attentions x 4 projections x 2 matrices
    assert len(trainable) == 32


def test_adapter_off_is_the_base_bit_for_bit_and_gradients_come_back(family: VideoFamily) -> None:
    given = inputs(family)
    base = family.predict(*given)
    family.add_adapter(rank=4, scale=1.0, seed=0)
    shake(family)
    with torch.no_grad(), family.adapter_off():
        assert torch.equal(family.predict(*given), base)
    prediction = family.predict(*given)
    assert not torch.equal(prediction, base)
    prediction.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in family.adapter_parameters().values())


def test_adapter_comes_back_on_when_the_reference_pass_fails(family: VideoFamily) -> None:
    family.add_adapter(rank=4, scale=1.0, seed=0)
    with pytest.raises(RuntimeError, match="stop"), family.adapter_off():
        raise RuntimeError("stop")
    assert family.predict(*inputs(family)).requires_grad


def test_adapter_starts_the_same_for_a_seed_and_differs_between_seeds(folder: Path) -> None:
    starts = []
    for seed in (0, 0, 1):
        family = load_family(str(folder), device="cpu")
        family.add_adapter(rank=4, scale=1.0, seed=seed)
        starts.append({name: p.detach().clone() for name, p in family.adapter_parameters().items()})
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])
    assert any(not torch.equal(starts[0][name], starts[2][name]) for name in starts[0])


def test_saved_adapter_does_in_plain_diffusers_what_it_did_here(
    family: VideoFamily, folder: Path, tmp_path: Path
) -> None:
    given = inputs(family)
    family.add_adapter(rank=4, scale=2.0, seed=0)
    shake(family)
    family.save_adapter(tmp_path)
    assert torch.allclose(plain_diffusers(folder, tmp_path, given), family.predict(*given), atol=2e-6)


def test_adapters_of_three_rounds_stack_exactly_for_plain_diffusers(folder: Path, tmp_path: Path) -> None:
    parent: Path | None = None
    for number, rank in enumerate((4, 2, 3)):
        family = load_family(str(folder), adapter=parent, device="cpu")
        given = inputs(family)
        reference = family.predict(*given)
        family.add_adapter(rank=rank, scale=0.5, seed=number)
        shake(family)
        moved = family.predict(*given)
        assert (moved - reference).abs().max() > 1e-3
        if parent is not None:
            assert torch.allclose(reference, plain_diffusers(folder, parent, given), atol=5e-6)
        parent = tmp_path / str(number)
        family.save_adapter(parent)
        assert torch.allclose(moved, plain_diffusers(folder, parent, given), atol=5e-6)


def test_saved_adapter_has_the_same_bytes_each_time(family: VideoFamily, tmp_path: Path) -> None:
    family.add_adapter(rank=4, scale=1.0, seed=0)
    for name in ("one", "two"):
        family.save_adapter(tmp_path / name)
    files = [(tmp_path / name / "pytorch_lora_weights.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_adapter_trained_elsewhere_with_its_own_alpha_can_be_a_parent(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model_state_dict

    pipeline = make_wan_pipeline()
    pipeline.transformer.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=["ffn.net.2", "to_q"]))
    with torch.no_grad():
        for name, parameter in pipeline.transformer.named_parameters():
            if "lora_B" in name:
                parameter += 0.1
    WanPipeline.save_lora_weights(
        tmp_path,
        transformer_lora_layers=get_peft_model_state_dict(pipeline.transformer),
        transformer_lora_adapter_metadata=pipeline.transformer.peft_config["default"].to_dict(),
    )
    family = load_family(str(folder), adapter=tmp_path, device="cpu")
    given = inputs(family)
    assert torch.allclose(family.predict(*given), plain_diffusers(folder, tmp_path, given), atol=5e-6)
    family.add_adapter(rank=2, scale=1.0, seed=0)
    shake(family)
    family.save_adapter(tmp_path / "child")
    child = plain_diffusers(folder, tmp_path / "child", given)
    assert torch.allclose(family.predict(*given), child, atol=5e-6)


def test_low_precision_samples_with_an_adapter_but_does_not_train_on_one(
    family: VideoFamily, folder: Path, tmp_path: Path
) -> None:
    family.add_adapter(rank=4, scale=1.0, seed=0)
    shake(family)
    family.save_adapter(tmp_path)
    half = load_family(str(folder), adapter=tmp_path, device="cpu", dtype="bfloat16")
    given = inputs(family)
    assert torch.allclose(half.predict(*given), family.predict(*given), atol=0.1)
    with pytest.raises(TrainingError, match="float32"):
        half.add_adapter(rank=4, scale=1.0, seed=0)


def test_missing_adapter_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no adapter at"):
        load_family(str(folder), adapter=tmp_path / "nowhere", device="cpu")


def test_folder_without_a_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot load a Wan pipeline"):
        load_family(str(tmp_path), device="cpu")


def test_two_expert_pipeline_is_refused(tmp_path: Path) -> None:
    pipeline = make_wan_pipeline()
    pipeline.register_to_config(boundary_ratio=0.875)
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(TrainingError, match=r"use Wan 2\.1"):
        load_family(str(tmp_path), device="cpu")


def test_latents_are_normalised_by_the_models_own_statistics(family: VideoFamily, folder: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1, 9, 32, 32, 3), dtype=np.uint8)
    latents = family.encode_videos(frames)
    vae = WanPipeline.from_pretrained(folder).vae
    pixels = torch.from_numpy(frames).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    with torch.no_grad():
        raw = vae.encode(pixels).latent_dist.mean
    assert latents.shape == (1, 16, 3, 4, 4)
    for channel in (0, 7, 15):
        mean, std = vae.config.latents_mean[channel], vae.config.latents_std[channel]
        assert torch.allclose(latents[0, channel] * std + mean, raw[0, channel], atol=1e-5)


def test_encoded_then_decoded_latents_use_one_convention(family: VideoFamily, folder: Path) -> None:
    """The pipeline must decode our latents to what the bare autoencoder gives for the same clip."""
    frames = np.random.default_rng(1).integers(0, 256, (1, 9, 32, 32, 3), dtype=np.uint8)
    pipeline = WanPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    latents = family.encode_videos(frames)
    # With a network that predicts zero velocity, sampling hands the starting latents to the decoder.
    pipeline.transformer.forward = lambda hidden_states, **_: (torch.zeros_like(hidden_states),)
    through = pipeline(
        prompt="a",
        latents=latents,
        height=32,
        width=32,
        num_frames=9,
        num_inference_steps=1,
        guidance_scale=1.0,
    ).frames
    pixels = torch.from_numpy(frames).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    with torch.no_grad():
        direct = pipeline.vae.decode(pipeline.vae.encode(pixels).latent_dist.mean).sample
    expected = (direct[0].permute(1, 2, 3, 0).numpy() / 2 + 0.5).clip(0, 1)
    assert np.allclose(through[0], expected, atol=1e-5)


def test_prompt_embeddings_without_padding_equal_the_pipelines_when_padded(
    family: VideoFamily, folder: Path
) -> None:
    pipeline = WanPipeline.from_pretrained(folder)
    expected, _ = pipeline.encode_prompt(PROMPTS, do_classifier_free_guidance=False, max_sequence_length=16)
    embeddings = family.encode_prompts(PROMPTS, 16)
    assert [len(embedding) for embedding in embeddings] == [6, 5]
    assert torch.allclose(pad_embeddings(embeddings, 16), expected, atol=1e-6)


def test_padding_shorter_than_a_prompt_is_refused(family: VideoFamily) -> None:
    with pytest.raises(ValueError, match="6 tokens"):
        pad_embeddings(family.encode_prompts(PROMPTS, 16), 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height_px": 40}, "multiples of 16x16"),
        ({"width_px": 8}, "multiples"),
        ({"num_frames": 8}, "4, plus 1"),
    ],
)
def test_size_that_the_model_cannot_make_is_refused(
    family: VideoFamily, change: dict[str, int], message: str
) -> None:
    from dataclasses import replace

    with pytest.raises(TrainingError, match=message):
        family.latent_shape(replace(SETTINGS, **change))


def test_gradient_checkpointing_gives_the_same_gradients(folder: Path) -> None:
    gradients = []
    for recompute in (False, True):
        family = load_family(str(folder), device="cpu")
        family.add_adapter(rank=4, scale=1.0, seed=0)
        shake(family)
        if recompute:
            family.enable_gradient_checkpointing()
        given = inputs(family)
        with torch.no_grad(), family.adapter_off():
            family.predict(*given)
        family.predict(*given).square().mean().backward()
        gradients.append([p.grad for p in family.adapter_parameters().values()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_model_hash_follows_the_weights(folder: Path, tmp_path: Path) -> None:
    other = load_family(str(save_wan_pipeline(tmp_path, seed=1)), device="cpu")
    same = load_family(str(folder), device="cpu")
    assert same.model_hash == load_family(str(folder), device="cpu").model_hash
    assert same.model_hash != other.model_hash
    assert same.encoder_hash != other.encoder_hash
