"""docs/storage.md describes the schema and the journal that the code really has."""

import json
import re
from pathlib import Path

from storage.journal import Journal, read_entries
from storage.records import Rater
from storage.store import Store
from storage.tables import TABLES, table_of

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "storage.md").read_text()


def test_names_every_table_with_its_columns_in_order() -> None:
    told = {}
    for line in GUIDE.splitlines():
        if match := re.fullmatch(r"\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", line):
            told[match[1]] = re.findall(r"`(\w+)`", match[2])
    assert told == {name: [column.name for column in table.columns] for name, table in TABLES.items()}


def test_names_every_other_table_and_view(store: Store) -> None:
    sql = """
        SELECT table_name FROM duckdb_tables() UNION ALL
        SELECT view_name FROM duckdb_views() WHERE NOT internal
    """
    for (name,) in store.cursor().execute(sql).fetchall():
        assert f"`{name}`" in GUIDE


def test_shows_a_journal_line_that_can_be_read(tmp_path: Path) -> None:
    (line,) = re.findall(r'^\{"sum".*\}$', GUIDE, flags=re.M)
    (tmp_path / "000000000007.jsonl").write_text(line + "\n")
    journal = Journal(tmp_path, quarantine=tmp_path / "quarantine")
    journal.close()
    assert (journal.last_seq, journal.torn_bytes) == (7, 0)
    (entry,) = read_entries(tmp_path, after=6)
    ((kind, values),) = entry.records
    rater = table_of(Rater).from_json(values)
    assert (kind, rater.name) == ("rater", "ann")  # type: ignore[union-attr]
    assert json.loads(line)["body"]["format"] == 1
