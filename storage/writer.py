"""The one thread that writes: all batches waiting at a moment become one journal line and one transaction.

Order inside a group: insert into an open transaction (so that the tables' rules are checked before anything
is durable), journal line on disk, commit, then the futures. So
- a refused record or a full disk leaves nothing behind, in either place;
- a crash after the journal is repaired at the next opening, which replays the journal's tail;
- a commit that fails after the journal line is on disk makes the store open the database again at once,
  which replays that line: the batch then counts, and is acknowledged. Where even that fails the store refuses
  everything; batches in flight are neither acknowledged nor lost, and sending them again is harmless, since
  ids are kept once.
"""

import logging
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from storage.applying import insert_entries
from storage.errors import DiskFull, ReadOnlyStore, RecordRefused, StoreClosed, StoreFailed
from storage.journal import Journal
from storage.known_ids import KnownIds
from storage.opening import Opened
from storage.records import utc_now
from storage.space import SpaceGuard
from storage.tables import Entry, Table

logger = logging.getLogger(__name__)

_GROUP_ROWS = 20_000
_QUEUE_BATCHES = 10_000
_RULE_BROKEN = (duckdb.IntegrityError, duckdb.DataError, duckdb.ProgrammingError)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Entries that are written together or not at all; the future gets the number of new rows."""

    entries: Sequence[Entry]
    future: "Future[int]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Probe:
    """A question whether writing works; the future gets the value written."""

    future: "Future[int]" = field(default_factory=Future)


class Writer:
    """Owns the writing connection and the journal's end."""

    def __init__(
        self, opened: Opened, *, guard: SpaceGuard, reopen: Callable[[], Opened], probe_file: Path
    ) -> None:
        self._guard = guard
        self._reopen = reopen
        self._probe_file = probe_file
        self._queue: queue.Queue[_Batch | _Probe | None] = queue.Queue(_QUEUE_BATCHES)
        self._closing = threading.Lock()
        self._closed = False
        self.failure: StoreFailed | None = None
        self._take(opened)
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)
        self._thread.start()

    def _take(self, opened: Opened) -> None:
        self._connection: duckdb.DuckDBPyConnection = opened.connection.cursor()
        self._journal: Journal = opened.journal
        self._known: dict[str, KnownIds] = {}

    def submit(self, entries: Sequence[Entry]) -> "Future[int]":
        """Queue a batch. The future cannot be cancelled: what is queued is written."""
        batch = _Batch(entries)
        self._put(batch)
        return batch.future

    def probe(self) -> "Future[int]":
        """Queue a write that changes one number and touches the journal's disk."""
        probe = _Probe()
        self._put(probe)
        return probe.future

    def _put(self, item: _Batch | _Probe) -> None:
        item.future.set_running_or_notify_cancel()
        with self._closing:
            if self._closed:
                raise StoreClosed("the store is closed: open it again to write")
            self._queue.put(item)

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()
        self._journal.close()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            batches, probes, stop = self._collect(item)
            try:
                self._commit(batches)
                self._answer(probes)
            except Exception as error:  # the thread must outlive any one group: its futures carry the error
                logger.exception("the writer could not finish a group")
                self.failure = self.failure or StoreFailed(
                    f"the writer failed ({error}); restart the program"
                )
                _fail([*batches, *probes], self.failure)
            if stop:
                return

    def _collect(self, first: _Batch | _Probe) -> tuple[list[_Batch], list[_Probe], bool]:
        """Take everything that is waiting, up to a bound; say whether the end was among it."""
        batches: list[_Batch] = []
        probes: list[_Probe] = []
        num_rows, item = 0, first
        while True:
            if isinstance(item, _Batch):
                batches.append(item)
                num_rows += len(item.entries)
            else:
                probes.append(item)
            if num_rows >= _GROUP_ROWS:
                return batches, probes, False
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                return batches, probes, False
            if following is None:
                return batches, probes, True
            item = following

    def _commit(self, batches: list[_Batch]) -> None:
        """Write a group and settle its futures; a broken rule costs the batch that broke it alone."""
        if not batches:
            return
        refusal = self.failure or _read_only(self._guard)
        if refusal is not None:
            _fail(batches, refusal)
            return
        try:
            self._write(batches)
        except _RULE_BROKEN as error:
            if len(batches) == 1:
                _fail(batches, RecordRefused(f"nothing of the batch was kept: {error}"))
                return
            for batch in batches:
                self._commit([batch])
        except StoreFailed as error:  # of the journal or of opening again: neither gets well by itself
            self.failure = error
            _fail(batches, error)
        except (DiskFull, OSError) as error:
            _fail(batches, error)
        except duckdb.Error as error:
            _fail(batches, StoreFailed(f"nothing was written: {error}; if this goes on, restart the program"))

    def _write(self, batches: list[_Batch]) -> None:
        fresh = self._fresh(batches)
        entries = [entry for kept in fresh for entry in kept]
        if entries:
            self._make_durable(entries)
        for batch, kept in zip(batches, fresh, strict=True):
            batch.future.set_result(len(kept))

    def _make_durable(self, entries: list[Entry]) -> None:
        seq = self._journal.last_seq + 1
        self._connection.execute("BEGIN")
        try:
            insert_entries(self._connection, entries, [seq] * len(entries))
            self._journal.append(utc_now(), [entry.text for entry in entries])
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        try:
            self._connection.execute("COMMIT")
        except duckdb.Error as error:
            self._recover(error)
            return
        for table, identities in _by_table(entries).items():
            if table in self._known:
                self._known[table].add(identities)

    def _recover(self, error: duckdb.Error) -> None:
        logger.error(
            "a commit failed (%s) after its journal entry was written; opening the database again", error
        )
        self._connection.close()
        self._journal.close()
        try:
            self._take(self._reopen())
        except (duckdb.Error, OSError) as second:
            self.failure = StoreFailed(
                f"the database could not commit ({error}) and could not be opened again ({second}). "
                "This write was not acknowledged; it is in the journal and counts after a restart"
            )
            raise self.failure from second

    def _fresh(self, batches: list[_Batch]) -> list[list[Entry]]:
        """Return, per batch, the entries whose identity is in neither the database nor an earlier batch."""
        asked: dict[str, list[str]] = {}
        tables: dict[str, Table] = {}
        for batch in batches:
            for entry in batch.entries:
                if entry.identity is not None:
                    asked.setdefault(entry.table.name, []).append(entry.identity)
                    tables[entry.table.name] = entry.table
        seen = {name: self._known_ids(tables[name]).present(identities) for name, identities in asked.items()}
        return [[entry for entry in batch.entries if _is_new(entry, seen)] for batch in batches]

    def _known_ids(self, table: Table) -> KnownIds:
        if table.name not in self._known:
            self._known[table.name] = KnownIds(self._connection, table)
        return self._known[table.name]

    def _answer(self, probes: list[_Probe]) -> None:
        if not probes:
            return
        refusal = self.failure or _read_only(self._guard)
        if refusal is not None:
            _fail(probes, refusal)
            return
        try:
            rows = self._connection.execute(
                "UPDATE store_state SET probe = probe + 1 RETURNING probe"
            ).fetchall()
            with self._probe_file.open("wb") as file:
                file.write(b"%d\n" % rows[0][0])
                file.flush()
                os.fdatasync(file.fileno())
        except (duckdb.Error, OSError) as error:
            _fail(probes, StoreFailed(f"a test write failed: {error}"))
            return
        for probe in probes:
            probe.future.set_result(int(rows[0][0]))


def _read_only(guard: SpaceGuard) -> ReadOnlyStore | None:
    refusal = guard.refusal()
    return None if refusal is None else ReadOnlyStore(refusal)


def _is_new(entry: Entry, seen: dict[str, set[str]]) -> bool:
    if entry.identity is None:
        return True
    if entry.identity in seen[entry.table.name]:
        return False
    seen[entry.table.name].add(entry.identity)
    return True


def _by_table(entries: Sequence[Entry]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in entries:
        if entry.identity is not None:
            found.setdefault(entry.table.name, []).append(entry.identity)
    return found


def _fail(items: Sequence[_Batch | _Probe], error: BaseException) -> None:
    for item in items:
        if not item.future.done():
            item.future.set_exception(error)
