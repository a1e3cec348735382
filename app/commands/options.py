"""Options that several commands share, and the workspace they open."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.progress import TerminalProgress
from storage.media import MediaStore
from storage.store import Store

WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", "-w", envvar="VIDPREF_WORKSPACE", help="The workspace folder."),
]
DEFAULT_WORKSPACE = Path("workspace")
CategoryOption = Annotated[str | None, typer.Option("--category", "-c", help="An action category.")]


class OutputFormat(StrEnum):
    """How a command prints its result."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[OutputFormat, typer.Option("--format", help="How to print it.")]


@contextmanager
def opened(root: Path) -> Iterator[Store]:
    """Open a workspace for a command, and close it whatever happens."""
    with Store.open(root) as store:
        yield store


@contextmanager
def opened_with_media(root: Path) -> Iterator[tuple[Store, MediaStore]]:
    """Open a workspace and its media worker."""
    with Store.open(root) as store, MediaStore(store.workspace) as media:
        yield store, media


@contextmanager
def terminal_progress() -> Iterator[TerminalProgress]:
    """Draw progress bars, and end the last one whatever happens."""
    progress = TerminalProgress()
    try:
        yield progress
    finally:
        progress.close()
