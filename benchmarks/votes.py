"""How many durable votes per second the served app takes over HTTP, and how long "next" and "submit" take.

    python benchmarks/votes.py [--seconds 20] [--report votes.json]

Makes a workspace, serves it in a process of its own, and plays annotators from this one, on the same machine:

- closed loop: 32 annotators, each asking for the next pair and voting on it without a pause;
- open loop: 200 annotators, each voting every 5 seconds by the clock, whether or not the last answer has
  come. Times count from the moment a request was due, so that a slow server is not flattered.

Afterwards the workspace is opened and every acknowledged vote is looked for: lost, doubled, or over a
pair's quota.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import psutil
from http_client import Connection

from app.accounts import add_user, create_token
from app.config import ServerConfig
from storage.judgments import list_judgments
from storage.media import MediaStore
from storage.pairs import list_pairs
from storage.records import (
    Aspect,
    Generator,
    Pair,
    Prompt,
    Record,
    Role,
    Video,
    VideoMedia,
    record_id,
)
from storage.store import Store
from storage.workspace import Workspace

NUM_CATEGORIES = 8
RATERS_PER_PAIR = 3
CLOSED_RATERS = 32
OPEN_RATERS = 200
OPEN_INTERVAL_S = 5.0
ANSWERS = {
    "visual_quality": "left",
    "motion_quality": "both_good",
    "text_alignment": "right",
    "overall": "left",
}
EVIDENCE = {"seconds_seen": {"left": 2.2, "right": 2.2}, "loops": 2, "answered_after_ms": 2400}


@dataclass
class Run:
    """What one loop measured."""

    next_ms: list[float] = field(default_factory=list)
    submit_ms: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    server_cpu_s: float = 0.0
    client_cpu_s: float = 0.0

    def summary(self) -> dict[str, object]:
        """Return the figures to report."""
        votes = len(self.acknowledged)
        return {
            "votes": votes,
            "votes_per_s": round(votes / self.seconds, 1),
            "next_ms": _percentiles(self.next_ms),
            "submit_ms": _percentiles(self.submit_ms),
            "server_cpu_ms_per_vote": round(1000 * self.server_cpu_s / max(1, votes), 2),
            "client_cpu_ms_per_vote": round(1000 * self.client_cpu_s / max(1, votes), 2),
            "refused": dict(self.refused),
        }


def _percentiles(times_ms: list[float]) -> dict[str, float]:
    if not times_ms:
        return {}
    return {f"p{p}": round(float(np.percentile(times_ms, p)), 2) for p in (50, 95, 99)}


def make_workspace(root: Path, *, num_pairs: int, num_raters: int) -> list[str]:
    """Make a workspace with pairs and people; return a token for each person."""
    workspace = Workspace.create(root)
    generator = Generator(
        generator_id=record_id("generator", "bench"), name="bench", family="external", model=""
    )
    frames = np.zeros((9, 64, 64, 3), np.uint8)
    frames[:, 20:40, 20:40] = 200
    with MediaStore(workspace) as clips:
        media = clips.ingest_frames(frames, fps=8.0)
    with Store.open(root) as store:
        store.write([generator, media])
        for first in range(0, num_pairs, 1000):
            numbers = range(first, min(first + 1000, num_pairs))
            store.write([record for number in numbers for record in _pair(number, generator, media.media_id)])
        for number in range(num_raters):
            add_user(store, f"rater{number}", Role.ANNOTATOR, None)
        return [create_token(store, f"rater{number}") for number in range(num_raters)]


def _pair(number: int, generator: Generator, media_id: str) -> list[Record]:
    prompt = Prompt(
        prompt_id=record_id("prompt", "bench", number),
        text=f"a square, number {number}",
        categories=(f"category{number % NUM_CATEGORIES}",),
        source="bench",
    )
    videos = [
        Video(
            video_id=record_id("video", number, side),
            prompt_id=prompt.prompt_id,
            generator_id=generator.generator_id,
            seed=side,
        )
        for side in range(2)
    ]
    first, second = sorted(video.video_id for video in videos)
    pair = Pair(
        pair_id=record_id("pair", first, second),
        prompt_id=prompt.prompt_id,
        video_a_id=first,
        video_b_id=second,
        strategy="all_pairs",
        raters_per_pair=RATERS_PER_PAIR,
    )
    shown = [VideoMedia(video_id=video.video_id, media_id=media_id) for video in videos]
    return [prompt, *videos, *shown, pair]


async def _next(connection: Connection, run: Run, since: float) -> str | None:
    status, answer = await connection.request("POST", "/api/v1/assignments", {})
    run.next_ms.append(1000 * (time.perf_counter() - since))
    if status != 201:
        run.refused[status] += 1
        return None
    return str(answer["assignment_id"])


async def _submit(connection: Connection, run: Run, assignment_id: str, since: float) -> None:
    path = f"/api/v1/assignments/{assignment_id}/judgments"
    status, _ = await connection.request("PUT", path, {"answers": ANSWERS, "evidence": EVIDENCE})
    run.submit_ms.append(1000 * (time.perf_counter() - since))
    if status == 200:
        run.acknowledged.append(assignment_id)
    else:
        run.refused[status] += 1


async def closed_loop(port: int, tokens: list[str], *, seconds: float) -> Run:
    """Play annotators who never pause."""
    run = Run()
    started = time.perf_counter()

    async def annotate(token: str) -> None:
        connection = await Connection.open(port, token)
        while time.perf_counter() - started < seconds:
            assignment_id = await _next(connection, run, time.perf_counter())
            if assignment_id is None:
                break
            await _submit(connection, run, assignment_id, time.perf_counter())
        connection.close()

    await asyncio.gather(*(annotate(token) for token in tokens))
    run.seconds = time.perf_counter() - started
    return run


async def open_loop(port: int, tokens: list[str], *, seconds: float) -> Run:
    """Play annotators who vote by the clock: submit the pair held, then ask for the next."""
    run = Run()
    offsets = random.Random(1)
    started = time.perf_counter()

    async def annotate(token: str) -> None:
        connection = await Connection.open(port, token)
        due = started + offsets.uniform(0, OPEN_INTERVAL_S)
        held: str | None = None
        while due < started + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asked = due
            if held is not None:
                await _submit(connection, run, held, due)
                asked = time.perf_counter()
            held = await _next(connection, run, asked)
            due += OPEN_INTERVAL_S
        connection.close()

    await asyncio.gather(*(annotate(token) for token in tokens))
    run.seconds = time.perf_counter() - started
    return run


def check(root: Path, acknowledged: list[str]) -> dict[str, int]:
    """Look for every acknowledged vote in the store."""
    with Store.open(root) as store:
        judgments = list_judgments(store, aspect=Aspect.OVERALL)
        quota = {pair.pair_id: pair.raters_per_pair for pair in list_pairs(store)}
    per_assignment = Counter(judgment.assignment_id for judgment in judgments)
    per_pair = Counter(judgment.pair_id for judgment in judgments if not judgment.late)
    per_rater = Counter((judgment.pair_id, judgment.rater_id) for judgment in judgments)
    return {
        "acknowledged": len(acknowledged),
        "stored": len(judgments),
        "lost": sum(assignment_id not in per_assignment for assignment_id in acknowledged),
        "doubled": sum(count > 1 for count in per_assignment.values())
        + sum(count > 1 for count in per_rater.values()),
        "over_quota": sum(count > quota[pair_id] for pair_id, count in per_pair.items()),
    }


def start_server(root: Path) -> tuple[subprocess.Popen[str], int]:
    """Serve the workspace in a process of its own and return it with its port."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    if not address:
        raise SystemExit("the server did not start")
    return process, int(address.rsplit(":", 1)[1])


def measured(process: psutil.Process, loop: Coroutine[None, None, Run]) -> Run:
    """Run one loop and note the processor time of both sides."""
    before, own = process.cpu_times(), os.times()
    run = asyncio.run(loop)
    after, own_after = process.cpu_times(), os.times()
    run.server_cpu_s = after.user + after.system - before.user - before.system
    run.client_cpu_s = own_after.user + own_after.system - own.user - own.system
    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each loop")
    parser.add_argument("--pairs", type=int, default=12_000)
    parser.add_argument("--report", type=Path, help="write the figures here as JSON, too")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_here(arguments.serve)
        return
    root = Path(tempfile.mkdtemp(prefix="vidpref-votes-"))
    try:
        report = bench(root, num_pairs=arguments.pairs, seconds=arguments.seconds)
    finally:
        shutil.rmtree(root)
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.report:
        arguments.report.write_text(text + "\n")


def bench(root: Path, *, num_pairs: int, seconds: float) -> dict[str, object]:
    """Measure both loops on a new workspace."""
    tokens = make_workspace(root / "workspace", num_pairs=num_pairs, num_raters=OPEN_RATERS)
    process, port = start_server(root / "workspace")
    try:
        server = psutil.Process(process.pid)
        warm_up = asyncio.run(closed_loop(port, tokens[:4], seconds=1.0))
        closed = measured(server, closed_loop(port, tokens[:CLOSED_RATERS], seconds=seconds))
        opened = measured(server, open_loop(port, tokens, seconds=seconds))
        memory_mib = round(server.memory_info().rss / 2**20)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    return {
        "cores": os.cpu_count(),
        "closed_loop": {"raters": CLOSED_RATERS, **closed.summary()},
        "open_loop": {"raters": OPEN_RATERS, "every_s": OPEN_INTERVAL_S, **opened.summary()},
        "stored": check(root / "workspace", warm_up.acknowledged + closed.acknowledged + opened.acknowledged),
        "server_memory_mib": memory_mib,
    }


def serve_here(root: Path) -> None:
    from app.serve import serve

    serve(root, ServerConfig(port=0), on_ready=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main()
