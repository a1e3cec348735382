"""Train the tiny model's autoencoder on clips of the tiny world (stage ``vae`` of the build)."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan

from training.tiny.build_checkpoint import load_checkpoint, save_checkpoint
from training.tiny.build_config import Z_DIM, DecoderSchedule, VaeSchedule, vae_config
from training.tiny.build_muon import MuonWithAdamW
from training.tiny.flaws import FlawRates, add_visual_flaws
from training.tiny.world import Frames, make_scene, render

logger = logging.getLogger(__name__)

CHECKPOINT_EVERY_S = 120.0
LOG_EVERY = 50
INITIAL_LOG_VARIANCE = -4.0
_ADAMW_ONLY = ("gamma", "decoder.conv_out")
LATENT_STATISTICS_CLIPS = 512


def build_vae(work: Path, *, schedule: VaeSchedule, seed: int, device: torch.device) -> AutoencoderKLWan:
    """Train the autoencoder, or go on with it; the result carries its latents' mean and deviation.

    Steps are drawn by (seed, step), so that a resumed build sees the clips an unbroken one would have seen.
    """
    torch.manual_seed(seed)
    vae = AutoencoderKLWan(**vae_config()).to(device)
    with (
        torch.no_grad()
    ):  # Begin with little posterior noise: the first thousand steps would only unlearn it.
        vae.quant_conv.bias[Z_DIM:] = INITIAL_LOG_VARIANCE
    optimizer = MuonWithAdamW(
        vae.named_parameters(),
        muon_lr=schedule.muon_learning_rate,
        adamw_lr=schedule.learning_rate,
        adamw_only=_ADAMW_ONLY,
    )
    checkpoint = work / "vae.pt"
    first = _resume(checkpoint, vae, optimizer)
    saved_at = time.monotonic()
    for step in range(first, schedule.steps):
        torch.manual_seed(seed * 1_000_003 + step)
        clips = draw_clips(np.random.default_rng((seed, 1, step)), schedule.batch, schedule.rates)
        rate = warm_linear(step, schedule.steps)
        losses = _train_step(vae, optimizer, to_pixels(clips).to(device), schedule, rate)
        if step % LOG_EVERY == 0:
            logger.info("vae step %d of %d: squared error %.5f, kl %.2f", step, schedule.steps, *losses)
        if time.monotonic() - saved_at > CHECKPOINT_EVERY_S or step + 1 == schedule.steps:
            state = {"step": step + 1, "model": vae.state_dict(), "optimizer": optimizer.state_dict()}
            save_checkpoint(checkpoint, state)
            saved_at = time.monotonic()
    _measure_latents(vae, seed=seed, rates=schedule.rates, device=device)
    return vae.eval()


def sharpen_decoder(
    vae: AutoencoderKLWan, work: Path, *, schedule: DecoderSchedule, seed: int, device: torch.device
) -> None:
    """Train the decoder further, in place, to draw clean clips from slightly wrong latents.

    Sampled latents are never exact. A decoder that has only seen encoded ones shows that as smear; one that
    has seen noise of a share of each channel's standard deviation draws the nearest clean clip.
    """
    optimizer = _decoder_optimizer(vae, schedule)
    checkpoint = work / "decoder.pt"
    first = _resume(checkpoint, vae, optimizer)
    saved_at = time.monotonic()
    _, std = latent_statistics(vae, device=device)
    for step in range(first, schedule.steps):
        torch.manual_seed(seed * 1_000_003 + step)
        clips = draw_clips(np.random.default_rng((seed, 7, step)), schedule.batch, schedule.rates)
        pixels = to_pixels(clips).to(device)
        with torch.no_grad():
            latents = vae.encode(pixels).latent_dist.mean
            strength = schedule.max_noise * torch.rand(len(latents), 1, 1, 1, 1, device=device)
            latents = latents + strength * std * torch.randn_like(latents)
        with torch.autocast(device.type, torch.bfloat16):
            decoded = vae.decode(latents).sample.float()
        error = decoded - pixels
        weight = _object_weight(pixels, schedule.object_weight)
        optimizer.zero_grad()
        torch.autograd.backward((weight * (error.square() + schedule.l1_weight * error.abs())).mean())
        torch.nn.utils.clip_grad_norm_(vae.decoder.parameters(), 1.0)
        optimizer.step(rate=warm_linear(step, schedule.steps, decay_from=0.0))
        if step % LOG_EVERY == 0:
            logger.info(
                "decoder step %d of %d: squared error %.5f", step, schedule.steps, error.square().mean()
            )
        if time.monotonic() - saved_at > CHECKPOINT_EVERY_S or step + 1 == schedule.steps:
            state = {"step": step + 1, "model": vae.state_dict(), "optimizer": optimizer.state_dict()}
            save_checkpoint(checkpoint, state)
            saved_at = time.monotonic()


def _decoder_optimizer(vae: AutoencoderKLWan, schedule: DecoderSchedule) -> MuonWithAdamW:
    vae.requires_grad_(False)
    for part in (vae.decoder, vae.post_quant_conv):
        part.requires_grad_(True)
    return MuonWithAdamW(
        [(name, p) for name, p in vae.named_parameters() if p.requires_grad],
        muon_lr=schedule.muon_learning_rate,
        adamw_lr=schedule.learning_rate,
        adamw_only=_ADAMW_ONLY,
    )


def warm_linear(step: int, steps: int, *, decay_from: float = 0.4, warmup: int = 50) -> float:
    """Factor on the learning rate: linear warm-up, flat, then linear to 0 from ``decay_from`` of the way."""
    return min(1.0, (step + 1) / warmup, (1.0 - step / steps) / (1.0 - decay_from))


def draw_clips(rng: np.random.Generator, count: int, rates: FlawRates) -> Frames:
    """Draw clips of the world, some with visual flaws: uint8 ``[count, F, H, W, 3]``."""
    return np.stack([render(add_visual_flaws(make_scene(rng), rng, rates)[0]) for _ in range(count)])


def to_pixels(clips: Frames) -> torch.Tensor:
    """Turn uint8 ``[B, F, H, W, 3]`` into the network's pixels: float32 ``[B, 3, F, H, W]`` in -1..1."""
    return torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float() / 127.5 - 1.0


def to_frames(pixels: torch.Tensor) -> Frames:
    """Turn pixels ``[B, 3, F, H, W]`` in -1..1 back into uint8 ``[B, F, H, W, 3]``."""
    frames: Frames = (
        ((pixels.float().permute(0, 2, 3, 4, 1) + 1.0) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
    )
    return frames


@torch.no_grad()
def encode_clips(vae: AutoencoderKLWan, batches: Iterator[Frames], *, device: torch.device) -> torch.Tensor:
    """Encode batches of clips to normalised latents ``(z - mean) / std``, ``[N, C, F, H, W]`` on the CPU."""
    mean, std = latent_statistics(vae, device=device)
    encoded = [vae.encode(to_pixels(clips).to(device)).latent_dist.mean for clips in batches]
    return torch.cat([((z - mean) / std).cpu() for z in encoded])


def latent_statistics(vae: AutoencoderKLWan, *, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and standard deviation of each latent channel, shaped ``[1, C, 1, 1, 1]``."""
    mean = torch.tensor(vae.config.latents_mean, device=device).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std, device=device).view(1, -1, 1, 1, 1)
    return mean, std


def _resume(checkpoint: Path, vae: AutoencoderKLWan, optimizer: MuonWithAdamW) -> int:
    state = load_checkpoint(checkpoint)
    if state is None:
        return 0
    vae.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    logger.info("going on with the autoencoder at step %d", state["step"])
    return int(state["step"])


def _train_step(
    vae: AutoencoderKLWan, optimizer: MuonWithAdamW, pixels: torch.Tensor, schedule: VaeSchedule, rate: float
) -> tuple[float, float]:
    """One optimizer step; returns (mean squared error, mean KL per latent)."""
    with torch.autocast(pixels.device.type, torch.bfloat16):
        posterior = vae.encode(pixels).latent_dist
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        latents = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        decoded = vae.decode(latents).sample.float()
    error = decoded - pixels
    weight = _object_weight(pixels, schedule.object_weight)
    kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean()
    pixel_loss = (weight * error.square()).mean() + schedule.l1_weight * (weight * error.abs()).mean()
    optimizer.zero_grad()
    torch.autograd.backward(pixel_loss + schedule.kl_weight * kl)
    torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
    optimizer.step(rate=rate)
    return error.square().mean().item(), kl.item()


def _object_weight(pixels: torch.Tensor, extra: float) -> torch.Tensor:
    """Weight 1 on the background and ``1 + extra`` where pixels differ from their frame's median colour."""
    background = pixels.flatten(3).median(-1).values[..., None, None]
    differs = (pixels - background).abs().amax(1, keepdim=True) > 0.1
    return 1.0 + extra * differs


@torch.no_grad()
def _measure_latents(vae: AutoencoderKLWan, *, seed: int, rates: FlawRates, device: torch.device) -> None:
    """Write the mean and standard deviation of every latent channel into the autoencoder's configuration."""
    rng = np.random.default_rng((seed, 2))
    clips = [draw_clips(rng, 32, rates) for _ in range(LATENT_STATISTICS_CLIPS // 32)]
    latents = torch.cat([vae.encode(to_pixels(batch).to(device)).latent_dist.mean.cpu() for batch in clips])
    by_channel = latents.transpose(0, 1).flatten(1)
    vae.register_to_config(
        latents_mean=[round(value, 5) for value in by_channel.mean(1).tolist()],
        latents_std=[round(value, 5) for value in by_channel.std(1).tolist()],
    )
