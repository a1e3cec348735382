"""Clips in a page, as HTML. Every text that comes from data is escaped here."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipCard:
    """One clip with what is written below it."""

    video_id: str
    title: str
    """The prompt, or a side's name."""
    notes: tuple[str, ...] = ()
    """Short facts: generator, seed, scores."""


def clip_html(card: ClipCard) -> str:
    """Return one clip, playing without end and without sound."""
    notes = "".join(f"<span>{escape(note)}</span>" for note in card.notes)
    return (
        '<figure class="vp-card">'
        f'<video src="/media/video/{escape(card.video_id)}" aria-label="{escape(card.title)}" '
        "autoplay muted loop playsinline controls preload=auto></video>"
        f'<figcaption><p>{escape(card.title)}</p><div class="vp-notes">{notes}</div></figcaption>'
        "</figure>"
    )


def grid_html(cards: Sequence[ClipCard], *, empty: str) -> str:
    """Return clips in as many columns as fit, or a line saying that there are none."""
    if not cards:
        return f'<p class="vp-none">{escape(empty)}</p>'
    return f'<div class="vp-grid">{"".join(map(clip_html, cards))}</div>'


def comparison_html(rows: Sequence[tuple[str, ClipCard, ClipCard]], *, empty: str) -> str:
    """Return rows of a heading and two clips side by side."""
    if not rows:
        return f'<p class="vp-none">{escape(empty)}</p>'
    parts = [
        f'<section class="vp-compare"><h3>{escape(heading)}</h3>'
        f'<div class="vp-two">{clip_html(before)}{clip_html(after)}</div></section>'
        for heading, before, after in rows
    ]
    return f'<div class="vp-comparisons">{"".join(parts)}</div>'
