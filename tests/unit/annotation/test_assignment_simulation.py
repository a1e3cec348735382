"""Many raters at once, some of whom crash, come back late, skip, repeat themselves or change their minds."""

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from annotation.assignment import Lease, WorkQueue
from annotation.pair_board import QueuePair
from storage.records import Assignment, AssignmentEnd, EndReason, Judgment, Pair, Record

START = datetime(2026, 1, 1)  # noqa: DTZ001  (naive UTC, as stored)
LEASE_S = 60.0


def some_pairs(number: int, *, rng: Random) -> list[QueuePair]:
    return [
        QueuePair(
            pair=Pair(
                pair_id=f"p{index}",
                prompt_id="x",
                video_a_id=f"a{index}",
                video_b_id=f"b{index}",
                strategy="all_pairs",
                raters_per_pair=rng.choice((1, 2, 3)),
                priority=rng.choice((0.0, 0.0, 1.0)),
                created_at=START,
            ),
            categories=(f"c{index % 4}",),
        )
        for index in range(number)
    ]


@dataclass
class World:
    """A workspace in miniature: the records written, in order, and the leases that raters have on screen."""

    rng: Random
    pairs: list[QueuePair]
    now: datetime = START
    written: list[Record] = field(default_factory=list)
    on_screen: dict[str, list[Assignment]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        self.queue = self.new_queue()

    def new_queue(self, **known: Any) -> WorkQueue:
        return WorkQueue(self.pairs, clock=lambda: self.now, lease_s=LEASE_S, seed=5, **known)

    def write(self, records: list[Record]) -> None:
        self.written += records

    def judgments(self) -> list[Judgment]:
        return [record for record in self.written if isinstance(record, Judgment)]

    def restart(self) -> None:
        """Forget the queue, as a crash does, and build it again from what was written."""
        done, skipped = defaultdict(set), defaultdict(set)
        pair_of = {r.assignment_id: r for r in self.written if isinstance(r, Assignment)}
        ended = {r.assignment_id for r in self.written if isinstance(r, AssignmentEnd)}
        for record in self.written:
            if isinstance(record, Judgment):
                (skipped if record.late else done)[record.pair_id].add(record.rater_id)
            if isinstance(record, AssignmentEnd) and record.reason is EndReason.SKIPPED:
                assignment = pair_of[record.assignment_id]
                skipped[assignment.pair_id].add(assignment.rater_id)
        self.pairs = [
            QueuePair(
                pair=entry.pair,
                categories=entry.categories,
                done_by=frozenset(done[entry.pair.pair_id]),
                skipped_by=frozenset(skipped[entry.pair.pair_id]),
            )
            for entry in self.pairs
        ]
        self.queue = self.new_queue(open_assignments=[a for i, a in pair_of.items() if i not in ended])
        judged = defaultdict(list)
        for judgment in self.judgments():
            judged[judgment.assignment_id].append(judgment)
        for assignment_id in ended:
            self.queue.remember(
                pair_of[assignment_id], ended=EndReason.EXPIRED, judgments=judged[assignment_id]
            )

    def ask(self, rater: str) -> None:
        lease = self.queue.next(rater, self.rng.choice((None, None, "c1", "c2")))
        if lease is not None and not lease.again:
            self.write([lease.assignment])
            self.on_screen[rater].append(lease.assignment)

    def answer(self, rater: str, assignment: Assignment) -> None:
        choice = self.rng.choice(("left", "right", "both_good", "both_bad"))
        for _ in range(self.rng.choice((1, 1, 2))):
            submission = self.queue.submit(assignment.assignment_id, rater, {"overall": choice})
            if submission.duplicate:
                continue
            if self.rng.random() < 0.05:
                self.queue.abort(assignment.assignment_id)
                return
            self.write(submission.records)
            if self.rng.random() < 0.01:
                self.restart()
            else:
                self.queue.confirm(assignment.assignment_id)
            self.acknowledged[assignment.assignment_id].update(submission.judgment_ids)

    def act(self, rater: str) -> None:
        held = self.on_screen[rater]
        if not held or self.rng.random() < 0.4:
            self.ask(rater)
            return
        assignment = self.rng.choice(held)
        action = self.rng.choices(("answer", "leave", "skip", "give back"), (70, 10, 10, 10))[0]
        if action == "answer":
            self.answer(rater, assignment)
            if self.rng.random() < 0.8:
                held.remove(assignment)
        elif action == "give back":
            self.write(self.queue.give_back(assignment.assignment_id, rater))
        elif action == "skip" and not self.acknowledged[assignment.assignment_id]:
            self.write(self.queue.skip(assignment.assignment_id, rater, "unsure"))
            held.remove(assignment)


def check(world: World) -> None:
    """What must hold at every moment, whatever has happened."""
    quota = {entry.pair.pair_id: entry.pair.raters_per_pair for entry in world.pairs}
    judgments = world.judgments()
    ids = Counter(judgment.judgment_id for judgment in judgments)
    assert not ids or max(ids.values()) == 1, "no judgment twice"
    assert set().union(*world.acknowledged.values()) <= set(ids), "no acknowledged judgment lost"
    replaced = Counter(judgment.replaces for judgment in judgments if judgment.replaces)
    assert not replaced or max(replaced.values()) == 1, "each judgment is corrected at most once"
    voters: dict[str, set[str]] = defaultdict(set)
    for judgment in judgments:
        if not judgment.late and judgment.replaces is None:
            assert judgment.rater_id not in voters[judgment.pair_id], "nobody votes twice on a pair"
            voters[judgment.pair_id].add(judgment.rater_id)
    for pair_id, raters in voters.items():
        assert len(raters) <= quota[pair_id], f"{pair_id} is over its quota"


@pytest.mark.parametrize("seed", range(3))
def test_no_pair_over_quota_and_no_vote_lost_or_doubled_with_200_raters(seed: int) -> None:
    rng = Random(seed)
    world = World(rng, some_pairs(400, rng=rng))
    raters = [f"r{number}" for number in range(200)]
    for _ in range(6000):
        world.now += timedelta(seconds=rng.expovariate(4))
        world.act(rng.choice(raters))
        if rng.random() < 0.02:
            world.write(world.queue.expire())
        if rng.random() < 0.003:
            world.restart()
    check(world)
    late = [judgment for judgment in world.judgments() if judgment.late]
    assert late and len(world.judgments()) > 600, "the simulation reaches the cases it is for"


def test_every_pair_is_finished_in_the_end_though_raters_crash() -> None:
    rng = Random(7)
    world = World(rng, some_pairs(60, rng=rng))
    raters = [f"r{number}" for number in range(12)]
    for _ in range(4000):
        world.now += timedelta(seconds=3)
        world.act(rng.choice(raters))
        world.write(world.queue.expire())
    for rater in raters:
        world.on_screen[rater].clear()
    world.now += timedelta(seconds=2 * LEASE_S)
    for newcomer in ("n0", "n1", "n2"):  # For the pairs that everybody else has skipped or answered late.
        while (lease := world.queue.next(newcomer)) is not None:
            world.write([] if lease.again else [lease.assignment])
            world.answer(newcomer, lease.assignment)
    check(world)
    progress = world.queue.progress("r0")
    assert (progress.total, progress.done) == (60, 60)


def test_threads_share_the_queue_without_overfilling_a_pair() -> None:
    rng = Random(1)
    queue = WorkQueue(some_pairs(300, rng=rng), seed=1)
    quota = {f"p{index}": 0 for index in range(300)}
    quota.update({entry.pair.pair_id: entry.pair.raters_per_pair for entry in some_pairs(300, rng=Random(1))})
    votes: Counter[str] = Counter()
    guard = threading.Lock()

    def work(rater: str) -> None:
        while (lease := queue.next(rater)) is not None:
            vote(rater, lease)

    def vote(rater: str, lease: Lease) -> None:
        queue.submit(lease.assignment.assignment_id, rater, {"overall": "left"})
        queue.confirm(lease.assignment.assignment_id)
        with guard:
            votes[lease.pair.pair_id] += 1

    threads = [threading.Thread(target=work, args=(f"r{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert votes == quota
