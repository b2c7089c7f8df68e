"""Generated inputs: maps and images in 8 × 8 blocks of one class or colour each, or with every pixel random."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.spec import EngineSpec

BLOCKS = 8
Size = tuple[int, int]


def example_size(spec: EngineSpec) -> Size:
    """(H, W): the engine's own, or where that is free the one that its cost was counted at."""
    return spec.size or spec.cost.size


def example_image(size: Size, channels: int, *, noise: bool, seed: int) -> NDArray[np.uint8]:
    """uint8 [H, W, C]."""
    grid = size if noise else (BLOCKS, BLOCKS)
    image = np.random.default_rng(seed).integers(0, 256, (*grid, channels), dtype=np.uint8)
    return resize_nearest(image, size)


def example_ids(size: Size, count: int, *, noise: bool, seed: int) -> NDArray[np.uint8]:
    """uint8 [H, W] below `count`."""
    grid = size if noise else (BLOCKS, BLOCKS)
    return resize_nearest(np.random.default_rng(seed).integers(0, count, grid, dtype=np.uint8), size)


def example_instances(size: Size, limit: int) -> NDArray[np.int32]:
    """int32 [H, W]: an instance a block, up to `limit` of them."""
    return resize_nearest(np.arange(BLOCKS**2, dtype=np.int32).reshape(BLOCKS, BLOCKS) % limit, size)


def middle_hole(size: Size) -> NDArray[np.uint8]:
    """uint8 [H, W], 255 = missing: a quarter of the area, at least one pixel."""
    hole = np.zeros(size, np.uint8)
    rows, columns = (slice(side // 4, side // 4 + (side + 1) // 2) for side in size)
    hole[rows, columns] = 255
    return hole


def resize_nearest(image: NDArray[Any], size: Size) -> NDArray[Any]:
    """Scale [h, w, …] to `size` by nearest neighbour, which keeps ids what they are."""
    rows = np.arange(size[0]) * image.shape[0] // size[0]
    columns = np.arange(size[1]) * image.shape[1] // size[1]
    return np.ascontiguousarray(image[rows[:, None], columns])
