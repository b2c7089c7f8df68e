"""What an editor can take back: each change as the box that it touched, within a bound of bytes."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError
from runtime.runners.edit_styles import StyleChoice
from runtime.runners.strokes import Box

_PIXEL = 5  # bytes: uint8 class id and int32 instance id
_ENTRY = 512  # bytes of a change's own objects
_STYLE = 256  # bytes of an entry in a choice of styles
_LEVEL = 1  # of zlib: maps are flat, so that even the fastest leaves a few per cent


@dataclass(frozen=True)
class Change:
    """The other side of a change: what a step back, or forward, puts in place of what is there.

    Attributes:
        box: where the change is to be seen.
        pixels: packed uint8 labels and int32 instances of the box; empty where only styles change.
        styles: the choice on the other side.
        replaces_styles: whether that is another one than on this side.
    """

    box: Box
    pixels: bytes
    styles: StyleChoice
    replaces_styles: bool

    @property
    def cost(self) -> int:
        """Bytes that it keeps, rather too many than too few."""
        styles = len(self.styles.instances) + len(self.styles.classes) if self.replaces_styles else 0
        return _ENTRY + len(self.pixels) + _STYLE * styles


def pack(labels: NDArray[np.uint8], ids: NDArray[np.int32]) -> bytes:
    """Labels and instances [H, W] of a box as few bytes; the same on every machine."""
    return zlib.compress(labels.tobytes() + ids.astype("<i4").tobytes(), _LEVEL)


def unpack(pixels: bytes, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """What `pack` packed.

    Raises:
        ValueError: damaged, or not of the box's size; no more memory is taken than that needs.
    """
    height, width = box.size
    area = height * width
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(pixels, _PIXEL * area + 1)
    except zlib.error as error:
        raise ValueError(f"a change is damaged ({error})") from error
    if len(plain) != _PIXEL * area:
        raise ValueError(f"a change holds {len(plain)} bytes, expected {_PIXEL * area}")
    labels = np.frombuffer(plain, np.uint8, area).reshape(height, width)
    ids = np.frombuffer(plain, "<i4", area, offset=area).reshape(height, width)
    return labels, ids.astype(np.int32)


class History:
    """Changes to take back and to do again; the oldest are forgotten where all take more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise InputError(f"history_bytes is {limit!r}, expected an integer of at least 0")
        self.limit = limit
        self.done: list[Change] = []
        self.undone: list[Change] = []  # the last one is the next to be done again
        self.bytes = 0

    def record(self, change: Change) -> None:
        """Add a change; what was taken back before it can no longer be done again."""
        self.bytes += change.cost - sum(one.cost for one in self.undone)
        self.done.append(change)
        self.undone.clear()
        self._forget()

    def restore(self, done: list[Change], undone: list[Change]) -> None:
        """Take over both lists, as far as the bound allows."""
        self.done, self.undone = done, undone
        self.bytes = sum(one.cost for one in (*done, *undone))
        self._forget()

    def step(self, source: list[Change], target: list[Change], change: Change) -> None:
        """The last of `source` was put in place; `change` takes it back, and goes to `target`."""
        self.bytes += change.cost - source.pop().cost
        target.append(change)
        self._forget()

    def _forget(self) -> None:
        while self.bytes > self.limit:
            self.bytes -= (self.done or self.undone).pop(0).cost
