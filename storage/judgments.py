"""Reading judgments."""

from collections.abc import Iterable

from storage.reading import Where, fetch
from storage.records import Aspect, Judgment, RaterKind
from storage.store import Store


def list_judgments(
    store: Store,
    *,
    category: str | None = None,
    pair_ids: Iterable[str] | None = None,
    rater_ids: Iterable[str] | None = None,
    kind: RaterKind | None = None,
    aspect: Aspect | None = None,
    include_late: bool = True,
) -> list[Judgment]:
    """Return the judgments that count now (those no other replaces), in the order they came."""
    pairs_of = "SELECT pair_id FROM pair JOIN prompt USING (prompt_id) WHERE list_contains(categories, ?)"
    where = Where().add(f"pair_id IN ({pairs_of})", category)
    where.among("pair_id", pair_ids).among("rater_id", rater_ids)
    where.add("rater_id IN (SELECT rater_id FROM rater WHERE kind = ?)", None if kind is None else str(kind))
    where.add("aspect = ?", None if aspect is None else str(aspect))
    where.add("late = ?", None if include_late else False)
    return fetch(store, Judgment, where, source="current_judgment", order="seq, judgment_id")
