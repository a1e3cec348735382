"""What the Gradio pages let through: roles, files, blindness. One server with pages for the whole file."""

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.served_workspace import Client, Fixture, ServedFixture, serve_fixture


@pytest.fixture(scope="module")
def served(two_pairs: Fixture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedFixture]:
    root = tmp_path_factory.mktemp("pages") / "workspace"
    shutil.copytree(two_pairs.root, root)
    with serve_fixture(replace(two_pairs, root=root), with_pages=True) as served:
        yield served


@pytest.fixture(scope="module")
def ann(served: ServedFixture) -> Client:
    return served.client("ann")


def test_gives_no_way_to_name_a_file(ann, served):
    video = served.fixture.videos[0]

    for path in (
        f"/media/video/{video.video_id}",
        "/media/%2e%2e/%2e%2e/vidpref.duckdb",
        "/media/..%2fvidpref.duckdb",
    ):
        assert ann.get(path).status_code in (403, 404)
    for path in ("/gradio_api/file=/etc/passwd", f"/gradio_api/file={served.fixture.root}/config.toml"):
        assert ann.get(path).status_code in (403, 404)
    assert ann.post("/gradio_api/upload", files={"files": b"x"}).status_code == 404


@pytest.mark.parametrize("path", ["/browse/", "/rounds/", "/browse/config", "/rounds/gradio_api/info"])
def test_opens_research_pages_to_researchers_alone(served, ann, path):
    assert ann.get(path).status_code == 403
    assert served.client("rita").get(path).status_code == 200
    assert served.client().get(path).status_code == 401


def test_sends_nothing_that_names_a_generator_to_an_annotator(served, ann):
    view = ann.next()
    urls = [view.json()[side]["url"] for side in ("left", "right")]
    answers = [view, ann.post("/api/v1/undo"), *map(ann.get, urls)]
    answers += [
        ann.get(path) for path in ("/", "/config", "/gradio_api/info", "/api/v1/progress", "/api/v1/stats")
    ]
    hidden = ["quokka", *(video.video_id for video in served.fixture.videos)]
    hidden += [pair.pair_id for pair in served.fixture.pairs]

    for response in answers:
        sent = str(response.headers) + response.text
        assert not [word for word in hidden if word in sent], response.url
