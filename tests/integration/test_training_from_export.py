"""From a workspace to an adapter: a real export with stored clips is what `train` reads."""

import json
from pathlib import Path

import numpy as np
import pytest

from storage.errors import HashMismatch
from storage.export import export_dataset
from storage.media import MediaStore
from storage.records import (
    Aspect,
    Generator,
    Label,
    Outcome,
    Pair,
    Prompt,
    Record,
    RunStatus,
    Video,
    VideoMedia,
    record_id,
)
from storage.store import Store
from storage.workspace import Workspace
from tests.tiny_pipelines import save_wan_pipeline
from training.config import TrainConfig, config_to_dict
from training.errors import TrainingError
from training.metrics import read_metrics
from training.train import main, train

GENERATOR = Generator(generator_id="base", name="base", family="wan", model="random")


def prompt(number: int) -> Prompt:
    text = "a <b>red</b> circle & a square slide" if number == 0 else f"a red circle slides {number}"
    return Prompt(prompt_id=f"p{number}", text=text, categories=("slide",), source="test")


def records_of(media: MediaStore, number: int) -> tuple[list[Record], Label]:
    """Return a prompt with two stored clips of 40 x 24 pixels and the label that prefers the brighter one."""
    records: list[Record] = [prompt(number)]
    for name, brightness in (("good", 180), ("bad", 60)):
        noise = np.random.default_rng(number).integers(-20, 20, (12, 24, 40, 3))
        stored = media.ingest_frames((brightness + noise).astype(np.uint8), 8)
        video = Video(video_id=f"{name}{number}", prompt_id=f"p{number}", generator_id="base", seed=number)
        records += [video, stored, VideoMedia(video_id=video.video_id, media_id=stored.media_id)]
    ids = sorted([f"good{number}", f"bad{number}"])
    pair_id = record_id("pair", *ids)
    pair = Pair(
        pair_id=pair_id, prompt_id=f"p{number}", video_a_id=ids[0], video_b_id=ids[1], strategy="all_pairs"
    )
    label = Label(
        pair_id=pair_id,
        prompt_id=f"p{number}",
        aspect=Aspect.OVERALL,
        outcome=Outcome.B,
        winner_id=f"good{number}",
        loser_id=f"bad{number}",
        agreement=1.0,
        num_votes=1,
    )
    return [*records, pair], label


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """The folder of a frozen dataset of five pairs."""
    root = tmp_path / "workspace"
    Workspace.create(root)
    with Store.open(root) as store:
        store.write([GENERATOR])
        labels = []
        with MediaStore(store.workspace) as media:
            for number in range(5):
                records, label = records_of(media, number)
                store.write(records)
                labels.append(label)
        record = export_dataset(store, category="slide", labels=labels, aggregation={"method": "majority"})
        return store.workspace.root / record.path


@pytest.fixture
def config(exported: Path, tmp_path: Path) -> TrainConfig:
    model = save_wan_pipeline(tmp_path / "wan")
    sampling = {"height": 32, "width": 32, "num_frames": 9, "fps": 8, "max_sequence_length": 16}
    (model / "sampling.json").write_text(json.dumps(sampling))
    return TrainConfig(
        dataset=exported,
        run_dir=tmp_path / "run",
        model=str(model),
        device="cpu",
        steps=6,
        batch_size=2,
        learning_rate=2e-3,
        evaluate_every=3,
        held_out_fraction=0.2,
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_exported_dataset_trains_an_adapter_and_is_named_in_the_run(config: TrainConfig, dtype: str) -> None:
    from dataclasses import replace

    result = train(replace(config, dtype=dtype))  # type: ignore[arg-type]
    assert result.status is RunStatus.FINISHED
    assert (result.num_train_pairs, result.num_held_out_pairs) == (4, 1)
    assert result.dataset_hash == json.loads((config.dataset / "manifest.json").read_text())["dataset_id"]
    lines = list(read_metrics(config.run_dir / "metrics.jsonl"))
    assert [line["kind"] for line in lines].count("train") == 6
    assert float(lines[0]["loss"]) == pytest.approx(0.693147, abs=1e-4)


def test_dataset_with_a_changed_byte_is_refused(config: TrainConfig) -> None:
    clip = sorted((config.dataset / "media").iterdir())[0]
    content = bytearray(clip.read_bytes())
    content[len(content) // 2] ^= 1
    clip.write_bytes(content)
    with pytest.raises(HashMismatch, match=clip.name):
        train(config)
    assert not config.run_dir.exists()


def test_program_tells_a_changed_dataset_without_a_traceback(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = sorted((config.dataset / "media").iterdir())[0]
    clip.write_bytes(clip.read_bytes()[:-1])
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(config_to_dict(config)))
    monkeypatch.setattr("sys.argv", ["train", "--config", str(settings)])
    with pytest.raises(SystemExit, match=f"training failed: .*{clip.name}"):
        main()


def test_aspect_without_labels_is_refused_before_a_model_is_loaded(config: TrainConfig) -> None:
    from dataclasses import replace

    with pytest.raises(TrainingError, match="motion_quality"):
        train(replace(config, aspect="motion_quality", model="/nowhere"))
