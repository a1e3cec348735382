"""How a run does on pairs it never learns from: the number to judge it by."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from training.config import TrainConfig
from training.data import Item, TrainingPair
from training.families.family import VideoFamily
from training.latents import LatentCache
from training.losses import preference_accuracy
from training.preference_step import make_batch, pair_errors

HELD_OUT_SEED = 20_250_101
"""Of the draws: the same for every run, so that runs can be compared."""


class HeldOutResult(NamedTuple):
    """Means over the held-out pairs, each over the same fixed draws at every evaluation."""

    accuracy: float
    """Share of pairs whose winner gained more on its loser than in the reference; a tie counts half."""
    win_gap: float
    """m_w - r_w: above 0 the policy has become worse at the preferred clips."""
    lose_gap: float
    """m_l - r_l"""


@torch.no_grad()
def evaluate_held_out(
    family: VideoFamily,
    cache: LatentCache,
    pairs: Sequence[TrainingPair],
    config: TrainConfig,
    *,
    max_sequence_length: int,
) -> HeldOutResult:
    """Return the result of the family's present weights; needs at least one pair."""
    draws = config.held_out_draws
    items = [Item(pair, draw) for pair in pairs for draw in range(draws)]
    win_gaps: list[Tensor] = []
    lose_gaps: list[Tensor] = []
    for start in range(0, len(items), config.batch_size):
        batch = make_batch(
            items[start : start + config.batch_size],
            cache,
            seed=HELD_OUT_SEED,
            timestep=replace(config.timestep, strata=draws),
            max_sequence_length=max_sequence_length,
            device=family.device,
        )
        errors, _ = pair_errors(family, batch)
        win_gaps.append((errors.policy_winner - errors.reference_winner).cpu())
        lose_gaps.append((errors.policy_loser - errors.reference_loser).cpu())
    # [pairs, draws] -> one gap per pair
    win_gap = torch.cat(win_gaps).view(len(pairs), draws).mean(dim=1)
    lose_gap = torch.cat(lose_gaps).view(len(pairs), draws).mean(dim=1)
    accuracy = preference_accuracy(lose_gap - win_gap).mean()
    return HeldOutResult(accuracy.item(), win_gap.mean().item(), lose_gap.mean().item())
