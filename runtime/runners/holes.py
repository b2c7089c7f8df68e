"""Hole masks: validation in the caller's terms, growing them, and the connected holes in them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.errors import InputError
from runtime.runners.checks import as_array

Mask = NDArray[np.bool_]
MAX_MARGIN = 1024  # pixels that a hole may grow by


def check_hole_mask(hole_mask: ArrayLike, shape: tuple[int, ...]) -> Mask:
    """Return `hole_mask` as bool [N, H, W], True where a pixel is missing.

    Args:
        hole_mask: bool or uint8 [H, W] or [N, H, W]; not zero = missing.
        shape: that of the image, [H, W, 3] or [N, H, W, 3].

    Raises:
        InputError: another shape or dtype; says how to convert it.
    """
    mask = as_array(hole_mask, "hole_mask")
    expected = list(shape[:-1])
    received = f"hole_mask is {mask.dtype} {list(mask.shape)}, expected uint8 or bool {expected}"
    if mask.shape != shape[:-1]:
        raise InputError(f"{received} as the image has, not zero = missing; {_shape_hint(mask, shape)}")
    if mask.dtype not in (np.uint8, np.bool_):
        raise InputError(f"{received}, not zero = missing; {_dtype_hint(mask)}")
    missing: Mask = np.not_equal(mask, 0)
    return missing if missing.ndim == len("NHW") else missing[None]


def _shape_hint(mask: NDArray[Any], shape: tuple[int, ...]) -> str:
    if mask.shape == (*shape[:-1], 1):
        return "drop its last axis with hole_mask[..., 0]"
    if mask.ndim == len(shape) and mask.shape[:-1] == shape[:-1]:
        return "it has channels: use hole_mask.any(axis=-1), or the one that says what is missing"
    if len(shape) == len("NHWC") and mask.ndim > 1 and mask.shape[-2:] == shape[1:-1]:
        return "give a mask for each image of the batch; one for all: numpy.broadcast_to(hole_mask, image.shape[:-1])"
    if mask.shape == (*shape[:-3], *shape[-3:-1][::-1]):
        return "its sides are swapped: turn it as the image was turned"
    return "a mask belongs to its image pixel for pixel: scale it by nearest neighbour, or crop the image"


def _dtype_hint(mask: NDArray[Any]) -> str:
    if mask.dtype.kind == "f" and not np.isfinite(mask).all():
        return "it holds NaN or infinity; find out where they come from"
    if mask.dtype.kind in "iuf":
        return "say what is missing: hole_mask != 0, or hole_mask > 0.5"
    return "give bytes or truth values"


def check_margin(value: int, name: str) -> int:
    """Return `value` if it is a number of pixels from 0 to `MAX_MARGIN`; else raise InputError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= MAX_MARGIN:
        raise InputError(f"{name} is {value!r}, expected a number of pixels from 0 to {MAX_MARGIN}")
    return int(value)


def opacity(mask: Mask, margin: int, feather: int) -> NDArray[np.float32]:
    """How much of a completed pixel shows, [H, W]: 1 in `mask`, 0 farther than `margin` from it.

    Within the outermost `feather` ≤ `margin` pixels of the grown hole it falls linearly.
    """
    if margin == 0:
        return mask.astype(np.float32)
    within = margin + 1 - distance(mask, margin + 1)
    return np.minimum(within, feather + 1).astype(np.float32) / np.float32(feather + 1)


def distance(mask: Mask, most: int) -> NDArray[np.int32]:
    """Rows or columns, whichever are more, from every pixel of [H, W] to the next set one, at most `most`.

    Two passes as of Rosenfeld and Pfaltz: down and to the right, then up and to the left.
    """
    steps = np.where(mask, 0, most).astype(np.int32)
    columns = np.arange(mask.shape[1], dtype=np.int32)
    for rows in (steps, steps[::-1, ::-1]):
        for y, row in enumerate(rows):
            if y:
                above = rows[y - 1]
                np.minimum(row, above + 1, out=row)
                np.minimum(row[1:], above[:-1] + 1, out=row[1:])
                np.minimum(row[:-1], above[1:] + 1, out=row[:-1])
            row[:] = np.minimum.accumulate(row - columns) + columns
    return steps


def connected_holes(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """The holes that hang together, diagonal neighbours included.

    Returns:
        int32 [H, W], the hole that each pixel belongs to, −1 where it is known; and int [holes, 4], each one's bounding
        box (top, left, bottom, right), the last two exclusive.
    """
    width = mask.shape[1]
    changes = np.diff(mask.astype(np.int8), axis=1, prepend=0, append=0)
    rows, starts = np.nonzero(changes == 1)
    ends = np.nonzero(changes == -1)[1]
    root = _roots(len(rows), *_touching_runs(rows, starts, ends, width))
    _, hole_of_run = np.unique(root, return_inverse=True)
    labels = np.full(mask.shape, -1, np.int32)
    labels[mask] = np.repeat(hole_of_run, ends - starts)
    count = int(hole_of_run.max(initial=-1)) + 1
    boxes = np.empty((count, 4), np.intp)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.intp).max, 0
    for column, values in enumerate((rows, starts)):
        np.minimum.at(boxes[:, column], hole_of_run, values)
    for column, values in enumerate((rows + 1, ends)):
        np.maximum.at(boxes[:, 2 + column], hole_of_run, values)
    return labels, boxes


def _touching_runs(
    rows: NDArray[np.intp], starts: NDArray[np.intp], ends: NDArray[np.intp], width: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of runs in neighbouring rows that share a column or touch at a corner."""
    line = rows * (width + 2)
    below = line + width + 2
    first = np.searchsorted(line + ends, below + starts)
    count = np.maximum(np.searchsorted(line + starts, below + ends, "right") - first, 0)
    upper = np.repeat(np.arange(len(rows)), count)
    lower = np.arange(len(upper)) + np.repeat(first - np.cumsum(count) + count, count)
    return upper, lower


def _roots(count: int, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each of `count` members the smallest of its group, where the pairs are of one group."""
    root = np.arange(count)
    while True:
        lowest = np.minimum(root[first], root[second])
        joined = root.copy()
        for members in (first, second):
            np.minimum.at(joined, root[members], lowest)
        while (joined[joined] != joined).any():
            joined = joined[joined]
        if np.array_equal(joined, root):
            return root
        root = joined


def group_boxes(boxes: NDArray[np.intp], limit: tuple[int, int]) -> list[NDArray[np.intp]]:
    """Which boxes [n, 4] to take together so that each group's bounding box is at most `limit` (height, width).

    Boxes are packed into strips from top to bottom, and each strip from left to right. Each fits by itself.
    """
    groups = []
    rest = np.argsort(boxes[:, 0], kind="stable")
    while len(rest):
        in_strip = boxes[rest, 2] <= boxes[rest[0], 0] + limit[0]
        strip = rest[in_strip]
        strip = strip[np.argsort(boxes[strip, 1], kind="stable")]
        while len(strip):
            fits = boxes[strip, 3] <= boxes[strip[0], 1] + limit[1]
            groups.append(strip[fits])
            strip = strip[~fits]
        rest = rest[~in_strip]
    return groups
