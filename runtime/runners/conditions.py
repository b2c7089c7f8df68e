"""Inputs made from photos, so that one folder of photos is a paired data set (pix2pix, section 4).

Each takes a photo, RGB uint8 [H, W, 3], and a random generator, and gives the input uint8 [H, W, C]. Training applies
them after scaling and cropping, so that lines have the same width whatever the photo's size was; and an engine that was
trained so makes its input of a photo by the same functions. Lines need OpenCV, of the extra "derive".
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.extras import extra_needed

Photo = NDArray[np.uint8]
Condition = Callable[[Photo, np.random.Generator], Photo]

HOLE_VALUE = 127  # the middle of the value range
_HOLE_SHARE = (0.25, 0.5)  # of the image's sides
_LUMA_BITS = 15
_LUMA = (9798, 19235, 3735)  # ITU-R BT.601, of 2¹⁵


def grey(photo: Photo, draw: np.random.Generator) -> Photo:
    """Luma (ITU-R BT.601) [H, W, 1]: for colouring."""
    return _luma(photo)[..., None]


def edges(photo: Photo, draw: np.random.Generator) -> Photo:
    """Canny edges (Canny 1986) [H, W, 1]: black lines on white.

    The upper threshold is Otsu's over the gradient's values, the lower one half of it, so that dark and bright photos
    give similar drawings.
    """
    cv2 = _opencv()
    smooth = cv2.GaussianBlur(_luma(photo), (0, 0), 1.0)
    strength = np.clip(_gradient(smooth.astype(np.float32)) / 4, 0, 255).astype(np.uint8)
    upper = 4 * max(cv2.threshold(strength, 0, 255, cv2.THRESH_OTSU)[0], 5.0)
    lines = cv2.Canny(smooth, upper / 2, upper, L2gradient=True)
    return np.asarray(255 - lines, np.uint8)[..., None]


def soft_edges(photo: Photo, draw: np.random.Generator) -> Photo:
    """Gradient magnitude over three scales [H, W, 1], dark on white: weak edges stay visible as grey."""
    cv2 = _opencv()
    luma = _luma(photo).astype(np.float32)
    strength = np.max([_gradient(cv2.GaussianBlur(luma, (0, 0), s)) * s**0.5 for s in (0.8, 1.6, 3.2)], axis=0)
    white = max(float(np.percentile(strength, 98)), 32.0)
    lines: Photo = (255 * (1 - np.clip(strength / white, 0, 1) ** 0.7)).astype(np.uint8)
    return lines[..., None]


def sketch(photo: Photo, draw: np.random.Generator) -> Photo:
    """A pencil drawing [H, W, 1]: luma divided by its own blur, which leaves lines and soft shading on white."""
    cv2 = _opencv()
    luma = _luma(photo).astype(np.float32) + 1
    paper = cv2.GaussianBlur(luma, (0, 0), max(photo.shape[:2]) / 50)
    pencil: Photo = np.clip(255 * (luma / paper) ** 1.5, 0, 255).astype(np.uint8)
    return pencil[..., None]


def incomplete(photo: Photo, draw: np.random.Generator) -> Photo:
    """The photo [H, W, 3] with a grey rectangle of a quarter to half of each side at a random place."""
    height, width = photo.shape[:2]
    h, w = (max(1, round(side * draw.uniform(*_HOLE_SHARE))) for side in (height, width))
    top, left = int(draw.integers(height - h + 1)), int(draw.integers(width - w + 1))
    damaged = photo.copy()
    damaged[top : top + h, left : left + w] = HOLE_VALUE
    return damaged


CONDITIONS: dict[str, Condition] = {
    "grey": grey,
    "edges": edges,
    "soft-edges": soft_edges,
    "sketch": sketch,
    "incomplete": incomplete,
}


def _opencv() -> Any:
    with extra_needed("making lines of a photo", "derive"):
        return import_module("cv2")


def _luma(photo: Photo) -> Photo:
    """In the fixed point of OpenCV's cvtColor, whose values checkpoints were trained with."""
    weighed = photo.astype(np.uint32) @ np.array(_LUMA, np.uint32)
    return ((weighed + (1 << (_LUMA_BITS - 1))) >> _LUMA_BITS).astype(np.uint8)


def _gradient(luma: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Magnitude of Sobel's derivatives."""
    cv2 = _opencv()
    strength: NDArray[np.floating[Any]] = np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1))
    return strength
