"""The pairs and their places: who has had which, how many more people each needs, which side comes first.

The half of the work queue that knows nothing of leases, clocks and answers. Not thread-safe by itself.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass

from annotation.open_pairs import Key, OpenPairs
from storage.records import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePair:
    """A pair with what is already known about it, as the queue is filled."""

    pair: Pair
    categories: tuple[str, ...]
    """The categories of its prompt."""
    done_by: frozenset[str] = frozenset()
    """Raters with a valid (not late) judgment: each fills one place of the pair's quota."""
    skipped_by: frozenset[str] = frozenset()
    """Raters who shall not see it again although they fill no place."""
    withheld: bool = False
    """Handed out to nobody; whoever holds it already keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a category is, and how much of it is left for one rater."""

    total: int
    done: int
    """Pairs whose quota of raters is full."""
    yours: int
    """Pairs this rater has judged."""
    remaining_for_you: int
    """Pairs this rater could be given now, with those they hold."""


@dataclass(slots=True, eq=False)
class PairState:
    """One pair and its places. Changed by `PairBoard` alone."""

    pair: Pair
    categories: tuple[str, ...]
    age_rank: int
    num_votes: int
    raters: set[str]
    """Everybody who has answered (validly), skipped or holds it."""
    withheld: bool = False
    num_leases: int = 0
    order_balance: int = 0
    """Times shown with A on the left minus times with B there; what was shown in vain is left out."""
    last_a_left: bool | None = None

    @property
    def key(self) -> Key:
        """Its place in the order of handing out."""
        return (-self.pair.priority, self.num_votes + self.num_leases, self.age_rank)

    @property
    def is_done(self) -> bool:
        """Say whether as many people have judged it as it is meant for."""
        return self.num_votes >= self.pair.raters_per_pair

    @property
    def is_listed(self) -> bool:
        """Say whether it is among those to be handed out."""
        return self.has_room and not self.withheld

    @property
    def has_room(self) -> bool:
        """Say whether one more person may hold it."""
        return self.num_votes + self.num_leases < self.pair.raters_per_pair

    def is_free_for(self, rater_id: str) -> bool:
        """Say whether this person may hold it."""
        return self.has_room and rater_id not in self.raters


class PairBoard:
    """All pairs of the queue, listed by category in the order in which they are handed out.

    Args:
        seed: decides which side of each pair comes first.
    """

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._states: dict[str, PairState] = {}
        self._excluded: set[tuple[str, str]] = set()
        self._open: dict[str | None, OpenPairs[PairState]] = {}
        self._num_pairs: Counter[str | None] = Counter()
        self._num_done: Counter[str | None] = Counter()
        self._num_yours: Counter[tuple[str, str | None]] = Counter()

    def __contains__(self, pair_id: str) -> bool:
        return pair_id in self._states

    def get(self, pair_id: str) -> PairState | None:
        """Return the state of a pair, None if the board has no such pair."""
        return self._states.get(pair_id)

    def add(self, entry: QueuePair) -> None:
        """Put a pair on the board, younger than all before it."""
        state = PairState(
            pair=entry.pair,
            categories=tuple(dict.fromkeys(entry.categories)),
            age_rank=len(self._states),
            num_votes=len(entry.done_by),
            raters=set(entry.done_by | entry.skipped_by),
            withheld=entry.withheld,
        )
        self._states[entry.pair.pair_id] = state
        for category in (None, *state.categories):
            self._num_pairs[category] += 1
            self._num_done[category] += state.is_done
            self._num_yours.update((rater_id, category) for rater_id in entry.done_by)
        self._list(state)

    def pick(self, rater_id: str, category: str | None) -> PairState | None:
        """Return the next pair of the category (None: of any) for this rater."""
        pairs = self._open.get(category)
        return None if pairs is None else pairs.pick(rater_id)

    def puts_a_left(self, state: PairState) -> bool:
        """Say which side A shall be on next: where it has been less often, else not where it was last."""
        if state.order_balance:
            return state.order_balance < 0
        if state.last_a_left is not None:
            return not state.last_a_left
        return bool(hashlib.sha256(f"{self._seed}:{state.pair.pair_id}".encode()).digest()[0] & 1)

    def take(self, state: PairState, rater_id: str, *, a_left: bool) -> None:
        """Give one of the pair's places to a rater for a while."""
        self._unlist(state)
        state.num_leases += 1
        state.raters.add(rater_id)
        state.order_balance += 1 if a_left else -1
        state.last_a_left = a_left
        self._list(state)

    def free(self, state: PairState, rater_id: str, *, a_left: bool) -> None:
        """Take the place back: the rater has not answered and, unless excluded, may get the pair again."""
        self._unlist(state)
        state.num_leases -= 1
        if (state.pair.pair_id, rater_id) not in self._excluded:
            state.raters.discard(rater_id)
        state.order_balance -= 1 if a_left else -1
        self._list(state)

    def fill(self, state: PairState, rater_id: str) -> None:
        """Keep the place for good: the rater who held it has answered."""
        self._unlist(state)
        was_done = state.is_done
        state.num_leases -= 1
        state.num_votes += 1
        for category in (None, *state.categories):
            self._num_yours[rater_id, category] += 1
            self._num_done[category] += state.is_done and not was_done
        self._list(state)

    def exclude(self, state: PairState, rater_id: str) -> None:
        """Never give the pair to this rater again, also after a lease that runs now."""
        self._excluded.add((state.pair.pair_id, rater_id))
        self._unlist(state)
        state.raters.add(rater_id)
        self._list(state)

    def progress(self, rater_id: str, category: str | None, *, num_held: int) -> Progress:
        """Return the counts of a category for a rater who holds `num_held` of its pairs."""
        num_new = self._open[category].num_new(rater_id) if category in self._open else 0
        return Progress(
            total=self._num_pairs[category],
            done=self._num_done[category],
            yours=self._num_yours[rater_id, category],
            remaining_for_you=num_new + num_held,
        )

    def _list(self, state: PairState) -> None:
        if state.is_listed:
            for category in (None, *state.categories):
                self._open.setdefault(category, OpenPairs()).add(state.key, state)

    def _unlist(self, state: PairState) -> None:
        if state.is_listed:
            for category in (None, *state.categories):
                self._open[category].remove(state.key)
