"""Small line charts as SVG: drawn on the server, with the page's own colours, for light and dark alike."""

from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite

WIDTH, HEIGHT = 440, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 28
MAX_POINTS = 400
COLORS = ("var(--vp-a)", "var(--vp-b)", "var(--vp-good)", "var(--vp-bad)")

Points = Sequence[tuple[float, float]]


def chart_html(title: str, lines: Mapping[str, Points], *, x_name: str = "step") -> str:
    """Return a chart of named lines of (x, y) points. Values that are not finite are left out.

    A chart without any point says so instead of showing empty axes.
    """
    clean = {
        name: thinned([p for p in points if isfinite(p[0]) and isfinite(p[1])])
        for name, points in lines.items()
    }
    clean = {name: points for name, points in clean.items() if points}
    heading = f"<figcaption>{escape(title)}</figcaption>"
    if not clean:
        return f'<figure class="vp-chart">{heading}<p class="vp-none">Nothing was measured.</p></figure>'
    x_low, x_high = _limits([x for points in clean.values() for x, _ in points])
    y_low, y_high = _limits([y for points in clean.values() for _, y in points])

    def place(x: float, y: float) -> str:
        across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f},{down:.1f}"

    drawn = [
        f'<polyline fill="none" stroke="{COLORS[number % len(COLORS)]}" stroke-width="1.8" '
        f'points="{" ".join(place(x, y) for x, y in points)}"/>'
        for number, points in enumerate(clean.values())
    ]
    legend = "".join(
        f'<li><i style="background:{COLORS[number % len(COLORS)]}"></i>{escape(name)}</li>'
        for number, name in enumerate(clean)
    )
    return (
        f'<figure class="vp-chart">{heading}'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{_axes((x_low, x_high), (y_low, y_high), x_name)}{''.join(drawn)}</svg>"
        f"<ul>{legend}</ul></figure>"
    )


def thinned(points: Points) -> Points:
    """Return at most `MAX_POINTS` of the points: means of equal groups."""
    if len(points) <= MAX_POINTS:
        return points
    size = -(-len(points) // MAX_POINTS)
    groups = [points[first : first + size] for first in range(0, len(points), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups
    ]


def _limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    # A flat line lies in the middle.
    margin = 0.0 if high > low else abs(low) * 0.1 or 1.0
    return low - margin, high + margin


def _axes(x: tuple[float, float], y: tuple[float, float], x_name: str) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    texts = [
        (LEFT - 6, bottom, "end", f"{y[0]:.3g}"),
        (LEFT - 6, TOP + 8, "end", f"{y[1]:.3g}"),
        (LEFT, HEIGHT - 10, "start", f"{x[0]:.4g}"),
        (right, HEIGHT - 10, "end", f"{x[1]:.4g}"),
        ((LEFT + right) / 2, HEIGHT - 10, "middle", x_name),
    ]
    labels = "".join(
        f'<text x="{across:.0f}" y="{down:.0f}" text-anchor="{anchor}">{escape(text)}</text>'
        for across, down, anchor, text in texts
    )
    return f'<path d="M{LEFT},{TOP}V{bottom}H{right}" class="vp-axis"/>{labels}'
