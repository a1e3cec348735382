import hashlib
import os
import signal
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from storage.clips import ClipLimits, Frames, probe, read_frames, write_clip
from storage.errors import MediaRefused
from storage.media import MediaStore, media_file, media_folder
from storage.workspace import Workspace

Make = Callable[[int], Frames]


@pytest.fixture
def workspace(root: Path) -> Workspace:
    return Workspace(root)


@pytest.fixture
def media_store(workspace: Workspace) -> Iterator[MediaStore]:
    with MediaStore(workspace) as opened:
        yield opened


def _is_empty(workspace: Workspace) -> bool:
    return not [path for path in workspace.media_dir.rglob("*") if path.is_file()]


def test_keeps_the_original_and_makes_a_copy(
    workspace: Workspace, media_store: MediaStore, tmp_path: Path, clip: Make
) -> None:
    path = tmp_path / "My Clip.MP4"
    write_clip(clip(1), path, fps=8)
    media = media_store.ingest(path)

    assert media.media_id == hashlib.sha256(path.read_bytes()).hexdigest()
    assert media_file(workspace, media.media_id, "original").read_bytes() == path.read_bytes()
    assert media.original_name == "original.mp4"
    assert (media.width_px, media.height_px, media.num_frames, media.fps) == (64, 64, 9, 8.0)
    assert (media.codec, media.size_bytes, media.duration_s) == ("h264", path.stat().st_size, 1.125)
    assert probe(media_file(workspace, media.media_id)).width_px == 256
    assert list(workspace.media_dir.glob("incoming/*")) == []


def test_gives_frames_back_bit_for_bit(workspace: Workspace, media_store: MediaStore, clip: Make) -> None:
    media = media_store.ingest_frames(clip(1), 8)
    assert np.array_equal(read_frames(media_file(workspace, media.media_id, "original")), clip(1))


def test_does_not_make_a_known_clip_again(workspace: Workspace, media_store: MediaStore, clip: Make) -> None:
    first = media_store.ingest_frames(clip(1), 8)
    before = media_file(workspace, first.media_id).stat()
    second = media_store.ingest_frames(clip(1), 8)
    after = media_file(workspace, first.media_id).stat()
    assert second.media_id == first.media_id
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert media_store.ingest_frames(clip(2), 8).media_id != first.media_id


def test_refuses_a_file_that_is_no_clip(
    workspace: Workspace, media_store: MediaStore, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "zeros.mp4").write_bytes(bytes(100_000))
    (tmp_path / "empty.mp4").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((64, 64, 3), np.uint8))
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16_000))
    _write_sound(tmp_path / "sound.mp4")
    reasons = {
        "text.mp4": "is it a video file",
        "zeros.mp4": "is it a video file",
        "empty.mp4": "is empty",
        "image.png": "is it a video file",
        "sound.wav": "is it a video file",
        "sound.mp4": "sound only",
        "absent.mp4": "No such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(MediaRefused, match=reason) as refused:
            media_store.ingest(tmp_path / name)
        assert str(tmp_path / name) in str(refused.value)
    with pytest.raises(MediaRefused, match="no ordinary file"):
        media_store.ingest(tmp_path)
    assert _is_empty(workspace)


def _write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        for index in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, index * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_refuses_a_clip_that_was_cut_short(
    workspace: Workspace, media_store: MediaStore, tmp_path: Path, clip: Make
) -> None:
    write_clip(clip(1), tmp_path / "clip.mp4", fps=8)
    content = (tmp_path / "clip.mp4").read_bytes()
    (tmp_path / "clip.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(MediaRefused, match="cut short"):
        media_store.ingest(tmp_path / "clip.mp4")
    assert _is_empty(workspace)


def test_refuses_a_huge_sparse_file_without_reading_it(media_store: MediaStore, tmp_path: Path) -> None:
    with (tmp_path / "huge.mp4").open("wb") as file:
        file.truncate(4 << 30)
    start = time.monotonic()
    with pytest.raises(MediaRefused, match="has 4096 MiB; at most 2048 MiB are taken"):
        media_store.ingest(tmp_path / "huge.mp4")
    assert time.monotonic() - start < 1.0


def test_ends_a_clip_that_takes_too_long_and_goes_on(
    workspace: Workspace, tmp_path: Path, clip: Make
) -> None:
    with MediaStore(workspace) as media_store:
        media_store.ingest_frames(clip(1), 8)  # the process has started
        media_store._limits = ClipLimits(timeout_s=0.05)
        frames = np.random.default_rng(1).integers(0, 256, (60, 256, 256, 3), dtype=np.uint8)
        write_clip(frames, tmp_path / "slow.mp4", fps=8)
        with pytest.raises(MediaRefused, match="takes more than 0 s to decode"):
            media_store.ingest(tmp_path / "slow.mp4")
        media_store._limits = ClipLimits()
        assert media_store.ingest(tmp_path / "slow.mp4").num_frames == 60


def test_starts_the_process_again_when_it_dies(workspace: Workspace, clip: Make) -> None:
    with MediaStore(workspace) as media_store:
        media_store.ingest_frames(clip(1), 8)
        process = media_store._worker._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert media_store.ingest_frames(clip(2), 8).num_frames == 9


def test_refuses_the_clip_that_makes_the_process_die(
    workspace: Workspace, media_store: MediaStore, clip: Make
) -> None:
    media_store.ingest_frames(clip(1), 8)
    process = media_store._worker._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)  # dies while it has the next request
    answer = media_store._worker._answer

    def die(*arguments: object) -> object:
        os.kill(process.pid, signal.SIGKILL)
        return answer(*arguments)  # type: ignore[arg-type]

    media_store._worker._answer = die  # type: ignore[method-assign, assignment]
    with pytest.raises(MediaRefused, match="made the decoder crash"):
        media_store.ingest_frames(clip(2), 8)
    media_store._worker._answer = answer  # type: ignore[method-assign]
    assert media_store.ingest_frames(clip(2), 8).num_frames == 9


def test_says_that_a_stored_file_is_gone(workspace: Workspace, media_store: MediaStore, clip: Make) -> None:
    media = media_store.ingest_frames(clip(1), 8)
    media_file(workspace, media.media_id).unlink()
    with pytest.raises(FileNotFoundError, match="changed from outside"):
        media_file(workspace, media.media_id)
    assert media_folder(workspace, media.media_id).is_dir()
