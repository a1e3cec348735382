"""The OpenAPI description: complete, and true for what the routes send."""

import pytest


@pytest.fixture
def described(served):
    return served.client().get("/api/v1/openapi.json").json()


def test_describes_every_route_of_the_contract(described):
    routes = {(method.upper(), path) for path, item in described["paths"].items() for method in item}

    assert routes >= {
        ("POST", "/api/v1/assignments"),
        ("PUT", "/api/v1/assignments/{assignment_id}/judgments"),
        ("POST", "/api/v1/assignments/{assignment_id}/heartbeat"),
        ("POST", "/api/v1/assignments/{assignment_id}/skip"),
        ("DELETE", "/api/v1/assignments/{assignment_id}"),
        ("POST", "/api/v1/undo"),
        ("GET", "/api/v1/progress"),
        ("GET", "/api/v1/stats"),
        ("GET", "/healthz"),
    }


def test_gives_every_route_a_summary_and_every_error_one_shape(described):
    for path, item in described["paths"].items():
        for method, route in item.items():
            assert route.get("summary"), (method, path)
            for status, response in route["responses"].items():
                if status.startswith(("4", "5")):
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}, (method, path, status)


def fields(described, name):
    return set(described["components"]["schemas"][name]["properties"])


def test_sends_what_it_describes(described, ann):
    view = ann.next().json()
    stored = ann.vote(view["assignment_id"]).json()

    assert set(view) == fields(described, "AssignmentView")
    assert set(view["left"]) == fields(described, "ClipView")
    assert set(stored) == fields(described, "JudgmentsAnswer")
    assert set(ann.post("/api/v1/undo").json()) == fields(described, "UndoView")
    progress = ann.get("/api/v1/progress").json()
    assert set(progress) == fields(described, "ProgressAnswer")
    assert set(progress["categories"][0]) == fields(described, "CategoryProgress")
    assert set(ann.get("/api/v1/me").json()) == fields(described, "MeAnswer")


def test_answers_with_the_error_shape_when_there_is_no_such_route(ann):
    for path in ("/api/v1/nothing", "/api/v2/assignments"):
        assert ann.get(path).status_code == 404
        assert path in ann.get(path).json()["detail"]


def test_says_that_the_store_can_be_written(served):
    assert served.client().get("/healthz").json() == {"status": "ok"}
