"""Media files of a workspace: taken in once, named by their content, never changed.

A clip lies in `media/<2 hex>/<SHA-256>/` as `original.<ext>` (the bytes that came), `normal.mp4` (what
browsers play) and `clip.json` (what decoding found). The folder appears in one rename, so it is there whole
or not at all.
"""

import hashlib
import json
import os
import secrets
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

from storage.clips import ClipInfo, ClipLimits, Frames, write_clip
from storage.errors import MediaRefused
from storage.journal import sync_folder
from storage.records import Media
from storage.workspace import Workspace

_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".mpg", ".mpeg", ".ts", ".ogv"}
)
_START_TIMEOUT_S = 60.0


def media_folder(workspace: Workspace, media_id: str) -> Path:
    """Return where a clip lies."""
    return workspace.media_dir / media_id[:2] / media_id


def media_file(workspace: Workspace, media_id: str, kind: Literal["normal", "original"] = "normal") -> Path:
    """Return the path of a stored file.

    Raises:
        FileNotFoundError: The workspace has no such file.
    """
    folder = media_folder(workspace, media_id)
    pattern = "normal.mp4" if kind == "normal" else "original.*"
    found = sorted(folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{folder} has no {pattern}: the media folder was changed from outside")
    return found[0]


class MediaStore:
    """Takes clips in. Holds one limited process that decodes them; threads take turns."""

    def __init__(self, workspace: Workspace, *, limits: ClipLimits | None = None) -> None:
        self._workspace = workspace
        self._limits = limits or ClipLimits()
        self._worker = _Worker()
        self._lock = threading.Lock()

    def ingest(self, path: Path) -> Media:
        """Check a file, keep it, and make the copy that browsers play.

        A file known by content is not made again. The caller writes the returned record, and a `VideoMedia`
        for it.

        Raises:
            MediaRefused: It is no clip, is damaged, too large, or takes too long to decode.
        """
        _check_file(path, self._limits)
        with self._lock, self._temporary_folder() as name:
            folder = Path(name)
            suffix = path.suffix.lower() if path.suffix.lower() in _SUFFIXES else ".bin"
            original = folder / f"original{suffix}"
            media_id = _copy(path, original)
            known = media_folder(self._workspace, media_id)
            if not (known / "clip.json").is_file():
                self._take_in(path, original, known)
            return _media(media_id, known)

    def ingest_frames(self, frames: Frames, fps: float, *, lossless: bool = True) -> Media:
        """Keep frames as a clip; without loss they come back bit for bit, and equal frames get one file.

        Raises:
            ValueError: The frames are not uint8 `[F, H, W, 3]`.
        """
        with self._temporary_folder() as name:
            path = Path(name) / "frames.mp4"
            write_clip(frames, path, fps=fps, lossless=lossless)
            return self.ingest(path)

    def _temporary_folder(self) -> "tempfile.TemporaryDirectory[str]":
        fresh = self._workspace.media_dir / "incoming"
        fresh.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=fresh)

    def _take_in(self, path: Path, original: Path, target: Path) -> None:
        normal = original.parent / "normal.mp4"
        try:
            clip = self._worker.normalise(original, normal, self._limits)
        except MediaRefused as error:
            raise MediaRefused(path, error.reason) from None
        (original.parent / "clip.json").write_text(json.dumps(clip))
        for file in (original, normal):
            _sync(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        # The temporary folder itself is removed afterwards, so its files move by way of a second one.
        staged = original.parent.parent / secrets.token_hex(8)
        staged.mkdir()
        for file in (original, normal, original.parent / "clip.json"):
            file.rename(staged / file.name)
        if target.exists():
            shutil.rmtree(target)  # left without its clip.json by an interrupted copy of the workspace
        staged.rename(target)
        sync_folder(target.parent)

    def close(self) -> None:
        """End the process."""
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_file(path: Path, limits: ClipLimits) -> None:
    """Refuse what can be refused without reading it."""
    try:
        found = path.stat()
    except OSError as error:
        raise MediaRefused(path, f"cannot be read ({error.strerror}); check the name") from error
    if not stat.S_ISREG(found.st_mode):
        raise MediaRefused(path, "is no ordinary file; give a video file")
    if found.st_size == 0:
        raise MediaRefused(path, "is empty; make or download it again")
    if found.st_size > limits.max_bytes:
        raise MediaRefused(
            path,
            f"has {found.st_size >> 20} MiB; at most {limits.max_bytes >> 20} MiB are taken; make it smaller",
        )


def _copy(source: Path, target: Path) -> str:
    """Copy a file and return the SHA-256 of the copy."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(1 << 20):
            digest.update(block)
            writing.write(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _media(media_id: str, folder: Path) -> Media:
    clip = ClipInfo(**json.loads((folder / "clip.json").read_text()))
    original = next(folder.glob("original.*"))
    return Media(
        media_id=media_id, original_name=original.name, size_bytes=original.stat().st_size, **asdict(clip)
    )


class _Worker:
    """The process of `storage.media_worker`, started when first needed and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def normalise(self, source: Path, target: Path, limits: ClipLimits) -> dict[str, Any]:
        """Decode and normalise one file; return the fields of its `ClipInfo`.

        Raises:
            MediaRefused: The file is refused, takes too long, or made the process die.
        """
        process = self._running()
        request = {"source": str(source), "target": str(target), "limits": asdict(limits)}
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer = self._answer(process, limits.timeout_s)
        except TimeoutError:
            self.close()
            reason = (
                f"takes more than {limits.timeout_s:.0f} s to decode; cut it into shorter or smaller clips"
            )
            raise MediaRefused(source, reason) from None
        except (EOFError, BrokenPipeError):
            self.close()
            raise MediaRefused(source, "made the decoder crash; the file is damaged") from None
        if "refused" in answer:
            raise MediaRefused(source, answer["refused"])
        clip: dict[str, Any] = answer["clip"]
        return clip

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        root = str(Path(__file__).resolve().parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
        process = subprocess.Popen(
            [sys.executable, "-m", "storage.media_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        self._process = process
        try:
            self._answer(process, _START_TIMEOUT_S)
        except (EOFError, TimeoutError) as error:
            self.close()
            errors.seek(0)
            told = errors.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"the process that decodes clips does not start: {told}") from error
        finally:
            errors.close()
        return process

    def _answer(self, process: "subprocess.Popen[bytes]", timeout_s: float) -> dict[str, Any]:
        assert process.stdout is not None
        deadline, read = time.monotonic() + timeout_s, b""
        while not read.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                raise TimeoutError
            block = os.read(process.stdout.fileno(), 65536)
            if not block:
                raise EOFError
            read += block
        answer: dict[str, Any] = json.loads(read)
        return answer

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # it died before it read the request; there is nothing to flush to
                    continue
