"""Numbered migrations: each runs once, in one transaction with its line in `schema_migrations`."""

from importlib import resources

import duckdb

from storage.errors import NewerSchema
from storage.records import utc_now


def migrations() -> dict[int, tuple[str, str]]:
    """Return number -> (file name, SQL text) of every migration of this program, in order."""
    found = {}
    for item in sorted(resources.files("storage.migrations").iterdir(), key=lambda item: item.name):
        if item.name.endswith(".sql"):
            found[int(item.name[:4])] = (item.name, item.read_text())
    return found


def applied_number(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the number of the newest migration in the database; 0 for a new one."""
    present = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'schema_migrations'"
    ).fetchall()
    if not present[0][0]:
        return 0
    rows = connection.execute("SELECT coalesce(max(number), 0) FROM schema_migrations").fetchall()
    return int(rows[0][0])


def migrate(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Bring the database to this program's schema; return the names of the files that ran.

    A checkpoint follows, so that no change of schema is ever read back from a write-ahead log.

    Raises:
        NewerSchema: The database was written by a newer program.
    """
    known = migrations()
    have, newest = applied_number(connection), max(known)
    if have > newest:
        raise NewerSchema(
            f"the workspace has schema {have}, this program knows up to {newest}: "
            "it was written by a newer version; install that version, or use another workspace"
        )
    ran = [_apply(connection, number, *known[number]) for number in sorted(known) if number > have]
    if ran:
        connection.execute("CHECKPOINT")
    return ran


def _apply(connection: duckdb.DuckDBPyConnection, number: int, name: str, sql: str) -> str:
    connection.execute("BEGIN")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations "
            "(number INTEGER NOT NULL, name VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL)"
        )
        connection.execute(sql)
        connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?)", [number, name, utc_now()])
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return name
