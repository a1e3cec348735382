"""The scorer that needs no download: pixels and flow for quality, a small critic for the text.

The critic is imported, and torch with it, when a scorer with a critic is made and not before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from annotation.scorers.pixels import score_clip
from storage.records import Aspect


class TextScorer(Protocol):
    """Says how well a clip shows what its prompt says, from 0 to 1."""

    def score(self, frames: NDArray[np.uint8], prompt: str) -> float:
        """Score frames, uint8 [F, H, W, 3]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AspectWeights:
    """How much each part weighs.

    The defaults are VBench's own rule, which OmniScore (VideoDPO, 2024, arXiv 2412.14167) takes over:
    every quality part 1, dynamic degree 0.5; quality 4, text 1.
    """

    sharpness: float = 1.0
    flicker_free: float = 1.0
    motion_smoothness: float = 1.0
    subject_consistency: float = 1.0
    dynamic_degree: float = 0.5
    quality: float = 4.0
    """All quality parts together, against the text."""
    text: float = 1.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) >= 0:
                raise ValueError(f"the weight {name} is {getattr(self, name)}; it must be 0 or more")
        if self.quality == 0 or sum(self.part_weights.values()) == 0:
            raise ValueError("quality weighs nothing; give it and at least one of its parts a weight above 0")

    @property
    def part_weights(self) -> dict[str, float]:
        """The weights of the quality parts by name."""
        names = ("sharpness", "flicker_free", "motion_smoothness", "subject_consistency", "dynamic_degree")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipScores:
    """What the scorer says of one clip. All from 0 to 1, 1 being best."""

    parts: Mapping[str, float]
    """See `annotation.scorers.pixels`."""
    aspects: Mapping[Aspect, float]
    """Without `text_alignment` where there is no critic."""


class BuiltinScorer:
    """Scores clips on every aspect.

    Args:
        critic_path: the weights of `annotation.critic`, None for no judgment of the text. The shipped ones
            know the tiny world alone; on other clips their answer means little.
        weights: how much each part weighs.
        critic: a text scorer in place of the one loaded from `critic_path`.
    """

    VERSION: ClassVar[str] = "1"
    """Changes with every change of what is measured."""

    def __init__(
        self,
        critic_path: Path | None = None,
        *,
        weights: AspectWeights | None = None,
        critic: TextScorer | None = None,
    ) -> None:
        self._weights = weights or AspectWeights()
        self._critic = _load_critic(critic_path) if critic is None and critic_path is not None else critic

    def score(self, frames: NDArray[np.uint8], prompt: str) -> ClipScores:
        """Score one clip, uint8 [F, H, W, 3].

        Raises:
            ValueError: the frames are of another shape or type.
        """
        parts = score_clip(frames)
        text = None if self._critic is None else float(self._critic.score(frames, prompt))
        return ClipScores(parts=parts, aspects=aspects_of(parts, text, self._weights))


def aspects_of(parts: Mapping[str, float], text: float | None, weights: AspectWeights) -> dict[Aspect, float]:
    """Make the aspects from the parts.

    Visual quality is the weighted mean of sharpness, freedom from flicker and consistency. Motion quality is
    smoothness^(3/4) dynamic^(1/4): a clip that stands still has none, and wild motion does not make up for
    trembling. Overall is the weighted mean of Q, which is that of all parts, and the text: by default
    (4 Q + text) / 5. Where `text` is None, it is Q.
    """
    each = weights.part_weights
    visual = _weighted(
        {name: each[name] for name in ("sharpness", "flicker_free", "subject_consistency")}, parts
    )
    quality = _weighted(each, parts)
    aspects = {
        Aspect.VISUAL_QUALITY: visual,
        Aspect.MOTION_QUALITY: parts["motion_smoothness"] ** 0.75 * parts["dynamic_degree"] ** 0.25,
        Aspect.OVERALL: quality,
    }
    if text is not None:
        total = weights.quality + weights.text
        aspects[Aspect.TEXT_ALIGNMENT] = text
        aspects[Aspect.OVERALL] = (weights.quality * quality + weights.text * text) / total
    return aspects


def _weighted(weights: Mapping[str, float], values: Mapping[str, float]) -> float:
    total = sum(weights.values())
    return sum(weight * values[name] for name, weight in weights.items()) / total if total else 0.0


def _load_critic(path: Path) -> TextScorer:
    from annotation.critic import TextCritic  # noqa: PLC0415  (imports torch, which the server must not)

    critic: TextScorer = TextCritic.load(path)
    return critic
