"""Logging in and out: plain HTML pages, outside Gradio."""

from html import escape
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.auth import LoginRefusedError, Sessions
from app.gate import USER_KEY

_PAGE = Template((Path(__file__).parent / "static" / "login.html").read_text(encoding="utf-8"))


def login_router(sessions: Sessions, *, secure_cookies: bool) -> APIRouter:
    """Return the log-in, one-time log-in and log-out routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    async def show(request: Request) -> Response:
        target = safe_target(request.query_params.get("next", ""))
        if request.scope[USER_KEY] is not None:
            return RedirectResponse(target, status_code=303)
        return _page(target=target)

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        name, target = _field(form, "name").strip(), safe_target(_field(form, "next"))
        address = request.client.host if request.client is not None else ""
        try:
            secret = await sessions.log_in(name=name, password=_field(form, "password"), address=address)
        except LoginRefusedError as error:
            return _page(target=target, name=name, error=error)
        return _logged_in(request, sessions, secret, target=target, secure_cookies=secure_cookies)

    @router.get("/login/once/{link_secret}")
    async def log_in_once(request: Request, link_secret: str) -> Response:
        try:
            secret = await sessions.log_in_once(link_secret)
        except LoginRefusedError as error:
            if request.scope[USER_KEY] is not None:  # The link was clicked a second time.
                return RedirectResponse("/", status_code=303)
            return _page(target="/", error=error)
        return _logged_in(request, sessions, secret, target="/", secure_cookies=secure_cookies)

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        await sessions.log_out(request.cookies.get(sessions.cookie_name, ""))
        response = RedirectResponse("/login", status_code=303)
        response.delete_cookie(sessions.cookie_name, httponly=True, samesite="lax")
        return response

    return router


def safe_target(target: str) -> str:
    """Return where to go after logging in: the path asked for if it lies on this server, else the start."""
    starts_here = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if starts_here and target.isprintable() and not target.startswith("/login") else "/"


def _field(form: dict[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]


def _page(*, target: str, name: str = "", error: LoginRefusedError | None = None) -> Response:
    message = "" if error is None else f'<p class="vp-error" role="alert">{escape(str(error))}</p>'
    html = _PAGE.substitute(
        message=message,
        next=escape(target),
        name=escape(name),
        focus_name="" if name else "autofocus",
        focus_password="autofocus" if name else "",
    )
    headers = {"Cache-Control": "no-store"}
    if error is None:
        return HTMLResponse(html, headers=headers)
    if error.retry_after_s > 0:
        headers["Retry-After"] = str(error.retry_after_s)
    return HTMLResponse(html, status_code=429 if error.retry_after_s > 0 else 401, headers=headers)


def _logged_in(
    request: Request, sessions: Sessions, secret: str, *, target: str, secure_cookies: bool
) -> Response:
    response = RedirectResponse(target, status_code=303)
    response.set_cookie(
        sessions.cookie_name,
        secret,
        max_age=int(sessions.lifetime.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=secure_cookies or request.url.scheme == "https",
    )
    return response
