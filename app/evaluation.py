"""Tuned against base on held-out prompts and seeds, judged by the exact measuring program of the tiny world.

The judge that labels training pairs never sees this program, so a win here is not the judge's own taste.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from annotation.statistics import wilson_interval
from app.progress import Progress, no_progress
from storage.clips import read_frames
from storage.media import media_file
from storage.prompts import get_prompts
from storage.records import Prompt, Video
from storage.store import Store
from storage.videos import media_of
from training.tiny.measure import Measurement, measure, score

PARTS = ("right_action", "right_color", "flicker", "smoothness", "motion")


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryResult:
    """What one category's report says."""

    win_rate: float
    """Share of held-out prompt-seed pairs that the tuned model wins; an exact tie counts one half."""
    ci95: tuple[float, float]
    """Two-sided 95 % Wilson interval of the win rate."""
    num_pairs: int
    base: Mapping[str, float]
    """Means over the base model's clips: `right_action`, `right_color`, `flicker`, `smoothness`, `motion`."""
    tuned: Mapping[str, float]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CategoryResult":
        """Read what `as_dict` wrote."""
        low, high = values["ci95"]
        return cls(**{**values, "ci95": (low, high)})

    def as_dict(self) -> dict[str, object]:
        """Return plain JSON types."""
        return {**asdict(self), "ci95": list(self.ci95)}


def measure_videos(
    store: Store, videos: Sequence[Video], *, progress: Progress = no_progress
) -> dict[tuple[str, int | None], Measurement]:
    """Measure clips of the tiny world; keys are (prompt id, seed)."""
    media = media_of(store, [video.video_id for video in videos])
    prompts = get_prompts(store, [video.prompt_id for video in videos])
    measured: dict[tuple[str, int | None], Measurement] = {}
    for done, video in enumerate(videos, start=1):
        path = media_file(store.workspace, media[video.video_id].media_id, kind="original")
        action, color = expected(prompts[video.prompt_id])
        measured[video.prompt_id, video.seed] = measure(read_frames(path), action=action, color=color)
        progress("measure held-out clips", done, len(videos))
    return measured


def expected(prompt: Prompt) -> tuple[str, str]:
    """Return the action and colour a prompt of the tiny world asks for.

    Raises:
        ValueError: The prompt is not one of the tiny world's.
    """
    if prompt.source != "tiny" or "color" not in prompt.tags:
        raise ValueError(
            f"prompt {prompt.text!r} is not of the tiny world, so nothing can measure it exactly"
        )
    return prompt.categories[0], prompt.tags["color"][0]


def compare_measured(
    base: Mapping[tuple[str, int | None], Measurement], tuned: Mapping[tuple[str, int | None], Measurement]
) -> CategoryResult:
    """Compare two generators clip by clip on the same prompts and seeds.

    Raises:
        ValueError: The two do not cover the same prompts and seeds, or are empty.
    """
    if not base or base.keys() != tuned.keys():
        raise ValueError(
            f"base has {len(base)} clips and tuned {len(tuned)}: the same prompts and seeds are needed"
        )
    gaps = [score(tuned[key]) - score(base[key]) for key in base]
    wins = sum(gap > 0 for gap in gaps) + 0.5 * sum(gap == 0 for gap in gaps)
    low, high = wilson_interval(wins, len(gaps))
    return CategoryResult(
        win_rate=wins / len(gaps),
        ci95=(low, high),
        num_pairs=len(gaps),
        base=_means(list(base.values())),
        tuned=_means(list(tuned.values())),
    )


def _means(measurements: Sequence[Measurement]) -> dict[str, float]:
    return {part: float(np.mean([getattr(m, part) for m in measurements])) for part in PARTS}
