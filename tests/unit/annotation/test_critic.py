"""The shipped critic on clips it never saw, whose truth the generator knows; and its plumbing."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from annotation.critic import (
    MAX_WORDS,
    NUM_BUCKETS,
    CriticNetwork,
    TextCritic,
    hash_words,
    prepare_frames,
)
from training.tiny import CATEGORIES, COLORS, SHAPES, critic_path
from training.tiny.prompts import random_train_prompt
from training.tiny.world import make_scene, render


@pytest.fixture(scope="module")
def critic() -> TextCritic:
    return TextCritic.load(critic_path())


@pytest.fixture(scope="module")
def answers(critic: TextCritic) -> dict[str, np.ndarray]:
    """Scores of 160 clean clips against a fitting prompt and against one wrong in each part."""
    rng, words = np.random.default_rng(991), random.Random(991)
    clips = []
    prompts: dict[str, list[str]] = {"right": [], "wrong action": [], "wrong color": [], "wrong shape": []}
    for number in range(160):
        scene = make_scene(rng, action=CATEGORIES[number % len(CATEGORIES)])
        clips.append(render(scene))
        truth = {"action": scene.action, "color": scene.color, "shape": scene.shape}
        prompts["right"].append(random_train_prompt(words, **truth).text)
        for part, options in (("action", CATEGORIES), ("color", COLORS), ("shape", SHAPES)):
            other = words.choice([option for option in options if option != truth[part]])
            prompts[f"wrong {part}"].append(random_train_prompt(words, **(truth | {part: other})).text)
    return {name: np.array(critic.score_batch(clips, texts)) for name, texts in prompts.items()}


@pytest.mark.parametrize("wrong", ["wrong action", "wrong color", "wrong shape"])
def test_shipped_critic_ranks_the_fitting_prompt_above_a_wrong_one(
    answers: dict[str, np.ndarray], wrong: str
) -> None:
    assert np.mean(answers["right"] > answers[wrong]) >= 0.9


def test_shipped_critic_tells_right_from_wrong_at_one_half(answers: dict[str, np.ndarray]) -> None:
    assert np.mean(answers["right"] > 0.5) >= 0.85
    assert np.mean(answers["wrong action"] < 0.5) >= 0.85
    assert np.mean(answers["wrong color"] < 0.5) >= 0.9


def test_one_clip_scores_as_in_a_batch(critic: TextCritic) -> None:
    clips = [render(make_scene(np.random.default_rng(seed))) for seed in range(3)]
    texts = ["a red circle spinning in place", "two dogs run", ""]
    together = critic.score_batch(clips, texts)
    alone = [critic.score(clip, text) for clip, text in zip(clips, texts, strict=True)]
    assert together == pytest.approx(alone, abs=1e-5)
    assert all(0.0 <= value <= 1.0 for value in together)


@pytest.mark.parametrize("shape", [(1, 64, 64, 3), (33, 48, 80, 3), (9, 7, 5, 3)])
def test_any_length_and_size_is_accepted(critic: TextCritic, shape: tuple[int, ...]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert prepare_frames(frames).shape == (9, 64, 64, 3)
    assert 0.0 <= critic.score(frames, "a cat plays the piano " * 20) <= 1.0


@pytest.mark.parametrize(
    "frames", [np.zeros((9, 64, 64), np.uint8), np.zeros((9, 64, 64, 3)), np.zeros((0, 8, 8, 3), np.uint8)]
)
def test_other_shapes_and_types_are_refused(critic: TextCritic, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cannot score frames"):
        critic.score(frames, "a red circle")


def test_a_prompt_too_few_is_refused(critic: TextCritic) -> None:
    with pytest.raises(ValueError, match="2 clips but 1 prompts"):
        critic.score_batch([np.zeros((9, 64, 64, 3), np.uint8)] * 2, ["a red circle"])


def test_no_clips_give_no_scores(critic: TextCritic) -> None:
    assert critic.score_batch([], []) == []


def test_words_hash_the_same_everywhere_and_ignore_case_and_punctuation() -> None:
    first, second = hash_words(["A red, circle", "a RED circle!"])
    assert torch.equal(first, second)
    assert first[:3].min() >= 1
    assert first.max() < NUM_BUCKETS
    assert first[3:].tolist() == [0] * (MAX_WORDS - 3)


def test_world_words_that_decide_share_no_bucket() -> None:
    deciding = [
        *COLORS,
        *SHAPES,
        "sliding",
        "bouncing",
        "growing",
        "shrinking",
        "spinning",
        "orbiting",
        "falling",
    ]
    assert len(set(hash_words([" ".join(deciding)])[0, : len(deciding)].tolist())) == len(deciding)


def test_missing_weights_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--stage critic"):
        TextCritic.load(tmp_path / "nothing.safetensors")


def test_weights_survive_saving_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = CriticNetwork()
    path = tmp_path / "critic.safetensors"
    save_file({name: tensor.half() for name, tensor in network.state_dict().items()}, path)
    frames = render(make_scene(np.random.default_rng(1)))
    saved, direct = TextCritic.load(path), TextCritic(network)
    assert saved.score(frames, "a blue square") == pytest.approx(
        direct.score(frames, "a blue square"), abs=2e-3
    )
