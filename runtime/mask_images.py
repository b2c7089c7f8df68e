"""Files of hole masks: pictures of any mode, light = missing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageFileError
from runtime.images import decoding, turned_upright

_LOSSY = ("JPEG", "MPO")
_MIDDLE = 128
_OPAQUE = 255


def read_hole_mask(path: Path, notify: Callable[[str], None]) -> NDArray[np.bool_]:
    """Read a mask as bool [H, W], True = missing: whatever is not black; of a JPEG, what is lighter than middle grey.

    Args:
        path: a picture of one or three channels, 1 to 16 bits.
        notify: called with a sentence where the file is a JPEG.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, or transparent in places, which could mean either.
    """
    with decoding(path, "mask") as image:
        is_lossy = image.format in _LOSSY
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
        notify("a JPEG's blacks are not quite black; what is lighter than middle grey counts as missing")
    missing: NDArray[np.bool_] = values >= _MIDDLE if is_lossy else np.not_equal(values, 0)
    return missing
