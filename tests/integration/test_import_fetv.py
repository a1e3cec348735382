"""FETV: a tiny folder in its layout, always; the real one where it is at hand."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from annotation.judge import judge_from_scores
from annotation.labels import majority_labels
from annotation.pairing import make_pairs
from storage.clips import write_clip
from storage.generators import find_generator, list_generators
from storage.importers.fetv import import_fetv
from storage.importers.report import ImportRefused, ImportReport
from storage.media import MediaStore
from storage.prompts import list_categories, list_prompts
from storage.raters import find_rater, list_raters
from storage.ratings import list_ratings, mean_ratings
from storage.records import Aspect, RaterKind
from storage.stats import stats
from storage.store import Store
from storage.videos import list_videos, media_of
from storage.workspace import Workspace

REAL = Path(os.environ.get("VIDPREF_FETV", Path(__file__).parents[2].parent / "shared/data/fetv"))
needs_real = pytest.mark.skipif(
    not (REAL / "fetv_data.json").is_file(), reason=f"no FETV data at {REAL}; set VIDPREF_FETV"
)

PROMPTS = [
    {
        "video_id": "v0",
        "prompt": "people are dancing",
        "major content": {"spatial": ["people"], "temporal": ["actions", "kinetic motions"]},
        "attribute control": {"spatial": ["color"], "temporal": None},
        "prompt complexity": ["simple"],
        "source": "MSRVTT",
    },
    {
        "video_id": None,
        "prompt": "a lion drinks",
        "major content": {"spatial": ["animals"], "temporal": None},
        "attribute control": {"spatial": None, "temporal": None},
        "prompt complexity": ["complex"],
        "unusual type": "object-action",
        "source": "ours",
    },
]


def write_lines(file: Path, lines: list[object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines))


def rated(number: int, **scores: object) -> dict[str, object]:
    return {str(number): {"video_id": "v0" if number == 0 else "None", **scores}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "fetv"
    write_lines(root / "fetv_data.json", list(PROMPTS))
    for rater, low in (("human0", 2), ("human1", 4)):
        manual = root / "manual_eval_results" / rater
        lines: list[object] = [
            rated(0, static_quality=low, temporal_quality=1, alignment=5),
            rated(1, static_quality=3, temporal_quality=3, alignment=3),
        ]
        write_lines(manual / "manual_eval_results_damo-text2video.json", lines)
        lines[0] = rated(0, static_quality=1, **{"fine-grained_alignment": {"color": 3, "speed": 2}})
        write_lines(manual / "manual_eval_results_cogvideo.json", lines)
    metric = root / "auto_eval_results" / "CLIPScore"
    write_lines(metric / "auto_eval_results_modelscope-t2v.json", [{"0": 0.25, "1": 0.5}])
    return root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Workspace.create(tmp_path / "work").root, min_free_bytes=0) as store:
        yield store


@pytest.fixture
def media(store: Store) -> Iterator[MediaStore]:
    with MediaStore(store.workspace) as media:
        yield media


def add_clip(folder: Path, source: str, number: int, brightness: int = 200) -> None:
    file = folder / "clips" / source / f"{number}.mp4"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_clip(np.full((6, 32, 32, 3), brightness, np.uint8), file, fps=8)


def test_imports_prompts_sources_and_ratings(folder: Path, store: Store, media: MediaStore) -> None:
    report = import_fetv(store, media, folder)
    assert report.errors == []
    num_ratings = 2 * (3 + 3 + 2 + 3) + 2
    assert report.added == {
        "prompts": 2, "generators": 2, "raters": 3, "videos": 4, "ratings": num_ratings, "clips": 0
    }  # fmt: skip
    assert any("no clips" in notice for notice in report.notices)
    dancing, lion = list_prompts(store)
    assert dancing.categories == ("actions", "kinetic motions") and lion.categories == ()
    assert dancing.tags["attribute"] == ("color",) and dancing.tags["complexity"] == ("simple",)
    assert lion.tags["unusual"] == ("object-action",) and "attribute" not in lion.tags
    assert {rater.name: rater.kind for rater in list_raters(store)} == {
        "fetv-human0": RaterKind.HUMAN,
        "fetv-human1": RaterKind.HUMAN,
        "CLIPScore": RaterKind.MODEL,
    }


def test_one_source_has_three_spellings(folder: Path, store: Store, media: MediaStore) -> None:
    import_fetv(store, media, folder)
    assert {generator.name for generator in list_generators(store)} == {"cogvideo", "modelscope-t2v"}
    spellings = ("damo-text2video", "modelscope-t2v", "ModelScopeT2V")
    assert len({find_generator(store, name).generator_id for name in spellings}) == 1
    generator = find_generator(store, "ModelScopeT2V")
    (video, _) = list_videos(store, generator_id=generator.generator_id)
    assert video.source_key == "modelscope-t2v/0"
    by_rater = {rating.rater_id for rating in list_ratings(store, video_ids=[video.video_id])}
    assert len(by_rater) == 3, "people's and the metric's ratings meet on one video"


def test_ratings_keep_their_aspects_and_scales(folder: Path, store: Store, media: MediaStore) -> None:
    import_fetv(store, media, folder)
    video = next(one for one in list_videos(store) if one.source_key == "modelscope-t2v/0")
    means = mean_ratings(store, source="human", aspect="static quality")
    assert means[video.video_id] == 3.0
    fine = list_ratings(store, aspect="fine-grained_alignment")
    assert [(rating.value, rating.scale_high) for rating in fine] == [(2.5, 5.0)] * 2
    assert json.loads(fine[0].comment or "") == {"color": 3, "speed": 2}
    metric = find_rater(store, "CLIPScore").rater_id
    scores = list_ratings(store, rater_ids=[metric])
    assert [(one.aspect, one.value, one.scale_low) for one in scores] == [
        ("text_alignment", 0.25, None),
        ("text_alignment", 0.5, None),
    ]


def test_a_second_run_changes_nothing(folder: Path, store: Store, media: MediaStore) -> None:
    add_clip(folder, "cogvideo", 0)
    first = import_fetv(store, media, folder)
    before = stats(store)
    second = import_fetv(store, media, folder)
    assert stats(store) == before
    assert sum(second.added.values()) == 0 and second.skipped == sum(first.added.values())


def test_a_clip_that_comes_later_is_attached(folder: Path, store: Store, media: MediaStore) -> None:
    import_fetv(store, media, folder)
    add_clip(folder, "modelscope-t2v", 1)
    report = import_fetv(store, media, folder)
    assert {kind: number for kind, number in report.added.items() if number} == {"clips": 1}
    (shown,) = list_videos(store, with_media=True)
    assert shown.source_key == "modelscope-t2v/1"
    assert media_of(store, [shown.video_id])[shown.video_id].num_frames == 6


def test_a_bad_row_is_reported_and_the_others_go_in(folder: Path, store: Store, media: MediaStore) -> None:
    file = folder / "manual_eval_results" / "human0" / "manual_eval_results_cogvideo.json"
    write_lines(
        file,
        [
            rated(0, alignment=6),
            rated(1, alignment=2),
            "{not json",
            rated(7, alignment=2),
            {"0": {"video_id": "v9", "alignment": 2}},
            rated(1, alignment=3),
            rated(0, beauty=3),
            rated(0, alignment="5"),
            rated(0),
            "[1]",
        ],
    )
    bad = folder / "auto_eval_results" / "CLIPScore" / "auto_eval_results_cogvideo.json"
    bad.write_text('{"0": 0.5,\n"1": null,\n"0": 0.1}')
    (folder / "auto_eval_results" / "CLIPScore" / "auto_eval_results_sora.json").write_text("{}")
    report = import_fetv(store, media, folder)
    assert {(error.file, error.line) for error in report.errors} == {
        *((str(file), line) for line in (1, 3, 4, 5, 6, 7, 8, 9, 10)),
        (str(bad), 2),
        (str(bad), 3),
        (str(bad.with_name("auto_eval_results_sora.json")), 1),
    }
    assert str(report.errors[0]).startswith(f"{file}:1: alignment is 6")
    human = find_rater(store, "fetv-human0").rater_id
    cogvideo = find_generator(store, "cogvideo").generator_id
    ids = [video.video_id for video in list_videos(store, generator_id=cogvideo)]
    assert [rating.value for rating in list_ratings(store, rater_ids=[human], video_ids=ids)] == [2.0]


def test_bad_prompts_keep_the_numbers_of_the_others(folder: Path, store: Store, media: MediaStore) -> None:
    write_lines(folder / "fetv_data.json", [PROMPTS[0], {**PROMPTS[1], "prompt": " "}, PROMPTS[1], "no"])
    report = import_fetv(store, media, folder)
    refused = {error.line: error.message for error in report.errors if error.file.endswith("data.json")}
    assert refused[2] == "prompt is empty" and refused[4].startswith("not valid JSON")
    assert [video.source_key for video in list_videos(store)] == ["cogvideo/0", "modelscope-t2v/0"]


def test_a_clip_that_cannot_be_decoded_is_reported(folder: Path, store: Store, media: MediaStore) -> None:
    add_clip(folder, "cogvideo", 0)
    broken = folder / "clips" / "cogvideo" / "1.mp4"
    broken.write_bytes((folder / "clips" / "cogvideo" / "0.mp4").read_bytes()[:200])
    add_clip(folder, "cogvideo", 99)
    report = import_fetv(store, media, folder)
    assert report.added["clips"] == 1
    assert {Path(error.file).name for error in report.errors} == {"1.mp4", "99.mp4"}


def test_refuses_a_folder_without_prompts(tmp_path: Path, store: Store, media: MediaStore) -> None:
    with pytest.raises(ImportRefused, match="fetv_data.json"):
        import_fetv(store, media, tmp_path)


@dataclass(frozen=True)
class RealImport:
    store: Store
    media: MediaStore
    report: ImportReport
    calls: list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealImport]:
    root = Workspace.create(tmp_path_factory.mktemp("real") / "work").root
    calls: list[tuple[str, int, int]] = []
    with Store.open(root, min_free_bytes=0) as store, MediaStore(store.workspace) as media:
        report = import_fetv(store, media, REAL, progress=lambda *call: calls.append(call))
        yield RealImport(store, media, report, calls)


@needs_real
def test_imports_the_real_data(real: RealImport) -> None:
    assert real.report.errors == [] and real.report.notices == []
    counts = stats(real.store)
    # The ground truth shows 541 of the 619 prompts; 3 people and 2 metrics rated all 3,017 videos.
    assert [counts[name] for name in ("prompts", "generators", "raters", "videos")] == [619, 5, 5, 3017]
    assert real.report.added["clips"] == len(list_videos(real.store, with_media=True)) == 104
    assert list_categories(real.store) == {
        "actions": 380, "fluid motions": 215, "kinetic motions": 305, "light change": 96
    }  # fmt: skip
    num_fine = 4 * 452 + 413
    assert counts["ratings"] == 3 * (3 * 3017 + num_fine) + 2 * 3017
    assert real.calls and all(0 <= done <= total for _, done, total in real.calls)


@needs_real
def test_a_second_run_on_the_real_data_changes_nothing(real: RealImport) -> None:
    counts = stats(real.store)
    again = import_fetv(real.store, real.media, REAL)
    assert sum(again.added.values()) == 0 and stats(real.store) == counts


@needs_real
def test_the_real_ratings_give_the_published_correlation(real: RealImport) -> None:
    """CLIPScore against people on alignment, all prompts: Spearman 0.243 (arXiv 2311.01813)."""
    people = mean_ratings(real.store, source="human", aspect="alignment")
    metric = mean_ratings(real.store, source="CLIPScore", aspect="text_alignment")
    ids = sorted(people)
    assert len(ids) == 3017
    ranks = [ranked([scores[one] for one in ids]) for scores in (people, metric)]
    assert round(float(np.corrcoef(*ranks)[0, 1]), 3) == 0.243


@needs_real
def test_the_real_ratings_make_pairs_and_labels(real: RealImport) -> None:
    """Best against worst of each prompt by people's mean rating of temporal quality, in `actions`."""
    videos = list_videos(real.store, category="actions", with_media=True)
    means = mean_ratings(real.store, source="human", aspect="temporal quality")
    pairs = make_pairs(videos, strategy="best_vs_worst", scores=means)
    judgments = judge_from_scores(pairs, means, rater_id="mean", aspect="motion_quality")
    labels = majority_labels(pairs, judgments, aspect=Aspect.OVERALL)
    assert len(pairs) == len(labels) == len({video.prompt_id for video in videos}) == 13
    assert all(means[label.winner_id or ""] > means[label.loser_id or ""] for label in labels)


def ranked(values: list[float]) -> np.ndarray:
    """Ranks, equal values sharing the mean of theirs."""
    array = np.array(values)
    _, place, counts = np.unique(array, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[place]
