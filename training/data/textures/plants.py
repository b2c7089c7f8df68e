"""Grass and leaves, drawn blade by blade from the dark depth to the sunlit front."""

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.scenes.materials import pick
from training.data.textures.noise import Floats, Shape, fractal, grain, smooth_noise, tinted
from training.data.textures.surface import Surface

_GRASSES = ("#6f8a3c", "#5d7d34", "#8a9a4a", "#4f7036", "#a39a58")
_LEAVES = ("#4f7a35", "#6a8f3f", "#3f6a3a", "#7d8f3a", "#5f7f52", "#8f6a2f", "#8c4a2f")
_BITS = 3  # fractional bits of corners


def grass(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """A lawn or meadow seen from above or from the side."""
    soil = pick(rng, _GRASSES) * 0.28
    picture = _bytes(tinted(soil, 0.3 * fractal(rng, shape, unit / 2)))
    count = int(shape[0] * shape[1] / unit**2 * 34)
    long, spread = unit * rng.uniform(0.7, 1.6), rng.uniform(0.25, 0.9)
    flow = smooth_noise(rng, shape, 3 * unit)
    patches = fractal(rng, shape, 4 * unit, 3)
    roots, depth = _scattered(rng, shape, count)
    at = roots[:, 1].astype(int), roots[:, 0].astype(int)
    angle = -np.pi / 2 + spread * rng.standard_normal(count) + 0.4 * flow[at]
    bend = angle + rng.normal(0, 0.5, count)
    length = long * rng.uniform(0.5, 1.2, count)
    middle = roots + 0.55 * length[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    tip = middle + 0.45 * length[:, None] * np.stack([np.cos(bend), np.sin(bend)], 1)
    bright = 0.35 + 0.75 * depth + 0.13 * rng.standard_normal(count) + 0.1 * patches[at]
    dry = rng.random(count) < rng.uniform(0, 0.12)
    colours = np.where(dry[:, None], pick(rng, ("#b5a468",)), pick(rng, _GRASSES)) * bright[:, None]
    colours *= 1 + 0.08 * rng.standard_normal((count, 3))
    thickness = max(1, round(unit / 22))
    for points, colour in zip(_fixed(np.stack([roots, middle, tip], 1)), _colours(colours), strict=True):
        cv2.polylines(picture, [points], False, colour, thickness, cv2.LINE_AA, _BITS)
    return Surface(tinted(_floats(picture), 0.04 * grain(rng, shape)))


def foliage(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """A hedge or ivy: leaves over leaves, each with a lighter and a darker half."""
    green = pick(rng, _LEAVES)
    picture = _bytes(tinted(green * 0.16, 0.3 * fractal(rng, shape, unit)))
    count = int(shape[0] * shape[1] / unit**2 * 11)
    middles, depth = _scattered(rng, shape, count)
    flow = smooth_noise(rng, shape, 4 * unit)
    at = middles[:, 1].astype(int), middles[:, 0].astype(int)
    angle = np.pi / 2 + flow[at] + rng.uniform(0.4, 1.2) * rng.standard_normal(count)
    length = unit * rng.uniform(0.35, 0.6, count)
    wide = length * rng.uniform(0.3, 0.6) * rng.uniform(0.6, 1.1, count)
    clumps = fractal(rng, shape, 3 * unit, 2)
    bright = 0.22 + 0.85 * depth + 0.14 * rng.standard_normal(count) + 0.14 * clumps[at]
    colours = green * np.clip(bright, 0.1, 1.6)[:, None] * (1 + 0.07 * rng.standard_normal((count, 3)))
    halves = [_fixed(_half_leaf(middles, angle, length, side * wide)) for side in (-1, 1)]
    tones = [_colours(colours), _colours(colours * rng.uniform(0.72, 0.88))]
    for index in range(count):
        for half, tone in zip(halves, tones, strict=True):
            cv2.fillPoly(picture, [half[index]], tone[index], cv2.LINE_AA, _BITS)
        if index == count // 3:  # what lies deep is out of focus
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.uint8)
    return Surface(tinted(_floats(picture), 0.03 * grain(rng, shape)))


def _scattered(rng: np.random.Generator, shape: Shape, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (x, y) [count, 2] in the picture, and the depth of each, from 0, far, to 1."""
    points = rng.uniform((0, 0), (shape[1], shape[0]), (count, 2))
    return points, np.linspace(0, 1, count)


def _half_leaf(
    middle: NDArray[np.float64], angle: NDArray[np.float64], length: NDArray[np.float64], wide: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Outlines [count, 8, 2]: the midrib, and back along the edge."""
    t = np.linspace(-1, 1, 7)
    along = np.concatenate([t, [-1]])
    bulge = np.concatenate([(1 - t**2) * (1 - 0.35 * t), [0]])
    axis = np.stack([np.cos(angle), np.sin(angle)], 1)
    across = np.stack([-axis[:, 1], axis[:, 0]], 1)
    outline = along[None, :, None] * (length[:, None] * axis)[:, None]
    return middle[:, None] + outline + bulge[None, :, None] * (wide[:, None] * across)[:, None]


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(points * (1 << _BITS)).astype(np.int32)


def _colours(colours: NDArray[np.float64]) -> list[list[float]]:
    found: list[list[float]] = np.clip(255 * colours, 0, 255).tolist()
    return found


def _bytes(colours: Floats) -> NDArray[np.uint8]:
    return np.asarray(np.clip(255 * colours, 0, 255), np.uint8)


def _floats(picture: NDArray[np.uint8]) -> Floats:
    return np.asarray(picture / np.float32(255), np.float32)
