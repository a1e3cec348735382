"""A small network that says how well a clip shows what its prompt says: the built-in judge of text alignment.

It was trained with the tiny model, on clips of the tiny world and on nothing else: on other videos its
answer means little. It never sees the measuring program that evaluation uses. Importing this module imports
torch: import it late.

Shapes: ``B`` clips, ``F`` frames, ``K`` feature maps. Frames are uint8 RGB outside and 0..1 inside.
"""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

SIZE_PX = 64
NUM_FRAMES = 9
NUM_BUCKETS = 1024
MAX_WORDS = 24
ANSWERS = (9, 4, 3)
"""How many answers each question has: which action (or none), which color, which shape?"""
_MAPS = 24
_PER_FRAME = 24
_BATCH = 64


class CriticNetwork(nn.Module):
    """Answers the same three questions from the clip and from the prompt, each as a distribution.

    How probably clip and prompt agree on a question is the inner product of the two distributions. The
    clip's side makes ``K`` maps per frame; each becomes the place where it is strongest (spatial
    soft-argmax), its mean and its maximum, which is what following one object takes. The prompt's side is a
    bag of words.
    """

    grid: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(3, 24, 5, stride=2, padding=2),
            nn.GELU(),
            nn.Conv2d(24, 24, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(24, _MAPS, 3, padding=1),
        )
        self.sharpness = nn.Parameter(torch.full((_MAPS,), 2.5))
        self.per_frame = nn.Sequential(nn.Linear(4 * _MAPS, 64), nn.GELU(), nn.Linear(64, _PER_FRAME))
        self.clip = nn.Sequential(
            nn.Linear(NUM_FRAMES * _PER_FRAME, 160), nn.GELU(), nn.Linear(160, sum(ANSWERS))
        )
        self.words = nn.EmbeddingBag(NUM_BUCKETS, 32, mode="sum", padding_idx=0)
        self.prompt = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, sum(ANSWERS)))
        side = SIZE_PX // 4
        axis = torch.linspace(-1.0, 1.0, side)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).view(side * side, 2)
        self.register_buffer("grid", grid, persistent=False)

    def read_clip(self, frames_BFHWC: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits of the answers to each question, from float frames in 0..1."""
        count = len(frames_BFHWC)
        frames = frames_BFHWC.flatten(0, 1).permute(0, 3, 1, 2)
        # What differs from the frame's most common colour stands out from any background.
        background = frames.flatten(2).median(dim=-1).values[..., None, None]
        maps = self.maps(2.0 * (frames - background)).flatten(2)
        weight = (maps * self.sharpness.exp()[:, None]).softmax(dim=-1)
        where = torch.einsum("nkp,pc->nkc", weight, self.grid).flatten(1)
        features = torch.cat([where, maps.mean(-1), maps.amax(-1)], dim=1)
        answers: torch.Tensor = self.clip(self.per_frame(features).view(count, NUM_FRAMES * _PER_FRAME))
        return torch.split(answers, list(ANSWERS), dim=1)

    def read_prompt(self, words_BL: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits of the answers to each question, from hashed words."""
        answers: torch.Tensor = self.prompt(self.words(words_BL))
        return torch.split(answers, list(ANSWERS), dim=1)

    def forward(self, frames_BFHWC: torch.Tensor, words_BL: torch.Tensor) -> torch.Tensor:
        """Return the probability ``[B, 3]`` that clip and prompt agree on action, color and shape."""
        pairs = zip(self.read_clip(frames_BFHWC), self.read_prompt(words_BL), strict=True)
        return torch.stack([(clip.softmax(1) * prompt.softmax(1)).sum(1) for clip, prompt in pairs], dim=1)


class TextCritic:
    """The trained network behind an interface of frames and sentences."""

    def __init__(self, network: CriticNetwork) -> None:
        self._network = network.eval()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load the weights.

        Raises:
            FileNotFoundError: there is no such file.
        """
        if not path.is_file():
            raise FileNotFoundError(
                f"no critic weights at {path}; the shipped ones are at training.tiny.critic_path(), "
                "and python -m training.tiny.build --stage critic makes new ones"
            )
        network = CriticNetwork()
        network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
        return cls(network)

    def score(self, frames: NDArray[np.uint8], prompt: str) -> float:
        """Say how probable it is, in [0, 1], that the clip shows what the prompt says."""
        return self.score_batch([frames], [prompt])[0]

    def score_batch(self, clips: Sequence[NDArray[np.uint8]], prompts: Sequence[str]) -> list[float]:
        """Score clips, uint8 ``[F, H, W, 3]`` of any length and size, against one prompt each.

        Raises:
            ValueError: a clip has another shape or type, or there are not as many prompts as clips.
        """
        if len(clips) != len(prompts):
            raise ValueError(f"{len(clips)} clips but {len(prompts)} prompts; give one prompt per clip")
        scores: list[float] = []
        for start in range(0, len(clips), _BATCH):
            part = slice(start, start + _BATCH)
            frames = torch.stack([prepare_frames(clip) for clip in clips[part]])
            with torch.inference_mode():
                agreement = self._network(frames, hash_words(prompts[part]))
            # The three questions are taken as independent, and all of them count.
            scores += agreement.prod(dim=1).tolist()
        return scores


def prepare_frames(clip: NDArray[np.uint8]) -> torch.Tensor:
    """Bring a clip to the network's length and size: float ``[9, 64, 64, 3]`` in 0..1.

    Raises:
        ValueError: the clip is not uint8 of shape ``[F, H, W, 3]`` with at least one frame.
    """
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or 0 in clip.shape:
        raise ValueError(
            f"cannot score frames of shape {clip.shape} and type {clip.dtype}; give uint8 [F, H, W, 3]"
        )
    chosen = np.rint(np.linspace(0, len(clip) - 1, NUM_FRAMES)).astype(int)
    frames = torch.from_numpy(clip[chosen]).float() / 255.0
    if clip.shape[1:3] != (SIZE_PX, SIZE_PX):
        channels_first = frames.permute(0, 3, 1, 2)
        resized = nn.functional.interpolate(channels_first, (SIZE_PX, SIZE_PX), mode="area")
        frames = resized.permute(0, 2, 3, 1)
    return frames


def hash_words(prompts: Sequence[str]) -> torch.Tensor:
    """Turn each prompt's words into bucket numbers ``[B, MAX_WORDS]``; padding is 0, counting nothing."""
    table = torch.zeros((len(prompts), MAX_WORDS), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        words = re.findall(r"\w+", prompt.lower())[:MAX_WORDS]
        for column, word in enumerate(words):
            table[row, column] = 1 + zlib.crc32(word.encode()) % (NUM_BUCKETS - 1)
    return table
