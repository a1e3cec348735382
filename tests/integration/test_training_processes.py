"""Two processes do together what one does alone; the program speaks plainly of wrong settings."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pair_datasets import make_dataset
from tests.tiny_pipelines import save_wan_pipeline
from training.config import TrainConfig, config_to_dict
from training.metrics import read_metrics
from training.train import train

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import json, sys
from pathlib import Path
from tests.pair_datasets import make_dataset
from training.config import config_from_dict
from training.train import train

config = config_from_dict(json.loads(Path(sys.argv[1]).read_text()))
train(config, dataset=make_dataset(config.dataset))
"""


@pytest.mark.slow
def test_two_processes_equal_one_with_twice_the_batch(tmp_path: Path) -> None:
    model = save_wan_pipeline(tmp_path / "wan")
    sampling = {"height": 32, "width": 32, "num_frames": 9, "fps": 8, "max_sequence_length": 16}
    (model / "sampling.json").write_text(json.dumps(sampling))
    config = TrainConfig(
        dataset=tmp_path / "data",
        run_dir=tmp_path / "one" / "run",
        model=str(model),
        device="cpu",
        steps=4,
        batch_size=2,
        learning_rate=2e-3,
        warmup_steps=0,
        lora_rank=4,
        evaluate_every=2,
        held_out_fraction=0.3,
    )
    train(config, dataset=make_dataset(config.dataset))
    shared = config_to_dict(config) | {"batch_size": 1, "run_dir": str(tmp_path / "two" / "run")}
    settings, worker = tmp_path / "settings.json", tmp_path / "worker.py"
    settings.write_text(json.dumps(shared))
    worker.write_text(WORKER)
    run_two_processes([str(worker), str(settings)])
    one, two = (list(read_metrics(tmp_path / name / "run" / "metrics.jsonl")) for name in ("one", "two"))
    assert len(one) == len(two) == 6
    for mine, theirs in zip(one, two, strict=True):
        for name in {"policy_winner", "policy_loser", "win_gap", "accuracy"} & mine.keys():
            assert theirs[name] == pytest.approx(mine[name], rel=1e-3, abs=1e-4), name
    assert (tmp_path / "two" / "run" / "adapter" / "pytorch_lora_weights.safetensors").is_file()


def test_program_tells_a_wrong_settings_file_without_a_traceback(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text('{"dataset": "d", "run_dir": "r", "stepz": 3}')
    command = [sys.executable, "-m", "training.train", "--config", str(settings)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 1
    assert "unknown training settings ['stepz']" in ended.stderr
    assert "Traceback" not in ended.stderr


def run_two_processes(arguments: list[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *launch, *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
