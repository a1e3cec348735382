"""Five classical measures of a clip from its pixels and its optical flow. No network, no download.

Stand-ins for what VBench (Huang et al., 2024, arXiv 2311.17982) measures with large networks: imaging
quality, temporal flickering, motion smoothness, dynamic degree, subject consistency. Each is from 0 to 1 and
1 is best. The scales were set on synthetic clips of 64x64 pixels and 9 frames; on other clips trust the order
of two clips of one prompt, not the values.

Shapes: F frames, H and W pixels. Frames are uint8 RGB 0..255 [F, H, W, 3]; flow is [H, W, 2] in pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

PARTS = ("sharpness", "flicker_free", "motion_smoothness", "dynamic_degree", "subject_consistency")

Frames = NDArray[np.uint8]
Floats = NDArray[np.float32]

MIN_SIDE_PX = 16
MAX_SIDE_PX = 128
"""Larger clips are made smaller first: the measures are about what is seen, not about resolution."""
TOP_SHARE = 0.05
"""Motion is read where there is most of it, as VBench does for its dynamic degree."""
STILL_LEVEL = 0.05
"""A step whose largest 1 % of changes stays below this share of the full range shows no motion."""
STILL_SHARE = 0.2
"""Nor does a step that changes less than this share of what the clip's liveliest step does."""

_SHARPNESS_SCALE = 0.10
_FLICKER_SCALE = 0.10
_ACCELERATION_SCALE = 0.05
_MOTION_SCALE = 0.02
_NUM_BINS = 6


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip prepared once for all measures."""

    rgb: Frames
    gray: Frames
    """[F, H, W]"""
    forward: list[Floats]
    """Flow from frame t to t + 1."""
    backward: list[Floats]
    """Flow from frame t + 1 to t."""
    subject: Floats
    """How much each pixel stands out from the background, 0..1 [F, H, W]."""
    is_moving: NDArray[np.bool_]
    """Per step [F - 1]: anything changes at all."""

    @property
    def diagonal_px(self) -> float:
        return float(np.hypot(*self.gray.shape[1:]))


def score_clip(frames: Frames) -> dict[str, float]:
    """Measure a clip: each of `PARTS`, from 0 to 1, 1 being best.

    One frame alone neither flickers nor moves. The time grows with the number of frames.

    Raises:
        ValueError: the frames are not uint8 [F, H, W, 3] with at least one frame and 16 pixels a side.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(f"frames are {frames.dtype} {list(frames.shape)}; they must be uint8 [F, H, W, 3]")
    if len(frames) < 1 or min(frames.shape[1:3]) < MIN_SIDE_PX:
        raise ValueError(
            f"frames are {list(frames.shape)}; at least 1 frame of {MIN_SIDE_PX} pixels a side is needed"
        )
    clip = _prepare(frames)
    return {
        "sharpness": sharpness(clip.gray),
        "flicker_free": _flicker_free(clip),
        "motion_smoothness": _motion_smoothness(clip),
        "dynamic_degree": _dynamic_degree(clip),
        "subject_consistency": _subject_consistency(clip),
    }


def sharpness(gray: Frames) -> float:
    """Return r / (r + 0.1) with r the mean over frames of var(Laplacian) / (var(image) + 25).

    Dividing by the image's own variance leaves how fine the detail is and takes out how strong its contrast.
    """
    ratios = [cv2.Laplacian(one, cv2.CV_32F).var() / (one.var(dtype=np.float64) + 25.0) for one in gray]
    ratio = float(np.mean(ratios))
    return ratio / (ratio + _SHARPNESS_SCALE)


def _flicker_free(clip: _Clip) -> float:
    """Return 0.1 / (0.1 + f); f adds up three changes, as shares of the full range, over the steps that move.

    The change of the subject's mean colour, of the background's median colour, and what is left of the frame
    difference after the next frame is warped back along the flow (where most is left). Only steps that move
    count, so that a clip gains nothing by standing still.
    """
    if not clip.is_moving.any():
        return 1.0
    weight = clip.subject.sum(axis=(1, 2)) + 1e-3
    subject = np.einsum("fhw,fhwc->fc", clip.subject, clip.rgb, dtype=np.float32) / weight[:, None]
    ground = np.median(clip.rgb.reshape(len(clip.rgb), -1, 3)[:, ::2], axis=1)
    colors = np.stack([np.abs(np.diff(one, axis=0)).mean(axis=1) for one in (subject, ground)]).sum(axis=0)
    left = np.array([_warp_residual(clip, step) for step in range(len(clip.forward))])
    change = float((colors + left)[clip.is_moving].mean()) / 255.0
    return _FLICKER_SCALE / (_FLICKER_SCALE + change)


def _warp_residual(clip: _Clip, step: int) -> float:
    """Mean of the largest 5 % of |frame - next frame warped back|; thin errors at edges are filtered out."""
    height, width = clip.gray.shape[1:]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    flow = clip.forward[step]
    warped = cv2.remap(
        clip.gray[step + 1],
        x + flow[..., 0],
        y + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return _top_mean(cv2.medianBlur(cv2.absdiff(warped, clip.gray[step]), 5))


def _motion_smoothness(clip: _Clip) -> float:
    """Return 0.05 / (0.05 + a) times the share of steps that move; a is the acceleration, in diagonals.

    The mean of two accelerations, each zero for steady motion. Of pixels: a point of frame t moved by u from
    t - 1 and moves by v to t + 1; |v - u|, averaged over the subject. Of the whole: the third difference of
    the subject's centre, which a bounce or a fall keeps small and a tremble does not. Both only where
    something moves: what stands still, or freezes for a while, is not smooth motion.
    """
    num_steps = len(clip.forward)
    if num_steps < 2 or not clip.is_moving.any():
        return 0.0
    pixels = [_pixel_acceleration(clip, step) for step in range(1, num_steps)]
    values = np.array(pixels)[clip.is_moving[1:] | clip.is_moving[:-1]]
    jerk = _centre_jerk(clip)
    total = float(values.mean()) + (float(jerk.mean()) if len(jerk) else 0.0)
    acceleration = total / 2 / clip.diagonal_px
    return float(_ACCELERATION_SCALE / (_ACCELERATION_SCALE + acceleration) * clip.is_moving.mean())


def _pixel_acceleration(clip: _Clip, step: int) -> float:
    weight = clip.subject[step]
    change = np.linalg.norm(clip.forward[step] + clip.backward[step - 1], axis=-1)
    return float((change * weight).sum() / (weight.sum() + 1e-3))


def _centre_jerk(clip: _Clip) -> NDArray[np.float64]:
    height, width = clip.gray.shape[1:]
    weight = clip.subject.sum(axis=(1, 2)) + 1e-3
    x = (clip.subject.sum(axis=1) @ np.arange(width)) / weight
    y = (clip.subject.sum(axis=2) @ np.arange(height)) / weight
    moving = clip.is_moving
    near = moving[2:] | moving[1:-1] | moving[:-2]
    return np.hypot(np.diff(x, 3), np.diff(y, 3))[near] if len(near) else np.zeros(0)


def _dynamic_degree(clip: _Clip) -> float:
    """Return (1 - exp(-m / 0.02)) times the share of steps that move.

    m is the mean over those steps of the largest 5 % of flow, in shares of the diagonal per frame. It
    saturates, so that frantic motion is worth no more than clear motion, and a clip that freezes loses.
    """
    if not clip.is_moving.any():
        return 0.0
    sizes = np.array([_top_mean(np.linalg.norm(flow, axis=-1)) for flow in clip.forward])
    motion = float(sizes[clip.is_moving].mean()) / clip.diagonal_px
    return float((1.0 - np.exp(-motion / _MOTION_SCALE)) * clip.is_moving.mean())


def _subject_consistency(clip: _Clip) -> float:
    """Return how much the subject's colours stay the same.

    The mean over frames of the overlap with the first frame and with the frame before (as VBench averages its
    features), where the overlap of two colour histograms p and q is the Bhattacharyya coefficient
    sum sqrt(p q): 1 for the same colours in the same shares, 0 for none in common.
    """
    if len(clip.rgb) < 2:
        return 1.0
    roots = np.stack(
        [_root_histogram(rgb, weight) for rgb, weight in zip(clip.rgb, clip.subject, strict=True)]
    )
    first = roots[1:] @ roots[0]
    before = np.einsum("fb,fb->f", roots[1:], roots[:-1])
    return float(np.clip((first + before).mean() / 2, 0.0, 1.0))


def _root_histogram(rgb: Frames, weight: Floats) -> NDArray[np.float64]:
    bins = (rgb.astype(np.int32) * _NUM_BINS) // 256
    index = (bins[..., 0] * _NUM_BINS + bins[..., 1]) * _NUM_BINS + bins[..., 2]
    counts = np.bincount(index.ravel(), weights=weight.ravel() + 1e-6, minlength=_NUM_BINS**3)
    shares: NDArray[np.float64] = np.sqrt(counts / counts.sum())
    return shares


def _prepare(frames: Frames) -> _Clip:
    rgb = _shrink(frames)
    gray = np.stack([cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in rgb])
    steps = range(len(rgb) - 1)
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    changes = [_top_mean(cv2.absdiff(rgb[step], rgb[step + 1]).max(axis=-1), share=0.01) for step in steps]
    still = max(STILL_LEVEL * 255.0, STILL_SHARE * max(changes, default=0.0))
    return _Clip(
        rgb=rgb,
        gray=gray,
        forward=[flow.calc(gray[step], gray[step + 1], None) for step in steps],
        backward=[flow.calc(gray[step + 1], gray[step], None) for step in steps],
        subject=_subject(rgb),
        is_moving=np.array(changes) > still,
    )


def _shrink(frames: Frames) -> Frames:
    height, width = frames.shape[1:3]
    scale = MAX_SIDE_PX / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(frames)
    size = (max(MIN_SIDE_PX, round(width * scale)), max(MIN_SIDE_PX, round(height * scale)))
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in frames])


def _subject(rgb: Frames) -> Floats:
    """How far each pixel is from the median colour of the borders: 0 up to 24 levels, 1 from 84 on."""
    border = np.concatenate([rgb[:, [0, -1]].reshape(-1, 3), rgb[:, :, [0, -1]].reshape(-1, 3)])
    ground = np.median(border, axis=0).astype(np.float32)
    distance = np.abs(rgb.astype(np.float32) - ground).max(axis=-1)
    weight: Floats = np.clip((distance - 24.0) / 60.0, 0.0, 1.0)
    return weight


def _top_mean(values: NDArray[np.generic], *, share: float = TOP_SHARE) -> float:
    flat = values.ravel()
    num_top = max(1, round(flat.size * share))
    return float(np.partition(flat, flat.size - num_top)[-num_top:].mean(dtype=np.float64))
