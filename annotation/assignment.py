"""Who judges which pair next: the queue of open work, in memory and without I/O.

The queue decides; whoever calls it writes the records it returns. It is rebuilt at start from what is stored,
and every method is safe to call from many threads.

    lease = queue.next(rater_id)  # write lease.assignment, unless lease.again
    submission = queue.submit(lease.assignment.assignment_id, rater_id, {"overall": "left"})
    store.write(submission.records)  # then queue.confirm(...), or queue.abort(...) if that failed

Rules: a pair is held or validly judged by at most `raters_per_pair` people at once; nobody gets a pair that
they have judged, skipped or hold; an answer that comes after its lease has ended is kept, marked late and
never counted.
"""

import heapq
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from annotation.answers import Answers, answers_of, check_answers, judgments_from
from annotation.errors import InvalidAnswer, LeaseEnded, UnknownAssignment
from annotation.pair_board import PairBoard, PairState, Progress, QueuePair
from storage.records import (
    Aspect,
    Assignment,
    AssignmentEnd,
    EndReason,
    Judgment,
    Pair,
    Record,
    utc_now,
)

__all__ = ["Lease", "Progress", "QueuePair", "Submission", "WorkQueue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An assignment as handed to a rater."""

    assignment: Assignment
    """The record to write (unless `again`)."""
    pair: Pair
    categories: tuple[str, ...]
    expires_at: datetime
    """When the lease ends as things stand; a heartbeat moves it."""
    again: bool = False
    """The rater had this one already: it is written, and may be on their screen."""
    answers: Answers | None = None
    """The answers in force, where the assignment has been answered (after an undo)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What became of an answer. With `pending_of` set, wait for that one's `settled`, then submit again."""

    assignment_id: str
    records: list[Record] = field(default_factory=list)
    """To be written in one batch; empty for a duplicate."""
    judgment_ids: tuple[str, ...] = ()
    """The judgments in force once the records are written."""
    duplicate: bool = False
    late: bool = False
    settled: "Future[bool]" = field(default_factory=Future)
    """Resolved by `confirm` (True) or `abort` (False)."""
    pending_of: "Submission | None" = None
    """An answer to the same assignment that is still being written."""


@dataclass(slots=True, eq=False)
class _Held:
    """An assignment, its lease, and what was answered."""

    assignment: Assignment
    state: PairState
    expires_at: datetime
    ended: EndReason | None = None
    """None while the lease runs."""
    late: bool = False
    answers: Answers | None = None
    judgment_ids: dict[Aspect, str] = field(default_factory=dict)
    revision: int = -1
    pending: Submission | None = None
    pending_answers: Answers | None = None

    @property
    def a_left(self) -> bool:
        return self.assignment.left_video_id == self.state.pair.video_a_id

    @property
    def assignment_id(self) -> str:
        return self.assignment.assignment_id

    @property
    def rater_id(self) -> str:
        return self.assignment.rater_id


class WorkQueue:
    """The open work of a workspace.

    Args:
        pairs: every pair that people are asked about, finished ones too (they count in the progress).
        open_assignments: leases without an end on record; they run on from now.
        lease_s: seconds until a lease without a heartbeat ends.
        clock: the present time, naive UTC.
        seed: decides which side comes first; None draws one.
        max_open: leases one rater may hold (the page asks for the next pair ahead of time).
        history: ended assignments remembered here; an older one is brought back with `remember`.
    """

    def __init__(
        self,
        pairs: Iterable[QueuePair] = (),
        open_assignments: Iterable[Assignment] = (),
        *,
        lease_s: float = 600.0,
        clock: Callable[[], datetime] = utc_now,
        seed: int | None = None,
        max_open: int = 3,
        history: int = 20_000,
    ) -> None:
        self._lock = threading.Lock()
        self._lease = timedelta(seconds=lease_s)
        self._clock = clock
        self._board = PairBoard(seed=secrets.randbits(64) if seed is None else seed)
        self._max_open = max_open
        self._history = history
        self._held: dict[str, _Held] = {}
        self._held_by: dict[str, dict[str, _Held]] = {}
        self._last_answered: dict[str, _Held] = {}
        self._deadlines: list[tuple[datetime, str]] = []
        self._ended: deque[str] = deque()
        self._expired: list[AssignmentEnd] = []
        self.add_pairs(pairs)
        for assignment in open_assignments:
            self.remember(assignment)

    def add_pairs(self, pairs: Iterable[QueuePair]) -> int:
        """Add pairs, oldest first; those known already are left as they are. Returns how many were new."""
        with self._lock:
            fresh = [entry for entry in pairs if entry.pair.pair_id not in self._board]
            fresh.sort(key=lambda entry: (entry.pair.created_at, entry.pair.pair_id))
            for entry in fresh:
                self._board.add(entry)
        return len(fresh)

    def next(self, rater_id: str, category: str | None = None) -> Lease | None:
        """Hand out the next pair of a category (None: of any) and lease it to the rater.

        A rater who holds `max_open` pairs of the category, or for whom no other is left, gets those
        held again, one after the other, the oldest first. None: there is nothing for this rater now.
        """
        with self._lock:
            now = self._clock()
            self._end_due(now)
            holding = self._holding(rater_id, category)
            state = None if len(holding) >= self._max_open else self._board.pick(rater_id, category)
            if state is not None:
                return self._lease_of(self._hand_out(state, rater_id, now))
            if not holding:
                return None
            oldest = holding[0]
            # To the end: asked again, as by a page that shows this one and wants another, it gives the next.
            self._held_by[rater_id][oldest.assignment_id] = self._held_by[rater_id].pop(oldest.assignment_id)
            self._extend(oldest, now)
            return self._lease_of(oldest, again=True)

    def heartbeat(self, assignment_id: str, rater_id: str) -> datetime:
        """Keep a lease alive and return its new end; one that ran out starts again where its pair is free.

        Raises:
            UnknownAssignment: no such assignment of this rater.
            LeaseEnded: answered, skipped or returned, or its place has gone to somebody else.
        """
        with self._lock:
            now = self._clock()
            self._end_due(now)
            held = self._find(assignment_id, rater_id)
            if (
                held.ended is EndReason.EXPIRED
                and held.pending is None
                and held.state.is_free_for(held.rater_id)
            ):
                self._start(held, now)
            if held.ended is not None:
                raise LeaseEnded(assignment_id, held.ended.value)
            return self._extend(held, now)

    def give_back(self, assignment_id: str, rater_id: str) -> list[AssignmentEnd]:
        """End a lease without an answer, so that the pair can go to anybody. Nothing happens if it has ended.

        Raises:
            UnknownAssignment: no such assignment of this rater.
        """
        with self._lock:
            held = self._find(assignment_id, rater_id)
            if held.ended is not None or held.pending is not None:
                return []
            return [self._end(held, EndReason.RETURNED)]

    def skip(self, assignment_id: str, rater_id: str, reason: str = "") -> list[AssignmentEnd]:
        """End a lease without an answer and never show the pair to this rater again.

        Raises:
            UnknownAssignment: no such assignment of this rater.
            LeaseEnded: it was answered.
        """
        with self._lock:
            held = self._find(assignment_id, rater_id)
            if held.ended is EndReason.SKIPPED:
                return []
            if held.ended is EndReason.SUBMITTED or held.pending is not None:
                raise LeaseEnded(assignment_id, EndReason.SUBMITTED.value)
            return [self._end(held, EndReason.SKIPPED, note=reason)]

    def submit(
        self,
        assignment_id: str,
        rater_id: str,
        answers: Mapping[str, str],
        *,
        confidence: int | None = None,
        comment: str | None = None,
        evidence: Mapping[str, object] | None = None,
    ) -> Submission:
        """Take an answer: choices `left`, `right`, `both_good`, `both_bad` by aspect, `overall` among them.

        The same answer again is a duplicate; a different one is a correction, whose judgments replace the
        earlier ones. Nothing counts until `confirm`.

        Raises:
            UnknownAssignment: no such assignment of this rater.
            InvalidAnswer: see `check_answers`; also a correction that leaves out an aspect answered before.
        """
        sheet = check_answers(answers, confidence=confidence, comment=comment, evidence=evidence)
        with self._lock:
            now = self._clock()
            self._end_due(now)
            held = self._find(assignment_id, rater_id)
            if held.pending is not None:
                return Submission(assignment_id=assignment_id, pending_of=held.pending)
            if held.answers == sheet:
                ids = tuple(held.judgment_ids.values())
                return Submission(
                    assignment_id=assignment_id, judgment_ids=ids, duplicate=True, late=held.late
                )
            return self._accept(held, sheet, now)

    def confirm(self, assignment_id: str) -> None:
        """Count the pending answer of an assignment: its records are durable."""
        with self._lock:
            held = self._held[assignment_id]
            submission, sheet = held.pending, held.pending_answers
            if submission is None or sheet is None:
                raise RuntimeError(f"assignment {assignment_id!r} has no pending answer to confirm")
            judgments = [record for record in submission.records if isinstance(record, Judgment)]
            self._settle(held, sheet, judgments, late=submission.late)
            self._last_answered[held.rater_id] = held
            held.pending = held.pending_answers = None
        submission.settled.set_result(True)

    def abort(self, assignment_id: str) -> None:
        """Forget the pending answer of an assignment: its records could not be written. The lease runs on."""
        with self._lock:
            held = self._held[assignment_id]
            submission = held.pending
            if submission is None:
                raise RuntimeError(f"assignment {assignment_id!r} has no pending answer to abort")
            held.pending = held.pending_answers = None
            if held.ended is None:
                self._extend(held, self._clock())
        submission.settled.set_result(False)

    def undo(self, rater_id: str) -> Lease | None:
        """Return the assignment this rater answered last, with its answers, to be shown and corrected."""
        with self._lock:
            held = self._last_answered.get(rater_id)
            if held is None:
                return None
            self._held.setdefault(held.assignment_id, held)
            return self._lease_of(held, again=True)

    def expire(self) -> list[AssignmentEnd]:
        """End the leases that ran out; return the ends of all that did since the last call.

        To be called every few seconds.
        """
        with self._lock:
            self._end_due(self._clock())
            expired, self._expired = self._expired, []
            return expired

    def progress(self, rater_id: str, category: str | None = None) -> Progress:
        """Return how far a category (None: everything) is."""
        with self._lock:
            num_held = len(self._holding(rater_id, category))
            return self._board.progress(rater_id, category, num_held=num_held)

    def remember(
        self,
        assignment: Assignment,
        *,
        ended: EndReason | None = None,
        judgments: Sequence[Judgment] = (),
    ) -> None:
        """Bring back an assignment from the store, so that a retried or late answer to it is understood.

        Args:
            assignment: the stored record; one of an unknown pair, or known already, is left alone.
            ended: its last end on record. None and no judgments: its lease runs on if the pair is free.
            judgments: every judgment of it, corrected ones too.
        """
        with self._lock:
            state = self._board.get(assignment.pair_id)
            if state is None or assignment.assignment_id in self._held:
                return
            held = _Held(assignment, state, assignment.expires_at, ended or EndReason.EXPIRED)
            self._held[held.assignment_id] = held
            if judgments:
                replaced = {judgment.replaces for judgment in judgments}
                current = [judgment for judgment in judgments if judgment.judgment_id not in replaced]
                held.ended, held.late = EndReason.SUBMITTED, current[0].late
                held.answers = answers_of(current)
                held.judgment_ids = {judgment.aspect: judgment.judgment_id for judgment in current}
                held.revision = len(judgments)  # above every revision in use
            if held.ended is EndReason.EXPIRED and ended is None and held.state.is_free_for(held.rater_id):
                self._start(held, self._clock())
            else:
                self._note_ended(held)

    # Below here the lock is held.

    def _holding(self, rater_id: str, category: str | None) -> list[_Held]:
        held = self._held_by.get(rater_id, {}).values()
        return [one for one in held if category is None or category in one.state.categories]

    def _hand_out(self, state: PairState, rater_id: str, now: datetime) -> _Held:
        pair, a_left = state.pair, self._board.puts_a_left(state)
        sides = (pair.video_a_id, pair.video_b_id) if a_left else (pair.video_b_id, pair.video_a_id)
        assignment = Assignment(
            assignment_id=secrets.token_hex(16),
            pair_id=pair.pair_id,
            rater_id=rater_id,
            left_video_id=sides[0],
            right_video_id=sides[1],
            expires_at=now + self._lease,
            created_at=now,
        )
        held = _Held(assignment, state, assignment.expires_at)
        self._held[held.assignment_id] = held
        self._start(held, now)
        return held

    def _start(self, held: _Held, now: datetime) -> None:
        self._board.take(held.state, held.rater_id, a_left=held.a_left)
        held.ended = None
        self._held_by.setdefault(held.rater_id, {})[held.assignment_id] = held
        self._extend(held, now)
        heapq.heappush(self._deadlines, (held.expires_at, held.assignment_id))

    def _extend(self, held: _Held, now: datetime) -> datetime:
        held.expires_at = max(held.expires_at, now + self._lease)
        return held.expires_at

    def _end_due(self, now: datetime) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            _, assignment_id = heapq.heappop(self._deadlines)
            held = self._held.get(assignment_id)
            if held is None or held.ended is not None:
                continue
            if held.pending is not None:
                self._extend(held, now)
            if held.expires_at > now:
                heapq.heappush(self._deadlines, (held.expires_at, assignment_id))
            else:
                self._expired.append(self._end(held, EndReason.EXPIRED))

    def _end(self, held: _Held, reason: EndReason, *, note: str = "") -> AssignmentEnd:
        """End without an answer."""
        if held.ended is None:
            self._board.free(held.state, held.rater_id, a_left=held.a_left)
            self._drop(held)
        if reason is EndReason.SKIPPED:
            self._board.exclude(held.state, held.rater_id)
        held.ended = reason
        return AssignmentEnd(
            assignment_id=held.assignment_id, reason=reason, note=note, created_at=self._clock()
        )

    def _drop(self, held: _Held) -> None:
        del self._held_by[held.rater_id][held.assignment_id]
        self._note_ended(held)

    def _accept(self, held: _Held, sheet: Answers, now: datetime) -> Submission:
        is_correction = held.answers is not None
        gone = set(held.judgment_ids) - set(sheet.choices)
        if gone:
            raise InvalidAnswer(
                f"a correction must answer every aspect answered before; missing: {', '.join(sorted(gone))}"
            )
        late = held.late if is_correction else held.ended is not None
        judgments = judgments_from(
            sheet,
            assignment=held.assignment,
            pair=held.state.pair,
            now=now,
            late=late,
            revision=held.revision + 1,
            previous=held.judgment_ids,
        )
        records: list[Record] = list(judgments)
        if not is_correction:
            end = AssignmentEnd(assignment_id=held.assignment_id, reason=EndReason.SUBMITTED, created_at=now)
            records.append(end)
        held.pending_answers = sheet
        held.pending = Submission(
            assignment_id=held.assignment_id,
            records=records,
            judgment_ids=tuple(judgment.judgment_id for judgment in judgments),
            late=late,
        )
        return held.pending

    def _settle(self, held: _Held, sheet: Answers, judgments: list[Judgment], *, late: bool) -> None:
        if held.ended is None:
            self._board.fill(held.state, held.rater_id)
            self._drop(held)
        elif late:
            self._board.exclude(held.state, held.rater_id)  # It fills no place, but it was judged.
        held.ended = EndReason.SUBMITTED
        held.late, held.answers = late, sheet
        held.revision += 1
        held.judgment_ids = {judgment.aspect: judgment.judgment_id for judgment in judgments}

    def _note_ended(self, held: _Held) -> None:
        self._ended.append(held.assignment_id)
        while len(self._ended) > self._history:
            oldest = self._held.get(self._ended.popleft())
            if oldest is not None and oldest.ended is not None and oldest.pending is None:
                del self._held[oldest.assignment_id]

    def _find(self, assignment_id: str, rater_id: str) -> _Held:
        held = self._held.get(assignment_id)
        if held is None or held.rater_id != rater_id:
            raise UnknownAssignment(assignment_id)
        return held

    def _lease_of(self, held: _Held, *, again: bool = False) -> Lease:
        return Lease(
            assignment=held.assignment,
            pair=held.state.pair,
            categories=held.state.categories,
            expires_at=held.expires_at,
            again=again,
            answers=held.answers,
        )
