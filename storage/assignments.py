"""Reading what the queue of open work is rebuilt from at the start of the server."""

from dataclasses import dataclass

from storage.reading import Where, fetch, rows
from storage.records import Assignment, Pair, utc_now
from storage.store import Store
from storage.tables import table_of

_NO_END = "assignment_id NOT IN (SELECT assignment_id FROM assignment_end)"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A pair with what people have done about it."""

    pair: Pair
    categories: tuple[str, ...]
    """Of its prompt."""
    num_judged: int
    """Distinct people with an overall judgment that was not late."""
    judged_by: frozenset[str]
    """Raters with any judgment of the pair by hand, late ones too."""
    skipped_by: frozenset[str]
    """Raters who skipped it."""


def open_assignments(store: Store) -> list[Assignment]:
    """Return the assignments without an end whose first lease has not run out."""
    where = Where().add(_NO_END + " AND expires_at > ?", utc_now())
    return fetch(store, Assignment, where)


def expired_assignments(store: Store) -> list[Assignment]:
    """Return the assignments without an end whose first lease has run out: the server ends them at its start."""
    where = Where().add(_NO_END + " AND expires_at <= ?", utc_now())
    return fetch(store, Assignment, where)


def find_assignment(store: Store, assignment_id: str) -> Assignment | None:
    """Return one assignment, open or ended."""
    found = fetch(store, Assignment, Where().add("assignment_id = ?", assignment_id))
    return found[0] if found else None


_QUEUE_SQL = """
WITH judged AS (
    SELECT pair_id,
           list(DISTINCT rater_id) AS raters,
           count(DISTINCT rater_id) FILTER (WHERE aspect = 'overall' AND NOT late) AS num_judged
    FROM current_judgment
    WHERE rater_id IN (SELECT rater_id FROM rater WHERE kind = 'human')
    GROUP BY pair_id
), skipped AS (
    SELECT pair_id, list(DISTINCT rater_id) AS raters
    FROM assignment JOIN assignment_end USING (assignment_id)
    WHERE reason = 'skipped'
    GROUP BY pair_id
)
SELECT {columns}, prompt.categories, coalesce(judged.num_judged, 0), judged.raters, skipped.raters
FROM pair
LEFT JOIN prompt USING (prompt_id)
LEFT JOIN judged ON judged.pair_id = pair.pair_id
LEFT JOIN skipped ON skipped.pair_id = pair.pair_id
ORDER BY pair.seq, pair.rowid
"""


def queue_rows(store: Store) -> list[QueueRow]:
    """Return every pair with who judged and who skipped it, in the order the pairs were made."""
    table = table_of(Pair)
    columns = ", ".join(f'pair."{column.name}"' for column in table.columns)
    width = len(table.columns)
    return [
        QueueRow(
            pair=table.from_row(row[:width]),
            categories=tuple(row[width] or ()),
            num_judged=row[width + 1],
            judged_by=frozenset(row[width + 2] or ()),
            skipped_by=frozenset(row[width + 3] or ()),
        )
        for row in rows(store, _QUEUE_SQL.format(columns=columns))
    ]
