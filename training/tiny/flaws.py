"""What goes wrong in the tiny world's training clips, and how often.

The base model learns these rates, so they are the dial that decides how good its samples are. Wrong colour
and wrong action are wrong captions: the clip is fine but its sentence asks for something else. Jitter,
flicker and freezing are in the pixels. All five are independent of each other.
"""

from dataclasses import dataclass, replace

import numpy as np

from training.tiny.prompts import CATEGORIES, COLORS
from training.tiny.world import NUM_FRAMES, Scene


@dataclass(frozen=True, kw_only=True, slots=True)
class FlawRates:
    """How often each flaw occurs, each in [0, 1]."""

    wrong_action: float
    """Share of captions that ask for another action."""
    wrong_color: float
    """Share of captions that ask for another colour."""
    jitter: float
    """Share of clips whose object trembles."""
    flicker: float
    """Share of clips whose brightness jumps from frame to frame."""
    freeze: float
    """Share of clips that stand still from some frame on."""


CLEAN = FlawRates(wrong_action=0.0, wrong_color=0.0, jitter=0.0, flicker=0.0, freeze=0.0)
BASE_RATES = FlawRates(wrong_action=0.26, wrong_color=0.20, jitter=0.20, flicker=0.20, freeze=0.10)


def add_visual_flaws(
    scene: Scene, rng: np.random.Generator, rates: FlawRates
) -> tuple[Scene, tuple[str, ...]]:
    """Spoil a scene at the given rates; returns the scene and the names of the flaws put in."""
    names = []
    for name, rate, spoil in (
        ("freeze", rates.freeze, freeze),
        ("jitter", rates.jitter, jitter),
        ("flicker", rates.flicker, flicker),
    ):
        if rng.random() < rate:
            scene = spoil(scene, rng)
            names.append(name)
    return scene, tuple(names)


def jitter(scene: Scene, rng: np.random.Generator) -> Scene:
    """Move the object by an independent random step in every frame (about 2 pixels)."""
    sigma_px = rng.uniform(1.6, 2.6)
    path = scene.trajectory
    x = path.x + rng.normal(0.0, sigma_px, NUM_FRAMES)
    y = path.y + rng.normal(0.0, sigma_px, NUM_FRAMES)
    return replace(scene, trajectory=replace(path, x=x, y=y))


def flicker(scene: Scene, rng: np.random.Generator) -> Scene:
    """Change the brightness of the object (and a little of the background) independently in every frame."""
    strength = rng.uniform(0.16, 0.28)
    object_gain = np.clip(1.0 + rng.normal(0.0, strength, NUM_FRAMES), 0.5, 1.4)
    background_gain = np.clip(1.0 + rng.normal(0.0, strength / 5.0, NUM_FRAMES), 0.88, 1.04)
    path = replace(scene.trajectory, object_gain=object_gain, background_gain=background_gain)
    return replace(scene, trajectory=path)


def freeze(scene: Scene, rng: np.random.Generator) -> Scene:
    """Hold one of the first frames until the end of the clip."""
    last = int(rng.integers(1, 5))
    shown = np.minimum(np.arange(NUM_FRAMES), last)
    path = scene.trajectory
    held = replace(path, x=path.x[shown], y=path.y[shown], radius=path.radius[shown], angle=path.angle[shown])
    return replace(scene, trajectory=held)


def caption_wants(rng: np.random.Generator, rates: FlawRates, *, action: str, color: str) -> tuple[str, str]:
    """Say which (action, colour) a clip's caption asks for: the true ones, or others at the given rates."""
    if rng.random() < rates.wrong_action:
        action = str(rng.choice([other for other in CATEGORIES if other != action]))
    if rng.random() < rates.wrong_color:
        color = str(rng.choice([other for other in COLORS if other != color]))
    return action, color
