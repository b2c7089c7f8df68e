"""Image files in and out: label maps, instance maps, pictures, arrays, results."""

import io
import math
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.engines.labels import LabelSpec
from runtime.errors import ImageFileError, InputError
from runtime.files import atomic_path, is_stream, open_input, require_readable
from runtime.media.decoding import Notify, Picture, PictureFile, Upload, converted_to_srgb, read_picture
from runtime.media.input_files import ARRAY_SUFFIX

PICTURE_CHANNELS = (1, 3)

_RGB, _RGBA = 3, 4
# Compression of a PNG, for a file and for somebody who waits: of photos zlib's runs alone (Z_RLE) are no larger.
_SMALL = {"compress_level": 3}
_FAST = {"compress_level": 1, "compress_type": 3}
_OPAQUE = 255
_HIGHEST_16_BIT = 65535
_NARROW_BITS = (8, 10, 12)  # what cameras and microscopes store in 16
_ARRAY_ERRORS = (
    *(OSError, ValueError, TypeError, SyntaxError, EOFError, OverflowError, MemoryError, RecursionError),
    tokenize.TokenError,
)


@dataclass(frozen=True)
class ImageFile:
    """What an engine of images gets.

    Attributes:
        pixels: uint8 [H, W, C].
        profile: ICC profile that the pixels are in, where the file says so; it fits one or three channels as they are.
    """

    pixels: NDArray[np.uint8]
    profile: bytes | None = None


def _ignore(sentence: str) -> None:
    """For those who need not be told."""


def read_label_map(path: PictureFile, labels: LabelSpec, notify: Notify = _ignore) -> NDArray[np.integer[Any]]:
    """Read class ids [H, W], not yet compared with the class table.

    A grey or palette PNG holds the ids themselves (a palette image's indices, whatever their colours). A colour picture
    is translated where all its colours are in the class table; classes that share a colour become the first of them.
    Three equal channels that are not in the table are the ids.

    Args:
        path: a PNG, or another lossless image.
        labels: the class table, for colour pictures.
        notify: called with a sentence where a colour picture was translated.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, a JPEG, or colours that are not in the table.
    """
    picture = _lossless_picture(path, "label map")
    if picture.samples.ndim == len("HW"):
        return picture.samples
    try:
        ids: NDArray[np.integer[Any]] = labels.ids_from_palette(picture.samples)
    except InputError as error:
        equal = _equal_channels(picture)
        if equal is None:
            raise ImageFileError(f"label map {path}: {error}") from error
        notify("it has three equal channels, not colours of the class table; they were taken as class ids")
        return equal
    notify("it is a colour picture; its colours were translated to class ids")
    return ids


def read_inst_map(path: PictureFile, notify: Notify = _ignore) -> NDArray[np.integer[Any]]:
    """Read instance ids [H, W] from an 8-, 16- or 32-bit image of one channel, or of three equal ones, which is told.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, a JPEG, or in colour.
    """
    picture = _lossless_picture(path, "instance map")
    if picture.samples.ndim == len("HW"):
        return picture.samples
    ids = _equal_channels(picture)
    if ids is None:
        raise ImageFileError(
            f"instance map {path} is in colour, expected a PNG of one channel with 8, 16 or 32 bits whose values are "
            "the instance ids"
        )
    notify("it has three equal channels; they were taken as instance ids")
    return ids


def _lossless_picture(path: PictureFile, what: str) -> Picture:
    picture = read_picture(path, what, as_ids=True)
    if picture.is_jpeg:
        raise ImageFileError(f"{what} {path} is a JPEG: its compression changes ids; use the PNG it was made from")
    if picture.samples.dtype.kind not in "iu":
        raise ImageFileError(
            f"{what} {path} has floating-point pixels, expected ids: one channel with 8, 16 or 32 bits"
        )
    return picture


def _equal_channels(picture: Picture) -> NDArray[np.integer[Any]] | None:
    first = picture.samples[..., 0]
    return first if (picture.samples[..., 1:] == first[..., None]).all() else None


def read_image(path: PictureFile, input_nc: int, notify: Notify = _ignore) -> ImageFile:
    """Read a picture, or an array (.npy), for an engine of `input_nc` channels.

    Pictures are turned as their EXIF entry says; 16-bit samples lose the low byte; what is transparent lies on white;
    CMYK becomes RGB; grey and colour become each other as the engine wants. All of these but the first are told.

    Args:
        path: the file.
        input_nc: the engine's C; pictures are for 1 or 3.
        notify: called with a sentence for every such conversion.

    Returns:
        `pixels` [H, W, input_nc]; of an array, whatever it holds with three axes.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, pixels that are no 8 or 16 bits, or a picture where an array is needed.
    """
    is_picture = input_nc in PICTURE_CHANNELS
    path = path if isinstance(path, Upload) else Path(path)
    if isinstance(path, Path) and (path.suffix.lower() == ARRAY_SUFFIX or (is_stream(path) and not is_picture)):
        return ImageFile(_read_array(path))
    if not is_picture:
        raise ImageFileError(
            f"image {path}: this engine takes {input_nc} channels, which no picture has; give a .npy file of uint8 "
            f"[H, W, {input_nc}]"
        )
    picture = read_picture(path, "image")
    if picture.has_more_frames:
        notify("it has several frames; the first was taken")
    pixels = _eight_bits(picture, path, notify)
    if picture.alpha is not None and picture.is_transparent:
        notify("it is transparent in places; it was laid on white")
        pixels = _on_white(pixels, picture.alpha)
    return _with_channels(pixels, picture.profile, input_nc, notify)


def read_photo(path: PictureFile, notify: Notify = _ignore) -> NDArray[np.uint8]:
    """Read a picture as RGB uint8 [H, W, 3]; conversions and errors as in `read_image`."""
    return read_image(path, _RGB, notify).pixels


def read_drawing(path: PictureFile, notify: Notify = _ignore) -> NDArray[np.uint8]:
    """Read a sketch or photo as uint8 [H, W, 1], [H, W, 3] or, with an alpha channel [H, W, 4].

    Conversions and errors as in `read_image`, but that what is transparent stays so.
    """
    picture = read_picture(path, "image")
    pixels = _eight_bits(picture, path, notify)
    if picture.alpha is not None:
        return np.dstack([pixels if pixels.ndim == len("HWC") else np.dstack([pixels] * _RGB), picture.alpha])
    return pixels if pixels.ndim == len("HWC") else pixels[..., None]


def _eight_bits(picture: Picture, path: PictureFile, notify: Notify) -> NDArray[np.uint8]:
    """16-bit samples by their high byte, fewer bits in 16 by their own."""
    for sentence in picture.notes:
        notify(sentence)
    samples = picture.samples
    if samples.dtype == np.uint8:
        return samples
    if samples.dtype.kind == "f":
        raise ImageFileError(f"image {path} has floating-point pixels, expected 8 or 16 bits; convert it to 8 bits")
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > _HIGHEST_16_BIT:
        raise ImageFileError(f"image {path} has values from {low} to {high}, expected 8 or 16 bits; scale it to 8 bits")
    bits = next((bits for bits in _NARROW_BITS if 0 < high < 1 << bits), 16)
    if bits == 16:
        notify("its 16 bits per sample were cut to the high 8")
    else:
        notify(f"its values need {bits} of their 16 bits; they were scaled by that range")
    return (samples >> (bits - 8)).astype(np.uint8)


def _on_white(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    opacity = alpha.astype(np.uint16) if pixels.ndim == len("HW") else alpha[..., None].astype(np.uint16)
    return (_OPAQUE - ((_OPAQUE - pixels) * opacity + _OPAQUE // 2) // _OPAQUE).astype(np.uint8)


def _with_channels(pixels: NDArray[np.uint8], profile: bytes | None, channels: int, notify: Notify) -> ImageFile:
    """Grey as RGB and the reverse; a profile does not fit what that gives, so colours then go by sRGB."""
    is_grey = pixels.ndim == len("HW")
    if is_grey == (channels == 1):
        return ImageFile(pixels[..., None] if is_grey else pixels, profile)
    if profile and (srgb := converted_to_srgb(pixels, profile)) is not None:
        notify("it was converted to sRGB by its colour profile, which does not fit the engine's channels")
        pixels, is_grey = srgb, False
    elif is_grey:
        notify("it is grey, the engine takes RGB: three equal channels were made")
    if channels == _RGB:
        return ImageFile(np.repeat(pixels[..., None], _RGB, axis=2) if is_grey else pixels)
    notify("it is in colour, the engine takes grey: its luma was taken")
    return ImageFile(np.asarray(Image.fromarray(pixels).convert("L"))[..., None])


def _read_array(path: Path) -> NDArray[np.uint8]:
    path = require_readable(path, "array")
    try:
        # Mapped where it can be: the header's claim is compared with the file's size before any memory is taken.
        if is_stream(path):
            array = np.load(open_input(path), allow_pickle=False)
        else:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _ARRAY_ERRORS as error:
        raise ImageFileError(f"array {path} is corrupt, empty or no .npy file of numbers ({error})") from error
    if not isinstance(array, np.ndarray) or array.ndim != len("HWC"):
        shape = list(array.shape) if isinstance(array, np.ndarray) else "an archive"
        raise ImageFileError(f"array {path} is {shape}, expected uint8 [H, W, C]: one picture per file")
    return np.array(array)


def read_npy(upload: Upload) -> NDArray[Any] | None:
    """An array that came as a .npy file, as it is; None where the bytes are something else.

    Raises:
        ImageFileError: the file is damaged, holds objects, or has not as many values as its header says.
    """
    stream = io.BytesIO(upload.content)
    if not upload.content.startswith(np.lib.format.MAGIC_PREFIX):
        return None
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(stream)
        # Compared before any memory is taken.
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(upload.content) - stream.tell():
            raise ValueError(f"its header says {dtype} {list(shape)}")
        array = np.frombuffer(upload.content, dtype, offset=stream.tell())
        return array.reshape(shape, order="F" if is_fortran else "C")
    except _ARRAY_ERRORS as error:
        raise ImageFileError(f"array {upload} is corrupt, or no .npy file of numbers ({error})") from error


def png_bytes(image: NDArray[np.integer[Any]]) -> bytes:
    """uint8 [H, W, 3] or integers [H, W] of up to 16 bits as a PNG.

    Raises:
        InputError: values that 16 bits do not hold.
    """
    if image.ndim == len("HW") and image.dtype != np.uint8:
        if image.min() < 0 or image.max() > _HIGHEST_16_BIT:
            raise InputError(
                f"the map has ids up to {image.max()}, which a PNG of 16 bits does not hold; save a session"
            )
        image = image.astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", **_FAST)
    return stream.getvalue()


def encode_image(image: NDArray[np.uint8], format: str) -> bytes:
    """uint8 [H, W, C] as the bytes of a file: of "png" or "jpeg" with one or three channels, or "npy"."""
    stream = io.BytesIO()
    _encode(stream, image, format, None, _FAST)
    return stream.getvalue()


def write_image(path: str | Path, image: NDArray[np.uint8], profile: bytes | None = None) -> None:
    """Write uint8 [H, W, C] atomically: one or three channels as .jpg, .jpeg or else PNG, others as .npy.

    Args:
        path: the file, or `-` and other streams.
        image: the pixels.
        profile: ICC profile that they are in.

    Raises:
        OutputError: the folder cannot be made or written, or `path` is a directory.
    """
    suffix = Path(path).suffix.lower()
    is_array = suffix == ARRAY_SUFFIX or image.shape[2] not in PICTURE_CHANNELS
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        _encode(stream, image, "npy" if is_array else "jpeg" if suffix in (".jpg", ".jpeg") else "png", profile, _SMALL)


def _encode(
    stream: BinaryIO, image: NDArray[np.uint8], format: str, profile: bytes | None, compression: dict[str, int]
) -> None:
    if format == "npy":
        np.save(stream, image, allow_pickle=False)
        return
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    if format == "jpeg":
        picture.save(stream, format="JPEG", quality=95, icc_profile=profile)
    else:
        picture.save(stream, format="PNG", icc_profile=profile, **compression)
