"""The workspace folder: where everything of one project lies."""

import json
from dataclasses import dataclass
from pathlib import Path

from storage.errors import NotAWorkspace, VidprefError

UNFINISHED = ".unfinished-"
"""How the names of folders begin that are being written; they are removed when the workspace is opened."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths inside one workspace folder. Making one of these touches no disk; see `create` and `find`."""

    root: Path

    @classmethod
    def create(cls, root: Path) -> "Workspace":
        """Make the folder and its parts; an existing workspace is left as it is.

        Raises:
            VidprefError: The folder holds other things, or a file has its name.
        """
        workspace = cls(Path(root).absolute())
        if workspace.root.exists() and not workspace.root.is_dir():
            raise VidprefError(f"{root} is a file; name a folder for the workspace")
        if not workspace.exists() and workspace.root.is_dir() and any(workspace.root.iterdir()):
            raise VidprefError(f"{root} holds other files; name a new or empty folder for the workspace")
        # The journal folder marks a workspace, so it comes last.
        for folder in (
            workspace.media_dir,
            workspace.datasets_dir,
            workspace.runs_dir,
            workspace.journal_dir,
        ):
            folder.mkdir(parents=True, exist_ok=True)
        return workspace

    @classmethod
    def find(cls, root: Path) -> "Workspace":
        """Return the workspace at `root`.

        Raises:
            NotAWorkspace: There is none.
        """
        workspace = cls(Path(root).absolute())
        if not workspace.exists():
            raise NotAWorkspace(
                f"{root} is no workspace; make one with `vidpref init --workspace {root}`, or name another"
            )
        return workspace

    def exists(self) -> bool:
        """Say whether the folder is a workspace."""
        return self.journal_dir.is_dir()

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.root / "vidpref.duckdb"

    @property
    def wal(self) -> Path:
        """DuckDB's write-ahead log."""
        return self.root / "vidpref.duckdb.wal"

    @property
    def journal_dir(self) -> Path:
        """Folder of the journal's segments."""
        return self.root / "journal"

    @property
    def media_dir(self) -> Path:
        """Folder of stored clips, by content."""
        return self.root / "media"

    @property
    def datasets_dir(self) -> Path:
        """Folder of frozen exports."""
        return self.root / "datasets"

    @property
    def runs_dir(self) -> Path:
        """Folder of training runs."""
        return self.root / "runs"

    @property
    def quarantine_dir(self) -> Path:
        """Folder that damaged files are moved to; nothing in it is ever deleted."""
        return self.root / "quarantine"

    @property
    def config_path(self) -> Path:
        """The settings file."""
        return self.root / "config.toml"

    @property
    def lock_file(self) -> Path:
        """File whose lock says that a process has the workspace open."""
        return self.root / "lock"

    @property
    def server_file(self) -> Path:
        """JSON with `pid` and `address` of the process that serves the workspace; absent where none does."""
        return self.root / "server.json"

    def served_at(self) -> str | None:
        """Return the address in the server file, or None. The file may be left from a process that died."""
        try:
            content = json.loads(self.server_file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        address = content.get("address") if isinstance(content, dict) else None
        return address if isinstance(address, str) else None
