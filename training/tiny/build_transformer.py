"""Train the tiny text-to-video model on partly flawed clips (stage ``transformer`` of the build).

Flow matching as the preference trainer does it: with normalised latents ``x0 = (z - mean) / std``, noise
``e`` and ``t`` in (0, 1), the network sees ``x_t = (1 - t) x0 + t e`` at timestep ``1000 t`` and is to say
``e - x0``.
"""

import copy
import logging
import random
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import nn
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from training.tiny.build_checkpoint import load_checkpoint, save_checkpoint
from training.tiny.build_config import FLOW_SHIFT, MAX_TEXT_TOKENS, TransformerSchedule, transformer_config
from training.tiny.build_muon import MuonWithAdamW
from training.tiny.build_text import build_text_encoder
from training.tiny.build_vae import encode_clips, warm_linear
from training.tiny.flaws import FlawRates, add_visual_flaws, caption_wants
from training.tiny.prompts import random_train_prompt
from training.tiny.world import make_scene, render

logger = logging.getLogger(__name__)

CHECKPOINT_EVERY_S = 120.0
LOG_EVERY = 50
ENCODE_BATCH = 32
_ADAMW_ONLY = ("text_encoder", "patch_embedding", "proj_out", "condition_embedder")


class EncodedClips(NamedTuple):
    """The training set: what every clip looks like and what it truly shows."""

    latents: torch.Tensor
    """Normalised, ``[N, C, F, H, W]``."""
    labels: list[tuple[str, str, str]]
    """(action, color, shape) of every clip."""


class TextToVideo(nn.Module):
    """Transformer and text encoder as one module, trained together and averaged together."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.transformer = WanTransformer3DModel(**transformer_config())
        self.text_encoder: UMT5EncoderModel = build_text_encoder(vocab_size)

    def forward(
        self, noisy_BCFHW: torch.Tensor, timestep_B: torch.Tensor, ids_BL: torch.Tensor, mask_BL: torch.Tensor
    ) -> torch.Tensor:
        """Predict ``e - x0``; padding is zeroed after the encoder, as ``WanPipeline`` does."""
        text = self.text_encoder(ids_BL, mask_BL).last_hidden_state * mask_BL[..., None]
        velocity: torch.Tensor = self.transformer(
            hidden_states=noisy_BCFHW, timestep=timestep_B, encoder_hidden_states=text, return_dict=False
        )[0]
        return velocity


def draw_encoded_clips(
    vae: AutoencoderKLWan, *, count: int, rates: FlawRates, seed: int, device: torch.device
) -> EncodedClips:
    """Draw ``count`` clips with visual flaws at the given rates and encode them."""
    rng = np.random.default_rng((seed, 3))
    labels: list[tuple[str, str, str]] = []
    latents = []
    while len(labels) < count:
        scenes = [add_visual_flaws(make_scene(rng), rng, rates)[0] for _ in range(ENCODE_BATCH)]
        labels += [(scene.action, scene.color, scene.shape) for scene in scenes]
        latents.append(
            encode_clips(vae, iter([np.stack([render(scene) for scene in scenes])]), device=device)
        )
    return EncodedClips(latents=torch.cat(latents), labels=labels)


def build_transformer(
    work: Path,
    clips: EncodedClips,
    tokenizer: PreTrainedTokenizerFast,
    *,
    schedule: TransformerSchedule,
    seed: int,
    device: torch.device,
) -> TextToVideo:
    """Train the model, or go on with it; returns the averaged weights.

    Every step draws from (seed, step) alone, so that a resumed build takes the same steps as an unbroken one.
    """
    torch.manual_seed(seed)
    model = TextToVideo(len(tokenizer)).to(device)
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = MuonWithAdamW(
        model.named_parameters(),
        muon_lr=schedule.muon_learning_rate,
        adamw_lr=schedule.learning_rate,
        adamw_only=_ADAMW_ONLY,
    )
    checkpoint = work / "transformer.pt"
    first = _resume(checkpoint, model, average, optimizer)
    saved_at = time.monotonic()
    for step in range(first, schedule.steps):
        torch.manual_seed(seed * 1_000_003 + step)
        batch = draw_batch(clips, tokenizer, schedule=schedule, seed=seed, step=step)
        loss = flow_matching_loss(model, *(part.to(device) for part in batch))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(rate=warm_linear(step, schedule.steps))
        _update_average(average, model, min(schedule.ema_decay, (step + 1) / (step + 10)))
        if step % LOG_EVERY == 0:
            logger.info("transformer step %d of %d: loss %.4f", step, schedule.steps, loss.item())
        if time.monotonic() - saved_at > CHECKPOINT_EVERY_S or step + 1 == schedule.steps:
            state = {"step": step + 1, "model": model.state_dict(), "average": average.state_dict()}
            save_checkpoint(checkpoint, state | {"optimizer": optimizer.state_dict()})
            saved_at = time.monotonic()
    return average.eval()


def draw_batch(
    clips: EncodedClips,
    tokenizer: PreTrainedTokenizerFast,
    *,
    schedule: TransformerSchedule,
    seed: int,
    step: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw a step's clips with captions, wrong at the schedule's rates: (latents, ids, mask)."""
    rng = np.random.default_rng((seed, 4, step))
    chosen = rng.choice(len(clips.labels), schedule.batch, replace=False)
    words = random.Random(int(rng.integers(2**62)))
    texts = []
    for index in chosen:
        action, color, shape = clips.labels[index]
        action, color = caption_wants(rng, schedule.rates, action=action, color=color)
        texts.append(random_train_prompt(words, action=action, color=color, shape=shape).text)
    tokens = tokenizer(
        texts, padding="max_length", max_length=MAX_TEXT_TOKENS, truncation=True, return_tensors="pt"
    )
    return clips.latents[torch.from_numpy(chosen)], tokens.input_ids, tokens.attention_mask


def flow_matching_loss(
    model: TextToVideo, latents_BCFHW: torch.Tensor, ids_BL: torch.Tensor, mask_BL: torch.Tensor
) -> torch.Tensor:
    """Mean squared error of the predicted velocity, at noise levels spread evenly over the batch."""
    count = len(latents_BCFHW)
    noise = torch.randn_like(latents_BCFHW)
    uniform = (torch.arange(count) + torch.rand(count)) / count
    level = (FLOW_SHIFT * uniform / (1.0 + (FLOW_SHIFT - 1.0) * uniform)).to(latents_BCFHW.device)
    t = level.view(-1, 1, 1, 1, 1)
    velocity = model((1.0 - t) * latents_BCFHW + t * noise, 1000.0 * level, ids_BL, mask_BL)
    error: torch.Tensor = velocity - (noise - latents_BCFHW)
    return error.square().mean()


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    for mean, current in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(current, 1.0 - decay)


def _resume(checkpoint: Path, model: nn.Module, average: nn.Module, optimizer: MuonWithAdamW) -> int:
    state = load_checkpoint(checkpoint)
    if state is None:
        return 0
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    logger.info("going on with the transformer at step %d", state["step"])
    return int(state["step"])
