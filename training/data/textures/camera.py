"""How a surface gets into a picture: turned, tilted, lit unevenly, seen by a lens and a sensor."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.textures.materials import MATERIALS, UPRIGHT
from training.data.textures.noise import Floats, Shape, grain, positions, smooth_noise
from training.data.textures.surface import Light, lit

_MARGIN = 1.3  # of a surface's sides over the picture's: a tilted view shows more than its middle


def seen(
    rng: np.random.Generator,
    name: str,
    shape: Shape,
    unit: float,
    light: Light,
    tilt: float = 0.0,
    slant: float = 1.0,
) -> Floats:
    """The material `name` as colours [H, W, 3].

    Args:
        rng: source of randomness.
        name: one of `MATERIALS`.
        shape: [H, W] of the picture.
        unit: pixels a brick is high, near the viewer; other materials are in proportion.
        light: that falls on it.
        tilt: 0 for a view from the front; up to 1 for a floor that runs away from the viewer, towards the upper edge.
        slant: how much a view from the front is turned and tilted at random; 1 as by a careless hand, 0 not at all.
    """
    if name == "sky":  # has an above and a below, and no surface to tilt
        return lit(MATERIALS[name](rng, shape, unit), light)
    high, wide = (int(side * _MARGIN) + 8 for side in shape)
    if tilt:
        high = int(high * (1 + 0.8 * tilt))
        wide = int(wide * (1 + 0.9 * tilt))
    colours = lit(MATERIALS[name](rng, (high, wide), unit), light)
    corners: NDArray[np.floating] = (
        _floor_corners(high, wide, tilt) if tilt else _front_corners(rng, name, shape, (high, wide), slant)
    )
    target = np.array([(0, 0), (shape[1], 0), (shape[1], shape[0]), (0, shape[0])], np.float32)
    view = np.asarray(cv2.getPerspectiveTransform(corners.astype(np.float32), target), np.float64)
    return _warped(colours, view, shape, tilt)


def _front_corners(
    rng: np.random.Generator, name: str, shape: Shape, size: Shape, slant: float
) -> NDArray[np.floating]:
    """Corners on a surface of `size` that the picture's corners show: some 3 degrees of turn, 5 % of tilt; ten times
    the turn where the material has no upright.
    """
    high, wide = size
    angle = slant * rng.normal(0, 0.05 if name in UPRIGHT else 0.5)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    box = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (shape[1] / 2, shape[0] / 2)
    box = (box + slant * rng.normal(0, 0.05, (4, 2)) * (shape[1], shape[0])) @ turn.T
    fit = max(1.0, float((np.abs(box) / (wide / 2, high / 2)).max()))
    return box / fit + (wide / 2, high / 2)


def _floor_corners(high: int, wide: int, tilt: float) -> NDArray[np.floating]:
    near = 0.5 - 0.5 / (1 + 0.9 * tilt) / _MARGIN
    return np.array([(0, 0), (wide, 0), ((1 - near) * wide, high), (near * wide, high)])


def _warped(colours: Floats, view: NDArray[np.floating], shape: Shape, tilt: float) -> Floats:
    """Far parts are taken from a smoothed copy, which keeps them from flickering."""
    size = shape[::-1]
    sharp = cv2.warpPerspective(colours, view, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    if not tilt:
        return np.asarray(sharp, np.float32)
    smooth = cv2.warpPerspective(
        cv2.GaussianBlur(colours, (0, 0), 0.9 + tilt), view, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    far = (np.linspace(1, 0, shape[0], dtype=np.float32)[:, None, None] ** 1.5) * min(1.0, 1.2 * tilt)
    return np.asarray(sharp + far * (smooth - sharp), np.float32)


def developed(rng: np.random.Generator, colours: Floats, sun: bool = True) -> NDArray[np.uint8]:
    """What the camera makes of it: light that falls off, perhaps a shadow across, contrast, blur, noise; uint8."""
    shape: Shape = colours.shape[0], colours.shape[1]
    y, x = (2 * axis / max(shape) - 1 for axis in positions(shape))
    slope = rng.normal(0, 0.13, 2)
    field = 1 + slope[0] * y + slope[1] * x - rng.uniform(0, 0.14) * (x**2 + y**2)
    if sun and rng.random() < 0.2:
        field = field * (1 - rng.uniform(0.25, 0.5) * _dappled(rng, shape))
    exposure = rng.uniform(0.9, 1.08) * rng.uniform(0.97, 1.03, 3)
    picture = np.clip(colours * field[..., None] * exposure, 0, None).astype(np.float32)
    # A film's shoulder instead of clipped highlights.
    picture = np.where(picture > 0.8, 0.8 + 0.2 * np.tanh((picture - 0.8) / 0.2), picture)
    picture = picture ** np.float32(rng.uniform(0.85, 1.1))
    grey = picture.mean(2, keepdims=True)
    picture = grey + rng.uniform(0.75, 1.02) * (picture - grey)
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.35, 0.7)))
    noise = rng.uniform(0.5, 2.0) * grain(rng, shape)[..., None] + 0.4 * rng.standard_normal(colours.shape)
    return np.clip(255 * picture + noise + 0.5, 0, 255).astype(np.uint8)


def _dappled(rng: np.random.Generator, shape: Shape) -> Floats:
    """The soft shadow of a tree or a roof's edge, 0 to 1."""
    if rng.random() < 0.5:
        leaves = smooth_noise(rng, shape, max(shape) / rng.uniform(6, 14))
        return np.clip(1.4 * leaves + 0.5, 0, 1)
    y, x = positions(shape)
    angle, offset = rng.uniform(0, np.pi), rng.normal(0, 0.15) * max(shape)
    edge = (x - shape[1] / 2) * np.cos(angle) + (y - shape[0] / 2) * np.sin(angle) - offset
    return np.asarray(np.clip(edge / (0.02 * max(shape)) + 0.5, 0, 1), np.float32)


def choose(rng: np.random.Generator, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]
