"""One block of memory for all values of a call: which bytes each has, from when to when."""

from dataclasses import dataclass

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
