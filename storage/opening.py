"""Opening the database so that it holds what the journal holds, whatever happened to its files.

A write-ahead log or a database that cannot be read is moved to `quarantine/`, never deleted, and the journal
fills the gap.
"""

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from storage.applying import last_applied, replay
from storage.errors import JournalCorrupt, VidprefError, WorkspaceServed
from storage.journal import Journal
from storage.migrate import migrate
from storage.records import utc_now
from storage.workspace import UNFINISHED, Workspace

logger = logging.getLogger(__name__)

_SETTINGS: Mapping[str, str | bool | int | float | list[str]] = {
    "threads": min(4, os.cpu_count() or 1),
    "memory_limit": "2GB",
    "autoinstall_known_extensions": False,  # a query never tries the network
    "autoload_known_extensions": False,
    "enable_external_access": False,  # SQL reads and writes no files
}

_NOT_DAMAGE = (
    "No space left",
    "Permission denied",
    "Read-only file system",
    "Too many open files",
    "Out of Memory",
)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening had to repair. `clean` when nothing."""

    entries_replayed: int = 0
    """Journal entries that the database lacked."""
    moved: tuple[Path, ...] = ()
    """Damaged files, at the place where they are kept."""
    torn_bytes: int = 0
    """Length of an unfinished write at the journal's end; it had never been acknowledged."""

    @property
    def clean(self) -> bool:
        """Say whether nothing had to be repaired."""
        return self == Recovery()


@dataclass(frozen=True, slots=True)
class Opened:
    """An open database that holds all of its journal, and the journal's open end."""

    connection: duckdb.DuckDBPyConnection
    journal: Journal
    recovery: Recovery


def connect(database: Path, *, checkpoint_bytes: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open the DuckDB file read-write with our settings."""
    settings = dict(_SETTINGS) | {"temp_directory": str(database.parent / "tmp")}
    if checkpoint_bytes is not None:
        settings["checkpoint_threshold"] = f"{checkpoint_bytes} B"
    return duckdb.connect(str(database), config=settings)


def quarantine_folder(workspace: Workspace) -> Path:
    """Return the path of a fresh folder for damaged files, named after the time."""
    return workspace.quarantine_dir / utc_now().strftime("%Y%m%dT%H%M%S.%f")


def open_database(
    workspace: Workspace, *, checkpoint_bytes: int | None = None, segment_bytes: int | None = None
) -> Opened:
    """Open database and journal and bring the first up to the second. The workspace must be locked.

    Raises:
        WorkspaceServed: Another program, such as DuckDB's own, has the file open.
        VidprefError: The disk does not let the file be opened.
        NewerSchema: A newer program wrote the workspace.
        JournalCorrupt: The journal is damaged before its end, or lacks entries that the database has.
    """
    _remove_unfinished(workspace)
    folder = quarantine_folder(workspace)
    options = {} if segment_bytes is None else {"segment_bytes": segment_bytes}
    journal = Journal(workspace.journal_dir, quarantine=folder, **options)
    try:
        return _opened(workspace, journal, folder, checkpoint_bytes)
    except BaseException:
        journal.close()
        raise


def _opened(workspace: Workspace, journal: Journal, folder: Path, checkpoint_bytes: int | None) -> Opened:
    log_copy = _copy_log(workspace, folder)
    connection, moved = _connect_or_quarantine(workspace, folder, checkpoint_bytes)
    try:
        migrate(connection)
        _check_order(connection, journal, workspace)
        replayed = replay(connection, workspace.journal_dir)
    except duckdb.Error as error:
        connection.close()
        raise VidprefError(
            f"{workspace.database} could not be brought up to its journal: {error}. If the disk is full, "
            "free some space; else run `vidpref rebuild`, which makes the database again from the journal"
        ) from error
    except BaseException:
        connection.close()
        raise
    if log_copy and replayed:  # the log lacked something, or DuckDB dropped it without a word: keep it
        moved = [log_copy, *moved]
    elif log_copy:
        log_copy.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
    recovery = Recovery(entries_replayed=replayed, moved=tuple(moved), torn_bytes=journal.torn_bytes)
    if not recovery.clean:
        logger.warning("workspace %s was repaired while opening: %s", workspace.root, recovery)
    return Opened(connection, journal, recovery)


def _copy_log(workspace: Workspace, folder: Path) -> Path | None:
    """Copy the write-ahead log aside, since DuckDB clears one it cannot read. Usually there is none."""
    if not workspace.wal.exists() or workspace.wal.stat().st_size == 0:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(workspace.wal, folder / workspace.wal.name))


def _remove_unfinished(workspace: Workspace) -> None:
    """Remove what a process that died was still writing."""
    for leftover in (workspace.media_dir / "incoming", *workspace.datasets_dir.glob(f"{UNFINISHED}*")):
        shutil.rmtree(leftover, ignore_errors=True)


def _connect_or_quarantine(
    workspace: Workspace, folder: Path, checkpoint_bytes: int | None
) -> tuple[duckdb.DuckDBPyConnection, list[Path]]:
    """Open the file; on damage do without the log (a copy is kept), then without the database.

    Return the connection and the database's new place, if it was moved.
    """
    try:
        return connect(workspace.database, checkpoint_bytes=checkpoint_bytes), []
    except duckdb.Error as error:
        _raise_unless_damage(workspace, error)
        logger.error("%s cannot be opened with its log (%s); leaving the log out", workspace.database, error)
        workspace.wal.unlink(missing_ok=True)
    try:
        return connect(workspace.database, checkpoint_bytes=checkpoint_bytes), []
    except duckdb.Error as error:
        _raise_unless_damage(workspace, error)
        if not workspace.database.exists():
            raise
        logger.error("%s cannot be opened (%s); moving it to %s", workspace.database, error, folder)
        moved = move_aside(workspace.database, folder)
    return connect(workspace.database, checkpoint_bytes=checkpoint_bytes), [moved]


def _raise_unless_damage(workspace: Workspace, error: duckdb.Error) -> None:
    """Raise a clear error where the files are sound and something else keeps them from being opened."""
    text = str(error)
    if "lock on file" in text:
        raise WorkspaceServed(
            f"{workspace.database} is open in a program outside this one ({text}): close it there",
            address=None,
        ) from error
    if any(reason in text for reason in _NOT_DAMAGE):
        raise VidprefError(f"{workspace.database} cannot be opened: {text}") from error


def move_aside(path: Path, folder: Path) -> Path:
    """Move a file into the quarantine folder and return its new place."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / path.name
    path.rename(target)
    return target


def _check_order(connection: duckdb.DuckDBPyConnection, journal: Journal, workspace: Workspace) -> None:
    applied = last_applied(connection)
    if applied > journal.last_seq:
        raise JournalCorrupt(
            f"the database has entries up to {applied}, the journal in {workspace.journal_dir} ends at "
            f"{journal.last_seq}: restore the journal's files from a backup"
        )
