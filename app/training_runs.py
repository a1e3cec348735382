"""Training runs of a workspace: which folder, from which generator, and what becomes of the result.

A run's folder name follows from its dataset, generator and settings, so the same request again resumes an
interrupted run or returns a finished one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.generation import model_folder
from app.progress import Progress, no_progress
from storage.errors import UnknownName
from storage.records import Generator, RunEnd, RunRecord, RunStatus, record_id
from storage.rounds import list_datasets
from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOutcome:
    """A finished run and the generator it made."""

    run: RunRecord
    run_dir: Path
    generator: Generator


def find_dataset(store: Store, text: str) -> Path:
    """Return the folder of a dataset given as a path, a name, or the start of its hash.

    Raises:
        UnknownName: It is none of these.
    """
    if (Path(text) / "manifest.json").exists():
        return Path(text).resolve()
    datasets = list_datasets(store)
    for dataset in datasets:
        if dataset.name == text or (len(text) >= 6 and dataset.dataset_id.startswith(text)):
            return store.workspace.root / dataset.path
    raise UnknownName("dataset", text, [dataset.name for dataset in datasets])


def train_on(
    store: Store,
    *,
    dataset_dir: Path,
    dataset_id: str,
    category: str | None,
    generator: Generator,
    name: str | None = None,
    round_number: int = 0,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> TrainingOutcome:
    """Fine-tune `generator` on a dataset and register the run and the new generator.

    Raises:
        ValueError: The generator is an imported source, or a setting is out of its range.
        HashMismatch: The dataset was changed after its export.
    """
    if generator.family == "external":
        raise ValueError(f"generator {generator.name!r} is an imported source: it has no model to train")
    # Imported when training is asked for: torch and diffusers take seconds to load.
    from training.config import flow_dpo, tiny_dpo  # noqa: PLC0415
    from training.train import train  # noqa: PLC0415

    recipe = tiny_dpo if generator.model == "tiny" else flow_dpo
    config = recipe(
        dataset_dir,
        store.workspace.runs_dir,
        model=model_folder(generator),
        parent_adapter=store.workspace.root / generator.adapter if generator.adapter else None,
        seed=seed,
    )
    config = replace(config, **dict(changes or {}))
    stamp = json.dumps([dataset_id, generator.generator_id, seed, dict(changes or {})], sort_keys=True)
    folder = f"{category or 'all'}-{hashlib.sha256(stamp.encode()).hexdigest()[:10]}"
    run_dir = store.workspace.runs_dir / folder
    run = RunRecord(
        run_id=record_id("run", folder),
        dataset_id=dataset_id,
        generator_id=generator.generator_id,
        recipe=config.recipe,
        path=str(run_dir.relative_to(store.workspace.root)),
    )
    store.write([run])
    result = train(replace(config, run_dir=run_dir), progress=progress)
    tuned = Generator(
        generator_id=record_id("generator", folder),
        name=name or folder,
        family=generator.family,
        model=generator.model,
        adapter=str(result.adapter_dir.relative_to(store.workspace.root)),
        parent_id=generator.generator_id,
        category=category,
        round=round_number,
    )
    store.write([RunEnd(run_id=run.run_id, status=RunStatus.FINISHED), tuned])
    return TrainingOutcome(run=run, run_dir=run_dir, generator=tuned)
