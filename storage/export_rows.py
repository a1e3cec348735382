"""The rows of a dataset's Parquet files, written in chunks of a fixed size."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.dataset_format import canonical_json
from storage.export_content import ExportContent
from storage.store import Store

_CHUNK_ROWS = 20_000


def write_rows(path: Path, schema: pa.Schema, found: Iterable[Sequence[Any]]) -> int:
    """Write rows in chunks of a fixed size, so that memory is bounded and the bytes are always the same."""
    iterator, num_rows = iter(found), 0
    with pq.ParquetWriter(path, schema, compression="zstd", store_schema=False) as writer:
        while chunk := list(itertools.islice(iterator, _CHUNK_ROWS)):
            columns = [
                pa.array(column, type=field.type)
                for column, field in zip(zip(*chunk, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            num_rows += len(chunk)
    return num_rows


def pair_rows(content: ExportContent) -> Iterator[tuple[Any, ...]]:
    """Return the rows of `pairs.parquet`."""
    for label in content.labels:
        prompt = content.prompts[label.prompt_id]
        yield (
            label.pair_id,
            label.prompt_id,
            prompt.text,
            list(prompt.categories),
            str(label.aspect),
            str(label.outcome),
            label.winner_id,
            label.loser_id,
            float(label.agreement),
            label.num_votes,
            float(label.weight),
        )


def prompt_rows(content: ExportContent) -> Iterator[tuple[Any, ...]]:
    """Return the rows of `prompts.parquet`."""
    for prompt in content.prompts.values():
        tags = canonical_json({name: list(values) for name, values in prompt.tags.items()})
        yield prompt.prompt_id, prompt.text, list(prompt.categories), tags, prompt.source, str(prompt.split)


def video_rows(content: ExportContent) -> Iterator[tuple[Any, ...]]:
    """Return the rows of `videos.parquet`."""
    for video in content.videos:
        media = content.media[video.video_id]
        suffix = Path(media.original_name).suffix
        yield (
            video.video_id,
            video.prompt_id,
            content.prompts[video.prompt_id].text,
            content.generators[video.generator_id].name,
            video.seed,
            f"media/{media.media_id}{suffix}",
            media.fps,
            media.num_frames,
            media.width_px,
            media.height_px,
        )


_JUDGMENTS_SQL = """
SELECT judgment_id, pair_id, rater.name, rater.kind, aspect, outcome, chosen_video_id, left_video_id,
       right_video_id, confidence, comment, evidence::VARCHAR, late, current_judgment.created_at
FROM current_judgment JOIN rater USING (rater_id)
WHERE pair_id IN (SELECT unnest(?::VARCHAR[]))
ORDER BY judgment_id
"""


def judgment_rows(store: Store, content: ExportContent) -> Iterator[tuple[Any, ...]]:
    """Return the rows of `judgments.parquet`, read in chunks."""
    pair_ids = sorted({label.pair_id for label in content.labels})
    cursor = store.cursor().execute(_JUDGMENTS_SQL, [pair_ids])
    while chunk := cursor.fetchmany(_CHUNK_ROWS):
        yield from chunk
