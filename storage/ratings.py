"""Reading ratings, and the names of aspects."""

from collections.abc import Iterable

from storage.errors import UnknownName
from storage.raters import find_rater
from storage.reading import Where, fetch, rows
from storage.records import RaterKind, Rating
from storage.store import Store

_ALIASES = {
    "static_quality": "visual_quality",
    "temporal_quality": "motion_quality",
    "alignment": "text_alignment",
    "quality": "visual_quality",
    "motion": "motion_quality",
    "text": "text_alignment",
}


def canonical_aspect(text: str) -> str:
    """Return an aspect's one spelling: lower case, underscores, our word for a source's own."""
    name = "_".join(text.strip().lower().replace("-", " ").replace("_", " ").split())
    return _ALIASES.get(name, name)


def list_ratings(
    store: Store,
    *,
    category: str | None = None,
    rater_ids: Iterable[str] | None = None,
    aspect: str | None = None,
    video_ids: Iterable[str] | None = None,
) -> list[Rating]:
    """Return the ratings that count now (those no other replaces), in the order they came."""
    where = _selection(category, None if aspect is None else canonical_aspect(aspect))
    where.among("rater_id", rater_ids).among("video_id", video_ids)
    return fetch(store, Rating, where, source="current_rating", order="seq, rating_id")


def _selection(category: str | None, aspect: str | None) -> Where:
    videos_of = "SELECT video_id FROM video JOIN prompt USING (prompt_id) WHERE list_contains(categories, ?)"
    return Where().add(f"video_id IN ({videos_of})", category).add("aspect = ?", aspect)


def mean_ratings(store: Store, *, source: str, aspect: str, category: str | None = None) -> dict[str, float]:
    """Return each video's mean rating on one aspect.

    Args:
        store: The open store.
        source: A rater's name or id, `human` for the mean over people, `model` for that over models.
        aspect: Any spelling of `canonical_aspect`.
        category: Only videos of prompts in this category.

    Raises:
        UnknownName: Nobody has that name, or the source rated no video on that aspect.
    """
    where = _selection(category, canonical_aspect(aspect))
    where.add(*_source_condition(store, source))
    sql = "SELECT video_id, avg(value ORDER BY rating_id) FROM current_rating" + where.sql()
    means = dict(rows(store, sql + " GROUP BY video_id ORDER BY video_id", where.parameters))
    if not means and canonical_aspect(aspect) not in (known := _aspects_of(store, source)):
        raise UnknownName(f"aspect of {source}", aspect, known)
    return means


def _source_condition(store: Store, source: str) -> tuple[str, str]:
    if source in set(RaterKind):
        return "rater_id IN (SELECT rater_id FROM rater WHERE kind = ?)", source
    return "rater_id = ?", find_rater(store, source).rater_id


def _aspects_of(store: Store, source: str) -> list[str]:
    where = Where().add(*_source_condition(store, source))
    sql = "SELECT DISTINCT aspect FROM current_rating" + where.sql()
    return [row[0] for row in rows(store, sql, where.parameters)]
