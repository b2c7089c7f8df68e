"""Files that go with an image: hole masks, weights of its pixels, hints. Pictures of any mode."""

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageFileError
from runtime.media.decoding import Notify, PictureFile, read_picture
from runtime.media.images import read_drawing

_MIDDLE = 128
_RGBA = 4
_OPAQUE = 255
_MOST = 0.6  # of an image, more than holes usually are


def read_hole_mask(path: PictureFile, notify: Notify, *, is_inverted: bool = False) -> NDArray[np.bool_]:
    """Read a mask as bool [H, W], True = missing: whatever is not black; of a JPEG or WebP, what is lighter than
    middle grey.

    Args:
        path: a picture of one or three channels, 1 to 16 bits.
        notify: called with a sentence where the file is a JPEG or WebP, or most of it is missing.
        is_inverted: black is what is missing.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, or transparent in places, which could mean either.
    """
    picture = read_picture(path, "mask")
    if picture.is_transparent:
        raise ImageFileError(
            f"mask {path} is transparent in places, which could mean missing or known; save it without transparency, "
            "white = missing"
        )
    values = picture.samples if picture.samples.ndim == len("HW") else picture.samples.max(axis=-1)
    if picture.may_be_lossy:
        notify("a JPEG's or WebP's blacks are not quite black; what is lighter than middle grey counts as missing")
    is_light = values >= _MIDDLE if picture.may_be_lossy else np.not_equal(values, 0)
    missing: NDArray[np.bool_] = is_light != is_inverted
    if _MOST < missing.mean() < 1:
        notify(
            "most of it counts as missing; if it is known, leave --invert-mask out"
            if is_inverted
            else "most of it is not black and counts as missing; if it is known, pass --invert-mask"
        )
    return missing


def read_weights(path: PictureFile) -> NDArray[np.uint8]:
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


def read_hint(path: PictureFile) -> NDArray[np.uint8]:
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
