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

import hashlib
import heapq
import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from annotation.answers import Answers, answers_of, check_answers, judgments_from
from annotation.errors import InvalidAnswer, LeaseEnded, UnknownAssignment
from annotation.open_pairs import Key, OpenPairs
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


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePair:
    """A pair with what is already known about it, as the queue is filled."""

    pair: Pair
    categories: tuple[str, ...]
    """The categories of its prompt."""
    done_by: frozenset[str] = frozenset()
    """Raters with a valid (not late) judgment: each fills one place of the pair's quota."""
    skipped_by: frozenset[str] = frozenset()
    """Raters who shall not see it again although they fill no place."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a category is, and how much of it is left for one rater."""

    total: int
    done: int
    """Pairs whose quota of raters is full."""
    yours: int
    """Pairs this rater has judged."""
    remaining_for_you: int
    """Pairs this rater could be given now, with those they hold."""


@dataclass(slots=True, eq=False)
class _PairState:
    pair: Pair
    categories: tuple[str, ...]
    age_rank: int
    num_votes: int
    raters: set[str]
    """Everybody who has answered (validly), skipped or holds it."""
    num_leases: int = 0
    order_balance: int = 0
    """Times shown with A on the left minus times with B there, returned and expired leases left out."""
    last_a_left: bool | None = None

    @property
    def key(self) -> Key:
        return (-self.pair.priority, self.num_votes + self.num_leases, self.age_rank)

    @property
    def is_done(self) -> bool:
        return self.num_votes >= self.pair.raters_per_pair

    @property
    def has_room(self) -> bool:
        return self.num_votes + self.num_leases < self.pair.raters_per_pair


@dataclass(slots=True, eq=False)
class _Held:
    """An assignment, its lease, and what was answered."""

    assignment: Assignment
    state: _PairState
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
        random_share: share of hand-outs drawn at random instead of by order, for unbiased estimates.
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
        random_share: float = 0.0,
        history: int = 20_000,
    ) -> None:
        self._lock = threading.Lock()
        self._lease = timedelta(seconds=lease_s)
        self._clock = clock
        self._seed = secrets.randbits(64) if seed is None else seed
        self._random = Random(self._seed)
        self._max_open = max_open
        self._random_share = random_share
        self._history = history
        self._states: dict[str, _PairState] = {}
        self._open_pairs: dict[str | None, OpenPairs[_PairState]] = {None: OpenPairs()}
        self._num_pairs: Counter[str | None] = Counter()
        self._num_done: Counter[str | None] = Counter()
        self._num_yours: Counter[tuple[str, str | None]] = Counter()
        self._held: dict[str, _Held] = {}
        self._held_by: dict[str, dict[str, _Held]] = {}
        self._last_answered: dict[str, _Held] = {}
        self._deadlines: list[tuple[datetime, str]] = []
        self._ended: deque[str] = deque()
        self._expired: list[Record] = []
        self.add_pairs(pairs)
        for assignment in open_assignments:
            self.remember(assignment)

    def add_pairs(self, pairs: Iterable[QueuePair]) -> int:
        """Add pairs, oldest first; those known already are left as they are. Returns how many were new."""
        with self._lock:
            fresh = [entry for entry in pairs if entry.pair.pair_id not in self._states]
            fresh.sort(key=lambda entry: (entry.pair.created_at, entry.pair.pair_id))
            for entry in fresh:
                self._add(entry)
        return len(fresh)

    def next(self, rater_id: str, category: str | None = None) -> Lease | None:
        """Hand out the next pair of a category (None: of any) and lease it to the rater.

        A rater who holds `max_open` pairs of the category, or for whom no other is left, gets the oldest of
        those held again. None: there is nothing for this rater now.
        """
        with self._lock:
            now = self._clock()
            self._end_due(now)
            holding = [
                held
                for held in self._held_by.get(rater_id, {}).values()
                if category is None or category in held.state.categories
            ]
            state = None if len(holding) >= self._max_open else self._pick(rater_id, category)
            if state is not None:
                return self._lease_of(self._hand_out(state, rater_id, now))
            if not holding:
                return None
            self._extend(holding[0], now)
            return self._lease_of(holding[0], again=True)

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
            if held.ended is EndReason.EXPIRED and held.pending is None and self._is_free(held):
                self._start(held, now)
            if held.ended is not None:
                raise LeaseEnded(assignment_id, held.ended.value)
            return self._extend(held, now)

    def give_back(self, assignment_id: str, rater_id: str) -> list[Record]:
        """End a lease without an answer, so that the pair can go to anybody. Nothing happens if it has ended.

        Raises:
            UnknownAssignment: no such assignment of this rater.
        """
        with self._lock:
            held = self._find(assignment_id, rater_id)
            if held.ended is not None or held.pending is not None:
                return []
            return [self._end(held, EndReason.RETURNED)]

    def skip(self, assignment_id: str, rater_id: str, reason: str = "") -> list[Record]:
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

    def expire(self) -> list[Record]:
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
            held = self._held_by.get(rater_id, {}).values()
            mine = sum(category is None or category in one.state.categories for one in held)
            new = self._open_pairs[category].num_new(rater_id) if category in self._open_pairs else 0
            return Progress(
                total=self._num_pairs[category],
                done=self._num_done[category],
                yours=self._num_yours[rater_id, category],
                remaining_for_you=new + mine,
            )

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
            state = self._states.get(assignment.pair_id)
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
            if held.ended is EndReason.EXPIRED and ended is None and self._is_free(held):
                self._start(held, self._clock())
            else:
                self._note_ended(held)

    # Below here the lock is held.

    def _add(self, entry: QueuePair) -> None:
        state = _PairState(
            pair=entry.pair,
            categories=tuple(dict.fromkeys(entry.categories)),
            age_rank=len(self._states),
            num_votes=len(entry.done_by),
            raters=set(entry.done_by | entry.skipped_by),
        )
        self._states[entry.pair.pair_id] = state
        for category in (None, *state.categories):
            self._num_pairs[category] += 1
            self._num_done[category] += state.is_done
            self._num_yours.update((rater_id, category) for rater_id in entry.done_by)
        self._list(state)

    def _list(self, state: _PairState) -> None:
        if state.has_room:
            for category in (None, *state.categories):
                self._open_pairs.setdefault(category, OpenPairs()).add(state.key, state)

    def _unlist(self, state: _PairState) -> None:
        if state.has_room:
            for category in (None, *state.categories):
                self._open_pairs[category].remove(state.key)

    def _pick(self, rater_id: str, category: str | None) -> _PairState | None:
        pairs = self._open_pairs.get(category)
        num_new = pairs.num_new(rater_id) if pairs is not None else 0
        if pairs is None or not num_new:
            return None
        at_random = self._random_share > 0 and self._random.random() < self._random_share
        return pairs.pick(rater_id, skip=self._random.randrange(num_new) if at_random else 0)

    def _hand_out(self, state: _PairState, rater_id: str, now: datetime) -> _Held:
        pair, a_left = state.pair, self._a_goes_left(state)
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

    def _a_goes_left(self, state: _PairState) -> bool:
        if state.order_balance:
            return state.order_balance < 0
        if state.last_a_left is not None:
            return not state.last_a_left
        return bool(hashlib.sha256(f"{self._seed}:{state.pair.pair_id}".encode()).digest()[0] & 1)

    def _start(self, held: _Held, now: datetime) -> None:
        state, a_left = held.state, held.assignment.left_video_id == held.state.pair.video_a_id
        self._unlist(state)
        state.num_leases += 1
        state.raters.add(held.rater_id)
        state.order_balance += 1 if a_left else -1
        state.last_a_left = a_left
        self._list(state)
        held.ended = None
        self._held_by.setdefault(held.rater_id, {})[held.assignment_id] = held
        self._extend(held, now)
        heapq.heappush(self._deadlines, (held.expires_at, held.assignment_id))

    def _extend(self, held: _Held, now: datetime) -> datetime:
        held.expires_at = max(held.expires_at, now + self._lease)
        return held.expires_at

    def _is_free(self, held: _Held) -> bool:
        return held.state.has_room and held.rater_id not in held.state.raters

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
        self._release(held, keep_rater=reason is EndReason.SKIPPED)
        held.ended = reason
        self._note_ended(held)
        return AssignmentEnd(
            assignment_id=held.assignment_id, reason=reason, note=note, created_at=self._clock()
        )

    def _release(self, held: _Held, *, keep_rater: bool, vote: bool = False) -> None:
        """Take the lease off its pair, if it still runs; with `vote`, its place is filled for good."""
        state, is_running = held.state, held.ended is None
        self._unlist(state)
        if is_running:
            state.num_leases -= 1
            del self._held_by[held.rater_id][held.assignment_id]
            if not keep_rater:
                state.raters.discard(held.rater_id)
            if not vote:
                state.order_balance -= 1 if held.assignment.left_video_id == state.pair.video_a_id else -1
        elif keep_rater:
            state.raters.add(held.rater_id)
        state.num_votes += vote
        self._list(state)

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
            was_done = held.state.is_done
            self._release(held, keep_rater=True, vote=True)
            for category in (None, *held.state.categories):
                self._num_yours[held.rater_id, category] += 1
                self._num_done[category] += held.state.is_done and not was_done
            self._note_ended(held)
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
