"""The measures must see flaws put into clips on purpose, in clips drawn here and nowhere else."""

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.scorers.pixels import MAX_SIDE_PX, PARTS, score_clip

Frames = NDArray[np.uint8]
NUM_FRAMES = 9


def draw(
    xs: NDArray[np.float64], ys: NDArray[np.float64], gains: NDArray[np.float64], *, side_px: int = 64
) -> Frames:
    """A coloured square at these centres (pixels of 64), with these brightnesses, on a light ground."""
    scale = side_px / 64
    frames = np.full((len(xs), side_px, side_px, 3), 225, np.uint8)
    for frame, x, y, gain in zip(frames, xs, ys, gains, strict=True):
        color = tuple(float(np.clip(level * gain, 0, 255)) for level in (210, 60, 50))
        corner, other = (
            (int(round((x + d) * scale * 16)), int(round((y + d) * scale * 16))) for d in (-8, 8)
        )
        cv2.rectangle(frame, corner, other, color, cv2.FILLED, cv2.LINE_AA, 4)
    return frames


def slide(seed: int, *, jitter_px: float = 0.0, flicker: float = 0.0, side_px: int = 64) -> Frames:
    rng = np.random.default_rng(seed)
    xs = np.linspace(14, 50, NUM_FRAMES) + rng.normal(0, jitter_px, NUM_FRAMES)
    ys = np.full(NUM_FRAMES, rng.uniform(20, 44)) + rng.normal(0, jitter_px, NUM_FRAMES)
    return draw(xs, ys, 1 + rng.normal(0, flicker, NUM_FRAMES), side_px=side_px)


def frozen(seed: int) -> Frames:
    return slide(seed)[np.minimum(np.arange(NUM_FRAMES), 3)]


def blurred(seed: int) -> Frames:
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 2.0) for frame in slide(seed)])


def recolored(seed: int) -> Frames:
    frames = slide(seed)
    frames[4:] = frames[4:, ..., ::-1]
    return frames


FLAWED: list[tuple[str, Callable[[int], Frames]]] = [
    ("motion_smoothness", lambda seed: slide(seed, jitter_px=2.5)),
    ("flicker_free", lambda seed: slide(seed, flicker=0.25)),
    ("subject_consistency", recolored),
    ("dynamic_degree", frozen),
    ("motion_smoothness", frozen),
    ("sharpness", blurred),
]


@pytest.mark.parametrize(("part", "make"), FLAWED)
def test_a_flawed_clip_scores_lower_than_the_same_clip_without(
    part: str, make: Callable[[int], Frames]
) -> None:
    gaps = [score_clip(slide(seed))[part] - score_clip(make(seed))[part] for seed in range(8)]
    assert min(gaps) > 0.02, f"{part}: {gaps}"


def test_all_parts_are_shares() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (5, 32, 48, 3), dtype=np.uint8)
    for frames in (slide(0), noise, np.zeros((3, 16, 300, 3), np.uint8), noise[:1], noise[:2]):
        scores = score_clip(frames)
        assert tuple(scores) == PARTS
        assert all(0.0 <= score <= 1.0 for score in scores.values()), scores


def test_a_clip_that_stands_still_has_no_motion_to_praise() -> None:
    scores = score_clip(np.repeat(slide(0)[:1], NUM_FRAMES, axis=0))
    assert (scores["dynamic_degree"], scores["motion_smoothness"]) == (0.0, 0.0)
    assert (scores["flicker_free"], scores["subject_consistency"]) == (1.0, pytest.approx(1.0))


def test_does_not_depend_on_mirroring() -> None:
    frames = slide(1)
    scores, mirrored = score_clip(frames), score_clip(np.ascontiguousarray(frames[:, :, ::-1]))
    assert scores == pytest.approx(mirrored, abs=0.03)


def test_sees_the_same_in_a_larger_clip() -> None:
    small, large = score_clip(slide(2, side_px=MAX_SIDE_PX)), score_clip(slide(2, side_px=4 * MAX_SIDE_PX))
    assert small == pytest.approx(large, abs=0.05)


def test_the_same_frames_give_the_same_scores() -> None:
    assert score_clip(slide(3)) == score_clip(slide(3).copy())


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((3, 16, 16, 3), np.float32),
        np.zeros((3, 16, 16), np.uint8),
        np.zeros((0, 16, 16, 3), np.uint8),
        np.zeros((3, 15, 16, 3), np.uint8),
    ],
)
def test_refuses_what_is_no_clip(frames: Frames) -> None:
    with pytest.raises(ValueError, match="frames are"):
        score_clip(frames)


def test_time_grows_with_the_number_of_frames_and_no_faster() -> None:
    def seconds(num_repeats: int) -> float:
        frames = np.concatenate([slide(0)] * num_repeats)
        started = time.process_time()
        for _ in range(10):
            score_clip(frames)
        return time.process_time() - started

    seconds(1)
    assert min(seconds(4) for _ in range(3)) < 12 * min(seconds(1) for _ in range(3))
