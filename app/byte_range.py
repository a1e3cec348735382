"""The `Range` header of media requests: one range of bytes, or none.

Several ranges in one request are refused rather than joined: players never ask for them, and they make small
requests expensive.
"""

import re
from dataclasses import dataclass

_SINGLE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` up to and including `last`."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes it spans."""
        return self.last - self.first + 1


class RangeRefusedError(Exception):
    """The range lies outside the file, is inverted, or is more than one (HTTP 416)."""


def parse_range(header: str, *, size_bytes: int) -> ByteRange | None:
    """Return the bytes asked for, or None for the whole file (no header, or a unit other than bytes).

    Raises:
        RangeRefusedError: The header asks for something this server does not send.
    """
    if not header.startswith("bytes="):
        return None
    match = _SINGLE.fullmatch(header.replace(" ", ""))
    if match is None:
        raise RangeRefusedError(header)
    first_text, last_text = match.groups()
    if not first_text:
        return _suffix(last_text, header, size_bytes=size_bytes)
    first = int(first_text)
    last = min(int(last_text), size_bytes - 1) if last_text else size_bytes - 1
    if first > last:
        raise RangeRefusedError(header)
    return ByteRange(first, last)


def _suffix(length_text: str, header: str, *, size_bytes: int) -> ByteRange:
    if not length_text or int(length_text) == 0 or size_bytes == 0:
        raise RangeRefusedError(header)
    return ByteRange(max(0, size_bytes - int(length_text)), size_bytes - 1)
