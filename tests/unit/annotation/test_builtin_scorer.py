import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.scorers.builtin import AspectWeights, BuiltinScorer, aspects_of
from storage.records import Aspect

PARTS = {
    "sharpness": 0.8,
    "flicker_free": 0.6,
    "motion_smoothness": 0.9,
    "dynamic_degree": 0.4,
    "subject_consistency": 1.0,
}


class FixedCritic:
    """Answers what it was made with."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.prompts: list[str] = []

    def score(self, frames: NDArray[np.uint8], prompt: str) -> float:
        self.prompts.append(prompt)
        return self.value


def some_frames() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)


def test_aspects_of_a_worked_example() -> None:
    aspects = aspects_of(PARTS, 0.5, AspectWeights())
    # Q = (0.8 + 0.6 + 0.9 + 1.0 + 0.4 / 2) / 4.5 = 3.5 / 4.5; overall = (4 Q + 0.5) / 5
    assert aspects == {
        Aspect.VISUAL_QUALITY: pytest.approx((0.8 + 0.6 + 1.0) / 3),
        Aspect.MOTION_QUALITY: pytest.approx(0.734847),  # (0.9 * 0.9 * 0.9 * 0.4) ** (1 / 4)
        Aspect.TEXT_ALIGNMENT: 0.5,
        Aspect.OVERALL: pytest.approx((4 * 3.5 / 4.5 + 0.5) / 5),
    }


def test_without_text_overall_is_the_quality() -> None:
    aspects = aspects_of(PARTS, None, AspectWeights())
    assert Aspect.TEXT_ALIGNMENT not in aspects
    assert aspects[Aspect.OVERALL] == pytest.approx(3.5 / 4.5)


def test_the_text_can_weigh_more() -> None:
    low, high = (
        aspects_of(PARTS, text, AspectWeights(quality=1, text=9))[Aspect.OVERALL] for text in (0.0, 1.0)
    )
    assert high - low == pytest.approx(0.9)


def test_a_part_that_weighs_nothing_is_left_out() -> None:
    weights = AspectWeights(sharpness=0, flicker_free=0, subject_consistency=0, dynamic_degree=0)
    aspects = aspects_of(PARTS, None, weights)
    assert (aspects[Aspect.OVERALL], aspects[Aspect.VISUAL_QUALITY]) == (0.9, 0.0)


@pytest.mark.parametrize("weights", [{"text": -1.0}, {"text": float("nan")}, {"quality": 0.0}])
def test_refuses_weights_out_of_range(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weigh"):
        AspectWeights(**weights)


def test_asks_the_critic_about_the_prompt() -> None:
    critic = FixedCritic(0.25)
    scores = BuiltinScorer(critic=critic).score(some_frames(), "a red ball slides")
    assert critic.prompts == ["a red ball slides"]
    assert scores.aspects[Aspect.TEXT_ALIGNMENT] == 0.25
    assert set(scores.aspects) == set(Aspect)
    assert set(scores.parts) == set(PARTS)


def test_needs_no_torch_without_a_critic() -> None:
    code = (
        "import sys; from annotation.scorers.builtin import BuiltinScorer; BuiltinScorer(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
