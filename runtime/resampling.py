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
        if length < planes.shape[axis]:
            planes = np.moveaxis(_area_mean(np.moveaxis(planes, axis, 0), length), 0, axis)
        elif length > planes.shape[axis]:
            planes = np.moveaxis(_linear(np.moveaxis(planes, axis, 0), length), 0, axis)
    return planes


def _area_mean(rows: Floats, length: int) -> Floats:
    """[H, …] → [length, …] by differences of the running sum, which is linear within a pixel."""
    step = len(rows) / length
    edges = np.arange(length + 1) * step
    pixel = np.minimum(edges.astype(np.intp), len(rows) - 1)
    within = (edges - pixel).reshape(-1, *[1] * (rows.ndim - 1))
    total = np.zeros((len(rows) + 1, *rows.shape[1:]))
    np.cumsum(rows, axis=0, out=total[1:])
    sums = total[pixel] + within * rows[pixel]
    means: Floats = (np.diff(sums, axis=0) / step).astype(np.float32)
    return means


def _linear(rows: Floats, length: int) -> Floats:
    centres = np.clip((np.arange(length) + 0.5) * (len(rows) / length) - 0.5, 0, len(rows) - 1)
    above = centres.astype(np.intp)
    below = np.minimum(above + 1, len(rows) - 1)
    weight = (centres - above).astype(np.float32).reshape(-1, *[1] * (rows.ndim - 1))
    lines: Floats = rows[above] * (1 - weight) + rows[below] * weight
    return lines
