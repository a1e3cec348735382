import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from storage.clips import Frames
from storage.errors import EmptyExport, HashMismatch, NewerSchema, UnknownName, VidprefError
from storage.export import export_dataset
from storage.export_reader import read_dataset
from storage.media import MediaStore, media_file
from storage.records import Aspect, DatasetRecord, Label, Outcome, Record, VideoMedia
from storage.rounds import find_dataset, list_datasets
from storage.store import Store

LABEL = Label(
    pair_id="pair-p1",
    prompt_id="p1",
    aspect=Aspect.OVERALL,
    outcome=Outcome.A,
    winner_id="p1g0",
    loser_id="p1g1",
    agreement=0.75,
    num_votes=4,
    weight=0.5,
)
TIE = replace(LABEL, aspect=Aspect.MOTION_QUALITY, outcome=Outcome.BOTH_BAD, winner_id=None, loser_id=None)
OTHER = replace(LABEL, pair_id="pair-p2", prompt_id="p2", winner_id="p2g1", loser_id="p2g0")
RULE = {"method": "majority", "min_votes": 1}


@pytest.fixture
def filled(store: Store, world: list[Record], vote: Callable, clip: Callable[[int], Frames]) -> Store:
    store.write([*world, *vote("one"), *vote("two")])
    with MediaStore(store.workspace) as media_store:
        for number, video_id in enumerate(["p1g0", "p1g1", "p2g0"]):
            media = media_store.ingest_frames(clip(number), 8)
            store.write([media, VideoMedia(video_id=video_id, media_id=media.media_id)])
    return store


def _export(store: Store, **changes: object) -> DatasetRecord:
    given = {"category": "slide", "labels": [LABEL, TIE], "aggregation": RULE} | changes
    return export_dataset(store, **given)  # type: ignore[arg-type]


def _folder(store: Store, record: DatasetRecord) -> Path:
    return store.workspace.root / record.path


def test_gives_labels_clips_and_judgments_back_when_read(
    filled: Store, clip: Callable[[int], Frames]
) -> None:
    record = _export(filled)
    dataset = read_dataset(_folder(filled, record))

    (pair,) = dataset.pairs
    assert (pair.winner_id, pair.loser_id, pair.prompt) == ("p1g0", "p1g1", "a red ball slides")
    assert (pair.agreement, pair.num_votes, pair.weight) == (0.75, 4, 0.5)
    assert pair.categories == ("slide", "simple")
    assert [(tie.aspect, tie.outcome) for tie in dataset.ties] == [("motion_quality", "both_bad")]
    assert np.array_equal(dataset.frames("p1g0"), clip(0))
    assert np.array_equal(dataset.frames("p1g1"), clip(1))
    assert dataset.videos["p1g1"].generator == "tuned"
    assert dataset.videos["p1g1"].seed == 7
    assert dataset.manifest["counts"]["judgments"] == 8
    assert dataset.manifest["raters"] == [{"name": "Ann", "kind": "human", "judgments": 8}]
    assert [entry["name"] for entry in dataset.manifest["lineage"]] == ["base", "tuned"]
    assert dataset.manifest["aggregation"] == RULE
    judgments = pq.read_table(dataset.path / "judgments.parquet").to_pylist()
    assert {row["rater"] for row in judgments} == {"Ann"}
    assert json.loads(judgments[0]["evidence"]) == {"loops": 3}
    assert (record.num_pairs, record.num_videos) == (1, 2)


def test_makes_the_same_bytes_when_labels_come_in_another_order(filled: Store, tmp_path: Path) -> None:
    one = _export(filled, out=tmp_path / "one", name="one")
    other = _export(filled, out=tmp_path / "other", name="one", labels=[TIE, LABEL])

    assert one.dataset_id == other.dataset_id
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*"))
    assert files == sorted(path.relative_to(tmp_path / "other") for path in (tmp_path / "other").rglob("*"))
    for file in files:
        if (tmp_path / "one" / file).is_file():
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_reuses_the_folder_when_nothing_changed(filled: Store) -> None:
    first, second = _export(filled), _export(filled)

    assert first == second
    assert list_datasets(filled) == [first]
    assert [path.name for path in filled.workspace.datasets_dir.iterdir()] == [Path(first.path).name]
    assert find_dataset(filled, "slide") == first
    assert find_dataset(filled, first.dataset_id[:12]) == first


def test_writes_the_folder_again_when_it_was_deleted(filled: Store) -> None:
    first = _export(filled)
    for path in sorted(_folder(filled, first).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    _folder(filled, first).rmdir()

    assert _export(filled).dataset_id == first.dataset_id
    assert len(read_dataset(_folder(filled, first)).pairs) == 1


def test_leaves_out_pairs_without_clips_and_other_categories(filled: Store) -> None:
    record = _export(filled, category=None, labels=[LABEL, OTHER])
    dataset = read_dataset(_folder(filled, record))

    assert [pair.pair_id for pair in dataset.pairs] == ["pair-p1"]
    assert dataset.manifest["counts"]["labels_without_clips"] == 1
    with pytest.raises(EmptyExport, match="has both of its clips"):
        _export(filled, category="spin", labels=[LABEL, OTHER])


def test_says_what_to_do_when_there_is_nothing(filled: Store) -> None:
    with pytest.raises(EmptyExport, match="vidpref pair"):
        _export(filled, labels=[])
    with pytest.raises(EmptyExport, match="are ties"):
        _export(filled, labels=[TIE])
    with pytest.raises(UnknownName, match="unknown category 'dance'; known: simple, slide, spin"):
        _export(filled, category="dance")
    assert list(filled.workspace.datasets_dir.iterdir()) == []


def test_refuses_two_labels_for_one_pair_and_aspect(filled: Store) -> None:
    with pytest.raises(ValueError, match="two labels"):
        _export(filled, labels=[LABEL, LABEL])


def test_leaves_nothing_when_interrupted(filled: Store) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _export(filled, progress=interrupt)
    assert list(filled.workspace.datasets_dir.iterdir()) == []
    assert list_datasets(filled) == []


def test_refuses_a_clip_that_changed_in_the_workspace(filled: Store) -> None:
    record = _export(filled)
    name = next((_folder(filled, record) / "media").iterdir()).stem
    original = media_file(filled.workspace, name, "original")
    original.write_bytes(original.read_bytes()[:-1] + b"?")

    with pytest.raises(HashMismatch, match="changed since it was taken in"):
        _export(filled, labels=[LABEL])


@pytest.mark.parametrize("pattern", ["media/*", "pairs.parquet", "videos.parquet", "judgments.parquet"])
def test_refuses_to_read_when_a_byte_changed(filled: Store, pattern: str) -> None:
    folder = _folder(filled, _export(filled))
    file = sorted(folder.glob(pattern))[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(HashMismatch, match=file.name):
        read_dataset(folder)


def test_refuses_to_read_when_the_manifest_was_edited(filled: Store) -> None:
    folder = _folder(filled, _export(filled))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["counts"]["decided"] = 99
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(HashMismatch, match=r"manifest\.json was changed"):
        read_dataset(folder)


def test_refuses_to_read_when_a_file_is_missing(filled: Store) -> None:
    folder = _folder(filled, _export(filled))
    next((folder / "media").iterdir()).unlink()
    with pytest.raises(HashMismatch, match="is missing"):
        read_dataset(folder)


def test_refuses_to_read_a_newer_dataset_or_another_folder(filled: Store, tmp_path: Path) -> None:
    with pytest.raises(VidprefError, match="is no dataset"):
        read_dataset(tmp_path)
    folder = _folder(filled, _export(filled))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    with pytest.raises(NewerSchema, match="schema 99"):
        read_dataset(folder)


def test_does_not_write_over_another_folder(filled: Store, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    with pytest.raises(VidprefError, match="is another dataset"):
        _export(filled, out=tmp_path / "taken")
    assert (tmp_path / "taken" / "mine.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken", "workspace"]
