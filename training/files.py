"""Writing so that a reader never sees half a file or half a folder, whenever the machine stops."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL_MARK = ".partial-"
"""In the names of files and folders that are still being written; readers pass over them."""


@contextmanager
def writing_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on leaving without an error it takes its place."""
    partial = path.with_name(f"{PARTIAL_MARK}{os.getpid()}-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` to fill; on leaving without an error it replaces `path`."""
    partial = path.with_name(f"{PARTIAL_MARK}{os.getpid()}-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in partial.rglob("*"):
            _sync(file)
        _sync(partial)
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """Delete what interrupted writers left in `folder`; what a living process writes there is let be."""
    for path in folder.glob(f"{PARTIAL_MARK}*"):
        if _is_being_written(path):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_json(path: Path, value: object) -> None:
    """Write a JSON file, readable by people, in one piece."""
    with writing_file(path) as partial:
        partial.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def _is_being_written(partial: Path) -> bool:
    process = int(partial.name.removeprefix(PARTIAL_MARK).split("-")[0])
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
