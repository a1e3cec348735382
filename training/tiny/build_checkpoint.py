"""Checkpoints of the build: written aside and renamed, so that a stopped build goes on where it was."""

import os
from pathlib import Path
from typing import Any

import torch


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` so that ``path`` is always absent, the old one or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    torch.save(state, aside)
    os.replace(aside, path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint; None where none was written yet."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
