"""A process that writes votes until it is killed: `python voting_process.py ROOT FIRST CHECKPOINT SEGMENT`.

Prints `start N` before a vote is handed over and `ack N` once it is durable, unbuffered, so that what the
reader has seen is what was acknowledged.
"""

import os
import sys
import threading
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


def vote_records(number: int) -> list[Record]:
    name = f"vote-{number}"
    shown = {"left_video_id": "a", "right_video_id": "b"}
    return [
        Assignment(assignment_id=name, pair_id="pair", rater_id="ann", expires_at=utc_now(), **shown),
        AssignmentEnd(assignment_id=name, reason=EndReason.SUBMITTED),
        *[
            Judgment(
                judgment_id=record_id("judgment", name, aspect),
                pair_id="pair",
                rater_id="ann",
                aspect=aspect,
                outcome=Outcome.B,
                chosen_video_id="b",
                assignment_id=name,
                **shown,
            )
            for aspect in Aspect
        ],
    ]


def main() -> None:
    root, first, checkpoint, segment = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    store = Store.open(root, min_free_bytes=0, checkpoint_bytes=checkpoint, segment_bytes=segment)
    numbers, lock = iter(range(first, first + 1_000_000)), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers)
            os.write(1, b"start %d\n" % number)
            store.write(vote_records(number))
            os.write(1, b"ack %d\n" % number)

    for _ in range(4):
        threading.Thread(target=work).start()


if __name__ == "__main__":
    main()
