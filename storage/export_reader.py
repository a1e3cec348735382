"""Reading a frozen dataset folder. No database: this is what training uses."""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq

from storage.clips import Frames, read_frames
from storage.dataset_format import MANIFEST, SCHEMA_VERSION, content_hash, file_hash
from storage.errors import HashMismatch, NewerSchema, VidprefError


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPair:
    """A decided pair: the winner is preferred to the loser."""

    pair_id: str
    prompt_id: str
    prompt: str
    categories: tuple[str, ...]
    aspect: str
    outcome: str
    winner_id: str
    loser_id: str
    agreement: float
    """Share of the votes that agree, 0..1."""
    num_votes: int
    weight: float
    """What the loss multiplies the pair by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetTie:
    """A pair that was judged and has no winner."""

    pair_id: str
    prompt_id: str
    prompt: str
    categories: tuple[str, ...]
    aspect: str
    outcome: str
    agreement: float
    num_votes: int
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVideo:
    """A clip of the dataset."""

    video_id: str
    prompt_id: str
    prompt: str
    generator: str
    """Name of the generator that made it."""
    seed: int | None
    file: str
    """Relative to the dataset folder."""
    fps: float
    num_frames: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset folder that was read."""

    path: Path
    manifest: dict[str, Any]
    pairs: list[DatasetPair]
    """Decided pairs, in ascending order of (pair id, aspect)."""
    ties: list[DatasetTie]
    videos: dict[str, DatasetVideo]
    """By video id."""

    @property
    def dataset_id(self) -> str:
        """The content hash."""
        return str(self.manifest["dataset_id"])

    def video_path(self, video_id: str) -> Path:
        """Return the path of a clip's file."""
        return self.path / self.videos[video_id].file

    def frames(self, video_id: str) -> Frames:
        """Return a clip as uint8 `[F, H, W, 3]`, 0..255."""
        return read_frames(self.video_path(video_id))


def read_dataset(path: Path, *, verify: bool = True) -> Dataset:
    """Read a dataset folder; unless told otherwise check every byte of it first.

    Raises:
        VidprefError: The folder is no dataset.
        NewerSchema: A newer program wrote it.
        HashMismatch: A file is missing or changed, or the manifest was edited.
    """
    manifest = _read_manifest(path)
    if verify:
        _verify(path, manifest)
    rows = pq.read_table(path / "pairs.parquet").to_pylist()
    for row in rows:
        row["categories"] = tuple(row["categories"])
    ties = [row for row in rows if row["winner_id"] is None]
    for row in ties:
        del row["winner_id"], row["loser_id"]
    videos = [DatasetVideo(**row) for row in pq.read_table(path / "videos.parquet").to_pylist()]
    return Dataset(
        path=path,
        manifest=manifest,
        pairs=[DatasetPair(**row) for row in rows if "winner_id" in row],
        ties=[DatasetTie(**row) for row in ties],
        videos={video.video_id: video for video in videos},
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise VidprefError(f"{path} is no dataset (no {MANIFEST}); make one with `vidpref export`") from None
    except ValueError as error:
        raise HashMismatch(f"{path / MANIFEST} cannot be read ({error}); export the dataset again") from error
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int):
        raise VidprefError(f"{path / MANIFEST} is not a dataset's manifest; make one with `vidpref export`")
    if version > SCHEMA_VERSION:
        raise NewerSchema(
            f"dataset {path} has schema {version}, this program reads up to {SCHEMA_VERSION}: "
            "install the newer version"
        )
    return dict(manifest)


def _verify(path: Path, manifest: dict[str, Any]) -> None:
    found = content_hash(manifest)
    if found != manifest.get("dataset_id"):
        raise HashMismatch(
            f"{path / MANIFEST} was changed: it hashes to {found}, and says {manifest.get('dataset_id')}; "
            "export the dataset again"
        )
    for name, told in manifest["files"].items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise HashMismatch(
                f"{path / MANIFEST} names {name!r}, which is outside the dataset; do not use it"
            )
        _verify_file(path / name, told)


def _verify_file(file: Path, told: dict[str, Any]) -> None:
    if not file.is_file():
        raise HashMismatch(f"{file} is missing; export the dataset again")
    size = file.stat().st_size
    if size != told["bytes"]:
        raise HashMismatch(f"{file} has {size} bytes, not {told['bytes']}; export the dataset again")
    if file_hash(file) != told["sha256"]:
        raise HashMismatch(
            f"{file} was changed: its SHA-256 is not {told['sha256']}; export the dataset again"
        )
