from app.pages.clip_grid import ClipCard, comparison_html, grid_html

MARKUP = '<img src=x onerror="alert(1)">'


def test_shows_markup_in_data_as_text():
    card = ClipCard(video_id='a"b', title=MARKUP, notes=(MARKUP,))

    for html in (
        grid_html([card], empty=""),
        comparison_html([(MARKUP, card, card)], empty=""),
        grid_html([], empty=MARKUP),
    ):
        assert "<img" not in html
        assert "&lt;img" in html
    assert 'src="/media/video/a&quot;b"' in grid_html([card], empty="")


def test_says_so_when_there_is_no_clip():
    assert "nothing here" in grid_html([], empty="nothing here")
    assert "nothing here" in comparison_html([], empty="nothing here")
