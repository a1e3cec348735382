"""Reading pairs."""

from collections.abc import Iterable

from storage.reading import Where, fetch
from storage.records import Pair
from storage.store import Store


def list_pairs(
    store: Store,
    *,
    category: str | None = None,
    round: int | None = None,
    pair_ids: Iterable[str] | None = None,
) -> list[Pair]:
    """Return pairs in the order they were made."""
    where = Where().prompt_category("prompt_id", category).add("round = ?", round).among("pair_id", pair_ids)
    return fetch(store, Pair, where)
