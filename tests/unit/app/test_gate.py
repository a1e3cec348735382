import asyncio
import json

import pytest

from app.auth import User
from app.gate import API_BODY_LIMIT_BYTES, USER_KEY, Gate, cookie_value
from storage.records import Role

USERS = {
    "of-ann": User(rater_id="1", name="ann", role=Role.ANNOTATOR),
    "of-rita": User(rater_id="2", name="rita", role=Role.RESEARCHER),
}


class FakeSessions:
    cookie_name = "vidpref_0"

    def session_user(self, secret):
        return USERS.get(secret)

    def token_user(self, secret):
        return USERS.get(secret)


class Reply:
    def __init__(self):
        self.status = 0
        self.headers = {}
        self.body = b""
        self.user = "the route was not called"

    @property
    def detail(self):
        return json.loads(self.body)["detail"]


def ask(path, *, method="GET", headers=None):
    """Send one request through the gate to a route that answers 200."""
    reply = Reply()

    async def route(scope, receive, send):
        reply.user = scope[USER_KEY]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"through"})

    async def send(message):
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            reply.body += message["body"]

    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
    }
    asyncio.run(Gate(route, sessions=FakeSessions())(scope, None, send))
    return reply


ANN = {"cookie": "other=1; vidpref_0=of-ann"}
RITA = {"cookie": "vidpref_0=of-rita"}


@pytest.mark.parametrize("path", ["/login", "/login/once/secret", "/healthz", "/ui/site.css"])
def test_lets_anybody_see_public_paths(path):
    assert ask(path).status == 200
    assert ask(path).user is None


@pytest.mark.parametrize("path", ["/", "/api/v1/assignments", "/media/token", "/config", "/gradio_api/info"])
def test_answers_401_when_nobody_is_logged_in(path):
    reply = ask(path)

    assert reply.status == 401
    assert "Log in" in reply.detail
    assert reply.user == "the route was not called"


def test_sends_a_browser_to_the_log_in_page_and_back():
    reply = ask("/browse/", headers={"accept": "text/html,*/*"})

    assert (reply.status, reply.headers["location"]) == (303, "/login?next=/browse/")
    assert ask("/api/v1/me", headers={"accept": "text/html"}).status == 401


@pytest.mark.parametrize(
    "headers", [ANN, {"authorization": "Bearer of-ann"}, {"authorization": "bearer of-ann"}]
)
def test_passes_the_user_on(headers):
    assert ask("/api/v1/me", headers=headers).user.name == "ann"


def test_takes_no_cookie_when_a_token_is_sent():
    assert ask("/api/v1/me", headers={**ANN, "authorization": "Bearer wrong"}).status == 401


@pytest.mark.parametrize(
    "path", ["/browse", "/browse/", "/browse/gradio_api/queue/join", "/rounds/", "/media/video/abc"]
)
def test_keeps_annotators_out_of_what_shows_names(path):
    assert ask(path, headers=ANN).status == 403
    assert ask(path, headers=RITA).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://elsewhere.example", "host": "here:1"}, 403),
        ({"origin": "null", "host": "here:1"}, 403),
        ({"origin": "http://here:1", "host": "here:1"}, 200),
        ({}, 200),
    ],
)
def test_refuses_changes_asked_for_by_another_site(headers, status):
    assert ask("/api/v1/undo", method="POST", headers={**ANN, **headers}).status == status
    assert ask("/login", method="POST", headers=headers).status == status


def test_lets_a_token_be_used_from_anywhere():
    headers = {"authorization": "Bearer of-ann", "sec-fetch-site": "cross-site"}

    assert ask("/api/v1/undo", method="POST", headers=headers).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-length": str(API_BODY_LIMIT_BYTES)}, 200),
        ({"content-length": str(API_BODY_LIMIT_BYTES + 1)}, 413),
        ({"content-length": "-1"}, 400),
        ({"transfer-encoding": "chunked"}, 411),
    ],
)
def test_refuses_bodies_without_a_sane_length(headers, status):
    assert ask("/api/v1/undo", method="POST", headers={**ANN, **headers}).status == status


def test_closes_the_upload_route():
    assert ask("/gradio_api/upload", method="POST", headers=ANN).status == 404


@pytest.mark.parametrize(("path", "headers"), [("/", ANN), ("/", {}), ("/login", {})])
def test_puts_security_headers_on_every_answer(path, headers):
    reply = ask(path, headers=headers)

    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in reply.headers["content-security-policy"]


def test_finds_a_cookie_among_others():
    assert cookie_value(b"a=1;vp=x=y; b=2", b"vp=") == "x=y"
    assert cookie_value(b"xvp=1", b"vp=") == ""
    assert cookie_value(b"", b"vp=") == ""
