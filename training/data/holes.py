"""Random holes to train and judge inpainting with: what a generator draws is the same wherever it is drawn.

centre     one box in the middle, half of each side: the fixed hole of the papers' tables
boxes      one to four boxes anywhere
strokes    free-form strokes of a round brush that turns as it goes, as a hand would scribble over something
several    two or three of these kinds at once
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from training.errors import DataError

Hole = NDArray[np.uint8]

MISSING = 255
SMALLEST_SIDE = 8  # pixels: below, a box of an eighth of the side is nothing
_MOST_MISSING = 0.5  # share of the picture; more leaves too little to take patches from
_BOX_SIDES = (0.12, 0.45)  # of the picture's sides
_BRUSH = (0.03, 0.1)  # width, of the shorter side
_STEP = (0.06, 0.22)  # length between two turns, of the shorter side
_TURN = 0.9  # radians, standard deviation


def centre(rng: np.random.Generator, height: int, width: int) -> Hole:
    """A box in the middle, half of each side; nothing is random."""
    hole = np.zeros((height, width), np.uint8)
    top, left = height // 4, width // 4
    hole[top : top + height // 2, left : left + width // 2] = MISSING
    return hole


def boxes(rng: np.random.Generator, height: int, width: int) -> Hole:
    """One to four boxes of 12 to 45 % of each side, which may overlap or touch the border."""
    hole = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(1, 5)):
        h, w = (max(1, round(side * rng.uniform(*_BOX_SIDES))) for side in (height, width))
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        hole = _joined(hole, np.s_[top : top + h, left : left + w])
    return hole


def strokes(rng: np.random.Generator, height: int, width: int) -> Hole:
    """One to five strokes, each a walk of four to twelve steps that turns a little at every step."""
    hole = np.zeros((height, width), np.uint8)
    side = min(height, width)
    for _ in range(rng.integers(1, 6)):
        stroke = np.zeros_like(hole)
        brush = max(2, round(side * rng.uniform(*_BRUSH)))
        point, angle = rng.uniform((0, 0), (width - 1, height - 1)), rng.uniform(0, 2 * np.pi)
        for _ in range(rng.integers(4, 13)):
            angle += rng.normal(0, _TURN)
            step = side * rng.uniform(*_STEP) * np.array([np.cos(angle), np.sin(angle)])
            corner = np.array([width - 1, height - 1])
            if np.any((point + step < 0) | (point + step > corner)):  # turn back instead of following the border
                angle, step = angle + np.pi, -step
            after = np.clip(point + step, 0, corner)
            cv2.line(stroke, _pixel(point), _pixel(after), MISSING, brush)
            point = after
        hole = _joined(hole, stroke > 0)
    return hole


def several(rng: np.random.Generator, height: int, width: int) -> Hole:
    """Two of the other kinds, or all three, in random order."""
    hole = np.zeros((height, width), np.uint8)
    kinds = (centre, boxes, strokes)
    for kind in rng.permutation(3)[: rng.integers(2, 4)]:
        hole = _joined(hole, kinds[kind](rng, height, width) > 0)
    return hole


KINDS: dict[str, Callable[[np.random.Generator, int, int], Hole]] = {
    "centre": centre,
    "boxes": boxes,
    "strokes": strokes,
    "several": several,
}


def draw_hole(rng: np.random.Generator, height: int, width: int, kinds: Sequence[str] = tuple(KINDS)) -> Hole:
    """One hole of a kind drawn from `kinds`, uint8 [height, width], 255 = missing.

    Some pixels are missing and, but for the first shape of a hole, never more than half of them.

    Raises:
        DataError: no such kind, or a picture of fewer than 8 pixels a side.
    """
    require_kinds(kinds)
    if min(height, width) < SMALLEST_SIDE:
        raise DataError(f"a picture of {height}×{width} pixels is too small for a hole; give {SMALLEST_SIDE} a side")
    return KINDS[kinds[int(rng.integers(len(kinds)))]](rng, height, width)


def parse_kinds(text: str) -> tuple[str, ...]:
    """ "boxes,strokes" → ("boxes", "strokes").

    Raises:
        DataError: there is no such kind, or none was named.
    """
    kinds = tuple(part.strip() for part in text.split(",") if part.strip())
    require_kinds(kinds)
    return kinds


def require_kinds(kinds: Sequence[str]) -> None:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise DataError(f"holes {', '.join(unknown) or 'none'}: expected one or more of {', '.join(KINDS)}")


def _joined(hole: Hole, shape: tuple[slice, slice] | NDArray[np.bool_]) -> Hole:
    """With `shape` missing too, unless too little would then be left."""
    more = hole.copy()
    more[shape] = MISSING
    return more if np.mean(more > 0) <= _MOST_MISSING or not hole.any() else hole


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
