"""What a hand draws, as exact sets of pixels: lines of a round brush, polygons, rectangles, floods."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.errors import InputError
from runtime.runners.checks import as_array

Size = tuple[int, int]
Mask = NDArray[np.bool_]
Point = tuple[float, float]

_THINNEST = 0.5  # the least radius at which every line is connected
_MOST_POINTS = 100_000
_FARTHEST = 1e6  # pixels; beyond them float64 no longer decides exactly whether a pixel belongs to a stroke


@dataclass(frozen=True)
class Box:
    """Rows `top` to below `bottom`, columns `left` to below `right`."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> Size:
        """(H, W)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Cuts the box out of a map."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, outer: "Box") -> tuple[slice, slice]:
        """Cuts the box out of an array that holds the box `outer` around it."""
        return Box(
            self.top - outer.top, self.left - outer.left, self.bottom - outer.top, self.right - outer.left
        ).slices

    def union(self, other: "Box") -> "Box":
        """The smallest box around both."""
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )


@dataclass(frozen=True)
class Region:
    """A set of pixels of a map.

    Attributes:
        box: where `mask` lies, all of it within the map.
        mask: bool, of the box's size; its border touches a marked pixel on every side.
    """

    box: Box
    mask: Mask

    @classmethod
    def of(cls, value: "ArrayLike | Region", size: Size, name: str = "mask") -> "Region":
        """A region of a map of `size` from the caller's mask of that shape, bool or uint8, not zero = marked.

        Raises:
            InputError: another shape or type, or nothing is marked.
        """
        if isinstance(value, Region):
            if value.box.bottom > size[0] or value.box.right > size[1]:
                raise InputError(f"{name} reaches beyond the map of H×W = {size[0]}×{size[1]}; draw it for this map")
            return value
        array = as_array(value, name)
        if array.dtype not in (np.bool_, np.uint8) or array.shape != size:
            raise InputError(f"{name} is {array.dtype} {list(array.shape)}, expected bool or uint8 {list(size)}")
        return cut_out(array != 0, (0, 0), name)

    def shifted(self, dy: int, dx: int, size: Size) -> "Region":
        """The part of it that lies within a map of `size` after a move; raises InputError where none does."""
        top, left = self.box.top + dy, self.box.left + dx
        bottom, right = self.box.bottom + dy, self.box.right + dx
        kept = self.mask[
            max(0, -top) : max(0, self.box.size[0] - max(0, bottom - size[0])),
            max(0, -left) : max(0, self.box.size[1] - max(0, right - size[1])),
        ]
        return cut_out(kept, (max(0, top), max(0, left)), f"the object moved by dx = {dx}, dy = {dy}")


def cut_out(mask: Mask, corner: tuple[int, int], name: str) -> Region:
    """The region of a mask whose upper left pixel lies at `corner`; raises InputError where nothing is marked."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise InputError(f"{name} marks no pixel of the map; mark at least one")
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    box = Box(top + corner[0], left + corner[1], bottom + corner[0], right + corner[1])
    return Region(box, mask[top:bottom, left:right])


def line(points: Iterable[Point], radius: float, size: Size) -> Region:
    """The pixels whose centres are within `radius` of the line through `points`, each (x, y).

    A pixel's centre has whole coordinates. A radius below one half counts as one half, at which lines hang together.

    Raises:
        InputError: points or radius are no numbers, or nothing lies on the map.
    """
    corners = _points(points, 1)
    if isinstance(radius, bool) or not isinstance(radius, int | float) or not 0 <= radius <= max(size):
        raise InputError(f"radius is {radius!r}, expected 0 to {max(size)} pixels")
    reach = max(float(radius), _THINNEST)
    box = _box_around(corners, reach, size, "the line")
    mask = np.zeros(box.size, np.bool_)
    ends = corners[1:] if len(corners) > 1 else corners
    for start, end in zip(corners, ends, strict=False):
        try:
            part = _box_around(np.stack([start, end]), reach, size, "a part of the line")
        except InputError:  # it lies beside the map, where others need not
            continue
        mask[part.within(box)] |= _capsule(start, end, reach, part)
    return cut_out(mask, (box.top, box.left), "the line")


def _capsule(start: NDArray[np.float64], end: NDArray[np.float64], reach: float, box: Box) -> Mask:
    """Pixels of `box` within `reach` of a segment; compared without division, thus exactly for whole coordinates."""
    y = np.arange(box.top, box.bottom, dtype=np.float64)[:, None] - start[1]
    x = np.arange(box.left, box.right, dtype=np.float64)[None] - start[0]
    dx, dy = end - start
    length = dx * dx + dy * dy
    along = x * dx + y * dy
    across = x * dy - y * dx
    beside: Mask = (along >= 0) & (along <= length) & (across * across <= reach * reach * length)
    near: Mask = (x * x + y * y <= reach * reach) | ((x - dx) ** 2 + (y - dy) ** 2 <= reach * reach)
    return near | beside if length else near


def polygon(points: Iterable[Point], size: Size) -> Region:
    """The pixels whose centres lie in the polygon of `points`, each (x, y): even-odd, its upper and left border in.

    Raises:
        InputError: fewer than three points, or no pixel lies within.
    """
    corners = _points(points, 3)
    box = _box_around(corners, 0.0, size, "the polygon")
    mask = np.zeros(box.size, np.bool_)
    x = np.arange(box.left, box.right)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        first, last = (np.clip(np.ceil(y), box.top, box.bottom) for y in sorted((y0, y1)))
        rows = np.arange(int(first), int(last))
        crossing = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
        mask[rows - box.top] ^= x >= crossing[:, None]
    return cut_out(mask, (box.top, box.left), "the polygon")


def rectangle(start: Point, end: Point, size: Size) -> Region:
    """All pixels between two opposite corners, both included; raises InputError where none lies on the map."""
    box = _box_around(np.round(_points((start, end), 2)), 0.0, size, "the rectangle")
    return Region(box, np.ones(box.size, np.bool_))


def flood(values: NDArray[Any], x: int, y: int) -> Region:
    """The pixels of a map [H, W] that hang together with (x, y) across sides and have its value.

    Works on runs of equal values and a front that goes from run to run, so it takes what a map's outlines take.
    """
    width = values.shape[1]
    same = (values == values[y, x]).ravel()
    is_start, is_end = same.copy(), same.copy()
    is_start[1:] &= ~same[:-1] | (np.arange(1, same.size) % width == 0)
    is_end[:-1] &= ~same[1:] | (np.arange(1, same.size) % width == 0)
    starts, ends = np.flatnonzero(is_start), np.flatnonzero(is_end) + 1
    seen = np.zeros(len(starts), np.bool_)
    front = np.searchsorted(ends, [y * width + x], side="right")
    seen[front] = True
    while len(front):
        beside = [_overlapping(starts, ends, starts[front] + step, ends[front] + step) for step in (-width, width)]
        touched = np.unique(np.concatenate(beside))
        front = touched[~seen[touched]]
        seen[front] = True
    edges = np.zeros(same.size + 1, np.int8)
    edges[starts[seen]] += 1
    edges[ends[seen]] -= 1
    return cut_out(np.cumsum(edges[:-1], dtype=np.int8).astype(np.bool_).reshape(values.shape), (0, 0), "the flood")


def _overlapping(
    starts: NDArray[np.intp], ends: NDArray[np.intp], first: NDArray[np.intp], last: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Indices of the runs that share a pixel with one of the spans `first` to below `last`."""
    low, high = np.searchsorted(ends, first, side="right"), np.searchsorted(starts, last, side="left")
    counts = np.maximum(high - low, 0)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    found: NDArray[np.intp] = np.repeat(low, counts) + offsets
    return found


def _points(points: Iterable[Point], least: int) -> NDArray[np.float64]:
    array = as_array(list(points), "points")
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] != 2 or len(array) < least:
        raise InputError(f"points are {array.dtype} {list(array.shape)}, expected at least {least} pairs (x, y)")
    if len(array) > _MOST_POINTS or not (np.abs(array) <= _FARTHEST).all():
        raise InputError(
            f"points: {len(array)} of them, or coordinates that no map has; expected up to {_MOST_POINTS} within "
            f"± {_FARTHEST:.0f}"
        )
    return array.astype(np.float64)


def _box_around(corners: NDArray[np.float64], reach: float, size: Size, name: str) -> Box:
    low, high = np.ceil(corners.min(axis=0) - reach), np.floor(corners.max(axis=0) + reach) + 1
    left, top = (int(max(0, side)) for side in low)
    right, bottom = (int(min(limit, side)) for limit, side in zip(size[::-1], high, strict=True))
    if left >= right or top >= bottom:
        raise InputError(f"{name} marks no pixel of the map of H×W = {size[0]}×{size[1]}; draw within it")
    return Box(top, left, bottom, right)
