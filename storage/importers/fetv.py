"""Import of FETV: prompts, five sources of videos, ratings of three people, automatic metrics, clips.

Liu et al., "FETV: A Benchmark for Fine-Grained Evaluation of Open-Domain Text-to-Video Generation", 2023,
arXiv 2311.01813. The folder is laid out as in the public evaluation repository; clips lie, where there are
any, in `clips/<source>/<prompt number>.mp4`.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.errors import MediaRefused
from storage.importers.report import (
    ImportRefused,
    ImportReport,
    Ingest,
    Progress,
    no_progress,
)
from storage.importers.rows import Row, RowRefused, prompt_of, read_json_lines, text_of
from storage.ratings import canonical_aspect
from storage.records import (
    Generator,
    Prompt,
    Rater,
    RaterKind,
    Rating,
    Record,
    Video,
    VideoMedia,
    record_id,
)
from storage.store import Store
from storage.videos import media_of

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
_CLIP_BATCH = 32


@dataclass(slots=True)
class _Import:
    """What is known of the folder while it is read."""

    folder: Path
    report: ImportReport
    prompts: dict[int, Prompt]
    source_ids: dict[int, str | None]
    """The source's own id of each prompt's video; rows that name another one are refused."""
    videos: dict[tuple[str, int], Video]
    raters: dict[str, Rater]
    ratings: dict[str, Rating]


def import_fetv(store: Store, media: Ingest, path: Path, *, progress: Progress = no_progress) -> ImportReport:
    """Import an FETV folder. What is there already stays as it is, so that a second run changes nothing.

    A clip that has appeared since the last run is attached to its video.

    Raises:
        ImportRefused: there is no `fetv_data.json` in the folder.
    """
    found = _Import(path, ImportReport(), {}, {}, {}, {}, {})
    _read_prompts(found)
    _read_manual(found)
    _read_metrics(found)
    clips = list(_clips(found))
    report = found.report
    generators = [_generator(name) for name in sorted({name for name, _ in found.videos})]
    for kind, records in (
        ("prompts", found.prompts.values()),
        ("generators", generators),
        ("raters", found.raters.values()),
        ("videos", [found.videos[key] for key in sorted(found.videos)]),
        ("ratings", found.ratings.values()),
    ):
        report.write(store, kind, list(records), progress=progress)
    _attach_clips(store, media, clips, report=report, progress=progress)
    return report


def _read_prompts(found: _Import) -> None:
    file = found.folder / "fetv_data.json"
    if not file.is_file():
        raise ImportRefused(f"{file}: not found; name the folder that holds fetv_data.json")
    for row in read_json_lines(file, found.report):
        try:
            prompt = _prompt(row)
        except RowRefused as refusal:
            found.report.refuse(file, row.line, str(refusal))
            continue
        found.prompts[row.line - 1] = prompt
        found.source_ids[row.line - 1] = text_of(row.values, "video_id") or None


def _prompt(row: Row) -> Prompt:
    number, values = row.line - 1, row.values
    content, control = _part(values, "major content"), _part(values, "attribute control")
    tags = {
        "content": _names(content, "spatial"),
        "attribute": _names(control, "spatial") + _names(control, "temporal"),
        "attribute_spatial": _names(control, "spatial"),
        "attribute_temporal": _names(control, "temporal"),
        "complexity": _names(values, "prompt complexity"),
        "unusual": _names(values, "unusual type"),
        "source": _names(values, "source"),
    }
    return Prompt(
        prompt_id=record_id("prompt", SOURCE, number),
        text=prompt_of(values),
        categories=_names(content, "temporal"),
        tags={name: tag for name, tag in tags.items() if tag},
        source=SOURCE,
    )


def _part(values: dict[str, object], name: str) -> dict[str, object]:
    part = values.get(name)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise RowRefused(f"{name!r} is {part!r}; it must be an object")
    return part


def _names(values: dict[str, object], name: str) -> tuple[str, ...]:
    value = values.get(name)
    names = value if isinstance(value, list) else [value]
    texts = [text_of({name: one}, name) for one in names]
    return tuple(dict.fromkeys(text for text in texts if text))


def _read_manual(found: _Import) -> None:
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


def _read_metrics(found: _Import) -> None:
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


def _source_files(found: _Import, folder: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    for file in sorted(folder.glob(f"{prefix}*.json")):
        source = _SOURCE_OF.get(file.stem.removeprefix(prefix))
        if source is None:
            found.report.refuse(file, 1, f"unknown source; known: {', '.join(sorted(_SOURCE_OF))}")
        else:
            yield file, source


def _take(found: _Import, file: Path, line: int, seen: set[str], key: str, ratings: Iterable[Rating]) -> None:
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


def _manual_ratings(found: _Import, rater: Rater, source: str, key: str, value: object) -> Iterator[Rating]:
    number = _number_of(found, key)
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


def _metric_ratings(found: _Import, rater: Rater, source: str, key: str, value: object) -> Iterator[Rating]:
    number = _number_of(found, key)
    scale = _METRIC_SCALES.get(rater.name)
    low, high = scale or (-math.inf, math.inf)
    score = _score(rater.name, value, low=low, high=high)
    yield _rating(found, rater, source, number, "text_alignment", score, scale, None)


def _number_of(found: _Import, key: str) -> int:
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
    found: _Import,
    rater: Rater,
    source: str,
    number: int,
    aspect: str,
    value: float,
    scale: tuple[float, float] | None,
    comment: str | None,
) -> Rating:
    video = _video(found, source, number)
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


def _video(found: _Import, source: str, number: int) -> Video:
    key = f"{source}/{number}"
    video = Video(
        video_id=record_id("video", SOURCE, key),
        prompt_id=found.prompts[number].prompt_id,
        generator_id=_generator(source).generator_id,
        source_key=key,
    )
    return found.videos.setdefault((source, number), video)


def _generator(name: str) -> Generator:
    return Generator(
        generator_id=record_id("generator", name),
        name=name,
        family="external",
        model="",
        aliases=ALIASES[name],
    )


def _rater(found: _Import, name: str, kind: RaterKind) -> Rater:
    rater = Rater(rater_id=record_id("rater", name), name=name, kind=kind, details={"source": SOURCE})
    return found.raters.setdefault(name, rater)


def _clips(found: _Import) -> Iterator[tuple[Path, Video]]:
    folder = found.folder / "clips"
    if not folder.is_dir():
        found.report.notices.append(f"no clips: {folder} is missing; videos go in without files")
        return
    for file in sorted(
        folder.glob("*/*.mp4"), key=lambda file: (file.parent.name, len(file.stem), file.stem)
    ):
        source = _SOURCE_OF.get(file.parent.name)
        try:
            if source is None:
                raise RowRefused(
                    f"unknown source {file.parent.name!r}; known: {', '.join(sorted(_SOURCE_OF))}"
                )
            yield file, _video(found, source, _number_of(found, file.stem))
        except RowRefused as refusal:
            found.report.refuse(file, 1, str(refusal))


def _attach_clips(
    store: Store,
    media: Ingest,
    clips: list[tuple[Path, Video]],
    *,
    report: ImportReport,
    progress: Progress,
) -> None:
    shown = media_of(store, [video.video_id for _, video in clips])
    missing = [(file, video) for file, video in clips if video.video_id not in shown]
    report.skipped += len(clips) - len(missing)
    report.added.setdefault("clips", 0)
    for start in range(0, len(missing), _CLIP_BATCH):
        batch = missing[start : start + _CLIP_BATCH]
        records: list[Record] = []
        for file, video in batch:
            try:
                stored = media.ingest(file)
            except MediaRefused as refusal:
                report.refuse(file, 1, refusal.reason)
                continue
            records += [stored, VideoMedia(video_id=video.video_id, media_id=stored.media_id)]
        store.write(records)
        report.added["clips"] += len(records) // 2
        progress("import clips", start + len(batch), len(missing))
