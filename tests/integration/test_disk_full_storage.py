"""A full disk refuses votes clearly, keeps what was acknowledged, and is left behind when space returns."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.applying import count_rows
from storage.errors import DiskFull, ReadOnlyStore, StoreFailed, VidprefError
from storage.journal import read_entries
from storage.rebuild import rebuild
from storage.store import Store
from storage.workspace import Workspace

from voting_process import vote_records  # isort: skip


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "vidpref-test", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fill(disk: Path, *, leave: int) -> Path:
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with ballast.open("ab") as file:
        file.write(bytes(max(0, free - leave)))
    return ballast


def test_loses_nothing_when_the_disk_fills_during_votes(small_disk: Path) -> None:
    root = Workspace.create(small_disk / "workspace").root
    acknowledged: set[int] = set()
    refused: list[VidprefError] = []
    with Store.open(root, min_free_bytes=0, checkpoint_bytes=1 << 30) as store:
        for number in range(20):
            acknowledged.add(number)
            assert store.write(vote_records(number)) == 6
        ballast = _fill(small_disk, leave=60 << 10)
        for number in range(20, 400):
            try:
                store.write(vote_records(number))
                acknowledged.add(number)
            except (ReadOnlyStore, StoreFailed) as error:
                refused.append(error)
        assert refused
        assert "free" in str(refused[0]) or "journal" in str(refused[0])
        assert len(acknowledged) < 400
        assert acknowledged <= _votes(store)  # reading goes on
        ballast.unlink()
    with Store.open(root, min_free_bytes=0) as store:
        assert acknowledged <= _votes(store)
        for number in range(400):
            store.write(vote_records(number))  # sent again: whole and never double
        assert _votes(store) == set(range(400))
        before = count_rows(store.cursor())
    assert before["judgment"] == 1600
    assert rebuild(root).rows == before
    assert sum(len(entry.records) for entry in read_entries(root / "journal")) == 2400


def test_goes_on_by_itself_when_space_returns(small_disk: Path) -> None:
    root = Workspace.create(small_disk / "workspace").root
    with Store.open(root, min_free_bytes=0) as store:
        store.write(vote_records(0))
        ballast = _fill(small_disk, leave=0)
        with pytest.raises(DiskFull, match="is full: nothing was written; free some space"):
            for number in range(1, 50):
                store.write(vote_records(number))
        ballast.unlink()
        assert store.write(vote_records(100)) == 6
        store.check()


def test_turns_read_only_before_the_disk_is_full(small_disk: Path) -> None:
    root = Workspace.create(small_disk / "workspace").root
    with Store.open(root, min_free_bytes=4 << 20) as store:
        store.write(vote_records(0))
    ballast = _fill(small_disk, leave=2 << 20)
    with Store.open(root, min_free_bytes=4 << 20) as store:
        assert store.read_only is not None
        with pytest.raises(ReadOnlyStore, match="kept as a reserve"):
            store.write(vote_records(1))
        assert _votes(store) == {0}
        ballast.unlink()
    with Store.open(root, min_free_bytes=4 << 20) as store:
        assert store.write(vote_records(1)) == 6


def _votes(store: Store) -> set[int]:
    rows = store.cursor().execute("SELECT assignment_id FROM assignment").fetchall()
    return {int(row[0].removeprefix("vote-")) for row in rows}
