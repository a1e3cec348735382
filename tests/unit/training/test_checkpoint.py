"""Checkpoints are whole or not there, and damage is seen."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from training.checkpoint import Checkpoint, LoopState, latest_checkpoint, load_checkpoint, save_checkpoint
from training.files import remove_partial, writing_file, writing_folder


def checkpoint(step: int) -> Checkpoint:
    weights = {"a": torch.full((3,), float(step)), "b": torch.arange(4.0)}
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter], lr=0.1)
    parameter.grad = torch.ones(3)
    optimizer.step()
    state = LoopState(step=step, best_step=1, best_accuracy=0.75, best_win_gap=-0.25)
    return Checkpoint(state=state, adapter=weights, best_adapter={}, optimizer=optimizer.state_dict())


def test_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    saved = checkpoint(7)
    save_checkpoint(tmp_path, saved, keep=2)
    path = latest_checkpoint(tmp_path)
    assert path == tmp_path / "step-000007"
    loaded = load_checkpoint(path)
    assert loaded.state == saved.state
    assert all(torch.equal(loaded.adapter[name], saved.adapter[name]) for name in saved.adapter)
    for name in ("exp_avg", "exp_avg_sq", "step"):
        assert torch.equal(loaded.optimizer["state"][0][name], saved.optimizer["state"][0][name])


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (5, 50, 100, 1_000_000):
        save_checkpoint(tmp_path, checkpoint(step), keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000100", "step-1000000"]
    assert latest_checkpoint(tmp_path) == tmp_path / "step-1000000"


@pytest.mark.parametrize("name", ["adapter.safetensors", "optimizer.pt", "state.json", "checksums.json"])
@pytest.mark.parametrize("damage", ["change", "cut", "remove"])
def test_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, name: str, damage: str) -> None:
    save_checkpoint(tmp_path, checkpoint(1), keep=3)
    file = save_checkpoint(tmp_path, checkpoint(2), keep=3) / name
    content = bytearray(file.read_bytes())
    if damage == "remove":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert latest_checkpoint(tmp_path) == tmp_path / "step-000001"


def test_no_folder_means_no_checkpoint(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "none") is None


def test_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), writing_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_folder_replaces_the_one_before(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with writing_folder(tmp_path / "adapter") as partial:
            (partial / text).write_text(text)
    assert [item.name for item in (tmp_path / "adapter").iterdir()] == ["new"]


def test_rest_of_a_dead_writer_is_removed_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".partial-{dead.pid}-step-000003").mkdir()
    (tmp_path / f".partial-{dead.pid}-x.json").write_text("{")
    living = f".partial-{os.getppid()}-y.json"
    (tmp_path / living).write_text("{")
    (tmp_path / "step-000002").mkdir()
    remove_partial(tmp_path)
    assert sorted(item.name for item in tmp_path.iterdir()) == [living, "step-000002"]


KILLED_WRITER = """
import sys, torch
from pathlib import Path
from training.checkpoint import Checkpoint, LoopState, save_checkpoint
step = 0
while True:
    step += 1
    weights = {str(n): torch.full((2000,), float(step)) for n in range(20)}
    state = Checkpoint(state=LoopState(step=step), adapter=weights, best_adapter={}, optimizer={"state": {}})
    save_checkpoint(Path(sys.argv[1]), state, keep=2)
    print(step, flush=True)
"""


@pytest.mark.slow
def test_kill_at_any_moment_leaves_a_whole_newest_checkpoint(tmp_path: Path) -> None:
    said = 0
    for delay_ms in (0, 3, 7, 11, 17, 23):
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED_WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(3):
            said = int(writer.stdout.readline())
        time.sleep(delay_ms / 1000)
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.communicate()[0].split()
        said = int(rest[-1]) if rest else said
        path = latest_checkpoint(tmp_path)
        assert path is not None
        loaded = load_checkpoint(path)
        # What was said to be written is there, or its successor, finished before the kill.
        assert loaded.state.step in (said, said + 1)
        assert all((value == loaded.state.step).all() for value in loaded.adapter.values())
        for folder in tmp_path.iterdir():
            if folder.name.startswith("step-"):
                for file in folder.iterdir():
                    file.unlink()
                folder.rmdir()
