import random
from typing import Any

import pytest

from annotation.pairing import make_pairs
from storage.records import Pair, Prompt, Split, Video, record_id

PROMPTS = {
    "p1": Prompt(prompt_id="p1", text="a ball slides", categories=("slide",), source="test"),
    "p2": Prompt(prompt_id="p2", text="a ball spins", categories=("spin",), source="test"),
    "held": Prompt(
        prompt_id="held", text="a ball grows", categories=("grow",), source="test", split=Split.EVAL
    ),
}


def videos(**prompt_of: str) -> list[Video]:
    return [Video(video_id=name, prompt_id=prompt, generator_id="g") for name, prompt in prompt_of.items()]


def ends(pairs: list[Pair]) -> list[tuple[str, str]]:
    return [(pair.video_a_id, pair.video_b_id) for pair in pairs]


def test_pairs_all_videos_of_the_same_prompt_only() -> None:
    pairs = make_pairs(
        videos(v3="p1", v1="p1", v2="p1", w1="p2", w2="p2"), strategy="all_pairs", prompts=PROMPTS
    )
    assert ends(pairs) == [("v1", "v2"), ("v1", "v3"), ("v2", "v3"), ("w1", "w2")]
    assert [pair.prompt_id for pair in pairs] == ["p1", "p1", "p1", "p2"]
    assert pairs[0].pair_id == record_id("pair", "v1", "v2")


def test_does_not_depend_on_the_order_of_the_videos() -> None:
    some = videos(**{f"v{number}": f"p{1 + number % 2}" for number in range(9)})
    scores = {video.video_id: float(number % 4) for number, video in enumerate(some)}
    shuffled = random.Random(3).sample(some, len(some))
    for strategy in ("all_pairs", "best_vs_worst", "threshold", "adjacent"):
        first, second = (
            make_pairs(order, strategy=strategy, prompts=PROMPTS, scores=scores) for order in (some, shuffled)
        )
        assert ends(first) == ends(second) and first


def test_pairs_the_best_with_the_worst_by_score() -> None:
    scores = {"v1": 2.0, "v2": 5.0, "v3": 1.0, "w1": 3.0, "w2": 3.0}
    pairs = make_pairs(
        videos(v1="p1", v2="p1", v3="p1", w1="p2", w2="p2"),
        strategy="best_vs_worst",
        prompts=PROMPTS,
        scores=scores,
    )
    assert ends(pairs) == [("v2", "v3")], "equal scores give no pair"


@pytest.mark.parametrize(("min_gap", "num_pairs"), [(0.0, 1), (3.9, 1), (4.0, 0)])
def test_leaves_out_a_pair_when_its_gap_is_not_above_the_least(min_gap: float, num_pairs: int) -> None:
    pairs = make_pairs(
        videos(v1="p1", v2="p1"),
        strategy="best_vs_worst",
        prompts=PROMPTS,
        scores={"v1": 1.0, "v2": 5.0},
        min_gap=min_gap,
    )
    assert len(pairs) == num_pairs


def test_leaves_out_videos_without_a_score() -> None:
    pairs = make_pairs(
        videos(v1="p1", v2="p1", v3="p1"),
        strategy="best_vs_worst",
        prompts=PROMPTS,
        scores={"v1": 1.0, "v3": 5.0},
    )
    assert ends(pairs) == [("v1", "v3")]
    assert not make_pairs(videos(v1="p1"), strategy="best_vs_worst", prompts=PROMPTS, scores={"v1": 1.0})


def test_threshold_and_adjacent_use_the_order_of_scores() -> None:
    some = videos(v1="p1", v2="p1", v3="p1", v4="p1")
    scores = {"v1": 1.0, "v2": 4.0, "v3": 3.0, "v4": 3.0}
    adjacent = make_pairs(some, strategy="adjacent", prompts=PROMPTS, scores=scores)
    assert ends(adjacent) == [("v2", "v3"), ("v1", "v4")]
    threshold = make_pairs(some, strategy="threshold", prompts=PROMPTS, scores=scores, min_gap=1.5)
    assert ends(threshold) == [("v1", "v2"), ("v1", "v3"), ("v1", "v4")]


def test_never_pairs_held_out_prompts_unless_asked() -> None:
    some = videos(v1="held", v2="held")
    assert make_pairs(some, strategy="all_pairs", prompts=PROMPTS) == []
    assert len(make_pairs(some, strategy="all_pairs", prompts=PROMPTS, include_eval=True)) == 1


def test_leaves_out_pairs_that_exist() -> None:
    some = videos(v1="p1", v2="p1", v3="p1")
    first = make_pairs(some, strategy="all_pairs", prompts=PROMPTS)
    known = {first[0].pair_id, first[2].pair_id}
    again = make_pairs(some, strategy="all_pairs", prompts=PROMPTS, existing=known)
    assert [pair.pair_id for pair in again] == [first[1].pair_id]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"strategy": "worst_vs_worst"}, "best_vs_worst"),
        ({"strategy": "best_vs_worst"}, "needs a score"),
        ({"strategy": "all_pairs", "raters_per_pair": 0}, "raters_per_pair"),
        ({"strategy": "all_pairs", "min_gap": -1.0}, "min_gap"),
    ],
)
def test_refuses_settings_out_of_range(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make_pairs(videos(v1="p1"), prompts=PROMPTS, **settings)


def test_refuses_videos_of_an_unknown_prompt() -> None:
    with pytest.raises(ValueError, match="'lost'"):
        make_pairs(videos(v1="lost"), strategy="all_pairs", prompts=PROMPTS)
