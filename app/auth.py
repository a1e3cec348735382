"""Who is asking: sessions (cookie), API tokens (bearer) and one-time log-ins, held in memory.

Accounts and credentials are read once, at start; after that a request costs one dictionary look-up. Every
change is written to the store before it is answered. A cookie and a token are both 256 random bits of which
only the SHA-256 is kept.
"""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.accounts import secret_hash
from app.config import ServerConfig
from app.guess_limit import GuessLimit
from app.passwords import password_matches
from storage.raters import list_accounts, list_credentials
from storage.records import Account, Credential, Role, record_id, utc_now
from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The person (or worker) behind a request."""

    rater_id: str
    name: str
    role: Role

    @property
    def sees_names(self) -> bool:
        """Whether this user may see which generator made a clip, and other people's results."""
        return self.role in (Role.RESEARCHER, Role.ADMIN)


class LoginRefusedError(Exception):
    """The name or the password is wrong, or guessing is locked: `retry_after_s` is above 0 then."""

    def __init__(self, message: str, *, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Sessions:
    """The accounts and live credentials of one workspace."""

    def __init__(self, store: Store, *, config: ServerConfig) -> None:
        self._store = store
        self._limit = GuessLimit(
            max_per_account=config.max_login_failures, lock_s=60 * config.lockout_minutes
        )
        self.lifetime = timedelta(hours=config.session_hours)
        """Of a session, from log-in."""
        # One password check takes 64 MiB and some 50 ms of a core: never more than one at a time.
        self._checker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")
        self._accounts = {account.rater_id: account for account in list_accounts(store)}
        self._credentials = {credential.token_hash: credential for credential in list_credentials(store)}
        self.cookie_name = f"vidpref_{record_id('cookie', store.workspace.root.resolve())[:8]}"
        """Differs per workspace: cookies do not know ports, and two workspaces may be served on one host."""

    def add_account(self, account: Account) -> None:
        """Take in an account that was just written."""
        self._accounts[account.rater_id] = account

    def add_credential(self, credential: Credential) -> None:
        """Take in a credential that was just written."""
        self._credentials[credential.token_hash] = credential

    def session_user(self, secret: str) -> User | None:
        """Return whose session cookie this is, or None."""
        return self._user_of(secret, kind="session")

    def token_user(self, secret: str) -> User | None:
        """Return whose API token this is, or None."""
        return self._user_of(secret, kind="token")

    def _user_of(self, secret: str, *, kind: str) -> User | None:
        credential = self._credentials.get(secret_hash(secret))
        if credential is None or credential.kind != kind or _is_over(credential, utc_now()):
            return None
        account = self._accounts.get(credential.rater_id)
        if account is None or account.disabled:
            return None
        return User(rater_id=account.rater_id, name=account.name, role=account.role)

    async def log_in(self, *, name: str, password: str, address: str) -> str:
        """Check a password and return the secret of a new session.

        Raises:
            LoginRefusedError: Wrong name or password, or too many guesses from this address.
        """
        wait_s = self._limit.begin(account=name, address=address)
        if wait_s > 0:
            minutes = max(1, round(wait_s / 60))
            raise LoginRefusedError(
                f"Too many failed log-ins. Try again in about {minutes} minute{'s' if minutes > 1 else ''}.",
                retry_after_s=int(wait_s) + 1,
            )
        account = next((one for one in self._accounts.values() if one.name == name), None)
        password_hash = account.password_hash if account is not None and not account.disabled else ""
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(self._checker, password_matches, password_hash, password)
        if not right or account is None:
            raise LoginRefusedError("The name or the password is wrong.")
        self._limit.succeeded(account=name, address=address)
        return await self._start(account.rater_id)

    async def log_in_once(self, secret: str) -> str:
        """Use up a one-time log-in and return the secret of a new session.

        Raises:
            LoginRefusedError: It was used before, has expired or never existed.
        """
        user = self._user_of(secret, kind="one_time")
        if user is None:
            raise LoginRefusedError(
                "This log-in link was used before or has expired. "
                "Ask for a new one, or log in with your password."
            )
        # Taken out before the first await: of two clicks at once, one gets in.
        await self._revoke(secret)
        return await self._start(user.rater_id)

    async def log_out(self, secret: str) -> None:
        """End a session; an unknown one is ignored."""
        if self.session_user(secret) is not None:
            await self._revoke(secret)

    def close(self) -> None:
        """Stop the password thread."""
        self._checker.shutdown(wait=False, cancel_futures=True)

    async def _start(self, rater_id: str) -> str:
        secret = secrets.token_urlsafe(32)
        credential = Credential(
            token_hash=secret_hash(secret),
            rater_id=rater_id,
            kind="session",
            expires_at=utc_now() + self.lifetime,
        )
        await asyncio.wrap_future(self._store.append([credential]))
        self._credentials[credential.token_hash] = credential
        return secret

    async def _revoke(self, secret: str) -> None:
        credential = self._credentials.pop(secret_hash(secret))
        revoked = Credential(
            token_hash=credential.token_hash,
            rater_id=credential.rater_id,
            kind=credential.kind,
            expires_at=credential.expires_at,
            revoked=True,
        )
        await asyncio.wrap_future(self._store.append([revoked]))


def _is_over(credential: Credential, now: datetime) -> bool:
    return credential.revoked or (credential.expires_at is not None and credential.expires_at <= now)
