"""Images brought to another size in numpy: the mean over an area where they shrink, linear between pixels where not."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_HALF = 0.5


def resample(planes: NDArray[Any], size: tuple[int, int]) -> Floats:
    """Scale each axis of [H, W, …] to `size`, pixel centres at (i + ½); a constant stays what it is.

    An axis that shrinks takes the mean over the area that a pixel of the result covers, one that grows is linear
    between the centres of pixels, and constant outside of them. Bytes become floats line by line: all of a huge picture
    in floats would be four times as large.
    """
    for axis, length in enumerate(size):
        planes = resample_axis(planes, axis, length)
    return planes.astype(np.float32, copy=False)


def resample_axis(planes: NDArray[Any], axis: int, length: int) -> NDArray[Any]:
    """`resample` for one axis alone."""
    rows = np.moveaxis(planes, axis, 0)
    if length == len(rows):
        return planes
    return np.moveaxis(_area_mean(rows, length) if length < len(rows) else _linear(rows, length), 0, axis)


def to_bytes(levels: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Grey levels, rounded."""
    rounded: NDArray[np.uint8] = np.clip(levels + _HALF, 0, 255).astype(np.uint8)
    return rounded


def _area_mean(rows: NDArray[Any], length: int) -> Floats:
    """[H, …] → [length, …]: each the mean of the rows that it covers, those at its edges by their share."""
    step = len(rows) / length
    means = np.empty((length, *rows.shape[1:]), np.float32)
    for index in range(length):
        begin, end = index * step, min((index + 1) * step, len(rows))
        covered = np.arange(int(begin), min(math.ceil(end), len(rows)))
        shares = np.minimum(end, covered + 1) - np.maximum(begin, covered)
        weights = (shares / step).astype(np.float32)
        means[index] = np.tensordot(weights, rows[covered[0] : covered[-1] + 1].astype(np.float32), 1)
    return means


def _linear(rows: NDArray[Any], length: int) -> Floats:
    centres = np.clip((np.arange(length) + 0.5) * (len(rows) / length) - 0.5, 0, len(rows) - 1)
    above = centres.astype(np.intp)
    below = np.minimum(above + 1, len(rows) - 1)
    weight = (centres - above).astype(np.float32).reshape(-1, *[1] * (rows.ndim - 1))
    lines: Floats = rows[above] * (1 - weight) + rows[below] * weight
    return lines
