"""REST API v1: what the annotation page, load tests and remote workers talk to.

Answers are built by hand from memory (`app.votes`), because these routes are the hot path; the models of
`app.schemas` check what comes in and describe what goes out.
"""

import asyncio
import json
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from app.auth import User
from app.gate import USER_KEY
from app.schemas import (
    AssignmentView,
    ErrorAnswer,
    JudgmentsAnswer,
    JudgmentsRequest,
    LeaseAnswer,
    MeAnswer,
    NextRequest,
    ProgressAnswer,
    SkipRequest,
    UndoView,
)
from app.votes import VoteDesk, utc_text
from storage.stats import stats
from storage.store import Store

_ANY_CATEGORY = NextRequest()
_NAMES_IN_STATS = ("by_generator", "by_rater")

_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorAnswer, "description": "Not logged in, or the token is not valid."},
    422: {"model": ErrorAnswer, "description": "The body or a parameter is not what is described here."},
    503: {"model": ErrorAnswer, "description": "Nothing can be stored at the moment; try again later."},
}
_NOT_YOURS: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorAnswer, "description": "No such assignment, or not the caller's."}
}
_ENDED: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorAnswer, "description": "The assignment has ended."}
}


def answer(content: object, *, status: int = 200) -> Response:
    """Return a JSON response that no cache keeps."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(
        body, status_code=status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def api_router(desk: VoteDesk, store: Store) -> APIRouter:
    """Return the routes under `/api/v1`."""
    router = APIRouter(prefix="/api/v1", responses=_ERRORS)
    _add_assignment_routes(router, desk)
    _add_rater_routes(router, desk)
    _add_information_routes(router, store)
    return router


def _add_assignment_routes(router: APIRouter, desk: VoteDesk) -> None:
    @router.post(
        "/assignments",
        status_code=201,
        tags=["annotate"],
        summary="Lease the next pair",
        responses={
            201: {"model": AssignmentView, "description": "A pair, leased to the caller."},
            204: {"description": "Nothing is left for this rater."},
            404: {"model": ErrorAnswer, "description": "No such category; the answer lists those there are."},
        },
    )
    async def next_pair(request: Request, body: NextRequest = _ANY_CATEGORY) -> Response:
        view = await desk.next(_user(request).rater_id, body.category)
        return Response(status_code=204) if view is None else answer(view, status=201)

    @router.put(
        "/assignments/{assignment_id}/judgments",
        tags=["annotate"],
        summary="Judge a pair",
        description="Answered when the judgment is durable. Sent twice, it is stored once; different "
        "answers for the same assignment correct the earlier ones.",
        responses={200: {"model": JudgmentsAnswer, "description": "Stored."}, **_NOT_YOURS},
    )
    async def judge(request: Request, assignment_id: str, body: JudgmentsRequest) -> Response:
        submission = await desk.submit(
            assignment_id,
            _user(request).rater_id,
            {aspect.value: outcome for aspect, outcome in body.answers.items()},
            confidence=body.confidence,
            comment=body.comment,
            evidence=body.evidence,
        )
        return answer(
            {
                "assignment_id": assignment_id,
                "duplicate": submission.duplicate,
                "late": submission.late,
            }
        )

    @router.post(
        "/assignments/{assignment_id}/heartbeat",
        tags=["annotate"],
        summary="Keep a lease alive",
        responses={200: {"model": LeaseAnswer, "description": "The lease runs on."}, **_NOT_YOURS, **_ENDED},
    )
    async def heartbeat(request: Request, assignment_id: str) -> Response:
        expires_at = await desk.heartbeat(assignment_id, _user(request).rater_id)
        return answer({"assignment_id": assignment_id, "expires_at": utc_text(expires_at)})

    @router.post(
        "/assignments/{assignment_id}/skip",
        status_code=204,
        tags=["annotate"],
        summary="Skip a pair, with the reason",
        responses={204: {"description": "This rater never gets the pair again."}, **_NOT_YOURS, **_ENDED},
    )
    async def skip(request: Request, assignment_id: str, body: SkipRequest) -> Response:
        await desk.skip(assignment_id, _user(request).rater_id, body.reason)
        return Response(status_code=204)

    @router.delete(
        "/assignments/{assignment_id}",
        status_code=204,
        tags=["annotate"],
        summary="Give a lease back",
        responses={204: {"description": "The pair can go to anybody."}, **_NOT_YOURS},
    )
    async def give_back(request: Request, assignment_id: str) -> Response:
        await desk.give_back(assignment_id, _user(request).rater_id)
        return Response(status_code=204)


def _add_rater_routes(router: APIRouter, desk: VoteDesk) -> None:
    @router.post(
        "/undo",
        tags=["annotate"],
        summary="Go back to the pair judged last",
        responses={
            200: {"model": UndoView, "description": "The pair with the answers given."},
            404: {"model": ErrorAnswer, "description": "There is no judgment to go back to."},
        },
    )
    async def undo(request: Request) -> Response:
        view = desk.undo(_user(request).rater_id)
        if view is None:
            raise HTTPException(404, "There is no judgment to undo: none was made since the server started.")
        return answer(view)

    @router.get(
        "/progress",
        tags=["annotate"],
        summary="How far the work is",
        responses={
            200: {"model": ProgressAnswer},
            404: {"model": ErrorAnswer, "description": "No such category; the answer lists those there are."},
        },
    )
    async def progress(request: Request, category: str | None = None) -> Response:
        return answer(desk.progress(_user(request).rater_id, category or None))


def _add_information_routes(router: APIRouter, store: Store) -> None:
    @router.get(
        "/me", tags=["information"], summary="Who the caller is", responses={200: {"model": MeAnswer}}
    )
    async def me(request: Request) -> Response:
        user = _user(request)
        return answer({"name": user.name, "role": user.role})

    @router.get(
        "/stats",
        tags=["information"],
        summary="How much there is of everything",
        description="The same as `vidpref stats --format json`. Annotators get it without the names of "
        "generators and raters.",
    )
    async def show_stats(request: Request) -> Response:
        numbers = dict(await asyncio.to_thread(stats, store))
        if not _user(request).sees_names:
            for key in _NAMES_IN_STATS:
                numbers.pop(key, None)
        return answer(numbers)


def _user(request: Request) -> User:
    user: User = request.scope[USER_KEY]  # The gate lets nobody else through.
    return user
