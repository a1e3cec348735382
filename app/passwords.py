"""Password hashes: Argon2id with the library's defaults (RFC 9106, low-memory profile)."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

MIN_LENGTH = 8
MAX_LENGTH = 1024

_hasher = PasswordHasher()

# Checked in place of a missing account's hash, so that an unknown name takes as long to refuse as a wrong
# password.
_NOBODY = _hasher.hash("an account that does not exist")


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password.

    Raises:
        ValueError: It is shorter than `MIN_LENGTH` or longer than `MAX_LENGTH` characters.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(
            f"A password of {len(password)} characters was refused: "
            f"use at least {MIN_LENGTH} and at most {MAX_LENGTH}."
        )
    return _hasher.hash(password)


def password_matches(password_hash: str, password: str) -> bool:
    """Say whether the password is the one hashed. An empty hash matches nothing, after as long a time."""
    if len(password) > MAX_LENGTH:
        return False
    try:
        return _hasher.verify(password_hash or _NOBODY, password) and bool(password_hash)
    except (VerifyMismatchError, InvalidHashError):
        return False
