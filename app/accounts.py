"""Accounts, API tokens and one-time log-in links, as the command line makes them.

Secrets are 256 random bits, given out once; the store keeps their SHA-256 alone.
"""

import hashlib
import re
import secrets
from datetime import timedelta
from typing import Literal, NamedTuple

from app.passwords import hash_password
from storage.raters import find_account, list_raters
from storage.records import Account, Credential, Rater, RaterKind, Record, Role, record_id, utc_now
from storage.store import Store

ONE_TIME_LOGIN_HOURS = 24
_LIFETIMES = {"token": None, "one_time": timedelta(hours=ONE_TIME_LOGIN_HOURS)}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


class NewSecret(NamedTuple):
    """A secret, which is told once, and what is stored of it."""

    secret: str
    credential: Credential


def secret_hash(secret: str) -> str:
    """Return what the store keeps of a session cookie, API token or one-time log-in."""
    return hashlib.sha256(secret.encode()).hexdigest()


def add_user(store: Store, name: str, role: Role | str, password: str | None) -> Account:
    """Add an account and its rater; an account of that name gets the new role and password instead.

    Args:
        store: The open workspace.
        name: What the person logs in with.
        role: `annotator`, `researcher` or `admin`.
        password: None for an account that only uses tokens and one-time links.

    Raises:
        ValueError: The name, role or password is not acceptable; nothing was written.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"The user name {name!r} was refused: use 1 to 64 letters, digits or . _ @ + -, "
            "starting with a letter or digit."
        )
    if role not in list(Role):
        raise ValueError(f"There is no role {str(role)!r}: choose one of {', '.join(Role)}.")
    if any(rater.name == name for rater in list_raters(store, kind=RaterKind.MODEL)):
        raise ValueError(f"{name!r} is the name of a model that rates: choose another name.")
    rater_id = record_id("rater", name)
    account = Account(
        rater_id=rater_id,
        name=name,
        role=Role(role),
        password_hash=hash_password(password) if password is not None else "",
    )
    records: list[Record] = [Rater(rater_id=rater_id, name=name, kind=RaterKind.HUMAN), account]
    store.write(records)
    return account


def create_token(store: Store, name: str) -> str:
    """Return a new API token of an account, for `Authorization: Bearer`. It does not expire.

    Raises:
        UnknownName: There is no such account.
    """
    return new_secret(store, name, kind="token").secret


def create_one_time_login(store: Store, name: str) -> str:
    """Return a secret that logs an account in once, at `/login/once/<secret>`, within a day.

    Raises:
        UnknownName: There is no such account.
    """
    return new_secret(store, name, kind="one_time").secret


def new_secret(store: Store, name: str, *, kind: Literal["token", "one_time"]) -> NewSecret:
    """Write a new credential of an account: an API token, or a log-in link that works once within a day.

    Raises:
        UnknownName: There is no such account.
    """
    account = find_account(store, name)
    secret = secrets.token_urlsafe(32)
    lifetime = _LIFETIMES[kind]
    credential = Credential(
        token_hash=secret_hash(secret),
        rater_id=account.rater_id,
        kind=kind,
        expires_at=None if lifetime is None else utc_now() + lifetime,
    )
    store.write([credential])
    return NewSecret(secret, credential)
