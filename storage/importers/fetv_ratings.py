"""The ratings in an FETV folder, people's and metrics', and the videos they are about."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from storage.importers.report import ImportReport
from storage.importers.rows import RowRefused, read_json_lines
from storage.ratings import canonical_aspect
from storage.records import Generator, Prompt, Rater, RaterKind, Rating, Video, record_id

SOURCE = "fetv"
ALIASES = {
    "cogvideo": ("CogVideo",),
    "text2video-zero": ("Text2Video-Zero",),
    "modelscope-t2v": ("damo-text2video", "ModelScopeT2V"),
    "zeroscope": ("ZeroScope",),
    "ground-truth": (),
}
"""Our name of each source, and the other spellings of it."""

_SOURCE_OF = {spelling: name for name, others in ALIASES.items() for spelling in (name, *others)}
_RATED = ("static_quality", "temporal_quality", "alignment", "fine-grained_alignment")
_METRIC_SCALES: dict[str, tuple[float, float]] = {"Otter-VQA": (0.0, 1.0)}


@dataclass(slots=True)
class FetvFolder:
    """What is known of the folder while it is read."""

    folder: Path
    report: ImportReport = field(default_factory=ImportReport)
    prompts: dict[int, Prompt] = field(default_factory=dict)
    """By number: the line of `fetv_data.json`, from 0."""
    source_ids: dict[int, str | None] = field(default_factory=dict)
    """The source's own id of each prompt's video; rows that name another one are refused."""
    videos: dict[tuple[str, int], Video] = field(default_factory=dict)
    """By source and prompt number: those that some rating or clip is about."""
    raters: dict[str, Rater] = field(default_factory=dict)
    ratings: dict[str, Rating] = field(default_factory=dict)


def read_manual(found: FetvFolder) -> None:
    """Read people's ratings. The parts of a fine-grained rating become its mean, and its comment."""
    folders = sorted((found.folder / "manual_eval_results").glob("human*"))
    if not folders:
        found.report.notices.append(
            f"no ratings of people: {found.folder / 'manual_eval_results'} is missing"
        )
    for folder in folders:
        rater = _rater(found, f"{SOURCE}-{folder.name}", RaterKind.HUMAN)
        for file, source in _source_files(found, folder, "manual_eval_results_"):
            seen: set[str] = set()
            for row in read_json_lines(file, found.report):
                for key, value in row.values.items():
                    _take(found, file, row.line, seen, key, _manual_ratings(found, rater, source, key, value))


def read_metrics(found: FetvFolder) -> None:
    """Read the automatic metrics; all of them rate text alignment."""
    folders = sorted(folder for folder in (found.folder / "auto_eval_results").glob("*") if folder.is_dir())
    if not folders:
        found.report.notices.append(f"no automatic metrics: {found.folder / 'auto_eval_results'} is missing")
    for folder in folders:
        rater = _rater(found, folder.name, RaterKind.MODEL)
        for file, source in _source_files(found, folder, "auto_eval_results_"):
            seen: set[str] = set()
            for line, key, value in _metric_entries(file, found.report):
                _take(found, file, line, seen, key, _metric_ratings(found, rater, source, key, value))


def _metric_entries(file: Path, report: ImportReport) -> Iterator[tuple[int, str, object]]:
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        # Pairs, not a dict: a key that is there twice must be seen twice.
        pairs = json.loads(text, object_pairs_hook=list)
    except json.JSONDecodeError as error:
        report.refuse(file, error.lineno, f"not valid JSON: {error}")
        return
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        report.refuse(file, 1, "not a JSON object of prompt number and score")
        return
    position = 0
    for key, value in pairs:
        position = max(text.find(f'"{key}"', position), position)
        yield text.count("\n", 0, position) + 1, key, value


def _source_files(found: FetvFolder, folder: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    for file in sorted(folder.glob(f"{prefix}*.json")):
        try:
            yield file, source_of(file.stem.removeprefix(prefix))
        except RowRefused as refusal:
            found.report.refuse(file, 1, str(refusal))


def _take(
    found: FetvFolder, file: Path, line: int, seen: set[str], key: str, ratings: Iterable[Rating]
) -> None:
    """Keep the ratings of one row, all or none."""
    try:
        if key in seen:
            raise RowRefused(f"prompt {key!r} was rated above already")
        checked = list(ratings)
    except RowRefused as refusal:
        found.report.refuse(file, line, str(refusal))
        return
    seen.add(key)
    found.ratings.update((rating.rating_id, rating) for rating in checked)


def _manual_ratings(
    found: FetvFolder, rater: Rater, source: str, key: str, value: object
) -> Iterator[Rating]:
    number = number_of(found, key)
    if not isinstance(value, dict):
        raise RowRefused(f"the rating of prompt {key} is {value!r}; it must be an object")
    expected = found.source_ids[number]
    if expected is not None and value.get("video_id") != expected:
        raise RowRefused(f"prompt {key} is about {expected!r}, this row about {value.get('video_id')!r}")
    unknown = sorted(set(value) - {"video_id", *_RATED})
    if unknown:
        raise RowRefused(f"unknown aspect {', '.join(unknown)}; known: {', '.join(_RATED)}")
    scores = {name: value[name] for name in _RATED if value.get(name) is not None}
    if not scores:
        raise RowRefused(f"no rating of prompt {key}")
    for name, score in scores.items():
        parts = score if isinstance(score, dict) else {}
        mean = _mean(name, parts) if parts else _score(name, score, low=1.0, high=5.0)
        comment = json.dumps(parts, ensure_ascii=False) if parts else None
        yield _rating(found, rater, source, number, canonical_aspect(name), mean, (1.0, 5.0), comment)


def _mean(name: str, parts: dict[str, object]) -> float:
    scores = [_score(f"{name}/{attribute}", score, low=1.0, high=5.0) for attribute, score in parts.items()]
    return sum(scores) / len(scores)


def _metric_ratings(
    found: FetvFolder, rater: Rater, source: str, key: str, value: object
) -> Iterator[Rating]:
    number = number_of(found, key)
    scale = _METRIC_SCALES.get(rater.name)
    low, high = scale or (-math.inf, math.inf)
    score = _score(rater.name, value, low=low, high=high)
    yield _rating(found, rater, source, number, "text_alignment", score, scale, None)


def source_of(spelling: str) -> str:
    """Return our name of a source.

    Raises:
        RowRefused: it is none of FETV's.
    """
    if spelling not in _SOURCE_OF:
        raise RowRefused(f"unknown source {spelling!r}; known: {', '.join(sorted(_SOURCE_OF))}")
    return _SOURCE_OF[spelling]


def number_of(found: FetvFolder, key: str) -> int:
    """Return a prompt's number.

    Raises:
        RowRefused: it is no number, or no prompt has it.
    """
    number = int(key) if key.isdecimal() and len(key) < 10 else -1
    if number not in found.prompts:
        raise RowRefused(f"there is no prompt {key!r}; the prompts are the lines of fetv_data.json from 0")
    return number


def _score(name: str, value: object, *, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RowRefused(f"{name} is {value!r}; it must be a number")
    if not low <= value <= high:
        raise RowRefused(f"{name} is {value}; it must be from {low:g} to {high:g}")
    return float(value)


def _rating(
    found: FetvFolder,
    rater: Rater,
    source: str,
    number: int,
    aspect: str,
    value: float,
    scale: tuple[float, float] | None,
    comment: str | None,
) -> Rating:
    video = video_of(found, source, number)
    return Rating(
        rating_id=record_id("rating", rater.rater_id, video.video_id, aspect),
        video_id=video.video_id,
        rater_id=rater.rater_id,
        aspect=aspect,
        value=value,
        scale_low=scale[0] if scale else None,
        scale_high=scale[1] if scale else None,
        comment=comment,
    )


def video_of(found: FetvFolder, source: str, number: int) -> Video:
    """Return the video of a source for a prompt, and note that there is one."""
    key = f"{source}/{number}"
    video = Video(
        video_id=record_id("video", SOURCE, key),
        prompt_id=found.prompts[number].prompt_id,
        generator_id=generator_of(source).generator_id,
        source_key=key,
    )
    return found.videos.setdefault((source, number), video)


def generator_of(name: str) -> Generator:
    """Return the record of a source."""
    return Generator(
        generator_id=record_id("generator", name),
        name=name,
        family="external",
        model="",
        aliases=ALIASES[name],
    )


def _rater(found: FetvFolder, name: str, kind: RaterKind) -> Rater:
    rater = Rater(rater_id=record_id("rater", name), name=name, kind=kind, details={"source": SOURCE})
    return found.raters.setdefault(name, rater)
