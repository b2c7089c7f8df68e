"""Files that a translator reads: pictures of any mode as one or three channels, arrays as any number."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.errors import ImageFileError
from runtime.files import require_file
from runtime.media.images import DECODE_ERRORS, RAW_MODE, decoding, turned_upright
from runtime.media.input_files import ARRAY_SUFFIX

_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_GREY_MODES = ("1", "L")
_COLOUR_MODES = ("RGB", "P")
_HIGHEST_16_BIT = 65535


def read_translation_input(path: Path, input_nc: int, notify: Callable[[str], None]) -> NDArray[np.uint8]:
    """Read a picture, or an array where `path` ends in .npy, for an engine of `input_nc` channels.

    Pictures are turned as their EXIF entry says; 16-bit samples lose the low byte; what is transparent lies on white;
    CMYK is converted without a colour profile; grey and colour become each other as the engine wants. All of these but
    the first are told.

    Args:
        path: the file.
        input_nc: the engine's C; pictures are for 1 or 3.
        notify: called with a sentence for every such conversion.

    Returns:
        uint8 [H, W, input_nc]; of an array, whatever it holds with three axes.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, pixels that are no 8 or 16 bits, or a picture where an array is needed.
    """
    if path.suffix.lower() == ARRAY_SUFFIX:
        return _read_array(path)
    if input_nc not in (1, 3):
        raise ImageFileError(
            f"image {path}: this engine takes {input_nc} channels, which no picture has; give a .npy file of uint8 "
            f"[H, W, {input_nc}]"
        )
    with decoding(path, "image") as image:
        if _is_animated(image):
            notify("it has several frames; the first was taken")
        picture = _eight_bits(turned_upright(image, path), path, notify)
    picture = _on_white(picture, notify)
    wanted = "RGB" if input_nc == 3 else "L"
    is_grey = picture.mode in _GREY_MODES
    if not is_grey and picture.mode not in _COLOUR_MODES:
        notify(f"its mode {picture.mode} was converted to RGB without a colour profile")
    if is_grey and wanted == "RGB":
        notify("it is grey, the engine takes RGB: three equal channels were made")
    elif not is_grey and wanted == "L":
        notify("it is in colour, the engine takes grey: its luma was taken")
    pixels = np.asarray(picture.convert("RGB" if not is_grey else "L").convert(wanted))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _is_animated(image: Image.Image) -> bool:
    """Whether more frames follow; the preview that cameras put behind a JPEG (MPO) is none."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except DECODE_ERRORS:
        return True  # something follows, and it is damaged


def _eight_bits(image: Image.Image, path: Path, notify: Callable[[str], None]) -> Image.Image:
    """16-bit samples by their high byte."""
    if image.mode == "F":
        raise ImageFileError(f"image {path} has floating-point pixels, expected 8 or 16 bits; convert it to 8 bits")
    if not image.mode.startswith("I"):
        if ";16" in image.info.get(RAW_MODE, ""):  # colour: Pillow has dropped the low byte already
            notify("its 16 bits per sample were cut to the high 8")
        return image
    samples = np.asarray(image)
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > _HIGHEST_16_BIT:
        raise ImageFileError(f"image {path} has values from {low} to {high}, expected 8 or 16 bits; scale it to 8 bits")
    notify("its 16 bits per sample were cut to the high 8")
    return Image.fromarray((samples >> 8).astype(np.uint8))


def _on_white(image: Image.Image, notify: Callable[[str], None]) -> Image.Image:
    if image.mode not in _ALPHA_MODES and "transparency" not in image.info:
        return image
    layered = image.convert("RGBA")
    alpha = layered.getchannel("A")
    is_grey = image.mode in (*_GREY_MODES, "LA", "La")
    if alpha.getextrema() != (255, 255):
        notify("it is transparent in places; it was laid on white")
        layered = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return layered.convert("L" if is_grey else "RGB")


def _read_array(path: Path) -> NDArray[np.uint8]:
    path = require_file(path, "array")
    try:
        # Mapped: the header's claim is compared with the file's size before any memory is taken.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, TypeError, SyntaxError, EOFError, OverflowError, MemoryError) as error:
        raise ImageFileError(f"array {path} is corrupt, empty or no .npy file of numbers ({error})") from error
    if not isinstance(array, np.ndarray) or array.ndim != 3:
        shape = list(array.shape) if isinstance(array, np.ndarray) else "an archive"
        raise ImageFileError(f"array {path} is {shape}, expected uint8 [H, W, C]: one picture per file")
    return np.array(array)
