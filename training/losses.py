"""Preference losses as pure functions from error tensors to a loss and what to log about it.

One convention for beta throughout. With m the policy's and r the reference's error of a clip, each the MEAN
squared error over all elements of the clip, w the winner and l the loser:

    inside = -(beta / 2) * [ (m_w - r_w) - (m_l - r_l) ]

which is Diffusion-DPO (Wallace et al., arXiv 2311.12908, eq. 14 with T * omega folded into beta) and, with
errors of the velocity, Flow-DPO with constant beta (arXiv 2501.13918). Trainers without the factor 1/2 reach
the same loss with half of our beta; trainers that sum over elements, with our beta divided by twice the
number of elements.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class PairErrors(NamedTuple):
    """Mean squared errors per pair, each of shape [B]."""

    policy_winner: Tensor
    policy_loser: Tensor
    reference_winner: Tensor
    reference_loser: Tensor


class DpoTerms(NamedTuple):
    """What `dpo_loss` returns; only `loss` carries a gradient."""

    loss: Tensor
    """Scalar: mean over pairs of weight times term."""
    inside: Tensor
    """[B], the argument of the log sigmoid: above 0 where the policy prefers the winner more than the
    reference does."""
    win_gap: Tensor
    """[B], m_w - r_w: below 0 where the policy fits the winner better than the reference does."""
    lose_gap: Tensor
    """[B], m_l - r_l: above 0 where the policy fits the loser worse than the reference does."""
    accuracy: Tensor
    """[B], 1 where inside > 0, 0.5 where it is exactly 0, else 0."""


def clip_errors(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of each clip, [B], over everything but the first axis, in float32.

    Raises:
        ValueError: the shapes differ (broadcasting would average over the wrong axes without a word).
    """
    if prediction.shape != target.shape or prediction.ndim < 2:
        raise ValueError(
            f"prediction and target must have one shape [B, ...], got "
            f"{list(prediction.shape)} and {list(target.shape)}"
        )
    return (prediction.float() - target.float()).square().flatten(1).mean(dim=1)


def dpo_loss(
    errors: PairErrors,
    *,
    beta: float,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    sft_weight: float = 0.0,
) -> DpoTerms:
    """Return the Diffusion-DPO loss of a batch of pairs.

        term = -(1 - s) * logsigmoid(inside) - s * logsigmoid(-inside) + sft_weight * m_w     (s: smoothing)

    Args:
        errors: of policy and reference; only the policy's may carry a gradient.
        beta: strength of the pull to the reference, in the convention at the top of this module.
        weight: [B], multiplies each pair's term outside the log sigmoid; the batch mean does not divide by
            its sum, so a pair of weight 2 counts as two.
        label_smoothing: chance that a label is wrong, in [0, 0.5).
        sft_weight: of the winner's own error, which keeps it from rising (the winner term of arXiv
            2502.02088).
    """
    _check_errors(errors)
    if not 0.0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing must be in [0, 0.5), got {label_smoothing}")
    win_gap = errors.policy_winner - errors.reference_winner
    lose_gap = errors.policy_loser - errors.reference_loser
    inside = -(beta / 2.0) * (win_gap - lose_gap)
    term = -(1.0 - label_smoothing) * logsigmoid(inside) - label_smoothing * logsigmoid(-inside)
    term = term + sft_weight * errors.policy_winner
    loss = (term if weight is None else weight * term).mean()
    return DpoTerms(loss, inside.detach(), win_gap.detach(), lose_gap.detach(), preference_accuracy(inside))


def preference_accuracy(inside: Tensor) -> Tensor:
    """Return 1 per pair ranked right, 0.5 per exact tie, 0 otherwise, [B]; an untrained policy scores 0.5."""
    return (inside > 0).float() + 0.5 * (inside == 0).float()


def safeguard_loser(
    loser_error: Tensor, winner_residual: Tensor, loser_residual: Tensor, *, mu: float
) -> tuple[Tensor, Tensor]:
    """Shrink the gradient, not the value, of each loser's error so that the winner's error does not rise.

    Diffusion-SDPO (arXiv 2511.03317): with g_w, g_l the gradients of the two errors with respect to the
    network's output (proportional to the residuals), the loser's gradient is multiplied by

        lam = clip((1 - mu) * |g_w|^2 / <g_l, g_w>, 0, 1) where <g_l, g_w> > 0, else 1

    so that, to first order in output space, a step cannot raise the winner's error.

    Args:
        loser_error: [B], with gradient.
        winner_residual: [B, ...], prediction minus target.
        loser_residual: the same of the loser.
        mu: in [0, 1); larger is safer. 0.9 is the published value.

    Returns:
        The loser's error with the scaled gradient, [B], and lam, [B].
    """
    if not 0.0 <= mu < 1.0:
        raise ValueError(f"mu must be in [0, 1), got {mu}")
    winner = winner_residual.detach().float().flatten(1)
    loser = loser_residual.detach().float().flatten(1)
    overlap = (winner * loser).sum(dim=1)
    limit = (1.0 - mu) * winner.square().sum(dim=1) / overlap.clamp_min(torch.finfo(torch.float32).tiny)
    scale = torch.where(overlap > 0, limit.clamp(0.0, 1.0), torch.ones_like(overlap))
    value = loser_error.detach()
    return value + scale * (loser_error - value), scale


def _check_errors(errors: PairErrors) -> None:
    shapes = {tuple(error.shape) for error in errors}
    if len(shapes) != 1 or errors.policy_winner.ndim != 1:
        raise ValueError(f"all four errors must have one shape [B], got {[list(e.shape) for e in errors]}")
