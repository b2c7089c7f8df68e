"""A picture that soft shapes are laid over."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


class Canvas:
    """Colours float32 [side, side, 3] in [0, 1], with the positions of its pixels.

    Attributes:
        image: the picture so far.
        x, y: position of every pixel's middle, −1 to 1.
    """

    def __init__(self, side: int) -> None:
        middles = ((np.arange(side) + 0.5) * (2 / side) - 1).astype(np.float32)
        self.x, self.y = np.meshgrid(middles, middles)
        self.image: Floats = np.zeros((side, side, 3), np.float32)
        self._pixel = 2 / side

    def paint(self, mask: Floats, colour: ArrayLike, opacity: float = 1.0) -> None:
        """Lay `colour`, [3] or [side, side, 3], over the picture where `mask` is above 0."""
        self.image += (opacity * mask)[..., None] * (np.asarray(colour, np.float32) - self.image)

    def inside(self, distance: Floats, softness: float = 1.0) -> Floats:
        """1 where `distance` (positive outside, in half sides) is negative, smooth over `softness` pixels."""
        edge: Floats = np.clip(0.5 - distance / (softness * self._pixel), 0, 1)
        return edge

    def ellipse(self, x: float, y: float, rx: float, ry: float, power: float = 2.0, softness: float = 1.0) -> Floats:
        """An ellipse about (x, y); a greater power makes its corners squarer."""
        radius = (np.abs((self.x - x) / rx) ** power + np.abs((self.y - y) / ry) ** power) ** (1 / power)
        return self.inside((radius - 1) * min(rx, ry), softness)

    def band(self, height: Floats, thickness: float, left: float, right: float, softness: float = 1.5) -> Floats:
        """The curve y = `height`(x), so thick, from `left` to `right`, tapering to its ends."""
        along = np.clip((self.x - left) / (right - left), 0, 1)
        taper = np.sqrt(np.maximum(4 * along * (1 - along), 0))
        return self.inside(np.abs(self.y - height) - thickness * taper, softness) * (taper > 0)
