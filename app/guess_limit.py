"""How often a password may be guessed: per account and address, and per address over all accounts.

A guess is counted before the password is checked and taken back when it was right, so that many guesses sent
at once cannot slip past the limit. While a lock holds, the password is not looked at: even the right one is
refused.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(slots=True)
class _Count:
    guesses: int = 0
    last_s: float = 0.0


class GuessLimit:
    """Counts failed guesses in memory. Not for several threads: the event loop alone calls it."""

    def __init__(
        self,
        *,
        max_per_account: int = 5,
        max_per_address: int = 50,
        lock_s: float = 300.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._max_per_account = max_per_account
        self._max_per_address = max_per_address
        self._lock_s = lock_s
        self._clock = clock
        self._counts: dict[tuple[str, str], _Count] = {}

    def begin(self, *, account: str, address: str) -> float:
        """Count one guess and return 0, or return the seconds until guessing is allowed again."""
        now = self._clock()
        self._forget_old(now)
        keys = (
            ((account.casefold(), address), self._max_per_account),
            (("", address), self._max_per_address),
        )
        for key, limit in keys:
            count = self._counts.get(key)
            if count is not None and count.guesses >= limit:
                return count.last_s + self._lock_s - now
        for key, _ in keys:
            count = self._counts.setdefault(key, _Count())
            count.guesses += 1
            count.last_s = now
        return 0.0

    def succeeded(self, *, account: str, address: str) -> None:
        """Forget the failed guesses for this account: the right password was given."""
        count = self._counts.pop((account.casefold(), address), None)
        total = self._counts.get(("", address))
        if count is not None and total is not None:
            total.guesses -= count.guesses

    def _forget_old(self, now: float) -> None:
        # Entries are few: an address cannot add more than `max_per_address` before it is locked.
        old = [key for key, count in self._counts.items() if now - count.last_s >= self._lock_s]
        for key in old:
            del self._counts[key]
