"""Reading raters, their accounts and their credentials."""

from storage.errors import UnknownName
from storage.reading import Where, fetch
from storage.records import Account, Credential, Rater, RaterKind, utc_now
from storage.store import Store


def list_raters(store: Store, *, kind: RaterKind | None = None) -> list[Rater]:
    """Return raters in the order they were added."""
    return fetch(store, Rater, Where().add("kind = ?", None if kind is None else str(kind)))


def find_rater(store: Store, name: str) -> Rater:
    """Return the rater with this name or id.

    Raises:
        UnknownName: There is none.
    """
    known = list_raters(store)
    for rater in known:
        if name in (rater.name, rater.rater_id):
            return rater
    raise UnknownName("rater", name, [rater.name for rater in known])


def list_accounts(store: Store) -> list[Account]:
    """Return the newest record of each account, disabled ones too."""
    return fetch(store, Account, source="current_account", order="seq, name")


def find_account(store: Store, name: str) -> Account:
    """Return the newest record of the account with this name.

    Raises:
        UnknownName: There is none.
    """
    known = list_accounts(store)
    for account in known:
        if account.name == name:
            return account
    raise UnknownName("account", name, [account.name for account in known])


def list_credentials(store: Store) -> list[Credential]:
    """Return the credentials that hold now: the newest of each hash, without revoked and expired ones."""
    where = Where().add("(expires_at IS NULL OR expires_at > ?)", utc_now()).add("revoked = ?", False)
    return fetch(store, Credential, where, source="current_credential", order="seq, token_hash")
