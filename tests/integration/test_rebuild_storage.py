"""Damaged databases and logs are set aside and made again; nothing acknowledged is lost."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from storage.applying import count_rows
from storage.errors import JournalCorrupt, WorkspaceServed
from storage.journal import segments
from storage.judgments import list_judgments
from storage.opening import connect
from storage.rebuild import rebuild
from storage.records import Judgment, Prompt, Record
from storage.store import Store
from storage.tables import TABLES
from storage.workspace import Workspace


def _prompts(first: int, count: int) -> list[Record]:
    return [
        Prompt(prompt_id=f"p{number}", text=f"text {number}", categories=("slide",), source="tiny")
        for number in range(first, first + count)
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with 5 checkpointed batches, and 5 more in DuckDB's log alone."""
    root = Workspace.create(tmp_path / "workspace").root
    with Store.open(root, min_free_bytes=0) as store:
        for number in range(5):
            store.write(_prompts(100 * number, 10))
    workspace = Workspace(root)
    with Store.open(root, min_free_bytes=0) as store:
        for number in range(5, 10):
            store.write(_prompts(100 * number, 10))
        database, log = workspace.database.read_bytes(), workspace.wal.read_bytes()
    # As a killed process leaves them: the close above has folded the log into the database.
    workspace.database.write_bytes(database)
    workspace.wal.write_bytes(log)
    return root


def _num_prompts(root: Path) -> tuple[int, Store]:
    with Store.open(root, min_free_bytes=0) as store:
        return count_rows(store.cursor())["prompt"], store


def test_needs_no_repair_when_the_log_is_whole(root: Path) -> None:
    number, store = _num_prompts(root)
    assert number == 100
    assert store.recovery.clean


@pytest.mark.parametrize("damage", ["cut", "flipped", "noise", "gone", "old_gone"])
def test_keeps_everything_when_the_log_is_damaged(root: Path, damage: str) -> None:
    wal = Workspace(root).wal
    content = bytearray(wal.read_bytes())
    if damage == "cut":
        wal.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
        wal.write_bytes(content)
    elif damage == "noise":
        wal.write_bytes(b"this is no log" * 100)
    else:
        wal.unlink()
    if damage == "old_gone":
        Workspace(root).database.unlink()

    number, store = _num_prompts(root)
    assert number == 100
    recovery = store.recovery
    assert recovery.entries_replayed >= (10 if damage == "old_gone" else 1)
    for path in recovery.moved:
        assert path.is_file()
    if damage in ("cut", "flipped", "noise"):
        assert [path.name for path in recovery.moved] == ["vidpref.duckdb.wal"]
    assert _num_prompts(root)[1].recovery.clean


@pytest.mark.parametrize("damage", ["noise", "cut", "flipped"])
def test_keeps_everything_when_the_database_is_damaged(root: Path, damage: str) -> None:
    database = Workspace(root).database
    content = bytearray(database.read_bytes())
    if damage == "noise":
        database.write_bytes(b"this is no database" * 1000)
    elif damage == "cut":
        database.write_bytes(content[:5000])
    else:
        content[20] ^= 0xFF
        content[4096 + 20] ^= 0xFF
        content[8192 + 20] ^= 0xFF
        database.write_bytes(content)

    number, store = _num_prompts(root)
    assert number == 100
    assert {path.name for path in store.recovery.moved} == {"vidpref.duckdb", "vidpref.duckdb.wal"}
    assert all(path.is_file() for path in store.recovery.moved)
    assert _num_prompts(root)[1].recovery.clean


def test_touches_nothing_when_another_program_has_the_file_open(root: Path) -> None:
    program = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(Workspace(root).database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(WorkspaceServed, match="is open in a program outside this one"):
            Store.open(root)
        process.communicate("")
    number, store = _num_prompts(root)
    assert number == 100
    assert store.recovery.moved == ()


def test_reports_the_repair_in_the_log(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    Workspace(root).wal.write_bytes(b"this is no log" * 100)
    with caplog.at_level(logging.WARNING):
        _num_prompts(root)
    assert "was repaired while opening" in caplog.text


def test_makes_an_equal_database_from_the_journal_alone(
    tmp_path: Path, world: list[Record], vote: Callable[[str], list[Record]]
) -> None:
    root = Workspace.create(tmp_path / "full").root
    with Store.open(root, min_free_bytes=0, segment_bytes=2_000) as store:
        store.write(world)
        for number in range(20):
            store.write(vote(f"vote-{number}"))
        before = _all_rows(store.cursor())

    report = rebuild(root)
    assert report.entries == 21
    assert report.rows["judgment"] == 80
    assert [path.name for path in report.moved] == ["vidpref.duckdb"]
    with Store.open(root, min_free_bytes=0) as store:
        assert store.recovery.clean
        assert _all_rows(store.cursor()) == before
        assert store.write(vote("vote-3")) == 0
        assert store.write(vote("vote-99")) == 6
        assert all(isinstance(one, Judgment) for one in list_judgments(store))


def _all_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[object, ...]]]:
    return {name: connection.execute(f'SELECT * FROM "{name}" ORDER BY ALL').fetchall() for name in TABLES}


def test_is_refused_when_the_journal_lacks_what_the_database_has(root: Path) -> None:
    (file,) = segments(Workspace(root).journal_dir)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:6]))
    with pytest.raises(JournalCorrupt, match="has entries up to 10, the journal in .* ends at 6"):
        Store.open(root)
    file.write_bytes(b"".join(lines))
    assert _num_prompts(root)[0] == 100


def test_leaves_the_database_when_the_journal_is_damaged(root: Path) -> None:
    (file,) = segments(Workspace(root).journal_dir)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(JournalCorrupt):
        rebuild(root)
    connection = connect(Workspace(root).database)
    assert count_rows(connection)["prompt"] == 100
    connection.close()


def test_does_not_rebuild_while_the_workspace_is_open(root: Path) -> None:
    with Store.open(root, min_free_bytes=0), pytest.raises(WorkspaceServed):
        rebuild(root)


def test_opens_the_database_again_when_a_commit_fails(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Store.open(root, min_free_bytes=0) as store:
        writer = store._writer
        real = writer._connection

        class FailsOnce:
            """A connection whose next commit fails as on a broken disk."""

            def execute(self, sql: str, *parameters: object) -> object:
                if sql == "COMMIT":
                    real.execute("ROLLBACK")
                    raise duckdb.FatalException("the disk is broken")
                return real.execute(sql, *parameters)

            def close(self) -> None:
                real.close()

        writer._connection = FailsOnce()  # type: ignore[assignment]
        with caplog.at_level(logging.ERROR):
            assert store.write(_prompts(5000, 3)) == 3
        assert "opening the database again" in caplog.text
        assert count_rows(store.cursor())["prompt"] == 103
        assert store.write(_prompts(5000, 4)) == 1
        store.check()
    assert _num_prompts(root)[0] == 104
