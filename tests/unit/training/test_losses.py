"""Losses against values worked out by hand, finite differences, and known mistakes of public trainers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.losses import PairErrors, clip_errors, dpo_loss, preference_accuracy, safeguard_loser


def errors(m_w: list[float], m_l: list[float], r_w: list[float], r_l: list[float]) -> PairErrors:
    return PairErrors(*(torch.tensor(values, dtype=torch.float64) for values in (m_w, m_l, r_w, r_l)))


def test_loss_is_log_two_when_policy_is_the_reference() -> None:
    terms = dpo_loss(errors([0.3, 0.9], [0.5, 0.1], [0.3, 0.9], [0.5, 0.1]), beta=5000.0)
    assert terms.loss.item() == pytest.approx(math.log(2), abs=1e-12)
    assert terms.accuracy.tolist() == [0.5, 0.5]


def test_loss_has_the_value_worked_out_by_hand() -> None:
    terms = dpo_loss(errors([0.30], [0.50], [0.31], [0.48]), beta=100.0)
    # -(100 / 2) * ((0.30 - 0.31) - (0.50 - 0.48)) = 1.5
    assert terms.inside.item() == pytest.approx(1.5)
    assert terms.loss.item() == pytest.approx(math.log1p(math.exp(-1.5)))
    assert terms.win_gap.item() == pytest.approx(-0.01)
    assert terms.lose_gap.item() == pytest.approx(0.02)


def test_twice_the_halved_convention_gives_the_same_loss() -> None:
    pair = errors([0.30], [0.50], [0.31], [0.48])
    published = -torch.nn.functional.logsigmoid(
        2500.0 * ((pair.reference_winner - pair.reference_loser) - (pair.policy_winner - pair.policy_loser))
    )
    assert dpo_loss(pair, beta=5000.0).loss.item() == pytest.approx(published.item())


def test_swapping_winner_and_loser_negates_the_inside() -> None:
    there = dpo_loss(errors([0.2, 0.4], [0.5, 0.3], [0.25, 0.4], [0.4, 0.35]), beta=30.0)
    back = dpo_loss(errors([0.5, 0.3], [0.2, 0.4], [0.4, 0.35], [0.25, 0.4]), beta=30.0)
    assert torch.equal(there.inside, -back.inside)


def test_weight_multiplies_outside_the_log_sigmoid() -> None:
    pairs = errors([0.2, 0.4], [0.5, 0.3], [0.25, 0.4], [0.4, 0.35])
    each = [dpo_loss(PairErrors(*(e[i : i + 1] for e in pairs)), beta=30.0).loss for i in range(2)]
    weighted = dpo_loss(pairs, beta=30.0, weight=torch.tensor([0.0, 2.0]))
    assert weighted.loss.item() == pytest.approx(2.0 * each[1].item() / 2)


def test_unit_weights_change_nothing() -> None:
    pairs = errors([0.2, 0.4], [0.5, 0.3], [0.25, 0.4], [0.4, 0.35])
    assert torch.equal(dpo_loss(pairs, beta=9.0, weight=torch.ones(2)).loss, dpo_loss(pairs, beta=9.0).loss)


def test_label_smoothing_mixes_in_the_opposite_label() -> None:
    pair, swapped = errors([0.2], [0.5], [0.25], [0.4]), errors([0.5], [0.2], [0.4], [0.25])
    mixed = 0.9 * dpo_loss(pair, beta=30.0).loss + 0.1 * dpo_loss(swapped, beta=30.0).loss
    assert dpo_loss(pair, beta=30.0, label_smoothing=0.1).loss.item() == pytest.approx(mixed.item())


def test_sft_weight_adds_the_winners_error() -> None:
    pair = errors([0.2], [0.5], [0.25], [0.4])
    plain, anchored = dpo_loss(pair, beta=30.0), dpo_loss(pair, beta=30.0, sft_weight=0.5)
    assert (anchored.loss - plain.loss).item() == pytest.approx(0.1)


def test_gradient_equals_finite_differences() -> None:
    def loss(m_w: Tensor, m_l: Tensor) -> Tensor:
        reference = torch.tensor([0.25, 0.4], dtype=torch.float64)
        pairs = PairErrors(m_w, m_l, reference, reference.flip(0))
        return dpo_loss(pairs, beta=30.0, label_smoothing=0.05, sft_weight=0.3).loss

    inputs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([0.2, 0.4], [0.5, 0.3])]
    assert torch.autograd.gradcheck(loss, inputs)


@given(st.lists(st.floats(0, 2), min_size=4, max_size=4), st.floats(0.1, 5000))
@settings(max_examples=200, deadline=None)
def test_loss_falls_exactly_when_the_winner_gains_on_the_loser(values: list[float], beta: float) -> None:
    m_w, m_l, r_w, r_l = values
    terms = dpo_loss(errors([m_w], [m_l], [r_w], [r_l]), beta=beta)
    assert (terms.loss.item() < math.log(2)) == (terms.inside.item() > 1e-15) or abs(
        terms.inside.item()
    ) < 1e-12


def test_loss_stays_finite_when_the_margin_is_huge() -> None:
    terms = dpo_loss(errors([9.0], [0.0], [0.0], [9.0]), beta=5000.0)
    assert torch.isfinite(terms.loss)
    assert terms.loss.item() == pytest.approx(45_000.0)


def test_clip_errors_average_over_everything_but_the_batch() -> None:
    target = torch.zeros(2, 3, 4, 5, 6)
    prediction = torch.ones(2, 3, 4, 5, 6)
    prediction[1] = 2.0
    prediction[1, 0, 0, 0, 0] = 0.0
    assert clip_errors(prediction, target).tolist() == pytest.approx([1.0, 4.0 * 359 / 360])


def test_clip_errors_refuse_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match=r"\[2, 3, 4\].*\[1, 3, 4\]"):
        clip_errors(torch.zeros(2, 3, 4), torch.zeros(1, 3, 4))


def test_dpo_loss_refuses_errors_that_are_not_one_number_per_pair() -> None:
    with pytest.raises(ValueError, match="one shape"):
        dpo_loss(PairErrors(*(torch.zeros(2, 3) for _ in range(4))), beta=1.0)
    with pytest.raises(ValueError, match="one shape"):
        dpo_loss(PairErrors(torch.zeros(2), torch.zeros(2), torch.zeros(1), torch.zeros(2)), beta=1.0)


def test_accuracy_gives_half_credit_for_a_tie() -> None:
    assert preference_accuracy(torch.tensor([2.0, 0.0, -1.0])).tolist() == [1.0, 0.5, 0.0]


def test_safeguard_keeps_the_value_and_scales_the_gradient() -> None:
    winner = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    # The losers' residuals point the same way, the other way, and the same way but weakly.
    loser = torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.05, 3.0]], requires_grad=True)
    error = loser.square().mean(dim=1)
    guarded, factors = safeguard_loser(error, winner, loser, mu=0.9)
    assert torch.equal(guarded, error)
    assert factors.tolist() == pytest.approx([0.1 / 4.0, 1.0, 1.0])
    guarded.sum().backward()
    assert loser.grad is not None
    assert torch.allclose(loser.grad, factors[:, None] * loser.detach())


def test_safeguarded_step_does_not_raise_the_winners_error() -> None:
    """Winner and loser share one parameter, so pushing the loser away pushes the winner away too."""

    def winner_error_after(mu: float | None) -> float:
        shared = torch.tensor([1.0, 0.5], requires_grad=True)
        winner, loser = shared * torch.tensor([1.0, 0.2]), shared * torch.tensor([3.0, 1.0])
        m_w, m_l = winner.square().mean()[None], loser.square().mean()[None]
        if mu is not None:
            m_l, _ = safeguard_loser(m_l, winner[None], loser[None], mu=mu)
        dpo_loss(PairErrors(m_w, m_l, m_w.detach(), m_l.detach()), beta=1.0).loss.backward()
        assert shared.grad is not None
        moved = shared.detach() - 0.01 * shared.grad
        return float((moved * torch.tensor([1.0, 0.2])).square().mean() - m_w.detach())

    assert winner_error_after(None) > 0
    assert winner_error_after(0.9) <= 0
