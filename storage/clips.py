"""Reading and writing clips with PyAV. No database, no workspace: paths and arrays alone.

Frames are uint8 arrays `[F, H, W, 3]`, RGB, 0..255.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from storage.errors import MediaRefused

Frames = npt.NDArray[np.uint8]

# Nothing that opens other files or the network (playlists, `concat`), and no still images.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,flv,asf,ogg"
_OPEN_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}

_SMALL_SIDE_PX = 256
_SAME_BYTES = {"mbtree": "0"}
"""With its macroblock tree x264 gave one of seven files, by where its buffers lay in memory."""
_SMPTE170M = 6  # FFmpeg's number for the matrix of BT.601, what RGB is turned into
_LARGE_SIDE_PX = 1920
_KEYFRAME_EVERY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipInfo:
    """What decoding every frame of a clip found."""

    width_px: int
    height_px: int
    num_frames: int
    fps: float
    duration_s: float
    codec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipLimits:
    """The largest clip that is taken."""

    max_bytes: int = 2 << 30
    max_frames: int = 20_000
    max_side_px: int = 4096
    timeout_s: float = 60.0
    """For decoding and normalising one clip."""


def read_frames(path: Path, *, max_frames: int | None = None) -> Frames:
    """Decode a clip.

    Raises:
        MediaRefused: It cannot be decoded.
    """
    with _opened(path) as (container, stream):
        frames = []
        for frame in container.decode(stream):
            frames.append(_rgb(frame).to_ndarray())
            if max_frames is not None and len(frames) >= max_frames:
                break
    if not frames:
        raise MediaRefused(path, "no frame can be decoded; the file is damaged")
    return np.stack(frames)


def _rgb(frame: VideoFrame) -> VideoFrame:
    if _is_rgb(frame.format.name):
        return frame.reformat(format="rgb24")
    return frame.reformat(format="rgb24", src_color_range=_range(frame), dst_color_range=ColorRange.JPEG)


def _is_rgb(pixels: str) -> bool:
    return VideoFormat(pixels).is_rgb or pixels.startswith(("gbr", "pal"))


def _range(frame: VideoFrame) -> ColorRange:
    """Return whether a YUV frame uses 16..235 (MPEG, also where it does not say) or 0..255 (JPEG)."""
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return ColorRange.JPEG if full else ColorRange.MPEG


def write_clip(frames: Frames, path: Path, *, fps: float, lossless: bool = False) -> None:
    """Write an MP4 file; the same frames give the same bytes.

    Args:
        frames: uint8 `[F, H, W, 3]`.
        path: Written over if it exists.
        fps: Frames per second.
        lossless: H.264 in RGB without loss, which `read_frames` gives back bit for bit, but not every browser
            plays; else H.264 yuv420p, which needs even sides.

    Raises:
        ValueError: The frames have another shape or type, or odd sides without `lossless`.
    """
    _check_frames(frames, even=not lossless)
    codec, pixels, options = (
        ("libx264rgb", "rgb24", {"qp": "0", "preset": "veryfast"})
        if lossless
        else ("libx264", "yuv420p", {"crf": "14", "preset": "veryfast", **_SAME_BYTES})
    )
    height, width = frames.shape[1:3]
    with _Writer(path, codec=codec, pixels=pixels, options=options, fps=fps, size=(width, height)) as writer:
        for frame in frames:
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            writer.write(picture if lossless else writer.fitted(picture))


def _check_frames(frames: Frames, *, even: bool) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise ValueError(f"frames must be uint8 [F, H, W, 3], not {frames.dtype} {list(frames.shape)}")
    if even and (frames.shape[1] % 2 or frames.shape[2] % 2):
        raise ValueError(f"sides must be even, not {frames.shape[2]}x{frames.shape[1]}; or write losslessly")


def probe(path: Path, *, limits: ClipLimits | None = None) -> ClipInfo:
    """Decode every frame of a clip and say what it is.

    Raises:
        MediaRefused: It is no clip, is damaged or cut short, or is over the limits.
    """
    return _scan(path, limits or ClipLimits(), normal=None)


def normalise(path: Path, target: Path, *, limits: ClipLimits) -> ClipInfo:
    """Like `probe`, and write the copy that browsers play.

    That is H.264 yuv420p with even sides, a constant frame rate, a keyframe every few frames so that seeking
    is exact, the index in front, and no sound. Every frame is kept. Clips far below 256 pixels are enlarged
    by a whole factor, since 4:2:0 colour would blur their pixels; above 1920 pixels they are reduced.
    """
    return _scan(path, limits, normal=target)


def _scan(path: Path, limits: ClipLimits, *, normal: Path | None) -> ClipInfo:
    _check_boxes(path)
    num_frames, end_s = 0, 0.0
    with _opened(path) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        if not 0 < max(width, height) <= limits.max_side_px:
            raise MediaRefused(
                path, f"{width}x{height} pixels; at most {limits.max_side_px} on a side are taken"
            )
        fps = _fps(stream)
        writer = _normal_writer(normal, fps, stream) if normal else None
        try:
            for frame in _frames(container, stream, path):
                num_frames += 1
                if num_frames > limits.max_frames:
                    raise MediaRefused(
                        path, f"more than {limits.max_frames} frames; cut it into shorter clips"
                    )
                end_s = max(end_s, frame.time or 0.0)
                if writer:
                    writer.write(writer.fitted(frame))
        finally:
            if writer:
                writer.close()
        _check_length(path, container, num_frames, end_s + 1 / fps)
        codec = stream.codec_context.name
    return ClipInfo(
        width_px=width,
        height_px=height,
        num_frames=num_frames,
        fps=float(fps),
        duration_s=float(num_frames / fps),
        codec=codec,
    )


def _frames(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[VideoFrame]:
    for frame in container.decode(stream):
        if frame.is_corrupt:
            raise MediaRefused(path, "a frame is damaged; make or download the file again")
        yield frame


def _fps(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= 240:
            return Fraction(rate).limit_denominator(1001)
    return Fraction(8)


def _check_length(path: Path, container: InputContainer, num_frames: int, end_s: float) -> None:
    if num_frames == 0:
        raise MediaRefused(path, "no frame can be decoded; the file is damaged or cut short")
    declared_s = (container.duration or 0) / av.time_base
    if container.streams.audio or declared_s <= 0:
        return  # sound may well be longer than the pictures
    if end_s < 0.75 * declared_s - 0.5:
        raise MediaRefused(
            path, f"cut short: {end_s:.1f} s of {declared_s:.1f} s can be decoded; make or download it again"
        )


def _check_boxes(path: Path) -> None:
    """Refuse an MP4 or MOV file whose last box runs past the end of the file: it was cut short."""
    size, at, head = path.stat().st_size, 0, b""
    with path.open("rb") as file:
        first = file.read(8)
        if first[4:] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
            return
        while at + 8 <= size:
            file.seek(at)
            head = file.read(16)
            length = int.from_bytes(head[:4])
            if length == 1:
                length = int.from_bytes(head[8:16])
            if length == 0:  # up to the end of the file
                return
            at += max(length, 8)
    if at > size and head[4:8] in (b"moov", b"mdat", b"moof"):
        raise MediaRefused(path, f"cut short: {size} of {at} bytes are there; make or download it again")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    try:
        with av.open(str(path), options=_OPEN_OPTIONS, metadata_errors="replace") as container:
            if not container.streams.video:
                raise MediaRefused(path, "no pictures in it (sound only?); give a video file")
            stream = container.streams.video[0]
            stream.thread_type = "SLICE" if stream.codec_context.name == "h264" else "NONE"
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.FFmpegError as error:
        raise MediaRefused(
            path, f"cannot be decoded ({error.strerror}); is it a video file, and whole?"
        ) from error


class _Writer:
    """An MP4 file being written, one frame after the other, at a constant rate."""

    def __init__(
        self,
        path: Path,
        *,
        codec: str,
        pixels: str,
        options: dict[str, str],
        fps: float | Fraction,
        size: tuple[int, int],
        colorspace: int = _SMPTE170M,
    ) -> None:
        self._rate = Fraction(fps).limit_denominator(1001)
        self._size = size
        self._pixels = pixels
        self._num_frames = 0
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream = self._container.add_stream(codec, rate=self._rate, options=options)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = pixels
        if not _is_rgb(pixels):
            self._stream.codec_context.color_range = ColorRange.MPEG
            self._stream.codec_context.colorspace = colorspace
        self._stream.codec_context.thread_count = 1  # more would make the bytes depend on the machine

    def fitted(self, frame: VideoFrame) -> VideoFrame:
        """Return the frame in the size and pixel format of this file."""
        width, height = self._size
        how = "POINT" if width > frame.width * 1.5 else "BICUBIC"
        # Without the ranges being named, RGB would come out as 0..255 in a file that says 16..235.
        if _is_rgb(frame.format.name):
            return frame.reformat(
                width,
                height,
                self._pixels,
                dst_colorspace=Colorspace.ITU601,
                interpolation=how,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
        return frame.reformat(
            width,
            height,
            self._pixels,
            interpolation=how,
            src_color_range=_range(frame),
            dst_color_range=ColorRange.MPEG,
        )

    def write(self, frame: VideoFrame) -> None:
        """Add the next frame."""
        frame.pts = self._num_frames
        frame.time_base = 1 / self._rate
        frame.pict_type = 0
        self._num_frames += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file."""
        if self._num_frames:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _normal_writer(path: Path, fps: Fraction, stream: VideoStream) -> _Writer:
    source = stream.codec_context
    width, height = source.width, source.height
    largest = max(width, height)
    scale = Fraction(max(1, _SMALL_SIDE_PX // largest))
    if largest > _LARGE_SIDE_PX:
        scale = Fraction(_LARGE_SIDE_PX, largest)
    matrix = _SMPTE170M if _is_rgb(source.pix_fmt or "yuv420p") else source.colorspace
    even = (_even(width * scale), _even(height * scale))
    keyframes = str(_KEYFRAME_EVERY)
    options = {"crf": "14" if largest < _SMALL_SIDE_PX else "18", "preset": "veryfast"}
    options |= {"g": keyframes, "keyint_min": keyframes, "sc_threshold": "0", "bf": "0"}
    return _Writer(
        path, codec="libx264", pixels="yuv420p", options=options, fps=fps, size=even, colorspace=matrix
    )


def _even(side: Fraction) -> int:
    return max(2, 2 * round(side / 2))
