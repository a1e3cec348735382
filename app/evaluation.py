"""Tuned against base on held-out prompts and seeds.

Clips of the tiny world are judged by its exact measuring program, which the judge that labels training pairs
never sees: a win is not the judge's own taste. For other prompts there is only the built-in scorer, and the
result says so.
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

MEASURE = "measure"
Key = tuple[str, int | None]
"""Prompt id and seed: what two clips that are compared have in common."""
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
    """Means over the base model's clips: `right_action`, `right_color`, `flicker`, `smoothness`, `motion`; or
    the aspects, where the built-in scorer judged."""
    tuned: Mapping[str, float]
    judged_by: str = MEASURE
    """`measure` (the exact measuring program) or `builtin` (the scorer that also labels pairs)."""

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
) -> dict[Key, Measurement]:
    """Measure clips of the tiny world; keys are (prompt id, seed)."""
    media = media_of(store, [video.video_id for video in videos])
    prompts = get_prompts(store, [video.prompt_id for video in videos])
    measured: dict[Key, Measurement] = {}
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


def is_measurable(prompts: Sequence[Prompt]) -> bool:
    """Say whether the measuring program can judge clips of these prompts."""
    return all(prompt.source == "tiny" and "color" in prompt.tags for prompt in prompts)


def compare_measured(base: Mapping[Key, Measurement], tuned: Mapping[Key, Measurement]) -> CategoryResult:
    """Compare two generators clip by clip on the same prompts and seeds, by the measuring program.

    Raises:
        ValueError: The two do not cover the same prompts and seeds, or are empty.
    """
    return compare(
        {key: score(found) for key, found in base.items()},
        {key: score(found) for key, found in tuned.items()},
        base_means=_means(list(base.values())),
        tuned_means=_means(list(tuned.values())),
        judged_by=MEASURE,
    )


def compare(
    base: Mapping[Key, float],
    tuned: Mapping[Key, float],
    *,
    base_means: Mapping[str, float],
    tuned_means: Mapping[str, float],
    judged_by: str,
) -> CategoryResult:
    """Compare two generators by one score per clip; the higher wins, an exact tie counts one half.

    Raises:
        ValueError: The two do not cover the same prompts and seeds, or are empty.
    """
    if not base or base.keys() != tuned.keys():
        raise ValueError(
            f"base has {len(base)} clips and tuned {len(tuned)}: the same prompts and seeds are needed"
        )
    gaps = [tuned[key] - base[key] for key in base]
    wins = sum(gap > 0 for gap in gaps) + 0.5 * sum(gap == 0 for gap in gaps)
    low, high = wilson_interval(wins, len(gaps))
    return CategoryResult(
        win_rate=wins / len(gaps),
        ci95=(low, high),
        num_pairs=len(gaps),
        base=base_means,
        tuned=tuned_means,
        judged_by=judged_by,
    )


def _means(measurements: Sequence[Measurement]) -> dict[str, float]:
    return {part: float(np.mean([getattr(m, part) for m in measurements])) for part in PARTS}
