"""What a frozen dataset folder looks like: shared by the writer and the reader, without any database.

    manifest.json       schema version, filters, aggregation, counts, raters, lineage, each file's SHA-256
    pairs.parquet       one row per label
    prompts.parquet     the prompts of these pairs
    videos.parquet      the videos of these pairs, with their files
    judgments.parquet   the judgments that stand behind the labels
    media/<sha>.<ext>   the original clips

The dataset's id is the SHA-256 of the manifest without its name and id, so it covers all bytes of all files.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
_NOT_HASHED = ("dataset_id", "name")

PAIRS = pa.schema(
    [
        ("pair_id", pa.string()),
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("categories", pa.list_(pa.string())),
        ("aspect", pa.string()),
        ("outcome", pa.string()),
        ("winner_id", pa.string()),
        ("loser_id", pa.string()),
        ("agreement", pa.float64()),
        ("num_votes", pa.int64()),
        ("weight", pa.float64()),
    ]
)

PROMPTS = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("text", pa.string()),
        ("categories", pa.list_(pa.string())),
        ("tags", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
    ]
)

VIDEOS = pa.schema(
    [
        ("video_id", pa.string()),
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("generator", pa.string()),
        ("seed", pa.int64()),
        ("file", pa.string()),
        ("fps", pa.float64()),
        ("num_frames", pa.int64()),
        ("width_px", pa.int64()),
        ("height_px", pa.int64()),
    ]
)

JUDGMENTS = pa.schema(
    [
        ("judgment_id", pa.string()),
        ("pair_id", pa.string()),
        ("rater", pa.string()),
        ("rater_kind", pa.string()),
        ("aspect", pa.string()),
        ("outcome", pa.string()),
        ("chosen_video_id", pa.string()),
        ("left_video_id", pa.string()),
        ("right_video_id", pa.string()),
        ("confidence", pa.int64()),
        ("comment", pa.string()),
        ("evidence", pa.string()),
        ("late", pa.bool_()),
        ("created_at", pa.timestamp("us")),
    ]
)


def content_hash(manifest: Mapping[str, Any]) -> str:
    """Return the dataset's id: 64 hex digits."""
    core = {key: value for key, value in manifest.items() if key not in _NOT_HASHED}
    return hashlib.sha256(canonical_json(core).encode()).hexdigest()


def canonical_json(value: object) -> str:
    """Return JSON that depends on the value alone."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
