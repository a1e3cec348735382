"""From judgments to labels by majority.

Which raters count is the caller's choice: give their judgments and no others. Late answers, unreadable
replies and answers that were corrected never count; of one rater's several on a pair only the newest does.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from storage.records import Aspect, Judgment, Label, Outcome, Pair

_TIES = (Outcome.BOTH_GOOD, Outcome.BOTH_BAD)


def majority_labels(
    pairs: Iterable[Pair], judgments: Iterable[Judgment], *, aspect: Aspect, min_votes: int = 1
) -> list[Label]:
    """Return the label of each pair with at least `min_votes` votes on the aspect, in the order of the pairs.

    A video wins with more than half of all votes, ties and all. Otherwise the pair is a tie: both good or
    both bad, whichever more voters said (both bad where they are as many; a plain disagreement counts as both
    good, for it calls neither bad). `agreement` is the share of voters who gave just that outcome.
    """
    votes = _valid_votes(judgments, aspect)
    return [
        _label(pair, Counter(votes[pair.pair_id].values()), aspect)
        for pair in pairs
        if len(votes.get(pair.pair_id, {})) >= max(1, min_votes)
    ]


def _valid_votes(judgments: Iterable[Judgment], aspect: Aspect) -> Mapping[str, dict[str, Outcome]]:
    """Return the outcome by rater, by pair; of one rater's several the newest."""
    kept = [judgment for judgment in judgments if judgment.aspect is aspect]
    replaced = {judgment.replaces for judgment in kept}
    votes: dict[str, dict[str, Outcome]] = defaultdict(dict)
    for judgment in sorted(kept, key=lambda one: (one.created_at, one.judgment_id)):
        is_valid = not judgment.late and judgment.outcome is not Outcome.UNPARSED
        if is_valid and judgment.judgment_id not in replaced:
            votes[judgment.pair_id][judgment.rater_id] = judgment.outcome
    return votes


def _label(pair: Pair, counts: Counter[Outcome], aspect: Aspect) -> Label:
    num_votes = counts.total()
    outcome = _majority(counts, num_votes)
    a_wins = outcome is Outcome.A
    has_winner = outcome not in _TIES
    ends = (pair.video_a_id, pair.video_b_id) if a_wins else (pair.video_b_id, pair.video_a_id)
    return Label(
        pair_id=pair.pair_id,
        prompt_id=pair.prompt_id,
        aspect=aspect,
        outcome=outcome,
        winner_id=ends[0] if has_winner else None,
        loser_id=ends[1] if has_winner else None,
        agreement=counts[outcome] / num_votes,
        num_votes=num_votes,
    )


def _majority(counts: Counter[Outcome], num_votes: int) -> Outcome:
    for outcome in (Outcome.A, Outcome.B):
        if 2 * counts[outcome] > num_votes:
            return outcome
    bad, good = counts[Outcome.BOTH_BAD], counts[Outcome.BOTH_GOOD]
    return Outcome.BOTH_BAD if bad and bad >= good else Outcome.BOTH_GOOD
