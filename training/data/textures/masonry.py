"""Bricks, paving stones, tiles, roof shingles, plaster."""

import cv2
import numpy as np

from training.data.scenes.materials import pick, rgb
from training.data.textures.cells import Cells, courses, stones
from training.data.textures.noise import (
    Floats,
    Shape,
    blend,
    fractal,
    grain,
    palette_per_cell,
    per_cell,
    smooth_noise,
    step,
    tinted,
)
from training.data.textures.surface import Surface

_BRICKS = ("#8c4a37", "#9a5a40", "#7a3d30", "#b07a55", "#a8654a", "#c2a27a", "#8d7a6b", "#cfc8bd", "#6e4a3f")
_MORTARS = ("#b5ada0", "#c9c1b2", "#8f8a82", "#9c8f7c", "#6f6a64")
_STONE = ("#8f8d88", "#a39b8e", "#7c7b7c", "#b3aa98", "#9a8c7c", "#6f7276", "#b09a84")
_ROOFS = ("#8a4a38", "#a65a42", "#5b5a5e", "#6d6a66", "#7a5a48", "#4a5158", "#9c6a50")
_PLASTERS = ("#d8d0c0", "#c9c4bb", "#d9c49a", "#b8c2c4", "#cfae98", "#e4e0d8", "#a9b59f", "#c7b7a0")
_GLAZES = ("#f0ece0", "#27486e", "#b5482f", "#d9a441", "#2f6b5e", "#8fb0c4", "#3a3733", "#c9b79a", "#7d3b4a")


def _rough(rng: np.random.Generator, shape: Shape, unit: float) -> Floats:
    """Unevenness of baked or hewn stone, from a third of a cell down to single pixels; deviation about 1."""
    return 0.7 * fractal(rng, shape, unit / 2.5, 4) + 0.45 * grain(rng, shape)


def _laid(
    rng: np.random.Generator,
    cells: Cells,
    unit: float,
    colour: Floats,
    gap: float,
    relief: float,
    joint: Floats,
    variety: float = 0.12,
) -> Surface:
    """Cells of a colour [3] or [H, W, 3] with joints `gap` pixels wide between them."""
    shape = cells.inset.shape
    rough = _rough(rng, shape, unit)
    ragged = cells.inset + 0.025 * unit * smooth_noise(rng, shape, unit / 3)
    solid = step(0.5 * gap - 0.6, 0.5 * gap + max(1.0, 0.05 * unit), ragged)
    tone = variety * per_cell(rng, cells.row, cells.column) + 0.07 * rough
    hue = per_cell(rng, cells.row, cells.column)[..., None] * np.array([0.02, 0, -0.02], np.float32)
    faces = tinted(colour, np.clip(tone, -0.6, 0.6)) * (1 + hue)
    joints = tinted(joint, 0.1 * grain(rng, shape) + 0.08 * smooth_noise(rng, shape, unit / 2))
    lean = 0.02 * (cells.x * per_cell(rng, cells.row, cells.column) + cells.y * per_cell(rng, cells.row, cells.column))
    height = solid * (relief + 0.009 * unit * rough + lean) + (1 - solid) * 0.2 * grain(rng, shape)
    return Surface(blend(joints, faces.astype(np.float32), solid), height.astype(np.float32))


def bricks(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """A wall of bricks about one unit high, shifted by a half, a third or a quarter from row to row."""
    wide = unit * rng.uniform(1.9, 3.0)
    cells = courses(rng, shape, (unit, wide), float(rng.choice((0.5, 0.5, 1 / 3, 0.25))), 0.08 * unit, 0.03 * unit)
    base = pick(rng, _BRICKS)
    kinds = [base * tone for tone in (1.0, 1.0, 0.9, rng.uniform(0.62, 1.2))]
    colour = palette_per_cell(rng, cells.row, cells.column, kinds)
    gap, relief = unit * rng.uniform(0.1, 0.18), unit * rng.uniform(0.05, 0.12)
    return _laid(rng, cells, unit, colour, gap, relief, pick(rng, _MORTARS))


def paving(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """Slabs in courses, irregular flagstones, or cobbles."""
    joint = pick(rng, _MORTARS) * rng.uniform(0.45, 0.8)
    kind = rng.integers(3)
    if kind == 0:
        size = unit * rng.uniform(1.8, 2.6)
        cells = courses(rng, shape, (size, size * rng.uniform(1, 1.6)), float(rng.choice((0, 0.5))), 0.1 * unit)
        return _laid(rng, cells, unit, pick(rng, _STONE), 0.1 * unit, 0.06 * unit, joint, 0.08)
    if kind == 1:
        cells = stones(rng, shape, (2.2 * unit, 2.6 * unit), 0.9)
        colour = palette_per_cell(rng, cells.row, cells.column, [pick(rng, _STONE) for _ in range(3)])
        return _laid(rng, cells, unit, colour, 0.22 * unit, 0.09 * unit, joint, 0.09)
    cells = stones(rng, shape, (1.1 * unit, 1.25 * unit), 0.42)
    laid = _laid(rng, cells, unit, pick(rng, _STONE), 0.16 * unit, 0.0, joint, 0.13)
    dome = 0.6 * unit * (1 - np.exp(-np.maximum(cells.inset - 0.06 * unit, 0) / (0.25 * unit)))
    dome = cv2.GaussianBlur(dome.astype(np.float32), (0, 0), 0.09 * unit)
    assert laid.height is not None
    return Surface(laid.colour, (0.8 * laid.height + dome).astype(np.float32), 0.06)


def tiles(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """Glazed square tiles, most with an ornament of two or three colours."""
    side = unit * rng.uniform(1.8, 3.4)
    cells = courses(rng, shape, (side, side), float(rng.choice((0, 0, 0, 0.5))), 0.04 * side)
    colours = [pick(rng, _GLAZES, 0.03) for _ in range(3)]
    colour = np.broadcast_to(colours[0], (*shape, 3)).astype(np.float32)
    if rng.random() < 0.8:
        for ink, mask in zip(colours[1:], _ornament(rng, cells, side), strict=True):
            colour = blend(colour, ink, mask)
    elif rng.random() < 0.6:
        checks = ((cells.row + cells.column) % 2).astype(np.float32)
        colour = blend(colour, colours[1], checks)
    solid = step(0.02 * side - 0.5, 0.02 * side + 1.0, cells.inset)
    tone = 0.04 * per_cell(rng, cells.row, cells.column) + 0.03 * smooth_noise(rng, shape, unit / 2)
    joint = tinted(pick(rng, _MORTARS), 0.08 * grain(rng, shape))
    edge = 1 - np.exp(-np.maximum(cells.inset - 0.02 * side, 0) / (0.03 * side))
    lean = 0.006 * (cells.x * per_cell(rng, cells.row, cells.column) + cells.y * per_cell(rng, cells.row, cells.column))
    height = solid * (0.05 * side * edge + lean + 0.05 * smooth_noise(rng, shape, unit / 2))
    worn = tinted(colour, tone + 0.015 * grain(rng, shape))
    return Surface(blend(joint, worn, solid), height.astype(np.float32), float(rng.uniform(0.05, 0.3)))


def _ornament(rng: np.random.Generator, cells: Cells, side: float) -> tuple[Floats, Floats]:
    """Two masks with the symmetry of a square: rings, diamonds, stars and corners."""
    y, x = cells.y / (side / 2), cells.x / (side / 2)
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    corner = np.hypot(1 - np.abs(y), 1 - np.abs(x))
    soft = 2.4 / side
    petals = 4 * int(rng.integers(1, 4))

    def inside(distance: Floats) -> Floats:
        return step(-soft, soft, (-distance).astype(np.float32))

    def shape() -> Floats:
        size, width = rng.uniform(0.4, 0.85), rng.uniform(0.06, 0.14)
        kinds = (
            radius - size * (0.72 + 0.28 * np.cos(petals * angle)),
            np.abs(radius - size) - width,
            np.abs(np.abs(y) + np.abs(x) - size) - width,
            np.abs(y) + np.abs(x) - size,
            corner - size * 0.6,
            np.abs(corner - size * 0.8) - width,
            np.minimum(np.abs(np.abs(y) - np.abs(x)), radius * 0 + 9) - width * 0.7,
            np.maximum(np.abs(y), np.abs(x)) * -1 + 0.8,
        )
        return inside(kinds[int(rng.integers(len(kinds)))])

    return np.maximum(shape(), shape()), shape()


def shingles(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """Overlapping rows of roof tiles, cut straight or round below."""
    high, wide = 1.2 * unit, unit * rng.uniform(0.9, 1.5)
    cut = high * float(rng.choice((0.0, 0.3, 0.5)))
    upper = courses(rng, shape, (high, wide), 0.5, wobble=0.02 * unit)
    below = upper.y + high / 2 - high + cut * (2 * np.abs(upper.x) / wide) ** 2 > 0
    # What lies under a tab's edge belongs to the next row, half a tile further.
    x = np.where(below, np.where(upper.x > 0, upper.x - wide / 2, upper.x + wide / 2), upper.x)
    row = upper.row + below
    column = 2 * upper.column + np.where(below, np.sign(upper.x).astype(np.int64), 0)
    along = (upper.y + high / 2) / high - below
    gap = wide / 2 - np.abs(x) < max(0.7, 0.03 * unit)
    rough = _rough(rng, shape, unit)
    tone = 0.12 * per_cell(rng, row, column) + 0.06 * rough - 0.1 * (1 - np.clip(along, 0, 1))
    colour = tinted(pick(rng, _ROOFS), np.where(gap, -0.6, tone).astype(np.float32))
    swell = 0.05 * unit * (1 - (2 * x / wide) ** 2) * float(rng.random() < 0.5)
    height = 0.2 * unit * along + swell + 0.05 * unit * per_cell(rng, row, column) * 0.3 + 0.012 * unit * rough
    return Surface(colour, np.where(gap, height - 0.06 * unit, height).astype(np.float32))


def plaster(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """A rendered wall: fine bumps, faint stains."""
    bumps = fractal(rng, shape, unit / rng.uniform(2, 5), 4, 0.7)
    stains = fractal(rng, shape, 4 * unit, 4)
    colour = tinted(pick(rng, _PLASTERS), 0.04 * stains + 0.02 * grain(rng, shape))
    dirt = step(1.2, 2.4, stains) * 0.25
    return Surface(blend(colour, 0.7 * rgb("#8a8071"), dirt), (rng.uniform(0.15, 0.6) * bumps).astype(np.float32))
