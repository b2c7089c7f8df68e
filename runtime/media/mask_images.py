"""Files that go with an image: hole masks, weights of its pixels, hints. Pictures of any mode."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageFileError
from runtime.media.images import decoding, read_drawing, turned_upright

_LOSSY = ("JPEG", "MPO", "WEBP")  # a WebP does not tell whether it is
_LOSSY_COMPRESSIONS = ("jpeg", "webp")  # of a TIFF
_MIDDLE = 128
_OPAQUE = 255
_RGBA = 4


def read_hole_mask(path: Path, notify: Callable[[str], None]) -> NDArray[np.bool_]:
    """Read a mask as bool [H, W], True = missing: whatever is not black; of a JPEG or WebP, what is lighter than
    middle grey.

    Args:
        path: a picture of one or three channels, 1 to 16 bits.
        notify: called with a sentence where the file is a JPEG or WebP.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, or transparent in places, which could mean either.
    """
    with decoding(path, "mask") as image:
        is_lossy = image.format in _LOSSY or image.info.get("compression") in _LOSSY_COMPRESSIONS
        picture = turned_upright(image, path)
        if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            if picture.getchannel("A").getextrema() != (_OPAQUE, _OPAQUE):
                raise ImageFileError(
                    f"mask {path} is transparent in places, which could mean missing or known; save it without "
                    "transparency, white = missing"
                )
        if picture.mode not in ("1", "L", "RGB") and not picture.mode.startswith(("I", "F")):
            picture = picture.convert("RGB")
        values = np.asarray(picture)
    if values.ndim > len("HW"):
        values = values.max(axis=-1)
    if is_lossy:
        notify("a JPEG's or WebP's blacks are not quite black; what is lighter than middle grey counts as missing")
    missing: NDArray[np.bool_] = values >= _MIDDLE if is_lossy else np.not_equal(values, 0)
    return missing


def read_weights(path: Path) -> NDArray[np.uint8]:
    """Read how much each pixel of a drawing counts, uint8 [H, W]: 0 = black, not at all; colours by their lightest.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, or transparent in places, which could mean either.
    """
    picture = read_drawing(path)
    if picture.shape[2] == _RGBA and picture[..., 3].min() < _OPAQUE:
        raise ImageFileError(
            f"mask {path} is transparent in places, which could mean that they count or not; save it without "
            "transparency, the lighter the weightier"
        )
    weights: NDArray[np.uint8] = picture[..., :3].max(axis=-1)
    return weights


def read_hint(path: Path) -> NDArray[np.uint8]:
    """Read a hint, uint8 [H, W, 4]: it says nothing where it is transparent.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, or without transparency, so that it does not say where it counts.
    """
    picture = read_drawing(path)
    if picture.shape[2] != _RGBA:
        raise ImageFileError(
            f"hint {path} has no transparency, so it does not say where it counts; paint on a transparent layer as "
            "large as the drawing, and save that layer as PNG"
        )
    return picture
