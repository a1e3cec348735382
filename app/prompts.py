"""Prompts of the tiny world as records, train and held out apart."""

from collections.abc import Sequence

from storage.prompts import list_prompts
from storage.records import Prompt, Split, record_id
from storage.store import Store
from training import tiny

NUM_TRAIN = 32
NUM_EVAL = 16


def ensure_tiny_prompts(store: Store, category: str) -> None:
    """Add the tiny world's prompts of a category where the workspace has none of it yet."""
    if not list_prompts(store, category=category, source="tiny"):
        store.write(tiny_prompts(category, num_train=NUM_TRAIN, num_eval=NUM_EVAL, seed=0))


def tiny_prompts(category: str, *, num_train: int, num_eval: int, seed: int) -> list[Prompt]:
    """Return prompts of one action category of the tiny world; no text is in both splits.

    Raises:
        ValueError: `category` is not one of the tiny world's actions.
    """
    if category not in tiny.CATEGORIES:
        raise ValueError(
            f"{category!r} is not an action of the tiny world; it has {', '.join(tiny.CATEGORIES)}. "
            "For other categories import prompts with `vidpref import prompts FILE`."
        )
    train = tiny.train_prompts(category, num_train, seed)
    held_out = tiny.held_out_prompts(category, num_eval, seed)
    return [*_records(train, Split.TRAIN), *_records(held_out, Split.EVAL)]


def _records(prompts: Sequence[tiny.TinyPrompt], split: Split) -> list[Prompt]:
    return [
        Prompt(
            prompt_id=record_id("prompt", "tiny", split, prompt.text),
            text=prompt.text,
            categories=(prompt.action,),
            tags={"color": (prompt.color,), "shape": (prompt.shape,)},
            source="tiny",
            split=split,
        )
        for prompt in prompts
    ]
