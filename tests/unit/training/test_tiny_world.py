"""The generator: right sizes, same seed same pixels, and flaws that do what they say."""

from dataclasses import replace

import numpy as np
import pytest

from training.tiny.flaws import BASE_RATES, CLEAN, add_visual_flaws, caption_wants, flicker, freeze, jitter
from training.tiny.prompts import CATEGORIES, COLORS, SHAPES
from training.tiny.world import COLOR_RGB, NUM_FRAMES, SIZE_PX, make_scene, render


@pytest.mark.parametrize("action", CATEGORIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_object_stays_inside_the_picture(action: str, shape: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scene = make_scene(rng, action=action, shape=shape)
        frames = render(scene).astype(float)
        assert frames.shape == (NUM_FRAMES, SIZE_PX, SIZE_PX, 3)
        border = np.concatenate([frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]], axis=1)
        assert np.abs(border - np.asarray(scene.background)).max() <= 1.0


def test_same_seed_gives_the_same_pixels() -> None:
    first, second = (render(make_scene(np.random.default_rng(5))) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, render(make_scene(np.random.default_rng(6))))


@pytest.mark.parametrize("color", COLORS)
def test_object_has_its_color_at_its_centre(color: str) -> None:
    scene = make_scene(np.random.default_rng(1), action="shrink", color=color)
    x, y = int(scene.trajectory.x[0]), int(scene.trajectory.y[0] + 0.5 * scene.trajectory.radius[0])
    assert np.allclose(render(scene)[0, y, x], COLOR_RGB[color], atol=1.0)


def test_unknown_action_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown action 'explode'"):
        make_scene(np.random.default_rng(0), action="explode")


def test_freeze_repeats_an_early_frame_to_the_end() -> None:
    rng = np.random.default_rng(2)
    frames = render(freeze(make_scene(rng, action="slide"), rng))
    assert all(np.array_equal(frames[4], frame) for frame in frames[5:])
    assert not np.array_equal(frames[0], frames[4])


def test_jitter_moves_the_object_and_leaves_the_rest() -> None:
    rng = np.random.default_rng(3)
    scene = make_scene(rng)
    spoiled = jitter(scene, rng)
    assert np.std(spoiled.trajectory.x - scene.trajectory.x) > 0.8
    assert replace(spoiled, trajectory=scene.trajectory) == scene


def test_flicker_changes_brightness_alone() -> None:
    rng = np.random.default_rng(4)
    scene = make_scene(rng)
    spoiled = flicker(scene, rng).trajectory
    assert np.array_equal(spoiled.x, scene.trajectory.x)
    assert np.std(spoiled.object_gain) > 0.05


def test_flaws_occur_at_their_rates() -> None:
    rng = np.random.default_rng(5)
    found = [add_visual_flaws(make_scene(rng), rng, BASE_RATES)[1] for _ in range(2000)]
    for name, rate in (
        ("jitter", BASE_RATES.jitter),
        ("flicker", BASE_RATES.flicker),
        ("freeze", BASE_RATES.freeze),
    ):
        share = np.mean([name in names for names in found])
        assert share == pytest.approx(rate, abs=0.035)


def test_captions_are_wrong_at_their_rates_and_right_when_clean() -> None:
    rng = np.random.default_rng(6)
    asked = [caption_wants(rng, BASE_RATES, action="fall", color="red") for _ in range(3000)]
    assert np.mean([action != "fall" for action, _ in asked]) == pytest.approx(
        BASE_RATES.wrong_action, abs=0.03
    )
    assert np.mean([color != "red" for _, color in asked]) == pytest.approx(BASE_RATES.wrong_color, abs=0.03)
    assert caption_wants(rng, CLEAN, action="fall", color="red") == ("fall", "red")
