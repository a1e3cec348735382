"""Preference training of one adapter from one frozen dataset.

As a function `train(config)`, or as a program, on one machine or several:

    accelerate launch -m training.train --config settings.json

First the clips and prompts that are needed get encoded, then pairs of some prompts are held out, then
`TrainingLoop` does the optimizer steps. A run that was interrupted or killed and is resumed ends at the same
bits as one that ran through, on the same machine with the same number of threads and processes.
"""

import argparse
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from storage.errors import VidprefError
from storage.export_reader import read_dataset
from training.config import TrainConfig, config_from_dict
from training.data import PairDataset, PairSplit, split_held_out, training_pairs
from training.errors import TrainingError
from training.families.family import SampleSettings, VideoFamily
from training.families.load import load_family
from training.latents import LatentCache, build_cache
from training.loop import ProgressCallback, TrainingLoop, TrainProgress
from training.run_folder import RunFolder, RunInputs, TrainResult


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    progress: ProgressCallback | None = None,
    dataset: PairDataset | None = None,
) -> TrainResult:
    """Train an adapter and return how the run ended; `run_dir/adapter` then holds it.

    Ctrl-C or SIGTERM ends the run after the present step with a checkpoint and status `interrupted`.

    Args:
        config: what to train on and how.
        resume: go on with the run in `config.run_dir`, if there is one; without it such a folder is refused.
        progress: called after each shard of encoding and each step.
        dataset: an opened dataset, to save reading `config.dataset` again.

    Raises:
        TrainingError: the dataset has nothing to learn from, the model or the run folder cannot be used.
        NonFiniteLoss: training broke down; the message names the step and its pairs.
    """
    accelerator = Accelerator(cpu=config.device == "cpu")
    device = str(accelerator.device) if config.device == "auto" else config.device
    data = dataset if dataset is not None else read_dataset(config.dataset)
    split = _split(config, data)
    family = load_family(config.model, adapter=config.parent_adapter, device=device, dtype=config.dtype)
    inputs = RunInputs(
        dataset_hash=data.dataset_id,
        model_hash=family.model_hash,
        parent_adapter_hash=family.adapter_hash,
    )
    folder = RunFolder(config.run_dir)
    with accelerator.main_process_first():
        if accelerator.is_main_process:
            folder.open(config, inputs, resume=resume)
        settings = clip_settings(config, family)
        cache = _cache(config, family, data, split, settings, inputs.dataset_hash, progress)
    loop = TrainingLoop(
        config,
        family,
        cache,
        split,
        folder,
        accelerator,
        max_sequence_length=settings.max_sequence_length,
        dataset_hash=inputs.dataset_hash,
        progress=progress,
    )
    return loop.run()


def clip_settings(config: TrainConfig, family: VideoFamily) -> SampleSettings:
    """Return size and length of the clips to train on: the model's own where the settings name none."""
    own = family.defaults
    settings = replace(
        own,
        height_px=config.height_px or own.height_px,
        width_px=config.width_px or own.width_px,
        num_frames=config.num_frames or own.num_frames,
    )
    family.latent_shape(settings)
    return settings


def _split(config: TrainConfig, dataset: PairDataset) -> PairSplit:
    pairs = training_pairs(dataset, config.aspect)
    split = split_held_out(pairs, config.held_out_fraction)
    needed = config.keep == "best" or config.stop_when_win_gap_above is not None
    if needed and not split.held_out:
        raise TrainingError(
            f"keep='best' and stop_when_win_gap_above need held-out pairs, but the {len(pairs)} pairs of "
            f"{dataset.path} have one prompt. Add prompts, or switch these settings off"
        )
    return split


def _cache(
    config: TrainConfig,
    family: VideoFamily,
    dataset: PairDataset,
    split: PairSplit,
    settings: SampleSettings,
    dataset_hash: str,
    progress: ProgressCallback | None,
) -> LatentCache:
    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(TrainProgress(phase="encode", done=done, total=total))

    return build_cache(
        family,
        dataset,
        [*split.train, *split.held_out],
        settings,
        config.cache_dir or config.run_dir.parent / "cache",
        dataset_hash=dataset_hash,
        progress=report,
    )


def main() -> None:
    """Train from a settings file; the exit code is 1 on an error and 130 when interrupted."""
    parser = argparse.ArgumentParser(description="Train an adapter from a settings file.")
    parser.add_argument("--config", type=Path, required=True, help="JSON object of TrainConfig's fields")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the settings' run_dir")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        config = config_from_dict(json.loads(arguments.config.read_text()))
        result = train(config, resume=arguments.resume, progress=_log_progress)
    except (VidprefError, ValueError, OSError) as error:
        sys.exit(f"training failed: {error}")
    logging.getLogger(__name__).info("%s at step %d: %s", result.status, result.step, result.adapter_dir)
    sys.exit(130 if result.adapter_dir is None else 0)


def _log_progress(progress: TrainProgress) -> None:
    values = " ".join(f"{name}={value:.4g}" for name, value in progress.values.items())
    logging.getLogger(__name__).info("%s %d/%d %s", progress.phase, progress.done, progress.total, values)


if __name__ == "__main__":
    main()
