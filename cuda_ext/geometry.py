"""How the kernels are called: names, grids and argument order, as csrc/common states them.

Sizes may be ints or a library's symbolic integers: only //, + and * are used on them.
"""

from typing import Any, NamedTuple

THREADS = 256
TILE_HEIGHT, TILE_WIDTH = 6, 14
PASTE_CHANNELS = 32
SUFFIXES = ("fp32", "fp16")


class Launch(NamedTuple):
    """One kernel launch.

    Attributes:
        kernel: name of the entry point.
        grid: blocks in x, y, z.
        sizes: the int32 arguments between input and output pointers.
        threads: of a block.
        shared: bytes of shared memory beside what the kernel declares.
    """

    kernel: str
    grid: tuple[Any, Any, Any]
    sizes: tuple[Any, ...]
    threads: int = THREADS
    shared: int = 0


def _blocks(total: Any, size: int) -> Any:
    return (total + (size - 1)) // size


def match_launch(suffix: str, count: Any, channels: Any, height: Any, width: Any) -> Launch:
    """(features, hole; channels, height, width; match)."""
    grid = (_blocks(width, TILE_WIDTH), _blocks(height, TILE_HEIGHT), count)
    return Launch(f"patch_match_{suffix}", grid, (channels, height, width))


def match_split_launch(suffix: str, count: int, channels: int, height: int, width: int, splits: int) -> Launch:
    """(features, hole; channels, height, width, splits; best u64 [N, H, W], zeros before)."""
    grid = (_blocks(width, TILE_WIDTH), _blocks(height, TILE_HEIGHT) * splits, count)
    return Launch(f"patch_match_split_{suffix}", grid, (channels, height, width, splits))


def match_finish_launch(pixels: int) -> Launch:
    """(best; pixels; match)."""
    return Launch("patch_match_finish", (_blocks(pixels, THREADS), 1, 1), (pixels,))


def paste_launch(suffix: str, count: Any, channels: Any, height: Any, width: Any) -> Launch:
    """(features, hole, match; channels, height, width; output)."""
    grid = (_blocks(height * width, THREADS), _blocks(channels, PASTE_CHANNELS), count)
    return Launch(f"patch_paste_{suffix}", grid, (channels, height, width))
