"""The settings of a training run, and the recipes that fill them in.

A recipe is a function that returns a `TrainConfig`; a variant is `dataclasses.replace` on one. The resolved
settings are written to the run folder, so that a run can be read, repeated and resumed from there.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from training.draws import TimestepConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that decides what a run computes. Lengths are in pairs or optimizer steps."""

    dataset: Path
    """Folder of a frozen dataset."""
    run_dir: Path
    """Folder of this run: settings, metrics, checkpoints and the adapter."""
    model: str = "tiny"
    """Hub name or folder of the pipeline; `tiny` for the shipped model."""
    parent_adapter: Path | None = None
    """Adapter of the round before: policy AND reference start from it."""
    recipe: str = "flow_dpo"
    """Name of the recipe, for the records."""
    seed: int = 0
    """Of everything random: noise, timesteps, data order, first adapter weights."""
    aspect: str = "overall"
    """Which aspect's labels to learn from."""

    steps: int = 200
    """Optimizer steps."""
    batch_size: int = 4
    """Pairs per forward and process."""
    accumulation: int = 1
    """Forwards per optimizer step."""
    learning_rate: float = 1e-4
    warmup_steps: int = 10
    """The learning rate rises linearly over these steps and stays."""
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    """The gradient of each optimizer step is scaled down to this norm where it is longer."""

    beta: float = 500.0
    """Of the loss, in the convention of `training.losses`: errors are means over elements, with a factor
    1/2."""
    label_smoothing: float = 0.0
    sft_weight: float = 0.0
    """Weight of the winner's own error in the loss."""
    safeguard_mu: float | None = None
    """Diffusion-SDPO safety in [0, 1), or None for plain DPO."""
    timestep: TimestepConfig = field(default_factory=TimestepConfig)

    lora_rank: int = 16
    lora_alpha: float | None = None
    """Scale is alpha / rank; None means alpha = rank."""

    height_px: int | None = None
    """Clips are resized to this; None means the model's own size. The same for width and number of frames."""
    width_px: int | None = None
    num_frames: int | None = None

    held_out_fraction: float = 0.1
    """Share of the prompts whose pairs are never trained on and measure accuracy instead."""
    held_out_draws: int = 8
    """Fixed draws of noise and timestep per held-out pair."""
    evaluate_every: int = 25
    checkpoint_every: int = 50
    keep_checkpoints: int = 2
    """Older ones are deleted."""
    stop_when_win_gap_above: float | None = None
    """Stop when the winner's error on held-out pairs exceeds the reference's by more than this; None never
    stops early. Needs held-out pairs."""
    keep: Literal["last", "best"] = "last"
    """Which weights become the adapter: the last, or those of the best held-out evaluation."""

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the frozen base; the adapter is always trained in float32."""
    device: str = "auto"
    """`auto` takes an accelerator where there is one."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about 1.5 times the time."""
    cache_dir: Path | None = None
    """Where latents and text embeddings are kept, shared by runs; None means `cache` next to the run
    folder."""

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "steps", "batch_size", "accumulation", "lora_rank", "held_out_draws")
        _check_at_least(self, 1, "evaluate_every", "checkpoint_every", "keep_checkpoints")
        _check_at_least(self, 0, "warmup_steps", "weight_decay", "sft_weight", "seed")
        for name in ("learning_rate", "beta", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0.0 <= self.held_out_fraction < 1.0:
            raise ValueError(f"held_out_fraction must be in [0, 1), got {self.held_out_fraction}")
        if not 0.0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must be in [0, 0.5), got {self.label_smoothing}")
        if self.safeguard_mu is not None and not 0.0 <= self.safeguard_mu < 1.0:
            raise ValueError(f"safeguard_mu must be in [0, 1) or None, got {self.safeguard_mu}")
        if self.keep not in ("last", "best"):
            raise ValueError(f"keep is {self.keep!r}; allowed are 'last' and 'best'")
        if self.keep == "best" and self.held_out_fraction == 0.0:
            raise ValueError("keep='best' needs held-out pairs; set held_out_fraction above 0")

    @property
    def scale(self) -> float:
        """What the product of the adapter's two matrices is multiplied by."""
        return (self.lora_rank if self.lora_alpha is None else self.lora_alpha) / self.lora_rank


def config_to_dict(config: TrainConfig) -> dict[str, object]:
    """Return the settings as JSON values; paths become text."""
    values: dict[str, object] = json.loads(json.dumps(asdict(config), default=str))
    return values


def config_from_dict(values: Mapping[str, object]) -> TrainConfig:
    """Return the settings that `config_to_dict` wrote.

    Raises:
        ValueError: a name is unknown, or a value is out of range.
    """
    known = {item.name for item in fields(TrainConfig)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown training settings {unknown}; allowed are {sorted(known)}")
    resolved = dict(values)
    for name in ("dataset", "run_dir", "parent_adapter", "cache_dir"):
        if resolved.get(name) is not None:
            resolved[name] = Path(str(resolved[name]))
    timestep = resolved.get("timestep")
    if isinstance(timestep, Mapping):
        resolved["timestep"] = TimestepConfig(**timestep)
    return TrainConfig(**resolved)  # type: ignore[arg-type]  # checked by TrainConfig itself


def flow_dpo(
    dataset: Path, run_dir: Path, *, model: str, parent_adapter: Path | None = None, seed: int = 0
) -> TrainConfig:
    """Diffusion-DPO for flow matching with LoRA: starting values for a model of a billion parameters."""
    return TrainConfig(
        dataset=dataset,
        run_dir=run_dir,
        model=model,
        parent_adapter=parent_adapter,
        seed=seed,
        recipe="flow_dpo",
        steps=1000,
        batch_size=1,
        accumulation=8,
        learning_rate=1e-5,
        warmup_steps=50,
        beta=2000.0,
        lora_rank=32,
        timestep=TimestepConfig(shift=2.0, strata=4),
        gradient_checkpointing=True,
        dtype="float32" if parent_adapter else "bfloat16",
        checkpoint_every=100,
        evaluate_every=100,
    )


def tiny_dpo(
    dataset: Path, run_dir: Path, *, parent_adapter: Path | None = None, seed: int = 0
) -> TrainConfig:
    """The same for the shipped tiny model, sized so that a round takes about a minute on one core."""
    return TrainConfig(
        dataset=dataset,
        run_dir=run_dir,
        model="tiny",
        parent_adapter=parent_adapter,
        seed=seed,
        recipe="tiny_dpo",
        steps=150,
        batch_size=4,
        learning_rate=2e-4,
        warmup_steps=10,
        beta=500.0,
        safeguard_mu=0.9,
        lora_rank=16,
        timestep=TimestepConfig(strata=4),
        evaluate_every=25,
        checkpoint_every=50,
    )


def _check_at_least(config: TrainConfig, lowest: float, *names: str) -> None:
    for name in names:
        if getattr(config, name) < lowest:
            raise ValueError(f"{name} must be {lowest} or more, got {getattr(config, name)}")
