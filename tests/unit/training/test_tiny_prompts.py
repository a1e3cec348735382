"""The prompt split is what makes "held out" true."""

import random
import subprocess
import sys

import pytest

from training.tiny import CATEGORIES, COLORS, SHAPES, critic_path, held_out_prompts, model_dir, train_prompts
from training.tiny.prompts import all_words, random_train_prompt

NUM_TRAIN, NUM_HELD_OUT = 216, 72


@pytest.mark.parametrize("category", CATEGORIES)
def test_held_out_prompts_never_occur_in_training(category: str) -> None:
    train = {prompt.text for prompt in train_prompts(category, NUM_TRAIN, 0)}
    held_out = {prompt.text for prompt in held_out_prompts(category, NUM_HELD_OUT, 0)}
    assert len(train) == NUM_TRAIN
    assert len(held_out) == NUM_HELD_OUT
    assert not train & held_out


@pytest.mark.parametrize("category", CATEGORIES)
def test_both_halves_show_every_color_shape_and_word(category: str) -> None:
    halves = (train_prompts(category, NUM_TRAIN, 0), held_out_prompts(category, NUM_HELD_OUT, 0))
    for half in halves:
        assert {prompt.color for prompt in half} == set(COLORS)
        assert {prompt.shape for prompt in half} == set(SHAPES)
        assert {prompt.action for prompt in half} == {category}
    words = [{word for prompt in half for word in prompt.text.split()} for half in halves]
    assert words[1] <= words[0]


def test_prompts_are_the_same_for_the_same_seed_and_differ_for_another() -> None:
    assert train_prompts("spin", 20, 3) == train_prompts("spin", 20, 3)
    assert train_prompts("spin", 20, 3) != train_prompts("spin", 20, 4)


def test_a_sentence_says_what_its_tags_say() -> None:
    for prompt in train_prompts("orbit", NUM_TRAIN, 1):
        assert prompt.color in prompt.text
        assert prompt.shape in prompt.text


@pytest.mark.parametrize("n", [-1, NUM_HELD_OUT + 1])
def test_asking_for_more_prompts_than_there_are_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="ask for 0 to 72"):
        held_out_prompts("fall", n, 0)


def test_unknown_category_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown category 'fly'.*slide, bounce"):
        train_prompts("fly", 1, 0)


def test_random_train_prompt_asks_for_what_was_wanted_and_is_not_held_out() -> None:
    rng = random.Random(0)
    held_out = {prompt.text for prompt in held_out_prompts("rise", NUM_HELD_OUT, 0)}
    for _ in range(100):
        prompt = random_train_prompt(rng, action="rise", color="blue", shape="square")
        assert (prompt.action, prompt.color, prompt.shape) == ("rise", "blue", "square")
        assert prompt.text not in held_out


def test_vocabulary_holds_every_word_once() -> None:
    words = all_words()
    assert words == sorted(set(words))
    assert {"red", "circle", "spinning", ",", "-"} <= set(words)


def test_importing_the_package_loads_no_heavy_module() -> None:
    check = "import sys, training.tiny; assert not {'torch', 'numpy', 'diffusers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_paths_lie_in_the_package() -> None:
    assert model_dir().name == "model"
    assert critic_path().parent.parent == model_dir().parent
