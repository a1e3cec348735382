"""Reading videos and the media files that show them."""

from collections.abc import Iterable

from storage.reading import Where, fetch, rows
from storage.records import Media, Split, Video
from storage.store import Store
from storage.tables import table_of

_SHOWN = "video_id IN (SELECT video_id FROM video_media)"


def list_videos(
    store: Store,
    *,
    category: str | None = None,
    generator_id: str | None = None,
    round: int | None = None,
    split: Split | None = None,
    with_media: bool | None = None,
    video_ids: Iterable[str] | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[Video]:
    """Return videos in the order they were added; `round` is that of their generator."""
    where = _selection(category, generator_id, round, split, with_media, video_ids)
    tail = f"LIMIT {int(limit)} OFFSET {int(offset)}" if limit is not None else f"OFFSET {int(offset)}"
    return fetch(store, Video, where, tail=tail)


def count_videos(
    store: Store,
    *,
    category: str | None = None,
    generator_id: str | None = None,
    round: int | None = None,
    split: Split | None = None,
    with_media: bool | None = None,
) -> int:
    """Return how many videos `list_videos` would list."""
    where = _selection(category, generator_id, round, split, with_media, None)
    return int(rows(store, "SELECT count(*) FROM video" + where.sql(), where.parameters)[0][0])


def _selection(
    category: str | None,
    generator_id: str | None,
    round: int | None,
    split: Split | None,
    with_media: bool | None,
    video_ids: Iterable[str] | None,
) -> Where:
    where = Where().prompt_category("prompt_id", category).add("generator_id = ?", generator_id)
    where.add("generator_id IN (SELECT generator_id FROM generator WHERE round = ?)", round)
    where.add(
        "prompt_id IN (SELECT prompt_id FROM prompt WHERE split = ?)", None if split is None else str(split)
    )
    where.add(f"({_SHOWN}) = ?", with_media)
    return where.among("video_id", video_ids)


def media_of(store: Store, video_ids: Iterable[str]) -> dict[str, Media]:
    """Return the media of those of the videos that have a file, by video id."""
    table = table_of(Media)
    columns = ", ".join(f'media."{column.name}"' for column in table.columns)
    sql = (
        f"SELECT video_media.video_id, {columns} FROM video_media JOIN media USING (media_id) "
        "WHERE video_media.video_id IN (SELECT unnest(?::VARCHAR[]))"
    )
    return {row[0]: table.from_row(row[1:]) for row in rows(store, sql, [list(video_ids)])}


def known_media(store: Store, media_ids: Iterable[str]) -> dict[str, Media]:
    """Return the media records that exist among `media_ids`, by id."""
    return {media.media_id: media for media in fetch(store, Media, Where().among("media_id", media_ids))}
