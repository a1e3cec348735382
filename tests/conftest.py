from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from storage.clips import Frames
from storage.records import (
    Aspect,
    Assignment,
    AssignmentEnd,
    EndReason,
    Generator,
    Judgment,
    Outcome,
    Pair,
    Prompt,
    Rater,
    RaterKind,
    Record,
    Video,
    record_id,
    utc_now,
)
from storage.store import Store
from storage.workspace import Workspace

Vote = Callable[[str], list[Record]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Workspace.create(tmp_path / "workspace").root


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    with Store.open(root, min_free_bytes=0) as opened:
        yield opened


@pytest.fixture
def clip() -> Callable[[int], Frames]:
    def make(number: int) -> Frames:
        """A square that moves over a grainy ground; another number gives another clip."""
        ground = np.random.default_rng(number).integers(0, 60, (1, 64, 64, 3), dtype=np.uint8)
        frames = np.repeat(ground, 9, axis=0)
        for index in range(9):
            frames[index, 20:36, 4 + 4 * index : 20 + 4 * index] = (250, 40 + number % 200, 60)
        return frames

    return make


@pytest.fixture
def world() -> list[Record]:
    """Two prompts, two generators, a clip of each, a pair per prompt, a person and a model."""
    prompts: list[Record] = [
        Prompt(prompt_id="p1", text="a red ball slides", categories=("slide", "simple"), source="tiny"),
        Prompt(
            prompt_id="p2",
            text="a blue box spins",
            categories=("spin",),
            source="tiny",
            tags={"color": ("blue",)},
        ),
    ]
    generators: list[Record] = [
        Generator(generator_id="g0", name="base", family="wan", model="tiny", aliases=("Base-Model",)),
        Generator(generator_id="g1", name="tuned", family="wan", model="tiny", parent_id="g0", round=1),
    ]
    videos: list[Record] = [
        Video(video_id=f"{prompt}{generator}", prompt_id=prompt, generator_id=generator, seed=7)
        for prompt in ("p1", "p2")
        for generator in ("g0", "g1")
    ]
    pairs: list[Record] = [
        Pair(pair_id=f"pair-{p}", prompt_id=p, video_a_id=f"{p}g0", video_b_id=f"{p}g1", strategy="all_pairs")
        for p in ("p1", "p2")
    ]
    raters: list[Record] = [
        Rater(rater_id="ann", name="Ann", kind=RaterKind.HUMAN),
        Rater(rater_id="bot", name="builtin", kind=RaterKind.MODEL, details={"version": "1"}),
    ]
    return [*prompts, *generators, *videos, *pairs, *raters]


@pytest.fixture
def vote() -> Vote:
    def make(name: str) -> list[Record]:
        """What one submitted assignment writes: six rows."""
        shown = {"left_video_id": "p1g0", "right_video_id": "p1g1"}
        return [
            Assignment(assignment_id=name, pair_id="pair-p1", rater_id="ann", expires_at=utc_now(), **shown),
            AssignmentEnd(assignment_id=name, reason=EndReason.SUBMITTED),
            *[
                Judgment(
                    judgment_id=record_id("judgment", name, aspect),
                    pair_id="pair-p1",
                    rater_id="ann",
                    aspect=aspect,
                    outcome=Outcome.A,
                    chosen_video_id="p1g0",
                    assignment_id=name,
                    evidence={"loops": 3},
                    **shown,
                )
                for aspect in Aspect
            ],
        ]

    return make
