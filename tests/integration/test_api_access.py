"""Who may do what: log-in, guessing, roles, other people's things."""

import re

import pytest

from app.accounts import add_user, create_one_time_login, create_token
from app.auth import Sessions
from app.config import ServerConfig
from storage.errors import UnknownName
from storage.raters import find_account
from storage.records import Rater, RaterKind, Role, record_id
from storage.store import Store
from storage.workspace import Workspace
from tests.served_workspace import PASSWORD


def log_in(client, name="ann", password=PASSWORD, **more):
    return client.post("/login", data={"name": name, "password": password, **more})


def test_logs_in_with_a_cookie_that_scripts_cannot_read(served):
    browser = served.client()
    response = log_in(browser, next="/browse/")

    assert (response.status_code, response.headers["location"]) == (303, "/browse/")
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert browser.get("/api/v1/me").json() == {"name": "ann", "role": "annotator"}


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_refuses_a_wrong_name_or_password_with_the_same_words(served, name, password):
    response = log_in(served.client(), name, password)

    assert response.status_code == 401
    assert "The name or the password is wrong." in response.text
    assert "set-cookie" not in response.headers


def test_refuses_even_the_right_password_after_many_guesses(served):
    browser = served.client()
    codes = [log_in(browser, password=f"guess {number}").status_code for number in range(20)]

    assert codes == [401] * 5 + [429] * 15
    locked = log_in(browser)
    assert locked.status_code == 429
    assert 0 < int(locked.headers["retry-after"]) <= 300
    assert "Too many failed log-ins" in locked.text
    assert log_in(browser, "bob").status_code == 303


def test_shows_a_name_with_markup_as_text(served):
    response = log_in(served.client(), "<script>alert(1)</script>", "wrong")

    assert "<script>alert" not in response.text
    assert "&lt;script&gt;" in response.text


def test_forgets_the_session_after_logging_out(served):
    browser = served.client()
    log_in(browser)
    (cookie,) = browser.cookies.items()

    assert browser.post("/logout").headers["location"] == "/login"

    thief = served.client()
    thief.cookies.set(*cookie)
    assert thief.get("/api/v1/me").status_code == 401


def test_knows_a_session_after_a_restart_and_takes_it_for_no_token(served):
    browser = served.client()
    log_in(browser)
    (secret,) = browser.cookies.values()

    assert Sessions(served.store, config=ServerConfig()).session_user(secret).name == "ann"
    assert Sessions(served.store, config=ServerConfig()).token_user(secret) is None


def test_ends_a_session_when_its_time_is_over(serve, workspace_copy):
    served = serve(workspace_copy, config=ServerConfig(port=0, session_hours=1e-6))
    browser = served.client()
    log_in(browser)

    assert browser.get("/api/v1/me").status_code == 401


def test_uses_a_one_time_link_up(serve, workspace_copy):
    with Store.open(workspace_copy.root) as store:
        secret = create_one_time_login(store, "adam")
    served = serve(workspace_copy)
    browser, second = served.client(), served.client()

    assert browser.get(f"/login/once/{secret}").headers["location"] == "/"
    assert browser.get("/api/v1/me").json()["role"] == "admin"
    assert second.get(f"/login/once/{secret}").status_code == 401
    assert second.get("/api/v1/me").status_code == 401
    assert browser.get(f"/login/once/{secret}").status_code == 303  # Clicked again by the one it let in.


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "judgments"), ("POST", "heartbeat"), ("POST", "skip"), ("DELETE", "")],
)
def test_knows_nothing_of_an_assignment_for_anybody_but_its_rater(served, ann, bob, method, path):
    assignment_id = ann.next().json()["assignment_id"]
    bodies = {"judgments": {"answers": {"overall": "left"}}, "skip": {"reason": "x"}}

    def ask(which):
        url = f"/api/v1/assignments/{which}/{path}".rstrip("/")
        response = bob.request(method, url, json=bodies.get(path))
        return response.status_code, response.json()["detail"].replace(which, "ID")

    assert ask(assignment_id) == ask("0" * 32)
    assert ask(assignment_id)[0] == 404
    assert ann.vote(assignment_id).status_code == 200


def test_keeps_media_tokens_to_their_rater(served, ann, bob):
    url = ann.next().json()["left"]["url"]

    assert ann.get(url).status_code == 200
    assert bob.get(url).status_code == 404
    assert served.client().get(url).status_code == 401
    assert served.client("adam").get(url).status_code == 404
    assert bob.get(url).json() == bob.get("/media/unknown").json()


def test_has_no_account_and_no_way_to_make_one_in_a_new_workspace(tmp_path):
    Workspace.create(tmp_path / "w")
    with Store.open(tmp_path / "w") as store:
        with pytest.raises(UnknownName):
            create_token(store, "admin")
        add_user(store, "worker", Role.ANNOTATOR, None)
        assert find_account(store, "worker").password_hash == ""


@pytest.mark.parametrize(
    ("name", "role", "password", "words"),
    [
        ("", "annotator", PASSWORD, "user name ''"),
        ("a b", "annotator", PASSWORD, "'a b'"),
        ("../x", "annotator", PASSWORD, "letters, digits"),
        ("ann", "king", PASSWORD, "annotator, researcher, admin"),
        ("ann", "annotator", "short", "at least 8"),
        ("builtin", "annotator", PASSWORD, "name of a model"),
    ],
)
def test_refuses_an_account_and_writes_nothing(tmp_path, name, role, password, words):
    Workspace.create(tmp_path / "w")
    with Store.open(tmp_path / "w") as store:
        store.write([Rater(rater_id=record_id("rater", "builtin"), name="builtin", kind=RaterKind.MODEL)])
        with pytest.raises(ValueError, match=re.escape(words)):
            add_user(store, name, role, password)
        with pytest.raises(UnknownName):
            find_account(store, name)


def test_gives_an_account_a_new_role_and_password_when_added_again(tmp_path):
    Workspace.create(tmp_path / "w")
    with Store.open(tmp_path / "w") as store:
        add_user(store, "ann", Role.ANNOTATOR, PASSWORD)
        add_user(store, "ann", Role.ADMIN, "another password")
        account = find_account(store, "ann")

    assert account.role == Role.ADMIN
