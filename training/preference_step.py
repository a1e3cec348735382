"""One forward of policy and reference over a batch of pairs: what every preference loss is made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data import Item
from training.draws import TimestepConfig, pair_noise, pair_timestep
from training.families.family import VideoFamily, pad_embeddings
from training.latents import LatentCache
from training.losses import PairErrors, clip_errors, safeguard_loser


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBatch:
    """B pairs as 2B clips: winners, then losers in the same order; noise and t are shared within a pair."""

    items: Sequence[Item]
    latents: Tensor
    """[2B, C, T, h, w]"""
    noise: Tensor
    """[2B, C, T, h, w]; the second half repeats the first."""
    t: Tensor
    """[2B]; the second half repeats the first."""
    prompt_embeds: Tensor
    """[2B, L, D]; the second half repeats the first."""
    weight: Tensor
    """[B]"""

    def describe(self) -> str:
        """Return pairs, draws and times, for messages about this batch."""
        times = self.t.tolist()
        parts = [
            f"{item.pair.pair_id} (draw {item.draw_number}, t {t:.4f})"
            for item, t in zip(self.items, times, strict=False)
        ]
        return ", ".join(parts)


def make_batch(
    items: Sequence[Item],
    cache: LatentCache,
    *,
    seed: int,
    timestep: TimestepConfig,
    max_sequence_length: int,
    device: torch.device,
) -> PairBatch:
    """Read the latents of `items` and draw their noise and times."""
    winners = [cache.latents(item.pair.winner_id) for item in items]
    losers = [cache.latents(item.pair.loser_id) for item in items]
    shape = tuple(winners[0].shape)
    noise = np.stack([pair_noise(seed, item.pair.pair_id, item.draw_number, shape) for item in items])
    times = [pair_timestep(seed, item.pair.pair_id, item.draw_number, timestep) for item in items]
    embeds = pad_embeddings([cache.prompt(item.pair.prompt) for item in items], max_sequence_length)
    return PairBatch(
        items=items,
        latents=torch.stack([*winners, *losers]).to(device),
        noise=_twice(torch.from_numpy(noise)).to(device),
        t=_twice(torch.tensor(times, dtype=torch.float32)).to(device),
        prompt_embeds=_twice(embeds).to(device),
        weight=torch.tensor([item.pair.weight for item in items], dtype=torch.float32, device=device),
    )


def pair_errors(
    family: VideoFamily, batch: PairBatch, *, safeguard_mu: float | None = None
) -> tuple[PairErrors, Tensor]:
    """Return the errors of policy (with gradient) and reference, and the safeguard's factors per pair, [B].

    Winners and losers go through the network together: one forward for the reference, one for the policy. The
    factors are all 1 without `safeguard_mu`.
    """
    noised = family.noised(batch.latents, batch.noise, batch.t)
    target = family.target(batch.latents, batch.noise)
    with torch.no_grad(), family.adapter_off():
        reference = clip_errors(family.predict(noised, batch.t, batch.prompt_embeds), target)
    prediction = family.predict(noised, batch.t, batch.prompt_embeds)
    winner, loser = clip_errors(prediction, target).chunk(2)
    factors = torch.ones_like(winner.detach())
    if safeguard_mu is not None:
        winner_residual, loser_residual = (prediction - target).chunk(2)
        loser, factors = safeguard_loser(loser, winner_residual, loser_residual, mu=safeguard_mu)
    reference_winner, reference_loser = reference.chunk(2)
    return PairErrors(winner, loser, reference_winner, reference_loser), factors


def _twice(tensor: Tensor) -> Tensor:
    return torch.cat([tensor, tensor])
