"""The command line as its user meets it: messages, exit codes, and nothing lost on bad input."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from annotation.errors import InvalidAnswer
from app import cli
from app.report import LoopReport
from storage.clips import write_clip
from storage.raters import find_account
from storage.records import Role
from storage.store import Store


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def vidpref(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator:  # type: ignore[type-arg]
    """Run a command in-process in an empty folder and return its exit code and output."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Result:
        monkeypatch.setattr("sys.argv", ["vidpref", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    yield run


def write_square_clip(path: Path, *, speed: int) -> None:
    frames = np.full((9, 64, 64, 3), 230, np.uint8)
    for index, frame in enumerate(frames):
        left = 4 + speed * index
        frame[24:40, left : left + 16] = (200, 30, 30)
    write_clip(frames, path, fps=8)


def test_init_makes_a_workspace_with_the_tiny_model(vidpref) -> None:
    assert vidpref("init").code == 0
    counts = json.loads(vidpref("stats", "--format", "json").out)
    assert counts["generators"] == 1
    assert counts["raters"] == 1
    expected = ("prompts", "videos", "generators", "raters", "pairs")
    expected += ("judgments", "ratings", "datasets", "runs", "rounds")
    assert all(isinstance(counts[name], int) for name in expected)


def test_command_outside_a_workspace_says_how_to_make_one(vidpref) -> None:
    result = vidpref("stats")
    assert result.code == 1
    assert "vidpref init" in result.err


def test_init_twice_keeps_the_workspace(vidpref) -> None:
    vidpref("init")
    before = json.loads(vidpref("stats", "--format", "json").out)
    assert vidpref("init").code == 0
    assert json.loads(vidpref("stats", "--format", "json").out) == before


def test_unknown_category_names_the_known_ones(vidpref) -> None:
    vidpref("init")
    result = vidpref("sample", "--category", "juggle")
    assert result.code == 1
    assert "juggle" in result.err and "bounce" in result.err


def test_export_without_pairs_says_what_to_do(vidpref, tmp_path: Path) -> None:
    vidpref("init")
    (tmp_path / "prompts.csv").write_text("prompt,category\na red circle,slide\n")
    assert vidpref("import", "prompts", "prompts.csv").code == 0
    result = vidpref("export", "--category", "slide")
    assert result.code == 1
    assert "vidpref pair" in result.err or "vidpref judge" in result.err
    assert not list((tmp_path / "workspace" / "datasets").iterdir())


def test_account_gets_its_password_from_standard_input(vidpref, monkeypatch, tmp_path: Path) -> None:
    import io

    vidpref("init")
    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough password\n"))
    assert vidpref("users", "add", "ana", "--role", "researcher", "--password-stdin").code == 0
    with Store.open(tmp_path / "workspace") as store:
        account = find_account(store, "ana")
    assert account.role is Role.RESEARCHER
    assert "long enough" not in account.password_hash
    token = vidpref("users", "token", "ana").out.strip()
    assert len(token) >= 32


def test_own_clips_go_from_import_to_a_dataset(vidpref, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for index in range(4):
        write_square_clip(clips / f"{index}.mp4", speed=index)
    rows = ["file,prompt,category,generator,seed"]
    rows += [f"{index}.mp4,a square sliding,slide,mine,{index}" for index in range(4)]
    (tmp_path / "prompts.csv").write_text("\n".join(rows) + "\n")
    vidpref("init")
    assert vidpref("import", "videos", "clips", "--prompts", "prompts.csv").code == 0
    assert vidpref("pair", "--category", "slide", "--strategy", "all_pairs").code == 0
    assert vidpref("judge", "--rater", "builtin").code == 0
    result = vidpref("export", "--category", "slide")
    assert result.code == 0, result.err
    folder = Path(result.out.splitlines()[-1])
    assert json.loads((folder / "manifest.json").read_text())
    counts = json.loads(vidpref("stats", "--format", "json").out)
    assert counts["pairs"] == 6 and counts["judgments"] == 24 and counts["datasets"] == 1


def test_bad_row_of_an_import_is_named_and_the_others_go_in(vidpref, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_square_clip(clips / "good.mp4", speed=2)
    (clips / "bad.mp4").write_bytes(b"not a video")
    (tmp_path / "prompts.csv").write_text(
        "file,prompt,category,generator,seed\ngood.mp4,a square,slide,mine,1\nbad.mp4,a square,slide,mine,2\n"
    )
    vidpref("init")
    result = vidpref("import", "videos", "clips", "--prompts", "prompts.csv")
    assert result.code == 1
    assert "prompts.csv:3" in result.err
    assert json.loads(vidpref("stats", "--format", "json").out)["videos"] == 1


def test_score_source_without_a_colon_is_explained(vidpref, tmp_path: Path) -> None:
    vidpref("init")
    (tmp_path / "prompts.csv").write_text("prompt,category\na red circle,slide\n")
    vidpref("import", "prompts", "prompts.csv")
    result = vidpref("pair", "-c", "slide", "--strategy", "best_vs_worst", "--score", "human")
    assert result.code == 1
    assert "SOURCE:ASPECT" in result.err


def test_rebuild_gives_the_same_counts(vidpref) -> None:
    vidpref("init")
    before = json.loads(vidpref("stats", "--format", "json").out)
    assert vidpref("rebuild").code == 0
    assert json.loads(vidpref("stats", "--format", "json").out) == before


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted; run the same command again"),
        (ModuleNotFoundError("No module named 'torch'"), 1, "pip install 'vidpref[train]'"),
        (
            PermissionError(13, "Permission denied", "clips.csv"),
            1,
            "error: [Errno 13] Permission denied: 'clips",
        ),
        (InvalidAnswer("no such outcome"), 1, "error: no such outcome"),
    ],
)
def test_says_in_one_line_why_a_command_ended(
    vidpref, monkeypatch: pytest.MonkeyPatch, failure: BaseException, code: int, words: str
) -> None:
    def fail(root: Path) -> None:
        raise failure

    monkeypatch.setattr("app.commands.workspace.create_workspace", fail)
    result = vidpref("init")
    assert result.code == code
    assert words in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_logs_the_traceback_of_a_bug_and_exits_1(
    vidpref, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(root: Path) -> None:
        raise ZeroDivisionError("an honest bug")

    monkeypatch.setattr("app.commands.workspace.create_workspace", fail)
    assert vidpref("init").code == 1
    assert "an honest bug" in caplog.text and "Traceback" in caplog.text


def test_unknown_option_is_a_usage_error(vidpref) -> None:
    result = vidpref("init", "--colour", "red")
    assert result.code == 2
    assert "--colour" in result.err


@pytest.mark.parametrize("command", [("demo", "--no-serve"), ("round", "--category", "slide")])
@pytest.mark.parametrize(("report", "words"), [("no/dir/r.json", "make the folder"), (".", "is a folder")])
def test_refuses_a_report_that_cannot_be_written_before_any_work(
    vidpref, tmp_path: Path, command: tuple[str, ...], report: str, words: str
) -> None:
    result = vidpref(*command, "--report", report)
    assert result.code == 1
    assert words in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [("stats", "--format", "yaml"), ("train", "--dataset", "d", "--aspect", "beauty")],
)
def test_names_the_choices_when_another_word_is_given(vidpref, words: tuple[str, ...]) -> None:
    result = vidpref(*words)
    assert result.code == 2
    assert ("json" if words[0] == "stats" else "motion_quality") in result.err


def test_serves_a_demo_at_the_port_of_the_settings_unless_another_is_given(
    vidpref, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ports: list[int] = []
    monkeypatch.setattr("app.demo.run_rounds", lambda *_, **__: LoopReport(seconds={}, rounds={}))
    monkeypatch.setattr("app.serve.serve", lambda root, config, **_: ports.append(config.port))
    vidpref("init", "--workspace", "demo-workspace")
    (tmp_path / "demo-workspace" / "config.toml").write_text("[server]\nport = 7999\n")
    assert vidpref("demo").code == 0
    assert vidpref("demo", "--port", "8001").code == 0
    assert ports == [7999, 8001]


def test_settings_that_are_no_table_are_refused(vidpref, tmp_path: Path) -> None:
    vidpref("init")
    (tmp_path / "workspace" / "config.toml").write_text("server = 3\n")
    result = vidpref("serve")
    assert result.code == 1
    assert "config.toml: server is 3; a table is needed" in result.err
