"""What was behind an object: its surroundings grown in, the nearest first."""

import numpy as np
from numpy.typing import NDArray

from runtime.runners.strokes import Mask, Region

_FAR = 2**15  # rows; farther than any map is high, and its square still fits


def nearest(known: Mask, region: Region) -> NDArray[np.int64]:
    """For every pixel of `region`, in row-major order, the flat index of the nearest pixel of `known` [H, W].

    Euclidean and exact. Of equally near ones the one whose column is nearest, then the left one, then the upper one.
    At least one pixel must be known, and none of the region's may be.
    """
    height, width = known.shape
    above, below = _nearest_row(known), height - 1 - _nearest_row(known[::-1])[::-1]
    row = np.arange(height, dtype=np.int32)[:, None]
    upper = np.where(above >= 0, row - above, _FAR)
    lower = np.where(below < height, below - row, _FAR)
    vertical = np.minimum(upper, lower).astype(np.int64) ** 2
    source = np.where(upper <= lower, above, below)

    y, x = (
        axis + start for axis, start in zip(np.nonzero(region.mask), (region.box.top, region.box.left), strict=True)
    )
    best = vertical[y, x]
    column = x.copy()
    active = np.arange(len(y))
    for step in range(1, width):
        active = active[best[active] > step * step]
        if not len(active):
            break
        for side in (-step, step):
            aside = x[active] + side
            within = (aside >= 0) & (aside < width)
            moved, aside = active[within], aside[within]
            distance = vertical[y[moved], aside] + step * step
            is_nearer = distance < best[moved]
            best[moved[is_nearer]] = distance[is_nearer]
            column[moved[is_nearer]] = aside[is_nearer]
    found: NDArray[np.int64] = source[y, column].astype(np.int64) * width + column
    return found


def _nearest_row(known: Mask) -> NDArray[np.int32]:
    """For every pixel the row of the nearest known one at or above it in its column; −1 where there is none."""
    rows = np.where(known, np.arange(len(known), dtype=np.int32)[:, None], np.int32(-1))
    return np.maximum.accumulate(rows, axis=0)
