"""From judgments to a frozen dataset: whose labels count, by majority, exported for one category."""

from collections.abc import Sequence
from pathlib import Path

from annotation.labels import majority_labels
from app.progress import Progress, no_progress
from storage.export import export_dataset
from storage.judgments import list_judgments
from storage.pairs import list_pairs
from storage.raters import list_raters
from storage.records import Aspect, DatasetRecord, Judgment, Label, Pair, RaterKind
from storage.store import Store

LABEL_SOURCES = ("any", "human", "model")


def choose_judgments(store: Store, pairs: Sequence[Pair], source: str) -> list[Judgment]:
    """Return the judgments that make the labels.

    `human` and `model` take one kind; `any` takes people's where they judged that aspect of the pair and
    models' elsewhere; any other word is a rater's name.

    Raises:
        ValueError: No rater has that name.
    """
    judgments = list_judgments(store, pair_ids=[pair.pair_id for pair in pairs])
    raters = {rater.rater_id: rater for rater in list_raters(store)}
    if source not in LABEL_SOURCES:
        named = {rater.rater_id for rater in raters.values() if rater.name == source}
        if not named:
            names = ", ".join(sorted(rater.name for rater in raters.values()))
            raise ValueError(f"no rater is called {source!r}; use any, human, model, or one of: {names}")
        return [judgment for judgment in judgments if judgment.rater_id in named]
    human = [j for j in judgments if raters[j.rater_id].kind is RaterKind.HUMAN]
    model = [j for j in judgments if raters[j.rater_id].kind is RaterKind.MODEL]
    if source != "any":
        return human if source == "human" else model
    by_people = {(j.pair_id, j.aspect) for j in human}
    return human + [j for j in model if (j.pair_id, j.aspect) not in by_people]


def pair_labels(
    store: Store, pairs: Sequence[Pair], *, source: str = "any", aspect: Aspect | None = None
) -> list[Label]:
    """Return the majority labels of pairs, on one aspect or on all four."""
    judgments = choose_judgments(store, pairs, source)
    aspects = [aspect] if aspect else list(Aspect)
    return [label for one in aspects for label in majority_labels(pairs, judgments, aspect=one)]


def export_category(
    store: Store,
    *,
    category: str,
    label_source: str = "any",
    aspect: Aspect | None = None,
    out: Path | None = None,
    name: str | None = None,
    pairs: Sequence[Pair] | None = None,
    progress: Progress = no_progress,
) -> DatasetRecord:
    """Export the labels of a category's pairs (or of the pairs given) as a frozen dataset.

    Raises:
        EmptyExport: There are no pairs, or none with a label.
    """
    chosen = list_pairs(store, category=category) if pairs is None else pairs
    return export_dataset(
        store,
        name=name,
        category=category,
        labels=pair_labels(store, chosen, source=label_source, aspect=aspect),
        aggregation={"rule": "majority", "label_source": label_source, "aspect": aspect or "all"},
        out=out,
        progress=lambda done, total: progress("copy clips", done, total),
    )
