"""The paper of a photographed sketch: what its brightness is without the lines, and the lines on white."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_WHITE = 255
# Paper that is this light everywhere is white: that of computed sketches comes out at 252 and more.
_WHITE_FROM = 240
_BELOW = 1e-4  # what a pixel below the surface counts: lines and fillings lie there, paper does not
_SURELY_PAPER = 0.75  # a quarter of the pixels is paper, and lighter than the rest
_ROUNDS = 50  # it settles after about ten


def has_light_lines(sketch: NDArray[np.uint8]) -> bool:
    """Whether a sketch uint8 [H, W, 3] is light on dark: most of it is nearer to its lower envelope than to its upper.

    That it is dark says little: it may be white paper in dim light.
    """
    surface, values = _basis(sketch.shape[:2]), _brightness(sketch)
    high = surface @ _fit(surface, values, _on_envelope(surface, values))
    low = surface @ _fit(surface, values, _on_envelope(surface, -values))
    return bool(np.mean(values - low < high - values) > 0.5)


def on_white_paper(sketch: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[int, int] | None]:
    """Divide a sketch by the brightness of its paper, which grey, coloured or unevenly lit paper has of its own.

    Args:
        sketch: dark lines on light, uint8 [H, W, 3].

    Returns:
        The same lines on white, and how dark and how light the paper was; the sketch itself and None if it was white.
    """
    paper = _paper(sketch)
    grey = paper.mean(-1)
    if grey.min() >= _WHITE_FROM:
        return sketch, None
    even = np.clip(sketch * (_WHITE / np.maximum(paper, 1)) + 0.5, 0, _WHITE).astype(np.uint8)
    low, high = (int(value) for value in np.clip((grey.min(), grey.max()), 0, _WHITE))
    return even, (low, high)


def _paper(sketch: NDArray[np.uint8]) -> Floats:
    """The sketch's upper envelope, [H, W, 3]."""
    surface = _basis(sketch.shape[:2])
    weights = _on_envelope(surface, _brightness(sketch))
    channels = sketch.reshape(-1, sketch.shape[2]).astype(np.float64)
    return (surface @ _fit(surface, channels, weights)).reshape(sketch.shape)


def _on_envelope(surface: Floats, values: Floats) -> Floats:
    """The weights [H·W] with which a quadratic surface becomes the upper envelope (asymmetric least squares).

    A surface so smooth does not sink into a black filling, as a local maximum would.
    """
    weights = np.where(values >= np.quantile(values, _SURELY_PAPER), 1.0, _BELOW)
    for _ in range(_ROUNDS):
        envelope = surface @ _fit(surface, values, weights)
        before, weights = weights, np.where(values > envelope - 0.5, 1.0, _BELOW)
        if np.array_equal(before, weights):
            break
    return weights


def _brightness(sketch: NDArray[np.uint8]) -> Floats:
    """[H, W, 3] → [H·W]."""
    brightness: Floats = sketch.mean(-1, dtype=np.float64).ravel()
    return brightness


def _basis(shape: tuple[int, int]) -> Floats:
    """1, x, y, x², xy, y² of every pixel, [H·W, 6]."""
    y, x = (axis.ravel() for axis in np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij"))
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)


def _fit(surface: Floats, values: Floats, weights: Floats) -> Floats:
    """The coefficients of least weighted squares, [6] or [6, C]."""
    weighted = surface * weights[:, None]
    return np.asarray(np.linalg.solve(weighted.T @ surface, weighted.T @ values), np.float64)
