from datetime import datetime, timedelta

import pytest

from annotation.assignment import WorkQueue
from annotation.errors import InvalidAnswer, LeaseEnded, UnknownAssignment
from annotation.pair_board import QueuePair
from storage.records import AssignmentEnd, EndReason, Judgment, Outcome, Pair

START = datetime(2026, 1, 1)  # noqa: DTZ001  (naive UTC, as stored)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def queue_pair(
    number: int,
    *,
    raters: int = 1,
    priority: float = 0.0,
    categories: tuple[str, ...] = ("slide",),
    done_by: frozenset[str] = frozenset(),
    skipped_by: frozenset[str] = frozenset(),
) -> QueuePair:
    pair = Pair(
        pair_id=f"pair{number}",
        prompt_id="prompt",
        video_a_id=f"a{number}",
        video_b_id=f"b{number}",
        strategy="all_pairs",
        raters_per_pair=raters,
        priority=priority,
        created_at=START + timedelta(seconds=number),
    )
    return QueuePair(pair=pair, categories=categories, done_by=done_by, skipped_by=skipped_by)


def a_queue(*pairs: QueuePair, clock: Clock | None = None, **settings: object) -> WorkQueue:
    return WorkQueue(pairs, clock=clock or Clock(), seed=1, **settings)  # type: ignore[arg-type]


def lease_id(queue: WorkQueue, rater: str, category: str | None = None) -> str:
    lease = queue.next(rater, category)
    assert lease is not None
    return lease.assignment.assignment_id


def answer(queue: WorkQueue, assignment_id: str, rater: str, overall: str = "left") -> list[Judgment]:
    submission = queue.submit(assignment_id, rater, {"overall": overall})
    queue.confirm(assignment_id)
    return [record for record in submission.records if isinstance(record, Judgment)]


def test_hands_out_by_priority_then_votes_then_age() -> None:
    queue = a_queue(
        queue_pair(1, raters=2, done_by=frozenset({"x"})),
        queue_pair(3, raters=2),
        queue_pair(2, raters=2),
        queue_pair(4, raters=2, priority=1.0),
        max_open=10,
    )
    leases = [queue.next("ann") for _ in range(4)]
    assert [lease.pair.pair_id for lease in leases if lease] == ["pair4", "pair2", "pair3", "pair1"]


def test_gives_only_the_category_asked_for() -> None:
    queue = a_queue(queue_pair(1, categories=("spin", "grow")), queue_pair(2, categories=("slide",)))
    lease = queue.next("ann", "slide")
    assert lease is not None and lease.pair.pair_id == "pair2"
    assert queue.next("ann", "unheard of") is None
    lease = queue.next("bob", "grow")
    assert lease is not None and lease.pair.pair_id == "pair1"


def test_never_gives_a_pair_twice_to_one_rater() -> None:
    queue = a_queue(
        queue_pair(1, raters=3, done_by=frozenset({"ann"})),
        queue_pair(2, raters=3, skipped_by=frozenset({"ann"})),
        queue_pair(3, raters=3),
    )
    assignment_id = lease_id(queue, "ann")
    answer(queue, assignment_id, "ann")
    assert queue.next("ann") is None
    assert queue.next("bob") is not None


def test_leases_a_pair_to_no_more_people_than_it_needs() -> None:
    queue = a_queue(queue_pair(1, raters=3, done_by=frozenset({"old"})))
    assert queue.next("ann") is not None
    assert queue.next("bob") is not None
    assert queue.next("cem") is None


def test_returns_the_oldest_lease_again_when_a_rater_holds_enough() -> None:
    queue = a_queue(*(queue_pair(number) for number in range(5)), max_open=2)
    first, second = queue.next("ann"), queue.next("ann")
    third = queue.next("ann")
    assert first and second and third
    assert third.again and third.assignment == first.assignment
    assert not first.again and second.assignment != first.assignment


def test_returns_each_held_lease_in_turn_when_asked_again_and_again() -> None:
    queue = a_queue(*(queue_pair(number) for number in range(5)), max_open=3)
    held = [queue.next("ann") for _ in range(3)]
    again = [queue.next("ann") for _ in range(4)]
    ids = [lease.assignment.assignment_id for lease in held + again if lease]
    assert ids[3:] == ids[:3] + ids[:1]


def test_returns_a_held_lease_again_when_nothing_else_is_left() -> None:
    queue = a_queue(queue_pair(1))
    first, reloaded = queue.next("ann"), queue.next("ann")
    assert first and reloaded and reloaded.again and reloaded.assignment == first.assignment


def test_swaps_sides_for_the_next_rater_of_a_pair() -> None:
    queue = a_queue(*(queue_pair(number, raters=4) for number in range(40)), max_open=100)
    lefts = {
        rater: {
            lease.pair.pair_id: lease.assignment.left_video_id == lease.pair.video_a_id
            for _ in range(40)
            if (lease := queue.next(rater))
        }
        for rater in ("r0", "r1", "r2", "r3")
    }
    for number in range(40):
        shown = [lefts[rater][f"pair{number}"] for rater in lefts]
        assert shown[0] != shown[1] and shown[2] != shown[3], "each order twice"
    assert 5 <= sum(lefts["r0"].values()) <= 35, "the first order is drawn, not fixed"


def test_shows_the_other_order_when_the_first_was_given_back() -> None:
    queue = a_queue(queue_pair(1))
    first = queue.next("ann")
    assert first is not None
    queue.give_back(first.assignment.assignment_id, "ann")
    second = queue.next("bob")
    assert second is not None
    assert second.assignment.left_video_id == first.assignment.right_video_id


def test_stores_the_video_chosen_and_what_was_shown() -> None:
    queue = a_queue(*(queue_pair(number, raters=2) for number in range(8)), max_open=100)
    for rater in ("ann", "bob"):
        for choice in ("left", "right") * 4:
            lease = queue.next(rater)
            assert lease is not None
            shown = lease.assignment
            (judgment,) = answer(queue, shown.assignment_id, rater, choice)
            assert (judgment.left_video_id, judgment.right_video_id) == (
                shown.left_video_id,
                shown.right_video_id,
            )
            chosen = shown.left_video_id if choice == "left" else shown.right_video_id
            assert judgment.chosen_video_id == chosen
            assert judgment.outcome is (Outcome.A if chosen.startswith("a") else Outcome.B)


def test_stores_no_video_for_a_tie() -> None:
    queue = a_queue(queue_pair(1))
    assignment_id = lease_id(queue, "ann")
    submission = queue.submit(
        assignment_id,
        "ann",
        {"overall": "both_good", "motion_quality": "both_bad"},
        confidence=2,
        comment="hm",
        evidence={"left_seen_s": 2.5},
    )
    motion, overall = [record for record in submission.records if isinstance(record, Judgment)]
    assert (motion.outcome, overall.outcome) == (Outcome.BOTH_BAD, Outcome.BOTH_GOOD)
    assert motion.chosen_video_id is None and overall.chosen_video_id is None
    assert (overall.confidence, overall.comment, overall.evidence) == (2, "hm", {"left_seen_s": 2.5})
    assert submission.records[-1] == AssignmentEnd(
        assignment_id=assignment_id, reason=EndReason.SUBMITTED, created_at=START
    )


@pytest.mark.parametrize(
    ("answers", "confidence", "named"),
    [
        ({"overall": "leftish"}, None, "leftish"),
        ({"overall": "left", "beauty": "left"}, None, "beauty"),
        ({"motion_quality": "left"}, None, "overall"),
        ({}, None, "overall"),
        ({"overall": "left"}, 4, "confidence"),
    ],
)
def test_refuses_an_answer_when_it_was_not_offered(
    answers: dict[str, str], confidence: int | None, named: str
) -> None:
    queue = a_queue(queue_pair(1))
    assignment_id = lease_id(queue, "ann")
    with pytest.raises(InvalidAnswer, match=named):
        queue.submit(assignment_id, "ann", answers, confidence=confidence)


def test_a_repeated_answer_is_a_duplicate() -> None:
    queue = a_queue(queue_pair(1))
    assignment_id = lease_id(queue, "ann")
    first = queue.submit(assignment_id, "ann", {"overall": "left"}, evidence={"loops": 1})
    queue.confirm(assignment_id)
    again = queue.submit(assignment_id, "ann", {"overall": "left"}, evidence={"loops": 2})
    assert again.duplicate and again.records == [] and again.judgment_ids == first.judgment_ids


def test_a_second_request_waits_while_the_first_is_being_written() -> None:
    queue = a_queue(queue_pair(1))
    assignment_id = lease_id(queue, "ann")
    first = queue.submit(assignment_id, "ann", {"overall": "left"})
    second = queue.submit(assignment_id, "ann", {"overall": "left"})
    assert second.pending_of is first and second.records == [] and not first.settled.done()
    queue.confirm(assignment_id)
    assert first.settled.result(timeout=0) is True
    assert queue.submit(assignment_id, "ann", {"overall": "left"}).duplicate


def test_an_aborted_answer_can_be_sent_again() -> None:
    queue = a_queue(queue_pair(1))
    assignment_id = lease_id(queue, "ann")
    first = queue.submit(assignment_id, "ann", {"overall": "left"})
    queue.abort(assignment_id)
    assert first.settled.result(timeout=0) is False
    assert queue.progress("ann").done == 0
    again = queue.submit(assignment_id, "ann", {"overall": "left"})
    assert not again.duplicate and not again.late and again.judgment_ids == first.judgment_ids


def test_a_different_answer_replaces_the_first() -> None:
    queue = a_queue(queue_pair(1))
    assignment_id = lease_id(queue, "ann")
    (first,) = answer(queue, assignment_id, "ann", "left")
    (second,) = answer(queue, assignment_id, "ann", "right")
    (third,) = answer(queue, assignment_id, "ann", "left")
    assert (second.replaces, third.replaces) == (first.judgment_id, second.judgment_id)
    assert len({first.judgment_id, second.judgment_id, third.judgment_id}) == 3
    assert queue.progress("ann").done == 1


def test_a_correction_must_answer_every_aspect_answered_before() -> None:
    queue = a_queue(queue_pair(1))
    assignment_id = lease_id(queue, "ann")
    queue.submit(assignment_id, "ann", {"overall": "left", "motion_quality": "left"})
    queue.confirm(assignment_id)
    with pytest.raises(InvalidAnswer, match="motion_quality"):
        queue.submit(assignment_id, "ann", {"overall": "right"})


def test_undo_shows_the_last_answer_again() -> None:
    queue = a_queue(queue_pair(1), queue_pair(2), history=1)
    assert queue.undo("ann") is None
    first = lease_id(queue, "ann")
    answer(queue, first, "ann")
    for rater in ("bob", "cem"):
        other = queue.next(rater)
        if other:
            answer(queue, other.assignment.assignment_id, rater)
    lease = queue.undo("ann")
    assert lease is not None and lease.assignment.assignment_id == first
    assert lease.answers is not None and lease.answers.choices == {"overall": "left"}
    (corrected,) = answer(queue, first, "ann", "right")
    assert corrected.replaces is not None


def test_somebody_elses_assignment_looks_like_none() -> None:
    queue = a_queue(queue_pair(1))
    assignment_id = lease_id(queue, "ann")
    with pytest.raises(UnknownAssignment) as theirs:
        queue.submit(assignment_id, "bob", {"overall": "left"})
    with pytest.raises(UnknownAssignment) as nobodys:
        queue.submit("0" * 32, "bob", {"overall": "left"})
    assert str(theirs.value).replace(assignment_id, "X") == str(nobodys.value).replace("0" * 32, "X")
    for call in (queue.heartbeat, queue.give_back, queue.skip):
        with pytest.raises(UnknownAssignment):
            call(assignment_id, "bob")


def test_a_lease_runs_out_without_a_heartbeat_and_lives_with_one() -> None:
    clock = Clock()
    queue = a_queue(queue_pair(1), queue_pair(2), clock=clock, lease_s=60)
    dead, live = lease_id(queue, "ann"), lease_id(queue, "bob")
    for _ in range(5):
        clock.pass_s(30)
        assert queue.heartbeat(live, "bob") == clock.now + timedelta(seconds=60)
    ended = queue.expire()
    assert [record.assignment_id for record in ended if isinstance(record, AssignmentEnd)] == [dead]
    assert queue.expire() == []
    lease = queue.next("cem")
    assert lease is not None and lease.pair.pair_id == "pair1"
    assert queue.next("dan") is None


def test_keeps_a_late_answer_marked_and_uncounted() -> None:
    clock = Clock()
    queue = a_queue(queue_pair(1), clock=clock, lease_s=60)
    late_id = lease_id(queue, "ann")
    clock.pass_s(61)
    taken = lease_id(queue, "bob")
    submission = queue.submit(late_id, "ann", {"overall": "left"})
    queue.confirm(late_id)
    assert submission.late and all(r.late for r in submission.records if isinstance(r, Judgment))
    assert queue.progress("ann").done == 0
    assert not answer(queue, taken, "bob")[0].late
    assert queue.progress("ann").done == 1
    assert queue.submit(late_id, "ann", {"overall": "left"}).duplicate


def test_a_heartbeat_takes_up_an_expired_lease_only_when_its_place_is_free() -> None:
    clock = Clock()
    queue = a_queue(queue_pair(1), clock=clock, lease_s=60)
    first = lease_id(queue, "ann")
    clock.pass_s(100)
    queue.heartbeat(first, "ann")
    assert queue.next("bob") is None
    clock.pass_s(100)
    assert queue.next("bob") is not None
    with pytest.raises(LeaseEnded, match="expired"):
        queue.heartbeat(first, "ann")


def test_a_lease_does_not_run_out_while_its_answer_is_being_written() -> None:
    clock = Clock()
    queue = a_queue(queue_pair(1), clock=clock, lease_s=60)
    assignment_id = lease_id(queue, "ann")
    queue.submit(assignment_id, "ann", {"overall": "left"})
    clock.pass_s(600)
    assert queue.expire() == [] and queue.next("bob") is None
    queue.confirm(assignment_id)
    assert queue.progress("ann").done == 1


def test_a_skipped_pair_goes_to_somebody_else() -> None:
    queue = a_queue(queue_pair(1))
    assignment_id = lease_id(queue, "ann")
    (end,) = queue.skip(assignment_id, "ann", "broken clip")
    assert isinstance(end, AssignmentEnd) and (end.reason, end.note) == (EndReason.SKIPPED, "broken clip")
    assert queue.skip(assignment_id, "ann", "again") == []
    assert queue.next("ann") is None
    assert queue.next("bob") is not None


def test_a_returned_pair_can_come_back_to_the_same_rater() -> None:
    queue = a_queue(queue_pair(1))
    assignment_id = lease_id(queue, "ann")
    (end,) = queue.give_back(assignment_id, "ann")
    assert isinstance(end, AssignmentEnd) and end.reason is EndReason.RETURNED
    assert queue.give_back(assignment_id, "ann") == []
    assert lease_id(queue, "ann") != assignment_id


def test_progress_counts_pairs_and_what_is_left_for_a_rater() -> None:
    queue = a_queue(queue_pair(1), queue_pair(2), queue_pair(3, categories=("spin",)))
    first = lease_id(queue, "ann", "slide")
    before = queue.progress("ann", "slide")
    assert (before.total, before.done, before.yours, before.remaining_for_you) == (2, 0, 0, 2)
    answer(queue, first, "ann")
    after = queue.progress("ann", "slide")
    assert (after.total, after.done, after.yours, after.remaining_for_you) == (2, 1, 1, 1)
    assert queue.progress("bob").remaining_for_you == 2
    assert queue.progress("bob", "unheard of").total == 0


def test_open_leases_survive_a_restart() -> None:
    clock = Clock()
    pairs = [queue_pair(1), queue_pair(2)]
    lease = a_queue(*pairs, clock=clock).next("ann")
    assert lease is not None
    reborn = WorkQueue(pairs, [lease.assignment], clock=clock, seed=1)
    other = reborn.next("bob")
    assert other is not None and other.pair.pair_id == "pair2"
    (judgment,) = answer(reborn, lease.assignment.assignment_id, "ann")
    assert not judgment.late


def test_a_retry_after_a_restart_is_a_duplicate_once_remembered() -> None:
    clock = Clock()
    queue = a_queue(queue_pair(1), clock=clock)
    lease = queue.next("ann")
    assert lease is not None
    assignment_id = lease.assignment.assignment_id
    first, second = answer(queue, assignment_id, "ann"), answer(queue, assignment_id, "ann", "right")
    reborn = a_queue(queue_pair(1, done_by=frozenset({"ann"})), clock=clock)
    with pytest.raises(UnknownAssignment):
        reborn.submit(assignment_id, "ann", {"overall": "right"})
    reborn.remember(lease.assignment, ended=EndReason.SUBMITTED, judgments=first + second)
    assert reborn.submit(assignment_id, "ann", {"overall": "right"}).duplicate
    (third,) = answer(reborn, assignment_id, "ann", "left")
    assert third.replaces == second[0].judgment_id
    assert third.judgment_id not in (first[0].judgment_id, second[0].judgment_id)
    assert reborn.progress("ann").done == 1


def answered_late(queue: WorkQueue, clock: Clock, rater: str, *, holds_it_again: bool) -> None:
    late_id = lease_id(queue, rater)
    clock.pass_s(601)
    queue.expire()
    again = lease_id(queue, rater) if holds_it_again else None
    assert again != late_id
    assert answer(queue, late_id, rater)[0].late
    if again:
        queue.give_back(again, rater)


@pytest.mark.parametrize("holds_it_again", [False, True])
def test_gives_no_pair_again_that_was_answered_late_as_after_a_restart(holds_it_again: bool) -> None:
    clock = Clock()
    live = a_queue(queue_pair(1, raters=2), clock=clock)
    answered_late(live, clock, "ann", holds_it_again=holds_it_again)
    rebuilt = a_queue(queue_pair(1, raters=2, skipped_by=frozenset({"ann"})), clock=clock)
    for queue in (live, rebuilt):
        assert queue.next("ann") is None
        assert queue.progress("ann").remaining_for_you == 0
        lease = queue.next("bob")
        assert lease is not None and lease.pair.pair_id == "pair1"


def test_pairs_added_later_are_handed_out_once() -> None:
    queue = a_queue(queue_pair(1))
    lease_id(queue, "ann")
    assert queue.add_pairs([queue_pair(1), queue_pair(2, priority=5.0)]) == 1
    lease = queue.next("bob")
    assert lease is not None and lease.pair.pair_id == "pair2"
    assert queue.next("cem") is None
