"""Training runs of a workspace: which folder, from which generator, and what becomes of the result.

A run's folder name follows from its dataset, generator and settings, so the same request again resumes an
interrupted run, or returns a finished one.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.generation import TINY, adapter_folder
from app.progress import Progress, no_progress
from storage.errors import VidprefError
from storage.export_reader import read_dataset
from storage.generators import find_generator, list_generators
from storage.records import Generator, RunEnd, RunRecord, RunStatus, record_id
from storage.rounds import find_dataset
from storage.store import Store

if TYPE_CHECKING:
    from training.config import TrainConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A training run that is decided on and recorded, but not carried out."""

    run: RunRecord
    config: "TrainConfig"
    parent: Generator
    category: str | None
    round_number: int
    name: str
    """Of the generator it will make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOutcome:
    """A finished run and the generator it made."""

    run: RunRecord
    run_dir: Path
    generator: Generator


def dataset_folder(store: Store, text: str) -> Path:
    """Return the folder of a dataset given as a path, a name, or the start of its hash.

    Raises:
        UnknownName: It is none of these.
    """
    if (Path(text) / "manifest.json").exists():
        return Path(text).resolve()
    return store.workspace.root / find_dataset(store, text).path


def plan_run(
    store: Store,
    *,
    dataset_dir: Path,
    generator: Generator,
    name: str | None = None,
    round_number: int | None = None,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
) -> RunPlan:
    """Decide settings and folder of a run and record its start.

    Raises:
        ValueError: The generator is an imported source, or a setting is unknown or out of its range.
    """
    if generator.family == "external":
        raise ValueError(f"generator {generator.name!r} is an imported source: it has no model to train")
    dataset = read_dataset(dataset_dir, verify=False)  # every byte is checked when training starts
    category = dataset.manifest["filters"]["category"]
    changed = dict(changes or {})
    stamp = json.dumps([dataset.dataset_id, generator.generator_id, seed, changed], sort_keys=True)
    folder = f"{category or 'all'}-{hashlib.sha256(stamp.encode()).hexdigest()[:10]}"
    run_dir = store.workspace.runs_dir / folder
    config = replace(_recipe(store, dataset_dir, run_dir, generator, seed), **changed)
    run = RunRecord(
        run_id=record_id("run", folder),
        dataset_id=dataset.dataset_id,
        generator_id=generator.generator_id,
        recipe=config.recipe,
        path=str(run_dir.relative_to(store.workspace.root)),
    )
    store.write([run])
    return RunPlan(
        run=run,
        config=config,
        parent=generator,
        category=category,
        round_number=generator.round + 1 if round_number is None else round_number,
        name=_free_name(store, name or folder, record_id("generator", folder)),
    )


def carry_out(plan: RunPlan, *, progress: Progress = no_progress) -> Path:
    """Train, or go on where an interrupted run stopped; return the adapter's folder. Opens no database.

    Raises:
        HashMismatch: The dataset was changed after its export.
        TrainingError: The model cannot be loaded, or the loss is not finite.
        KeyboardInterrupt: The run was stopped; its last checkpoint is complete.
    """
    # Imported when training is asked for: torch and diffusers take seconds to load.
    from training.loop import TrainProgress  # noqa: PLC0415
    from training.train import train  # noqa: PLC0415

    def report(step: TrainProgress) -> None:
        progress(f"{step.phase} {plan.name}", step.done, step.total)

    resume = (plan.config.run_dir / "config.json").exists()
    result = train(plan.config, resume=resume, progress=report)
    if result.adapter_dir is None:
        raise KeyboardInterrupt(f"the run in {plan.config.run_dir} stopped at step {result.step}")
    return result.adapter_dir


def register_result(store: Store, plan: RunPlan, adapter: Path) -> TrainingOutcome:
    """Record a run's end and the generator it made."""
    tuned = Generator(
        generator_id=record_id("generator", Path(plan.run.path).name),
        name=plan.name,
        family=plan.parent.family,
        model=plan.parent.model,
        adapter=str(adapter.relative_to(store.workspace.root)),
        parent_id=plan.parent.generator_id,
        category=plan.category,
        round=plan.round_number,
    )
    store.write([RunEnd(run_id=plan.run.run_id, status=RunStatus.FINISHED), tuned])
    return TrainingOutcome(run=plan.run, run_dir=plan.config.run_dir, generator=tuned)


@contextmanager
def failure_recorded(plan: RunPlan, opened: Callable[[], AbstractContextManager[Store]]) -> Iterator[None]:
    """Record in the store that `opened` opens that the run failed, and why, if the block raises.

    An interruption is no failure: the run is gone on with later.
    """
    try:
        yield
    except Exception as error:  # of any kind, such as memory that ran out; it is raised again
        message = str(error) if isinstance(error, VidprefError) else f"{type(error).__name__}: {error}"
        try:
            with opened() as store:
                store.write([RunEnd(run_id=plan.run.run_id, status=RunStatus.FAILED, message=message)])
        except (VidprefError, OSError) as second:
            logger.warning("the failed run %s could not be recorded: %s", plan.config.run_dir, second)
        raise


def train_dataset(
    root: Path,
    *,
    dataset: str,
    generator: str,
    name: str | None = None,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> TrainingOutcome:
    """Train on a dataset of a workspace; the database is open before and after the training, not during it.

    Raises:
        UnknownName: There is no such dataset or generator.
        WorkspaceServed: The workspace is being served. After the training the same call registers the result.
    """
    with Store.open(root) as store:
        plan = plan_run(
            store,
            dataset_dir=dataset_folder(store, dataset),
            generator=find_generator(store, generator),
            name=name,
            seed=seed,
            changes=changes,
        )
    with failure_recorded(plan, lambda: Store.open(root)):
        adapter = carry_out(plan, progress=progress)
    with Store.open(root) as store:
        return register_result(store, plan, adapter)


def _recipe(store: Store, dataset_dir: Path, run_dir: Path, generator: Generator, seed: int) -> "TrainConfig":
    from training.config import flow_dpo, tiny_dpo  # noqa: PLC0415 - torch, only when training is asked for

    parent = adapter_folder(store, generator)
    if generator.model == TINY:
        return tiny_dpo(dataset_dir, run_dir, parent_adapter=parent, seed=seed)
    return flow_dpo(dataset_dir, run_dir, model=generator.model, parent_adapter=parent, seed=seed)


def _free_name(store: Store, wanted: str, generator_id: str) -> str:
    taken = {known.name for known in list_generators(store) if known.generator_id != generator_id}
    return wanted if wanted not in taken else f"{wanted}-{generator_id[:6]}"
