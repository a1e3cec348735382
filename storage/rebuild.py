"""Making the database again from the journal alone."""

from dataclasses import dataclass
from pathlib import Path

from storage.applying import count_rows, replay
from storage.journal import Journal
from storage.lock import WorkspaceLock
from storage.migrate import migrate
from storage.opening import connect, move_aside, quarantine_folder
from storage.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildReport:
    """What the new database holds, and where the old one went."""

    entries: int
    """Journal entries replayed."""
    rows: dict[str, int]
    """Rows of each table."""
    moved: tuple[Path, ...]
    """Files of the old database, at the place they were moved to."""
    torn_bytes: int
    """Length of an unfinished write at the journal's end, set aside; it had never been acknowledged."""


def rebuild(root: Path) -> RebuildReport:
    """Make a new database from the journal; the old one is moved to `quarantine/`.

    Until the new one is whole the old one stays where it is, so an interrupted rebuild changes nothing.

    Raises:
        NotAWorkspace: There is no workspace at `root`.
        WorkspaceServed: A process has it open.
        JournalCorrupt: The journal is damaged before its end; the old database stays in place.
    """
    workspace = Workspace.find(root)
    with WorkspaceLock(workspace):
        folder = quarantine_folder(workspace)
        journal = Journal(workspace.journal_dir, quarantine=folder)
        journal.close()
        fresh = workspace.database.with_suffix(".rebuilding")
        for leftover in (fresh, fresh.with_name(fresh.name + ".wal")):
            leftover.unlink(missing_ok=True)
        rows = _fill(fresh, workspace)
        old = [path for path in (workspace.database, workspace.wal) if path.exists()]
        moved = tuple(move_aside(path, folder) for path in old)
        fresh.rename(workspace.database)
        return RebuildReport(entries=journal.last_seq, rows=rows, moved=moved, torn_bytes=journal.torn_bytes)


def _fill(database: Path, workspace: Workspace) -> dict[str, int]:
    connection = connect(database)
    try:
        migrate(connection)
        replay(connection, workspace.journal_dir)
        connection.execute("CHECKPOINT")
        return count_rows(connection)
    finally:
        connection.close()
