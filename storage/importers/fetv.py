"""Import of FETV: prompts, five sources of videos, ratings of three people, automatic metrics, clips.

Liu et al., "FETV: A Benchmark for Fine-Grained Evaluation of Open-Domain Text-to-Video Generation", 2023,
arXiv 2311.01813. The folder is laid out as in the public evaluation repository; clips lie, where there are
any, in `clips/<source>/<prompt number>.mp4`.
"""

from collections.abc import Iterator
from pathlib import Path

from storage.errors import MediaRefused
from storage.importers.fetv_ratings import (
    SOURCE,
    FetvFolder,
    generator_of,
    number_of,
    read_manual,
    read_metrics,
    source_of,
    video_of,
)
from storage.importers.report import ImportRefused, ImportReport, Ingest, Progress, no_progress
from storage.importers.rows import Row, RowRefused, prompt_of, read_json_lines, text_of
from storage.records import Prompt, Record, Video, VideoMedia, record_id
from storage.store import Store
from storage.videos import media_of

_CLIP_BATCH = 32


def import_fetv(store: Store, media: Ingest, path: Path, *, progress: Progress = no_progress) -> ImportReport:
    """Import an FETV folder. What is there already stays as it is, so that a second run changes nothing.

    A clip that has appeared since the last run is attached to its video.

    Raises:
        ImportRefused: there is no `fetv_data.json` in the folder.
    """
    found = FetvFolder(path)
    _read_prompts(found)
    read_manual(found)
    read_metrics(found)
    clips = list(_clips(found))
    report = found.report
    generators = [generator_of(name) for name in sorted({name for name, _ in found.videos})]
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


def _read_prompts(found: FetvFolder) -> None:
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


def _clips(found: FetvFolder) -> Iterator[tuple[Path, Video]]:
    folder = found.folder / "clips"
    if not folder.is_dir():
        found.report.notices.append(f"no clips: {folder} is missing; videos go in without files")
        return
    for file in sorted(
        folder.glob("*/*.mp4"), key=lambda file: (file.parent.name, len(file.stem), file.stem)
    ):
        try:
            source = source_of(file.parent.name)
            yield file, video_of(found, source, number_of(found, file.stem))
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
