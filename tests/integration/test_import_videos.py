"""Anybody's own clips and prompts, good rows and bad ones, into a real workspace."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from storage.clips import write_clip
from storage.generators import list_generators
from storage.importers.prompts import import_prompts
from storage.importers.report import ImportRefused, ImportReport
from storage.importers.videos import import_videos
from storage.media import MediaStore
from storage.prompts import get_prompts, list_prompts
from storage.records import Generator, Split
from storage.stats import stats
from storage.store import Store
from storage.videos import list_videos, media_of
from storage.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Workspace.create(tmp_path / "work").root, min_free_bytes=0) as store:
        yield store


@pytest.fixture
def media(store: Store) -> Iterator[MediaStore]:
    with MediaStore(store.workspace) as media:
        yield media


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(("one.mp4", "two.mp4", "deep/three.mp4")):
        frames = np.full((5, 32, 32, 3), 40 + 60 * number, np.uint8)
        write_clip(frames, folder / name, fps=8)
    return folder


def table(folder: Path, text: str, name: str = "prompts.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def lines_of(report: ImportReport) -> list[int]:
    return [error.line for error in report.errors]


def test_imports_clips_from_csv(clips: Path, store: Store, media: MediaStore) -> None:
    prompts = table(
        clips,
        "file,prompt,category,generator,seed\n"
        'one.mp4,"a cat, jumping","jump; cats",model-x,7\n'
        "two.mp4,a dog runs,run,,\n"
        "deep/three.mp4,a dog runs,run,Model-X,0\n",
    )
    report = import_videos(store, media, clips, prompts)
    assert report.errors == [] and report.notices == []
    assert report.added == {"prompts": 2, "generators": 2, "clips": 3, "videos": 3}
    videos = {video.source_key: video for video in list_videos(store)}
    first = videos["one.mp4"]
    prompt = get_prompts(store, [first.prompt_id])[first.prompt_id]
    assert (prompt.text, prompt.categories, first.seed) == ("a cat, jumping", ("jump", "cats"), 7)
    names = {generator.generator_id: generator.name for generator in list_generators(store)}
    assert names[first.generator_id] == "model-x" == names[videos["deep/three.mp4"].generator_id]
    assert names[videos["two.mp4"].generator_id] == "imported" and videos["two.mp4"].seed is None
    assert media_of(store, [first.video_id])[first.video_id].num_frames == 5


def test_imports_the_same_from_json_lines(clips: Path, store: Store, media: MediaStore) -> None:
    rows = [
        {"file": "one.mp4", "prompt": "a cat", "category": ["jump", "cats"], "seed": 7},
        {"file": "two.mp4", "prompt": "a dog", "category": "run;dogs", "generator": None, "extra": 1},
    ]
    text = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    report = import_videos(store, media, clips, table(clips, text, "prompts.jsonl"))
    assert report.errors == [] and report.added["videos"] == 2
    assert [prompt.categories for prompt in list_prompts(store)] == [("jump", "cats"), ("run", "dogs")]
    assert any("extra" in notice for notice in report.notices)


def test_a_second_run_changes_nothing(clips: Path, store: Store, media: MediaStore) -> None:
    prompts = table(clips, "file,prompt\none.mp4,a cat\ntwo.mp4,a dog\n")
    import_videos(store, media, clips, prompts)
    before = stats(store)
    report = import_videos(store, media, clips, prompts)
    assert stats(store) == before
    assert (sum(report.added.values()), report.skipped, report.errors) == (0, 2, [])


def test_uses_a_generator_that_is_known_by_another_spelling(
    clips: Path, store: Store, media: MediaStore
) -> None:
    known = Generator(generator_id="g", name="cogvideo", family="external", model="", aliases=("CogVid",))
    store.write([known])
    import_videos(store, media, clips, table(clips, "file,prompt,generator\none.mp4,a cat,cogVID\n"))
    assert [video.generator_id for video in list_videos(store)] == ["g"]
    assert len(list_generators(store)) == 1


def test_bad_rows_are_reported_by_line_and_the_others_go_in(
    clips: Path, tmp_path: Path, store: Store, media: MediaStore
) -> None:
    (tmp_path / "secret.mp4").write_bytes((clips / "one.mp4").read_bytes())
    (clips / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (clips / "loop.mp4").symlink_to(clips / "loop.mp4")
    (clips / "text.mp4").write_text("no clip")
    (clips / "empty.mp4").touch()
    (clips / "cut.mp4").write_bytes((clips / "one.mp4").read_bytes()[:300])
    rows = [
        ("../secret.mp4", "x", "", 2),
        (str(tmp_path / "secret.mp4"), "x", "", 3),
        ("deep/../../secret.mp4", "x", "", 4),
        ("link.mp4", "x", "", 5),
        ("loop.mp4", "x", "", 6),
        ("missing.mp4", "x", "", 7),
        ("deep", "x", "", 8),
        ("", "x", "", 9),
        ("one.mp4", "", "", 10),
        ("one.mp4", "x", "-1", 11),
        ("one.mp4", "x", "1e3", 12),
        ("one.mp4", "x", str(2**63), 13),
        ("text.mp4", "x", "", 14),
        ("empty.mp4", "x", "", 15),
        ("cut.mp4", "x", "", 16),
        ("a\x00b.mp4", "x", "", 17),
        ("one.mp4", "y" * 5000, "", 18),
        ("one.mp4", "good", "3", 0),
        ("one.mp4", "twice", "", 20),
        ("./deep//three.mp4", "good too", "", 0),
        ("deep/three.mp4", "twice", "", 22),
    ]
    text = "file,prompt,seed\n" + "".join(f"{file},{prompt},{seed}\n" for file, prompt, seed, _ in rows)
    prompts = table(clips, text)
    report = import_videos(store, media, clips, prompts)
    assert sorted(lines_of(report)) == [line for *_, line in rows if line]
    assert all(error.file == str(prompts) for error in report.errors)
    assert {video.source_key for video in list_videos(store)} == {"one.mp4", "deep/three.mp4"}
    messages = {error.line: error.message for error in report.errors}
    assert "leads out of the folder" in messages[5]
    assert "used in line 19" in messages[20]
    assert not any("secret" in video.source_key for video in list_videos(store))


def test_the_same_clip_under_two_names_is_reported(clips: Path, store: Store, media: MediaStore) -> None:
    (clips / "copy.mp4").write_bytes((clips / "one.mp4").read_bytes())
    text = "file,prompt,seed\none.mp4,a cat,1\ncopy.mp4,a cat,1\ncopy.mp4,a cat,2\n"
    report = import_videos(store, media, clips, table(clips, text))
    assert lines_of(report) == [4, 3], "line 4 names a file used before, line 3 shows what line 2 does"
    assert report.added["videos"] == 1


def test_malformed_lines_are_reported_and_the_others_go_in(
    clips: Path, store: Store, media: MediaStore
) -> None:
    file = clips / "prompts.csv"
    file.write_bytes(
        b"\xef\xbb\xbffile,prompt\r\none.mp4,a cat,too,many\r\ntwo.mp4,caf\xe9\r\n\r\n"
        b"deep/three.mp4,caf\xc3\xa9\r\n"
    )
    report = import_videos(store, media, clips, file)
    assert lines_of(report) == [2, 3]
    assert [prompt.text for prompt in list_prompts(store)] == ["café"]
    lines = [
        '{"file": "one.mp4"}',
        "[]",
        "{",
        '{"file": 3, "prompt": "x"}',
        '{"file": "one.mp4", "prompt": "\\ud800"}',
    ]
    report = import_videos(store, media, clips, table(clips, "\n".join(lines), "prompts.jsonl"))
    assert sorted(lines_of(report)) == [1, 2, 3, 4, 5]


def test_a_prompt_with_markup_is_kept_as_it_is(clips: Path, store: Store, media: MediaStore) -> None:
    text = "<script>alert('x')</script> & \"quotes\""
    row = json.dumps({"file": "one.mp4", "prompt": text, "category": "<b>"})
    import_videos(store, media, clips, table(clips, row, "prompts.jsonl"))
    (prompt,) = list_prompts(store)
    assert (prompt.text, prompt.categories) == (text, ("<b>",))


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("prompts.csv", "prompt,path\n", "'file'"),
        ("prompts.csv", "", "found: nothing"),
        ("prompts.xlsx", "", "allowed: .csv"),
    ],
)
def test_refuses_a_table_that_cannot_be_read(
    clips: Path, store: Store, media: MediaStore, name: str, text: str, named: str
) -> None:
    with pytest.raises(ImportRefused, match=named):
        import_videos(store, media, clips, table(clips, text, name))


def test_refuses_a_folder_or_table_that_is_not_there(clips: Path, store: Store, media: MediaStore) -> None:
    with pytest.raises(ImportRefused, match="not a folder"):
        import_videos(store, media, clips / "nowhere", clips / "prompts.csv")
    with pytest.raises(ImportRefused, match="cannot be read"):
        import_videos(store, media, clips, clips / "prompts.csv")


def test_imports_prompts_and_keeps_their_split(tmp_path: Path, store: Store) -> None:
    text = "prompt,category,split\na cat,jump,\na dog,run,EVAL\na cat,jump,train\na cow,,holdout\n,x,\n"
    file = table(tmp_path, text)
    report = import_prompts(store, file)
    assert {prompt.text: prompt.split for prompt in list_prompts(store)} == {
        "a cat": Split.TRAIN,
        "a dog": Split.EVAL,
    }
    assert lines_of(report) == [5, 6] and "allowed: train, eval" in str(report.errors[0])
    again = import_prompts(store, file)
    assert (again.added["prompts"], again.skipped) == (0, 3)


def test_a_prompt_cannot_move_between_splits(tmp_path: Path, store: Store) -> None:
    import_prompts(store, table(tmp_path, "prompt,category\na cat,jump\n"))
    text = "prompt,category,split\na cat,jump,eval\na dog,run,eval\na dog,run,train\n"
    report = import_prompts(store, table(tmp_path, text))
    assert sorted(lines_of(report)) == [2, 4]
    assert [prompt.text for prompt in list_prompts(store, split=Split.EVAL)] == ["a dog"]


def test_a_report_says_in_one_line_what_happened(clips: Path, store: Store, media: MediaStore) -> None:
    report = import_videos(store, media, clips, table(clips, "file,prompt\none.mp4,a cat\nno.mp4,x\n"))
    assert report.summary() == "added 1 prompt, 1 generator, 1 clip, 1 video; 1 row refused"
    assert ImportReport().summary() == "added nothing"
