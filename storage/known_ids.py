"""Which identities a table already has, in memory: 8 bytes each, instead of an index in the database.

Measured on a million rows: looking 200 ids up costs 40 ms without an index and 5 to 29 ms with DuckDB's own;
here it costs microseconds, and the database stays free of indexes, whose replay was often what broke its log.
A 64-bit digest answers "surely new" at once; "perhaps there" is then settled by the database itself.
"""

import hashlib
from collections.abc import Iterable, Sequence

import duckdb
import numpy as np
import numpy.typing as npt

from storage.tables import Table

_MERGE_AT = 65_536


def _digest(identity: str) -> int:
    return int.from_bytes(hashlib.md5(identity.encode(), usedforsecurity=False).digest()[8:], "little")


def _identity_sql(table: Table) -> str:
    return "concat_ws(chr(31), " + ", ".join(f'"{name}"' for name in table.identity) + ")"


class KnownIds:
    """The identities of one table. Used by the writer thread alone."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: Table) -> None:
        self._connection = connection
        self._identity_sql = _identity_sql(table)
        self._table = table
        sql = f'SELECT md5_number_lower({self._identity_sql}) AS digest FROM "{table.name}"'
        self._sorted: npt.NDArray[np.uint64] = np.sort(connection.execute(sql).fetchnumpy()["digest"])
        self._recent: set[int] = set()

    def present(self, identities: Sequence[str]) -> set[str]:
        """Return those of `identities` that the table has."""
        candidates = self._candidates(identities)
        if not candidates:
            return set()
        sql = (
            f'SELECT {self._identity_sql} FROM "{self._table.name}" '
            f"WHERE {self._identity_sql} IN (SELECT unnest($1::VARCHAR[]))"
        )
        return {row[0] for row in self._connection.execute(sql, [candidates]).fetchall()}

    def _candidates(self, identities: Sequence[str]) -> list[str]:
        digests = [_digest(identity) for identity in identities]
        places = np.searchsorted(self._sorted, np.array(digests, dtype=np.uint64))
        found = np.zeros(len(digests), dtype=bool)
        inside = places < len(self._sorted)
        found[inside] = self._sorted[places[inside]] == np.array(digests, dtype=np.uint64)[inside]
        pairs = zip(identities, digests, found.tolist(), strict=True)
        return [identity for identity, digest, old in pairs if old or digest in self._recent]

    def add(self, identities: Iterable[str]) -> None:
        """Note identities that were just committed."""
        self._recent.update(map(_digest, identities))
        if len(self._recent) >= _MERGE_AT:
            fresh = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
            self._sorted = np.sort(np.concatenate([self._sorted, fresh]))
            self._recent.clear()
