"""The tiny text-to-video model: where it lies and what to ask it. Importing this loads no torch."""

from pathlib import Path

from training.tiny.prompts import (
    CATEGORIES,
    COLORS,
    SHAPES,
    TinyPrompt,
    held_out_prompts,
    train_prompts,
)

__all__ = [
    "CATEGORIES",
    "COLORS",
    "SHAPES",
    "TinyPrompt",
    "critic_path",
    "held_out_prompts",
    "model_dir",
    "train_prompts",
]


def model_dir() -> Path:
    """Return the folder that ``WanPipeline.from_pretrained`` loads, settings in ``sampling.json``."""
    return Path(__file__).parent / "model"


def critic_path() -> Path:
    """Return the weights of the small text critic (``annotation.critic.TextCritic.load``)."""
    return Path(__file__).parent / "critic" / "critic.safetensors"
