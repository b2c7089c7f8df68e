"""Calling an engine image by image or batch by batch, and what comes back. Shared by all runners of images."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import EngineFormatError


def render_in_batches(render: Callable[[slice, int], NDArray[np.uint8]], count: int, batch: int) -> NDArray[np.uint8]:
    """Render `count` images in calls of `batch`.

    Args:
        render: gets which images, up to `batch`, and `batch`; fills the call up itself and returns uint8 [n, H, W, C]
            of those images alone.
        count: number of images.
        batch: images in one call of the engine.

    Returns:
        uint8 [count, H, W, C], C-contiguous.
    """
    chunks = [render(slice(start, start + batch), batch) for start in range(0, count, batch)]
    return np.ascontiguousarray(chunks[0]) if len(chunks) == 1 else np.concatenate(chunks)


def require_output(path: str, name: str, value: NDArray[Any], dtype: str | None, shape: tuple[int, ...]) -> None:
    """Raise EngineFormatError unless `value` has `dtype` (None: any) and `shape`."""
    if value.shape != shape or (dtype and value.dtype != dtype):
        raise EngineFormatError(
            f"engine {path}: output {name} is {value.dtype} {list(value.shape)}, expected {dtype or ''} {list(shape)}: "
            "it was tampered with; export it again"
        )
