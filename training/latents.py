"""Clips and prompts of a dataset, encoded once: training itself runs the denoiser alone.

A cache folder is named by what its content depends on (encoder weights, dataset, clip size), so runs share it
and a change of any of these starts another. It is written in shards; an interrupted encoding goes on at the
next shard.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import interpolate

from training.data import PairDataset, TrainingPair
from training.families.family import Frames, SampleSettings, VideoFamily
from training.files import remove_partial, writing_file

logger = logging.getLogger(__name__)

CACHE_VERSION = 1
SHARD_SIZE = 32


class LatentCache:
    """Latents by video and embeddings by prompt, read from disk as they are asked for."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self._where: dict[str, Any] = {}
        for shard in shards:
            file: Any = safe_open(shard, framework="pt")
            self._where.update(dict.fromkeys(file.keys(), file))

    def latents(self, video_id: str) -> Tensor:
        """Return the clip's normalised latents, [C, T, h, w], float32."""
        return self._tensor(f"video/{video_id}")

    def prompt(self, text: str) -> Tensor:
        """Return the prompt's embedding without padding, [L, D]."""
        return self._tensor(_prompt_name(text))

    def _tensor(self, name: str) -> Tensor:
        tensor: Tensor = self._where[name].get_tensor(name)
        return tensor


def build_cache(
    family: VideoFamily,
    dataset: PairDataset,
    pairs: Sequence[TrainingPair],
    settings: SampleSettings,
    root: Path,
    *,
    dataset_hash: str,
    progress: Callable[[int, int], None] | None = None,
) -> LatentCache:
    """Encode what is not in the cache yet and open it.

    Args:
        family: the model that encodes.
        dataset: where the clips come from.
        pairs: whose clips and prompts are needed.
        settings: size, number of frames and text length to encode at.
        root: the folder that holds cache folders.
        dataset_hash: of the dataset; part of the cache folder's name.
        progress: called after each shard with clips done and clips to do.
    """
    folder = root / _cache_key(family, settings, dataset_hash)
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    shards = _prompt_shards(family, folder, sorted({pair.prompt for pair in pairs}), settings)
    video_ids = sorted({pair.winner_id for pair in pairs} | {pair.loser_id for pair in pairs})
    for start in range(0, len(video_ids), SHARD_SIZE):
        part = video_ids[start : start + SHARD_SIZE]
        shards.append(_video_shard(family, dataset, folder, part, settings))
        if progress is not None:
            progress(start + len(part), len(video_ids))
    family.rest_encoders()
    return LatentCache(shards)


def fit_clip(frames: Frames, settings: SampleSettings) -> Frames:
    """Return the clip at the size and number of frames of `settings`.

    Frames are taken at even steps over the whole clip, the first and the last included (nearest frame; a
    shorter clip repeats frames). The picture is cut in the middle to the wanted shape and resized with an
    antialiased bilinear filter. A clip that fits already comes back as it is.
    """
    height, width, count = settings.height_px, settings.width_px, settings.num_frames
    if frames.shape[:3] == (count, height, width):
        return frames
    steps = np.rint(np.linspace(0, frames.shape[0] - 1, count)).astype(np.int64)
    cut = _cut_to_shape(frames[steps], height / width)
    pixels = torch.from_numpy(np.ascontiguousarray(cut)).permute(0, 3, 1, 2).float()
    resized = interpolate(pixels, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    return resized.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def _cut_to_shape(frames: Frames, height_by_width: float) -> Frames:
    height, width = frames.shape[1:3]
    new_height = min(height, max(1, round(width * height_by_width)))
    new_width = min(width, max(1, round(height / height_by_width)))
    top, left = (height - new_height) // 2, (width - new_width) // 2
    return frames[:, top : top + new_height, left : left + new_width]


def _cache_key(family: VideoFamily, settings: SampleSettings, dataset_hash: str) -> str:
    size = (settings.height_px, settings.width_px, settings.num_frames, settings.max_sequence_length)
    text = "\x1f".join(map(str, (CACHE_VERSION, family.name, family.encoder_hash, dataset_hash, *size)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _prompt_name(text: str) -> str:
    return f"prompt/{hashlib.sha256(text.encode()).hexdigest()}"


def _prompt_shards(
    family: VideoFamily, folder: Path, prompts: Sequence[str], settings: SampleSettings
) -> list[Path]:
    shards = []
    for start in range(0, len(prompts), SHARD_SIZE):
        part = prompts[start : start + SHARD_SIZE]
        path = folder / _shard_name("prompts", [_prompt_name(text) for text in part])
        if not _is_complete(path):
            # One by one: what a prompt encodes to must not depend on its neighbours.
            encoded = {_prompt_name(text): _encode_prompt(family, text, settings) for text in part}
            _write_shard(path, encoded)
        shards.append(path)
    return shards


def _encode_prompt(family: VideoFamily, text: str, settings: SampleSettings) -> Tensor:
    return family.encode_prompts([text], settings.max_sequence_length)[0].contiguous()


def _video_shard(
    family: VideoFamily,
    dataset: PairDataset,
    folder: Path,
    video_ids: Sequence[str],
    settings: SampleSettings,
) -> Path:
    path = folder / _shard_name("videos", video_ids)
    if not _is_complete(path):
        encoded = {}
        for video_id in video_ids:
            clip = fit_clip(dataset.frames(video_id), settings)
            encoded[f"video/{video_id}"] = family.encode_videos(clip[None])[0].contiguous()
        _write_shard(path, encoded)
    return path


def _shard_name(kind: str, names: Sequence[str]) -> str:
    return f"{kind}-{hashlib.sha256(chr(10).join(names).encode()).hexdigest()[:16]}.safetensors"


def _write_shard(path: Path, tensors: dict[str, Tensor]) -> None:
    with writing_file(path) as partial:
        save_file(tensors, partial)


def _is_complete(path: Path) -> bool:
    """Say whether a shard is there and whole (its header names the length of the file)."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt"):
            return True
    except SafetensorError:
        logger.warning("encoding %s again: the file is damaged", path)
        return False
