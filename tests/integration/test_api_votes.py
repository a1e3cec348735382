"""The REST contract: leasing, judging, correcting, skipping, giving back, undoing."""

from typing import Any

import pytest

from storage.assignments import queue_rows
from storage.judgments import list_judgments
from storage.records import Aspect, Judgment, Outcome
from tests.served_workspace import Client, ServedFixture


def stored(served: ServedFixture, aspect: Aspect | None = Aspect.OVERALL) -> list[Judgment]:
    return list_judgments(served.store, aspect=aspect)


def test_leases_a_pair_as_the_contract_says(served: ServedFixture, ann: Client) -> None:
    response = ann.next()

    assert response.status_code == 201
    view = response.json()
    assert view["prompt"] in {prompt.text for prompt in served.fixture.prompts}
    assert view["aspects"] == ["visual_quality", "motion_quality", "text_alignment", "overall"]
    assert view["outcomes"] == ["left", "right", "both_good", "both_bad"]
    assert view["left"]["url"].startswith("/media/")
    assert view["left"]["url"] != view["right"]["url"]
    assert view["expires_at"].endswith("Z")
    assert set(view) == {
        "assignment_id", "prompt", "category", "aspects", "outcomes", "left", "right", "expires_at",
    }  # fmt: skip


@pytest.mark.parametrize("body", [None, b"", b"{}"])
def test_takes_any_category_when_the_body_is_empty(ann: Client, body: Any) -> None:
    assert ann.post("/api/v1/assignments", content=body).status_code == 201


@pytest.mark.parametrize("outcome", ["left", "right", "both_good", "both_bad"])
def test_stores_the_video_that_was_shown_on_the_side_chosen(
    served: ServedFixture, ann: Client, outcome: str
) -> None:
    assignment_id = ann.next().json()["assignment_id"]

    answer = ann.judge(
        assignment_id,
        answers={"overall": outcome, "motion_quality": "both_bad"},
        confidence=3,
        comment="the left one <b>jumps</b>",
        evidence={"loops": 2, "seconds_seen": {"left": 1.5, "right": 1.25}},
    )

    assert answer.status_code == 200
    assert answer.json() == {"assignment_id": assignment_id, "duplicate": False, "late": False}
    (judgment,) = stored(served)
    shown = {"left": judgment.left_video_id, "right": judgment.right_video_id}
    (pair,) = [pair for pair in served.fixture.pairs if pair.pair_id == judgment.pair_id]
    assert {judgment.left_video_id, judgment.right_video_id} == {pair.video_a_id, pair.video_b_id}
    assert judgment.chosen_video_id == shown.get(outcome)
    expected = {"both_good": Outcome.BOTH_GOOD, "both_bad": Outcome.BOTH_BAD}.get(outcome) or (
        Outcome.A if judgment.chosen_video_id == pair.video_a_id else Outcome.B
    )
    assert judgment.outcome == expected
    assert (judgment.confidence, judgment.comment) == (3, "the left one <b>jumps</b>")
    assert judgment.evidence["seconds_seen"] == {"left": 1.5, "right": 1.25}
    assert {one.aspect for one in stored(served, None)} == {Aspect.OVERALL, Aspect.MOTION_QUALITY}


def test_shows_the_clip_that_is_stored_as_left_on_the_left(served: ServedFixture, ann: Client) -> None:
    view = ann.next().json()
    ann.vote(view["assignment_id"], "left")

    (judgment,) = stored(served)
    researcher = served.client("rita")
    for side in ("left", "right"):
        video_id = getattr(judgment, f"{side}_video_id")
        assert ann.get(view[side]["url"]).content == researcher.get(f"/media/video/{video_id}").content


def test_stores_once_when_the_same_answer_comes_again(served: ServedFixture, ann: Client) -> None:
    assignment_id = ann.next().json()["assignment_id"]
    first, second = ann.vote(assignment_id, "left"), ann.vote(assignment_id, "left")

    assert (first.json()["duplicate"], second.json()["duplicate"]) == (False, True)
    assert len(stored(served)) == 1


def test_replaces_the_judgment_when_another_answer_comes(served: ServedFixture, ann: Client) -> None:
    assignment_id = ann.next().json()["assignment_id"]
    ann.vote(assignment_id, "left")
    (first,) = stored(served)

    assert ann.vote(assignment_id, "both_bad").status_code == 200

    (current,) = stored(served)
    assert current.outcome == Outcome.BOTH_BAD
    assert current.replaces == first.judgment_id


def test_goes_back_to_the_last_pair_with_its_answers(served: ServedFixture, ann: Client) -> None:
    view = ann.next().json()
    ann.judge(view["assignment_id"], answers={"overall": "right"}, confidence=1, comment="hm")
    ann.next()

    undone = ann.post("/api/v1/undo").json()

    assert undone["assignment_id"] == view["assignment_id"]
    assert undone["earlier"] == {"answers": {"overall": "right"}, "confidence": 1, "comment": "hm"}
    assert [undone[side]["url"] for side in ("left", "right")] == [
        view[side]["url"] for side in ("left", "right")
    ]
    assert ann.vote(view["assignment_id"], "left").json()["duplicate"] is False
    assert len(stored(served)) == 1


def test_has_nothing_to_undo_when_nothing_was_judged(ann: Client) -> None:
    response = ann.post("/api/v1/undo")

    assert response.status_code == 404
    assert "no judgment" in response.json()["detail"]


def test_has_nothing_left_when_every_pair_was_judged(served: ServedFixture, ann: Client, bob: Client) -> None:
    for _ in served.fixture.pairs:
        ann.vote(ann.next().json()["assignment_id"])

    assert ann.next().status_code == 204
    assert bob.next().status_code == 201


def test_never_shows_a_skipped_pair_to_the_same_rater_again(
    served: ServedFixture, ann: Client, bob: Client
) -> None:
    view = ann.next(category="slide").json()

    assert (
        ann.post(f"/api/v1/assignments/{view['assignment_id']}/skip", json={"reason": "odd"}).status_code
        == 204
    )

    assert ann.next(category="slide").status_code == 204
    assert bob.next(category="slide").json()["prompt"] == view["prompt"]
    (row,) = [row for row in queue_rows(served.store) if row.skipped_by]
    assert len(row.skipped_by) == 1
    assert ann.vote(view["assignment_id"]).status_code == 200  # Kept, as a late answer.


def test_hands_a_pair_given_back_out_again(ann: Client) -> None:
    view = ann.next(category="slide").json()

    assert ann.delete(f"/api/v1/assignments/{view['assignment_id']}").status_code == 204

    again = ann.next(category="slide").json()
    assert again["prompt"] == view["prompt"]
    assert again["assignment_id"] != view["assignment_id"]


def test_marks_an_answer_late_when_the_lease_was_given_back(served: ServedFixture, ann: Client) -> None:
    view = ann.next().json()
    ann.delete(f"/api/v1/assignments/{view['assignment_id']}")

    assert ann.vote(view["assignment_id"]).json()["late"] is True

    (judgment,) = stored(served)
    assert judgment.late
    assert not list_judgments(served.store, include_late=False)


def test_moves_the_end_of_a_lease_with_a_heartbeat(ann: Client) -> None:
    view = ann.next().json()

    beat = ann.post(f"/api/v1/assignments/{view['assignment_id']}/heartbeat")

    assert beat.status_code == 200
    assert beat.json()["expires_at"] > view["expires_at"]
    ann.vote(view["assignment_id"])
    assert ann.post(f"/api/v1/assignments/{view['assignment_id']}/heartbeat").status_code == 409


def test_counts_progress_by_category(served: ServedFixture, ann: Client, bob: Client) -> None:
    for client in (ann, bob):
        client.vote(client.next(category="slide").json()["assignment_id"])

    progress = ann.get("/api/v1/progress", params={"category": "slide"}).json()

    assert (progress["done"], progress["total"], progress["mine"]) == (1, 1, 0)
    assert {one["name"]: one["done"] for one in progress["categories"]} == {"slide": 1, "bounce": 0}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"answers": {"motion_quality": "left"}}, ["overall", "required"]),
        ({"answers": {"overall": "middle"}}, ["answers.overall", "'middle'", "both_good"]),
        ({"answers": {"beauty": "left"}}, ["beauty", "visual_quality"]),
        ({"answers": {}}, ["overall"]),
        ({}, ["answers", "required"]),
        ({"answers": {"overall": "left"}, "confidence": 4}, ["confidence", "3", "4"]),
        ({"answers": {"overall": "left"}, "comment": "x" * 2001}, ["comment", "2000"]),
        ({"answers": {"overall": "left"}, "winner": "A"}, ["winner"]),
    ],
)
def test_says_what_is_wrong_with_a_judgment(
    served: ServedFixture, ann: Client, body: Any, words: Any
) -> None:
    assignment_id = ann.next().json()["assignment_id"]

    response = ann.judge(assignment_id, **body)

    assert response.status_code == 422
    detail = response.json()["detail"]
    assert isinstance(detail, str)
    assert all(word in detail for word in words), detail
    assert not stored(served)


@pytest.mark.parametrize("path", ["/api/v1/progress?category=juggle", "/api/v1/assignments"])
def test_lists_the_categories_when_one_is_unknown(ann: Client, path: str) -> None:
    response = ann.get(path) if "progress" in path else ann.next(category="juggle")

    assert response.status_code == 404
    assert all(word in response.json()["detail"] for word in ("'juggle'", "bounce", "slide"))


@pytest.mark.parametrize("content", [b"{", b"[]", b'"left"', b"\xff\xfe"])
def test_answers_422_when_the_body_is_not_the_json_described(ann: Client, content: bytes) -> None:
    assignment_id = ann.next().json()["assignment_id"]
    response = ann.put(
        f"/api/v1/assignments/{assignment_id}/judgments",
        content=content,
        headers={"Content-Type": "application/json"},
    )

    assert response.status_code in (400, 422)
    assert response.json()["detail"]


def test_counts_everything_for_researchers_and_hides_names_from_annotators(
    served: ServedFixture, ann: Client
) -> None:
    ann.vote(ann.next().json()["assignment_id"])

    numbers = served.client("rita").get("/api/v1/stats").json()
    seen_by_ann = ann.get("/api/v1/stats").json()

    assert (numbers["prompts"], numbers["videos"], numbers["pairs"], numbers["judgments"]) == (2, 4, 2, 1)
    assert "quokka-base" in numbers["by_generator"]
    assert seen_by_ann == {
        key: value for key, value in numbers.items() if key not in ("by_generator", "by_rater")
    }


def test_answers_422_when_a_judgment_cannot_be_stored_as_sent(served: ServedFixture, ann: Client) -> None:
    assignment_id = ann.next().json()["assignment_id"]

    response = ann.put(
        f"/api/v1/assignments/{assignment_id}/judgments",
        content=b'{"answers": {"overall": "left"}, "evidence": {"seconds": NaN}}',
        headers={"Content-Type": "application/json"},
    )

    assert response.status_code == 422
    detail = response.json()["detail"]
    assert "cannot be stored" in detail and "float" in detail
    assert not [video for video in served.fixture.videos if video.video_id in detail]
    assert not stored(served)
    assert ann.vote(assignment_id).status_code == 200
