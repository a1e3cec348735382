"""Import of anybody's own clips: a folder, and a CSV or JSON-lines file that says what each clip shows.

Columns: `file` (relative to the folder), `prompt`; and if wanted `category` (several with `;` between them),
`generator` and `seed`.
"""

from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from storage.errors import MediaRefused
from storage.generators import list_generators
from storage.importers.prompts import plain_prompt
from storage.importers.report import ImportRefused, ImportReport, Ingest, Progress, no_progress
from storage.importers.rows import Row, RowRefused, categories_of, prompt_of, read_rows, seed_of, text_of
from storage.records import Generator, Media, Prompt, Record, Video, VideoMedia, record_id
from storage.store import Store

SOURCE = "videos"
UNNAMED_GENERATOR = "imported"
_KNOWN_COLUMNS = frozenset({"file", "prompt", "category", "generator", "seed"})
_BATCH = 32


@dataclass(frozen=True, slots=True)
class _Clip:
    """A row that passed every check but decoding."""

    line: int
    path: Path
    source_key: str
    prompt: Prompt
    generator: Generator
    seed: int | None


@dataclass(slots=True)
class _Import:
    directory: Path
    prompts_file: Path
    report: ImportReport
    generators: dict[str, Generator]
    """By lower-case name and alias."""
    line_of: dict[str, int] = field(default_factory=dict)
    """The line that first used each file."""
    line_of_video: dict[str, int] = field(default_factory=dict)


def import_videos(
    store: Store,
    media: Ingest,
    directory: Path,
    prompts_file: Path,
    *,
    progress: Progress = no_progress,
) -> ImportReport:
    """Import clips with their prompts, and report the rows that cannot go in.

    A video is named by its clip's content, prompt, generator and seed, so that a second run changes nothing.
    A row is refused, and the others go in, when a field is wrong, its file lies outside the folder or comes
    twice, or the clip cannot be decoded.

    Raises:
        ImportRefused: the folder or the file cannot be read, or a column is missing.
    """
    if not directory.is_dir():
        raise ImportRefused(f"{directory}: not a folder; name the folder that the clips lie in")
    known = {
        spelling.casefold(): one for one in list_generators(store) for spelling in (one.name, *one.aliases)
    }
    found = _Import(directory.resolve(), prompts_file, ImportReport(), known)
    clips = _read_clips(found)
    for start in range(0, len(clips), _BATCH):
        batch = clips[start : start + _BATCH]
        _take_in(store, media, batch, found)
        progress("import clips", start + len(batch), len(clips))
    return found.report


def _read_clips(found: _Import) -> list[_Clip]:
    clips, ignored = [], set()
    for row in read_rows(found.prompts_file, required=("file", "prompt"), report=found.report):
        ignored |= set(row.values) - _KNOWN_COLUMNS
        try:
            clips.append(_clip(found, row))
        except RowRefused as refusal:
            found.report.refuse(found.prompts_file, row.line, str(refusal))
    if ignored:
        names = ", ".join(sorted(ignored))
        found.report.notices.append(f"columns not used: {names} (known: {', '.join(sorted(_KNOWN_COLUMNS))})")
    return clips


def _clip(found: _Import, row: Row) -> _Clip:
    path = _path_inside(found.directory, text_of(row.values, "file", max_chars=1000))
    key = path.relative_to(found.directory).as_posix()
    prompt = plain_prompt(prompt_of(row.values), categories_of(row.values), source=SOURCE)
    name, seed = text_of(row.values, "generator") or UNNAMED_GENERATOR, seed_of(row.values)
    first = found.line_of.setdefault(key, row.line)
    if first != row.line:
        raise RowRefused(f"{key} was used in line {first} already")
    fresh = Generator(generator_id=record_id("generator", name), name=name, family="external", model="")
    return _Clip(row.line, path, key, prompt, found.generators.setdefault(name.casefold(), fresh), seed)


def _path_inside(directory: Path, name: str) -> Path:
    """Return the file of this name in the folder, links followed.

    Raises:
        RowRefused: there is none, or it lies elsewhere.
    """
    if not name:
        raise RowRefused("file is empty")
    if Path(name).is_absolute() or PureWindowsPath(name).drive or ".." in Path(name).parts:
        raise RowRefused(f"file is {name!r}; it must be a path inside the folder, without '..'")
    try:
        path = (directory / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise RowRefused(f"there is no file {name!r} in the folder") from error
    if not path.is_relative_to(directory):
        raise RowRefused(f"{name!r} is a link that leads out of the folder")
    if not path.is_file():
        raise RowRefused(f"{name!r} is no file")
    return path


def _take_in(store: Store, media: Ingest, clips: list[_Clip], found: _Import) -> None:
    records: dict[str, list[Record]] = {
        kind: [] for kind in ("prompts", "generators", "clips", "videos", "links")
    }
    for clip in clips:
        try:
            stored = media.ingest(clip.path)
            video = _video(found, clip, stored)
        except (MediaRefused, RowRefused) as refusal:
            reason = (
                f"{clip.source_key}: {refusal.reason}" if isinstance(refusal, MediaRefused) else str(refusal)
            )
            found.report.refuse(found.prompts_file, clip.line, reason)
            continue
        records["prompts"].append(clip.prompt)
        records["generators"].append(clip.generator)
        records["clips"].append(stored)
        records["videos"].append(video)
        records["links"].append(VideoMedia(video_id=video.video_id, media_id=stored.media_id))
    _write(store, records, found.report)


def _write(store: Store, records: dict[str, list[Record]], report: ImportReport) -> None:
    """Write one batch; what is counted as there already are videos alone, for those are the rows."""
    for kind, batch in records.items():
        num_new = store.write(batch) if batch else 0
        if kind != "links":
            report.added[kind] = report.added.get(kind, 0) + num_new
        if kind == "videos":
            report.skipped += len(batch) - num_new


def _video(found: _Import, clip: _Clip, stored: Media) -> Video:
    seed = "" if clip.seed is None else clip.seed
    video = Video(
        video_id=record_id(
            "video", SOURCE, stored.media_id, clip.prompt.prompt_id, clip.generator.generator_id, seed
        ),
        prompt_id=clip.prompt.prompt_id,
        generator_id=clip.generator.generator_id,
        seed=clip.seed,
        source_key=clip.source_key,
    )
    first = found.line_of_video.setdefault(video.video_id, clip.line)
    if first != clip.line:
        raise RowRefused(f"{clip.source_key} is the same clip, prompt, generator and seed as line {first}")
    return video
