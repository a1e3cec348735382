"""From the name of a model to a loaded family."""

from pathlib import Path
from typing import Literal

import torch
from diffusers import WanPipeline

from training.errors import TrainingError
from training.families.family import VideoFamily
from training.families.wan import WanFamily
from training.tiny import model_dir

DtypeName = Literal["float32", "bfloat16", "float16"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_family(
    model: str, *, adapter: Path | None = None, device: str = "auto", dtype: DtypeName = "float32"
) -> VideoFamily:
    """Load a model for sampling or training.

    Args:
        model: `tiny`, a pipeline folder, or a name on the Hub.
        adapter: folder of a LoRA adapter to put on top; None for the base model.
        device: `auto` (an accelerator where there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: of the frozen weights.

    Raises:
        TrainingError: the model or the adapter cannot be loaded.
    """
    folder = _pipeline_folder(model)
    return WanFamily.load(
        folder, model=model, adapter=adapter, device=pick_device(device), dtype=_DTYPES[dtype]
    )


def pick_device(name: str) -> torch.device:
    """Return the named device; `auto` is the first accelerator, or else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.accelerator.is_available():
        return torch.device(torch.accelerator.current_accelerator() or "cpu")
    return torch.device("cpu")


def _pipeline_folder(model: str) -> Path:
    if model == "tiny":
        return model_dir()
    folder = Path(model)
    if folder.is_dir():
        return folder
    try:
        return Path(WanPipeline.download(model))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"there is no folder {model!r} and the Hub gave no such model ({error}). "
            "Give 'tiny', a pipeline folder, or a Hub name such as 'Wan-AI/Wan2.1-T2V-1.3B-Diffusers'"
        ) from error
