"""Reading what the queue of open work is rebuilt from at the start of the server."""

from collections.abc import Iterable
from dataclasses import dataclass

from storage.reading import Where, fetch, rows
from storage.records import Assignment, AssignmentEnd, EndReason, Judgment, Pair, utc_now
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
    valid_by: frozenset[str]
    """Those among them whose overall judgment was not late: `num_judged` of them."""
    skipped_by: frozenset[str]
    """Raters who skipped it."""


def open_assignments(store: Store) -> list[Assignment]:
    """Return the assignments without an end whose first lease has not run out."""
    where = Where().add(_NO_END + " AND expires_at > ?", utc_now())
    return fetch(store, Assignment, where)


def expired_assignments(store: Store) -> list[Assignment]:
    """Return the assignments without an end whose first lease has run out: a server ends them."""
    where = Where().add(_NO_END + " AND expires_at <= ?", utc_now())
    return fetch(store, Assignment, where)


def find_assignment(store: Store, assignment_id: str) -> Assignment | None:
    """Return one assignment, open or ended."""
    found = fetch(store, Assignment, Where().add("assignment_id = ?", assignment_id))
    return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentHistory:
    """What happened to an assignment since it was handed out."""

    ended: EndReason | None
    """Its last end on record; None while it has none."""
    judgments: list[Judgment]
    """Every judgment made on it, those corrected since too, in the order they came."""


def assignment_history(store: Store, assignment_id: str) -> AssignmentHistory:
    """Return how an assignment ended and what was answered."""
    of_assignment = Where().add("assignment_id = ?", assignment_id)
    ends = fetch(store, AssignmentEnd, of_assignment)
    return AssignmentHistory(
        ended=ends[-1].reason if ends else None, judgments=fetch(store, Judgment, of_assignment)
    )


_QUEUE_SQL = """
WITH judged AS (
    SELECT pair_id,
           list(DISTINCT rater_id) AS raters,
           list(DISTINCT rater_id) FILTER (WHERE aspect = 'overall' AND NOT late) AS valid_raters
    FROM current_judgment
    WHERE rater_id IN (SELECT rater_id FROM rater WHERE kind = 'human')
    GROUP BY pair_id
), skipped AS (
    SELECT pair_id, list(DISTINCT rater_id) AS raters
    FROM assignment JOIN assignment_end USING (assignment_id)
    WHERE reason = 'skipped'
    GROUP BY pair_id
)
SELECT {columns}, prompt.categories, judged.valid_raters, judged.raters, skipped.raters
FROM pair
LEFT JOIN prompt USING (prompt_id)
LEFT JOIN judged ON judged.pair_id = pair.pair_id
LEFT JOIN skipped ON skipped.pair_id = pair.pair_id
{where}
ORDER BY pair.seq, pair.rowid
"""


def queue_rows(store: Store, *, pair_ids: Iterable[str] | None = None) -> list[QueueRow]:
    """Return pairs with who judged and who skipped them, in the order the pairs were made."""
    where = Where().among("pair.pair_id", pair_ids)
    table = table_of(Pair)
    columns = ", ".join(f'pair."{column.name}"' for column in table.columns)
    width = len(table.columns)
    return [
        QueueRow(
            pair=table.from_row(row[:width]),
            categories=tuple(row[width] or ()),
            num_judged=len(row[width + 1] or ()),
            valid_by=frozenset(row[width + 1] or ()),
            judged_by=frozenset(row[width + 2] or ()),
            skipped_by=frozenset(row[width + 3] or ()),
        )
        for row in rows(store, _QUEUE_SQL.format(columns=columns, where=where.sql()), where.parameters)
    ]
