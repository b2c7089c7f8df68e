"""Smooth random fields, and positions: what every material is varied with."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Shape = tuple[int, int]


def smooth_noise(rng: np.random.Generator, shape: Shape, cell: float | tuple[float, float]) -> Floats:
    """Random values at grid points `cell` pixels apart (down, across), cubic between them; mean 0, deviation 1."""
    cells = cell if isinstance(cell, tuple) else (cell, cell)
    down, across = (max(1.0, float(c)) for c in cells)
    grid = rng.standard_normal((int(shape[0] / down) + 5, int(shape[1] / across) + 5), dtype=np.float32)
    size = (round(grid.shape[1] * across), round(grid.shape[0] * down))
    large = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
    top, left = (int(rng.integers(int(2 * c), int(3 * c) + 1)) for c in (down, across))
    field = large[top : top + shape[0], left : left + shape[1]]
    return np.asarray(field / max(float(field.std()), 1e-3), np.float32)


def fractal(
    rng: np.random.Generator,
    shape: Shape,
    cell: float | tuple[float, float],
    octaves: int = 4,
    gain: float = 0.55,
) -> Floats:
    """`octaves` of smooth noise, each twice as fine and `gain` times as strong; mean 0, deviation about 1."""
    down, across = cell if isinstance(cell, tuple) else (cell, cell)
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        total += np.float32(gain**octave) * smooth_noise(rng, shape, (down / 2**octave, across / 2**octave))
    return total / np.float32(np.sqrt(sum(gain ** (2 * octave) for octave in range(octaves))))


def grain(rng: np.random.Generator, shape: Shape) -> Floats:
    """Independent values per pixel, deviation 1."""
    return rng.standard_normal(shape, dtype=np.float32)


def positions(shape: Shape) -> tuple[Floats, Floats]:
    """y and x of every pixel."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return y, x


def step(low: float, high: float, values: Floats) -> Floats:
    """0 below `low`, 1 above `high`, smooth between them."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def blend(first: Floats, second: Floats, share: Floats) -> Floats:
    """Colours [3] or [H, W, 3]; `share` [H, W] of the second one."""
    return np.asarray(first + share[..., None] * (second - first), np.float32)


def tinted(colour: Floats, strength: Floats) -> Floats:
    """Colour [3] or [H, W, 3], brightened by (1 + `strength`) [H, W]."""
    return np.asarray(colour * (1 + strength)[..., None], np.float32)


def per_cell(rng: np.random.Generator, row: Ints, column: Ints) -> Floats:
    """One normal value [H, W] for each cell (row, column); the cells repeat far outside of a picture."""
    table = rng.standard_normal((211, 223), dtype=np.float32)
    return table[row % 211, column % 223]


def palette_per_cell(rng: np.random.Generator, row: Ints, column: Ints, colours: Sequence[Floats]) -> Floats:
    """One of `colours` for each cell, [H, W, 3]."""
    table = rng.integers(0, len(colours), (211, 223))
    return np.stack(list(colours))[table[row % 211, column % 223]]


def moved(field: Floats, y: Floats, x: Floats) -> Floats:
    """`field` looked up at positions (y, x), which wrap around."""
    return np.asarray(cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)
