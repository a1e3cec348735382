"""Every record survives the way to a row and back, and to the journal and back."""

import json
import string
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.applying import decode
from storage.errors import RecordRefused
from storage.journal import JournalEntry
from storage.migrate import migrations
from storage.reading import fetch
from storage.records import Credential, Media, Prompt, Record
from storage.store import Store
from storage.tables import TABLES, Table, prepare

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
TIME = st.datetimes(datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("2200-01-01"))
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
# Fields whose table has rules that a random value would break.
RULED: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("credential", "kind"): st.sampled_from(["session", "token", "one_time"]),
    ("prompt", "tags"): st.dictionaries(TEXT, st.lists(TEXT, max_size=2).map(tuple), max_size=2),
    ("judgment", "confidence"): st.none() | st.integers(1, 3),
    ("judgment", "outcome"): st.just("both_good"),
    ("judgment", "chosen_video_id"): st.none(),
    ("judgment", "left_video_id"): st.just("left"),
    ("judgment", "right_video_id"): st.just("right"),
    ("assignment", "left_video_id"): st.just("left"),
    ("assignment", "right_video_id"): st.just("right"),
    ("pair", "video_a_id"): st.just("a"),
    ("pair", "video_b_id"): st.just("b"),
    ("media", "media_id"): st.text("0123456789abcdef", min_size=64, max_size=64),
    ("video_media", "media_id"): st.text("0123456789abcdef", min_size=64, max_size=64),
    ("media", "original_name"): st.text(string.ascii_letters + ".", min_size=1),
    ("rating", "scale_low"): st.none(),
    ("rating", "scale_high"): st.none(),
    ("video", "seed"): st.none() | st.integers(-(2**63), 2**63 - 1),
}
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "BIGINT": st.integers(1, 2**31 - 1),
    "DOUBLE": st.floats(1e-300, 1e300),
    "BOOLEAN": st.booleans(),
    "TIMESTAMP": TIME,
    "VARCHAR[]": st.lists(TEXT, max_size=3).map(tuple),
    "JSON": st.dictionaries(TEXT, JSON, max_size=3),
}


def _records(table: Table) -> st.SearchStrategy[Record]:
    values = {}
    for item in fields(table.record_type):
        (column,) = (column for column in table.columns if column.name == item.name)
        if isinstance(column.from_row, type) and issubclass(column.from_row, str):
            values[item.name] = st.sampled_from(list(column.from_row))
        else:
            values[item.name] = BY_TYPE.get(column.sql_type, TEXT)
        ruled = RULED.get((table.name, item.name))
        if ruled is not None:
            values[item.name] = ruled.map(column.from_row) if item.name == "outcome" else ruled
    return st.builds(table.record_type, **values)


@pytest.mark.parametrize("name", list(TABLES))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_gives_back_the_record_that_was_written(store: Store, name: str, data: st.DataObject) -> None:
    table = TABLES[name]
    records = data.draw(st.lists(_records(table), max_size=4, unique_by=table.identity_of))
    before = fetch(store, table.record_type)
    added = store.write(records)
    after = fetch(store, table.record_type)
    assert len(after) == len(before) + added
    if added == len(records):
        assert after[len(before) :] == records


@pytest.mark.parametrize("name", list(TABLES))
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_gives_back_the_record_from_the_journal(name: str, data: st.DataObject) -> None:
    record = data.draw(_records(TABLES[name]))
    kind, values = json.loads(prepare(record).text)
    (entry,) = decode(JournalEntry(1, [(kind, values)]))
    assert entry.table.from_json(values) == record
    assert entry.row == prepare(record).row


def test_stores_a_time_with_a_zone_as_utc(store: Store) -> None:
    at = datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    store.write([Credential(token_hash="h", rater_id="r", kind="token", expires_at=at)])
    (stored,) = fetch(store, Credential)
    assert stored.expires_at == datetime.fromisoformat("2026-05-01T10:00")


def test_keeps_markup_and_quotes_as_they_are(store: Store) -> None:
    text = "<script>alert('1')</script>; DROP TABLE prompt; -- \" \n 🎬"
    store.write([Prompt(prompt_id="p", text=text, categories=("a'b",), source="tiny", tags={"x": ('"',)})])
    (stored,) = fetch(store, Prompt)
    assert (stored.text, stored.categories, stored.tags) == (text, ("a'b",), {"x": ('"',)})


def test_keeps_a_zero_character(store: Store) -> None:
    prompt = Prompt(prompt_id="p", text="a\x00b", categories=(), source="tiny")
    store.write([prompt])
    assert fetch(store, Prompt) == [prompt]


@pytest.mark.parametrize(("name", "value"), [("width_px", 0), ("fps", -1.0), ("media_id", "short")])
def test_refuses_what_a_table_does_not_allow(store: Store, name: str, value: object) -> None:
    good: dict[str, Any] = {
        "media_id": "0" * 64,
        "original_name": "original.mp4",
        "width_px": 64,
        "height_px": 64,
        "num_frames": 9,
        "fps": 8.0,
        "duration_s": 1.0,
        "codec": "h264",
        "size_bytes": 10,
    }
    with pytest.raises(RecordRefused):
        store.write([Media(**good | {name: value})])
    assert store.write([Media(**good)]) == 1


def test_has_a_column_for_every_field(store: Store) -> None:
    for name, table in TABLES.items():
        sql = "SELECT column_name FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index"
        columns = [row[0] for row in store.cursor().execute(sql, [name]).fetchall()]
        assert columns == [item.name for item in fields(table.record_type)] + ["seq"]


def test_runs_every_migration_once(store: Store) -> None:
    rows = store.cursor().execute("SELECT number, name FROM schema_migrations ORDER BY number").fetchall()
    assert rows == [(number, name) for number, (name, _) in migrations().items()]
    assert [number for number, _ in rows] == list(range(1, len(rows) + 1))


def test_lets_sql_touch_no_file(store: Store, tmp_path: Path) -> None:
    with pytest.raises(duckdb.PermissionException):
        store.cursor().execute(f"COPY prompt TO '{tmp_path / 'leak.csv'}'")
