"""The desk between the queue of open work and the store: hands out pairs, takes answers, writes both down.

The queue decides in memory, the store makes it durable, and nothing is answered before it is. What a request
needs to know about a pair (its prompt, its clips) is held in memory, so that the hot path never reads the
database.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from annotation.assignment import Lease, Progress, QueuePair, Submission, WorkQueue
from annotation.errors import UnknownAssignment
from app.media_tokens import MediaTokens
from app.schemas import ASPECTS, OUTCOMES
from storage.assignments import (
    QueueRow,
    assignment_history,
    expired_assignments,
    find_assignment,
    open_assignments,
    queue_rows,
)
from storage.errors import UnknownName, VidprefError
from storage.prompts import get_prompts, list_categories
from storage.records import AssignmentEnd, EndReason, Media, Record
from storage.store import Store
from storage.videos import media_of

logger = logging.getLogger(__name__)

EXPIRY_EVERY_S = 5.0

T = TypeVar("T")


@dataclass(slots=True)
class _Content:
    """What is shown of pairs, by id."""

    prompts: dict[str, str]
    media: dict[str, Media]
    categories: set[str]


class VoteDesk:
    """Open work of one served workspace. Its methods are called from the event loop.

    Args:
        store: the open workspace.
        tokens: name the clips of an assignment.
        lease_s: seconds until a lease without a heartbeat ends.
        only_pairs: ids of the pairs to hand out; None: all that are open.
    """

    def __init__(
        self,
        store: Store,
        *,
        tokens: MediaTokens,
        lease_s: float,
        only_pairs: Collection[str] | None = None,
    ) -> None:
        self._store = store
        self._tokens = tokens
        store.write(
            [
                AssignmentEnd(assignment_id=late.assignment_id, reason=EndReason.EXPIRED)
                for late in expired_assignments(store)
            ]
        )
        self._content, pairs = _read(store, only_pairs)
        self._unwritten: dict[tuple[str, EndReason], AssignmentEnd] = {}
        """Ends that the queue knows and the store does not yet; written twice, they count once."""
        self.queue = WorkQueue(pairs, open_assignments(store), lease_s=lease_s)

    async def next(self, rater_id: str, category: str | None) -> dict[str, object] | None:
        """Lease the next pair to a rater and return it as the page sees it; None when nothing is left.

        Raises:
            UnknownName: There is no such category.
        """
        self.check_category(category)
        lease = self.queue.next(rater_id, category)
        if lease is None:
            return None
        if not lease.again:
            assignment_id = lease.assignment.assignment_id
            try:
                await self._durable([lease.assignment])
            except BaseException:
                self.queue.give_back(assignment_id, rater_id)  # Its end is not written: nor is its start.
                raise
        return self.view(lease)

    async def submit(
        self,
        assignment_id: str,
        rater_id: str,
        answers: Mapping[str, str],
        *,
        confidence: int | None = None,
        comment: str | None = None,
        evidence: Mapping[str, object] | None = None,
    ) -> Submission:
        """Take an answer and return once it is durable. The same answer again changes nothing.

        Raises:
            UnknownAssignment: No such assignment of this rater.
            InvalidAnswer: An answer is not one of those offered.
        """
        while True:
            submission = await self._known(
                assignment_id,
                rater_id,
                lambda: self.queue.submit(
                    assignment_id,
                    rater_id,
                    answers,
                    confidence=confidence,
                    comment=comment,
                    evidence=evidence,
                ),
            )
            if submission.pending_of is None:
                break
            await asyncio.wrap_future(submission.pending_of.settled)
        if not submission.duplicate:
            await self._store_answer(submission)
        return submission

    async def _store_answer(self, submission: Submission) -> None:
        try:
            future = self._store.append(submission.records)
        except BaseException:
            self.queue.abort(submission.assignment_id)
            raise

        def settle(done: "Future[int]") -> None:
            # Runs whether or not the request is still there to be answered.
            if done.exception() is None:
                self.queue.confirm(submission.assignment_id)
            else:
                self.queue.abort(submission.assignment_id)

        future.add_done_callback(settle)
        await asyncio.shield(asyncio.wrap_future(future))

    async def heartbeat(self, assignment_id: str, rater_id: str) -> datetime:
        """Keep a lease alive and return its new end.

        Raises:
            UnknownAssignment: No such assignment of this rater.
            LeaseEnded: It is over.
        """
        return await self._known(
            assignment_id, rater_id, lambda: self.queue.heartbeat(assignment_id, rater_id)
        )

    async def give_back(self, assignment_id: str, rater_id: str) -> None:
        """End a lease without an answer.

        Raises:
            UnknownAssignment: No such assignment of this rater.
        """
        ends = await self._known(
            assignment_id, rater_id, lambda: self.queue.give_back(assignment_id, rater_id)
        )
        await self._store_ends(assignment_id, ends)

    async def skip(self, assignment_id: str, rater_id: str, reason: str) -> None:
        """End a lease without an answer and never show the pair to this rater again.

        Raises:
            UnknownAssignment: No such assignment of this rater.
            LeaseEnded: It was answered.
        """
        ends = await self._known(
            assignment_id, rater_id, lambda: self.queue.skip(assignment_id, rater_id, reason)
        )
        await self._store_ends(assignment_id, ends)

    def undo(self, rater_id: str) -> dict[str, object] | None:
        """Return the pair this rater judged last, with the answers given; None where there is none."""
        lease = self.queue.undo(rater_id)
        if lease is None or lease.answers is None:
            return None
        earlier = lease.answers
        return self.view(lease) | {
            "earlier": {
                "answers": dict(earlier.choices),
                "confidence": earlier.confidence,
                "comment": earlier.comment,
            }
        }

    def progress(self, rater_id: str, category: str | None) -> dict[str, object]:
        """Return how far the work is, as `ProgressAnswer` describes it.

        Raises:
            UnknownName: There is no such category.
        """
        self.check_category(category)
        names = sorted(self._content.categories)
        by_name = {name: self.queue.progress(rater_id, name) for name in names}
        return {
            "category": category,
            **_progress(self.queue.progress(rater_id, category)),
            "categories": [
                {"name": name, **_progress(by_name[name])} for name in names if by_name[name].total
            ],
        }

    def check_category(self, category: str | None) -> None:
        """Raise UnknownName, listing the categories, unless this is one of them or None."""
        if category is not None and category not in self._content.categories:
            raise UnknownName("category", category, sorted(self._content.categories))

    async def expire_forever(self) -> None:
        """End the leases that ran out, every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(EXPIRY_EVERY_S)
            self._keep(self.queue.expire())
            ends = list(self._unwritten.values())
            if not ends or self._store.read_only:
                continue  # They wait: these rows only say what the queue has done already.
            try:
                await self._write_kept(ends)
            except (VidprefError, OSError) as error:
                logger.warning("%d ends of leases wait for the next try: %s", len(ends), error)

    async def _store_ends(self, assignment_id: str, ends: Sequence[AssignmentEnd]) -> None:
        """Store the ends of a lease; the same request again stores what could not be stored at first."""
        self._keep(ends)
        await self._write_kept([end for key, end in self._unwritten.items() if key[0] == assignment_id])

    def _keep(self, ends: Sequence[AssignmentEnd]) -> None:
        self._unwritten |= {(end.assignment_id, end.reason): end for end in ends}

    async def _write_kept(self, ends: Sequence[AssignmentEnd]) -> None:
        await self._durable(ends)
        for end in ends:
            self._unwritten.pop((end.assignment_id, end.reason), None)

    def view(self, lease: Lease) -> dict[str, object]:
        """Return a lease as `AssignmentView` describes it."""
        assignment = lease.assignment
        return {
            "assignment_id": assignment.assignment_id,
            "prompt": self._content.prompts[lease.pair.prompt_id],
            "category": lease.categories[0] if lease.categories else None,
            "aspects": ASPECTS,
            "outcomes": OUTCOMES,
            "left": self._clip(assignment.left_video_id, assignment.assignment_id, assignment.rater_id),
            "right": self._clip(assignment.right_video_id, assignment.assignment_id, assignment.rater_id),
            "expires_at": utc_text(lease.expires_at),
        }

    def _clip(self, video_id: str, assignment_id: str, rater_id: str) -> dict[str, object]:
        media = self._content.media[video_id]
        token = self._tokens.token_for(
            rater_id=rater_id, assignment_id=assignment_id, video_id=video_id, media_id=media.media_id
        )
        return {
            "url": f"/media/{token}",
            "fps": media.fps,
            "width_px": media.width_px,
            "height_px": media.height_px,
        }

    async def _durable(self, records: Sequence[Record]) -> None:
        if records:
            await asyncio.shield(asyncio.wrap_future(self._store.append(records)))

    async def _known(self, assignment_id: str, rater_id: str, action: Callable[[], T]) -> T:
        """Do something with an assignment, fetching it from the store if the queue has forgotten it.

        It has after a restart, and long after the end; an answer that comes then is still understood.
        """
        try:
            return action()
        except UnknownAssignment:
            assignment = await asyncio.to_thread(find_assignment, self._store, assignment_id)
            if assignment is None or assignment.rater_id != rater_id:
                raise
            history = await asyncio.to_thread(assignment_history, self._store, assignment_id)
            self.queue.remember(assignment, ended=history.ended, judgments=history.judgments)
            return action()


def utc_text(moment: datetime) -> str:
    """Return a naive UTC time as ISO 8601 text ending in Z."""
    return moment.isoformat(timespec="milliseconds") + "Z"


def _progress(progress: Progress) -> dict[str, int]:
    return {
        "done": progress.done,
        "total": progress.total,
        "mine": progress.remaining_for_you,
        "judged_by_me": progress.yours,
    }


def _read(store: Store, only_pairs: Collection[str] | None) -> tuple[_Content, list[QueuePair]]:
    only = None if only_pairs is None else frozenset(only_pairs)
    rows = queue_rows(store)
    video_ids = {video for row in rows for video in (row.pair.video_a_id, row.pair.video_b_id)}
    media = media_of(store, sorted(video_ids))
    shown = [row for row in rows if row.pair.video_a_id in media and row.pair.video_b_id in media]
    if len(shown) < len(rows):
        logger.info("%d of %d pairs lack a clip and are not handed out", len(rows) - len(shown), len(rows))
    prompts = get_prompts(store, sorted({row.pair.prompt_id for row in shown}))
    content = _Content(
        prompts={prompt_id: prompt.text for prompt_id, prompt in prompts.items()},
        media=media,
        categories=set(list_categories(store)),
    )
    return content, [
        _queue_pair(row, withheld=only is not None and row.pair.pair_id not in only) for row in shown
    ]


def _queue_pair(row: QueueRow, *, withheld: bool) -> QueuePair:
    return QueuePair(
        pair=row.pair,
        categories=row.categories,
        done_by=row.valid_by,
        skipped_by=row.skipped_by | (row.judged_by - row.valid_by),
        withheld=withheld,
    )
