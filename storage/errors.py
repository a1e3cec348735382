"""The errors a user can meet. Commands and pages show `str(error)` alone, so each says what to do next."""

from collections.abc import Sequence
from pathlib import Path


class VidprefError(Exception):
    """Something the user can act on: shown without a traceback."""


class NotAWorkspace(VidprefError):
    """The folder is no workspace."""


class WorkspaceServed(VidprefError):
    """Another process has the workspace open; `address` is where it serves it, None if it does not."""

    def __init__(self, message: str, *, address: str | None) -> None:
        super().__init__(message)
        self.address = address


class NewerSchema(VidprefError):
    """The workspace was written by a newer version of this program."""


class ReadOnlyStore(VidprefError):
    """Nothing is written while the disk is too full."""


class DiskFull(ReadOnlyStore):
    """A write failed because the disk is full; nothing of it was kept."""


class StoreFailed(VidprefError):
    """The database gave up in the middle of a commit; it must be opened again."""


class StoreClosed(VidprefError):
    """The store was closed before this was written."""


class RecordRefused(VidprefError):
    """A record breaks a rule of its table; nothing of its batch was kept."""


class JournalCorrupt(VidprefError):
    """The journal was changed or damaged before its end."""


class MediaRefused(VidprefError):
    """A file that cannot be used as a clip; `reason` says why, without the file's name."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


class HashMismatch(VidprefError):
    """A dataset's file is not what its manifest says."""


class EmptyExport(VidprefError):
    """There is nothing to export."""


class UnknownName(VidprefError):
    """A name that nothing has."""

    def __init__(self, kind: str, value: str, choices: Sequence[str]) -> None:
        shown = ", ".join(sorted(choices)[:40])
        known = f"known: {shown}" if choices else f"there is no {kind} yet"
        super().__init__(f"unknown {kind} {value!r}; {known}")
        self.kind = kind
        self.value = value
        self.choices = tuple(choices)
