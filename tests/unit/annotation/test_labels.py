from datetime import datetime, timedelta
from itertools import count

import pytest

from annotation.labels import majority_labels
from storage.records import Aspect, Judgment, Outcome, Pair

PAIR = Pair(pair_id="p", prompt_id="x", video_a_id="a", video_b_id="b", strategy="all_pairs")
START = datetime(2026, 1, 1)  # noqa: DTZ001  (naive UTC, as stored)
A, B, GOOD, BAD, UNPARSED = Outcome
numbers = count()


def judgment(
    outcome: Outcome,
    rater: str | None = None,
    *,
    aspect: Aspect = Aspect.OVERALL,
    late: bool = False,
    replaces: str | None = None,
    pair_id: str = "p",
) -> Judgment:
    number = next(numbers)
    return Judgment(
        judgment_id=f"j{number}",
        pair_id=pair_id,
        rater_id=rater or f"r{number}",
        aspect=aspect,
        outcome=outcome,
        chosen_video_id=None,
        left_video_id="a",
        right_video_id="b",
        late=late,
        replaces=replaces,
        created_at=START + timedelta(seconds=number),
    )


@pytest.mark.parametrize(
    ("votes", "outcome", "agreement"),
    [
        ([A], A, 1.0),
        ([B, B, A], B, 2 / 3),
        ([A, A, GOOD], A, 2 / 3),
        ([A, B], GOOD, 0.0),
        ([A, GOOD], GOOD, 0.5),
        ([A, A, B, BAD], BAD, 0.25),
        ([GOOD, GOOD, BAD], GOOD, 2 / 3),
        ([GOOD, BAD], BAD, 0.5),
        ([A, B, UNPARSED, UNPARSED, A], A, 2 / 3),
    ],
)
def test_takes_the_majority_and_calls_the_rest_a_tie(
    votes: list[Outcome], outcome: Outcome, agreement: float
) -> None:
    (label,) = majority_labels([PAIR], [judgment(vote) for vote in votes], aspect=Aspect.OVERALL)
    assert (label.outcome, label.agreement) == (outcome, pytest.approx(agreement))
    ends = {A: ("a", "b"), B: ("b", "a")}.get(outcome, (None, None))
    assert (label.winner_id, label.loser_id) == ends
    assert label.num_votes == len([vote for vote in votes if vote is not UNPARSED])


def test_swapping_the_videos_swaps_the_winner() -> None:
    votes = [A, A, B]
    (label,) = majority_labels([PAIR], [judgment(vote) for vote in votes], aspect=Aspect.OVERALL)
    swapped = [judgment(B if vote is A else A) for vote in votes]
    (mirror,) = majority_labels([PAIR], swapped, aspect=Aspect.OVERALL)
    assert (label.winner_id, label.agreement) == (mirror.loser_id, mirror.agreement)


def test_leaves_out_late_corrected_and_other_aspects() -> None:
    first = judgment(A, "ann")
    judgments = [
        first,
        judgment(B, "ann", replaces=first.judgment_id),
        judgment(A, "bob", late=True),
        judgment(A, "cem", aspect=Aspect.MOTION_QUALITY),
        judgment(A, "dan", pair_id="another"),
    ]
    (label,) = majority_labels([PAIR], judgments, aspect=Aspect.OVERALL)
    assert (label.outcome, label.num_votes) == (B, 1)


def test_a_rater_has_one_vote_the_newest() -> None:
    first, second = judgment(A, "ann"), judgment(B, "ann")
    (label,) = majority_labels([PAIR], [second, first], aspect=Aspect.OVERALL)
    assert (label.outcome, label.num_votes) == (B, 1)


@pytest.mark.parametrize(("min_votes", "num_labels"), [(0, 1), (2, 1), (3, 0)])
def test_gives_no_label_with_too_few_votes(min_votes: int, num_labels: int) -> None:
    labels = majority_labels([PAIR], [judgment(A), judgment(A)], aspect=Aspect.OVERALL, min_votes=min_votes)
    assert len(labels) == num_labels
    assert majority_labels([PAIR], [], aspect=Aspect.OVERALL, min_votes=0) == []
