"""Surfaces divided into cells: courses of bricks, boards and tiles, and irregular stones."""

from dataclasses import dataclass

import numpy as np

from training.data.textures.noise import Floats, Ints, Shape, positions, smooth_noise

_STONES = 64  # the pattern of irregular cells repeats after so many


@dataclass(frozen=True)
class Cells:
    """For every pixel [H, W] its cell and where it lies in it.

    Attributes:
        row, column: of the cell.
        y, x: pixels from the cell's middle.
        inset: pixels to the cell's edge, negative outside of it.
    """

    row: Ints
    column: Ints
    y: Floats
    x: Floats
    inset: Floats


def courses(
    rng: np.random.Generator,
    shape: Shape,
    size: tuple[float, float],
    shift: float,
    corner: float = 0.0,
    wobble: float = 0.0,
) -> Cells:
    """Rows of rectangles.

    Args:
        rng: source of randomness.
        shape: [H, W].
        size: height and width of a cell, pixels.
        shift: of each row against the one above, in widths; negative for another random one in each row.
        corner: radius of the rounded corners, pixels.
        wobble: how far edges stray, pixels.
    """
    high, wide = size
    y, x = positions(shape)
    if wobble:
        y = y + wobble * smooth_noise(rng, shape, 1.5 * high)
        x = x + wobble * smooth_noise(rng, shape, 1.5 * high)
    y = y + np.float32(rng.uniform(0, high))
    row = np.floor(y / high).astype(np.int64)
    shifts = rng.uniform(0, 1, 997) if shift < 0 else np.arange(997) * shift + rng.uniform()
    x = x + (shifts[row % 997] * wide).astype(np.float32)
    column = np.floor(x / wide).astype(np.int64)
    y, x = y - (row + 0.5) * np.float32(high), x - (column + 0.5) * np.float32(wide)
    inset = rounded_box(y, x, high, wide, corner)
    return Cells(row, column, y.astype(np.float32), x.astype(np.float32), inset)


def rounded_box(y: Floats, x: Floats, high: float, wide: float, corner: float) -> Floats:
    """Distance to the edge of a box about (0, 0), positive inside."""
    qy, qx = np.abs(y) - (high / 2 - corner), np.abs(x) - (wide / 2 - corner)
    outside = np.hypot(np.maximum(qy, 0), np.maximum(qx, 0))
    return np.asarray(corner - outside - np.minimum(np.maximum(qy, qx), 0), np.float32)


def stones(
    rng: np.random.Generator, shape: Shape, size: tuple[float, float], jitter: float = 0.8, shift: float = 0.5
) -> Cells:
    """Voronoi cells of points that stray by `jitter` from the middles of courses of `size`."""
    y, x = positions(shape)
    y, x = y / np.float32(size[0]), x / np.float32(size[1])
    row = np.floor(y).astype(np.int64)
    stray = (rng.uniform(-0.5, 0.5, (_STONES, _STONES, 2)) * jitter + 0.5).astype(np.float32)
    neighbours = []
    for down in (-1, 0, 1):
        r = row + down
        offset = (r % 2).astype(np.float32) * np.float32(shift)
        middle = np.floor(x - offset).astype(np.int64)
        for across in (-1, 0, 1):
            c = middle + across
            at = stray[r % _STONES, c % _STONES]
            dy, dx = (r + at[..., 0] - y) * size[0], (c + offset + at[..., 1] - x) * size[1]
            neighbours.append((dy.astype(np.float32), dx.astype(np.float32), r, c))
    far = np.stack([dy**2 + dx**2 for dy, dx, _, _ in neighbours])
    nearest = far.argmin(0)[None]
    near_y, near_x, near_row, near_column = (
        np.take_along_axis(np.stack(values), nearest, 0)[0] for values in zip(*neighbours, strict=True)
    )
    inset = np.full(shape, np.inf, np.float32)
    for dy, dx, _, _ in neighbours:
        apart_y, apart_x = dy - near_y, dx - near_x
        apart = np.hypot(apart_y, apart_x)
        # Distance to the line half-way between the two points.
        edge = ((dy + near_y) * apart_y + (dx + near_x) * apart_x) / (2 * np.maximum(apart, 1e-3))
        np.minimum(inset, np.where(apart > 1e-3, edge, np.inf), out=inset)
    return Cells(near_row, near_column, -near_y, -near_x, inset.astype(np.float32))
