from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from storage.clips import ClipLimits, Frames, normalise, probe, read_frames, write_clip
from storage.errors import MediaRefused


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 65), (1, 1), (120, 200)])
def test_gives_every_bit_back_when_lossless(tmp_path: Path, height: int, width: int) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (9, height, width, 3), dtype=np.uint8)
    write_clip(frames, tmp_path / "clip.mp4", fps=8, lossless=True)
    assert np.array_equal(read_frames(tmp_path / "clip.mp4"), frames)


@pytest.mark.parametrize("lossless", [True, False])
def test_makes_the_same_bytes_when_the_frames_are_the_same(
    tmp_path: Path, clip: Callable[[int], Frames], lossless: bool
) -> None:
    for name in ("one", "two"):
        write_clip(clip(3), tmp_path / f"{name}.mp4", fps=23.976, lossless=lossless)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_stays_near_the_frames_when_lossy(tmp_path: Path, clip: Callable[[int], Frames]) -> None:
    big = clip(1).repeat(4, axis=1).repeat(4, axis=2)
    write_clip(big, tmp_path / "clip.mp4", fps=8)
    error = np.abs(read_frames(tmp_path / "clip.mp4").astype(int) - big)
    assert error.mean() < 6


def test_reads_no_more_than_asked(tmp_path: Path, clip: Callable[[int], Frames]) -> None:
    write_clip(clip(1), tmp_path / "clip.mp4", fps=8)
    assert read_frames(tmp_path / "clip.mp4", max_frames=4).shape == (4, 64, 64, 3)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((9, 64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((0, 64, 64, 3), np.uint8),
        np.zeros((9, 65, 64, 3), np.uint8),
    ],
)
def test_refuses_frames_of_another_form(tmp_path: Path, frames: Frames) -> None:
    with pytest.raises(ValueError, match="must be"):
        write_clip(frames, tmp_path / "clip.mp4", fps=8)
    assert not (tmp_path / "clip.mp4").exists()


def test_says_what_a_clip_is(tmp_path: Path, clip: Callable[[int], Frames]) -> None:
    write_clip(clip(1), tmp_path / "clip.mp4", fps=24)
    info = probe(tmp_path / "clip.mp4")
    assert (info.width_px, info.height_px, info.num_frames, info.fps) == (64, 64, 9, 24.0)
    assert (info.duration_s, info.codec) == (0.375, "h264")


@pytest.mark.parametrize(
    ("size", "shown"),
    [((64, 64), (256, 256)), ((65, 33), (196, 100)), ((300, 200), (300, 200)), ((2000, 100), (1920, 96))],
)
def test_makes_a_copy_for_browsers(tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]) -> None:
    width, height = size
    frames = np.random.default_rng(1).integers(0, 256, (20, height, width, 3), dtype=np.uint8)
    write_clip(frames, tmp_path / "clip.mp4", fps=12.5, lossless=True)
    info = normalise(tmp_path / "clip.mp4", tmp_path / "normal.mp4", limits=ClipLimits())

    assert (info.width_px, info.height_px) == size
    content = (tmp_path / "normal.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(tmp_path / "normal.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == shown
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 12.5
        assert not container.streams.audio
        decoded = list(container.decode(stream))
    assert [frame.key_frame for frame in decoded] == [index % 8 == 0 for index in range(20)]
    assert [round(frame.time * 12.5) for frame in decoded] == list(range(20))


def test_keeps_small_pixels_crisp_in_the_copy(tmp_path: Path, clip: Callable[[int], Frames]) -> None:
    frames = clip(5)
    write_clip(frames, tmp_path / "clip.mp4", fps=8, lossless=True)
    normalise(tmp_path / "clip.mp4", tmp_path / "normal.mp4", limits=ClipLimits())
    shown = read_frames(tmp_path / "normal.mp4")[:, 2::4, 2::4].astype(int)
    assert np.abs(shown - frames).mean() < 3  # wrong colour ranges would make it 12


@pytest.mark.parametrize(
    ("name", "cut"),
    [("clip.mp4", 0.3), ("clip.mp4", 0.6), ("clip.mp4", 0.95), ("clip.webm", 0.01), ("clip.webm", 0.5)],
)
def test_refuses_a_clip_that_was_cut_short(tmp_path: Path, name: str, cut: float) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (48, 64, 64, 3), dtype=np.uint8)
    write_clip(frames, tmp_path / "clip.mp4", fps=8)
    if name.endswith("webm"):
        _to_webm(frames, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(MediaRefused, match="cut short|cannot be decoded|damaged"):
        probe(tmp_path / name)


def _to_webm(frames: Frames, path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=8, options={"cpu-used": "8"})
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def test_takes_other_containers(tmp_path: Path, clip: Callable[[int], Frames]) -> None:
    _to_webm(clip(1), tmp_path / "clip.webm")
    info = probe(tmp_path / "clip.webm")
    assert (info.num_frames, info.codec) == (9, "vp9")


def test_refuses_a_playlist_that_names_other_files(tmp_path: Path, clip: Callable[[int], Frames]) -> None:
    write_clip(clip(1), tmp_path / "clip.mp4", fps=8)
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\nclip.mp4\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.mp4").write_text(playlist)
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile clip.mp4\n")
    for name in ("list.mp4", "concat.mp4"):
        with pytest.raises(MediaRefused, match="cannot be decoded"):
            probe(tmp_path / name)


def test_refuses_more_than_the_limits(tmp_path: Path, clip: Callable[[int], Frames]) -> None:
    write_clip(clip(1), tmp_path / "clip.mp4", fps=8)
    with pytest.raises(MediaRefused, match="more than 5 frames"):
        probe(tmp_path / "clip.mp4", limits=ClipLimits(max_frames=5))
    with pytest.raises(MediaRefused, match="64x64 pixels; at most 32"):
        probe(tmp_path / "clip.mp4", limits=ClipLimits(max_side_px=32))


def test_makes_the_same_bytes_wherever_its_buffers_lie_in_memory(
    tmp_path: Path, clip: Callable[[int], Frames]
) -> None:
    written = set()
    kept = []
    for number in range(30):
        kept.append(np.ones(50_000 * (number % 7 + 1), np.uint8))  # moves what is allocated next
        write_clip(clip(3), tmp_path / "clip.mp4", fps=8)
        written.add((tmp_path / "clip.mp4").read_bytes())
    assert len(written) == 1
