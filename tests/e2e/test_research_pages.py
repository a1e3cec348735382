"""Browse and Rounds in the browser, and who gets to see them."""

import json

import pytest
from playwright.sync_api import expect

from storage.media import MediaStore
from storage.records import (
    DatasetRecord,
    Generator,
    Prompt,
    RoundRecord,
    RunEnd,
    RunRecord,
    RunStatus,
    Split,
    Video,
    VideoMedia,
    record_id,
)
from tests.served_workspace import moving_square


@pytest.fixture(scope="module")
def with_round(served):
    """Add a finished round with held-out clips of both models to the served workspace."""
    base_id = record_id("generator", "quokka-base")
    tuned = Generator(
        generator_id="tuned",
        name="tuned-r1",
        family="wan",
        model="tiny",
        parent_id=base_id,
        round=1,
        category="slide",
    )
    prompt = Prompt(
        prompt_id="held-out",
        text="a held-out <b>prompt</b>",
        categories=("slide",),
        source="t",
        split=Split.EVAL,
    )
    with MediaStore(served.store.workspace) as clips:
        media = [
            clips.ingest_frames(moving_square(color=color), fps=8.0) for color in ((9, 99, 199), (199, 99, 9))
        ]
    videos = [
        Video(video_id=f"v{number}", prompt_id="held-out", generator_id=generator_id, seed=7)
        for number, generator_id in enumerate((base_id, "tuned"))
    ]
    run_folder = served.fixture.root / "runs" / "r1"
    run_folder.mkdir(parents=True)
    lines = [{"kind": "train", "step": step, "loss": 0.7 - 0.01 * step, "win_gap": 0.0} for step in range(20)]
    (run_folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "tr'
    )
    report = {
        "win_rate": 0.75,
        "ci95": [0.66, 0.83],
        "num_pairs": 96,
        "base": {"right_action": 0.5},
        "tuned": {"right_action": 0.9},
    }
    served.store.write(
        [
            tuned,
            prompt,
            *media,
            *videos,
            *(
                VideoMedia(video_id=v.video_id, media_id=m.media_id)
                for v, m in zip(videos, media, strict=True)
            ),
            DatasetRecord(
                dataset_id="d1",
                name="slide-r1",
                category="slide",
                path="datasets/d1",
                num_pairs=48,
                num_videos=96,
            ),
            RunRecord(run_id="r1", dataset_id="d1", generator_id=base_id, recipe="tiny", path="runs/r1"),
            RunEnd(run_id="r1", status=RunStatus.FINISHED),
            RoundRecord(
                round_id="x1",
                category="slide",
                number=1,
                parent_generator_id=base_id,
                generator_id="tuned",
                dataset_id="d1",
                run_id="r1",
                report=report,
            ),
        ]
    )
    return served


def test_filters_and_plays_clips(visit, with_round):
    window = visit()
    window.log_in("rita", "/browse")
    page = window.page
    cards = page.locator(".vp-card")
    expect(cards).to_have_count(12)

    page.get_by_label("Generator").click()
    page.get_by_role("option", name="tuned-r1").click()

    expect(cards).to_have_count(1)
    expect(cards.first).to_contain_text("a held-out <b>prompt</b>")
    page.wait_for_function("() => document.querySelector('.vp-card video').currentTime > 0")
    assert not window.problems


def test_turns_pages(visit, with_round):
    window = visit()
    window.log_in("rita", "/browse")
    page = window.page
    expect(page.get_by_text("page 1 of 7")).to_be_visible()

    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("page 2 of 7")).to_be_visible()
    page.get_by_role("button", name="Back").click()
    page.get_by_role("button", name="Back").click()

    expect(page.get_by_text("page 1 of 7")).to_be_visible()


def test_shows_what_a_round_changed(visit, with_round):
    window = visit()
    window.log_in("rita", "/rounds")
    page = window.page

    row = page.locator(".vp-table tbody tr")
    expect(row).to_have_count(1)
    for text in ("slide", "quokka-base", "tuned-r1", "48", "finished", "75% (66% to 83%)", "0.50 → 0.90"):
        expect(row).to_contain_text(text)
    expect(page.get_by_role("img", name="Loss")).to_be_visible()
    expect(page.get_by_role("heading", name="a held-out <b>prompt</b> · seed 7")).to_be_visible()
    expect(page.locator(".vp-compare video")).to_have_count(2)
    assert not window.problems


def test_offers_research_pages_to_researchers_alone(visit, with_round):
    annotator, researcher = visit(), visit()
    annotator.log_in("rater0")
    researcher.log_in("rita")

    expect(researcher.page.get_by_role("link", name="Browse")).to_be_visible()
    expect(annotator.page.get_by_role("link", name="Annotate")).to_be_visible()
    expect(annotator.page.get_by_role("link", name="Browse")).to_have_count(0)
    annotator.page.goto(annotator.address + "/browse/")
    expect(annotator.page.get_by_text("is for researchers")).to_be_visible()
