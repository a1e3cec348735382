"""Find the one object of a tiny-world clip in every frame: place, size, orientation, colour.

Part of the measuring program (``measure.py``) and, like it, for evaluation alone.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from training.tiny.prompts import COLORS
from training.tiny.world import COLOR_RGB, SIZE_PX

MIN_FRAMES = 5
MIN_AREA_PX = 14
OBJECT_CONTRAST = 48.0
"""Difference to the background, in the channel that differs most, from which a pixel is the object's."""
MIN_CHROMA = 45.0
# Farthest point's distance over the radius of a disk of equal area: 1 circle, 1.25 square, 1.56 triangle.
_SQUARE_FROM, _TRIANGLE_FROM = 1.14, 1.36

_Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipTrack:
    """The object over time; arrays have one value per frame, lengths are in pixels of a 64-pixel frame."""

    x: _Floats
    """Centre from the left."""
    y: _Floats
    """Centre from the top."""
    radius: _Floats
    """Radius of the disk of the same area."""
    angle: _Floats
    """Direction of the marker, radians clockwise from up."""
    brightness: _Floats
    """Brightness of the object's colour, 0..255."""
    background: _Floats
    """Brightness of the background, 0..255."""
    color: str
    """Nearest of ``COLORS`` over the whole clip."""
    shape: str
    """Nearest of ``SHAPES`` over the whole clip."""
    missing: float
    """Share of frames without an object; their values are interpolated."""


class _Blob(NamedTuple):
    x: float
    y: float
    radius: float
    angle: float
    brightness: float
    reach: float
    rgb: _Floats


def track_object(frames: NDArray[np.uint8]) -> ClipTrack | None:
    """Track the object through ``[F, H, W, 3]`` uint8 frames; None where fewer than half of them show one.

    Raises:
        ValueError: the frames have another shape or type, or are fewer than 5.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) < MIN_FRAMES:
        raise ValueError(
            f"cannot measure frames of shape {frames.shape} and type {frames.dtype}; "
            f"give uint8 RGB of shape [F, H, W, 3] with F at least {MIN_FRAMES}"
        )
    if frames.shape[1:3] != (SIZE_PX, SIZE_PX):
        size = (SIZE_PX, SIZE_PX)
        frames = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames]).astype(
            np.uint8
        )
    backgrounds = [_background(frame) for frame in frames]
    blobs = [
        _find_blob(frame.astype(np.float64), rgb) for frame, rgb in zip(frames, backgrounds, strict=True)
    ]
    return _join(blobs, np.array([rgb.mean() for rgb in backgrounds]))


def _join(blobs: list[_Blob | None], background: _Floats) -> ClipTrack | None:
    seen = [(index, blob) for index, blob in enumerate(blobs) if blob is not None]
    if 2 * len(seen) < len(blobs):
        return None
    at = np.array([index for index, _ in seen])
    table = np.array([blob[:6] for _, blob in seen])

    def every_frame(column: int) -> _Floats:
        return np.asarray(np.interp(np.arange(len(blobs)), at, table[:, column]))

    return ClipTrack(
        x=every_frame(0),
        y=every_frame(1),
        radius=every_frame(2),
        angle=table[np.searchsorted(at, np.arange(len(blobs))).clip(max=len(at) - 1), 3],
        brightness=every_frame(4),
        background=background,
        color=_nearest_color(np.sum([blob.rgb for _, blob in seen], axis=0)),
        shape=_nearest_shape(float(np.median(table[:, 5]))),
        missing=1.0 - len(seen) / len(blobs),
    )


def _background(frame: NDArray[np.uint8]) -> _Floats:
    """Median colour of the frame's border, which the object never covers by half."""
    border = np.concatenate([frame[:2].reshape(-1, 3), frame[-2:].reshape(-1, 3), frame[:, :2].reshape(-1, 3),
                             frame[:, -2:].reshape(-1, 3)])  # fmt: skip
    return np.asarray(np.median(border, axis=0), dtype=np.float64)


def _find_blob(frame: _Floats, background: _Floats) -> _Blob | None:
    """Measure the largest connected region that differs from the background; None where there is none."""
    contrast = np.abs(frame - background).max(axis=-1)
    mask = _largest_region(contrast > OBJECT_CONTRAST)
    if mask is None:
        return None
    chroma = frame.max(axis=-1) - frame.min(axis=-1)
    colored = mask & (chroma > max(MIN_CHROMA, 0.6 * float(np.percentile(chroma[mask], 80))))
    if colored.sum() < MIN_AREA_PX / 2:
        return None
    rows, columns = np.nonzero(mask)
    area = float(mask.sum())
    x, y = float(columns.mean()) + 0.5, float(rows.mean()) + 0.5
    radius = float(np.sqrt(area / np.pi))
    distances = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
    rgb = np.asarray(np.median(frame[colored], axis=0))
    return _Blob(
        x=x,
        y=y,
        radius=radius,
        angle=_marker_angle(frame, mask, rgb, (x, y)),
        brightness=float(rgb.max()),
        reach=float(np.sort(distances)[-4:].mean()) / radius,
        rgb=rgb,
    )


def _largest_region(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    if statistics[largest, cv2.CC_STAT_AREA] < MIN_AREA_PX:
        return None
    return np.asarray(labels == largest)


def _marker_angle(
    frame: _Floats, mask: NDArray[np.bool_], rgb: _Floats, centre: tuple[float, float]
) -> float:
    """Direction from the object's centre to its dark, colourless marker."""
    chroma = frame.max(axis=-1) - frame.min(axis=-1)
    greyness = np.clip(1.0 - chroma / max(float(rgb.max() - rgb.min()), 1.0), 0.0, 1.0)
    darkness = np.clip((rgb.max() - frame.max(axis=-1)) / max(float(rgb.max()), 1.0), 0.0, 1.0)
    weight = np.where(mask, greyness * darkness, 0.0) ** 2
    total = float(weight.sum())
    if total < 1e-6:
        return 0.0
    grid = np.arange(len(frame)) + 0.5
    x, y = float((weight.sum(axis=0) @ grid) / total), float((weight.sum(axis=1) @ grid) / total)
    return float(np.arctan2(x - centre[0], centre[1] - y))


def _nearest_color(rgb: _Floats) -> str:
    def direction(color: _Floats) -> _Floats:
        grey_free = color - color.min()
        return np.asarray(grey_free / max(float(np.linalg.norm(grey_free)), 1e-9))

    likeness = {name: float(direction(rgb) @ direction(np.asarray(COLOR_RGB[name]))) for name in COLORS}
    return max(COLORS, key=lambda name: likeness[name])


def _nearest_shape(reach: float) -> str:
    if reach < _SQUARE_FROM:
        return "circle"
    return "square" if reach < _TRIANGLE_FROM else "triangle"
