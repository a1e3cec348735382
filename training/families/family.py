"""What every model family offers, so that sampling, caching and training need not know which one they drive.

Shapes: B clips, F frames, H and W pixels; C, T, h, w of latents; L tokens, D text width.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.errors import TrainingError

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSettings:
    """How clips are sampled; together with prompt, seed and weights it fixes their pixels."""

    height_px: int
    width_px: int
    num_frames: int
    fps: float
    num_inference_steps: int
    guidance_scale: float = 1.0
    """1 switches classifier-free guidance off and halves the time."""
    negative_prompt: str = ""
    """Used with guidance only."""
    max_sequence_length: int = 512
    """Text embeddings are padded to this many tokens; the network sees the padding, so training uses the
    same."""

    def __post_init__(self) -> None:
        for name in (
            "height_px",
            "width_px",
            "num_frames",
            "fps",
            "num_inference_steps",
            "max_sequence_length",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")

    def to_dict(self) -> dict[str, str | int | float | bool]:
        """Return the settings as JSON values, as recorded with each video."""
        return asdict(self)


def read_sample_settings(path: Path, defaults: SampleSettings) -> SampleSettings:
    """Return `defaults` overlaid with the values of a `sampling.json`; names it does not know are left alone.

    `height` and `width` are read as pixels.

    Raises:
        TrainingError: the file is no JSON object, or a value is out of range.
    """
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, Mapping):
            raise ValueError(f"expected an object, got {type(values).__name__}")
        spelled = {"height": "height_px", "width": "width_px"}
        renamed = {spelled.get(key, key): value for key, value in values.items()}
        known = {item.name for item in fields(SampleSettings)}
        return SampleSettings(**(asdict(defaults) | {k: v for k, v in renamed.items() if k in known}))
    except (ValueError, TypeError) as error:
        raise TrainingError(f"cannot use the sampling settings in {path}: {error}") from error


class VideoFamily(Protocol):
    """One loaded model with its conventions. Not thread-safe: use one per process."""

    name: str
    """`wan`, ..."""
    model: str
    """Hub name or folder it was loaded from."""
    model_hash: str
    """64 hex digits over all weight files of the pipeline."""
    encoder_hash: str
    """The same over the parts that make latents and text embeddings."""
    adapter_hash: str
    """SHA-256 of the adapter's file; empty without one."""
    device: torch.device
    defaults: SampleSettings
    network: torch.nn.Module
    """The denoiser as called; `accelerate` may wrap it and put the wrapped one here."""

    def latent_shape(self, settings: SampleSettings) -> tuple[int, int, int, int]:
        """Return [C, T, h, w] of a clip of these settings; TrainingError where it cannot make one."""

    def encode_prompts(self, prompts: Sequence[str], max_sequence_length: int) -> list[Tensor]:
        """Return one embedding [L, D] per prompt on the CPU, without its padding."""

    def encode_videos(self, frames: Frames) -> Tensor:
        """Return normalised latents [B, C, T, h, w] on the CPU of [B, F, H, W, 3] frames (posterior mean)."""

    def rest_encoders(self) -> None:
        """Free the accelerator of the parts that only encoding needs; they come back by themselves."""

    def noised(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return the latents at times t, [B] in (0, 1)."""

    def target(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Return what the network is trained to predict."""

    def predict(self, noised: Tensor, t: Tensor, prompt_embeds: Tensor) -> Tensor:
        """Return the network's prediction for noised latents at times t with padded embeddings [B, L, D]."""

    def sample(self, prompts: Sequence[str], noise: Tensor, settings: SampleSettings) -> Frames:
        """Return frames [B, F, H, W, 3] made from starting noise [B, C, T, h, w]."""

    def add_adapter(self, *, rank: int, scale: float, seed: int) -> None:
        """Give the network a new trainable adapter that changes nothing yet; the rest is frozen."""

    def adapter_parameters(self) -> dict[str, torch.nn.Parameter]:
        """Return the new adapter's parameters by name, in a fixed order."""

    def adapter_off(self) -> AbstractContextManager[None]:
        """Inside, the network is the reference: as loaded, without the new adapter."""

    def save_adapter(self, folder: Path) -> None:
        """Write one adapter that holds the parent's and the new one, for the model as published."""

    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass."""


def pad_embeddings(embeddings: Sequence[Tensor], length: int) -> Tensor:
    """Stack embeddings [L_i, D] into [B, length, D] with zeros behind each."""
    longest = max(embedding.shape[0] for embedding in embeddings)
    if longest > length:
        raise ValueError(f"an embedding has {longest} tokens, more than the length {length} to pad to")
    padded = embeddings[0].new_zeros((len(embeddings), length, embeddings[0].shape[1]))
    for row, embedding in zip(padded, embeddings, strict=True):
        row[: embedding.shape[0]] = embedding
    return padded
