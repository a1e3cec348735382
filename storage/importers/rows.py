"""Rows of a CSV or JSON-lines file, with their line numbers, and the checks that all importers share."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from storage.importers.report import ImportRefused, ImportReport

MAX_PROMPT_CHARS = 4000
MAX_NAME_CHARS = 200
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """One row as read: nothing is checked but that there is one."""

    line: int
    values: dict[str, object]


class RowRefused(Exception):
    """A row cannot be used; the message says why, without file and line."""


def read_rows(path: Path, *, required: tuple[str, ...], report: ImportReport) -> Iterator[Row]:
    """Yield the rows of a `.csv`, `.jsonl` or `.ndjson` file; what cannot be read goes to the report.

    Raises:
        ImportRefused: the file cannot be opened, is of another type, or lacks a required column.
    """
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ImportRefused(f"{path}: the type {path.suffix!r} is not known; allowed: {', '.join(readers)}")
    for row in reader(path, required, report):
        if any(_is_broken(value) for value in row.values.values()):
            report.refuse(path, row.line, "not valid UTF-8; save the file as UTF-8")
        else:
            yield row


def read_json_lines(path: Path, report: ImportReport) -> Iterator[Row]:
    """Yield the objects of a JSON-lines file; lines that hold none go to the report, blank ones are ignored.

    Raises:
        ImportRefused: the file cannot be opened.
    """
    return _json_rows(path, (), report)


def text_of(values: dict[str, object], name: str, *, max_chars: int = MAX_NAME_CHARS) -> str:
    """Return a field as stripped text, empty where there is none.

    Raises:
        RowRefused: it is no text, too long, or holds a control character.
    """
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowRefused(f"{name} is {value!r}; it must be text")
    text = value.strip()
    if len(text) > max_chars:
        raise RowRefused(f"{name} has {len(text)} characters; at most {max_chars} are allowed")
    if any((ord(char) < 32 and char not in "\n\t") or _is_broken(char) for char in text):
        raise RowRefused(f"{name} holds a control character or half a character: {text!r}")
    return text


def prompt_of(values: dict[str, object]) -> str:
    """Return the prompt's text.

    Raises:
        RowRefused: it is missing or cannot be used.
    """
    text = text_of(values, "prompt", max_chars=MAX_PROMPT_CHARS)
    if not text:
        raise RowRefused("prompt is empty")
    return text


def categories_of(values: dict[str, object]) -> tuple[str, ...]:
    """Return the categories: a list, or text with `;` between them; the main one first.

    Raises:
        RowRefused: it is neither.
    """
    value = values.get("category")
    if isinstance(value, list):
        names = [text_of({"category": name}, "category") for name in value]
    else:
        names = [name.strip() for name in text_of(values, "category").split(";")]
    return tuple(dict.fromkeys(name for name in names if name))


def seed_of(values: dict[str, object]) -> int | None:
    """Return the seed, None where there is none.

    Raises:
        RowRefused: it is not a whole number from 0 to 2^63 - 1.
    """
    value = values.get("seed")
    if value is None or value == "":
        return None
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 40:
        value, is_whole = int(value), True
    if not is_whole or not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise RowRefused(f"seed is {value!r}; it must be a whole number from 0 to {MAX_SEED}")
    return value


def _csv_rows(path: Path, required: tuple[str, ...], report: ImportReport) -> Iterator[Row]:
    with _opened(path) as lines:
        reader = csv.reader(lines, strict=True)
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in required if name not in header]
        if missing:
            raise ImportRefused(
                f"{path}:1: no column {', '.join(map(repr, missing))}; the first line must name the columns"
                f" (found: {', '.join(header) or 'nothing'})"
            )
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                report.refuse(path, line, f"not valid CSV: {error}")
                continue
            if fields is None:
                return
            if len(fields) > len(header):
                report.refuse(path, line, f"{len(fields)} fields, but {len(header)} columns; quote commas")
            elif fields:
                yield Row(line, dict(zip(header, fields, strict=False)))


def _json_rows(path: Path, required: tuple[str, ...], report: ImportReport) -> Iterator[Row]:
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                report.refuse(path, number, f"not valid JSON: {error}")
                continue
            if not isinstance(values, dict):
                report.refuse(path, number, f"not a JSON object: {line.strip()[:60]}")
            elif missing := [name for name in required if name not in values]:
                report.refuse(path, number, f"no {' and no '.join(missing)}")
            else:
                yield Row(number, values)


def _opened(path: Path) -> TextIO:
    try:
        # Broken bytes are let through as surrogates, so that only their row is refused.
        return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise ImportRefused(f"{path}: cannot be read: {error.strerror}") from error


def _is_broken(value: object) -> bool:
    return isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value)
