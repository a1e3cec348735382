"""The optimizer steps of a run, with what surrounds them: measuring, stopping, checkpoints, resuming.

A step is a pure function of the weights before it and of (seed, step number): nothing else is random, and no
state is kept outside the checkpoint.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from accelerate import Accelerator
from torch import Tensor

from storage.records import RunStatus
from training.checkpoint import Checkpoint, LoopState, latest_checkpoint, load_checkpoint, save_checkpoint
from training.config import TrainConfig
from training.data import PairSplit, items_of_step
from training.errors import NonFiniteLoss
from training.families.family import VideoFamily
from training.files import writing_folder
from training.held_out import HeldOutResult, evaluate_held_out
from training.interrupt import stop_on_signal
from training.latents import LatentCache
from training.losses import dpo_loss
from training.metrics import MetricsFile, read_metrics, train_values
from training.preference_step import PairBatch, make_batch, pair_errors
from training.run_folder import RunFolder, TrainResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainProgress:
    """Handed to the caller's `progress` as the run goes on."""

    phase: Literal["encode", "train"]
    done: int
    """Clips encoded, or optimizer steps done."""
    total: int
    values: Mapping[str, float] = field(default_factory=dict)
    """What was measured at this step; empty while encoding."""


ProgressCallback = Callable[[TrainProgress], None]


class TrainingLoop:
    """One run in memory: made, run once, thrown away."""

    def __init__(
        self,
        config: TrainConfig,
        family: VideoFamily,
        cache: LatentCache,
        split: PairSplit,
        folder: RunFolder,
        accelerator: Accelerator,
        *,
        max_sequence_length: int,
        dataset_hash: str,
        progress: ProgressCallback | None = None,
    ) -> None:
        self._config = config
        self._family = family
        self._cache = cache
        self._split = split
        self._folder = folder
        self._accelerator = accelerator
        self._max_sequence_length = max_sequence_length
        self._dataset_hash = dataset_hash
        self._progress = progress
        self._metrics = MetricsFile(folder.metrics_path)
        self._state = LoopState(step=0)
        self._best_adapter: dict[str, Tensor] = {}
        family.add_adapter(rank=config.lora_rank, scale=config.scale, seed=config.seed)
        if config.gradient_checkpointing:
            family.enable_gradient_checkpointing()
        self._parameters = family.adapter_parameters()
        optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        family.network, self._optimizer = accelerator.prepare(family.network, optimizer)

    def run(self) -> TrainResult:
        """Train from the newest checkpoint, or from the start, to the end or to a signal.

        Raises:
            NonFiniteLoss: a loss or gradient is not a number; the last checkpoint is untouched.
        """
        began = time.monotonic()
        self._restore()
        try:
            status = self._train()
        except NonFiniteLoss as error:
            self._end(RunStatus.FAILED, str(error), began)
            raise
        if status is RunStatus.INTERRUPTED:
            return self._end(status, "stopped by a signal; resume to go on", began)
        self._export()
        return self._end(status, self._state.stopped, began)

    def _train(self) -> RunStatus:
        with stop_on_signal() as request:
            while not self._is_done():
                self._advance()
                interrupted = self._agreed(request.asked) and not self._is_done()
                if interrupted or self._is_done() or self._state.step % self._config.checkpoint_every == 0:
                    self._save_checkpoint()
                if interrupted:
                    return RunStatus.INTERRUPTED
        return RunStatus.FINISHED

    def _is_done(self) -> bool:
        return self._state.step >= self._config.steps or bool(self._state.stopped)

    def _advance(self) -> None:
        """Do one optimizer step and what is due after it."""
        values = self._optimizer_step()
        self._state = replace(self._state, step=self._state.step + 1)
        step = self._state.step
        if self._accelerator.is_main_process:
            self._metrics.append("train", step, values)
        due = step % self._config.evaluate_every == 0 or step == self._config.steps
        if due and self._split.held_out:
            self._evaluate(step)
        if self._progress is not None:
            self._progress(TrainProgress(phase="train", done=step, total=self._config.steps, values=values))

    def _optimizer_step(self) -> dict[str, float]:
        began = time.perf_counter()
        rate = self._set_learning_rate()
        batches = [self._batch(micro) for micro in range(self._config.accumulation)]
        sums: dict[str, Tensor] = {}
        for number, batch in enumerate(batches, start=1):
            last = number == len(batches)
            with nullcontext() if last else self._accelerator.no_sync(self._family.network):
                for name, value in self._backward(batch).items():
                    sums[name] = sums.get(name, torch.zeros_like(value)) + value / len(batches)
        norm = self._clip_gradient(batches)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        means = self._accelerator.reduce(sums, reduction="mean")
        values = {name: float(value) for name, value in means.items()}
        return {**values, "grad_norm": norm, "learning_rate": rate, "seconds": time.perf_counter() - began}

    def _set_learning_rate(self) -> float:
        config = self._config
        share = min(1.0, (self._state.step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
        for group in self._optimizer.param_groups:
            group["lr"] = config.learning_rate * share
        return config.learning_rate * share

    def _batch(self, micro: int) -> PairBatch:
        """Return this process's part of one forward of the present step."""
        config, processes = self._config, self._accelerator.num_processes
        forward = self._state.step * config.accumulation + micro
        first = (forward * processes + self._accelerator.process_index) * config.batch_size
        return make_batch(
            items_of_step(self._split.train, seed=config.seed, first=first, count=config.batch_size),
            self._cache,
            seed=config.seed,
            timestep=config.timestep,
            max_sequence_length=self._max_sequence_length,
            device=self._family.device,
        )

    def _backward(self, batch: PairBatch) -> dict[str, Tensor]:
        config = self._config
        errors, factors = pair_errors(self._family, batch, safeguard_mu=config.safeguard_mu)
        terms = dpo_loss(
            errors,
            beta=config.beta,
            weight=batch.weight,
            label_smoothing=config.label_smoothing,
            sft_weight=config.sft_weight,
        )
        if not torch.isfinite(terms.loss):
            raise self._non_finite("loss", terms.loss.item(), [batch])
        self._accelerator.backward(terms.loss / config.accumulation)
        return train_values(terms, errors, factors)

    def _clip_gradient(self, batches: list[PairBatch]) -> float:
        norm = float(self._accelerator.clip_grad_norm_(self._parameters.values(), self._config.max_grad_norm))
        if not math.isfinite(norm):
            raise self._non_finite("gradient norm", norm, batches)
        return norm

    def _non_finite(self, what: str, value: float, batches: list[PairBatch]) -> NonFiniteLoss:
        pairs = "; ".join(batch.describe() for batch in batches)
        return NonFiniteLoss(
            f"the {what} of step {self._state.step + 1} is {value}, from pairs {pairs}. "
            "The weights are as before this step. Lower learning_rate or beta, or look at these pairs' clips"
        )

    def _evaluate(self, step: int) -> None:
        result = evaluate_held_out(
            self._family,
            self._cache,
            self._split.held_out,
            self._config,
            max_sequence_length=self._max_sequence_length,
        )
        if self._accelerator.is_main_process:
            self._metrics.append("held_out", step, result._asdict())
        logger.info("step %d: held-out accuracy %.3f, win gap %.5f", step, result.accuracy, result.win_gap)
        self._remember_best(step, result)
        limit = self._config.stop_when_win_gap_above
        if limit is not None and result.win_gap > limit:
            reason = f"stopped at step {step}: the held-out win gap {result.win_gap:.6g} is above {limit:g}"
            self._state = replace(self._state, stopped=reason)

    def _remember_best(self, step: int, result: HeldOutResult) -> None:
        state = self._state
        now, best = (result.accuracy, -result.win_gap), (state.best_accuracy, -state.best_win_gap)
        if state.best_step is not None and now <= best:
            return
        self._state = replace(
            state, best_step=step, best_accuracy=result.accuracy, best_win_gap=result.win_gap
        )
        if self._config.keep == "best":
            self._best_adapter = self._adapter_copy()

    def _adapter_copy(self) -> dict[str, Tensor]:
        return {name: value.detach().to("cpu", copy=True) for name, value in self._parameters.items()}

    def _set_adapter(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(weights[name])

    def _restore(self) -> None:
        path = latest_checkpoint(self._folder.checkpoints)
        if path is not None:
            checkpoint = load_checkpoint(path)
            self._state = checkpoint.state
            self._set_adapter(checkpoint.adapter)
            self._best_adapter = dict(checkpoint.best_adapter)
            self._optimizer.load_state_dict(dict(checkpoint.optimizer))
            logger.info("resuming from %s", path)
        if self._accelerator.is_main_process:
            self._metrics.rewind(self._state.step)
        self._accelerator.wait_for_everyone()

    def _save_checkpoint(self) -> None:
        if self._accelerator.is_main_process:
            checkpoint = Checkpoint(
                state=self._state,
                adapter=self._adapter_copy(),
                best_adapter=self._best_adapter,
                optimizer=self._optimizer.state_dict(),
            )
            save_checkpoint(self._folder.checkpoints, checkpoint, keep=self._config.keep_checkpoints)
        self._accelerator.wait_for_everyone()

    def _export(self) -> None:
        if self._best_adapter:
            self._set_adapter(self._best_adapter)
        if self._accelerator.is_main_process:
            with writing_folder(self._folder.adapter) as partial:
                self._family.save_adapter(partial)

    def _agreed(self, asked: bool) -> bool:
        """Say whether any process was asked to stop, the same in all of them."""
        if self._accelerator.num_processes == 1:
            return asked
        flag = torch.tensor(float(asked), device=self._accelerator.device)
        return bool(self._accelerator.reduce(flag, reduction="sum") > 0)

    def _end(self, status: RunStatus, message: str, began: float) -> TrainResult:
        last: dict[str, dict[str, float]] = {}
        for line in read_metrics(self._folder.metrics_path):
            last[str(line["kind"])] = {name: float(v) for name, v in line.items() if name != "kind"}
        result = TrainResult(
            run_dir=self._folder.root,
            status=status,
            step=self._state.step,
            message=message,
            adapter_dir=self._folder.adapter if status is RunStatus.FINISHED else None,
            dataset_hash=self._dataset_hash,
            num_train_pairs=len(self._split.train),
            num_held_out_pairs=len(self._split.held_out),
            metrics=last.get("train", {}),
            held_out=last.get("held_out", {}),
            seconds=time.monotonic() - began,
        )
        if self._accelerator.is_main_process:
            self._folder.finish(result)
        return result
