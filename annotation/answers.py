"""A person's answers about the two clips as shown, and the judgments they become.

The browser knows only `left` and `right`; what is stored is the video chosen, and what was shown where.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from annotation.errors import InvalidAnswer
from storage.records import Aspect, Assignment, Judgment, Outcome, Pair, record_id

MAX_COMMENT_CHARS = 4000


class Choice(StrEnum):
    """What a rater can answer on one aspect."""

    LEFT = "left"
    RIGHT = "right"
    BOTH_GOOD = "both_good"
    BOTH_BAD = "both_bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A checked answer sheet. Two sheets are equal when a rater would say that they are the same answer."""

    choices: Mapping[Aspect, Choice]
    """At least `overall`."""
    confidence: int | None = None
    """1 (guess) to 3 (sure)."""
    comment: str | None = None
    evidence: Mapping[str, object] = field(default_factory=dict, compare=False)
    """What the page recorded; a repeated request may differ here and is still the same answer."""


def check_answers(
    choices: Mapping[str, str],
    *,
    confidence: int | None = None,
    comment: str | None = None,
    evidence: Mapping[str, object] | None = None,
) -> Answers:
    """Turn a request's fields into an answer sheet.

    Raises:
        InvalidAnswer: an unknown aspect or outcome, `overall` missing, or confidence or comment out of range.
    """
    checked = {_aspect(aspect): _choice(aspect, value) for aspect, value in choices.items()}
    if Aspect.OVERALL not in checked:
        raise InvalidAnswer(f"answers lack 'overall', which is required (given: {sorted(choices)})")
    if confidence is not None and confidence not in (1, 2, 3):
        raise InvalidAnswer(f"confidence is {confidence!r}; allowed: 1 (guess), 2, 3 (sure), or none")
    if comment is not None and len(comment) > MAX_COMMENT_CHARS:
        raise InvalidAnswer(
            f"the comment has {len(comment)} characters; at most {MAX_COMMENT_CHARS} are kept"
        )
    return Answers(
        choices=checked, confidence=confidence, comment=comment or None, evidence=dict(evidence or {})
    )


def judgments_from(
    answers: Answers,
    *,
    assignment: Assignment,
    pair: Pair,
    now: datetime,
    late: bool = False,
    revision: int = 0,
    previous: Mapping[Aspect, str] | None = None,
) -> list[Judgment]:
    """Return one judgment per aspect answered.

    Args:
        answers: the checked answer sheet.
        assignment: says what was shown where.
        pair: says which video is A and which is B.
        now: the time written on the judgments.
        late: the lease had ended when the answer came.
        revision: 0 for the first answer, one more for each correction; part of the judgment's name.
        previous: judgment id by aspect of the answer that this one corrects.
    """
    return [
        Judgment(
            judgment_id=record_id("judgment", assignment.assignment_id, aspect, revision),
            pair_id=pair.pair_id,
            rater_id=assignment.rater_id,
            aspect=aspect,
            outcome=_outcome(choice, assignment, pair),
            chosen_video_id=_chosen(choice, assignment),
            left_video_id=assignment.left_video_id,
            right_video_id=assignment.right_video_id,
            assignment_id=assignment.assignment_id,
            confidence=answers.confidence,
            comment=answers.comment,
            evidence=answers.evidence,
            late=late,
            replaces=(previous or {}).get(aspect),
            created_at=now,
        )
        for aspect, choice in sorted(answers.choices.items())
    ]


def answers_of(judgments: list[Judgment]) -> Answers:
    """Return the answer sheet that the stored judgments of one assignment came from."""
    first = judgments[0]
    return Answers(
        choices={judgment.aspect: _choice_of(judgment) for judgment in judgments},
        confidence=first.confidence,
        comment=first.comment,
        evidence=first.evidence,
    )


def _aspect(value: str) -> Aspect:
    try:
        return Aspect(value)
    except ValueError:
        allowed = ", ".join(Aspect)
        raise InvalidAnswer(f"unknown aspect {value!r}; allowed: {allowed}") from None


def _choice(aspect: str, value: str) -> Choice:
    try:
        return Choice(value)
    except ValueError:
        allowed = ", ".join(Choice)
        raise InvalidAnswer(f"unknown outcome {value!r} for {aspect!r}; allowed: {allowed}") from None


def _chosen(choice: Choice, assignment: Assignment) -> str | None:
    if choice is Choice.LEFT:
        return assignment.left_video_id
    return assignment.right_video_id if choice is Choice.RIGHT else None


def _outcome(choice: Choice, assignment: Assignment, pair: Pair) -> Outcome:
    chosen = _chosen(choice, assignment)
    if chosen is None:
        return Outcome(choice.value)
    return Outcome.A if chosen == pair.video_a_id else Outcome.B


def _choice_of(judgment: Judgment) -> Choice:
    if judgment.chosen_video_id is None:
        return Choice(judgment.outcome.value)
    return Choice.LEFT if judgment.chosen_video_id == judgment.left_video_id else Choice.RIGHT
