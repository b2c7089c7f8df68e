"""Image files in and out, with Pillow: label maps, instance maps, photos, results."""

import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from runtime.engines.labels import LabelSpec
from runtime.errors import ImageFileError, InputError
from runtime.files import atomic_path, require_file

RAW_MODE = "pix2rt raw mode"
_ID_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
# What Pillow's decoders raise for damaged files, beside OSError.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, struct.error, zlib.error)


def read_label_map(
    path: str | Path, labels: LabelSpec, notify: Callable[[str], None] | None = None
) -> NDArray[np.integer[Any]]:
    """Read class ids [H, W], not yet compared with the class table.

    A grey or palette PNG holds the ids themselves (a palette image's indices, whatever their colours). A colour picture
    is translated where all its colours are in the class table; classes that share a colour become the first of them.

    Args:
        path: a PNG, or another lossless image.
        labels: the class table, for colour pictures.
        notify: called with a sentence where a colour picture was translated.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, a JPEG, or colours that are not in the table.
    """
    with decoding(path, "label map") as image:
        if image.format in ("JPEG", "MPO"):
            raise ImageFileError(
                f"label map {path} is a JPEG: its compression changes class ids; use the PNG it was made from"
            )
        if image.mode in _ID_MODES:
            return _ids(image)
        if image.mode not in ("RGB", "RGBA"):
            raise ImageFileError(f"label map {path} has pixels of mode {image.mode}, expected ids (L, P, I) or RGB")
        picture = np.asarray(image.convert("RGB"))
    try:
        ids = labels.ids_from_palette(picture)
    except InputError as error:
        raise ImageFileError(f"label map {path}: {error}") from error
    if notify:
        notify(f"{path} is a colour picture; its colours were translated to class ids")
    return ids


def read_inst_map(path: str | Path) -> NDArray[np.integer[Any]]:
    """Read instance ids [H, W] from an 8-, 16- or 32-bit image of one channel.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, a JPEG, or in colour.
    """
    with decoding(path, "instance map") as image:
        if image.format in ("JPEG", "MPO") or image.mode not in _ID_MODES:
            raise ImageFileError(
                f"instance map {path} is a {image.format} of mode {image.mode}, expected a PNG of one channel with 8, "
                "16 or 32 bits whose values are the instance ids"
            )
        return _ids(image)


def read_photo(path: str | Path) -> NDArray[np.uint8]:
    """Read a photo as RGB uint8 [H, W, 3], turned as its EXIF entry says.

    Grey becomes three equal channels (16 bits lose the lower eight), transparency is dropped, CMYK is converted without
    a colour profile.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, or no image.
    """
    with decoding(path, "photo") as image:
        upright = turned_upright(image, path)
        if upright.mode.startswith("I"):
            return np.repeat(_high_bytes(upright), 3, axis=2)
        return np.asarray(upright.convert("RGB"))


def read_drawing(path: str | Path) -> NDArray[np.uint8]:
    """Read a sketch or photo as uint8 [H, W, 1], [H, W, 3] or, where it is transparent, [H, W, 4].

    Turned as its EXIF entry says; 16 bits lose the lower eight, CMYK is converted without a colour profile.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, or no image.
    """
    with decoding(path, "image") as image:
        upright = turned_upright(image, path)
        if upright.mode.startswith("I"):
            return _high_bytes(upright)
        if upright.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in upright.info:
            return np.asarray(upright.convert("RGBA"))
        if upright.mode in ("1", "L"):
            return np.asarray(upright.convert("L"))[..., None]
        return np.asarray(upright.convert("RGB"))


def _high_bytes(image: Image.Image) -> NDArray[np.uint8]:
    """The upper eight of 16 bits, [H, W, 1]."""
    high = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
    return np.expand_dims(high, -1)


def write_image(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, C] atomically: as .npy, or one or three channels as .jpg, .jpeg or else PNG.

    Raises:
        OutputError: the folder cannot be made or written, or `path` is a directory.
    """
    suffix = Path(path).suffix.lower()
    with atomic_path(path) as temporary:
        if suffix == ".npy":
            np.save(temporary, image, allow_pickle=False)
            return
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        if suffix in (".jpg", ".jpeg"):
            picture.save(temporary, format="JPEG", quality=95)
        else:
            picture.save(temporary, format="PNG", compress_level=3)


def turned_upright(image: Image.Image, path: str | Path) -> Image.Image:
    """Turn a decoded image as its EXIF entry says; raises ImageFileError where the entry is damaged."""
    try:
        upright: Image.Image = ImageOps.exif_transpose(image)
    except DECODE_ERRORS as error:
        raise ImageFileError(f"image {path}: its EXIF entry is corrupt ({error}); save it without") from error
    return upright


def _ids(image: Image.Image) -> NDArray[np.integer[Any]]:
    ids = np.asarray(image)
    return ids.astype(np.uint8) if ids.dtype == np.bool_ else ids


@contextmanager
def decoding(path: str | Path, what: str) -> Iterator[Image.Image]:
    """Open and decode an image file; whatever is wrong with its bytes becomes an ImageFileError that names it.

    `info[RAW_MODE]` of the image says how the samples lie in the file, which decoding makes Pillow forget.
    """
    path = require_file(path, what)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of a damaged file becomes an error
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path)
            image.info[RAW_MODE] = str(image.tile)
            image.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageFileError(
            f"{what} {path} has more than {Image.MAX_IMAGE_PIXELS} pixels, which no engine takes; give a smaller image"
        ) from error
    except DECODE_ERRORS as error:
        raise ImageFileError(f"{what} {path} is corrupt, empty or no image ({error})") from error
    with image:
        yield image
