"""What the Rounds page shows: the ledger, training curves, samples before and after at equal seeds.

Run folders are read as plain JSON lines, so that the server needs nothing of the trainer.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.generators import base_of, list_generators
from storage.prompts import get_prompts
from storage.records import RoundRecord, Split, Video
from storage.rounds import list_datasets, list_rounds, list_runs, run_ends
from storage.store import Store
from storage.videos import list_videos

Points = list[tuple[float, float]]

CURVES: Mapping[str, tuple[str, ...]] = {
    "Loss": ("loss",),
    "Error of the policy less that of the reference": ("win_gap", "lose_gap"),
    "Pairs told apart": ("accuracy",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRow:
    """One line of the ledger with the names behind its ids."""

    record: RoundRecord
    generator: str
    parent: str
    num_pairs: int
    """In the dataset it was trained on."""
    status: str
    """Of its training run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePair:
    """The same held-out prompt and seed by the base model and by the round's."""

    prompt: str
    seed: int
    before: Video
    after: Video


def round_rows(store: Store, *, category: str | None = None) -> list[RoundRow]:
    """Return the ledger in order."""
    names = {generator.generator_id: generator.name for generator in list_generators(store)}
    sizes = {dataset.dataset_id: dataset.num_pairs for dataset in list_datasets(store)}
    ends = run_ends(store)
    return [
        RoundRow(
            record=record,
            generator=names.get(record.generator_id, record.generator_id),
            parent=names.get(record.parent_generator_id, record.parent_generator_id),
            num_pairs=sizes.get(record.dataset_id, 0),
            status=ends[record.run_id].status.value if record.run_id in ends else "unknown",
        )
        for record in list_rounds(store, category=category)
    ]


def training_curves(store: Store, run_id: str) -> dict[str, dict[str, Points]]:
    """Return the lines of each chart of a run, by chart title and name; empty where nothing was measured."""
    run = next((run for run in list_runs(store) if run.run_id == run_id), None)
    charts: dict[str, dict[str, Points]] = {title: {} for title in CURVES}
    if run is None:
        return charts
    for line in read_lines(store.workspace.root / run.path / "metrics.jsonl"):
        suffix = "" if line.get("kind") == "train" else " (held out)"
        for title, names in CURVES.items():
            for name in names:
                if name in line:
                    point = (float(line["step"]), float(line[name]))
                    charts[title].setdefault(name.replace("_", " ") + suffix, []).append(point)
    return charts


def read_lines(path: Path) -> Iterator[dict[str, float | str]]:
    """Yield the whole lines of a metrics file; one still being written, or no file at all, gives nothing."""
    if not path.is_file():
        return
    with path.open() as file:
        for text in file:
            if text.endswith("\n"):
                yield json.loads(text)


def samples_before_and_after(store: Store, record: RoundRecord, *, limit: int = 6) -> list[SamplePair]:
    """Return held-out samples of the base model and the round's at equal prompts and seeds.

    At most one per prompt, until every prompt has been shown.
    """
    by_id = {generator.generator_id: generator for generator in list_generators(store)}
    if record.generator_id not in by_id:
        return []
    base = base_of(store, by_id[record.generator_id])
    before = _held_out(store, base.generator_id, record.category)
    after = _held_out(store, record.generator_id, record.category)
    keys = sorted(before.keys() & after.keys(), key=lambda key: (key[1], key[0]))[:limit]
    prompts = get_prompts(store, [prompt_id for prompt_id, _ in keys])
    return [
        SamplePair(prompt=prompts[key[0]].text, seed=key[1], before=before[key], after=after[key])
        for key in keys
    ]


def _held_out(store: Store, generator_id: str, category: str) -> dict[tuple[str, int], Video]:
    videos = list_videos(
        store, category=category, generator_id=generator_id, split=Split.EVAL, with_media=True
    )
    return {(video.prompt_id, video.seed): video for video in videos if video.seed is not None}
