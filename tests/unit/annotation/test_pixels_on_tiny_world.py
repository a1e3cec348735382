"""How well the measures tell the tiny world's flaws from clean clips of the same action.

Reads the world and the flaws it draws, never the program that measures them for evaluation.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.scorers.builtin import AspectWeights, aspects_of
from annotation.scorers.pixels import score_clip
from storage.records import Aspect
from training.tiny import flaws
from training.tiny.prompts import CATEGORIES
from training.tiny.world import make_scene, render

NUM_CLIPS = 6


def aspects(frames: NDArray[np.uint8]) -> dict[Aspect, float]:
    return aspects_of(score_clip(frames), None, AspectWeights())


@pytest.fixture(scope="module")
def scored() -> dict[tuple[str, str], list[dict[Aspect, float]]]:
    rng = np.random.default_rng(0)
    found: dict[tuple[str, str], list[dict[Aspect, float]]] = {}
    for action in CATEGORIES:
        for flaw in ("clean", "jitter", "flicker", "freeze"):
            for _ in range(NUM_CLIPS):
                scene = make_scene(rng, action=action)
                spoiled = scene if flaw == "clean" else getattr(flaws, flaw)(scene, rng)
                found.setdefault((action, flaw), []).append(aspects(render(spoiled)))
    return found


@pytest.mark.parametrize(
    ("flaw", "aspect"),
    [
        ("jitter", Aspect.MOTION_QUALITY),
        ("freeze", Aspect.MOTION_QUALITY),
        ("flicker", Aspect.VISUAL_QUALITY),
        ("jitter", Aspect.OVERALL),
        ("freeze", Aspect.OVERALL),
        ("flicker", Aspect.OVERALL),
    ],
)
def test_prefers_the_clean_clip_to_the_flawed_one_of_the_same_action(
    scored: dict[tuple[str, str], list[dict[Aspect, float]]], flaw: str, aspect: Aspect
) -> None:
    shares = {}
    for action in CATEGORIES:
        clean = np.array([one[aspect] for one in scored[action, "clean"]])
        flawed = np.array([one[aspect] for one in scored[action, flaw]])
        shares[action] = float((clean[:, None] > flawed).mean())
    assert np.mean(list(shares.values())) >= 0.85, shares
    assert min(shares.values()) >= 0.5, shares
