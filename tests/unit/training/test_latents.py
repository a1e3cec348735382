"""Encoding a dataset: once, resumable, and at the model's size by a stated rule."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.pair_datasets import FakeDataset, make_dataset
from tests.tiny_pipelines import save_wan_pipeline
from training import latents as latents_module
from training.data import TrainingPair, training_pairs
from training.families.family import SampleSettings, VideoFamily
from training.families.load import load_family
from training.latents import LatentCache, build_cache, fit_clip

SETTINGS = SampleSettings(
    height_px=16, width_px=32, num_frames=5, fps=8.0, num_inference_steps=3, max_sequence_length=16
)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> VideoFamily:
    return load_family(str(save_wan_pipeline(tmp_path_factory.mktemp("wan"))), device="cpu")


@pytest.fixture
def dataset(tmp_path: Path) -> FakeDataset:
    return make_dataset(tmp_path / "data", num_prompts=4, pairs_per_prompt=2)


def build(
    family: VideoFamily, dataset: FakeDataset, root: Path, pairs: list[TrainingPair] | None = None
) -> LatentCache:
    pairs = pairs or training_pairs(dataset, "overall")
    return build_cache(family, dataset, pairs, SETTINGS, root, dataset_hash="d" * 64)


def test_cache_holds_what_encoding_gives(family: VideoFamily, dataset: FakeDataset, tmp_path: Path) -> None:
    cache = build(family, dataset, tmp_path / "cache")
    pair = training_pairs(dataset, "overall")[3]
    clip = fit_clip(dataset.frames(pair.winner_id), SETTINGS)
    assert torch.equal(cache.latents(pair.winner_id), family.encode_videos(clip[None])[0])
    assert torch.equal(cache.prompt(pair.prompt), family.encode_prompts([pair.prompt], 16)[0])
    assert cache.latents(pair.winner_id).shape == (16, 2, 2, 4)


def test_second_run_encodes_nothing(
    family: VideoFamily, dataset: FakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(family, dataset, tmp_path)

    def fail(*_: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(family, "encode_videos", fail)
    monkeypatch.setattr(family, "encode_prompts", fail)
    build(family, dataset, tmp_path)


def test_interrupted_encoding_goes_on_where_it_stopped(
    family: VideoFamily, dataset: FakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latents_module, "SHARD_SIZE", 4)
    encode, calls = family.encode_videos, []

    def encode_ten(frames: np.ndarray) -> torch.Tensor:
        calls.append(frames)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return encode(frames)

    with monkeypatch.context() as patch:
        patch.setattr(family, "encode_videos", encode_ten)
        with pytest.raises(KeyboardInterrupt):
            build(family, dataset, tmp_path)
        calls.append(None)  # past the tenth: no more interruptions
        cache = build(family, dataset, tmp_path)
    # Two shards of four were whole; the other two are encoded now.
    assert len(calls) == 11 + 8
    assert all(cache.latents(p.loser_id) is not None for p in training_pairs(dataset, "overall"))


def test_damaged_shard_is_encoded_again(family: VideoFamily, dataset: FakeDataset, tmp_path: Path) -> None:
    before = build(family, dataset, tmp_path)
    pair = training_pairs(dataset, "overall")[0]
    expected = before.latents(pair.winner_id).clone()
    del before
    for shard in tmp_path.rglob("videos-*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:-100])
    assert torch.equal(build(family, dataset, tmp_path).latents(pair.winner_id), expected)


def test_other_size_or_dataset_uses_another_folder(
    family: VideoFamily, dataset: FakeDataset, tmp_path: Path
) -> None:
    pairs = training_pairs(dataset, "overall")
    root = tmp_path / "cache"
    build_cache(family, dataset, pairs, SETTINGS, root, dataset_hash="a")
    build_cache(family, dataset, pairs, SETTINGS, root, dataset_hash="b")
    build_cache(family, dataset, pairs, replace(SETTINGS, num_frames=9), root, dataset_hash="b")
    assert len(list(root.iterdir())) == 3


def test_clip_that_fits_is_left_alone() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (5, 16, 32, 3), dtype=np.uint8)
    assert fit_clip(clip, SETTINGS) is clip


@pytest.mark.parametrize(
    ("count", "expected"), [(9, [0, 2, 4, 6, 8]), (5, [0, 1, 2, 3, 4]), (2, [0, 0, 0, 1, 1])]
)
def test_frames_are_taken_evenly_with_first_and_last(count: int, expected: list[int]) -> None:
    clip = np.zeros((count, 32, 64, 3), dtype=np.uint8)
    clip += np.arange(count, dtype=np.uint8)[:, None, None, None]
    assert fit_clip(clip, SETTINGS)[:, 0, 0, 0].tolist() == expected


def test_picture_is_cut_in_the_middle_and_resized() -> None:
    # 64 x 64 with a band of 32 rows in the middle: the cut to 2:1 keeps exactly the band.
    clip = np.zeros((5, 64, 64, 3), dtype=np.uint8)
    clip[:, 16:48] = 200
    fitted = fit_clip(clip, SETTINGS)
    assert fitted.shape == (5, 16, 32, 3)
    assert (fitted == 200).all()


def test_resizing_averages_instead_of_picking_pixels() -> None:
    clip = np.zeros((5, 64, 128, 3), dtype=np.uint8)
    clip[:, ::2] = 255
    middle = fit_clip(clip, SETTINGS)[:, 4:-4]
    assert abs(middle.astype(float).mean() - 127.5) < 2
    assert middle.std() < 10
