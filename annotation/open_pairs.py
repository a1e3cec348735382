"""The pairs that still need raters, in the order in which they are handed out.

A sorted list of blocks. Each block counts, per rater, how many of its pairs that rater has already had, so
that the first pair new to a rater is found by passing over blocks, never over that rater's past work: with n
open pairs and blocks of up to B, one look-up takes at most n / B + B cheap steps (tens of microseconds for
100,000 pairs).
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

Key = tuple[float, int, int]
"""(minus priority, claims so far, age rank): the smallest comes first. The age rank makes it unique."""

MAX_BLOCK = 512


class HasRaters(Protocol):
    """A pair as the open list sees it."""

    @property
    def raters(self) -> Collection[str]:
        """Everybody who has had this pair: answered, skipped, or holding it now."""


PairT = TypeVar("PairT", bound=HasRaters)


@dataclass(slots=True)
class _Block(Generic[PairT]):
    keys: list[Key] = field(default_factory=list)
    pairs: dict[Key, PairT] = field(default_factory=dict)
    had: Counter[str] = field(default_factory=Counter)
    """Per rater: how many pairs of this block the rater has had."""

    def num_new(self, rater_id: str) -> int:
        return len(self.keys) - self.had.get(rater_id, 0)


class OpenPairs(Generic[PairT]):
    """The open pairs of one category. A pair's raters must not change while it is in: take it out first."""

    def __init__(self) -> None:
        self._blocks: list[_Block[PairT]] = []
        self._last_keys: list[Key] = []
        self._had: Counter[str] = Counter()
        self._num_pairs = 0

    def __len__(self) -> int:
        return self._num_pairs

    def num_new(self, rater_id: str) -> int:
        """Return how many of these pairs the rater has not had yet."""
        return self._num_pairs - self._had.get(rater_id, 0)

    def add(self, key: Key, pair: PairT) -> None:
        """Put a pair in."""
        if not self._blocks:
            self._blocks.append(_Block())
            self._last_keys.append(key)
        index = min(bisect_left(self._last_keys, key), len(self._blocks) - 1)
        block = self._blocks[index]
        insort(block.keys, key)
        block.pairs[key] = pair
        block.had.update(pair.raters)
        self._had.update(pair.raters)
        self._num_pairs += 1
        self._last_keys[index] = block.keys[-1]
        if len(block.keys) > MAX_BLOCK:
            self._split(index)

    def remove(self, key: Key) -> None:
        """Take the pair of this key out; it must be in."""
        index = bisect_left(self._last_keys, key)
        block = self._blocks[index]
        pair = block.pairs.pop(key)
        del block.keys[bisect_left(block.keys, key)]
        _subtract(block.had, pair.raters)
        _subtract(self._had, pair.raters)
        self._num_pairs -= 1
        if block.keys:
            self._last_keys[index] = block.keys[-1]
        else:
            del self._blocks[index], self._last_keys[index]

    def pick(self, rater_id: str, *, skip: int = 0) -> PairT | None:
        """Return the first pair in order that the rater has not had, after passing over `skip` such pairs."""
        for block in self._blocks:
            num_new = block.num_new(rater_id)
            if skip < num_new:
                fresh = (pair for key in block.keys if rater_id not in (pair := block.pairs[key]).raters)
                return next(pair for number, pair in enumerate(fresh) if number == skip)
            skip -= num_new
        return None

    def _split(self, index: int) -> None:
        block = self._blocks[index]
        middle = len(block.keys) // 2
        halves = [_block_of(keys, block.pairs) for keys in (block.keys[:middle], block.keys[middle:])]
        self._blocks[index : index + 1] = halves
        self._last_keys[index : index + 1] = [half.keys[-1] for half in halves]


def _block_of(keys: list[Key], pairs: dict[Key, PairT]) -> _Block[PairT]:
    had: Counter[str] = Counter()
    for key in keys:
        had.update(pairs[key].raters)
    return _Block(keys, {key: pairs[key] for key in keys}, had)


def _subtract(counts: Counter[str], raters: Collection[str]) -> None:
    for rater_id in raters:
        counts[rater_id] -= 1
        if not counts[rater_id]:
            del counts[rater_id]
