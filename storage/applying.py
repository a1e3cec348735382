"""Putting entries into the database: the one place that inserts rows."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from storage.errors import NewerSchema
from storage.journal import JournalEntry, read_entries
from storage.tables import TABLES, Entry, prepare

_REPLAY_ROWS = 5_000


def insert_entries(
    connection: duckdb.DuckDBPyConnection, entries: Sequence[Entry], seqs: Sequence[int]
) -> None:
    """Insert entries inside the open transaction; `seqs` are the numbers of their journal entries."""
    rows_of: dict[str, list[tuple[object, ...]]] = {}
    for entry, seq in zip(entries, seqs, strict=True):
        rows_of.setdefault(entry.table.name, []).append((*entry.row, seq))
    for name, rows in rows_of.items():
        connection.execute(TABLES[name].insert_sql(), [list(column) for column in zip(*rows, strict=True)])
    connection.execute("UPDATE store_state SET last_seq = $1", [seqs[-1]])


def last_applied(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the number of the newest journal entry in the database."""
    rows = connection.execute("SELECT last_seq FROM store_state").fetchall()
    return int(rows[0][0])


def count_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the number of rows of each table."""
    union = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM \"{name}\"" for name in TABLES)
    return {name: int(number) for name, number in connection.execute(union).fetchall()}


def replay(connection: duckdb.DuckDBPyConnection, journal_dir: Path) -> int:
    """Apply the journal's entries that the database lacks; return how many entries that were.

    Raises:
        JournalCorrupt: The journal is damaged before its end.
        NewerSchema: It holds records that this program does not know.
    """
    num_entries = 0
    entries: list[Entry] = []
    seqs: list[int] = []
    for group in read_entries(journal_dir, after=last_applied(connection)):
        decoded = decode(group)
        entries += decoded
        seqs += [group.seq] * len(decoded)
        num_entries += 1
        if len(entries) >= _REPLAY_ROWS:
            _apply(connection, entries, seqs)
            entries, seqs = [], []
    if entries:
        _apply(connection, entries, seqs)
    return num_entries


def decode(group: JournalEntry) -> list[Entry]:
    """Return the records of a journal entry, ready to be inserted."""
    return list(_decoded(group))


def _decoded(group: JournalEntry) -> Iterable[Entry]:
    for kind, values in group.records:
        table = TABLES.get(kind)
        if table is None or not values.keys() <= {column.name for column in table.columns}:
            raise NewerSchema(
                f"journal entry {group.seq} holds a {kind!r} record this program cannot read: "
                "install the newer version that wrote it"
            )
        yield prepare(table.from_json(values))


def _apply(connection: duckdb.DuckDBPyConnection, entries: Sequence[Entry], seqs: Sequence[int]) -> None:
    connection.execute("BEGIN")
    try:
        insert_entries(connection, entries, seqs)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
