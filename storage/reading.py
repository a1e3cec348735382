"""Shared by the read functions: a SELECT in, records out."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from storage.records import Record
from storage.store import Store
from storage.tables import table_of

R = TypeVar("R", bound=Record)


class Where:
    """Collects the conditions of one query; each takes one parameter, and None means no condition."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.parameters: list[Any] = []

    def add(self, condition: str, value: Any) -> "Where":
        """Add a condition with one `?`, unless the value is None."""
        if value is not None:
            self.conditions.append(condition)
            self.parameters.append(value)
        return self

    def among(self, column: str, values: Iterable[str] | None) -> "Where":
        """Add that the column is one of the values; None is no condition, an empty list matches nothing."""
        if values is None:
            return self
        return self.add(f"{column} IN (SELECT unnest(?::VARCHAR[]))", list(values))

    def prompt_category(self, column: str, category: str | None) -> "Where":
        """Add that the prompt named by the column has the category."""
        prompts = "SELECT prompt_id FROM prompt WHERE list_contains(categories, ?)"
        return self.add(f"{column} IN ({prompts})", category)

    def sql(self) -> str:
        """Return the WHERE clause, empty without conditions."""
        return " WHERE " + " AND ".join(self.conditions) if self.conditions else ""


def fetch(
    store: Store,
    record_type: type[R],
    where: Where | None = None,
    *,
    source: str | None = None,
    order: str = "seq, rowid",
    tail: str = "",
) -> list[R]:
    """Return the records of a table or of the view `source`, in the order they came unless told otherwise."""
    table = table_of(record_type)
    where = where or Where()
    sql = f'SELECT {table.column_list} FROM "{source or table.name}"{where.sql()} ORDER BY {order} {tail}'
    return [table.from_row(row) for row in store.cursor().execute(sql, where.parameters).fetchall()]


def rows(store: Store, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    return store.cursor().execute(sql, list(parameters)).fetchall()
