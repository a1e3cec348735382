"""What a server that starts anew still knows, and what happens when nothing can be written."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.media_tokens import MediaTokens
from app.votes import VoteDesk
from benchmarks.http_client import Connection
from storage.assignments import assignment_history, open_assignments
from storage.errors import StoreFailed
from storage.judgments import list_judgments
from storage.raters import find_account
from storage.records import Aspect, Assignment, AssignmentEnd, EndReason, Record, utc_now
from storage.space import SpaceGuard
from storage.store import Store
from tests.served_workspace import Client, Fixture, make_workspace, serve_fixture

ROOT = Path(__file__).resolve().parents[2]


class Disk:
    """Free space that a test sets."""

    free_bytes = 1 << 30

    def guard(self, folder: Path) -> SpaceGuard:
        # A clock that jumps makes the guard ask anew each time.
        ticks = iter(range(0, 10**9, 10))
        return SpaceGuard(
            folder, min_free_bytes=1 << 20, probe=lambda _: self.free_bytes, clock=lambda: float(next(ticks))
        )


def test_takes_the_answer_to_a_pair_leased_before_the_restart(workspace_copy: Fixture) -> None:
    with serve_fixture(workspace_copy) as served:
        view = served.client("ann").next().json()
    with serve_fixture(workspace_copy) as served:
        answer = served.client("ann").vote(view["assignment_id"])
        again = served.client("ann").next().json()
        (judgment,) = list_judgments(served.store)

    assert answer.json() == {"assignment_id": view["assignment_id"], "duplicate": False, "late": False}
    assert judgment.assignment_id == view["assignment_id"]
    assert again["prompt"] != view["prompt"]


def test_knows_an_answer_stored_before_the_restart_when_it_is_sent_again(workspace_copy: Fixture) -> None:
    with serve_fixture(workspace_copy) as served:
        ann = served.client("ann")
        assignment_id = ann.next().json()["assignment_id"]
        ann.vote(assignment_id, "left")
    with serve_fixture(workspace_copy) as served:
        ann, bob = served.client("ann"), served.client("bob")
        repeated, corrected = ann.vote(assignment_id, "left"), ann.vote(assignment_id, "right")
        of_another = bob.vote(assignment_id)
        judgments = list_judgments(served.store, aspect=Aspect.OVERALL)

    assert (repeated.json()["duplicate"], corrected.json()["duplicate"]) == (True, False)
    assert of_another.status_code == 404
    assert [judgment.chosen_video_id for judgment in judgments] == [judgments[0].right_video_id]


def test_marks_the_answer_late_when_the_lease_ran_out_while_the_server_was_down(
    workspace_copy: Fixture,
) -> None:
    with serve_fixture(workspace_copy) as served:
        view = served.client("ann").next().json()
        (lease,) = open_assignments(served.store)
    with Store.open(workspace_copy.root) as store:
        old = Assignment(
            assignment_id="0" * 32,
            pair_id=lease.pair_id,
            rater_id=lease.rater_id,
            left_video_id=lease.left_video_id,
            right_video_id=lease.right_video_id,
            expires_at=utc_now() - timedelta(hours=1),
        )
        store.write([old])
    with serve_fixture(workspace_copy) as served:
        ann = served.client("ann")
        assert ann.vote("0" * 32).json()["late"] is True
        assert ann.vote(view["assignment_id"]).json()["late"] is False
        assert len(list_judgments(served.store, include_late=False)) == 1


def test_says_that_nothing_can_be_stored_when_the_disk_is_full_and_goes_on_when_it_is_not(
    workspace_copy: Fixture,
) -> None:
    disk = Disk()
    with serve_fixture(workspace_copy, guard=disk.guard(workspace_copy.root)) as served:
        ann = served.client("ann")
        first, second = ann.next().json(), ann.next().json()
        assert ann.vote(first["assignment_id"]).status_code == 200

        disk.free_bytes = 0
        refused = [ann.vote(second["assignment_id"]), ann.get("/healthz"), served.client("bob").next()]

        disk.free_bytes = 1 << 30
        accepted = ann.vote(second["assignment_id"])
        bob_next = served.client("bob").next()
        judgments = list_judgments(served.store)

    for response in refused:
        assert response.status_code == 503
        assert "MiB" in response.json()["detail"]
        assert int(response.headers["retry-after"]) > 0
    assert accepted.json() == {"assignment_id": second["assignment_id"], "duplicate": False, "late": False}
    assert bob_next.status_code == 201
    assert len(judgments) == 2


@pytest.mark.parametrize(("call", "reason"), [("skip", EndReason.SKIPPED), ("give_back", EndReason.RETURNED)])
def test_stores_the_end_of_a_lease_when_it_is_sent_again_after_a_refusal(
    workspace_copy: Fixture, call: str, reason: EndReason
) -> None:
    disk = Disk()
    with serve_fixture(workspace_copy, guard=disk.guard(workspace_copy.root)) as served:
        ann = served.client("ann")
        assignment_id = ann.next().json()["assignment_id"]

        def end() -> httpx.Response:
            path = f"/api/v1/assignments/{assignment_id}"
            return (
                ann.post(f"{path}/skip", json={"reason": "too dark"}) if call == "skip" else ann.delete(path)
            )

        disk.free_bytes = 0
        refused = end()
        disk.free_bytes = 1 << 30
        before = assignment_history(served.store, assignment_id).ended
        accepted, repeated = end(), end()
        after = assignment_history(served.store, assignment_id).ended

    assert refused.status_code == 503
    assert accepted.status_code == repeated.status_code < 300
    assert (before, after) == (None, reason)


def test_goes_on_ending_leases_when_a_write_failed(
    workspace_copy: Fixture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[Exception] = [OSError("the disk is gone"), StoreFailed("so is the database")]

    async def run() -> EndReason | None:
        with Store.open(workspace_copy.root) as store:
            desk = VoteDesk(store, tokens=MediaTokens(), lease_s=0.01)
            real = store.append

            def append(records: Sequence[Record]) -> "Future[int]":
                if failures and isinstance(records[0], AssignmentEnd):
                    raise failures.pop()
                return real(records)

            monkeypatch.setattr(store, "append", append)
            view = await desk.next(rater_id_of(store, "ann"), None)
            assert view is not None
            assignment_id = str(view["assignment_id"])
            expiry = asyncio.create_task(desk.expire_forever())
            deadline = time.monotonic() + 20
            while assignment_history(store, assignment_id).ended is None and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            assert not expiry.done()
            expiry.cancel()
            return assignment_history(store, assignment_id).ended

    monkeypatch.setattr("app.votes.EXPIRY_EVERY_S", 0.02)
    assert run_in_thread(run()) is EndReason.EXPIRED
    assert not failures
    assert caplog.text.count("wait for the next try") == 2


def rater_id_of(store: Store, name: str) -> str:
    return find_account(store, name).rater_id


def test_stores_an_answer_once_when_it_comes_many_times_at_once(workspace_copy: Fixture) -> None:
    async def send_all(port: int, token: str, assignment_id: str) -> list[tuple[int, Any]]:
        connections = [await Connection.open(port, token) for _ in range(12)]
        path = f"/api/v1/assignments/{assignment_id}/judgments"
        outcomes = ["left"] * 8 + ["right"] * 4
        answers = await asyncio.gather(
            *(
                connection.request("PUT", path, {"answers": {"overall": outcome}})
                for connection, outcome in zip(connections, outcomes, strict=True)
            )
        )
        for connection in connections:
            connection.close()
        return answers

    with serve_fixture(workspace_copy) as served:
        assignment_id = served.client("ann").next().json()["assignment_id"]
        port = int(served.address.rsplit(":", 1)[1])
        answers = run_in_thread(send_all(port, workspace_copy.tokens["ann"], assignment_id))
        current = list_judgments(served.store)

    assert {status for status, _ in answers} == {200}
    assert len(current) == 1


SERVE = """
import sys
from pathlib import Path
from app.config import ServerConfig
from app.serve import serve

def say(what):
    print(what, flush=True)

serve(Path(sys.argv[1]), ServerConfig(port=0), on_ready=say, with_pages=sys.argv[2] == "pages")
say("torch" in sys.modules)
"""


@contextmanager
def server_process(root: Path, *, pages: bool) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve in a process of its own, which does not outlive the block; gives it and its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(root), "pages" if pages else "api"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def run_in_thread(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine where no event loop runs, whatever the tests before left in the main thread."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def test_ends_cleanly_on_sigterm_without_ever_importing_torch(workspace_copy: Fixture) -> None:
    with server_process(workspace_copy.root, pages=True) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        with Client(
            base_url=address, headers={"Authorization": f"Bearer {workspace_copy.tokens['ann']}"}
        ) as ann:
            assert ann.vote(ann.next().json()["assignment_id"]).status_code == 200
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(timeout=20) == 0

    assert rest.split() == ["False"]  # Was torch imported?
    assert not (workspace_copy.root / "server.json").exists()


@pytest.mark.slow
def test_loses_and_doubles_no_acknowledged_vote_when_killed(tmp_path: Path) -> None:
    fixture = make_workspace(
        tmp_path / "workspace",
        prompt_texts=[f"prompt {number}" for number in range(400)],
        raters_per_pair=2,
        annotators=[f"rater{number}" for number in range(8)],
    )
    tokens = [fixture.tokens[f"rater{number}"] for number in range(8)]
    acknowledged: list[str] = []
    pending: dict[str, str] = {}
    for kill_after_s in (0.2, 0.4, 0.6):
        with server_process(fixture.root, pages=False) as (process, address):
            deadline = time.monotonic() + kill_after_s
            run_in_thread(_vote_until_killed(process, address, tokens, acknowledged, pending, deadline))
            process.wait(timeout=20)
    with serve_fixture(fixture) as served:
        for assignment_id, token in pending.items():
            headers = {"Authorization": f"Bearer {token}"}
            with Client(base_url=served.address, headers=headers, timeout=20) as client:
                assert client.vote(assignment_id).status_code in (200, 404)
        judgments = list_judgments(served.store, aspect=Aspect.OVERALL)

    per_assignment = Counter(judgment.assignment_id for judgment in judgments)
    valid_per_pair = Counter(judgment.pair_id for judgment in judgments if not judgment.late)
    assert len(acknowledged) > 20
    assert not [one for one in acknowledged if one not in per_assignment]
    assert max(per_assignment.values()) == 1
    assert max(valid_per_pair.values()) <= 2
    assert len(set(acknowledged)) == len(acknowledged)


async def _vote_until_killed(
    process: subprocess.Popen[str],
    address: str,
    tokens: list[str],
    acknowledged: list[str],
    pending: dict[str, str],
    deadline: float,
) -> None:
    port = int(address.rsplit(":", 1)[1])

    async def annotate(token: str) -> None:
        connection = await Connection.open(port, token)
        try:
            while True:
                status, view = await connection.request("POST", "/api/v1/assignments", {})
                if status == 204:  # A quick server: every pair has been judged before it was killed.
                    break
                path = f"/api/v1/assignments/{view['assignment_id']}/judgments"
                pending[view["assignment_id"]] = token
                status, _ = await connection.request("PUT", path, {"answers": {"overall": "left"}})
                assert status == 200
                acknowledged.append(view["assignment_id"])
                del pending[view["assignment_id"]]
        except (ConnectionError, OSError):
            pass  # The server was killed, as planned; what was not acknowledged stays in `pending`.
        finally:
            connection.close()

    async def kill() -> None:
        await asyncio.sleep(max(0.0, deadline - time.monotonic()))
        process.kill()

    await asyncio.gather(kill(), *(annotate(token) for token in tokens))
