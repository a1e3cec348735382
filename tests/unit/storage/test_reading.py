"""The read functions, on one small world worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from storage.assignments import expired_assignments, find_assignment, open_assignments, queue_rows
from storage.errors import UnknownName
from storage.generators import find_generator, list_generators
from storage.judgments import list_judgments
from storage.pairs import list_pairs
from storage.prompts import get_prompts, list_categories, list_prompts, require_category
from storage.raters import find_rater, list_credentials, list_raters
from storage.ratings import canonical_aspect, list_ratings, mean_ratings
from storage.records import (
    Aspect,
    Assignment,
    AssignmentEnd,
    Credential,
    EndReason,
    Judgment,
    Media,
    Outcome,
    RaterKind,
    Rating,
    Record,
    RoundRecord,
    RunEnd,
    RunRecord,
    RunStatus,
    Split,
    VideoMedia,
    utc_now,
)
from storage.rounds import list_rounds, list_runs, run_ends
from storage.stats import stats
from storage.store import Store
from storage.videos import count_videos, known_media, list_videos, media_of

Vote = Callable[[str], list[Record]]

MEDIA = Media(
    media_id="a" * 64,
    original_name="original.mp4",
    width_px=64,
    height_px=64,
    num_frames=9,
    fps=8.0,
    duration_s=1.125,
    codec="h264",
    size_bytes=1000,
)
JUDGMENT = Judgment(
    judgment_id="j",
    pair_id="pair-p1",
    rater_id="ann",
    aspect=Aspect.OVERALL,
    outcome=Outcome.A,
    chosen_video_id="p1g0",
    left_video_id="p1g1",
    right_video_id="p1g0",
)


@pytest.fixture
def filled(store: Store, world: list[Record]) -> Store:
    store.write(world)
    return store


def _rating(name: str, video_id: str, rater_id: str, value: float, **changes: str) -> Rating:
    given = {"aspect": "motion_quality"} | changes
    return Rating(rating_id=name, video_id=video_id, rater_id=rater_id, value=value, **given)  # type: ignore[arg-type]


def test_finds_prompts_by_category_and_split(filled: Store) -> None:
    assert [one.prompt_id for one in list_prompts(filled)] == ["p1", "p2"]
    assert [one.prompt_id for one in list_prompts(filled, category="simple")] == ["p1"]
    assert list_prompts(filled, category="simple", split=Split.EVAL) == []
    assert list_prompts(filled, source="fetv") == []
    assert list(get_prompts(filled, ["p2", "absent"])) == ["p2"]
    assert list_categories(filled) == {"simple": 1, "slide": 1, "spin": 1}
    require_category(filled, "spin")
    with pytest.raises(UnknownName, match="unknown category 'dance'; known: simple, slide, spin"):
        require_category(filled, "dance")


def test_says_that_there_is_nothing_yet_when_names_are_unknown(store: Store) -> None:
    with pytest.raises(UnknownName, match="unknown category 'dance'; there is no category yet"):
        require_category(store, "dance")


@pytest.mark.parametrize("name", ["base", "g0", "BASE", "base-model", "Base-Model"])
def test_finds_a_generator_by_any_of_its_names(filled: Store, name: str) -> None:
    assert find_generator(filled, name).generator_id == "g0"
    with pytest.raises(UnknownName, match="unknown generator 'sora'; known: base, tuned"):
        find_generator(filled, "sora")
    assert len(list_generators(filled)) == 2


def test_finds_videos_by_what_they_are(filled: Store) -> None:
    filled.write([MEDIA, VideoMedia(video_id="p1g1", media_id=MEDIA.media_id)])
    found = {
        "all": list_videos(filled),
        "category": list_videos(filled, category="spin"),
        "generator": list_videos(filled, generator_id="g1"),
        "round": list_videos(filled, round=1),
        "split": list_videos(filled, split=Split.EVAL),
        "with": list_videos(filled, with_media=True),
        "without": list_videos(filled, with_media=False),
        "ids": list_videos(filled, video_ids=["p2g1", "absent"]),
        "none": list_videos(filled, video_ids=[]),
        "page": list_videos(filled, limit=2, offset=1),
    }
    assert {name: [one.video_id for one in videos] for name, videos in found.items()} == {
        "all": ["p1g0", "p1g1", "p2g0", "p2g1"],
        "category": ["p2g0", "p2g1"],
        "generator": ["p1g1", "p2g1"],
        "round": ["p1g1", "p2g1"],
        "split": [],
        "with": ["p1g1"],
        "without": ["p1g0", "p2g0", "p2g1"],
        "ids": ["p2g1"],
        "none": [],
        "page": ["p1g1", "p2g0"],
    }
    assert count_videos(filled, category="spin") == 2
    assert count_videos(filled, with_media=True, round=1) == 1
    assert media_of(filled, ["p1g0", "p1g1"]) == {"p1g1": MEDIA}
    assert known_media(filled, [MEDIA.media_id, "b" * 64]) == {MEDIA.media_id: MEDIA}


def test_finds_pairs_by_category_and_round(filled: Store) -> None:
    assert [one.pair_id for one in list_pairs(filled, category="spin")] == ["pair-p2"]
    assert list_pairs(filled, round=3) == []
    assert [one.pair_id for one in list_pairs(filled, pair_ids=["pair-p1"])] == ["pair-p1"]


def test_finds_raters_by_kind_and_name(filled: Store) -> None:
    assert [one.name for one in list_raters(filled, kind=RaterKind.MODEL)] == ["builtin"]
    assert find_rater(filled, "Ann").rater_id == "ann"
    with pytest.raises(UnknownName, match="unknown rater 'Bob'; known: Ann, builtin"):
        find_rater(filled, "Bob")


def test_lists_only_credentials_that_hold(filled: Store) -> None:
    def credential(token_hash: str, **changes: object) -> Credential:
        given = {"rater_id": "ann", "kind": "session", "expires_at": None} | changes
        return Credential(token_hash=token_hash, **given)  # type: ignore[arg-type]

    soon, past = utc_now() + timedelta(hours=1), utc_now() - timedelta(hours=1)
    filled.write(
        [credential("a"), credential("b", expires_at=past), credential("c", expires_at=soon), credential("d")]
    )
    filled.write([credential("d", revoked=True), credential("a", expires_at=soon)])
    assert [(one.token_hash, one.expires_at) for one in list_credentials(filled)] == [
        ("c", soon),
        ("a", soon),
    ]


def test_leaves_out_judgments_that_were_replaced(filled: Store) -> None:
    correction = replace(
        JUDGMENT, judgment_id="j2", outcome=Outcome.BOTH_BAD, chosen_video_id=None, replaces="j"
    )
    late = replace(JUDGMENT, judgment_id="j3", pair_id="pair-p2", rater_id="bot", late=True)
    filled.write([JUDGMENT])
    filled.write([correction, late])
    assert [one.judgment_id for one in list_judgments(filled)] == ["j2", "j3"]
    assert [one.judgment_id for one in list_judgments(filled, include_late=False)] == ["j2"]
    assert [one.judgment_id for one in list_judgments(filled, category="spin")] == ["j3"]
    assert [one.judgment_id for one in list_judgments(filled, kind=RaterKind.HUMAN)] == ["j2"]
    assert [one.judgment_id for one in list_judgments(filled, rater_ids=["bot"])] == ["j3"]
    assert [one.judgment_id for one in list_judgments(filled, pair_ids=["pair-p1"])] == ["j2"]
    assert list_judgments(filled, aspect=Aspect.TEXT_ALIGNMENT) == []
    assert list_judgments(filled)[0] == correction


@pytest.mark.parametrize(
    ("text", "aspect"),
    [
        ("static quality", "visual_quality"),
        ("Temporal Quality", "motion_quality"),
        ("alignment", "text_alignment"),
        ("fine-grained alignment", "fine_grained_alignment"),
        (" overall ", "overall"),
        ("motion_quality", "motion_quality"),
    ],
)
def test_knows_an_aspect_by_any_spelling(text: str, aspect: str) -> None:
    assert canonical_aspect(text) == aspect


def test_means_ratings_over_people_models_or_one_rater(filled: Store) -> None:
    filled.write([replace(find_rater(filled, "Ann"), rater_id="bea", name="Bea")])
    filled.write(
        [
            _rating("1", "p1g0", "ann", 4.0),
            _rating("2", "p1g0", "bea", 1.0),
            _rating("3", "p1g0", "bot", 0.25),
            _rating("4", "p2g0", "ann", 3.0),
            _rating("5", "p1g0", "bea", 2.0, replaces="2"),
            _rating("6", "p1g0", "ann", 5.0, aspect="overall"),
        ]
    )
    # By hand: people rate p1g0 with 4 and (corrected) 2, so 3.
    assert mean_ratings(filled, source="human", aspect="temporal quality") == {"p1g0": 3.0, "p2g0": 3.0}
    assert mean_ratings(filled, source="human", aspect="motion", category="slide") == {"p1g0": 3.0}
    assert mean_ratings(filled, source="model", aspect="motion") == {"p1g0": 0.25}
    assert mean_ratings(filled, source="Bea", aspect="motion") == {"p1g0": 2.0}
    assert [one.rating_id for one in list_ratings(filled, rater_ids=["bea"])] == ["5"]
    assert [one.rating_id for one in list_ratings(filled, category="spin")] == ["4"]
    assert [one.rating_id for one in list_ratings(filled, aspect="overall", video_ids=["p1g0"])] == ["6"]
    with pytest.raises(UnknownName, match="unknown aspect of human 'taste'; known: motion_quality, overall"):
        mean_ratings(filled, source="human", aspect="taste")
    with pytest.raises(UnknownName, match="unknown rater 'Bob'"):
        mean_ratings(filled, source="Bob", aspect="motion")
    assert mean_ratings(filled, source="Bea", aspect="motion", category="spin") == {}


def test_rebuilds_the_queue_from_what_people_did(filled: Store) -> None:
    def assignment(name: str, pair_id: str, rater_id: str, minutes: int) -> Assignment:
        return Assignment(
            assignment_id=name,
            pair_id=pair_id,
            rater_id=rater_id,
            left_video_id="l",
            right_video_id="r",
            expires_at=utc_now() + timedelta(minutes=minutes),
        )

    filled.write([replace(find_rater(filled, "Ann"), rater_id="bea", name="Bea")])
    filled.write(
        [
            assignment("open", "pair-p2", "ann", 5),
            assignment("expired", "pair-p2", "ann", -5),
            assignment("skipped", "pair-p1", "bea", 5),
            AssignmentEnd(assignment_id="skipped", reason=EndReason.SKIPPED, note="does not load"),
            JUDGMENT,
            replace(JUDGMENT, judgment_id="aspect", aspect=Aspect.VISUAL_QUALITY),
            replace(JUDGMENT, judgment_id="model", rater_id="bot"),
            replace(JUDGMENT, judgment_id="late", rater_id="bea", late=True),
        ]
    )
    assert [one.assignment_id for one in open_assignments(filled)] == ["open"]
    assert [one.assignment_id for one in expired_assignments(filled)] == ["expired"]
    found = find_assignment(filled, "skipped")
    assert found is not None
    assert found.rater_id == "bea"
    assert find_assignment(filled, "absent") is None

    first, second = queue_rows(filled)
    assert (first.pair.pair_id, first.categories) == ("pair-p1", ("slide", "simple"))
    assert first.num_judged == 1  # Ann; the model is no person, and Bea was late
    assert first.judged_by == {"ann", "bea"}
    assert first.skipped_by == {"bea"}
    assert (second.pair.pair_id, second.num_judged) == ("pair-p2", 0)
    assert second.judged_by == second.skipped_by == frozenset()


def test_reads_runs_and_the_ledger(filled: Store) -> None:
    run = RunRecord(run_id="run", dataset_id="d", generator_id="g0", recipe="dpo", path="runs/run")
    ends = [RunEnd(run_id="run", status=status) for status in (RunStatus.INTERRUPTED, RunStatus.FINISHED)]
    line = RoundRecord(
        round_id="round",
        category="slide",
        number=1,
        parent_generator_id="g0",
        generator_id="g1",
        dataset_id="d",
        run_id="run",
        report={"win_rate": 0.8, "ci95": [0.7, 0.9]},
    )
    filled.write([run, *ends, line])
    assert list_runs(filled) == [run]
    assert run_ends(filled) == {"run": ends[1]}
    assert list_rounds(filled, category="slide") == [line]
    assert list_rounds(filled, category="spin") == []


def test_counts_everything(filled: Store, vote: Vote) -> None:
    filled.write([*vote("one"), MEDIA, VideoMedia(video_id="p1g0", media_id=MEDIA.media_id)])
    filled.write([_rating("1", "p2g0", "bot", 0.5)])
    counted = stats(filled)
    totals = {word: number for word, number in counted.items() if isinstance(number, int)}
    assert totals == {
        "prompts": 2,
        "videos": 4,
        "generators": 2,
        "raters": 2,
        "pairs": 2,
        "judgments": 4,
        "ratings": 1,
        "datasets": 0,
        "runs": 0,
        "rounds": 0,
    }
    none = dict.fromkeys(("prompts", "videos", "pairs", "judgments", "ratings", "datasets", "rounds"), 0)
    slide = none | {"prompts": 1, "videos": 2, "pairs": 1, "judgments": 4}
    spin = none | {"prompts": 1, "videos": 2, "pairs": 1, "ratings": 1}
    assert counted["by_category"] == {"simple": slide, "slide": slide, "spin": spin}
    assert counted["by_generator"] == {
        "base": {"videos": 2, "with_media": 1, "ratings": 1},
        "tuned": {"videos": 2, "with_media": 0, "ratings": 0},
    }
    assert counted["by_rater"] == {
        "Ann": {"judgments": 4, "pairs": 1, "ratings": 0},
        "builtin": {"judgments": 0, "pairs": 0, "ratings": 1},
    }
    assert counted["by_round"] == {
        "0": {"generators": 1, "videos": 2, "pairs": 2, "judgments": 4},
        "1": {"generators": 1, "videos": 2, "pairs": 0, "judgments": 0},
    }


def test_counts_nothing_in_a_new_workspace(store: Store) -> None:
    counted = stats(store)
    assert all(number == 0 for number in counted.values() if isinstance(number, int))
    assert counted["by_category"] == counted["by_rater"] == {}
