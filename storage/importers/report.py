"""What an import did: how many records went in, which rows did not, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from storage.errors import VidprefError
from storage.records import Media, Record
from storage.store import Store

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how many are done, how many in all)."""

BATCH = 2000


def no_progress(label: str, done: int, total: int) -> None:
    """Report nothing."""


class Ingest(Protocol):
    """The part of the media store that importers use."""

    def ingest(self, path: Path) -> Media:
        """Take a clip in; raise MediaRefused if it cannot be used."""


class ImportRefused(VidprefError):
    """A whole file or folder cannot be imported."""


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that did not go in."""

    file: str
    """As a user would type it."""
    line: int
    """From 1."""
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(slots=True)
class ImportReport:
    """The outcome of one import."""

    added: dict[str, int] = field(default_factory=dict)
    """New records by kind: `prompts`, `videos`, ..."""
    skipped: int = 0
    """Records that were there already."""
    errors: list[RowError] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    """What the user should know although nothing went wrong."""

    def refuse(self, file: Path, line: int, message: str) -> None:
        """Note that a row did not go in."""
        self.errors.append(RowError(str(file), line, message))

    def summary(self) -> str:
        """Return one line for the end of a command."""
        new = ", ".join(_count(number, kind) for kind, number in self.added.items() if number)
        parts = [f"added {new}" if new else "added nothing"]
        if self.skipped:
            parts.append(f"{_count(self.skipped, 'records')} there already")
        if self.errors:
            parts.append(f"{_count(len(self.errors), 'rows')} refused")
        return "; ".join(parts)

    def write(
        self, store: Store, kind: str, records: Sequence[Record], *, progress: Progress = no_progress
    ) -> None:
        """Write records of one kind in batches and count the new ones."""
        self.added.setdefault(kind, 0)
        for start in range(0, len(records), BATCH):
            batch = records[start : start + BATCH]
            num_new = store.write(batch)
            self.added[kind] += num_new
            self.skipped += len(batch) - num_new
            progress(f"write {kind}", start + len(batch), len(records))


def _count(number: int, kind: str) -> str:
    return f"{number} {kind.removesuffix('s') if number == 1 else kind}"
