"""One block of memory for all values of a call: which bytes each has, from when to when."""

import mmap
from dataclasses import dataclass

import numpy as np

from runtime.errors import DeviceError

_ALIGNMENT = 256


@dataclass
class Block:
    """Memory in the arena.

    Attributes:
        size: bytes.
        first, last: the steps from and to which it holds something.
        offset: where it lies; set by `place`.
    """

    size: int
    first: int
    last: int
    offset: int = -1


def place(blocks: list[Block]) -> int:
    """Give every block an offset, so that those alive at one time do not overlap; returns the bytes of all.

    The largest are placed first, each at the lowest offset that is free for as long as it lives.
    """
    placed: list[Block] = []
    for block in sorted(blocks, key=lambda block: -block.size):
        block.offset = _lowest_gap(block, placed)
        placed.append(block)
    return max((block.offset + _rounded(block.size) for block in blocks), default=0)


def _lowest_gap(block: Block, placed: list[Block]) -> int:
    alive = [other for other in placed if other.first <= block.last and block.first <= other.last]
    offset = 0
    for other in sorted(alive, key=lambda other: other.offset):
        if offset + _rounded(block.size) <= other.offset:
            break
        offset = max(offset, other.offset + _rounded(other.size))
    return offset


def _rounded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


class Arena:
    """Memory of one call."""

    def __init__(self, size: int, source: object) -> None:
        self.size = max(size, mmap.PAGESIZE)
        try:
            self._map = mmap.mmap(-1, self.size)
        except (OSError, ValueError, OverflowError, MemoryError) as error:
            raise DeviceError(
                f"engine {source} needs {self.size / 1e6:.0f} MB for an input of this size; there is less ({error})"
            ) from error
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self.address = np.frombuffer(self._map, np.uint8).ctypes.data
