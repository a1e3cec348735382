"""Accounts made while the workspace is served."""

import pytest

from storage.raters import find_account


@pytest.fixture
def admin(served):
    return served.client("adam")


def test_lets_a_new_account_log_in_at_once(served, admin):
    made = admin.post("/api/v1/users", json={"name": "zoe", "password": "a fine password"})

    assert (made.status_code, made.json()) == (201, {"name": "zoe", "role": "annotator", "disabled": False})
    browser = served.client()
    browser.post("/login", data={"name": "zoe", "password": "a fine password"})
    assert browser.get("/api/v1/me").json()["name"] == "zoe"
    assert find_account(served.store, "zoe").password_hash.startswith("$argon2id$")


def test_makes_tokens_and_links_that_work_at_once(served, admin):
    admin.post("/api/v1/users", json={"name": "worker", "role": "researcher"})
    token = admin.post("/api/v1/users/worker/tokens").json()
    link = admin.post("/api/v1/users/worker/one-time-logins").json()

    headers = {"Authorization": f"Bearer {token['secret']}"}
    assert served.client().get("/api/v1/me", headers=headers).json()["role"] == "researcher"
    assert token["expires_at"] is None
    browser = served.client()
    assert browser.get(f"/login/once/{link['secret']}").status_code == 303
    assert browser.get("/api/v1/me").json()["name"] == "worker"
    assert link["expires_at"].endswith("Z")


def test_lists_accounts_without_secrets(admin):
    listed = admin.get("/api/v1/users")

    assert {one["name"] for one in listed.json()} == {"ann", "bob", "rita", "adam"}
    assert "argon2" not in listed.text


@pytest.mark.parametrize("name", ["ann", "rita"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("POST", "/adam/tokens"), ("POST", "/adam/one-time-logins")],
)
def test_is_for_admins_alone(served, name, method, path):
    response = served.client(name).request(
        method, "/api/v1/users" + path, json={"name": "x", "role": "admin"}
    )

    assert response.status_code == 403
    assert served.client().request(method, "/api/v1/users" + path).status_code == 401


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "a b"}, "'a b'"),
        ({"name": "zoe", "password": "short"}, "at least 8"),
        ({"name": "zoe", "role": "king"}, "researcher"),
        ({"name": "zoe", "admin": True}, "admin"),
        ({}, "name"),
    ],
)
def test_says_what_is_wrong_with_an_account(admin, body, words):
    response = admin.post("/api/v1/users", json=body)

    assert response.status_code == 422
    assert words in response.json()["detail"]


def test_lists_the_accounts_when_one_is_unknown(admin):
    response = admin.post("/api/v1/users/nobody/tokens")

    assert response.status_code == 404
    assert "adam" in response.json()["detail"]
