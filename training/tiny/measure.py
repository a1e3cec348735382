"""The exact measuring program of the tiny world: it reads a clip back into numbers. For evaluation alone.

No rater, scorer or training may use it: it is what tuned models are judged by in the end, and whatever a
model is selected by stops being evidence about it. The clip is segmented frame by frame (``segment.py``),
the object's path is compared with what each action does, and the amounts are set against those of the
world's own clips.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.tiny.prompts import CATEGORIES, COLORS
from training.tiny.segment import ClipTrack, track_object

NOTHING = "none"
"""Action, colour or shape of a clip that shows none of the world's."""
ACTION_THRESHOLD = 0.4
"""Share of an action's usual amount from which a clip counts as showing it."""
MAX_MOTION = 1.5
FLICKER_SCALE = 0.25
"""Flicker from which the score's flicker part is zero; flawed training clips have about this much."""
SMOOTHNESS_SCALE_PX = 1.5

# What each action amounts to in clean clips, averaged over its random parameters.
_USUAL_AMOUNT: dict[str, float] = {
    "slide": 33.0,  # pixels to the right
    "bounce": 26.0,  # pixels of height
    "grow": 1.06,  # change of log radius
    "shrink": 1.06,
    "spin": np.deg2rad(290.0),
    "orbit": np.deg2rad(310.0),
    "fall": 36.0,  # pixels downwards
    "rise": 36.0,
}

_Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What a clip shows, set against what its prompt asked for."""

    action: str
    """One of ``CATEGORIES``, or ``none``."""
    color: str
    """One of ``COLORS``, or ``none``."""
    shape: str
    """One of ``SHAPES``, or ``none``."""
    right_action: bool
    """The action shown is the one asked for."""
    right_color: bool
    """The colour shown is the one asked for."""
    flicker: float
    """Mean change of log brightness from frame to frame, object plus background; 0 is none."""
    smoothness: float
    """1 for a path that follows a smooth curve exactly, falling to 0 as it trembles."""
    motion: float
    """Amount of the action shown over the amount it has in the world, in [0, 1.5]; about 0 when frozen."""


def measure(frames: NDArray[np.uint8], *, action: str, color: str) -> Measurement:
    """Measure a clip against the action and colour its prompt asks for.

    Frames are ``[F, H, W, 3]`` uint8 RGB of any size and at least 5 frames; pixels are scaled to the
    world's 64.

    Raises:
        ValueError: the frames have another shape or type, or the world has no such action or colour.
    """
    if action not in CATEGORIES or color not in COLORS:
        raise ValueError(
            f"cannot measure against action {action!r} and color {color!r}; "
            f"actions are {', '.join(CATEGORIES)}, colors are {', '.join(COLORS)}"
        )
    track = track_object(frames)
    if track is None:
        return Measurement(
            action=NOTHING, color=NOTHING, shape=NOTHING, right_action=False, right_color=False,
            flicker=1.0, smoothness=0.0, motion=0.0,
        )  # fmt: skip
    amounts = action_amounts(track)
    strongest = max(CATEGORIES, key=lambda name: amounts[name])
    shown = strongest if amounts[strongest] >= ACTION_THRESHOLD else NOTHING
    return Measurement(
        action=shown,
        color=track.color,
        shape=track.shape,
        right_action=shown == action,
        right_color=track.color == color,
        flicker=_flicker(track),
        smoothness=float(np.exp(-_path_residual_px(track) / SMOOTHNESS_SCALE_PX)),
        motion=float(np.clip(amounts[strongest], 0.0, MAX_MOTION)),
    )


def score(measurement: Measurement) -> float:
    """Sum a measurement up in one number in [0, 3.5], by which one clip wins against another.

    Right action and right colour count 1 each, and three bounded parts half as much each: smoothness,
    absence of flicker (linear down to none at ``FLICKER_SCALE``) and motion (up to the usual amount; more
    earns nothing).
    """
    steady = 1.0 - min(1.0, measurement.flicker / FLICKER_SCALE)
    parts = measurement.smoothness + steady + min(1.0, measurement.motion)
    return float(measurement.right_action) + float(measurement.right_color) + 0.5 * parts


def action_amounts(track: ClipTrack) -> dict[str, float]:
    """For each action, how much of it the object does, as a share of what it does in clean clips."""
    rightwards, downwards = _travel(track.x), _travel(track.y)
    growth = _travel(np.log(track.radius))
    raw = {
        "slide": rightwards,
        "bounce": _bounce_height_px(track.y),
        "grow": growth,
        "shrink": -growth,
        "spin": abs(float(np.sum(_turns(track.angle)))),
        "orbit": _orbit_sweep(track.x, track.y),
        "fall": downwards,
        "rise": -downwards,
    }
    return {name: max(0.0, raw[name] / _USUAL_AMOUNT[name]) for name in CATEGORIES}


def _travel(values: _Floats) -> float:
    return float(values[-1] - values[0])


def _turns(angle: _Floats) -> _Floats:
    """Turn from each frame to the next, in (-pi, pi]."""
    return np.asarray(np.angle(np.exp(1j * np.diff(angle))))


def _bounce_height_px(y: _Floats) -> float:
    """Height of two hops fitted to the path, 0 where two hops explain less than half of the up and down."""
    hops = np.abs(np.sin(2.0 * np.pi * np.linspace(0.0, 1.0, len(y))))
    centred, template = y - y.mean(), hops - hops.mean()
    height = -float(centred @ template / (template @ template))
    explained = height**2 * float(template @ template) / max(float(centred @ centred), 1e-9)
    return height if explained > 0.5 else 0.0


def _orbit_sweep(x: _Floats, y: _Floats) -> float:
    """Angle swept around the circle fitted to the path by least squares; 0 where it is no wide circle."""
    if min(np.ptp(x), np.ptp(y)) < 12.0:
        return 0.0
    design = np.stack([x, y, np.ones_like(x)], axis=1)
    solution = np.linalg.lstsq(design, x**2 + y**2, rcond=None)[0]
    centre_x, centre_y = solution[0] / 2.0, solution[1] / 2.0
    radius = float(np.mean(np.hypot(x - centre_x, y - centre_y)))
    if not 8.0 <= radius <= 26.0:
        return 0.0
    return abs(float(np.sum(_turns(np.arctan2(y - centre_y, x - centre_x)))))


def _path_residual_px(track: ClipTrack) -> float:
    """Root mean square distance of the path from the nearest smooth path: parabola, two hops, or circle."""
    time = np.linspace(0.0, 1.0, len(track.x))
    ones = np.ones_like(time)
    curves = [
        np.stack([ones, time, time**2], 1),
        np.stack([ones, time, np.abs(np.sin(2.0 * np.pi * time))], 1),
    ]
    for sweep in np.deg2rad(np.arange(250.0, 361.0, 10.0)):
        curves.append(np.stack([ones, np.cos(sweep * time), np.sin(sweep * time)], 1))
    path = np.stack([track.x, track.y], 1)
    freedom = len(time) - 3
    residuals = [path - curve @ np.linalg.lstsq(curve, path, rcond=None)[0] for curve in curves]
    return min(float(np.sqrt(np.sum(residual**2) / (2 * freedom))) for residual in residuals)


def _flicker(track: ClipTrack) -> float:
    changes = [
        np.abs(np.diff(np.log(np.maximum(level, 1.0)))) for level in (track.brightness, track.background)
    ]
    return float(np.mean(changes[0]) + np.mean(changes[1]) + track.missing)
