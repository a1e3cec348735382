"""Accounts over REST, for admins: while a workspace is served, `vidpref users` cannot open it."""

import asyncio
from typing import Any

from fastapi import APIRouter, HTTPException

from app.accounts import NewSecret, add_user, new_secret
from app.auth import Sessions
from app.schemas import ErrorAnswer, NewUser, SecretAnswer, UserAnswer
from app.votes import utc_text
from storage.raters import list_accounts
from storage.store import Store

_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorAnswer, "description": "Not logged in, or the token is not valid."},
    403: {"model": ErrorAnswer, "description": "Not an admin."},
    404: {"model": ErrorAnswer, "description": "No such account; the answer lists those there are."},
    422: {"model": ErrorAnswer, "description": "The name, role or password is not acceptable."},
}


def admin_router(store: Store, sessions: Sessions) -> APIRouter:
    """Return the routes under `/api/v1/users`. The gate lets admins alone through."""
    router = APIRouter(prefix="/api/v1/users", tags=["accounts"], responses=_ERRORS)

    @router.get("", summary="List the accounts")
    async def list_users() -> list[UserAnswer]:
        accounts = await asyncio.to_thread(list_accounts, store)
        return [UserAnswer(name=one.name, role=one.role, disabled=one.disabled) for one in accounts]

    @router.post("", status_code=201, summary="Add an account, or give one a new role and password")
    async def add(body: NewUser) -> UserAnswer:
        try:
            account = await asyncio.to_thread(add_user, store, body.name, body.role, body.password)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        sessions.add_account(account)
        return UserAnswer(name=account.name, role=account.role, disabled=account.disabled)

    @router.post("/{name}/tokens", status_code=201, summary="Make an API token")
    async def token(name: str) -> SecretAnswer:
        return _told(sessions, await asyncio.to_thread(new_secret, store, name, kind="token"))

    @router.post("/{name}/one-time-logins", status_code=201, summary="Make a log-in link that works once")
    async def one_time_login(name: str) -> SecretAnswer:
        return _told(sessions, await asyncio.to_thread(new_secret, store, name, kind="one_time"))

    return router


def _told(sessions: Sessions, made: NewSecret) -> SecretAnswer:
    sessions.add_credential(made.credential)
    expires_at = made.credential.expires_at
    return SecretAnswer(secret=made.secret, expires_at=None if expires_at is None else utc_text(expires_at))
