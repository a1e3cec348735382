"""Prompts of the tiny world: which sentences exist, and which of them training never sees.

Free of numpy and torch, so that a server or a command line can list prompts without loading a model.
"""

import functools
import itertools
import random
import re
from dataclasses import dataclass

CATEGORIES: tuple[str, ...] = ("slide", "bounce", "grow", "shrink", "spin", "orbit", "fall", "rise")
COLORS: tuple[str, ...] = ("red", "green", "blue", "yellow")
SHAPES: tuple[str, ...] = ("circle", "square", "triangle")

_PHRASES: dict[str, tuple[str, ...]] = {
    "slide": (
        "sliding to the right",
        "gliding from left to right",
        "moving to the right",
        "sliding sideways",
    ),
    "bounce": ("bouncing up and down", "bouncing on the floor", "hopping in place", "bouncing twice"),
    "grow": ("growing larger", "getting bigger", "swelling up", "growing in size"),
    "shrink": ("shrinking", "getting smaller", "shrinking to a small size", "becoming tiny"),
    "spin": ("spinning in place", "turning around itself", "rotating clockwise", "spinning like a wheel"),
    "orbit": (
        "moving in a circle",
        "orbiting the center",
        "circling around the middle",
        "going round in a loop",
    ),
    "fall": ("falling to the ground", "dropping down", "falling from the top", "falling faster and faster"),
    "rise": ("rising to the top", "floating up", "rising slowly", "going up like a balloon"),
}
_FRAMES: tuple[str, ...] = (
    "a {color} {shape} {phrase}",
    "the {color} {shape} is {phrase}",
    "a {color} {shape} {phrase} on a plain background",
    "a video of a {color} {shape} {phrase}",
    "one {shape}, {color}, {phrase}",
    "a {color}-colored {shape} {phrase}",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyPrompt:
    """A sentence together with what it asks for."""

    text: str
    """The sentence given to the model."""
    action: str
    """One of ``CATEGORIES``."""
    color: str
    """One of ``COLORS``."""
    shape: str
    """One of ``SHAPES``."""


def train_prompts(category: str, n: int, seed: int) -> list[TinyPrompt]:
    """Draw ``n`` different prompts that base training and preference training may use.

    Raises:
        ValueError: ``category`` is unknown, or ``n`` is more than the category has.
    """
    return _draw(_split(category)[0], category=category, n=n, seed=seed)


def held_out_prompts(category: str, n: int, seed: int) -> list[TinyPrompt]:
    """Draw ``n`` different prompts that no training ever uses; kept for evaluation.

    Every color, shape and phrase also occurs in training: what is new is the combination.

    Raises:
        ValueError: ``category`` is unknown, or ``n`` is more than the category has.
    """
    return _draw(_split(category)[1], category=category, n=n, seed=seed)


def random_train_prompt(rng: random.Random, *, action: str, color: str, shape: str) -> TinyPrompt:
    """Draw one training sentence that asks for exactly this action, color and shape."""
    fitting = [prompt for prompt in _split(action)[0] if prompt.color == color and prompt.shape == shape]
    return rng.choice(fitting)


def all_words() -> list[str]:
    """Return every word and punctuation mark the prompts are made of, sorted."""
    texts = [prompt.text for category in CATEGORIES for half in _split(category) for prompt in half]
    return sorted({word for text in texts for word in re.findall(r"[a-z]+|[^a-z ]", text)})


@functools.cache
def _split(category: str) -> tuple[list[TinyPrompt], list[TinyPrompt]]:
    """All sentences of a category as (training, held out): 216 and 72.

    A sentence is held out when the sum of its four indices is divisible by four, which removes a quarter of
    the combinations and leaves every single word on both sides.
    """
    if category not in CATEGORIES:
        raise ValueError(f"unknown category {category!r}; the tiny world has {', '.join(CATEGORIES)}")
    train: list[TinyPrompt] = []
    held_out: list[TinyPrompt] = []
    parts = (_FRAMES, _PHRASES[category], COLORS, SHAPES)
    for (f, frame), (p, phrase), (c, color), (s, shape) in itertools.product(*(enumerate(x) for x in parts)):
        text = frame.format(color=color, shape=shape, phrase=phrase)
        prompt = TinyPrompt(text=text, action=category, color=color, shape=shape)
        (held_out if (f + p + c + s) % 4 == 0 else train).append(prompt)
    return train, held_out


def _draw(prompts: list[TinyPrompt], *, category: str, n: int, seed: int) -> list[TinyPrompt]:
    if not 0 <= n <= len(prompts):
        raise ValueError(
            f"{n} prompts wanted of {category!r}; there are {len(prompts)}, ask for 0 to {len(prompts)}"
        )
    return random.Random(f"{category}/{seed}").sample(prompts, n)
