"""The tiny world: coloured shapes doing actions on a plain background, drawn from a seed.

A clip is 9 frames of 64x64 pixels, uint8 RGB, meant to be shown at 8 frames per second. x grows to the
right, y downwards, both in pixels; angles are in radians, clockwise, zero when the dark marker points up.

This is the generator alone. What goes wrong in flawed clips is in ``flaws.py``; reading a clip back into
numbers is in ``measure.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.tiny.prompts import CATEGORIES, COLORS, SHAPES

NUM_FRAMES = 9
SIZE_PX = 64
FPS = 8

Floats = NDArray[np.float64]
Frames = NDArray[np.uint8]

COLOR_RGB: dict[str, tuple[float, float, float]] = {
    "red": (222.0, 42.0, 42.0),
    "green": (36.0, 168.0, 74.0),
    "blue": (48.0, 84.0, 224.0),
    "yellow": (242.0, 196.0, 24.0),
}
MARKER_RGB = (24.0, 22.0, 30.0)
MARKER_OFFSET = 0.42
"""Distance of the marker from the shape's centre, in radii."""
MARKER_RADIUS = 0.27
"""Radius of the marker, in radii of the shape."""
SQUARE_HALF_SIDE = 0.88
"""Half the side of a square, in radii; the three shapes cover about the same area."""
TRIANGLE_CIRCUMRADIUS = 1.4
"""Distance of a triangle's corners from its centre, in radii."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """What the object does in each frame; every array has shape ``[NUM_FRAMES]``."""

    x: Floats
    """Centre, pixels from the left."""
    y: Floats
    """Centre, pixels from the top."""
    radius: Floats
    """Size, pixels."""
    angle: Floats
    """Orientation, radians clockwise."""
    object_gain: Floats
    """Factor on the object's brightness; 1 in a clip without flicker."""
    background_gain: Floats
    """Factor on the background's brightness; 1 in a clip without flicker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One clip before drawing."""

    action: str
    """What the object does, one of ``CATEGORIES``."""
    color: str
    """One of ``COLORS``."""
    shape: str
    """One of ``SHAPES``."""
    background: tuple[float, float, float]
    """Plain background, RGB 0..255."""
    trajectory: Trajectory
    """The object frame by frame."""


def make_scene(
    rng: np.random.Generator, *, action: str | None = None, color: str | None = None, shape: str | None = None
) -> Scene:
    """Draw a clean scene; what is not given is chosen at random.

    Raises:
        ValueError: ``action`` is not one of ``CATEGORIES``.
    """
    action = action or str(rng.choice(CATEGORIES))
    if action not in _PATHS:
        raise ValueError(f"unknown action {action!r}; the tiny world has {', '.join(CATEGORIES)}")
    x, y, radius, angle = _PATHS[action](rng)
    level = rng.uniform(206.0, 242.0)
    tint = rng.uniform(-5.0, 5.0, size=3)
    ones = np.ones(NUM_FRAMES)
    return Scene(
        action=action,
        color=color or str(rng.choice(COLORS)),
        shape=shape or str(rng.choice(SHAPES)),
        background=(level + tint[0], level + tint[1], level + tint[2]),
        trajectory=Trajectory(x=x, y=y, radius=radius, angle=angle, object_gain=ones, background_gain=ones),
    )


def render(scene: Scene) -> Frames:
    """Draw a scene, anti-aliased by signed distance: uint8 RGB ``[NUM_FRAMES, SIZE_PX, SIZE_PX, 3]``."""
    path = scene.trajectory
    grid = np.arange(SIZE_PX) + 0.5
    dx = grid[None, None, :] - path.x[:, None, None]
    dy = grid[None, :, None] - path.y[:, None, None]
    cos, sin = np.cos(path.angle)[:, None, None], np.sin(path.angle)[:, None, None]
    # Into the object's own axes: u to its right, v to its bottom.
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    radius = path.radius[:, None, None]
    body = _coverage(_shape_distance(scene.shape, u, v, radius))
    marker = _coverage(np.hypot(u, v + MARKER_OFFSET * radius) - MARKER_RADIUS * radius) * body
    object_gain = path.object_gain[:, None, None, None]
    background_gain = path.background_gain[:, None, None, None]
    image = np.asarray(scene.background) * background_gain
    image = image + body[..., None] * (np.asarray(COLOR_RGB[scene.color]) * object_gain - image)
    image = image + marker[..., None] * (np.asarray(MARKER_RGB) - image)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _shape_distance(shape: str, u: Floats, v: Floats, radius: Floats) -> Floats:
    """Signed distance in pixels to the outline, negative inside; exact along edges."""
    if shape == "circle":
        return np.asarray(np.hypot(u, v) - radius)
    if shape == "square":
        return np.asarray(np.maximum(np.abs(u), np.abs(v)) - SQUARE_HALF_SIDE * radius)
    inradius = TRIANGLE_CIRCUMRADIUS * radius / 2
    slanted = np.abs(u) * (np.sqrt(3) / 2) - v / 2
    return np.asarray(np.maximum(slanted, v) - inradius)


def _coverage(distance: Floats) -> Floats:
    return np.asarray(np.clip(0.5 - distance, 0.0, 1.0))


_Path = tuple[Floats, Floats, Floats, Floats]
_TIME = np.linspace(0.0, 1.0, NUM_FRAMES)
_FLAT = np.ones(NUM_FRAMES)


def _slide(rng: np.random.Generator) -> _Path:
    reach = rng.uniform(14.0, 19.0)
    x = 32.0 + reach * (2.0 * _TIME - 1.0)
    return x, _FLAT * rng.uniform(20.0, 44.0), _FLAT * rng.uniform(8.0, 10.5), _FLAT * 0.0


def _bounce(rng: np.random.Generator) -> _Path:
    radius = rng.uniform(7.5, 9.5)
    floor = 62.0 - 1.25 * radius
    y = floor - rng.uniform(22.0, 30.0) * np.abs(np.sin(2.0 * np.pi * _TIME))
    return _FLAT * rng.uniform(18.0, 46.0), y, _FLAT * radius, _FLAT * 0.0


def _grow(rng: np.random.Generator) -> _Path:
    radius = rng.uniform(5.0, 6.5) + (rng.uniform(15.5, 18.0) - 6.0) * _TIME
    return _FLAT * rng.uniform(28.0, 36.0), _FLAT * rng.uniform(28.0, 36.0), radius, _FLAT * 0.0


def _shrink(rng: np.random.Generator) -> _Path:
    x, y, radius, angle = _grow(rng)
    return x, y, radius[::-1].copy(), angle


def _spin(rng: np.random.Generator) -> _Path:
    sweep = np.deg2rad(rng.uniform(250.0, 330.0))
    angle = rng.uniform(0.0, 2.0 * np.pi) + sweep * _TIME
    return (
        _FLAT * rng.uniform(26.0, 38.0),
        _FLAT * rng.uniform(26.0, 38.0),
        _FLAT * rng.uniform(11.5, 14.5),
        angle,
    )


def _orbit(rng: np.random.Generator) -> _Path:
    phase = rng.uniform(0.0, 2.0 * np.pi) + np.deg2rad(rng.uniform(280.0, 340.0)) * _TIME
    reach = rng.uniform(15.0, 18.0)
    x, y = 32.0 + reach * np.cos(phase), 32.0 + reach * np.sin(phase)
    return x, y, _FLAT * rng.uniform(7.5, 9.5), _FLAT * 0.0


def _fall(rng: np.random.Generator) -> _Path:
    radius = rng.uniform(7.5, 10.0)
    top, bottom = 3.0 + 1.4 * radius, 62.0 - 1.1 * radius
    return _FLAT * rng.uniform(18.0, 46.0), top + (bottom - top) * _TIME**2, _FLAT * radius, _FLAT * 0.0


def _rise(rng: np.random.Generator) -> _Path:
    radius = rng.uniform(7.5, 10.0)
    top, bottom = 3.0 + 1.4 * radius, 62.0 - 1.1 * radius
    return _FLAT * rng.uniform(18.0, 46.0), bottom - (bottom - top) * _TIME, _FLAT * radius, _FLAT * 0.0


_PATHS: dict[str, Callable[[np.random.Generator], _Path]] = {
    "slide": _slide,
    "bounce": _bounce,
    "grow": _grow,
    "shrink": _shrink,
    "spin": _spin,
    "orbit": _orbit,
    "fall": _fall,
    "rise": _rise,
}
