"""A dataset of random pairs in memory, in the shape of the frozen one that training reads."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.draws import generator


@dataclass(frozen=True, kw_only=True)
class FakeRow:
    """One labelled pair."""

    pair_id: str
    prompt_id: str
    prompt: str
    aspect: str = "overall"
    winner_id: str | None
    loser_id: str | None
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class FakeDataset:
    """Pairs with clips that are drawn from their ids: smooth blobs, winners bright and losers dark."""

    path: Path
    dataset_id: str = "0" * 64
    pairs: list[FakeRow] = field(default_factory=list)
    size: tuple[int, int, int] = (9, 32, 32)
    """Frames, height, width."""

    def frames(self, video_id: str) -> npt.NDArray[np.uint8]:
        """Return the clip's frames."""
        count, height, width = self.size
        random = generator("clip of a test", video_id)
        base = 170 if video_id.startswith("w") else 70
        coarse = random.integers(-40, 40, (count, 4, 4, 3))
        fine = coarse.repeat(-(-height // 4), axis=1).repeat(-(-width // 4), axis=2)[:, :height, :width]
        return np.clip(base + fine, 0, 255).astype(np.uint8)


def make_dataset(
    folder: Path, *, num_prompts: int = 6, pairs_per_prompt: int = 2, size: tuple[int, int, int] = (9, 32, 32)
) -> FakeDataset:
    """Return a dataset with that many decided pairs; `folder` is only its name."""
    actions = ["slides left", "bounces up", "grows", "spins right", "slides right", "bounces up and down"]
    rows = [
        FakeRow(
            pair_id=f"pair-{prompt}-{number}",
            prompt_id=f"prompt-{prompt}",
            prompt=f"a red circle {actions[prompt % len(actions)]}",
            winner_id=f"w{prompt}-{number}",
            loser_id=f"l{prompt}-{number}",
        )
        for prompt in range(num_prompts)
        for number in range(pairs_per_prompt)
    ]
    return FakeDataset(path=folder, pairs=rows, size=size)
