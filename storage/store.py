"""The store: the one open door to a workspace's database.

with Store.open(Path("my-workspace")) as store:
    store.write([prompt, generator, video])
    list_videos(store)
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Self

import duckdb

from storage.errors import ReadOnlyStore, StoreClosed, StoreFailed
from storage.lock import WorkspaceLock
from storage.opening import Opened, Recovery, open_database
from storage.records import Record
from storage.space import SpaceGuard
from storage.tables import prepare
from storage.workspace import Workspace
from storage.writer import Writer

MIN_FREE_BYTES = 200 << 20
_CHECK_TIMEOUT_S = 5.0
_CHECK_EVERY_S = 1.0


class Store:
    """An open workspace. Threads share it: each reads through its own cursor, one hidden thread writes."""

    def __init__(
        self,
        workspace: Workspace,
        lock: WorkspaceLock,
        *,
        guard: SpaceGuard,
        checkpoint_bytes: int | None,
        segment_bytes: int | None,
    ) -> None:
        self.workspace = workspace
        self._lock = lock
        self._guard = guard
        self._checkpoint_bytes = checkpoint_bytes
        self._segment_bytes = segment_bytes
        self._cursors_lock = threading.Lock()
        self._cursors: dict[threading.Thread, duckdb.DuckDBPyConnection] = {}
        self._check_lock = threading.Lock()
        self._checked_at = float("-inf")
        self._closed = False
        opened = self._open_database()
        self.recovery: Recovery = opened.recovery
        self._writer = Writer(
            opened, guard=guard, reopen=self._open_again, probe_file=workspace.journal_dir / "probe"
        )

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        address: str | None = None,
        min_free_bytes: int = MIN_FREE_BYTES,
        guard: SpaceGuard | None = None,
        checkpoint_bytes: int | None = None,
        segment_bytes: int | None = None,
    ) -> "Store":
        """Lock the workspace, open its database, and bring it up to its journal.

        Args:
            root: The workspace folder.
            address: Where this process serves the workspace, for the message others get.
            min_free_bytes: Below this much free disk space nothing is written.
            guard: Asks for the free space, in place of one made from `min_free_bytes`.
            checkpoint_bytes: Size of DuckDB's log that starts a checkpoint; None for DuckDB's own choice.
            segment_bytes: Size at which a new journal file is begun; None for the usual one.

        Raises:
            NotAWorkspace: There is no workspace at `root`.
            WorkspaceServed: Another process has it open.
            NewerSchema: A newer program wrote it.
            JournalCorrupt: Its journal is damaged before its end.
        """
        workspace = Workspace.find(root)
        lock = WorkspaceLock(workspace)
        try:
            guard = guard or SpaceGuard(workspace.root, min_free_bytes=min_free_bytes)
            store = cls(
                workspace, lock, guard=guard, checkpoint_bytes=checkpoint_bytes, segment_bytes=segment_bytes
            )
            store.set_address(address)
        except BaseException:
            lock.release()
            raise
        return store

    def _open_database(self) -> Opened:
        opened = open_database(
            self.workspace, checkpoint_bytes=self._checkpoint_bytes, segment_bytes=self._segment_bytes
        )
        self._connection = opened.connection
        return opened

    def _open_again(self) -> Opened:
        self._close_database()
        return self._open_database()

    def _close_database(self) -> None:
        with self._cursors_lock:
            for cursor in self._cursors.values():
                cursor.close()
            self._cursors.clear()
        self._connection.close()

    def set_address(self, address: str | None) -> None:
        """Say where this process serves the workspace."""
        self._lock.set_address(address)

    @property
    def read_only(self) -> str | None:
        """Why nothing is written at the moment, in words; None when all is well."""
        if self._writer.failure is not None:
            return str(self._writer.failure)
        return self._guard.refusal()

    def append(self, records: Sequence[Record]) -> "Future[int]":
        """Queue records to be written together; return at once.

        The future gives the number of new rows once all of them are durable, or the error; nothing is kept
        of a batch with an error. A record whose id is there already is dropped and not counted. The future
        cannot be cancelled.

        Raises:
            RecordRefused: A value cannot be stored.
            ReadOnlyStore: The disk is too full.
            StoreFailed: An earlier failure needs a restart.
            StoreClosed: The store is closed.
        """
        if self._writer.failure is not None:
            raise self._writer.failure
        refusal = self._guard.refusal()
        if refusal is not None:
            raise ReadOnlyStore(refusal)
        return self._writer.submit([prepare(record) for record in records])

    def write(self, records: Sequence[Record]) -> int:
        """Write records together and wait until they are durable; return how many were new. See `append`."""
        return self.append(records).result()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return this thread's cursor, for reading, inside this package alone."""
        thread = threading.current_thread()
        with self._cursors_lock:
            if self._closed:
                raise StoreClosed("the store is closed: open it again to read")
            if thread not in self._cursors:
                for gone in [other for other in self._cursors if not other.is_alive()]:
                    self._cursors.pop(gone).close()
                self._cursors[thread] = self._connection.cursor()
            return self._cursors[thread]

    def check(self) -> None:
        """Write, flush and read for real, at most once a second.

        Raises:
            VidprefError: That failed; the message says how.
        """
        with self._check_lock:
            if time.monotonic() - self._checked_at < _CHECK_EVERY_S:
                return
            try:
                written = self._writer.probe().result(timeout=_CHECK_TIMEOUT_S)
                rows = self.cursor().execute("SELECT probe FROM store_state").fetchall()
            except FutureTimeoutError:
                raise StoreFailed(f"a test write took more than {_CHECK_TIMEOUT_S:.0f} seconds") from None
            except duckdb.Error as error:
                raise StoreFailed(f"a test read failed: {error}") from error
            if rows[0][0] < written:
                raise StoreFailed(f"a test write of {written} reads back as {rows[0][0]}")
            self._checked_at = time.monotonic()

    def close(self) -> None:
        """Write what is queued, close the database and unlock the workspace. Doing so twice is harmless."""
        if self._closed:
            return
        self._writer.close()
        self._closed = True
        self._close_database()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
