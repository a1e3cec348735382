"""Train the small text critic on clips of the tiny world (stage ``critic`` of the build).

What a clip shows and what a prompt asks for is known from the generator: the clip was drawn with an action,
a color and a shape, and the prompt asks for some. Half of the clips go through the autoencoder first,
because samples do too.
"""

import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from annotation.critic import CriticNetwork, hash_words
from training.tiny.build_checkpoint import load_checkpoint, save_checkpoint
from training.tiny.build_config import CriticSchedule
from training.tiny.build_vae import to_frames, to_pixels, warm_linear
from training.tiny.flaws import FlawRates, add_visual_flaws
from training.tiny.prompts import CATEGORIES, COLORS, SHAPES, random_train_prompt
from training.tiny.world import make_scene, render

logger = logging.getLogger(__name__)

LOG_EVERY = 200
RENDER_BATCH = 32


def build_critic(
    path: Path,
    vae: AutoencoderKLWan,
    *,
    schedule: CriticSchedule,
    work: Path,
    seed: int,
    device: torch.device,
) -> None:
    """Train the critic and write its weights (float16) to ``path``."""
    cached = load_checkpoint(work / "critic_clips.pt")
    if cached is None:
        cached = draw_critic_clips(vae, count=schedule.clips, rates=schedule.rates, seed=seed, device=device)
        save_checkpoint(work / "critic_clips.pt", cached)
    torch.manual_seed(seed)
    network = CriticNetwork().to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=0.01)
    for step in range(schedule.steps):
        rng = np.random.default_rng((seed, 6, step))
        chosen = rng.choice(len(cached["clips"]), schedule.batch, replace=False)
        frames = cached["clips"][torch.from_numpy(chosen)].to(device).float() / 255.0
        shown = torch.tensor([answer_numbers(*cached["labels"][i]) for i in chosen], device=device)
        texts, wanted = draw_prompts(schedule.batch, rng)
        loss = _answer_loss(network.read_clip(frames), shown)
        loss = loss + _answer_loss(network.read_prompt(hash_words(texts).to(device)), wanted.to(device))
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * warm_linear(step, schedule.steps)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % LOG_EVERY == 0:
            logger.info("critic step %d of %d: loss %.4f", step, schedule.steps, loss.item())
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.half().cpu().contiguous() for name, tensor in network.state_dict().items()}, path)


@torch.no_grad()
def draw_critic_clips(
    vae: AutoencoderKLWan, *, count: int, rates: FlawRates, seed: int, device: torch.device
) -> dict[str, Any]:
    """Draw flawed clips, every second batch passed through the autoencoder.

    Returns:
        ``clips``: uint8 ``[N, F, H, W, 3]``; ``labels``: (action, color, shape) of each, where the action
        of a clip that freezes is ``none``: it stops before it shows anything.
    """
    rng = np.random.default_rng((seed, 5))
    clips, labels = [], []
    for number in range(-(-count // RENDER_BATCH)):
        drawn = [add_visual_flaws(make_scene(rng), rng, rates) for _ in range(RENDER_BATCH)]
        frames = np.stack([render(scene) for scene, _ in drawn])
        if number % 2:
            latents = vae.encode(to_pixels(frames).to(device)).latent_dist.sample()
            frames = to_frames(vae.decode(latents).sample)
        clips.append(torch.from_numpy(frames))
        labels += [("none" if "freeze" in flaws else s.action, s.color, s.shape) for s, flaws in drawn]
    return {"clips": torch.cat(clips), "labels": labels}


def draw_prompts(count: int, rng: np.random.Generator) -> tuple[list[str], torch.Tensor]:
    """Draw training sentences and the answers they ask for, ``[count, 3]``."""
    words = random.Random(int(rng.integers(2**62)))
    asked = [
        tuple(str(rng.choice(options)) for options in (CATEGORIES, COLORS, SHAPES)) for _ in range(count)
    ]
    texts = [random_train_prompt(words, action=a, color=c, shape=s).text for a, c, s in asked]
    return texts, torch.tensor([answer_numbers(*answers) for answers in asked])


def answer_numbers(action: str, color: str, shape: str) -> tuple[int, int, int]:
    """Number the answers as the critic does; an action that is none of the world's comes last."""
    number = CATEGORIES.index(action) if action in CATEGORIES else len(CATEGORIES)
    return number, COLORS.index(color), SHAPES.index(shape)


def _answer_loss(logits: tuple[torch.Tensor, ...], answers: torch.Tensor) -> torch.Tensor:
    return torch.stack([cross_entropy(part, answers[:, i]) for i, part in enumerate(logits)]).sum()
