"""The served app: API, media, log-in and the Gradio pages behind one gate."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from annotation.errors import AnnotationError, InvalidAnswer, LeaseEnded, UnknownAssignment
from app.admin_api import admin_router
from app.api import answer, api_router
from app.auth import Sessions
from app.config import ServerConfig
from app.gate import Gate
from app.login_routes import login_router
from app.media_routes import media_router
from app.media_tokens import MediaTokens
from app.schemas import HealthAnswer
from app.votes import VoteDesk
from storage.errors import ReadOnlyStore, RecordRefused, StoreClosed, StoreFailed, UnknownName, VidprefError
from storage.store import Store

logger = logging.getLogger(__name__)

STATIC_DIR = Path(__file__).parent / "static"
RETRY_AFTER_S = 15

_STATUS: dict[type[Exception], int] = {
    UnknownAssignment: 404,
    UnknownName: 404,
    LeaseEnded: 409,
    InvalidAnswer: 422,
    RecordRefused: 422,
    ReadOnlyStore: 503,
    StoreFailed: 503,
    StoreClosed: 503,
}


class PageFiles(StaticFiles):
    """Scripts and styles, asked about anew each time: a page never mixes two versions of them."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """Return the file, or 304 where the browser has it."""
        response: Response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response


def create_app(
    store: Store,
    config: ServerConfig,
    *,
    with_pages: bool = True,
    only_pairs: Collection[str] | None = None,
) -> FastAPI:
    """Return the application for an open store.

    It reads accounts and open work at once and keeps them in memory.

    Args:
        store: The open workspace.
        config: How to serve it.
        with_pages: False for the API alone, as for remote workers: it starts faster.
        only_pairs: Ids of the pairs to hand out; None: all that are open.

    `app.state` holds `sessions` and `desk`, for whoever shares the store with the server.
    """
    sessions = Sessions(store, config=config)
    tokens = MediaTokens()
    desk = VoteDesk(store, tokens=tokens, lease_s=60 * config.lease_minutes, only_pairs=only_pairs)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        expiry = asyncio.create_task(desk.expire_forever())
        expiry.add_done_callback(_report_end)
        try:
            yield
        finally:
            expiry.cancel()
            sessions.close()

    app = FastAPI(
        title="vidpref",
        version="1",
        summary="Pairs of text-to-video clips to judge, and what was judged.",
        description="Log in with a session cookie, or send `Authorization: Bearer <token>` "
        "(`vidpref users token NAME`). Every error is `{detail}`.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # These pages load scripts from other hosts.
        redoc_url=None,
        strict_content_type=False,  # The gate keeps other sites out; a plain `curl -d` may come in.
        lifespan=lifespan,
    )
    app.state.sessions = sessions
    app.state.desk = desk
    _add_error_answers(app)
    app.include_router(api_router(desk, store))
    app.include_router(admin_router(store, sessions))
    app.include_router(media_router(store, tokens))
    app.include_router(login_router(sessions, secure_cookies=config.secure_cookies))
    _add_plain_routes(app, store)
    if with_pages:
        # Gradio takes seconds to import; a server without pages does without it.
        from app.pages.mount import mount_pages  # noqa: PLC0415

        mount_pages(app, store)
    app.add_middleware(Gate, sessions=sessions)
    return app


def _add_plain_routes(app: FastAPI, store: Store) -> None:
    @app.get("/healthz", tags=["information"], summary="Whether the store can be written and read")
    async def healthz() -> HealthAnswer:
        await asyncio.to_thread(store.check)
        if store.read_only:
            raise ReadOnlyStore(store.read_only)
        return HealthAnswer(status="ok")

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> FileResponse:
        return FileResponse(STATIC_DIR / "mark.svg", media_type="image/svg+xml")

    @app.api_route(
        "/api/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH"], include_in_schema=False
    )
    async def unknown_route(path: str) -> Response:
        raise HTTPException(404, f"There is no /api/{path}; see /api/v1/openapi.json for what there is.")

    app.mount("/ui", PageFiles(directory=STATIC_DIR))


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return answer({"detail": validation_text(error)}, status=422)

    async def known(_: Request, error: Exception) -> Response:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
        if status == 500:
            logger.error("A request failed: %s", error)
        response = answer({"detail": str(error)}, status=status)
        if status == 503:
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response

    app.add_exception_handler(VidprefError, known)
    app.add_exception_handler(AnnotationError, known)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> Response:
        number = secrets.token_hex(4)
        logger.error("Error %s in %s %s", number, request.method, request.url.path)
        return answer(
            {"detail": f"The server failed; its log has the cause under error {number}."}, status=500
        )


def validation_text(error: RequestValidationError) -> str:
    """Return what is wrong with a request in one line: where, why, and the value given."""
    problems = []
    for problem in error.errors()[:5]:
        where = ".".join(str(part) for part in problem["loc"])
        given = repr(problem["input"])
        shown = given if len(given) <= 80 else given[:77] + "..."
        problems.append(f"{where}: {problem['msg']} (given: {shown})")
    return "; ".join(problems)


def _report_end(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("Leases no longer expire: restart the server", exc_info=task.exception())
