import pytest

from annotation.judge import ScorerJudge, judge_from_scores, verdict
from annotation.labels import majority_labels
from storage.records import Aspect, Outcome, Pair


def pair(number: int) -> Pair:
    return Pair(
        pair_id=f"p{number}",
        prompt_id="x",
        video_a_id=f"a{number}",
        video_b_id=f"b{number}",
        strategy="all_pairs",
    )


def scores_of(value: float) -> dict[str, float]:
    return {aspect.value: value for aspect in Aspect} | {"sharpness": 0.3}


@pytest.mark.parametrize(
    ("a", "b", "outcome"),
    [
        (0.6, 0.5, Outcome.A),
        (0.5, 0.6, Outcome.B),
        (0.60, 0.59, Outcome.BOTH_GOOD),
        (0.40, 0.39, Outcome.BOTH_BAD),
        (0.5, 0.5, Outcome.BOTH_GOOD),
    ],
)
def test_verdict_of_two_scores(a: float, b: float, outcome: Outcome) -> None:
    assert verdict(a, b, margin=0.02, good_level=0.5) is outcome


def test_judges_every_aspect_and_keeps_the_scores() -> None:
    judge = ScorerJudge(rater_id="builtin", version="1")
    judgments = judge.judge([pair(1)], {"a1": scores_of(0.2), "b1": scores_of(0.8)})
    assert [judgment.aspect for judgment in judgments] == list(Aspect)
    assert {judgment.outcome for judgment in judgments} == {Outcome.B}
    first = judgments[0]
    assert (first.chosen_video_id, first.left_video_id, first.right_video_id) == ("b1", "a1", "b1")
    assert first.evidence["version"] == "1"
    assert first.evidence["scores_a"] == scores_of(0.2) and first.evidence["scores_b"] == scores_of(0.8)


def test_each_aspect_has_its_margin() -> None:
    judge = ScorerJudge(rater_id="r", version="1", margin=0.0, margins={Aspect.MOTION_QUALITY: 0.5})
    judgments = judge.judge([pair(1)], {"a1": scores_of(0.9), "b1": scores_of(0.5)})
    ties = [judgment.aspect for judgment in judgments if judgment.chosen_video_id is None]
    assert ties == [Aspect.MOTION_QUALITY]


def test_does_not_depend_on_the_order_of_pairs() -> None:
    judge = ScorerJudge(rater_id="r", version="1")
    scores = {
        f"{side}{number}": scores_of(number / 7 + (side == "a") / 3) for side in "ab" for number in range(3)
    }
    forward = judge.judge([pair(number) for number in range(3)], scores)
    backward = judge.judge([pair(number) for number in reversed(range(3))], scores)
    key = {judgment.judgment_id: judgment.outcome for judgment in forward}
    assert key == {judgment.judgment_id: judgment.outcome for judgment in backward}
    assert len(key) == 3 * len(Aspect)


def test_a_new_version_judges_anew_and_the_same_does_not() -> None:
    scores = {"a1": scores_of(0.2), "b1": scores_of(0.8)}
    ids = [
        {j.judgment_id for j in ScorerJudge(rater_id="r", version=version).judge([pair(1)], scores)}
        for version in ("1", "1", "2")
    ]
    assert ids[0] == ids[1] and not ids[0] & ids[2]


def test_passes_over_pairs_without_scores() -> None:
    judge = ScorerJudge(rater_id="r", version="1")
    assert judge.judge([pair(1)], {"a1": scores_of(0.2)}) == []
    assert judge_from_scores([pair(1)], {"a1": 3.0}, rater_id="r", aspect="motion_quality") == []


def test_refuses_a_negative_margin() -> None:
    with pytest.raises(ValueError, match="-0.1"):
        ScorerJudge(rater_id="r", version="1", margin=-0.1)


def test_mean_ratings_give_their_aspect_and_overall() -> None:
    means = {"a1": 3.0, "b1": 2.0, "a2": 4.0, "b2": 4.0, "a3": 1.0, "b3": 1.0}
    pairs = [pair(1), pair(2), pair(3)]
    judgments = judge_from_scores(pairs, means, rater_id="mean", aspect="motion_quality")
    by_pair = {(j.pair_id, j.aspect.value): j.outcome for j in judgments}
    for aspect in ("motion_quality", "overall"):
        assert by_pair["p1", aspect] is Outcome.A
        assert by_pair["p2", aspect] is Outcome.BOTH_GOOD, "above the mean of all, 2.5"
        assert by_pair["p3", aspect] is Outcome.BOTH_BAD
    assert len(judgments) == 6
    labels = majority_labels(pairs, judgments, aspect=Aspect.OVERALL)
    assert [label.winner_id for label in labels] == ["a1", None, None]


@pytest.mark.parametrize("aspect", ["overall", "fine_grained_alignment"])
def test_an_aspect_that_is_not_asked_gives_overall_alone(aspect: str) -> None:
    (judgment,) = judge_from_scores([pair(1)], {"a1": 1.0, "b1": 2.0}, rater_id="r", aspect=aspect)
    assert judgment.aspect is Aspect.OVERALL and judgment.evidence["aspect"] == aspect
