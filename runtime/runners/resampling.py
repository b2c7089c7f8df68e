"""Images brought to another size in numpy: the mean over an area where they shrink, linear between pixels where not."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def resample(planes: Floats, size: tuple[int, int]) -> Floats:
    """Scale each axis of [H, W, …] to `size`, pixel centres at (i + ½); a constant stays what it is.

    An axis that shrinks takes the mean over the area that a pixel of the result covers, one that grows is linear
    between the centres of pixels, and constant outside of them.
    """
    for axis, length in enumerate(size):
        planes = resample_axis(planes, axis, length)
    return planes


def resample_axis(planes: Floats, axis: int, length: int) -> Floats:
    """`resample` for one axis alone."""
    rows = np.moveaxis(planes, axis, 0)
    if length == len(rows):
        return planes
    return np.moveaxis(_area_mean(rows, length) if length < len(rows) else _linear(rows, length), 0, axis)


def _area_mean(rows: Floats, length: int) -> Floats:
    """[H, …] → [length, …]: sums of whole pixels, without the part before the first edge, with that before the next."""
    step = len(rows) / length
    edges = np.arange(length) * step
    first = edges.astype(np.intp)
    within = (edges - first).astype(np.float32).reshape(-1, *[1] * (rows.ndim - 1))
    before = within * rows[first]
    sums: Floats = np.add.reduceat(rows, first, axis=0)
    sums -= before
    sums[:-1] += before[1:]
    sums /= np.float32(step)
    return sums


def _linear(rows: Floats, length: int) -> Floats:
    centres = np.clip((np.arange(length) + 0.5) * (len(rows) / length) - 0.5, 0, len(rows) - 1)
    above = centres.astype(np.intp)
    below = np.minimum(above + 1, len(rows) - 1)
    weight = (centres - above).astype(np.float32).reshape(-1, *[1] * (rows.ndim - 1))
    lines: Floats = rows[above] * (1 - weight) + rows[below] * weight
    return lines
