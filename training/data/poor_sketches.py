"""Sketches made worse, as people draw them: strokes missing, or out of place. Deterministic by generator."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_WHITE = 255
_INK_BELOW = 160
_KEPT = 0.4  # share of the ink that is left of a sparse sketch
_ERASER = 0.05  # radius, as a share of the sketch's side
_BEND = 0.05  # standard deviation of a displacement, likewise
_WAVE = 0.125  # of the displacements' smoothing, likewise


def clean(sketch: Picture, rng: np.random.Generator) -> Picture:
    """As it is."""
    return sketch


def sparse(sketch: Picture, rng: np.random.Generator) -> Picture:
    """Rub out round pieces of line until two fifths of the ink are left.

    Args:
        sketch: dark lines on white, uint8 [H, W, 3].
        rng: where the pieces lie.
    """
    ink = sketch.min(-1) < _INK_BELOW
    left, wanted = ink.copy(), _KEPT * ink.sum()
    radius = max(1, round(_ERASER * min(ink.shape)))
    result = sketch.copy()
    while left.sum() > wanted:
        y, x = rng.choice(np.argwhere(left)).tolist()
        rubbed = cv2.circle(np.zeros(ink.shape, np.uint8), (x, y), radius, 1, -1).astype(bool)
        left[rubbed] = False
        result[rubbed] = _WHITE
    return result


def distorted(sketch: Picture, rng: np.random.Generator) -> Picture:
    """Bend it by a smooth random displacement: proportions are off, strokes stay strokes.

    Args:
        sketch: dark lines on white, uint8 [H, W, 3].
        rng: of the displacement.
    """
    height, width = sketch.shape[:2]
    side = min(height, width)
    rows, columns = (
        field + grid for field, grid in zip(_waves(rng, height, width, side), np.indices((height, width)), strict=True)
    )
    maps = columns.astype(np.float32), rows.astype(np.float32)
    white = (_WHITE,) * 3
    return np.asarray(cv2.remap(sketch, *maps, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, white), np.uint8)


def _waves(rng: np.random.Generator, height: int, width: int, side: int) -> NDArray[np.floating]:
    """Two smooth fields [2, H, W], pixels."""
    noise = rng.normal(size=(2, height, width))
    smooth = np.stack([cv2.GaussianBlur(field, (0, 0), _WAVE * side) for field in noise])
    return smooth * (_BEND * side / smooth.std())


QUALITIES: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "clean": clean,
    "sparse": sparse,
    "distorted": distorted,
}
