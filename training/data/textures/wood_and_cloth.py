"""Boards with grain, and woven cloth."""

import numpy as np

from training.data.scenes.materials import pick
from training.data.textures.cells import courses
from training.data.textures.noise import (
    Floats,
    Shape,
    blend,
    fractal,
    grain,
    moved,
    per_cell,
    positions,
    smooth_noise,
    step,
    tinted,
)
from training.data.textures.surface import Surface

_WOODS = ("#a9794f", "#8a5f3c", "#c29a6b", "#6b4a33", "#b98d5e", "#8f8578", "#7a6a58", "#d0b184")
_PAINTS = ("#e6e2d8", "#7f9aa8", "#8aa184", "#a9483a", "#c9b98f")
_YARNS = ("#e8e2d4", "#2f4360", "#8c2f33", "#4f6b4a", "#c9a45a", "#3b3a3c", "#9a8f80", "#b5603c", "#6f87a0", "#5b3a52")


def planks(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """Boards beside each other, across or upright, bare or painted."""
    if rng.random() < 0.4:
        upright = _boards(rng, (shape[1], shape[0]), unit)
        assert upright.height is not None
        colour = np.ascontiguousarray(upright.colour.transpose(1, 0, 2))
        return Surface(colour, np.ascontiguousarray(upright.height.T), upright.gloss)
    return _boards(rng, shape, unit)


def _boards(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    high = unit * rng.uniform(1.2, 2.6)
    cells = courses(rng, shape, (high, unit * rng.uniform(8, 20)), -1.0, 0.03 * unit)
    y, x = positions(shape)
    # Each board shows another piece of the tree.
    y = y + 97 * per_cell(rng, cells.row, cells.column)
    x = x + 211 * per_cell(rng, cells.row, cells.column)
    rings = moved(fractal(rng, shape, (0.55 * high, 9 * high), 3, 0.4), y, x)
    fibres = moved(fractal(rng, shape, (1.3, 0.8 * unit), 3, 0.7), y, x)
    wave = rings * rng.uniform(3, 7)
    # Late wood is a narrow dark line at the end of each ring.
    late = (wave - np.floor(wave)) ** 3
    solid = step(0.02 * unit, 0.02 * unit + max(1.2, 0.05 * unit), cells.inset)
    tone = 0.13 * per_cell(rng, cells.row, cells.column) - 0.3 * late + 0.07 * fibres
    colour = tinted(pick(rng, _WOODS), np.clip(tone, -0.6, 0.5).astype(np.float32))
    if rng.random() < 0.25:
        worn = step(-0.3, 1.2, (smooth_noise(rng, shape, 2 * unit) + 0.5 * fibres + 0.5 * late).astype(np.float32))
        colour = blend(tinted(pick(rng, _PAINTS), 0.05 * fibres), colour, 0.6 * worn)
    bevel = 1 - np.exp(-np.maximum(cells.inset, 0) / (0.06 * unit))
    height = 0.14 * unit * bevel + solid * (
        0.25 * fibres - 0.3 * late + 0.03 * unit * per_cell(rng, cells.row, cells.column)
    )
    dark = blend(0.15 * colour, colour, solid)
    return Surface(dark, height.astype(np.float32), float(rng.choice((0.0, 0.05, 0.15))))


def fabric(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """Plain weave, twill or basket weave of plain, striped or checked yarns."""
    thread = max(3.0, unit / rng.uniform(3.5, 7))
    y, x = positions(shape)
    y, x = y + 0.1 * thread * fractal(rng, shape, 3 * unit), x + 0.1 * thread * fractal(rng, shape, 3 * unit)
    row, column = np.floor(y / thread).astype(np.int64), np.floor(x / thread).astype(np.int64)
    across_y, across_x = y / thread - row - 0.5, x / thread - column - 0.5
    weave = int(rng.integers(3))
    over = ((row + column) % 2 == 0, (row + column) % 4 < 2, (row // 2 + column // 2) % 2 == 0)[weave]
    warp_colour, weft_colour = _yarns(rng, column), _yarns(rng, row)
    colour = np.where(over[..., None], warp_colour, weft_colour)
    profile = np.where(over, np.cos(np.pi * across_x * 0.95), np.cos(np.pi * across_y * 0.95))
    along = np.where(over, np.cos(np.pi * across_y * 0.8), np.cos(np.pi * across_x * 0.8))
    twist = np.sin(2 * np.pi * (across_x + across_y) * 1.5) * np.float32(0.05)
    tone = 0.07 * per_cell(rng, row * 0 + 1, column) * over + 0.07 * per_cell(rng, row, column * 0 + 1) * ~over
    fuzz = 0.05 * grain(rng, shape) + 0.03 * fractal(rng, shape, 2 * unit)
    shade = (0.55 + 0.45 * profile) * (0.8 + 0.2 * along)
    folds = unit * rng.uniform(0, 0.9) * smooth_noise(rng, shape, (9 * unit, 4 * unit))
    lit_yarn = tinted(colour.astype(np.float32), (tone + fuzz + twist).astype(np.float32)) * shade[..., None]
    height = 0.22 * thread * profile * along + folds
    return Surface(lit_yarn.astype(np.float32) * np.float32(1.15), height.astype(np.float32))


def _yarns(rng: np.random.Generator, index: np.ndarray) -> Floats:
    """Colours [H, W, 3] of the threads `index`: one, or stripes of two or three that repeat mirrored."""
    colours = np.stack([pick(rng, _YARNS, 0.03) for _ in range(3)])
    widths = rng.integers(2, 12, int(rng.integers(1, 4)))
    order = np.repeat(np.arange(len(widths)), widths)
    stripes = np.concatenate([order, order[::-1]])
    return colours[stripes[index % len(stripes)]]
