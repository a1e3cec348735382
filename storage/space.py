"""The free-space floor below which nothing is written."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

_RECHECK_S = 1.0


def free_bytes(folder: Path) -> int:
    """Return how many bytes the disk of `folder` has left for us."""
    return shutil.disk_usage(folder).free


class SpaceGuard:
    """Says whether writing is allowed; asks the disk at most once a second."""

    def __init__(
        self,
        folder: Path,
        *,
        min_free_bytes: int,
        probe: Callable[[Path], int] = free_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self._probe = probe
        self._clock = clock
        self._lock = threading.Lock()
        self._checked_at = float("-inf")
        self._refusal: str | None = None

    def refusal(self) -> str | None:
        """Return why nothing may be written now, or None when it may."""
        with self._lock:
            now = self._clock()
            if now - self._checked_at >= _RECHECK_S:
                self._checked_at = now
                self._refusal = self._ask()
            return self._refusal

    def _ask(self) -> str | None:
        free = self._probe(self._folder)
        if free >= self._min_free_bytes:
            return None
        return (
            f"the disk of {self._folder} has {free >> 20} MiB free and {self._min_free_bytes >> 20} MiB are "
            "kept as a reserve: nothing is written until space is freed; what was acknowledged is safe"
        )
