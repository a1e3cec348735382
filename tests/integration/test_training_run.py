"""Whole training runs on a random model: they learn, stop, break and go on as promised."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from storage.records import RunStatus
from tests.pair_datasets import FakeDataset, make_dataset
from tests.tiny_pipelines import save_wan_pipeline
from training import loop as loop_module
from training.checkpoint import latest_checkpoint
from training.config import TrainConfig, config_to_dict
from training.errors import NonFiniteLoss, TrainingError
from training.metrics import read_metrics
from training.run_folder import TrainResult
from training.train import train

SAMPLING = {
    "height": 32,
    "width": 32,
    "num_frames": 9,
    "fps": 8,
    "num_inference_steps": 3,
    "guidance_scale": 1.0,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_wan_pipeline(tmp_path_factory.mktemp("wan"))
    (folder / "sampling.json").write_text(json.dumps({**SAMPLING, "max_sequence_length": 16}))
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> FakeDataset:
    return make_dataset(tmp_path / "data")


@pytest.fixture
def config(model: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        dataset=tmp_path / "data",
        run_dir=tmp_path / "runs" / "one",
        model=str(model),
        device="cpu",
        steps=12,
        batch_size=2,
        learning_rate=2e-3,
        warmup_steps=2,
        lora_rank=4,
        evaluate_every=4,
        checkpoint_every=4,
        held_out_fraction=0.3,
        held_out_draws=4,
    )


def lines(config: TrainConfig, kind: str = "train") -> list[dict[str, Any]]:
    """Return the measurements without the one that differs from run to run."""
    found = [line for line in read_metrics(config.run_dir / "metrics.jsonl") if line["kind"] == kind]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


def adapter_bytes(config: TrainConfig) -> bytes:
    return (config.run_dir / "adapter" / "pytorch_lora_weights.safetensors").read_bytes()


def elsewhere(config: TrainConfig, name: str, **changes: Any) -> TrainConfig:
    return replace(config, run_dir=config.run_dir.parent / name, **changes)


def interrupt_at(step: int) -> Any:
    """Return a progress callback that sends SIGINT to this process after that step."""

    def callback(progress: Any) -> None:
        if progress.phase == "train" and progress.done == step:
            os.kill(os.getpid(), signal.SIGINT)

    return callback


def test_run_learns_to_tell_winners_from_losers(config: TrainConfig, dataset: FakeDataset) -> None:
    result = train(replace(config, steps=60, evaluate_every=20), dataset=dataset)
    assert result.status is RunStatus.FINISHED
    first, last = lines(config)[0], lines(config)[-1]
    assert first["loss"] == pytest.approx(0.693147, abs=1e-6)
    assert first["accuracy"] == 0.5
    assert (first["win_gap"], first["lose_gap"]) == (0.0, 0.0)
    assert last["loss"] < 0.5
    assert last["win_gap"] < last["lose_gap"]
    assert result.held_out["accuracy"] == 1.0
    assert (result.num_train_pairs, result.num_held_out_pairs) == (8, 4)


def test_winner_and_loser_errors_are_logged_apart_for_policy_and_reference(
    config: TrainConfig, dataset: FakeDataset
) -> None:
    train(config, dataset=dataset)
    for line in lines(config):
        assert line["win_gap"] == pytest.approx(line["policy_winner"] - line["reference_winner"], abs=1e-5)
        assert line["lose_gap"] == pytest.approx(line["policy_loser"] - line["reference_loser"], abs=1e-5)
    assert [line["step"] for line in lines(config)] == list(range(1, 13))
    assert [line["step"] for line in lines(config, "held_out")] == [4, 8, 12]


def test_same_settings_give_the_same_bytes_and_another_seed_does_not(
    config: TrainConfig, dataset: FakeDataset
) -> None:
    again, other = elsewhere(config, "again"), elsewhere(config, "other", seed=1)
    for each in (config, again, other):
        train(each, dataset=dataset)
    assert adapter_bytes(config) == adapter_bytes(again)
    assert lines(config) == lines(again)
    assert adapter_bytes(config) != adapter_bytes(other)


@pytest.mark.parametrize("step", [1, 6, 8])
def test_interrupted_and_resumed_run_ends_at_the_same_bits(
    config: TrainConfig, dataset: FakeDataset, step: int
) -> None:
    config = replace(config, keep="best", keep_checkpoints=1)
    broken = elsewhere(config, "broken")
    train(config, dataset=dataset)
    result = train(broken, dataset=dataset, progress=interrupt_at(step))
    assert (result.status, result.step, result.adapter_dir) == (RunStatus.INTERRUPTED, step, None)
    resumed = train(broken, dataset=dataset, resume=True)
    assert (resumed.status, resumed.step) == (RunStatus.FINISHED, 12)
    assert adapter_bytes(broken) == adapter_bytes(config)
    assert lines(broken) == lines(config)
    assert lines(broken, "held_out") == lines(config, "held_out")


def test_half_written_checkpoint_is_passed_over_on_resume(config: TrainConfig, dataset: FakeDataset) -> None:
    broken = elsewhere(config, "broken")
    train(config, dataset=dataset)
    train(broken, dataset=dataset, progress=interrupt_at(9))
    newest = latest_checkpoint(broken.run_dir / "checkpoints")
    assert newest is not None
    assert newest.name == "step-000009"
    optimizer = newest / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:1000])
    train(broken, dataset=dataset, resume=True)
    assert adapter_bytes(broken) == adapter_bytes(config)
    assert lines(broken) == lines(config)


def test_resuming_a_finished_run_changes_nothing(config: TrainConfig, dataset: FakeDataset) -> None:
    first = train(config, dataset=dataset)
    before = adapter_bytes(config)
    again = train(config, dataset=dataset, resume=True)
    assert adapter_bytes(config) == before
    assert replace(again, seconds=0.0) == replace(first, seconds=0.0)


def test_finished_run_can_be_given_more_steps(config: TrainConfig, dataset: FakeDataset) -> None:
    long = elsewhere(config, "long", steps=16)
    train(long, dataset=dataset)
    train(config, dataset=dataset)
    train(replace(config, steps=16), dataset=dataset, resume=True)
    assert adapter_bytes(config) == adapter_bytes(long)


def test_folder_that_holds_a_run_is_refused_without_resume(config: TrainConfig, dataset: FakeDataset) -> None:
    train(config, dataset=dataset)
    with pytest.raises(TrainingError, match="already holds a run"):
        train(config, dataset=dataset)


def test_resuming_with_another_setting_or_dataset_is_refused_by_name(
    config: TrainConfig, dataset: FakeDataset
) -> None:
    train(config, dataset=dataset)
    with pytest.raises(TrainingError, match=r"learning_rate=0\.002, not 0\.001"):
        train(replace(config, learning_rate=1e-3), dataset=dataset, resume=True)
    with pytest.raises(TrainingError, match="dataset_hash"):
        train(config, dataset=replace(dataset, dataset_id="f" * 64), resume=True)


def test_accumulated_small_batches_equal_one_large_batch(config: TrainConfig, dataset: FakeDataset) -> None:
    whole = elsewhere(config, "whole", batch_size=4, accumulation=1)
    parts = elsewhere(config, "parts", batch_size=1, accumulation=4)
    for each in (whole, parts):
        train(each, dataset=dataset)
    for one, two in zip(lines(whole), lines(parts), strict=True):
        assert one["policy_winner"] == pytest.approx(two["policy_winner"], rel=1e-4)
        assert one["loss"] == pytest.approx(two["loss"], abs=2e-3)


def test_gradient_checkpointing_gives_the_same_run(config: TrainConfig, dataset: FakeDataset) -> None:
    recomputed = elsewhere(config, "recomputed", gradient_checkpointing=True)
    for each in (config, recomputed):
        train(each, dataset=dataset)
    assert adapter_bytes(config) == adapter_bytes(recomputed)


def test_loss_that_is_not_a_number_stops_before_the_update(config: TrainConfig, dataset: FakeDataset) -> None:
    rows = [replace(row, weight=float("nan")) for row in dataset.pairs]
    with pytest.raises(
        NonFiniteLoss, match=r"loss of step 1 is nan, from pairs pair-\d-\d \(draw 0, t 0\.\d+\)"
    ):
        train(config, dataset=replace(dataset, pairs=rows))
    result = json.loads((config.run_dir / "result.json").read_text())
    assert result["status"] == "failed"
    assert "pair-" in result["message"]
    assert lines(config) == []


def test_weight_zero_teaches_nothing(config: TrainConfig, dataset: FakeDataset) -> None:
    rows = [replace(row, weight=0.0) for row in dataset.pairs]
    train(config, dataset=replace(dataset, pairs=rows))
    state = load_file(config.run_dir / "adapter" / "pytorch_lora_weights.safetensors")
    assert all((value == 0).all() for name, value in state.items() if "lora_B" in name)


def test_run_stops_when_the_held_out_winner_error_rises(config: TrainConfig, dataset: FakeDataset) -> None:
    stopping = replace(config, stop_when_win_gap_above=-1.0, steps=40)
    result = train(stopping, dataset=dataset)
    assert (result.status, result.step) == (RunStatus.FINISHED, 4)
    assert "win gap" in result.message
    assert (config.run_dir / "adapter").is_dir()


def test_keeping_the_best_saves_the_weights_of_that_evaluation(
    config: TrainConfig, dataset: FakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of three evaluations is made the best one; its weights are those of a run of 8 steps."""
    short = elsewhere(config, "short", steps=8)
    train(short, dataset=dataset)
    evaluate, calls = loop_module.evaluate_held_out, []

    def rigged(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return evaluate(*args, **kwargs)._replace(accuracy=1.0 if len(calls) == 2 else 0.5)

    monkeypatch.setattr(loop_module, "evaluate_held_out", rigged)
    train(replace(config, keep="best"), dataset=dataset)
    assert adapter_bytes(config) == adapter_bytes(short)


def test_held_out_settings_need_more_than_one_prompt(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="one prompt"):
        train(replace(config, keep="best"), dataset=make_dataset(tmp_path / "one", num_prompts=1))


def test_second_round_starts_from_its_parent_as_policy_and_reference(
    config: TrainConfig, dataset: FakeDataset
) -> None:
    first = train(config, dataset=dataset)
    second = elsewhere(config, "two", parent_adapter=first.adapter_dir)
    result = train(second, dataset=dataset)
    start = lines(second)[0]
    assert start["loss"] == pytest.approx(0.693147, abs=1e-6)
    assert start["reference_winner"] != lines(config)[0]["reference_winner"]
    assert result.adapter_dir is not None
    state = load_file(result.adapter_dir / "pytorch_lora_weights.safetensors")
    assert {value.shape[0] for name, value in state.items() if "lora_A" in name} == {8}
    written = json.loads((second.run_dir / "config.json").read_text())
    assert written["inputs"]["parent_adapter_hash"]


def test_clips_of_another_size_are_fitted_to_the_model(config: TrainConfig, tmp_path: Path) -> None:
    large = make_dataset(tmp_path / "large", size=(16, 40, 72))
    result = train(replace(config, steps=2), dataset=large)
    assert result.status is RunStatus.FINISHED
    assert lines(config)[0]["loss"] == pytest.approx(0.693147, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{"safeguard_mu": 0.9}, {"sft_weight": 0.1}, {"label_smoothing": 0.1}],
    ids=lambda c: next(iter(c)),
)
def test_each_safeguard_changes_the_run(
    config: TrainConfig, dataset: FakeDataset, changes: dict[str, float]
) -> None:
    guarded = elsewhere(config, "guarded", **changes)
    for each in (config, guarded):
        train(each, dataset=dataset)
    assert adapter_bytes(config) != adapter_bytes(guarded)
    assert all(torch.isfinite(torch.tensor(line["loss"])) for line in lines(guarded))


KILLED_RUN = """
import json, os, signal, sys
from pathlib import Path
import torch
from tests.pair_datasets import make_dataset
from training import checkpoint
from training.config import config_from_dict
from training.train import train

settings, writes_before_death = Path(sys.argv[1]), int(sys.argv[2])
whole_save, writes = torch.save, 0

def save(value, path):
    global writes
    writes += 1
    whole_save(value, path)
    if writes == writes_before_death:
        path.write_bytes(path.read_bytes()[:500])
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.torch.save = save
torch.set_num_threads(1)
config = config_from_dict(json.loads(settings.read_text()))
train(config, resume=True, dataset=make_dataset(config.dataset))
"""


def test_run_that_dies_in_the_middle_of_checkpoints_ends_at_the_same_bits(
    config: TrainConfig, dataset: FakeDataset, tmp_path: Path
) -> None:
    config = replace(config, checkpoint_every=2, evaluate_every=5)
    train(config, dataset=dataset)
    broken = elsewhere(config, "broken")
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(config_to_dict(broken)))
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    # The first dies in its first checkpoint, the second in its third: steps 2, then 2, 4 and half of 6.
    for writes_before_death in (1, 3):
        command = [sys.executable, "-c", KILLED_RUN, str(settings), str(writes_before_death)]
        ended = subprocess.run(command, cwd=root, env=environment, check=False, timeout=120)
        assert ended.returncode == -signal.SIGKILL
    left = sorted(path.name for path in (broken.run_dir / "checkpoints").iterdir())
    assert left[1:] == ["step-000002", "step-000004"]
    assert left[0].startswith(".partial-")
    train(broken, dataset=dataset, resume=True)
    assert adapter_bytes(broken) == adapter_bytes(config)
    assert lines(broken) == lines(config)
    assert sorted(path.name for path in (broken.run_dir / "checkpoints").iterdir()) == [
        "step-000010",
        "step-000012",
    ]


def test_result_tells_where_everything_is(config: TrainConfig, dataset: FakeDataset) -> None:
    result: TrainResult = train(config, dataset=dataset)
    written = json.loads((config.run_dir / "result.json").read_text())
    assert written["adapter_dir"] == str(result.adapter_dir)
    assert written["status"] == "finished"
    described = json.loads((config.run_dir / "config.json").read_text())
    assert described["inputs"]["dataset_hash"] == dataset.dataset_id
    assert len(described["inputs"]["model_hash"]) == 64
    assert described["versions"]["torch"] == str(torch.__version__)
