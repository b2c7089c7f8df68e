"""PatchMatch on the CPU: one Gram product per pair of pixels, 3×3 diagonal sums, argmax; chunked, scores never stored.

⟨P(p), P(q)⟩ = Σ_d ⟨f(p + d), f(q + d)⟩ over nine offsets d: nine pairs of patches share each product of two pixels,
nine times fewer multiply-adds than patch by patch. A sum along a diagonal splits into a horizontal and a vertical one.

Work is cut into tiles of queries and, for each, rectangles of keys that are walked from top to bottom. The horizontal
sums of the last two rows are kept, so no product is computed twice.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cuda_ext.reference import LARGEST, NORM_FLOOR, queries_and_keys
from cuda_ext.regions import Rect, cover, split_rows

QUERY_PIXELS = 1632  # of a tile; its buffers should stay in a core's cache, its border be small beside it
KEY_PIXELS = 256  # at a time
MAX_WIDTH = 254
QUERY_OVERHEAD = 256  # pixels that one more rectangle costs
KEY_OVERHEAD = 32
PARALLEL_PAIRS = 2**22  # fewer pairs of pixels than this are not worth a thread

_Result = list[tuple[Rect, Tensor]]  # tiles and the best keys of their queries


def match_image(features: Tensor, hole: NDArray[np.bool_]) -> Tensor:
    """The best key of every query of one image, as `reference.patch_match` defines it.

    Args:
        features: float32 [C, H, W].
        hole: [H, W].

    Returns:
        int32 [H, W].
    """
    _, height, width = features.shape
    match = torch.full((height, width), -1, dtype=torch.int32)
    is_query, is_key = queries_and_keys(hole)
    if not is_query.any() or not is_key.any():
        return match
    keys = _Keys(_usable(features.detach()), is_key)
    rects = cover(is_key, KEY_OVERHEAD, MAX_WIDTH)
    threads = torch.get_num_threads() if is_query.sum() * is_key.sum() > PARALLEL_PAIRS else 1
    tiles = _tiles(is_query, threads)
    shares = [_Share(tiles[i::threads], rects) for i in range(min(threads, len(tiles)))]
    results = _map_on_threads(lambda share: _best_of_share(keys, share), shares)
    for tile, best in (pair for result in results for pair in result):
        match[tile.top : tile.bottom, tile.left : tile.right] = best.to(torch.int32)
    return match.masked_fill_(~torch.from_numpy(is_query), -1)


def _tiles(is_query: NDArray[np.bool_], threads: int) -> list[Rect]:
    """Rectangles of at most `QUERY_PIXELS`, of each height a multiple of `threads` where there are rows enough."""
    tiles = []
    for rect in cover(is_query, QUERY_OVERHEAD, MAX_WIDTH):
        rows = rect.bottom - rect.top
        parts = -(-rows // max(1, QUERY_PIXELS // (rect.right - rect.left + 2) - 2))
        if rows >= 8 * threads:
            parts = -(-parts // threads) * threads
        tiles += split_rows(rect, -(-rows // parts))
    return tiles


class _Share:
    """What one thread does: tiles, the rectangles of keys for each, and buffers that are large enough for all of them.

    Attributes:
        products: of pixels, or later sums of scores, flat.
        sums: horizontal sums, flat.
    """

    def __init__(self, tiles: list[Rect], rects: list[Rect]) -> None:
        self.tiles, self.rects = tiles, rects
        shapes = [_step(tile, rect) for tile in tiles for rect in rects]
        self.products = torch.zeros(max(total * step * width for total, step, width in shapes) + 2)
        self.sums = torch.zeros(max(total * (step + 2) * width for total, step, width in shapes))


def _step(tile: Rect, rect: Rect) -> tuple[int, int, int]:
    """Query pixels of a tile, key rows that are taken at a time, and key pixels of a row; borders included."""
    total = (tile.bottom - tile.top + 2) * (tile.right - tile.left + 2)
    width = rect.right - rect.left + 2
    return total, max(1, min(KEY_PIXELS * QUERY_PIXELS // (total * width), rect.bottom - rect.top + 2)), width


def _map_on_threads(function: Callable[[_Share], _Result], shares: list[_Share]) -> list[_Result]:
    """One thread of our own for each share, in which torch uses no others.

    torch's own threads would meet at the end of each of the many short operations, and wait there whenever another
    process has one of the cores.
    """
    if len(shares) == 1:
        return [function(shares[0])]
    before, is_inference = torch.get_num_threads(), torch.is_inference_mode_enabled()

    def in_the_callers_mode(share: _Share) -> _Result:
        with torch.inference_mode(is_inference):
            return function(share)

    try:
        # The number holds for the thread that sets it and for threads that begin later.
        with ThreadPoolExecutor(len(shares), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(in_the_callers_mode, shares))
    finally:
        torch.set_num_threads(before)


def _usable(features: Tensor) -> Tensor:
    low, high = features.aminmax()
    if low >= -LARGEST and high <= LARGEST:  # false for NaN
        return features
    return torch.where(features.abs() <= LARGEST, features, 0.0)


class _Keys:
    """The map with what turns a product into a key's score: product · scale + penalty.

    Attributes:
        features: [C, H, W].
        scale: [H, W], 1 / ‖P(q)‖ for a key q, else 0.
        penalty: [H, W], 0 for a key, else −∞.
    """

    def __init__(self, features: Tensor, is_key: NDArray[np.bool_]) -> None:
        self.features = features
        energy = torch.zeros(features.shape[1:])
        for channel in features:
            energy.addcmul_(channel, channel)
        wide = F.pad(energy, (1, 1))
        high = F.pad(wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:], (0, 0, 1, 1))
        patch_energy = high[:-2] + high[1:-1] + high[2:]
        missing = torch.from_numpy(~is_key)
        self.scale = patch_energy.sqrt().clamp_min(NORM_FLOOR).reciprocal().masked_fill(missing, 0.0)
        self.penalty = torch.zeros_like(energy).masked_fill(missing, -torch.inf)


@dataclass
class _Scores:
    """Scores of a tile's queries and the keys of some rows.

    Attributes:
        values: [query row, query column + 2 unused, key row, key column + 2 of −∞].
        top, left: the first key.
    """

    values: Tensor
    top: int
    left: int


def _best_of_share(keys: _Keys, share: _Share) -> _Result:
    return [(tile, _best_of_tile(keys, tile, share)) for tile in share.tiles]


def _best_of_tile(keys: _Keys, tile: Rect, share: _Share) -> Tensor:
    """int64 [tile rows, tile columns]."""
    size = (tile.bottom - tile.top, tile.right - tile.left)
    best = torch.full(size, -torch.inf)
    index = torch.full(size, -1, dtype=torch.int64)
    pixels = _padded_crop(keys.features, tile)
    for rect in share.rects:
        for scores in _scores(keys, pixels, tile, rect, share):
            _keep_best(best, index, scores, keys.features.shape[2])
    return index


def _padded_crop(features: Tensor, tile: Rect) -> Tensor:
    """Pixels of the tile's patches, [C, rows + 2, columns + 2], zero outside the map."""
    _, height, width = features.shape
    rows, columns = (
        (max(tile.top - 1, 0), min(tile.bottom + 1, height)),
        (max(tile.left - 1, 0), min(tile.right + 1, width)),
    )
    crop = features[:, rows[0] : rows[1], columns[0] : columns[1]]
    left, top = columns[0] - tile.left + 1, rows[0] - tile.top + 1
    return F.pad(crop, (left, tile.right + 1 - columns[1], top, tile.bottom + 1 - rows[1]))


def _scores(keys: _Keys, pixels: Tensor, tile: Rect, rect: Rect, share: _Share) -> Iterator[_Scores]:
    """Scores of all queries of the tile and all keys of the rectangle, some key rows at a time."""
    rows, window = tile.bottom - tile.top, tile.right - tile.left + 2
    total, step, width = _step(tile, rect)
    queries = pixels.reshape(len(pixels), total).T
    gram = share.products
    sums = share.sums[: total * (step + 2) * width].view(total, step + 2, width)  # the last two rows, then this step's
    for top in range(rect.top - 1, rect.bottom + 1, step):
        count = min(step, rect.bottom + 1 - top)
        size = count * width
        block = keys.features[:, top : top + count, rect.left - 1 : rect.right + 1].reshape(-1, size)
        torch.mm(queries, block, out=gram[: total * size].view(total, size))
        # One query pixel and one key pixel on is size + 1 in memory. The last two columns of each row mix pixels of two
        # rows and are not used.
        diagonal = [gram.as_strided((total - 2, size), (size, 1), i * (size + 1)) for i in range(3)]
        flat = sums.view(total, -1)
        new = flat[: total - 2, 2 * width : 2 * width + size]
        torch.add(diagonal[0], diagonal[1], out=new).add_(diagonal[2])
        first = max(0, rect.top + 1 - top)  # a rectangle's first two rows only prepare the keys below them
        if first < count:
            yield _vertical_sums(
                keys, flat, gram, (rows, window), Rect(top - 1 + first, top - 1 + count, rect.left, rect.right), first
            )
        sums[:, :2] = sums[:, count : count + 2].clone() if count < 2 else sums[:, count : count + 2]


def _vertical_sums(
    keys: _Keys, sums: Tensor, buffer: Tensor, queries: tuple[int, int], rect: Rect, first: int
) -> _Scores:
    """Scores of the keys in `rect`, whose patches' top rows begin at slot `first` of `sums`; overwrites `buffer`."""
    rows, window = queries
    width, key_rows = rect.right - rect.left + 2, rect.bottom - rect.top
    count, size = rows * window, key_rows * width
    scores = buffer[: count * size].view(count, size)
    begin = first * width
    torch.add(
        sums[:count, begin : begin + size],
        sums[window : window + count, begin + width : begin + width + size],
        out=scores,
    )
    scores += sums[2 * window : 2 * window + count, begin + 2 * width : begin + 2 * width + size]
    values = scores.view(rows, window, key_rows, width)
    scale, penalty = (
        F.pad(plane[rect.top : rect.bottom, rect.left : rect.right], (0, 2)).view(-1)
        for plane in (keys.scale, keys.penalty)
    )
    torch.addcmul(penalty, scores, scale, out=scores)
    values[
        ..., -2:
    ] = -torch.inf  # whatever was there; a reduction over whole rows is seven times faster than over a part
    return _Scores(values, rect.top, rect.left)


def _keep_best(best: Tensor, index: Tensor, scores: _Scores, map_width: int) -> None:
    """Update `best` and `index` where these scores hold a better key, or an equal one with a smaller index."""
    highest, row = scores.values.amax(3)[:, :-2].max(2)
    at = torch.nonzero((highest >= best) & (highest > -torch.inf), as_tuple=True)
    if not len(at[0]):
        return
    row = row[at]
    column = scores.values[(*at, row)].argmax(1)  # the first of equals, as is `max` above
    found = (scores.top + row) * map_width + scores.left + column
    better = (highest[at] > best[at]) | (found < index[at])
    at = (at[0][better], at[1][better])
    best[at], index[at] = highest[at], found[better]
