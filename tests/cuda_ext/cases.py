"""Random features and holes on which every form of patch-swap must find the same matches."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Case = tuple[NDArray[np.float32], NDArray[np.float32]]

COUNT = 200
MAX_SIZE = (40, 33)
CHANNELS = (1, 2, 3, 5, 8, 13, 17)


def cases(count: int = COUNT, max_size: tuple[int, int] = MAX_SIZE) -> Iterator[Case]:
    """(features [N, C, H, W], hole [N, 1, H, W]) of one or two images.

    Features are multiples of 1/4 of at most 2, or small integers, so that every product and sum of products is exact in
    float32: the forms have no rounding to disagree about, and ties are plenty and true.
    """
    random = np.random.default_rng(4)
    for number in range(count):
        height, width = (int(random.integers(1, most + 1)) for most in max_size)
        if number == 0:
            height, width = 1, 1
        if number == 1:
            height, width = max_size
        batch, channels = int(random.integers(1, 3)), int(random.choice(CHANNELS))
        shape = (batch, channels, height, width)
        features = random.integers(-8, 9, shape) / 4 if number % 2 else random.integers(-1, 3, shape)
        hole = np.stack([_hole(random, height, width, number + image) for image in range(batch)])
        yield features.astype(np.float32), hole[:, None]


def _hole(random: np.random.Generator, height: int, width: int, kind: int) -> NDArray[np.float32]:
    hole = np.zeros((height, width), np.float32)
    if kind % 17 == 15:
        return hole  # nothing is missing
    if kind % 17 == 16:
        return hole + 1  # everything is
    for _ in range(kind % 3 + 1):
        top, left = random.integers(-3, height), random.integers(-3, width)
        bottom, right = top + random.integers(1, height // 2 + 5), left + random.integers(1, width // 2 + 5)
        hole[max(top, 0) : max(bottom, 1), max(left, 0) : max(right, 1)] = random.choice([1, 0.5, -2])
    if kind % 5 == 0:
        hole[random.random(hole.shape) < 0.02] = 1  # free-form
    return hole
