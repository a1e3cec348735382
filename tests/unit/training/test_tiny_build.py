"""The parts of the build: optimizer, tokenizer, batches; and a stopped build goes on to the same weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from training.tiny import CATEGORIES, build_transformer, build_vae
from training.tiny.build_checkpoint import load_checkpoint, save_checkpoint
from training.tiny.build_config import (
    LATENT_SHAPE,
    MAX_TEXT_TOKENS,
    TransformerSchedule,
    VaeSchedule,
    transformer_config,
    vae_config,
)
from training.tiny.build_muon import MuonWithAdamW, orthogonalise
from training.tiny.build_text import build_tokenizer
from training.tiny.build_transformer import EncodedClips, TextToVideo, draw_batch
from training.tiny.build_vae import draw_clips, to_frames, to_pixels, warm_linear
from training.tiny.flaws import BASE_RATES, CLEAN
from training.tiny.prompts import held_out_prompts, train_prompts

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("shape", [(24, 96), (96, 24), (16, 8, 3, 3, 3)])
def test_orthogonalise_brings_singular_values_near_one(shape: tuple[int, ...]) -> None:
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = orthogonalise(gradient)
    assert result.shape == gradient.shape
    values = torch.linalg.svdvals(result.flatten(1))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_optimizer_learns_and_leaves_named_parameters_to_adamw() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
    optimizer = MuonWithAdamW(model.named_parameters(), muon_lr=0.02, adamw_lr=0.01, adamw_only=("2.",))
    states = optimizer.state_dict()
    assert [len(state["param_groups"][0]["params"]) for state in states] == [1, 3]  # type: ignore[index]
    inputs = torch.randn(64, 8)
    target = torch.sin(inputs[:, :4])
    losses = []
    for _ in range(60):
        loss = (model(inputs) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(rate=1.0)
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_learning_rate_warms_up_stays_and_ends_at_zero() -> None:
    rates = [warm_linear(step, 1000) for step in range(1000)]
    assert rates[0] < 0.05
    assert rates[200] == 1.0
    assert rates[-1] < 0.01
    assert max(rates) == 1.0


def test_every_prompt_of_the_world_becomes_few_known_tokens() -> None:
    tokenizer = build_tokenizer()
    for category in CATEGORIES:
        for prompt in train_prompts(category, 216, 0) + held_out_prompts(category, 72, 0):
            ids = tokenizer(prompt.text).input_ids
            assert len(ids) <= MAX_TEXT_TOKENS - 6
            assert ids[-1] == tokenizer.eos_token_id
            assert tokenizer.unk_token_id not in ids
    red, blue = (tokenizer(f"a {color} circle").input_ids for color in ("red", "blue"))
    assert sum(a != b for a, b in zip(red, blue, strict=True)) == 1


def test_any_other_english_prompt_still_becomes_tokens() -> None:
    tokenizer = build_tokenizer()
    ids = tokenizer("Two Dogs play in the park; it's 5 o'clock!").input_ids
    assert tokenizer.unk_token_id not in ids
    assert ids != tokenizer("Two cats sleep in the park; it's 5 o'clock!").input_ids


def test_pixels_and_frames_convert_back_and_forth_exactly() -> None:
    clips = draw_clips(np.random.default_rng(0), 2, BASE_RATES)
    pixels = to_pixels(clips)
    assert pixels.shape == (2, 3, 9, 64, 64)
    assert pixels.abs().max() <= 1.0
    assert np.array_equal(to_frames(pixels), clips)


def test_autoencoder_has_the_latents_it_claims() -> None:
    vae = AutoencoderKLWan(**vae_config())
    with torch.no_grad():
        latents = vae.encode(to_pixels(draw_clips(np.random.default_rng(0), 1, CLEAN))).latent_dist.mean
        assert latents.shape[1:] == LATENT_SHAPE
        assert vae.decode(latents).sample.shape == (1, 3, 9, 64, 64)


def test_captions_of_a_batch_fit_their_clips_when_nothing_is_flawed() -> None:
    labels = [(action, "red", "square") for action in CATEGORIES]
    clips = EncodedClips(latents=torch.arange(8.0).view(8, 1, 1, 1, 1), labels=labels)
    tokenizer = build_tokenizer()
    schedule = replace(TransformerSchedule(), batch=8, rates=CLEAN)
    latents, ids, mask = draw_batch(clips, tokenizer, schedule=schedule, seed=0, step=0)
    for latent, row, kept in zip(latents, ids, mask, strict=True):
        text = tokenizer.decode(row[kept.bool()], skip_special_tokens=True)
        fitting = {tokenizer.decode(tokenizer(p.text).input_ids, skip_special_tokens=True)
                   for p in train_prompts(CATEGORIES[int(latent)], 216, 0)}  # fmt: skip
        assert text in fitting
        assert "red" in text
        assert "square" in text


def test_padding_does_not_reach_the_transformer_as_anything_but_zeros() -> None:
    torch.manual_seed(0)
    model = TextToVideo(len(build_tokenizer())).eval()
    ids, mask = torch.tensor([[5, 6, 1, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0]])
    other = torch.tensor([[5, 6, 1, 7, 8]])
    noisy, timestep = torch.randn(1, *LATENT_SHAPE), torch.tensor([500.0])
    with torch.no_grad():
        assert torch.allclose(
            model(noisy, timestep, ids, mask), model(noisy, timestep, other, mask), atol=1e-6
        )


def test_checkpoint_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "work" / "state.pt"
    assert load_checkpoint(path) is None
    save_checkpoint(path, {"step": 1, "tensor": torch.ones(2)})
    save_checkpoint(path, {"step": 2, "tensor": torch.zeros(2)})
    state = load_checkpoint(path)
    assert state is not None
    assert state["step"] == 2
    assert [found.name for found in path.parent.iterdir()] == ["state.pt"]


class _Stopped(Exception):
    """Stands for the machine going away."""


def test_a_stopped_autoencoder_build_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = replace(VaeSchedule(), steps=3, batch=1)
    monkeypatch.setattr(build_vae, "CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr(build_vae, "LATENT_STATISTICS_CLIPS", 32)

    def build(work: Path) -> dict[str, torch.Tensor]:
        vae = build_vae.build_vae(work, schedule=schedule, seed=0, device=torch.device("cpu"))
        weights: dict[str, torch.Tensor] = vae.state_dict()
        return weights

    unbroken = build(tmp_path / "unbroken")
    real_rate = build_vae.warm_linear

    def rate_until_step_two(step: int, steps: int) -> float:
        if step == 2:
            raise _Stopped
        return real_rate(step, steps)

    with monkeypatch.context() as stopping:
        stopping.setattr(build_vae, "warm_linear", rate_until_step_two)
        with pytest.raises(_Stopped):
            build(tmp_path / "broken")
    resumed = build(tmp_path / "broken")
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in unbroken.items())


def test_a_stopped_transformer_build_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [(action, "blue", "circle") for action in CATEGORIES]
    latents = torch.randn(8, *LATENT_SHAPE, generator=torch.Generator().manual_seed(0))
    clips = EncodedClips(latents=latents, labels=labels)
    schedule = replace(TransformerSchedule(), steps=4, batch=4)
    tokenizer = build_tokenizer()
    monkeypatch.setattr(build_transformer, "CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr(
        build_transformer, "transformer_config", lambda: transformer_config() | {"num_layers": 1}
    )

    def build(work: Path) -> dict[str, torch.Tensor]:
        model = build_transformer.build_transformer(
            work, clips, tokenizer, schedule=schedule, seed=0, device=torch.device("cpu")
        )
        weights: dict[str, torch.Tensor] = model.state_dict()
        return weights

    unbroken = build(tmp_path / "unbroken")
    real_batch = build_transformer.draw_batch

    def batch_until_step_two(
        clips: EncodedClips, tokenizer: object, *, schedule: TransformerSchedule, seed: int, step: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if step == 2:
            raise _Stopped
        return real_batch(clips, tokenizer, schedule=schedule, seed=seed, step=step)

    with monkeypatch.context() as stopping:
        stopping.setattr(build_transformer, "draw_batch", batch_until_step_two)
        with pytest.raises(_Stopped):
            build(tmp_path / "broken")
    resumed = build(tmp_path / "broken")
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in unbroken.items())
