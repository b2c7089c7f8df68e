"""Colours and noise: what everything in a scene is made of."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

CAR_PAINTS = (
    "#1b1d21",
    "#2b2e33",
    "#8f959b",
    "#c9ccce",
    "#e8e8e6",
    "#7c1a1d",
    "#1d3557",
    "#3c5a78",
    "#4a4f45",
    "#a9a294",
)
TYRE, RUBBER, CHROME, GLASS = "#141416", "#26272a", "#b4b8bc", "#1f282f"


def rgb(code: str) -> Floats:
    """Converts a colour such as "#a0b0c0" to float32 RGB in [0, 1], shape [3]."""
    return np.array([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)


def pick(rng: np.random.Generator, codes: Sequence[str], jitter: float = 0.06) -> Floats:
    """Draws one colour of a list and varies it a little, float32 RGB in [0, 1], shape [3]."""
    colour = rgb(codes[int(rng.integers(len(codes)))]) * rng.uniform(1 - 2 * jitter, 1 + 2 * jitter)
    return np.clip(colour + rng.uniform(-jitter, jitter, 3) / 2, 0, 1).astype(np.float32)


def mix(first: Floats, second: Floats, share: float) -> Floats:
    """Blends two colours; `share` in [0, 1] is the part of the second one."""
    return first * (1 - share) + second * share


def tiling_noise(rng: np.random.Generator, cells: Sequence[int], weights: Sequence[float], size: int = 512) -> Floats:
    """Sums smooth random grids into a noise tile that repeats without a seam.

    Args:
        rng: The source of randomness.
        cells: The number of grid cells across the tile, one for each octave.
        weights: The amplitude of each octave.
        size: The side of the tile in texels.

    Returns:
        A float32 tile [size, size] of mean 0 and standard deviation 1.
    """
    total = np.zeros((size, size), np.float32)
    for count, weight in zip(cells, weights, strict=True):
        grid = np.pad(rng.standard_normal((count, count), dtype=np.float32), 2, mode="wrap")
        step = size // count
        large = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += np.float32(weight) * large[2 * step : 2 * step + size, 2 * step : 2 * step + size]
    return np.asarray((total - total.mean()) / total.std(), np.float32)
