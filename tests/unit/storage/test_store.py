import errno
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from storage.errors import (
    NewerSchema,
    NotAWorkspace,
    ReadOnlyStore,
    RecordRefused,
    StoreClosed,
    StoreFailed,
    VidprefError,
    WorkspaceServed,
)
from storage.journal import read_entries, segments
from storage.judgments import list_judgments
from storage.opening import connect
from storage.prompts import list_prompts
from storage.raters import find_account
from storage.records import Account, Pair, Prompt, Rating, Record, Role
from storage.space import SpaceGuard
from storage.store import Store
from storage.workspace import Workspace

PROMPT = Prompt(prompt_id="p", text="a ball", categories=("slide",), source="tiny")


def test_counts_new_records_and_drops_known_ones(store: Store) -> None:
    assert store.write([PROMPT, replace(PROMPT, prompt_id="q")]) == 2
    assert store.write([replace(PROMPT, text="another text"), replace(PROMPT, prompt_id="r")]) == 1
    assert store.write([]) == 0
    assert [(one.prompt_id, one.text) for one in list_prompts(store)] == [
        ("p", "a ball"),
        ("q", "a ball"),
        ("r", "a ball"),
    ]


def test_drops_the_second_when_one_batch_holds_it_twice(store: Store) -> None:
    assert store.write([PROMPT, PROMPT]) == 1


def test_does_not_lengthen_the_journal_when_nothing_is_new(store: Store) -> None:
    store.write([PROMPT])
    (file,) = segments(store.workspace.journal_dir)
    size = file.stat().st_size
    store.write([PROMPT])
    assert file.stat().st_size == size


def test_knows_old_records_when_opened_again(root: Path) -> None:
    with Store.open(root, min_free_bytes=0) as store:
        store.write([PROMPT])
    with Store.open(root, min_free_bytes=0) as store:
        assert store.recovery.clean
        assert store.write([PROMPT, replace(PROMPT, prompt_id="q")]) == 1


def test_keeps_the_later_account_when_it_is_written_twice(store: Store) -> None:
    account = Account(rater_id="r", name="ann", role=Role.ANNOTATOR, password_hash="old")
    assert store.write([account, replace(account, password_hash="new")]) == 2
    assert store.write([replace(account, role=Role.ADMIN)]) == 1
    assert find_account(store, "ann") == replace(account, role=Role.ADMIN)


def test_refuses_the_whole_batch_when_one_record_breaks_a_rule(store: Store) -> None:
    bad = Pair(pair_id="x", prompt_id="p", video_a_id="v", video_b_id="v", strategy="all_pairs")
    with pytest.raises(RecordRefused, match="nothing of the batch was kept"):
        store.write([PROMPT, bad])
    assert list_prompts(store) == []
    assert list(read_entries(store.workspace.journal_dir)) == []
    assert store.write([PROMPT]) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "many", None])
def test_refuses_a_value_that_is_no_number(store: Store, value: object) -> None:
    rating = Rating(rating_id="r", video_id="v", rater_id="a", aspect="overall", value=value)  # type: ignore[arg-type]
    with pytest.raises(RecordRefused):
        store.write([rating])


def test_costs_only_the_bad_batch_when_many_are_grouped(store: Store) -> None:
    bad = Pair(pair_id="x", prompt_id="p", video_a_id="v", video_b_id="v", strategy="all_pairs")
    futures = [
        store.append([bad] if number % 7 == 3 else [replace(PROMPT, prompt_id=f"p{number}")])
        for number in range(50)
    ]
    for number, future in enumerate(futures):
        if number % 7 == 3:
            assert isinstance(future.exception(), RecordRefused)
        else:
            assert future.result() == 1
    assert len(list_prompts(store)) == sum(number % 7 != 3 for number in range(50))


def test_loses_and_doubles_nothing_when_threads_write_the_same(store: Store, vote: Callable) -> None:
    new_rows: list[int] = []

    def work() -> None:
        new_rows.extend(store.write(vote(f"vote-{number}")) for number in range(20))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new_rows) == 20 * 6
    judgments = list_judgments(store)
    assert len(judgments) == len({one.judgment_id for one in judgments}) == 80
    groups = list(read_entries(store.workspace.journal_dir))
    assert sum(len(group.records) for group in groups) == 120


def test_cannot_cancel_what_is_queued(store: Store) -> None:
    future = store.append([PROMPT])
    assert not future.cancel()
    assert future.result() == 1


def test_writes_what_is_queued_when_closed(root: Path) -> None:
    store = Store.open(root, min_free_bytes=0)
    futures = [store.append([replace(PROMPT, prompt_id=f"p{number}")]) for number in range(200)]
    store.close()
    assert sum(future.result() for future in futures) == 200
    with pytest.raises(StoreClosed):
        store.write([PROMPT])
    with pytest.raises(StoreClosed):
        list_prompts(store)
    store.close()


def test_turns_read_only_below_the_floor_and_back(root: Path) -> None:
    free, now = [1 << 30], [0.0]
    guard = SpaceGuard(root, min_free_bytes=200 << 20, probe=lambda _: free[0], clock=lambda: now[0])
    with Store.open(root, guard=guard) as store:
        store.write([PROMPT])
        assert store.read_only is None
        free[0], now[0] = 100 << 20, 2.0
        assert store.read_only is not None
        with pytest.raises(ReadOnlyStore, match="100 MiB free and 200 MiB are kept"):
            store.write([replace(PROMPT, prompt_id="q")])
        with pytest.raises(ReadOnlyStore):
            store.check()
        assert len(list_prompts(store)) == 1
        free[0], now[0] = 1 << 30, 4.0
        assert store.write([replace(PROMPT, prompt_id="q")]) == 1


class _StuckFile:
    """The journal's file on a disk that neither keeps a line nor lets go of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.fileno, self.seek, self.close = file.fileno, file.seek, file.close

    def write(self, data: bytes) -> int:
        self._file.write(data)
        raise OSError(errno.EIO, "Input/output error")

    def truncate(self, size: int) -> int:
        raise OSError(errno.EIO, f"cannot cut to {size}")


def test_writes_nothing_more_when_the_journal_cannot_be_cleaned(root: Path) -> None:
    with Store.open(root, min_free_bytes=0) as store:
        store.write([PROMPT])
        journal = store._writer._journal
        healthy = journal._file
        assert healthy is not None
        journal._file = cast(BinaryIO, _StuckFile(healthy))
        for _ in range(2):
            with pytest.raises(StoreFailed, match="restart the program"):
                store.write([replace(PROMPT, prompt_id="q")])
        journal._file = healthy
        with pytest.raises(StoreFailed, match="restart the program"):
            store.write([replace(PROMPT, prompt_id="r")])
        assert [one.prompt_id for one in list_prompts(store)] == ["p"]
    with Store.open(root, min_free_bytes=0) as store:
        assert store.write([replace(PROMPT, prompt_id="r")]) == 1
        store.check()
    seqs = [entry.seq for entry in read_entries(root / "journal")]
    assert seqs == list(range(1, len(seqs) + 1))


def test_checks_by_a_real_write_and_read(store: Store) -> None:
    store.check()
    first = store.cursor().execute("SELECT probe FROM store_state").fetchall()
    store.check()
    assert store.cursor().execute("SELECT probe FROM store_state").fetchall() == first == [(1,)]
    assert (store.workspace.journal_dir / "probe").read_text() == "1\n"


def test_names_the_server_when_the_workspace_is_open_elsewhere(root: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from storage.store import Store;"
        "store = Store.open(Path(sys.argv[1]), address=sys.argv[2] or None, min_free_bytes=0);"
        "print('open', flush=True); sys.stdin.read(); store.close()"
    )
    for address in ("http://127.0.0.1:7860", ""):
        command = [sys.executable, "-c", program, str(root), address]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            with pytest.raises(WorkspaceServed) as refused:
                Store.open(root)
            process.communicate("")
        assert f"process {process.pid}" in str(refused.value)
        if address:
            assert f"served at {address}" in str(refused.value)
            assert f"`vidpref stats --server {address}`" in str(refused.value)
            assert "stop that process first" in str(refused.value)
        assert refused.value.address == (address or None)
    with Store.open(root, min_free_bytes=0):
        pass


def test_forgets_the_address_of_a_server_that_died(root: Path) -> None:
    Workspace.find(root).server_file.write_text('{"pid": 1, "address": "http://dead"}')
    with Store.open(root, min_free_bytes=0), pytest.raises(WorkspaceServed) as refused:
        Store.open(root)
    assert refused.value.address is None


def test_is_refused_when_the_schema_is_newer(root: Path) -> None:
    Store.open(root, min_free_bytes=0).close()
    connection = connect(Workspace.find(root).database)
    connection.execute(
        "INSERT INTO schema_migrations VALUES (999, '0999_future.sql', TIMESTAMP '2030-01-01')"
    )
    connection.close()
    with pytest.raises(NewerSchema, match="schema 999, this program knows up to 1"):
        Store.open(root)
    with pytest.raises(NewerSchema):  # the lock was let go
        Store.open(root)


def test_refuses_a_folder_that_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(NotAWorkspace, match="vidpref init"):
        Store.open(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(VidprefError, match="holds other files"):
        Workspace.create(tmp_path)
    with pytest.raises(VidprefError, match="is a file"):
        Workspace.create(tmp_path / "notes.txt")


def test_makes_a_workspace_once(tmp_path: Path, world: list[Record]) -> None:
    root = Workspace.create(tmp_path / "new").root
    with Store.open(root, min_free_bytes=0) as store:
        store.write(world)
    Workspace.create(root)
    with Store.open(root, min_free_bytes=0) as store:
        assert len(list_prompts(store)) == 2
