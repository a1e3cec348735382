"""How a record becomes a row, a line of the journal, and a record again: the one mapping for all tables.

A column has the name of its field, plus `seq`, the number of the journal entry that brought the row.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from storage.errors import RecordRefused
from storage.records import (
    Account,
    Assignment,
    AssignmentEnd,
    Credential,
    DatasetRecord,
    Generator,
    Judgment,
    Media,
    Pair,
    Prompt,
    Rater,
    Rating,
    Record,
    RoundRecord,
    RunEnd,
    RunRecord,
    Video,
    VideoMedia,
)

R = TypeVar("R", bound=Record)

_KINDS: Mapping[type[Any], tuple[str, tuple[str, ...]]] = {
    # Record type: (table, identity). A second record of one identity is dropped; no identity keeps them all.
    Prompt: ("prompt", ("prompt_id",)),
    Generator: ("generator", ("generator_id",)),
    Video: ("video", ("video_id",)),
    Media: ("media", ("media_id",)),
    VideoMedia: ("video_media", ("video_id",)),
    Pair: ("pair", ("pair_id",)),
    Rater: ("rater", ("rater_id",)),
    Account: ("account", ()),
    Credential: ("credential", ()),
    Assignment: ("assignment", ("assignment_id",)),
    AssignmentEnd: ("assignment_end", ("assignment_id", "reason")),
    Judgment: ("judgment", ("judgment_id",)),
    Rating: ("rating", ("rating_id",)),
    DatasetRecord: ("dataset", ("dataset_id",)),
    RunRecord: ("run", ("run_id",)),
    RunEnd: ("run_end", ()),
    RoundRecord: ("round", ("round_id",)),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One field: its SQL type, and how it goes to JSON, to a parameter, and back from either."""

    name: str
    sql_type: str
    to_json: Callable[[Any], Any]
    to_row: Callable[[Any], Any]
    from_json: Callable[[Any], Any]
    from_row: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Table:
    """One table and the record type it holds."""

    name: str
    record_type: type[Any]
    identity: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def column_list(self) -> str:
        """The quoted names of the record's columns, in order."""
        return ", ".join(f'"{column.name}"' for column in self.columns)

    def identity_of(self, record: Record) -> str:
        """Return the record's identity as one text."""
        return "\x1f".join(str(getattr(record, name)) for name in self.identity)

    def to_json(self, record: Record) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {column.name: column.to_json(getattr(record, column.name)) for column in self.columns}

    def from_json(self, values: Mapping[str, Any]) -> Record:
        """Return the record of a journal line; fields it lacks take their defaults."""
        known = {column.name: column.from_json for column in self.columns}
        record: Record = self.record_type(**{name: known[name](value) for name, value in values.items()})
        return record

    def to_row(self, record: Record) -> tuple[Any, ...]:
        """Return the fields as SQL parameters, in column order."""
        return tuple(column.to_row(getattr(record, column.name)) for column in self.columns)

    def from_row(self, row: Sequence[Any]) -> Any:
        """Return the record of a fetched row."""
        return self.record_type(
            **{column.name: column.from_row(value) for column, value in zip(self.columns, row, strict=True)}
        )

    def insert_sql(self) -> str:
        """Return the statement that inserts many rows, given one list per column (measured fastest)."""
        names = self.column_list + ', "seq"'
        types = [column.sql_type for column in self.columns] + ["BIGINT"]
        lists = ", ".join(f"unnest(${number}::{type_}[])" for number, type_ in enumerate(types, start=1))
        return f'INSERT INTO "{self.name}" ({names}) SELECT {lists}'


def _same(value: Any) -> Any:
    return value


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _naive_utc(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return _same if convert is _same else lambda value: None if value is None else convert(value)


def _frozen_tags(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}


_Conversion = tuple[
    str, Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any]
]


def _conversion(type_: Any) -> _Conversion:
    """Return SQL type, to JSON, to row, from JSON, from row."""
    if isinstance(type_, type) and issubclass(type_, StrEnum):
        return "VARCHAR", str, str, type_, type_
    if type_ is datetime:
        return (
            "TIMESTAMP",
            lambda value: _naive_utc(value).isoformat(timespec="microseconds"),
            _naive_utc,
            datetime.fromisoformat,
            _same,
        )
    if get_origin(type_) is tuple:
        return "VARCHAR[]", list, list, tuple, tuple
    if get_origin(type_) is Mapping:
        # Lists inside a mapping come back as tuples where the record says so (Prompt.tags), else as lists.
        values = get_args(type_)[1]
        back = _frozen_tags if get_origin(values) is tuple else _same
        return "JSON", dict, _compact, back, lambda value: back(json.loads(value))
    sql = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}[type_]
    return sql, _same, _same, float if type_ is float else _same, _same


def _column(name: str, type_: Any) -> Column:
    optional = get_origin(type_) is UnionType and NoneType in get_args(type_)
    if optional:
        (type_,) = (choice for choice in get_args(type_) if choice is not NoneType)
    sql_type, *converts = _conversion(type_)
    if optional:
        converts = [_optional(convert) for convert in converts]
    return Column(name, sql_type, *converts)


def _table(record_type: type[Any], name: str, identity: tuple[str, ...]) -> Table:
    hints = get_type_hints(record_type)
    columns = tuple(_column(item.name, hints[item.name]) for item in fields(record_type))
    return Table(name, record_type, identity, columns)


_BY_TYPE: Mapping[type[Any], Table] = {
    record_type: _table(record_type, name, identity) for record_type, (name, identity) in _KINDS.items()
}

TABLES: Mapping[str, Table] = {table.name: table for table in _BY_TYPE.values()}
"""Every table by name."""


def table_of(record_type: type[Any]) -> Table:
    """Return the table of a record type."""
    if record_type not in _BY_TYPE:
        raise TypeError(f"{record_type.__name__} is not a record that can be stored")
    return _BY_TYPE[record_type]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record ready to be written: its row, its identity, and its text in the journal."""

    table: Table
    identity: str | None
    row: tuple[Any, ...]
    text: str


def prepare(record: Record) -> Entry:
    """Turn a record into an entry.

    Raises:
        RecordRefused: A value cannot be stored (not a number, no JSON, of a wrong type).
    """
    table = table_of(type(record))
    try:
        text = _compact([table.name, table.to_json(record)])
        row = table.to_row(record)
    except (TypeError, ValueError, AttributeError) as error:
        # The record itself is not shown: annotators may read this, and it names the clips.
        raise RecordRefused(f"this {table.name} cannot be stored: {error}; correct that value") from error
    return Entry(table, table.identity_of(record) if table.identity else None, row, text)
