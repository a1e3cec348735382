"""The gate before every route: who is asking, may they ask this, and is the request sane.

Plain ASGI, because it runs for every request of the hot path. Log-in, roles per path, cross-site requests,
body sizes and security headers are decided here and nowhere else; which *objects* a user may touch (an
assignment, a media token) is decided by the routes.
"""

import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from app.auth import Sessions, User
from storage.records import Role

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]

USER_KEY = "vidpref.user"
"""Where the gate leaves the `User` in the ASGI scope (None on public paths when nobody is logged in)."""

API_BODY_LIMIT_BYTES = 64 * 1024
BODY_LIMIT_BYTES = 1024 * 1024

_PUBLIC = ("/login", "/logout", "/healthz", "/ui/", "/favicon.ico", "/api/v1/openapi.json")
_ADMIN = "/api/v1/users"
_RESEARCH = ("/browse", "/rounds", "/media/video/")
# Gradio pages have no upload field; its upload route would let anybody fill the disk.
_CLOSED = "/gradio_api/upload"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        # Gradio starts with inline scripts and compiles the templates of its HTML component.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self' data:",
        "connect-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer given instead of calling the route."""

    status: int
    detail: str
    location: str = ""


class Gate:
    """ASGI middleware; puts the `User` into the scope, or answers with an error or a redirect itself."""

    def __init__(self, app: Any, *, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions
        self._cookie = f"{sessions.cookie_name}=".encode()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Check one request and pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # No page uses web sockets; an unanswered handshake is refused by the server.
        headers = dict(scope["headers"])
        user, by_cookie = self._identify(headers)
        scope[USER_KEY] = user
        refusal = self._refusal(scope, headers, user, by_cookie)
        if refusal is not None:
            await _answer(refusal, scope["method"], send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_SECURITY_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _identify(self, headers: dict[bytes, bytes]) -> tuple[User | None, bool]:
        authorization = headers.get(b"authorization")
        if authorization is not None and authorization[:7].lower() == b"bearer ":
            return self._sessions.token_user(authorization[7:].strip().decode("latin-1")), False
        secret = cookie_value(headers.get(b"cookie", b""), self._cookie)
        return (self._sessions.session_user(secret) if secret else None), True

    def _refusal(
        self, scope: Scope, headers: dict[bytes, bytes], user: User | None, by_cookie: bool
    ) -> Refusal | None:
        path, method = scope["path"], scope["method"]
        if method not in _SAFE_METHODS:
            refusal = _body_refusal(path, headers)
            if refusal is not None:
                return refusal
            if by_cookie and _is_cross_site(headers):
                return Refusal(
                    403, "A request from another site was refused. Open the page itself and try again."
                )
        if user is None:
            return None if path.startswith(_PUBLIC) else _login_refusal(scope, headers)
        if path.startswith(_RESEARCH) and not user.sees_names:
            return Refusal(403, f"{path} is for researchers: your account has the role {user.role}.")
        if path.startswith(_ADMIN) and user.role != Role.ADMIN:
            return Refusal(403, f"Accounts are for admins: your account has the role {user.role}.")
        if _CLOSED in path:
            return Refusal(404, "Not found")
        return None


def cookie_value(header: bytes, name_and_equals: bytes) -> str:
    """Return a cookie's value from a Cookie header, or an empty text."""
    for part in header.split(b";"):
        part = part.strip()
        if part.startswith(name_and_equals):
            return part[len(name_and_equals) :].decode("latin-1")
    return ""


def _body_refusal(path: str, headers: dict[bytes, bytes]) -> Refusal | None:
    limit = API_BODY_LIMIT_BYTES if path.startswith(("/api/", "/login")) else BODY_LIMIT_BYTES
    if b"transfer-encoding" in headers:
        return Refusal(411, "Send the body with a Content-Length, not in chunks.")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        return Refusal(400, "The Content-Length is not a number.")
    if int(length) > limit:
        return Refusal(413, f"The body has {int(length)} bytes; at most {limit} are accepted here.")
    return None


def _is_cross_site(headers: dict[bytes, bytes]) -> bool:
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    return origin is not None and urlsplit(origin).netloc != headers.get(b"host", b"")


def _login_refusal(scope: Scope, headers: dict[bytes, bytes]) -> Refusal:
    path = scope["path"]
    if (
        scope["method"] == "GET"
        and not path.startswith("/api/")
        and b"text/html" in headers.get(b"accept", b"")
    ):
        query = scope.get("query_string", b"").decode("latin-1")
        target = quote(path + ("?" + query if query else ""), safe="/")
        return Refusal(303, "", f"/login?next={target}")
    return Refusal(401, "Log in at /login, or send an API token as 'Authorization: Bearer <token>'.")


async def _answer(refusal: Refusal, method: str, send: Any) -> None:
    body = b"" if refusal.location else json.dumps({"detail": refusal.detail}).encode()
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *_SECURITY_HEADERS,
    ]
    if refusal.location:
        headers.append((b"location", refusal.location.encode("latin-1")))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
