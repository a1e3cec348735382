"""The measuring program against the generator's truth: it is right on clean clips and sees each flaw."""

from collections.abc import Callable

import numpy as np
import pytest

from training.tiny.flaws import flicker, freeze, jitter
from training.tiny.measure import Measurement, measure, score
from training.tiny.prompts import CATEGORIES, COLORS
from training.tiny.world import SIZE_PX, Scene, make_scene, render

PER_CATEGORY = 25


def _unspoiled(scene: Scene, rng: np.random.Generator) -> Scene:
    return scene


def _measured(
    spoil: Callable[[Scene, np.random.Generator], Scene], *, seed: int
) -> list[tuple[Scene, Measurement]]:
    rng = np.random.default_rng(seed)
    result = []
    for action in CATEGORIES:
        for _ in range(PER_CATEGORY):
            scene = spoil(make_scene(rng, action=action), rng)
            result.append((scene, measure(render(scene), action=action, color=scene.color)))
    return result


def test_clean_clips_are_read_right() -> None:
    measured = _measured(_unspoiled, seed=0)
    assert np.mean([m.right_action for _, m in measured]) >= 0.98
    assert np.mean([m.right_color for _, m in measured]) >= 0.99
    assert np.mean([m.shape == scene.shape for scene, m in measured]) >= 0.97
    assert max(m.flicker for _, m in measured) < 0.02
    assert np.mean([m.smoothness for _, m in measured]) > 0.9
    for category in CATEGORIES:
        motions = [m.motion for scene, m in measured if scene.action == category]
        assert np.mean(motions) == pytest.approx(1.0, abs=0.12)


def test_wrong_action_and_wrong_color_are_seen() -> None:
    rng = np.random.default_rng(1)
    for action in CATEGORIES:
        frames = render(make_scene(rng, action=action, color="red"))
        other = CATEGORIES[(CATEGORIES.index(action) + 3) % len(CATEGORIES)]
        found = measure(frames, action=other, color="blue")
        assert (found.action, found.color) == (action, "red")
        assert not found.right_action
        assert not found.right_color


def test_jitter_lowers_smoothness_alone() -> None:
    measured = [m for _, m in _measured(jitter, seed=2)]
    assert np.mean([m.smoothness for m in measured]) < 0.4
    assert np.mean([m.right_action for m in measured]) > 0.9
    assert np.mean([m.flicker for m in measured]) < 0.03


def test_flicker_is_measured_and_leaves_action_and_color() -> None:
    measured = [m for _, m in _measured(flicker, seed=3)]
    assert np.mean([m.flicker for m in measured]) > 0.15
    assert np.mean([m.right_action for m in measured]) > 0.95
    assert np.mean([m.right_color for m in measured]) > 0.97


def test_a_clip_frozen_early_has_little_motion_and_one_frozen_at_once_has_none() -> None:
    assert np.mean([m.motion for _, m in _measured(freeze, seed=4)]) < 0.55
    frames = render(make_scene(np.random.default_rng(5), action="spin"))
    still = measure(np.repeat(frames[:1], len(frames), axis=0), action="spin", color="red")
    assert still.motion == pytest.approx(0.0, abs=1e-6)
    assert still.action == "none"


def test_blur_as_an_autoencoder_makes_it_changes_little() -> None:
    rng = np.random.default_rng(6)
    right = []
    for action in CATEGORIES:
        for _ in range(10):
            scene = make_scene(rng, action=action)
            frames = render(scene).astype(float)
            for axis in (1, 2):
                frames = (np.roll(frames, 1, axis) + 2.0 * frames + np.roll(frames, -1, axis)) / 4.0
            found = measure(np.rint(frames).astype(np.uint8), action=action, color=scene.color)
            right.append(found.right_action and found.right_color)
    assert np.mean(right) >= 0.97


def test_an_empty_clip_shows_nothing() -> None:
    grey = np.full((9, SIZE_PX, SIZE_PX, 3), 200, np.uint8)
    found = measure(grey, action="fall", color="green")
    assert (found.action, found.color, found.shape) == ("none", "none", "none")
    assert score(found) == 0.0


def test_an_object_missing_from_some_frames_counts_as_flicker() -> None:
    scene = make_scene(np.random.default_rng(7), action="slide")
    frames = render(scene)
    frames[3] = 215
    found = measure(frames, action="slide", color=scene.color)
    assert found.right_action
    assert found.flicker >= 1 / 9


def test_larger_frames_measure_alike() -> None:
    scene = make_scene(np.random.default_rng(8), action="orbit")
    frames = render(scene)
    doubled = frames.repeat(2, axis=1).repeat(2, axis=2)
    assert measure(doubled, action="orbit", color=scene.color) == measure(
        frames, action="orbit", color=scene.color
    )


def test_score_puts_right_action_and_color_first_and_ranks_flaws_below_clean() -> None:
    rng = np.random.default_rng(9)
    scene = make_scene(rng, action="rise", color="blue")
    clean = measure(render(scene), action="rise", color="blue")
    assert score(clean) > 3.3
    for spoil in (jitter, flicker, freeze):
        assert score(measure(render(spoil(scene, rng)), action="rise", color="blue")) < score(clean) - 0.2
    wrong_color = measure(render(scene), action="rise", color="red")
    assert score(clean) - score(wrong_color) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((9, 64, 64), np.uint8),
        np.zeros((9, 64, 64, 3), np.float32),
        np.zeros((4, 64, 64, 3), np.uint8),
    ],
)
def test_other_shapes_and_types_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cannot measure frames"):
        measure(frames, action="fall", color=COLORS[0])


def test_unknown_action_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="actions are slide"):
        measure(np.zeros((9, 64, 64, 3), np.uint8), action="fly", color="red")
