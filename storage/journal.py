"""The journal: every record ever written, in order, in checksummed lines on disk before a write counts.

One line is one group commit, so a torn write can only be the last line. A line reads
`{"sum":"<16 hex>","body":{"seq":7,"format":1,"at":"...","records":[["judgment",{...}], ...]}}`
where the sum is BLAKE2b (8 bytes) of the body's bytes. Segments are named after the first entry in them.
"""

import errno
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from storage.errors import DiskFull, JournalCorrupt, NewerSchema, StoreFailed

logger = logging.getLogger(__name__)

FORMAT = 1
SEGMENT_BYTES = 32 << 20

_HEAD = b'{"sum":"'
_MIDDLE = b'","body":'
_BODY_AT = len(_HEAD) + 16 + len(_MIDDLE)
_SEQ_AT = b'{"seq":'


def _sum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=8).hexdigest().encode()


def encode_line(seq: int, at: datetime, texts: Sequence[str]) -> bytes:
    """Return the line of one group; `texts` are its records as JSON."""
    head = f'{{"seq":{seq},"format":{FORMAT},"at":"{at.isoformat()}","records":['
    body = (head + ",".join(texts) + "]}").encode()
    return b"".join((_HEAD, _sum(body), _MIDDLE, body, b"}\n"))


def _body(line: bytes) -> bytes | None:
    """Return the body of a line, or None when the line is not whole."""
    if not line.startswith(_HEAD) or not line.endswith(b"}\n"):
        return None
    body = line[_BODY_AT:-2]
    return body if line[len(_HEAD) : len(_HEAD) + 16] == _sum(body) else None


def _seq(body: bytes) -> int:
    return int(body[len(_SEQ_AT) : body.index(b",")])


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One group as read back: `records` holds [kind, fields] pairs."""

    seq: int
    records: list[tuple[str, dict[str, Any]]]


def segments(folder: Path) -> list[Path]:
    """Return the journal's files in order."""
    return sorted(folder.glob("[0-9]*.jsonl"))


def read_entries(folder: Path, *, after: int = 0) -> Iterator[JournalEntry]:
    """Yield the entries with a number above `after`, checking each line on the way.

    Segments that only hold older entries are not opened.

    Raises:
        JournalCorrupt: A line is damaged or entries are missing.
        NewerSchema: A newer program wrote an entry.
    """
    files = segments(folder)
    firsts = [int(path.stem) for path in files]
    start = max((index for index, first in enumerate(firsts) if first <= after + 1), default=0)
    expected = firsts[start] if files else 1
    if expected > after + 1:
        raise JournalCorrupt(
            f"{folder}: entries {after + 1} to {expected - 1} are missing; restore them from a backup"
        )
    for path in files[start:]:
        if int(path.stem) != expected:
            raise JournalCorrupt(
                f"{path}: entries {expected} to {int(path.stem) - 1} are missing; restore them from a backup"
            )
        for number, body in _bodies(path):
            if _seq(body) != expected:
                raise JournalCorrupt(
                    f"{path}, line {number}: entry {_seq(body)} stands where {expected} should"
                )
            if expected > after:
                yield _entry(path, number, body)
            expected += 1


def _bodies(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            body = _body(line)
            if body is None:
                raise JournalCorrupt(
                    f"{path}, line {number}: damaged (its checksum does not fit). Restore this file from a "
                    "backup; the lines before it are whole"
                )
            yield number, body


def _entry(path: Path, number: int, body: bytes) -> JournalEntry:
    content = json.loads(body)
    if content["format"] > FORMAT:
        raise NewerSchema(
            f"{path}, line {number}: journal format {content['format']}, this program knows up to {FORMAT}: "
            "install the newer version that wrote it"
        )
    return JournalEntry(content["seq"], [(kind, values) for kind, values in content["records"]])


class Journal:
    """The open end of the journal. Used by one thread at a time."""

    def __init__(self, folder: Path, *, quarantine: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open for appending; a torn last line is copied to `quarantine` and cut off.

        Raises:
            JournalCorrupt: The last segment is damaged before its end.
        """
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._file: BinaryIO | None = None
        self._size = 0
        self.last_seq = 0
        self.torn_bytes = 0
        self._broken: StoreFailed | None = None
        files = segments(folder)
        if files:
            self._open_last(files[-1], quarantine)

    def _open_last(self, path: Path, quarantine: Path) -> None:
        self.last_seq, good = int(path.stem) - 1, 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                body = _body(line)
                if body is None:
                    self._set_aside(path, good, number, quarantine)
                    break
                good += len(line)
                self.last_seq = _seq(body)
        self._file = path.open("r+b", buffering=0)
        self._file.truncate(good)
        self._file.seek(good)
        self._size = good

    def _set_aside(self, path: Path, good: int, number: int, quarantine: Path) -> None:
        with path.open("rb") as file:
            file.seek(good)
            tail = file.read()
        # A whole line after the damage was acknowledged after it: then this is no torn write.
        if any(_body(line) is not None for line in tail.splitlines(keepends=True)):
            raise JournalCorrupt(
                f"{path}, line {number}: damaged, and whole entries follow. Restore this file from a backup"
            )
        quarantine.mkdir(parents=True, exist_ok=True)
        (quarantine / f"{path.name}.tail").write_bytes(tail)
        self.torn_bytes = len(tail)
        logger.warning(
            "%s ended in %d bytes of an unfinished write; moved to %s", path, len(tail), quarantine
        )

    def append(self, at: datetime, texts: Sequence[str]) -> int:
        """Write one group and wait until it is on disk; return its number. On failure nothing of it stays.

        Raises:
            DiskFull: There was no space.
            OSError: The disk failed otherwise.
            StoreFailed: What was refused could not be taken back either, now or in an earlier call.
        """
        if self._broken is not None:
            raise self._broken
        seq = self.last_seq + 1
        line = encode_line(seq, at, texts)
        file = self._segment_for(seq)
        try:
            _write_all(file, line)
            os.fdatasync(file.fileno())
        except OSError as error:
            self._take_back(file, error)
            raise _explained(error, self._folder) from error
        self._size += len(line)
        self.last_seq = seq
        return seq

    def _take_back(self, file: BinaryIO, error: OSError) -> None:
        """Cut off what a failed append left; where that fails too, nothing may follow it in this file."""
        try:
            file.truncate(self._size)
            file.seek(self._size)
            os.fdatasync(file.fileno())
        except OSError as second:
            self._broken = StoreFailed(
                f"the journal in {self._folder} could not be written ({error}), nor could the unfinished "
                f"write be taken back ({second}). It was not acknowledged, but may count after a restart; "
                "nothing more is written until then: check the disk and restart the program"
            )
            raise self._broken from second

    def _segment_for(self, seq: int) -> BinaryIO:
        if self._file is not None and self._size < self._segment_bytes:
            return self._file
        try:
            fresh = (self._folder / f"{seq:012d}.jsonl").open("w+b", buffering=0)
            sync_folder(self._folder)
        except OSError as error:
            raise _explained(error, self._folder) from error
        if self._file is not None:
            self._file.close()
        self._file, self._size = fresh, 0
        return fresh

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = file.write(view)
        view = view[written or 0 :]


def _explained(error: OSError, folder: Path) -> OSError | DiskFull:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"the disk of {folder} is full: nothing was written; free some space and try again")
    return error


def sync_folder(folder: Path) -> None:
    """Make the folder's list of names durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
