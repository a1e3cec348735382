"""Which pairs a run sees, and in which order, follows from the dataset and the seed alone."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pair_datasets import FakeDataset, make_dataset
from training.data import items_of_step, split_held_out, training_pairs
from training.errors import TrainingError


@pytest.fixture
def dataset(tmp_path: Path) -> FakeDataset:
    return make_dataset(tmp_path, num_prompts=10, pairs_per_prompt=3)


def test_ties_and_other_aspects_are_left_out(dataset: FakeDataset) -> None:
    rows = list(dataset.pairs)
    rows[0] = replace(rows[0], winner_id=None, loser_id=None)
    rows[1] = replace(rows[1], aspect="motion_quality")
    pairs = training_pairs(replace(dataset, pairs=rows), "overall")
    assert len(pairs) == 28
    assert {rows[0].pair_id, rows[1].pair_id}.isdisjoint(pair.pair_id for pair in pairs)


def test_order_of_the_rows_does_not_matter(dataset: FakeDataset) -> None:
    reversed_rows = replace(dataset, pairs=dataset.pairs[::-1])
    assert training_pairs(dataset, "overall") == training_pairs(reversed_rows, "overall")


def test_dataset_without_decided_pairs_says_what_it_has(dataset: FakeDataset) -> None:
    with pytest.raises(TrainingError, match=r"text_alignment.*overall"):
        training_pairs(dataset, "text_alignment")


def test_no_prompt_is_both_trained_on_and_held_out(dataset: FakeDataset) -> None:
    split = split_held_out(training_pairs(dataset, "overall"), 0.3)
    assert {p.prompt_id for p in split.train}.isdisjoint(p.prompt_id for p in split.held_out)
    assert (len(split.train), len(split.held_out)) == (21, 9)


def test_a_held_out_prompt_stays_held_out_when_pairs_are_added(tmp_path: Path) -> None:
    few = make_dataset(tmp_path / "few", num_prompts=10, pairs_per_prompt=1)
    many = make_dataset(tmp_path / "many", num_prompts=10, pairs_per_prompt=5)
    chosen = [
        {pair.prompt_id for pair in split_held_out(training_pairs(data, "overall"), 0.2).held_out}
        for data in (few, many)
    ]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    ("num_prompts", "fraction", "held_out"), [(2, 0.01, 1), (2, 0.99, 1), (1, 0.5, 0), (5, 0, 0)]
)
def test_small_datasets_keep_something_on_both_sides(
    tmp_path: Path, num_prompts: int, fraction: float, held_out: int
) -> None:
    pairs = training_pairs(make_dataset(tmp_path, num_prompts=num_prompts, pairs_per_prompt=1), "overall")
    split = split_held_out(pairs, fraction)
    assert len(split.held_out) == held_out
    assert split.train


def test_every_epoch_visits_each_pair_once_with_its_own_draw(dataset: FakeDataset) -> None:
    pairs = training_pairs(dataset, "overall")
    items = items_of_step(pairs, seed=0, first=0, count=3 * len(pairs))
    assert Counter(item.draw_number for item in items) == {0: 30, 1: 30, 2: 30}
    assert len(set(items)) == 90


def test_items_do_not_depend_on_how_they_are_cut_into_batches(dataset: FakeDataset) -> None:
    pairs = training_pairs(dataset, "overall")
    whole = items_of_step(pairs, seed=4, first=0, count=70)
    parts = [item for start in range(0, 70, 7) for item in items_of_step(pairs, seed=4, first=start, count=7)]
    assert parts == whole
    assert items_of_step(pairs, seed=5, first=0, count=70) != whole
