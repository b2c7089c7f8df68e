"""Which parts of an image an inpainter's engine gets to see, and how its answers come back.

A window is a part of the image at a scale. Where it reaches beyond the image it shows the image's reflection, of which
what mirrors a hole is missing too: nothing unknown is ever context.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError
from runtime.runners.holes import Mask, connected_holes, group_boxes
from runtime.runners.resampling import Floats, resample_axis, to_bytes

Strategy = Literal["auto", "crop", "resize", "pad"]
_HALF = 0.5
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

Size = tuple[int, int]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """Rows [top, top + height) and columns [left, left + width), which may reach beyond the image on any side."""

    top: int
    left: int
    height: int
    width: int

    def indices(self, image_size: Size) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The image's rows and columns that it shows; beyond the border they go back and forth."""
        sides = ((self.top, self.height, image_size[0]), (self.left, self.width, image_size[1]))
        rows, columns = (_reflected(np.arange(start, start + length), side) for start, length, side in sides)
        return rows, columns


@dataclass(frozen=True)
class Plan:
    """How the holes of an image are completed.

    Attributes:
        windows: each one call of the engine.
        owner: int32 [H, W], the window whose answer fills a pixel; −1 where it is known.
    """

    windows: list[Window]
    owner: NDArray[np.int32]


def plan_windows(hole: Mask, size: Size, strategy: Strategy) -> Plan:
    """Windows for every hole of an image.

    Args:
        hole: [H, W], at least one pixel missing.
        size: of the engine.
        strategy: "pad": the image itself. "resize": all of it at the engine's size. "crop": windows of the engine's
            size, each about as many holes as leave an eighth of it free on every side, or about one. "auto": likewise,
            but a hole too large for that gets a larger window, scaled down so that it takes at most half of each side.

    Raises:
        InputError: the strategy does not suit the image or its holes; says which one does.
    """
    if strategy == "pad":
        _require_fitting_image(hole.shape, size)
        return _one_window(hole, _window_about(_bounding_box(hole), hole.shape, size, 1.0))
    if strategy == "resize":
        whole = (0, 0, hole.shape[0], hole.shape[1])
        return _one_window(hole, _window_about(whole, hole.shape, size, _whole_scale(hole.shape, size)))
    labels, boxes = connected_holes(hole)
    if strategy == "crop":
        _require_fitting_holes(boxes, size)
    limit = _limit(hole.shape, size)
    windows, window_of_hole = [], np.empty(len(boxes) + 1, np.int32)
    for number, group in enumerate(_groups(boxes, limit)):
        window_of_hole[group] = number
        box = (*boxes[group, :2].min(axis=0).tolist(), *boxes[group, 2:].max(axis=0).tolist())
        scale = 1.0 if strategy == "crop" else _scale(box, hole.shape, size, limit)
        windows.append(_window_about(box, hole.shape, size, scale))
    window_of_hole[-1] = -1  # of the label −1, known
    return Plan(windows, window_of_hole[labels])


def _one_window(hole: Mask, window: Window) -> Plan:
    return Plan([window], np.where(hole, 0, -1).astype(np.int32))


def _groups(boxes: NDArray[np.intp], limit: Size) -> list[NDArray[np.intp]]:
    """Which holes share a window: small ones together, a hole larger than `limit` has its own."""
    is_small = (boxes[:, 2:] - boxes[:, :2] <= limit).all(axis=1)
    small, large = np.flatnonzero(is_small), np.flatnonzero(~is_small)
    return [small[group] for group in group_boxes(boxes[small], limit)] + list(large[:, None])


def _limit(image_size: Size, size: Size) -> Size:
    """The largest hole that leaves context on every side; where a window shows a whole side there is no more to see."""
    height, width = (
        side if engine >= side else engine - engine // 4 for side, engine in zip(image_size, size, strict=True)
    )
    return height, width


def _scale(box: tuple[int, ...], image_size: Size, size: Size, limit: Size) -> float:
    """Pixels of the image for one of the engine."""
    extents = (box[2] - box[0], box[3] - box[1])
    if extents[0] <= limit[0] and extents[1] <= limit[1]:
        return 1.0
    wanted = max(2 * extent / engine for extent, engine in zip(extents, size, strict=True))
    return min(wanted, _whole_scale(image_size, size))


def _whole_scale(image_size: Size, size: Size) -> float:
    return max(side / engine for side, engine in zip(image_size, size, strict=True))


def _window_about(box: tuple[int, ...], image_size: Size, size: Size, scale: float) -> Window:
    height, width = (max(1, round(scale * engine)) for engine in size)
    top = _start(box[0], box[2], height, image_size[0])
    left = _start(box[1], box[3], width, image_size[1])
    return Window(top, left, height, width)


def _start(begin: int, end: int, length: int, side: int) -> int:
    """Where a window of `length` about [begin, end) starts: inside the image, or beyond it in proportion to what is
    known on either side, so that as little of a hole as possible is reflected.
    """
    if length <= side:
        return min(max((begin + end - length) // 2, 0), side - length)
    before, after = begin, side - end
    return -round((length - side) * before / (before + after)) if before + after else (side - length) // 2


def _bounding_box(hole: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def cut(image: Image, hole: Mask, window: Window, size: Size, show_hole: bool) -> tuple[Image, Mask]:
    """What a window shows, at the engine's size: image uint8 [h, w, 3] and hole [h, w].

    Scaled down, a pixel is the mean of the known pixels under it, and missing where they are less than half of them.

    Args:
        image: uint8 [H, W, 3].
        hole: [H, W].
        window: of the image.
        size: (h, w) of the engine.
        show_hole: whether what lies in the hole matters, too.
    """
    rows, columns = window.indices(hole.shape)
    if (window.height, window.width) == size:
        return image[rows[:, None], columns], hole[rows[:, None], columns]
    top, left = rows.min(), columns.min()
    part = (slice(top, rows.max() + 1), slice(left, columns.max() + 1))
    image, hole, rows, columns = image[part], hole[part], rows - top, columns - left
    known = np.ones_like(hole) if show_hole else ~hole
    share = _scaled(known.astype(np.float32), rows, columns, size)
    sums = _scaled(image.astype(np.float32) * known[..., None], rows, columns, size)
    mean = sums / np.maximum(share, np.finfo(np.float32).eps)[..., None]
    still_missing = _scaled(hole.astype(np.float32), rows, columns, size) > _HALF
    return to_bytes(mean), still_missing


def _scaled(planes: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp], size: Size) -> Floats:
    """The `rows` and `columns` of [H, W, …], which may be many more than there are, at `size`."""
    axes = [(0, rows, size[0]), (1, columns, size[1])]
    if len(rows) * planes.shape[1] > planes.shape[0] * len(columns):
        axes.reverse()  # what is reflected most, last: all its repetitions are in memory
    for axis, indices, length in axes:
        planes = resample_axis(planes.take(indices, axis), axis, length)
    return planes


def paste(completed: Image, answer: Image, window: Window, number: int, owner: NDArray[np.int32]) -> None:
    """Write, in place, a window's answer uint8 [h, w, 3] into the pixels of `completed` [H, W, 3] that it owns.

    Args:
        completed: the image so far.
        answer: the engine's.
        window: where it belongs.
        number: of the window in `owner`.
        owner: int32 [H, W], as of `Plan`.
    """
    rows = slice(max(window.top, 0), min(window.top + window.height, completed.shape[0]))
    columns = slice(max(window.left, 0), min(window.left + window.width, completed.shape[1]))
    is_owned = owner[rows, columns] == number
    completed[rows, columns][is_owned] = _visible(answer, window, rows, columns)[is_owned]


def _visible(answer: Image, window: Window, rows: slice, columns: slice) -> Image:
    """The `rows` and `columns` of the image that a window's answer shows, at the image's resolution."""
    shown = (
        slice(rows.start - window.top, rows.stop - window.top),
        slice(columns.start - window.left, columns.stop - window.left),
    )
    if answer.shape[:2] == (window.height, window.width):
        return answer[shown]
    # Axis by axis, so that of a window much larger than the image nothing but what shows gets large.
    tall = resample_axis(answer.astype(np.float32), 0, window.height)[shown[0]]
    return to_bytes(resample_axis(tall, 1, window.width)[:, shown[1]])


def _reflected(position: NDArray[np.intp], side: int) -> NDArray[np.intp]:
    there_and_back = max(2 * (side - 1), 1)
    position = position % there_and_back
    return np.minimum(position, there_and_back - position) if side > 1 else np.zeros_like(position)


def _require_fitting_image(image_size: Size, size: Size) -> None:
    if image_size[0] > size[0] or image_size[1] > size[1]:
        raise InputError(
            f"image is H×W = {image_size[0]}×{image_size[1]}, larger than this engine's {size[0]}×{size[1]}, so it "
            "cannot be padded to it; pass strategy='crop', 'resize' or 'auto' (--strategy), or export a larger engine"
        )


def _require_fitting_holes(boxes: NDArray[np.intp], size: Size) -> None:
    extents = boxes[:, 2:] - boxes[:, :2]
    too_large = np.flatnonzero((extents > size).any(axis=1))
    if len(too_large):
        height, width = extents[too_large[0]]
        raise InputError(
            f"a hole is H×W = {height}×{width}, larger than this engine's {size[0]}×{size[1]}, which leaves it no "
            "context; pass strategy='resize' or 'auto' (--strategy), or export a larger engine"
        )
