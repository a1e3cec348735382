"""Clips over HTTP: ranges, tags, nothing that tells one clip from another."""

import pytest

from tests.served_workspace import Client, ServedFixture


@pytest.fixture
def url(ann: Client) -> str:
    return ann.next().json()["left"]["url"]


def test_sends_the_whole_clip(ann: Client, url: str) -> None:
    response = ann.get(url)

    assert response.status_code == 200
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["cache-control"].startswith("private")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.content[4:8] == b"ftyp"


def test_sends_ranges_that_add_up_to_the_clip(ann: Client, url: str) -> None:
    whole = ann.get(url).content
    parts, first = [], 0
    while first < len(whole):
        response = ann.get(url, headers={"Range": f"bytes={first}-{first + 999}"})
        last = min(first + 999, len(whole) - 1)
        assert response.status_code == 206
        assert response.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
        parts.append(response.content)
        first += 1000

    assert b"".join(parts) == whole


def test_sends_a_clip_larger_than_one_chunk_whole_and_in_part(
    ann: Client, url: str, served: ServedFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ann.get(url).content
    monkeypatch.setattr("app.media_routes.CHUNK_BYTES", 512)

    assert ann.get(url).content == whole
    assert ann.get(url, headers={"Range": "bytes=100-1500"}).content == whole[100:1501]


@pytest.mark.parametrize("header", ["bytes=9-2", "bytes=0-1,4-5", "bytes=99999999-", "bytes=x"])
def test_answers_416_with_the_size_when_the_range_is_no_good(ann: Client, url: str, header: str) -> None:
    size = len(ann.get(url).content)

    response = ann.get(url, headers={"Range": header})

    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{size}"
    assert response.content == b""


def test_answers_head_like_get_without_the_body(ann: Client, url: str) -> None:
    head, get = ann.head(url), ann.get(url)

    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-length", "content-type", "etag", "accept-ranges"):
        assert head.headers[name] == get.headers[name]


def test_sends_nothing_again_when_the_browser_has_it(ann: Client, url: str) -> None:
    etag = ann.get(url).headers["etag"]

    assert ann.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert ann.get(url, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert ann.get(url, headers={"Range": "bytes=0-9", "If-Range": '"another"'}).status_code == 200


def test_gives_the_same_clip_another_tag_for_another_rater(
    ann: Client, bob: Client, served: ServedFixture
) -> None:
    views = [client.next(category="slide").json() for client in (ann, bob)]
    researcher = served.client("rita")

    tags = [
        client.get(view[side]["url"]).headers["etag"]
        for client, view in zip((ann, bob), views, strict=True)
        for side in ("left", "right")
    ]
    stable = [
        researcher.get(f"/media/video/{video.video_id}").headers["etag"] for video in served.fixture.videos
    ]

    assert len(set(tags + stable)) == 4 + len(served.fixture.videos)


def test_answers_404_when_the_file_of_a_clip_is_gone(ann: Client, url: str, served: ServedFixture) -> None:
    for file in served.store.workspace.media_dir.rglob("normal.mp4"):
        file.unlink()
    video_id = served.fixture.videos[0].video_id

    for response in (ann.get(url), served.client("rita").get(f"/media/video/{video_id}")):
        assert response.status_code == 404
        assert "no such clip" in response.json()["detail"]
