"""Progress of long work: library code reports through a callback, only commands draw bars."""

from collections.abc import Callable
from typing import Protocol

from tqdm import tqdm

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how many are done, how many in all)."""


def no_progress(label: str, done: int, total: int) -> None:
    """Report nothing."""


class _Bar(Protocol):
    n: int

    def update(self, n: int) -> object: ...
    def close(self) -> None: ...


class TerminalProgress:
    """Draws one tqdm bar per label on standard error; quiet where that is not a terminal."""

    def __init__(self) -> None:
        self._label = ""
        self._bar: _Bar | None = None

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show `done` of `total` for `label`; a new label closes the bar before it."""
        if self._bar is None or label != self._label:
            self.close()
            self._label = label
            self._bar = tqdm(total=total, desc=label, disable=None, leave=True)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.close()

    def close(self) -> None:
        """End the bar being drawn, if any."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None
