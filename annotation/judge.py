"""Raters that judge pairs by numbers: two clips' scores become the same judgments that people give.

A verdict depends on the two scores alone, never on the order of pairs or sides, and the same input gives the
same judgment ids, so judging again adds nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from storage.records import Aspect, Judgment, Outcome, Pair, record_id

Scores = Mapping[str, Mapping[str, float]]
"""Score by name (parts and aspects) by video id."""

DEFAULT_MARGIN = 0.02
GOOD_LEVEL = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerJudge:
    """Judges every aspect of a pair by a scorer's scores from 0 to 1."""

    rater_id: str
    version: str
    """Of the scorer; kept with each judgment and part of its name: a new version judges anew."""
    margin: float = DEFAULT_MARGIN
    """Two scores that differ by no more than this are a tie."""
    margins: Mapping[Aspect, float] = field(default_factory=dict)
    """Margins of single aspects, where they differ."""
    good_level: float = GOOD_LEVEL
    """A tie is called good where the mean of the two scores is at least this."""

    def __post_init__(self) -> None:
        for margin in (self.margin, *self.margins.values()):
            if margin < 0:
                raise ValueError(f"margin is {margin}; it must be 0 or more")

    def judge(self, pairs: Iterable[Pair], scores: Scores) -> list[Judgment]:
        """Return a judgment per pair and aspect for which both videos have a score.

        The evidence keeps all scores of both videos, the margin and the scorer's version.
        """
        return [
            self._judgment(pair, aspect, scores)
            for pair in pairs
            for aspect in Aspect
            if all(aspect in scores.get(video_id, {}) for video_id in (pair.video_a_id, pair.video_b_id))
        ]

    def _judgment(self, pair: Pair, aspect: Aspect, scores: Scores) -> Judgment:
        a, b = scores[pair.video_a_id], scores[pair.video_b_id]
        margin = self.margins.get(aspect, self.margin)
        outcome = verdict(a[aspect], b[aspect], margin=margin, good_level=self.good_level)
        evidence = {"version": self.version, "margin": margin, "scores_a": dict(a), "scores_b": dict(b)}
        return _judgment(pair, aspect, outcome, self.rater_id, version=self.version, evidence=evidence)


def judge_from_scores(
    pairs: Iterable[Pair],
    scores: Mapping[str, float],
    *,
    rater_id: str,
    aspect: str,
    margin: float = 0.0,
    good_level: float | None = None,
) -> list[Judgment]:
    """Judge pairs by one number per video, such as people's mean rating; pairs without both are passed over.

    Gives the `overall` judgment, and where `aspect` is one that is asked, that one too.

    Args:
        pairs: the pairs to judge.
        scores: the number by video id; more is better.
        rater_id: whose judgments these are.
        aspect: what the numbers say something about; kept as evidence.
        margin: two numbers that differ by no more than this are a tie.
        good_level: a tie is good where the mean is at least this; None takes the mean of all numbers given.
    """
    level = good_level if good_level is not None else sum(scores.values()) / max(len(scores), 1)
    judged = dict.fromkeys([aspect, Aspect.OVERALL] if aspect in list(Aspect) else [Aspect.OVERALL])
    judgments = []
    for pair in pairs:
        if pair.video_a_id not in scores or pair.video_b_id not in scores:
            continue
        a, b = scores[pair.video_a_id], scores[pair.video_b_id]
        outcome = verdict(a, b, margin=margin, good_level=level)
        evidence = {"aspect": aspect, "margin": margin, "score_a": a, "score_b": b}
        judgments += [
            _judgment(pair, Aspect(one), outcome, rater_id, version="", evidence=evidence) for one in judged
        ]
    return judgments


def verdict(a: float, b: float, *, margin: float, good_level: float) -> Outcome:
    """Return what two scores say: the higher wins by more than the margin, else both are good or both bad."""
    if abs(a - b) > margin:
        return Outcome.A if a > b else Outcome.B
    return Outcome.BOTH_GOOD if (a + b) / 2 >= good_level else Outcome.BOTH_BAD


def _judgment(
    pair: Pair,
    aspect: Aspect,
    outcome: Outcome,
    rater_id: str,
    *,
    version: str,
    evidence: Mapping[str, object],
) -> Judgment:
    chosen = {Outcome.A: pair.video_a_id, Outcome.B: pair.video_b_id}.get(outcome)
    return Judgment(
        judgment_id=record_id("judgment", rater_id, version, pair.pair_id, aspect),
        pair_id=pair.pair_id,
        rater_id=rater_id,
        aspect=aspect,
        outcome=outcome,
        chosen_video_id=chosen,
        left_video_id=pair.video_a_id,
        right_video_id=pair.video_b_id,
        evidence=evidence,
    )
