"""Opaque names under which an annotator's browser gets the two clips of a pair.

A token is 128 random bits, made per assignment and side, and works for the rater it was made for alone. It
tells nothing about the clip: the same clip has another token each time it is shown.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaGrant:
    """What a token stands for."""

    rater_id: str
    media_id: str
    etag: str
    """Random too: a hash of the file would tell equal clips apart from different ones."""


class MediaTokens:
    """Keeps the newest tokens of each rater in memory, and forgets older ones."""

    def __init__(self, *, per_rater: int = 64) -> None:
        self._per_rater = per_rater
        self._grants: dict[str, MediaGrant] = {}
        self._of_rater: dict[str, OrderedDict[tuple[str, str], str]] = {}

    def token_for(self, *, rater_id: str, assignment_id: str, video_id: str, media_id: str) -> str:
        """Return the token of one clip in one assignment; asked twice, it is the same token."""
        tokens = self._of_rater.setdefault(rater_id, OrderedDict())
        key = (assignment_id, video_id)
        token = tokens.get(key)
        if token is not None:
            tokens.move_to_end(key)
            return token
        token = secrets.token_urlsafe(16)
        tokens[key] = token
        self._grants[token] = MediaGrant(rater_id, media_id, secrets.token_hex(8))
        if len(tokens) > self._per_rater:
            _, oldest = tokens.popitem(last=False)
            del self._grants[oldest]
        return token

    def find(self, token: str, *, rater_id: str) -> MediaGrant | None:
        """Return what the token stands for, or None where it is unknown or another rater's."""
        grant = self._grants.get(token)
        return grant if grant is not None and grant.rater_id == rater_id else None
