"""Cuts the pixels of a mask into few rectangles, so that a matrix product over rectangles wastes little."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Rect(NamedTuple):
    """Rows [top, bottom) and columns [left, right)."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class _Band:
    """Rows that are cut at the same columns.

    Attributes:
        spans: runs of columns that hold set pixels; gaps of at most two, which their borders would fill, are closed.
    """

    top: int
    bottom: int
    spans: tuple[tuple[int, int], ...]

    def rects(self, overhead: int) -> list[Rect]:
        """The spans, those joined whose gap costs less than one more rectangle."""
        spans = _joined(self.spans, 2 + overhead // (self.bottom - self.top + 2))
        return [Rect(self.top, self.bottom, *span) for span in spans]

    def cost(self, overhead: int) -> int:
        """Pixels that its rectangles take with a border of one, and `overhead` for each of them."""
        rects = self.rects(overhead)
        return sum((r.bottom - r.top + 2) * (r.right - r.left + 2) + overhead for r in rects)


def cover(mask: NDArray[np.bool_], overhead: int, max_width: int) -> list[Rect]:
    """Rectangles that contain every set pixel of `mask`, bool [H, W], and not many others.

    Rows with the same runs of set pixels form a band; neighbouring bands are merged as long as that makes the total
    cost, borders and overhead included, smaller. A mask with a rectangular gap takes four rectangles, a free-form one
    few.

    Args:
        mask: the pixels.
        overhead: what one more rectangle costs, in pixels.
        max_width: wider rectangles are split.
    """
    bands = _bands(mask)
    savings = [_saving(first, second, overhead) for first, second in pairwise(bands)]
    while savings and (best := max(savings)) > 0:
        at = savings.index(best)
        bands[at : at + 2] = [_merged(bands[at], bands[at + 1])]
        del savings[at]
        for i in (at - 1, at):
            if 0 <= i < len(savings):
                savings[i] = _saving(bands[i], bands[i + 1], overhead)
    return [part for band in bands for rect in band.rects(overhead) for part in _split_columns(rect, max_width)]


def _bands(mask: NDArray[np.bool_]) -> list[_Band]:
    bands: list[_Band] = []
    for y in np.flatnonzero(mask.any(1)).tolist():
        edges = np.flatnonzero(np.diff(mask[y].astype(np.int8), prepend=0, append=0)).tolist()
        spans = _joined(zip(edges[::2], edges[1::2], strict=True), 2)
        if bands and bands[-1].bottom == y and bands[-1].spans == spans:
            bands[-1] = replace(bands[-1], bottom=y + 1)
        else:
            bands.append(_Band(y, y + 1, spans))
    return bands


def _joined(spans: Iterable[tuple[int, int]], gap: int) -> tuple[tuple[int, int], ...]:
    """The spans in order; those at most `gap` apart become one."""
    result: list[tuple[int, int]] = []
    for left, right in sorted(spans):
        if result and left <= result[-1][1] + gap:
            result[-1] = (result[-1][0], max(right, result[-1][1]))
        else:
            result.append((left, right))
    return tuple(result)


def _merged(first: _Band, second: _Band) -> _Band:
    return _Band(first.top, second.bottom, _joined([*first.spans, *second.spans], 2))


def _saving(first: _Band, second: _Band, overhead: int) -> int:
    return first.cost(overhead) + second.cost(overhead) - _merged(first, second).cost(overhead)


def _split_columns(rect: Rect, max_width: int) -> list[Rect]:
    parts = -(-(rect.right - rect.left) // max_width)
    cuts = np.linspace(rect.left, rect.right, parts + 1).round().astype(int).tolist()
    return [rect._replace(left=left, right=right) for left, right in pairwise(cuts)]


def split_rows(rect: Rect, max_height: int) -> list[Rect]:
    """The rectangle in parts of at most `max_height` rows, all about as high."""
    parts = -(-(rect.bottom - rect.top) // max_height)
    cuts = np.linspace(rect.top, rect.bottom, parts + 1).round().astype(int).tolist()
    return [rect._replace(top=top, bottom=bottom) for top, bottom in pairwise(cuts)]
