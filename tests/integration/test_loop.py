"""The whole loop on the shipped tiny model, small enough for a test: real sampling, judging and training."""

import json
import shutil
from pathlib import Path

import httpx
import pytest

from app.accounts import add_user, create_token
from app.generation import plan_videos, sample_missing
from app.loop_session import RoundsRequest, judged_by_people, run_rounds
from app.prompts import ensure_tiny_prompts
from app.rounds import RoundConfig, newest_generator
from app.setup import create_workspace
from app.training_runs import train_dataset
from storage.errors import UnknownName, VidprefError
from storage.export_reader import read_dataset
from storage.generators import base_of, find_generator, list_generators
from storage.importers.prompts import import_prompts
from storage.judgments import list_judgments
from storage.media import MediaStore, media_file
from storage.pairs import list_pairs
from storage.prompts import list_prompts
from storage.records import Pair, RaterKind, Role, RunStatus, Split
from storage.rounds import list_datasets, list_rounds, list_runs
from storage.stats import stats
from storage.store import Store
from storage.videos import list_videos, media_of
from training import tiny
from training.run_folder import TrainResult

pytestmark = pytest.mark.slow
CATEGORY = tiny.CATEGORIES[0]
SMALL = RoundConfig(
    num_prompts=4, per_prompt=2, num_eval_prompts=2, eval_per_prompt=2, num_steps=3, batch_size=4
)


def request(rounds: int = 1) -> RoundsRequest:
    return RoundsRequest(categories=(CATEGORY,), rounds=rounds, config=SMALL)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after one round."""
    root = tmp_path_factory.mktemp("loop") / "workspace"
    create_workspace(root)
    report = run_rounds(root, request(), say=lambda line: None)
    (root / "report.json").write_text(report.as_json())
    return root


def test_round_leaves_a_complete_ledger_line_and_lineage(finished: Path) -> None:
    with Store.open(finished) as store:
        (round_record,) = list_rounds(store, category=CATEGORY)
        tuned = newest_generator(store, CATEGORY)
        assert round_record.generator_id == tuned.generator_id
        assert base_of(store, tuned).name == "tiny"
        assert (finished / str(tuned.adapter)).is_dir()
        assert [run.run_id for run in list_runs(store)] == [round_record.run_id]
        assert [dataset.dataset_id for dataset in list_datasets(store)] == [round_record.dataset_id]


def test_round_pushes_new_samples_back_as_pairs_to_judge(finished: Path) -> None:
    with Store.open(finished) as store:
        tuned = newest_generator(store, CATEGORY)
        new = {
            video.video_id for video in list_videos(store, generator_id=tuned.generator_id, split=Split.TRAIN)
        }
        pushed = list_pairs(store, round=2)
        assert len(new) == SMALL.num_prompts * SMALL.per_prompt
        assert pushed
        assert all({pair.video_a_id, pair.video_b_id} <= new for pair in pushed)


def test_held_out_prompts_never_become_pairs(finished: Path) -> None:
    with Store.open(finished) as store:
        held_out = {prompt.prompt_id for prompt in list_prompts(store, split=Split.EVAL)}
        assert held_out
        assert not held_out & {pair.prompt_id for pair in list_pairs(store)}


def test_report_has_the_documented_form(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text())
    assert report["seconds"]["loop"] > 0
    result = report["categories"][CATEGORY]
    low, high = result["ci95"]
    assert 0 <= low <= result["win_rate"] <= high <= 1
    assert result["num_pairs"] == SMALL.num_eval_prompts * SMALL.eval_per_prompt
    for side in ("base", "tuned"):
        assert set(result[side]) == {"right_action", "right_color", "flicker", "smoothness", "motion"}


def test_dataset_of_the_round_reads_back_with_its_clips(finished: Path) -> None:
    with Store.open(finished) as store:
        (record,) = list_datasets(store)
        dataset = read_dataset(store.workspace.root / record.path)
    assert dataset.pairs
    frames = dataset.frames(next(iter(dataset.videos)))
    assert frames.ndim == 4 and frames.shape[-1] == 3


def test_second_round_starts_from_the_first_rounds_generator(finished: Path) -> None:
    with Store.open(finished) as store:
        first = newest_generator(store, CATEGORY)
        pairs_pushed_back = {pair.pair_id for pair in list_pairs(store, round=2)}
    run_rounds(finished, request(), say=lambda line: None)
    with Store.open(finished) as store:
        second = newest_generator(store, CATEGORY)
        assert second.parent_id == first.generator_id
        assert [line.number for line in list_rounds(store, category=CATEGORY)] == [1, 2]
        assert {pair.pair_id for pair in list_pairs(store, round=2)} == pairs_pushed_back


def test_repeating_a_finished_demo_runs_no_further_round(finished: Path) -> None:
    with Store.open(finished) as store:
        before = stats(store)
    repeated = RoundsRequest(categories=(CATEGORY,), rounds=1, total=True, config=SMALL)
    report = run_rounds(finished, repeated, say=lambda line: None)
    with Store.open(finished) as store:
        assert stats(store) == before
    assert len(report.rounds[CATEGORY]) == 1


class Ana:
    """The only person of a workspace, who judges or skips what a round waits for."""

    def __init__(self, root: Path, *, skips: bool = False) -> None:
        self.skips = skips
        self.lines: list[str] = []
        self.num_given = 0
        with Store.open(root) as store:
            add_user(store, "ana", Role.ANNOTATOR, None)
            self.headers = {"Authorization": f"Bearer {create_token(store, 'ana')}"}

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if "http" not in line:
            return
        with httpx.Client(base_url=line.split()[-1], headers=self.headers) as client:
            while given := self.given(client):
                self.num_given += 1
                path = f"/api/v1/assignments/{given['assignment_id']}"
                if self.skips:
                    client.post(f"{path}/skip", json={"reason": "dull"}).raise_for_status()
                else:
                    body = {"answers": {"overall": "left"}}
                    client.put(f"{path}/judgments", json=body).raise_for_status()

    def given(self, client: httpx.Client) -> dict[str, str] | None:
        answer = client.post("/api/v1/assignments", json={}).raise_for_status()
        return answer.json() if answer.status_code == 201 else None


def add_older_pair(root: Path) -> Pair:
    """Add an open pair of another category, older than those of any round."""
    other = tiny.CATEGORIES[1]
    with Store.open(root) as store, MediaStore(store.workspace) as media:
        ensure_tiny_prompts(store, other)
        prompts = list_prompts(store, category=other, split=Split.TRAIN)[:1]
        tiny_base = find_generator(store, "tiny")
        one, two = sample_missing(
            store, media, generator=tiny_base, prompts=prompts, per_prompt=2, seed=3, batch_size=2
        )
        pair = Pair(
            pair_id="older",
            prompt_id=prompts[0].prompt_id,
            video_a_id=one.video_id,
            video_b_id=two.video_id,
            strategy="all_pairs",
            raters_per_pair=1,
        )
        store.write([pair])
    return pair


def test_round_waits_for_people_and_their_votes_on_its_pairs_become_the_labels(tmp_path: Path) -> None:
    create_workspace(tmp_path / "w")
    older = add_older_pair(tmp_path / "w")
    ana = Ana(tmp_path / "w")

    people = RoundsRequest(categories=(CATEGORY,), people=1, port=0, config=SMALL)
    run_rounds(tmp_path / "w", people, say=ana)

    with Store.open(tmp_path / "w") as store:
        judgments = list_judgments(store, kind=RaterKind.HUMAN)
        (line,) = list_rounds(store, category=CATEGORY)
        dataset = read_dataset(store.workspace.root / list_datasets(store)[0].path)
    assert ana.num_given == len(judgments) > 0
    assert older.pair_id not in {judgment.pair_id for judgment in judgments}
    winners = {pair.pair_id: pair.winner_id for pair in dataset.pairs if pair.aspect == "overall"}
    assert all(winners[judgment.pair_id] == judgment.left_video_id for judgment in judgments)
    assert line.dataset_id == dataset.dataset_id


def test_round_goes_on_when_nobody_is_left_to_judge_its_pairs(tmp_path: Path) -> None:
    create_workspace(tmp_path / "w")
    ana = Ana(tmp_path / "w", skips=True)

    people = RoundsRequest(categories=(CATEGORY,), people=1, port=0, config=SMALL)
    run_rounds(tmp_path / "w", people, say=ana)

    assert ana.num_given > 0
    assert any("going on with 0 of 1" in line for line in ana.lines)
    with Store.open(tmp_path / "w") as store:
        assert len(list_rounds(store, category=CATEGORY)) == 1
        assert not list_judgments(store, kind=RaterKind.HUMAN)


def test_round_that_waits_for_people_needs_an_account(tmp_path: Path) -> None:
    create_workspace(tmp_path / "w")
    with pytest.raises(VidprefError, match="users add"):
        run_rounds(
            tmp_path / "w",
            RoundsRequest(categories=(CATEGORY,), people=1, config=SMALL),
            say=lambda line: None,
        )


def test_interrupted_round_goes_on_without_doubling_anything(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop_in_training(label: str, done: int, total: int) -> None:
        if label.startswith("train"):
            raise Stop

    create_workspace(tmp_path / "w")
    with pytest.raises(Stop):
        run_rounds(tmp_path / "w", request(), progress=stop_in_training, say=lambda line: None)
    with Store.open(tmp_path / "w") as store:
        before = stats(store)
        assert not list_rounds(store)
    run_rounds(tmp_path / "w", request(), say=lambda line: None)
    with Store.open(tmp_path / "w") as store:
        after = stats(store)
        assert len(list_rounds(store)) == 1
        assert after["runs"] == 1 and after["datasets"] == 1
        assert before["videos"] == SMALL.num_prompts * SMALL.per_prompt
        judged = [(j.pair_id, j.rater_id, j.aspect) for j in list_judgments(store)]
        assert len(judged) == len(set(judged))


def test_same_seed_gives_the_same_bytes_in_two_workspaces(tmp_path: Path) -> None:
    names: list[list[str]] = []
    for folder, batch in (("one", 3), ("two", 3)):
        create_workspace(tmp_path / folder)
        with Store.open(tmp_path / folder) as store, MediaStore(store.workspace) as media:
            ensure_tiny_prompts(store, CATEGORY)
            prompts = list_prompts(store, category=CATEGORY, split=Split.TRAIN)[:2]
            generator = find_generator(store, "tiny")
            videos = sample_missing(
                store, media, generator=generator, prompts=prompts, per_prompt=2, seed=7, batch_size=batch
            )
            found = media_of(store, [video.video_id for video in videos])
            names.append([found[video.video_id].media_id for video in videos])
            assert all(media_file(store.workspace, name, kind="normal").exists() for name in names[-1])
    assert names[0] == names[1]
    assert len(set(names[0])) == 4


def test_sampling_an_imported_source_says_it_has_no_model(tmp_path: Path) -> None:
    from storage.records import Generator

    create_workspace(tmp_path / "w")
    external = Generator(generator_id="e", name="clips", family="external", model="")
    with Store.open(tmp_path / "w") as store, MediaStore(store.workspace) as media:
        store.write([external])
        ensure_tiny_prompts(store, CATEGORY)
        prompts = list_prompts(store, category=CATEGORY)
        with pytest.raises(ValueError, match="imported source"):
            sample_missing(store, media, generator=external, prompts=prompts, per_prompt=1, seed=0)
        assert external in list_generators(store)


def test_round_of_an_unknown_category_names_the_known_ones(tmp_path: Path) -> None:
    create_workspace(tmp_path / "w")
    with pytest.raises(UnknownName, match=CATEGORY):
        run_rounds(tmp_path / "w", RoundsRequest(categories=("juggle",), config=SMALL), say=lambda line: None)


def write_prompts(path: Path, *, splits: tuple[str, ...]) -> Path:
    rows = [f"boat {number} of {split},boats,{split}" for split in splits for number in range(3)]
    path.write_text("\n".join(["prompt,category,split", *rows]) + "\n")
    return path


def test_round_of_imported_prompts_is_compared_by_the_scorer_and_says_so(tmp_path: Path) -> None:
    create_workspace(tmp_path / "w")
    with Store.open(tmp_path / "w") as store:
        import_prompts(store, write_prompts(tmp_path / "p.csv", splits=("train", "eval")))
    report = run_rounds(
        tmp_path / "w", RoundsRequest(categories=("boats",), config=SMALL), say=lambda line: None
    )
    (result,) = report.rounds["boats"]
    assert result.judged_by == "builtin"
    assert set(result.base) == {"visual_quality", "motion_quality", "text_alignment", "overall"}
    with Store.open(tmp_path / "w") as store:
        (line,) = list_rounds(store, category="boats")
    assert line.report["judged_by"] == "builtin"


def test_round_without_held_out_prompts_is_refused_before_any_work(tmp_path: Path) -> None:
    create_workspace(tmp_path / "w")
    with Store.open(tmp_path / "w") as store:
        import_prompts(store, write_prompts(tmp_path / "p.csv", splits=("train",)))
    with pytest.raises(VidprefError, match="split"):
        run_rounds(tmp_path / "w", RoundsRequest(categories=("boats",), config=SMALL), say=lambda line: None)
    with Store.open(tmp_path / "w") as store:
        assert stats(store)["videos"] == 0


def test_people_are_counted_per_pair_and_models_are_not(finished: Path) -> None:
    with Store.open(finished) as store:
        pairs = list_pairs(store)
        kinds = {rater.kind for rater in _raters(store)}
        assert kinds == {RaterKind.MODEL}
        assert judged_by_people(store, pairs) == 0


def _raters(store: Store) -> list:  # type: ignore[type-arg]
    from storage.raters import list_raters

    return list_raters(store)


def test_plan_gives_every_generator_the_same_seeds(tmp_path: Path) -> None:
    create_workspace(tmp_path / "w")
    with Store.open(tmp_path / "w") as store:
        ensure_tiny_prompts(store, CATEGORY)
        prompts = list_prompts(store, category=CATEGORY)
        generator = find_generator(store, "tiny")
    plan = plan_videos(generator=generator, prompts=prompts, per_prompt=2, seed=1, settings={})
    again = plan_videos(generator=generator, prompts=prompts[::-1], per_prompt=2, seed=1, settings={})
    assert plan == again
    assert len({item.video_id for item in plan}) == len(plan)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (RuntimeError("out of memory"), RunStatus.FAILED),
        (OSError("no such disk"), RunStatus.FAILED),
        (KeyboardInterrupt(), None),
    ],
)
@pytest.mark.parametrize("through_a_round", [False, True])
def test_run_is_marked_failed_whatever_ended_it_but_an_interruption(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: BaseException,
    status: RunStatus | None,
    through_a_round: bool,
) -> None:
    root = tmp_path / "w"
    shutil.copytree(finished, root)
    with Store.open(root) as store:
        known = {run.run_id for run in list_runs(store)}
        dataset = list_datasets(store)[0].dataset_id

    def stop(*_: object, **__: object) -> TrainResult:
        raise end

    monkeypatch.setattr("training.train.train", stop)
    with pytest.raises(type(end)):
        if through_a_round:
            run_rounds(root, request(), say=lambda line: None)
        else:
            train_dataset(root, dataset=dataset, generator="tiny", seed=99)
    with Store.open(root) as store:
        (fresh,) = [run.run_id for run in list_runs(store) if run.run_id not in known]
        ends = store.cursor().execute("SELECT status, message FROM run_end WHERE run_id = ?", [fresh])
        expected = [] if status is None else [(status.value, f"{type(end).__name__}: {end}")]
        assert ends.fetchall() == expected
