import re

import pytest

from app.pages.line_chart import BOTTOM, HEIGHT, LEFT, MAX_POINTS, RIGHT, TOP, WIDTH, chart_html, thinned


def places(html):
    return [
        [tuple(map(float, place.split(","))) for place in points.split()]
        for points in re.findall(r'points="([^"]*)"', html)
    ]


def test_draws_corners_of_the_plot_when_a_line_spans_both_axes():
    (line,) = places(chart_html("Loss", {"loss": [(0, 1.0), (10, 3.0)]}))

    assert line == [(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, TOP)]


def test_puts_a_flat_line_in_the_middle():
    (line,) = places(chart_html("Loss", {"loss": [(0, 2.0), (10, 2.0)]}))

    middle = (TOP + HEIGHT - BOTTOM) / 2
    assert [y for _, y in line] == pytest.approx([middle, middle])


def test_leaves_out_values_that_are_not_finite():
    (line,) = places(chart_html("Loss", {"loss": [(0, 1.0), (1, float("nan")), (2, float("inf")), (3, 2.0)]}))

    assert len(line) == 2


def test_says_so_when_nothing_was_measured():
    assert "Nothing was measured" in chart_html("Loss", {"loss": [(0, float("nan"))]})


def test_escapes_names():
    html = chart_html("<b>Loss</b>", {"<i>x</i>": [(0, 1.0)]})

    assert "<b>" not in html
    assert "<i>x" not in html


def test_thins_long_lines_to_means_and_keeps_their_mean():
    points = [(float(x), float(x % 7)) for x in range(5 * MAX_POINTS)]
    few = thinned(points)

    assert len(few) == MAX_POINTS
    assert sum(y for _, y in few) / len(few) == pytest.approx(sum(y for _, y in points) / len(points))
