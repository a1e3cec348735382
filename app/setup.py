"""Making a workspace: its folders, settings, the tiny model and the built-in rater."""

from pathlib import Path

from app.config import TEMPLATE
from app.generation import TINY
from app.labelling import builtin_rater
from storage.records import Generator, record_id
from storage.store import Store
from storage.workspace import Workspace


def create_workspace(root: Path) -> None:
    """Make a workspace folder with the tiny model and the built-in rater in it; an existing one is kept."""
    workspace = Workspace.create(root)
    if not workspace.config_path.exists():
        workspace.config_path.write_text(TEMPLATE)
    with Store.open(root) as store:
        store.write([tiny_generator(), builtin_rater()])


def tiny_generator() -> Generator:
    """Return the record of the shipped tiny model."""
    return Generator(generator_id=record_id("generator", TINY), name=TINY, family="wan", model=TINY)
