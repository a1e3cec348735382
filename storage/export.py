"""Writing a frozen dataset folder from labels. Its form is in `storage.dataset_format`.

Equal inputs give equal bytes: rows are sorted, and the folder holds no time of writing.
"""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from storage.dataset_format import (
    JUDGMENTS,
    MANIFEST,
    PAIRS,
    PROMPTS,
    SCHEMA_VERSION,
    VIDEOS,
    canonical_json,
    content_hash,
    file_hash,
)
from storage.errors import HashMismatch, VidprefError
from storage.export_content import ExportContent, gather, lineage, raters
from storage.export_rows import judgment_rows, pair_rows, prompt_rows, video_rows, write_rows
from storage.journal import sync_folder
from storage.media import media_file
from storage.prompts import require_category
from storage.records import DatasetRecord, Label
from storage.rounds import list_datasets
from storage.store import Store
from storage.workspace import UNFINISHED

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the number of clips copied and their total."""


def export_dataset(
    store: Store,
    *,
    category: str | None,
    labels: Iterable[Label],
    aggregation: Mapping[str, object],
    name: str | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> DatasetRecord:
    """Freeze labels, their clips and the judgments behind them into a folder, and note it in the store.

    An equal dataset that was exported before is returned as it is. A folder appears whole or not at all.

    Args:
        store: The open store.
        category: Only labels of prompts in this category; None takes all.
        labels: What aggregation made; one per pair and aspect.
        aggregation: How the labels were made, for the manifest: any JSON.
        name: Of the folder and for commands; the category unless given.
        out: Folder to write, which must not exist; in the workspace's `datasets/` unless given.
        progress: Told as clips are copied.

    Raises:
        UnknownName: No prompt has the category.
        EmptyExport: No label with a winner and with clips is there.
        HashMismatch: A clip in the workspace is not what it was when it was taken in.
    """
    if category is not None:
        require_category(store, category)
    content = gather(store, category, labels)
    datasets = store.workspace.datasets_dir
    parent = out.absolute().parent if out else datasets
    parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=parent))
    unfinished.chmod(0o755)
    (unfinished / "media").mkdir()
    try:
        name = name or category or "all"
        manifest = _write_folder(store, content, unfinished, category, aggregation, name, progress)
        target = out or datasets / f"{_file_name(name)}-{manifest['dataset_id'][:12]}"
        return _publish(store, unfinished, target, manifest, category)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_folder(
    store: Store,
    content: ExportContent,
    folder: Path,
    category: str | None,
    aggregation: Mapping[str, object],
    name: str,
    progress: Progress | None,
) -> dict[str, Any]:
    """Write everything below `folder` and return the manifest."""
    files = _copy_media(store, content, folder / "media", progress)
    write_rows(folder / "pairs.parquet", PAIRS, pair_rows(content))
    write_rows(folder / "prompts.parquet", PROMPTS, prompt_rows(content))
    write_rows(folder / "videos.parquet", VIDEOS, video_rows(content))
    num_judgments = write_rows(folder / "judgments.parquet", JUDGMENTS, judgment_rows(store, content))
    for path in sorted(folder.glob("*.parquet")):
        files[path.name] = {"sha256": file_hash(path), "bytes": path.stat().st_size}
    num_decided = sum(label.winner_id is not None for label in content.labels)
    manifest: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "filters": {"category": category},
        "aggregation": json.loads(canonical_json(dict(aggregation))),
        "counts": {
            "labels": len(content.labels),
            "decided": num_decided,
            "ties": len(content.labels) - num_decided,
            "pairs": len({label.pair_id for label in content.labels}),
            "prompts": len(content.prompts),
            "videos": len(content.videos),
            "judgments": num_judgments,
            "labels_without_clips": content.num_without_media,
        },
        "raters": raters(store, content),
        "lineage": lineage(content),
        "files": dict(sorted(files.items())),
    }
    manifest |= {"dataset_id": content_hash(manifest), "name": name}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return manifest


def _copy_media(
    store: Store, content: ExportContent, folder: Path, progress: Progress | None
) -> dict[str, dict[str, Any]]:
    files: dict[str, dict[str, Any]] = {}
    wanted = sorted({media.media_id: media for media in content.media.values()}.items())
    for done, (media_id, media) in enumerate(wanted, start=1):
        source = media_file(store.workspace, media_id, "original")
        target = folder / f"{media_id}{source.suffix}"
        shutil.copyfile(source, target)
        if file_hash(target) != media_id:
            raise HashMismatch(f"{source} was changed since it was taken in; restore it from a backup")
        files[f"media/{target.name}"] = {"sha256": media_id, "bytes": media.size_bytes}
        if progress:
            progress(done, len(wanted))
    return files


def _file_name(name: str) -> str:
    """Return the name with everything but letters, digits, dots and dashes replaced."""
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
    return kept.strip(".-") or "dataset"


def _publish(
    store: Store, folder: Path, target: Path, manifest: Mapping[str, Any], category: str | None
) -> DatasetRecord:
    """Move the folder to its place and write the record, or return the equal one that is there."""
    root = store.workspace.root
    for known in list_datasets(store):
        if known.dataset_id == manifest["dataset_id"] and target.parent == store.workspace.datasets_dir:
            if (root / known.path / MANIFEST).is_file():
                return known
            target = root / known.path
    if target.exists() and any(target.iterdir()):
        if not _same_dataset(target, manifest):
            raise VidprefError(f"{target} exists and is another dataset; name a new folder")
    else:
        _sync_rows(folder)
        os.replace(folder, target)
        sync_folder(target.parent)
    path = target.absolute()
    record = DatasetRecord(
        dataset_id=manifest["dataset_id"],
        name=manifest["name"],
        category=category,
        path=str(path.relative_to(root) if path.is_relative_to(root) else path),
        num_pairs=manifest["counts"]["pairs"],
        num_videos=manifest["counts"]["videos"],
    )
    store.write([record])
    return record


def _same_dataset(target: Path, manifest: Mapping[str, Any]) -> bool:
    try:
        found = json.loads((target / MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("dataset_id") == manifest["dataset_id"]


def _sync_rows(folder: Path) -> None:
    """Put rows and manifest on disk. Clips are copies that reading checks by hash: no need to wait."""
    for path in (*sorted(folder.glob("*.parquet")), folder / MANIFEST):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
