"""Reading training images and changing their size: photos smoothly, maps by nearest neighbour."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from runtime.engines.labels import LabelSpec
from runtime.errors import InputError
from runtime.files import open_input
from training.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")  # others would start programs: EPS Ghostscript

# What Pillow's decoders raise for damaged files.
_DECODE_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, AttributeError),
    *(AssertionError, RuntimeError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)


def list_images(folder: Path) -> list[Path]:
    """The images directly in `folder`, by name."""
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def require_folder(folder: Path, advice: str) -> None:
    """Raise DataError, which ends in `advice`, unless `folder` is one."""
    if not folder.is_dir():
        state = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DataError(f"data folder {folder} {state}; {advice}")


def find_photos(root: Path, split: str, made_by: str = "textures", expected: str = "photos") -> list[Path]:
    """The images in `root`/`split`, or in `root` itself where there is no such folder.

    Args:
        root: data folder.
        split: part of it.
        made_by: the command that makes such a folder, for the message.
        expected: what it should hold, for the message.

    Raises:
        DataError: there is no folder, or it holds no image.
    """
    folder = root / split if (root / split).is_dir() else root
    require_folder(folder, f"make one with `python -m training {made_by} {root}`")
    photos = list_images(folder)
    if not photos:
        raise DataError(f"{folder} holds no image; it should hold {expected}")
    return photos


def read_photo(path: Path) -> NDArray[np.uint8]:
    """An image as RGB uint8 [H, W, 3], turned as its EXIF entry says.

    Grey, palette and CMYK pictures are converted, transparent ones laid on white; of 16 bits the upper eight are kept.

    Raises:
        DataError: it is no image, or damaged.
    """
    with _opened(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            image = Image.fromarray(np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8))
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        return np.array(image.convert("RGB"))


def read_map(path: Path, labels: LabelSpec | None = None) -> NDArray[np.int32]:
    """A map of ids, int32 [H, W]; a palette PNG's indices are its ids.

    Args:
        path: the image.
        labels: class table whose colours a colour picture may use instead of ids.

    Raises:
        DataError: it is no image, damaged, or a colour picture that the class table does not explain.
    """
    with _opened(path) as image:
        if image.mode in ("L", "P", "I", "I;16", "I;16B", "1"):
            return np.array(image).astype(np.int32)
        if labels is None:
            raise DataError(f"{path} is a colour picture (mode {image.mode}), expected ids in one channel")
        colours = np.array(image.convert("RGB"))
    try:
        return labels.ids_from_palette(colours).astype(np.int32)
    except InputError as error:
        raise DataError(f"{path}: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The decoded image; what its decoder raises, also later as it is converted, becomes a DataError."""
    try:
        with open_input(path) as stream, Image.open(stream, formats=_FORMATS) as image:
            image.load()
            yield image
    except _DECODE_ERRORS as error:
        if isinstance(error, DataError):
            raise
        reason = "of no known format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DataError(f"{path} cannot be read as an image: {reason}; replace or remove it") from error


def resize_photo(photo: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """To [H, W] = `size`, averaging where it shrinks."""
    if photo.shape[:2] == size:
        return photo
    method = cv2.INTER_AREA if size[0] < photo.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(photo, size[::-1], interpolation=method), np.uint8)


def resize_map(ids: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.int32]:
    """To [H, W] = `size`, nearest neighbour at pixel centres."""
    if ids.shape == size:
        return ids
    rows = ((np.arange(size[0]) + 0.5) * ids.shape[0] / size[0]).astype(np.intp)
    columns = ((np.arange(size[1]) + 0.5) * ids.shape[1] / size[1]).astype(np.intp)
    sized: NDArray[np.int32] = ids[rows[:, None], columns]
    return sized
