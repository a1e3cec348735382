import pytest

from app.login_routes import safe_target


@pytest.mark.parametrize("target", ["/", "/browse/", "/rounds/?category=a b"])
def test_goes_where_it_was_asked_to_when_that_is_on_this_server(target):
    assert safe_target(target) == target


@pytest.mark.parametrize(
    "target",
    [
        "",
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "/\\elsewhere.example",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: x=1",
        "/login?next=/",
    ],
)
def test_goes_to_the_start_when_the_target_is_elsewhere_or_odd(target):
    assert safe_target(target) == "/"
