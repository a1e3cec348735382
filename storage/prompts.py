"""Reading prompts and their categories."""

from collections.abc import Iterable

from storage.errors import UnknownName
from storage.reading import Where, fetch, rows
from storage.records import Prompt, Split
from storage.store import Store


def list_prompts(
    store: Store, *, category: str | None = None, split: Split | None = None, source: str | None = None
) -> list[Prompt]:
    """Return prompts in the order they were added."""
    where = Where().add("list_contains(categories, ?)", category)
    where.add("split = ?", None if split is None else str(split)).add("source = ?", source)
    return fetch(store, Prompt, where)


def get_prompts(store: Store, prompt_ids: Iterable[str]) -> dict[str, Prompt]:
    """Return the prompts that exist among `prompt_ids`, by id."""
    found = fetch(store, Prompt, Where().among("prompt_id", prompt_ids))
    return {prompt.prompt_id: prompt for prompt in found}


def list_categories(store: Store) -> dict[str, int]:
    """Return how many prompts each category has, by name. A prompt with several counts in each."""
    sql = "SELECT unnest(categories) AS category, count(*) FROM prompt GROUP BY category ORDER BY category"
    return dict(rows(store, sql))


def require_category(store: Store, category: str) -> None:
    """Check that some prompt has the category.

    Raises:
        UnknownName: None has; the message lists those there are.
    """
    known = list_categories(store)
    if category not in known:
        raise UnknownName("category", category, list(known))
