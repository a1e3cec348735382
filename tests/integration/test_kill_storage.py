"""`kill -9` at any moment loses no acknowledged vote and doubles none."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from storage.applying import count_rows
from storage.journal import read_entries
from storage.rebuild import rebuild
from storage.store import Store
from storage.workspace import Workspace

from voting_process import vote_records  # isort: skip

NUM_KILLS = 50
ROOT = Path(__file__).parent.parent.parent
PROGRAM = Path(__file__).with_name("voting_process.py")


class Voter:
    """A running process of `voting_process.py` and what it has said so far."""

    def __init__(self, root: Path, *, first: int, checkpoint: int, segment: int) -> None:
        command = [sys.executable, str(PROGRAM), *map(str, (root, first, checkpoint, segment))]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.said: list[str] = []
        self.voting = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.said.append(line.decode().strip())
                if line.startswith(b"ack"):
                    self.voting.set()

    def kill(self) -> str:
        os.kill(self.process.pid, signal.SIGKILL)
        self._reader.join()
        with self.process:
            assert self.process.stderr is not None
            return self.process.stderr.read().decode()

    def numbers(self, word: str) -> set[int]:
        return {int(line.split()[1]) for line in self.said if line.startswith(word)}


@pytest.mark.slow
def test_loses_and_doubles_no_vote_when_killed_fifty_times(tmp_path: Path) -> None:
    root = Workspace.create(tmp_path / "workspace").root
    rng = random.Random(1)
    started: set[int] = set()
    acknowledged: set[int] = set()
    for kill in range(NUM_KILLS):
        # Half of the rounds checkpoint and begin journal files all the time.
        checkpoint, segment = ((16 << 10), 20_000) if kill % 2 else ((16 << 20), (32 << 20))
        voter = Voter(root, first=kill * 100_000, checkpoint=checkpoint, segment=segment)
        if kill % 5 == 4:  # while it starts
            time.sleep(rng.uniform(0.1, 0.6))
        else:
            assert voter.voting.wait(60), voter.kill()
            time.sleep(rng.uniform(0.0, 0.25))
        told = voter.kill()
        assert "Traceback" not in told, told
        started |= voter.numbers("start")
        acknowledged |= voter.numbers("ack")
        with Store.open(root, min_free_bytes=0) as store:
            assert store.recovery.entries_replayed <= 1
            stored = _stored_votes(store)
            assert acknowledged <= stored <= started
            # A client that got no answer sends its vote again; that makes it whole and never double.
            for number in sorted(started - stored)[:3]:
                assert store.write(vote_records(number)) == 6
            for number in sorted(stored & voter.numbers("start") - acknowledged):
                assert store.write(vote_records(number)) == 0

    assert len(acknowledged) > NUM_KILLS
    with Store.open(root, min_free_bytes=0) as store:
        before = count_rows(store.cursor())
        _stored_votes(store)
    assert rebuild(root).rows == before
    num_records = sum(len(entry.records) for entry in read_entries(root / "journal"))
    assert num_records == sum(before.values())


def _stored_votes(store: Store) -> set[int]:
    """Return the numbers of the stored votes, after checking that each is there whole and once."""
    sql = """
        SELECT assignment_id, count(*), count(DISTINCT judgment_id),
               (SELECT count(*) FROM assignment a WHERE a.assignment_id = j.assignment_id),
               (SELECT count(*) FROM assignment_end e WHERE e.assignment_id = j.assignment_id)
        FROM judgment j GROUP BY assignment_id
    """
    rows = store.cursor().execute(sql).fetchall()
    assert all(row[1:] == (4, 4, 1, 1) for row in rows)
    counts = count_rows(store.cursor())
    assert counts["assignment"] == counts["assignment_end"] == len(rows)
    return {int(row[0].removeprefix("vote-")) for row in rows}
