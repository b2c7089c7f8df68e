"""Scenes of two or three materials with clean edges: rooms, house fronts, fields, shores, paths, tables.

Each takes a generator, [H, W], a unit (pixels a brick is high) and the light, and gives colours [H, W, 3].
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike

from training.data.scenes.materials import pick
from training.data.textures.camera import choose, seen
from training.data.textures.noise import Floats, Shape, positions, smooth_noise
from training.data.textures.openings import door, picture_frame, window
from training.data.textures.surface import Light

_WALLS = ("bricks", "plaster", "tiles", "planks", "fabric", "plaster")
_FLOORS = ("planks", "tiles", "paving", "marble", "fabric")
_FIELDS = ("grass", "grass", "sand", "gravel", "water")
_FRONT = 0.0  # what stands upright in a scene is seen straight from the front
_PATHS = ("paving", "gravel", "sand", "bricks", "planks")


def room(rng: np.random.Generator, shape: Shape, unit: float, light: Light) -> Floats:
    """A wall, a floor that runs towards the viewer, a skirting between; perhaps a window, door or picture."""
    edge = int(shape[0] * rng.uniform(0.55, 0.82))
    wall = seen(rng, choose(rng, _WALLS), (edge, shape[1]), 0.8 * unit, light, slant=_FRONT)
    floor = seen(rng, choose(rng, _FLOORS), (shape[0] - edge, shape[1]), 1.1 * unit, light, rng.uniform(0.6, 1))
    if rng.random() < 0.8:
        wall = (window, door, picture_frame)[int(rng.integers(3))](rng, wall, light)
    picture = np.concatenate([wall, floor])
    high = int(rng.uniform(0.02, 0.05) * shape[0])
    if rng.random() < 0.7:
        skirting = pick(rng, ("#e4e0d6", "#6b4a33", "#8f8578", "#3a3a3c"))
        picture[edge - high : edge] = 0.9 * skirting * (1 - 0.25 * np.linspace(0, 1, high)[:, None, None])
        picture[edge - high] *= 1.25
    return _contact(picture, edge, 0.5)


def house_front(rng: np.random.Generator, shape: Shape, unit: float, light: Light) -> Floats:
    """A wall with one to six windows, perhaps below a roof and the sky."""
    wall = seen(rng, choose(rng, ("bricks", "plaster", "planks", "bricks")), shape, 0.6 * unit, light, slant=_FRONT)
    top = 0
    if rng.random() < 0.55:
        top = int(shape[0] * rng.uniform(0.25, 0.42))
        roof = seen(rng, "shingles", (top, shape[1]), 0.55 * unit, light, slant=_FRONT)
        if rng.random() < 0.6:
            ridge = int(top * rng.uniform(0.2, 0.6))
            roof[:ridge] = seen(rng, "sky", (ridge, shape[1]), unit, light)
        wall[:top] = roof
        gutter = max(2, int(0.02 * shape[0]))
        wall[top : top + gutter] = pick(rng, ("#d8d4ca", "#4a4a4c", "#8a8f94"))
        wall = _contact(wall, top + gutter, 0.55)
        top += 2 * gutter
    rows, columns = (1, int(rng.integers(1, 4))) if top else (int(rng.integers(1, 3)), int(rng.integers(1, 4)))
    high, wide = (shape[0] - top) // rows, shape[1] // columns
    state = rng.bit_generator.state
    for row in range(rows):
        for column in range(columns):
            rng.bit_generator.state = state  # all windows of a house are alike
            part = np.s_[top + row * high : top + (row + 1) * high, column * wide : (column + 1) * wide]
            wall[part] = window(rng, wall[part], light)
    return wall


def field(rng: np.random.Generator, shape: Shape, unit: float, light: Light) -> Floats:
    """Ground to a horizon, a hedge, wall or fence before it perhaps, sky."""
    horizon = int(shape[0] * rng.uniform(0.3, 0.65))
    sky = seen(rng, "sky", (horizon, shape[1]), unit, light)
    ground = seen(rng, choose(rng, _FIELDS), (shape[0] - horizon, shape[1]), unit, light, rng.uniform(0.5, 1))
    picture = np.concatenate([sky, ground])
    if rng.random() < 0.6:
        high = int(shape[0] * rng.uniform(0.1, 0.25))
        name = choose(rng, ("foliage", "bricks", "planks", "foliage"))
        strip = seen(rng, name, (high, shape[1]), 0.55 * unit, light, slant=_FRONT)
        top = np.zeros(shape[1]) if name != "foliage" else 0.22 * high * (1 + _profile(rng, shape[1], high))
        y, _ = positions((high, shape[1]))
        mask = np.clip(y - top + 0.5, 0, 1)[..., None].astype(np.float32)
        part = np.s_[horizon - high : horizon]
        picture[part] += mask * (strip - picture[part])
        picture = _contact(picture, horizon, 0.6)
    return picture


def path(rng: np.random.Generator, shape: Shape, unit: float, light: Light) -> Floats:
    """A way through grass to the horizon, or a border between two grounds seen from above."""
    if rng.random() < 0.4:
        return _border(rng, shape, unit, light)
    horizon = int(shape[0] * rng.uniform(0.25, 0.45))
    below = (shape[0] - horizon, shape[1])
    ground = seen(rng, choose(rng, ("grass", "grass", "gravel")), below, unit, light, 0.8)
    way = seen(rng, choose(rng, _PATHS), below, unit, light, 0.9)
    middle, far, near = rng.uniform(0.3, 0.7, 2), rng.uniform(0.03, 0.1), rng.uniform(0.22, 0.45)
    corners = [(middle[0] - far, 0), (middle[0] + far, 0), (middle[1] + near, 1), (middle[1] - near, 1)]
    mask = polygon(below, np.array(corners) * (below[1], below[0]))
    wider = np.array(corners) + np.array([(-0.01, 0), (0.01, 0), (0.03, 0), (-0.03, 0)])
    kerb = polygon(below, wider * (below[1], below[0]))
    ground += kerb[..., None] * (pick(rng, ("#8f8d88", "#4a4038", "#b5ada0")) - ground)
    ground += mask[..., None] * (way - ground)
    above = seen(rng, choose(rng, ("sky", "foliage", "sky")), (horizon, shape[1]), 0.8 * unit, light)
    return np.concatenate([above, ground])


def table(rng: np.random.Generator, shape: Shape, unit: float, light: Light) -> Floats:
    """A table top with a front edge, a cloth or tray on it, a wall behind."""
    edge = int(shape[0] * rng.uniform(0.25, 0.5))
    below = (shape[0] - edge, shape[1])
    wall = seen(rng, choose(rng, _WALLS), (edge, shape[1]), 0.9 * unit, light, slant=_FRONT)
    top = seen(rng, choose(rng, ("planks", "marble", "planks", "tiles")), below, 1.2 * unit, light, 0.5)
    if rng.random() < 0.7:
        cloth = seen(rng, choose(rng, ("fabric", "fabric", "tiles", "marble")), below, 0.9 * unit, light, 0.5)
        left = rng.uniform(-0.1, 0.5)
        right = left + rng.uniform(0.3, 0.7)
        lean = rng.uniform(0.02, 0.12)
        y0, y1 = rng.uniform(0.1, 0.3), rng.uniform(0.7, 1.2)
        corners = np.array([(left + lean, y0), (right - lean, y0), (right, y1), (left, y1)]) * (below[1], below[0])
        shadow = cv2.GaussianBlur(
            polygon(below, corners + np.array([0.01, 0.015]) * below[1]), (0, 0), 0.012 * below[1]
        )
        top *= 1 - 0.5 * shadow[..., None]
        mask = polygon(below, corners)[..., None]
        top += mask * (cloth - top)
    return _contact(np.concatenate([wall, top]), edge, 0.45)


OPEN_AIR = ("house front", "field", "path")
SCENES: dict[str, Callable[[np.random.Generator, Shape, float, Light], Floats]] = {
    "room": room,
    "house front": house_front,
    "field": field,
    "path": path,
    "table": table,
}


def _border(rng: np.random.Generator, shape: Shape, unit: float, light: Light) -> Floats:
    """Two grounds from above, divided by a straight or a winding line, with a kerb or without."""
    grounds = ("grass", "paving", "gravel", "planks", "bricks", "sand", "water", "foliage", "tiles")
    names = [grounds[i] for i in rng.permutation(len(grounds))[:2]]
    first, second = (seen(rng, name, shape, unit, light) for name in names)
    y, x = positions(shape)
    angle = rng.uniform(0, 2 * np.pi)
    across = (x - shape[1] / 2) * np.cos(angle) + (y - shape[0] / 2) * np.sin(angle)
    if rng.random() < 0.5:
        across += rng.uniform(0.5, 2) * unit * smooth_noise(rng, shape, max(shape) / 3)
    across += rng.normal(0, 0.12) * max(shape)
    first += np.clip(across + 0.5, 0, 1)[..., None] * (second - first)
    if rng.random() < 0.5:
        kerb = np.clip(unit * rng.uniform(0.15, 0.5) - np.abs(across) + 0.5, 0, 1)[..., None]
        stone = seen(rng, "plaster", shape, 0.5 * unit, light) * pick(rng, ("#b5ada0", "#8f8d88", "#cfc8bd"))
        first += kerb * (1.2 * stone - first)
    return first.astype(np.float32)


def polygon(shape: Shape, corners: ArrayLike) -> Floats:
    """1 inside of corners (x, y), smooth at the edge."""
    mask = np.zeros(shape, np.uint8)
    fixed = np.round(np.asarray(corners) * 16).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, 4)
    return np.asarray(mask / np.float32(255), np.float32)


def _contact(picture: Floats, row: int, strength: float) -> Floats:
    """Dark where something stands on the ground below `row`, fading downwards."""
    below = np.arange(picture.shape[0], dtype=np.float32) - row
    dark = np.where(below >= 0, strength * np.exp(-below / (0.02 * picture.shape[0])), 0)
    return np.asarray(picture * (1 - dark[:, None, None]), np.float32)


def _profile(rng: np.random.Generator, width: int, high: int) -> Floats:
    return smooth_noise(rng, (1, width), (1, max(4, high // 3)))[0]
