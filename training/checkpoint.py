"""Checkpoints of a run: written aside, checked by hashes, the newest whole one found again.

A checkpoint is a folder `step-000050` with the adapter's weights, the optimizer's state, the loop's own state
and `checksums.json` over the other files. Being killed at any moment leaves either no folder of that name or
a whole one; one that was damaged later fails its checksums and is passed over.
"""

import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.families.hashes import file_sha256
from training.files import remove_partial, write_json, writing_folder

logger = logging.getLogger(__name__)

CHECKSUMS = "checksums.json"
_FOLDER_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopState:
    """What the training loop must remember besides weights and optimizer."""

    step: int
    """Optimizer steps done."""
    best_step: int | None = None
    """Of the best held-out evaluation so far."""
    best_accuracy: float = 0.0
    best_win_gap: float = 0.0
    stopped: str = ""
    """Why the run ended before its last step; empty where it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint in memory."""

    state: LoopState
    adapter: Mapping[str, Tensor]
    best_adapter: Mapping[str, Tensor]
    """Of the best evaluation; empty where none is kept."""
    optimizer: Mapping[str, Any]
    """As `torch.optim.Optimizer.state_dict` gives it."""


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Write a checkpoint below `folder`, then delete all but the newest `keep`."""
    remove_partial(folder)
    path = folder / f"step-{checkpoint.state.step:06d}"
    with writing_folder(path) as partial:
        save_file(dict(checkpoint.adapter), partial / "adapter.safetensors")
        if checkpoint.best_adapter:
            save_file(dict(checkpoint.best_adapter), partial / "best.safetensors")
        torch.save(dict(checkpoint.optimizer), partial / "optimizer.pt")
        write_json(partial / "state.json", asdict(checkpoint.state))
        sums = {file.name: file_sha256(file) for file in sorted(partial.iterdir())}
        write_json(partial / CHECKSUMS, sums)
    for old in _by_step(folder)[keep:]:
        shutil.rmtree(old)
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `latest_checkpoint` found."""
    best = path / "best.safetensors"
    return Checkpoint(
        state=LoopState(**json.loads((path / "state.json").read_text())),
        adapter=load_file(path / "adapter.safetensors"),
        best_adapter=load_file(best) if best.is_file() else {},
        optimizer=torch.load(path / "optimizer.pt", weights_only=True),
    )


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint below `folder`, or None."""
    for path in _by_step(folder):
        if _is_whole(path):
            return path
        logger.warning("passing over the damaged checkpoint %s", path)
    return None


def _by_step(folder: Path) -> list[Path]:
    """Return checkpoint folders, newest first."""
    found = [
        (int(match[1]), path)
        for path in folder.glob("step-*")
        if (match := _FOLDER_NAME.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def _is_whole(path: Path) -> bool:
    try:
        sums = json.loads((path / CHECKSUMS).read_text())
        return bool(sums) and all(file_sha256(path / name) == value for name, value in sums.items())
    except (OSError, ValueError):
        return False
