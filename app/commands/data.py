"""Commands that bring data in and take datasets out: import, export."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import (
    DEFAULT_WORKSPACE,
    WorkspaceOption,
    opened,
    opened_with_media,
    terminal_progress,
)
from app.datasets import export_category
from storage.importers.fetv import import_fetv
from storage.importers.prompts import import_prompts
from storage.importers.report import ImportReport
from storage.importers.videos import import_videos
from storage.records import Aspect

imports = typer.Typer(no_args_is_help=True, help="Bring in clips, prompts and ratings.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(imports, name="import")
    app.command("export", epilog="Example: vidpref export --category slide")(export)


@imports.command("fetv", epilog="Example: vidpref import fetv data/fetv")
def import_fetv_command(
    path: Annotated[Path, typer.Argument(help="The folder with fetv_data.json.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Import the FETV benchmark: prompts, clips, people's ratings and automatic metrics."""
    with opened_with_media(workspace) as (store, media), terminal_progress() as progress:
        report = import_fetv(store, media, path, progress=progress)
    _finish(report)


@imports.command("videos", epilog="Example: vidpref import videos clips/ --prompts clips/prompts.csv")
def import_videos_command(
    directory: Annotated[Path, typer.Argument(help="The folder the clips lie in.")],
    prompts: Annotated[Path, typer.Option(help="CSV or JSONL with file, prompt, category, generator, seed.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Import your own clips."""
    with opened_with_media(workspace) as (store, media), terminal_progress() as progress:
        report = import_videos(store, media, directory, prompts, progress=progress)
    _finish(report)


@imports.command("prompts", epilog="Example: vidpref import prompts prompts.csv")
def import_prompts_command(
    file: Annotated[Path, typer.Argument(help="CSV or JSONL with prompt, category and optionally split.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Import prompts to sample from."""
    with opened(workspace) as store:
        report = import_prompts(store, file)
    _finish(report)


def _finish(report: ImportReport, echo: Callable[..., object] = typer.echo) -> None:
    for error in report.errors:
        echo(str(error), err=True)
    for notice in report.notices:
        echo(f"note: {notice}", err=True)
    echo(report.summary())
    if report.errors:
        echo(f"{len(report.errors)} rows were not imported; see above", err=True)
        raise typer.Exit(code=1)


def export(
    category: Annotated[str, typer.Option("--category", "-c", help="The action category.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    labels: Annotated[
        str,
        typer.Option(
            help="Whose labels: any (people where they voted, else models), human, model, or a rater."
        ),
    ] = "any",
    aspect: Annotated[Aspect | None, typer.Option(help="One aspect; default all.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default datasets/ of the workspace.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name for the dataset.")] = None,
) -> None:
    """Write a frozen dataset of one category's labels, for `vidpref train`."""
    with opened(workspace) as store, terminal_progress() as progress:
        dataset = export_category(
            store,
            category=category,
            label_source=labels,
            aspect=aspect,
            out=out,
            name=name,
            progress=progress,
        )
        path = store.workspace.root / dataset.path
    typer.echo(f"dataset {dataset.dataset_id[:12]}: {dataset.num_pairs} pairs, {dataset.num_videos} clips")
    typer.echo(str(path))
