"""Which pairs a run learns from, which it is measured on, and in what order they come.

Everything here is a pure function of the dataset and the seed: which pairs make up step 700 does not depend
on the number of processes or on where a run was interrupted.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from training.draws import epoch_order
from training.errors import TrainingError


class DatasetRow(Protocol):
    """A row of a frozen dataset, as far as training reads it."""

    @property
    def pair_id(self) -> str:
        """Of the pair that was judged."""

    @property
    def prompt_id(self) -> str:
        """Of the prompt both clips were made from."""

    @property
    def prompt(self) -> str:
        """The prompt's text."""

    @property
    def aspect(self) -> str:
        """What was judged."""

    @property
    def winner_id(self) -> str | None:
        """The preferred video; None for a tie."""

    @property
    def loser_id(self) -> str | None:
        """The other video; None for a tie."""

    @property
    def weight(self) -> float:
        """What the loss multiplies the pair by."""


class PairDataset(Protocol):
    """A frozen dataset, as far as training reads it; `storage.export_reader.Dataset` is one."""

    @property
    def path(self) -> Path:
        """Its folder, for messages."""

    @property
    def dataset_id(self) -> str:
        """Its content hash, as in its manifest."""

    @property
    def pairs(self) -> Sequence[DatasetRow]:
        """All rows, ties included."""

    def frames(self, video_id: str) -> npt.NDArray[np.uint8]:
        """Return the clip's frames, [F, H, W, 3]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPair:
    """A decided pair: one clip is preferred."""

    pair_id: str
    prompt_id: str
    prompt: str
    winner_id: str
    loser_id: str
    weight: float


class PairSplit(NamedTuple):
    """Pairs to learn from and pairs to measure on; no prompt is in both."""

    train: list[TrainingPair]
    held_out: list[TrainingPair]


class Item(NamedTuple):
    """A pair with the number of the draw of noise and timestep it is seen at."""

    pair: TrainingPair
    draw_number: int


def training_pairs(dataset: PairDataset, aspect: str) -> list[TrainingPair]:
    """Return the dataset's decided pairs on one aspect, in order of their ids; ties teach this loss nothing.

    Raises:
        TrainingError: there are none.
    """
    rows = [row for row in dataset.pairs if row.aspect == aspect]
    pairs = [pair for row in rows if (pair := _decided(row)) is not None]
    if not pairs:
        aspects = sorted({str(row.aspect) for row in dataset.pairs})
        raise TrainingError(
            f"dataset {dataset.path} has no decided pair on {aspect!r} ({len(rows)} ties); it has labels on "
            f"{aspects}. Collect more judgments, or train on another aspect"
        )
    return sorted(pairs, key=lambda pair: pair.pair_id)


def split_held_out(pairs: Sequence[TrainingPair], fraction: float) -> PairSplit:
    """Hold out all pairs of a share of the prompts, the same ones in every run.

    At least one prompt is held out where `fraction` is above 0 and there are two prompts or more.
    """
    prompts = sorted({pair.prompt_id for pair in pairs}, key=_split_key)
    wanted = round(fraction * len(prompts))
    if fraction > 0 and len(prompts) > 1:
        wanted = min(max(wanted, 1), len(prompts) - 1)
    chosen = set(prompts[:wanted])
    held_out = [pair for pair in pairs if pair.prompt_id in chosen]
    return PairSplit([pair for pair in pairs if pair.prompt_id not in chosen], held_out)


def items_of_step(pairs: Sequence[TrainingPair], *, seed: int, first: int, count: int) -> list[Item]:
    """Return items `first` .. `first + count - 1` of the endless sequence of shuffled epochs.

    The draw number is the epoch, so that a pair meets new noise each time it comes round.
    """
    items: list[Item] = []
    orders: dict[int, npt.NDArray[np.int64]] = {}
    for number in range(first, first + count):
        epoch, place = divmod(number, len(pairs))
        if epoch not in orders:
            orders[epoch] = epoch_order(seed, epoch, len(pairs))
        items.append(Item(pairs[int(orders[epoch][place])], epoch))
    return items


def _decided(row: DatasetRow) -> TrainingPair | None:
    if row.winner_id is None or row.loser_id is None:
        return None
    return TrainingPair(
        pair_id=row.pair_id,
        prompt_id=row.prompt_id,
        prompt=row.prompt,
        winner_id=row.winner_id,
        loser_id=row.loser_id,
        weight=float(row.weight),
    )


def _split_key(prompt_id: str) -> str:
    return hashlib.sha256(f"held out\x1f{prompt_id}".encode()).hexdigest()
