"""The folder of a run: what it was asked, what it used, how it ended.

config.json       settings, hashes of dataset and weights, versions
metrics.jsonl     see `training.metrics`
checkpoints/      see `training.checkpoint`
adapter/          what diffusers' `load_lora_weights` loads
result.json       how it ended; absent while it runs
"""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from storage.records import RunStatus
from training.config import TrainConfig, config_to_dict
from training.errors import TrainingError
from training.files import write_json

MAY_CHANGE = frozenset(
    {"dataset", "run_dir", "cache_dir", "model", "parent_adapter", "device", "steps"}
    | {"checkpoint_every", "keep_checkpoints", "gradient_checkpointing"}
)
"""Settings that a resumed run may have otherwise: where things lie (hashes say what they are), and how long
it runs."""

_PACKAGES = ("torch", "diffusers", "peft", "accelerate", "transformers", "safetensors", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """Hashes of everything a run is computed from besides its settings."""

    dataset_hash: str
    model_hash: str
    parent_adapter_hash: str
    """Empty without a parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """How a run ended."""

    run_dir: Path
    status: RunStatus
    step: int
    """Optimizer steps done."""
    message: str
    """Why it ended early; empty where it did all its steps."""
    adapter_dir: Path | None
    """None unless finished."""
    dataset_hash: str
    num_train_pairs: int
    num_held_out_pairs: int
    metrics: Mapping[str, float]
    """Of the last step."""
    held_out: Mapping[str, float]
    """Of the last evaluation; empty without held-out pairs."""
    seconds: float
    """Of this call."""


class RunFolder:
    """Paths of a run and its two small files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config_path = root / "config.json"
        self.metrics_path = root / "metrics.jsonl"
        self.checkpoints = root / "checkpoints"
        self.adapter = root / "adapter"
        self.result_path = root / "result.json"

    def open(self, config: TrainConfig, inputs: RunInputs, *, resume: bool) -> None:
        """Start the folder, or check that it holds this very run.

        Raises:
            TrainingError: it holds a run and `resume` is off, or a run of other settings, data or weights.
        """
        described = {"config": config_to_dict(config), "inputs": asdict(inputs)}
        if self.config_path.is_file():
            if not resume:
                raise TrainingError(f"{self.root} already holds a run: resume it, or choose another folder")
            self._check_same(described)
        self.result_path.unlink(missing_ok=True)
        self.root.mkdir(parents=True, exist_ok=True)
        write_json(self.config_path, {**described, "versions": _versions()})

    def finish(self, result: TrainResult) -> None:
        """Write how the run ended."""
        values = asdict(result) | {
            "run_dir": str(result.run_dir),
            "adapter_dir": str(result.adapter_dir or ""),
        }
        write_json(self.result_path, values)

    def _check_same(self, described: Mapping[str, Mapping[str, object]]) -> None:
        try:
            before = json.loads(self.config_path.read_text())
        except ValueError as error:
            raise TrainingError(
                f"{self.config_path} is damaged ({error}); start again in another folder"
            ) from error
        for part, values in described.items():
            for name, value in values.items():
                old = before.get(part, {}).get(name)
                if name not in MAY_CHANGE and old != value:
                    raise TrainingError(
                        f"{self.root} holds a run with {name}={old!r}, not {value!r}: "
                        "resume with the same settings, or choose another folder"
                    )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
