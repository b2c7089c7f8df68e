"""The one reader of picture files: decoded, upright, in samples as the file has them. Whatever is wrong with the bytes
of a file is found here.
"""

import io
import logging
import math
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from runtime.errors import ImageFileError, PictureSizeError
from runtime.files import open_input, require_readable
from runtime.media import DEFAULT_MEGAPIXELS

Notify = Callable[[str], None]

_ID_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
_GREY_MODES = ("1", "L", "LA", "La")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
# Those that Pillow reads by itself: for EPS it would start a program on whatever the file says.
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "TGA", "ICO", "JPEG2000", "PCX", "SGI")
_JPEGS = ("JPEG", "MPO")  # MPO: a camera's JPEG with a preview behind it
_PROFILE_SPACE, _PROFILE_MARK = slice(16, 20), slice(36, 40)
_GREY_SPACE, _RGB_SPACE = b"GRAY", b"RGB "
# What Pillow's decoders raise for damaged files.
_DECODE_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, AttributeError),
    *(AssertionError, RuntimeError, struct.error, zlib.error),
)


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        samples: [H, W] or RGB [H, W, 3]: uint8; of one channel also wider integers, and floats.
        alpha: uint8 [H, W], where the file has such a channel or a transparent colour.
        profile: ICC profile of the space, grey or RGB, that `samples` are in.
        is_jpeg: whether it was compressed as one, alone or in a TIFF.
        may_be_lossy: a JPEG, or a WebP, which does not tell.
        has_more_frames: whether others follow.
        notes: what was done to the samples, sentences for the user.
    """

    samples: NDArray[Any]
    alpha: NDArray[np.uint8] | None
    profile: bytes | None
    is_jpeg: bool
    may_be_lossy: bool
    has_more_frames: bool
    notes: tuple[str, ...]

    @property
    def is_transparent(self) -> bool:
        """Whether it is anywhere."""
        return self.alpha is not None and bool((self.alpha < np.iinfo(np.uint8).max).any())


@dataclass(frozen=True)
class Upload:
    """A picture that came as bytes: what may stand for a file wherever a picture is read.

    Attributes:
        name: for messages; says nothing of what is in it.
        content: the bytes of the file.
    """

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name


PictureFile = str | Path | Upload


def limit_megapixels(limit: float) -> None:
    """Refuse pictures of more than `limit` million pixels from now on."""
    Image.MAX_IMAGE_PIXELS = round(limit * 1e6)


def megapixels() -> float:
    """The limit that holds now."""
    return (Image.MAX_IMAGE_PIXELS or 0) / 1e6


limit_megapixels(DEFAULT_MEGAPIXELS)
logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it logs of damaged files becomes an error here


def read_picture(path: PictureFile, what: str, *, as_ids: bool = False) -> Picture:
    """Decode the picture `path`, turned as its EXIF entry says.

    CMYK, YCbCr and Lab become RGB, by the file's colour profile where it has one; of 16 bits in colour Pillow keeps the
    high eight.

    Args:
        path: the file, a pipe, `-`, or an upload.
        what: what it should be, for messages.
        as_ids: take the indices of a palette, not its colours, and leave the picture as it lies in the file.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        ImageFileError: corrupt, no image, or larger than the limit.
    """
    file = path if isinstance(path, Upload) else require_readable(path, what)
    with _named_errors(file, what), _opened(file) as stream:
        image = Image.open(stream, formats=_FORMATS)
        raw_mode = str(image.tile)  # decoding makes Pillow forget it
        image.load()
        has_more_frames = _has_more_frames(image)
        kind, compression, profile = image.format, image.info.get("compression"), image.info.get("icc_profile")
        notes: list[str] = []
        if as_ids and image.mode in _ID_MODES:
            samples, alpha = np.asarray(image), None
            samples = samples.astype(np.uint8) if samples.dtype == np.bool_ else samples
        else:
            if not as_ids:
                ImageOps.exif_transpose(image, in_place=True)
            profile = _profile_that_fits(profile, image.mode, notes)
            grey_or_rgb, profile = _grey_or_rgb(image, profile, notes)
            samples, alpha = _samples(grey_or_rgb)
            if samples.dtype == np.uint8 and ";16" in raw_mode:
                notes.append(_note_on_16_bits(int(samples.max())))
    is_jpeg = kind in _JPEGS or compression == "jpeg"
    may_be_lossy = is_jpeg or kind == "WEBP" or compression == "webp"
    return Picture(samples, alpha, profile, is_jpeg, may_be_lossy, has_more_frames, tuple(notes))


def _opened(file: Path | Upload) -> BinaryIO:
    return io.BytesIO(file.content) if isinstance(file, Upload) else open_input(file)


@contextmanager
def _named_errors(path: Path | Upload, what: str) -> Iterator[None]:
    """Whatever a decoder raises becomes an ImageFileError that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of a damaged file becomes an error
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        pixels = int(re.findall(r"\d+", str(error))[0])
        raise _too_many(pixels, f"{what} {path}") from error
    except _DECODE_ERRORS as error:
        problem = "may not be read" if isinstance(error, PermissionError) else "is corrupt, empty or no image"
        raise ImageFileError(f"{what} {path} {problem} ({_without_path(error)})") from error


def _too_many(pixels: int, which: str) -> PictureSizeError:
    needed = -(-pixels // 10**6)
    return PictureSizeError(
        f"{which} has {pixels / 1e6:g} megapixels, more than the {megapixels():g} that are read, so that no small "
        f"file fills the memory; if it is honest, raise the limit: `pix2rt --max-megapixels {needed} …`, or set "
        f"PIX2RT_MAX_MEGAPIXELS={needed}"
    )


def require_megapixels(shape: tuple[int, ...], which: str) -> None:
    """Refuse an array [H, W] of more pixels than pictures may have; raises PictureSizeError."""
    if math.prod(shape) > (Image.MAX_IMAGE_PIXELS or 0):
        raise _too_many(math.prod(shape), which)


def _without_path(error: Exception) -> str:
    """What a library says of a file, but for its name, which the message has."""
    if isinstance(error, UnidentifiedImageError):
        return "of no known format"
    return str((isinstance(error, OSError) and error.strerror) or error)


def _has_more_frames(image: Image.Image) -> bool:
    """The preview that cameras put behind a JPEG is none."""
    try:
        return image.format not in _JPEGS and bool(getattr(image, "is_animated", False))
    except _DECODE_ERRORS:
        return True  # something follows, and it is damaged


def _profile_that_fits(profile: bytes | None, mode: str, notes: list[str]) -> bytes | None:
    if not profile or mode.startswith("F"):
        return None
    space = _GREY_SPACE if mode in _GREY_MODES or mode.startswith("I") else b"CMYK" if mode == "CMYK" else _RGB_SPACE
    space = b"Lab " if mode == "LAB" else space
    if profile[_PROFILE_MARK] == b"acsp" and profile[_PROFILE_SPACE] == space:
        return profile
    notes.append("its colour profile is damaged or for another kind of pixels, and was dropped")
    return None


def _grey_or_rgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> tuple[Image.Image, bytes | None]:
    """CMYK, YCbCr, Lab and whatever else there is as RGB; the profile that then holds."""
    if image.mode.startswith(("I", "F")) or image.mode in (*_GREY_MODES, *_ALPHA_MODES, "P", "RGB"):
        return image, profile
    if profile and image.mode in ("CMYK", "LAB"):
        converted = _to_srgb(image, profile)
        if converted:
            notes.append(f"its mode {image.mode} was converted to sRGB by its colour profile")
            return converted, None
    notes.append(f"its mode {image.mode} was converted to RGB without a colour profile")
    return image.convert("RGB"), None if image.mode in ("CMYK", "LAB") else profile


def _samples(image: Image.Image) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """The pixels, and the alpha channel where there is one."""
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"))
        return pixels[..., 0] if image.mode in _GREY_MODES else pixels[..., :3], pixels[..., 3]
    if image.mode.startswith(("I", "F")):
        return np.asarray(image), None
    wanted = "L" if image.mode in _GREY_MODES else "RGB"
    return np.asarray(image if image.mode == wanted else image.convert(wanted)), None


def _note_on_16_bits(highest: int) -> str:
    if highest < 16:
        return "its 16 bits per sample hold 12 or less, and only the high 8 are read: it is nearly black; scale it"
    return "its 16 bits per sample were cut to the high 8"


def converted_to_srgb(pixels: NDArray[np.uint8], profile: bytes) -> NDArray[np.uint8] | None:
    """uint8 [H, W] or [H, W, 3] in the space of `profile` → sRGB [H, W, 3]; None where the profile is damaged."""
    picture = _to_srgb(Image.fromarray(pixels), profile)
    return None if picture is None else np.asarray(picture)


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, *_DECODE_ERRORS):
        return None
