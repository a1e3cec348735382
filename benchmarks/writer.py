"""How fast durable votes are written, without any server: `python benchmarks/writer.py [--seconds 5]`.

A vote is six records (an assignment, its end, four judgments) in one batch; each thread waits for its vote to
be durable before it gives the next. Prints one JSON line per number of threads.
"""

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

from storage.records import (
    Aspect,
    Assignment,
    AssignmentEnd,
    EndReason,
    Judgment,
    Outcome,
    Record,
    record_id,
    utc_now,
)
from storage.store import Store
from storage.workspace import Workspace


def vote(name: str) -> list[Record]:
    shown = {"left_video_id": record_id("left"), "right_video_id": record_id("right")}
    pair = record_id("pair", name)
    return [
        Assignment(assignment_id=name, pair_id=pair, rater_id="ann", expires_at=utc_now(), **shown),
        AssignmentEnd(assignment_id=name, reason=EndReason.SUBMITTED),
        *[
            Judgment(
                judgment_id=record_id("judgment", name, aspect),
                pair_id=pair,
                rater_id="ann",
                aspect=aspect,
                outcome=Outcome.A,
                chosen_video_id=shown["left_video_id"],
                assignment_id=name,
                evidence={"seconds": 4.5, "loops": 3},
                **shown,
            )
            for aspect in Aspect
        ],
    ]


def measure(root: Path, *, threads: int, seconds: float) -> dict[str, float | int]:
    waits_s: list[float] = []
    with Store.open(root, min_free_bytes=0) as store:
        stop = time.monotonic() + seconds

        def work(number: int) -> None:
            count = 0
            while (start := time.monotonic()) < stop:
                store.write(vote(record_id("vote", threads, number, count)))
                waits_s.append(time.monotonic() - start)
                count += 1

        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    waits_s.sort()
    return {
        "threads": threads,
        "votes_per_s": round(len(waits_s) / seconds),
        "p50_ms": round(waits_s[len(waits_s) // 2] * 1000, 2),
        "p95_ms": round(waits_s[int(len(waits_s) * 0.95)] * 1000, 2),
        "p99_ms": round(waits_s[int(len(waits_s) * 0.99)] * 1000, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Workspace.create(Path(folder) / "workspace").root
        for threads in (1, 8, 32, 128):
            print(json.dumps(measure(root, threads=threads, seconds=arguments.seconds)))


if __name__ == "__main__":
    main()
