"""The sketch or photo that a completion starts from, and hints: validation, and the way to the engine's size."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.errors import InputError
from runtime.runners.checks import as_array
from runtime.runners.image_checks import dtype_hint
from runtime.runners.paper import has_light_lines, on_white_paper
from runtime.runners.resampling import resample, to_bytes
from runtime.runners.runner import Notify

Direction = Literal["sketch", "photo"]
_WHITE = 255
_LEAST_CONTRAST = 16  # grey levels between the darkest and the lightest pixel, below which nothing is drawn


def check_drawing(image: ArrayLike, given: Direction, side: int, notify: Notify) -> NDArray[np.uint8]:
    """Return a sketch or photo as the engine takes it, uint8 [side, side, 3].

    What is not square is extended about its middle, a sketch with white, a photo by its border; then it is scaled by
    averaging. Grey gets three equal channels, and what is transparent lies on white, light lines on black. A sketch of
    light lines on dark is inverted, and paper that is not white evened out. All of this is told.

    Args:
        image: uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4].
        given: "sketch" or "photo".
        side: of the engine's halves, pixels.
        notify: called with a sentence for every conversion.

    Raises:
        InputError: another shape or dtype, or empty; or blank, so that there is nothing to complete.
    """
    picture = fit_to(_opaque(_pixels(image, given), given, notify), side, given, notify)
    if picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
        if given == "photo":
            notify("it is grey, the engine takes RGB: three equal channels were made")
    _require_contrast(picture, given, _LEAST_CONTRAST)
    if given == "photo":
        return picture
    if has_light_lines(picture):
        notify("it shows light lines on dark; it was inverted, as engines know dark lines on white")
        picture = _WHITE - picture
    picture, paper = on_white_paper(picture)
    if paper:
        notify(f"its paper is not white but {paper[0]} to {paper[1]} of {_WHITE}; it was evened out to white")
        # Noise has grown with the lines where the paper was dark.
        _require_contrast(picture, given, _LEAST_CONTRAST * _WHITE // max(paper[0], 1))
    return picture


def check_known_mask(known_mask: ArrayLike | None, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return `known_mask` as uint8 [H, W] = `shape`, everything known where there is none.

    Args:
        known_mask: bool or uint8 [H, W]; 0 = unknown, else the weight of a pixel, 255 (True) being 1.
        shape: of the image that it belongs to.

    Raises:
        InputError: another shape or dtype, or nothing is known.
    """
    if known_mask is None:
        return np.full(shape, 255, np.uint8)
    mask = as_array(known_mask, "known_mask")
    if mask.dtype not in (np.uint8, np.bool_) or mask.shape != shape:
        raise InputError(
            f"known_mask is {mask.dtype} {list(mask.shape)}, expected uint8 or bool {list(shape)} as the image has: "
            "0 where it is unknown, up to 255 where it matters most"
        )
    if not mask.any():
        raise InputError("known_mask is 0 everywhere: nothing is known, so there is nothing to complete from")
    return 255 * mask.astype(np.uint8) if mask.dtype == np.bool_ else mask


def check_hint(hint: ArrayLike, shape: tuple[int, int], side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a hint at the half that is made as the engine takes it: pixels [side, side, 3] and weights [side, side].

    It goes the way of the drawing that it belongs to; colours are averaged by their opacity.

    Args:
        hint: uint8 [H, W, 4] = `shape`; its opacity is the weight, 0 = no hint there.
        shape: (H, W) of the drawing.
        side: of the engine's halves, pixels.

    Raises:
        InputError: another shape or dtype, or it is transparent everywhere.
    """
    array = as_array(hint, "hint")
    if array.dtype != np.uint8 or array.shape != (*shape, 4):
        raise InputError(
            f"hint is {array.dtype} {list(array.shape)}, expected uint8 {[*shape, 4]}: as large as the drawing, "
            "with an opacity that is 0 where it says nothing, up to 255 where it matters most"
        )
    squared = _square(array, 0)
    opacity = resample(squared[..., 3:], (side, side))
    colours = resample(squared[..., :3] * squared[..., 3:].astype(np.uint16), (side, side)) / np.maximum(opacity, 1e-6)
    weights = to_bytes(opacity[..., 0])
    if not weights.any():
        raise InputError(f"hint is transparent everywhere at the engine's {side}×{side} pixels; paint more")
    return to_bytes(colours), weights


def fit_to(picture: NDArray[np.uint8], side: int, given: str, notify: Notify) -> NDArray[np.uint8]:
    """Extend [H, W, …] to a square and scale it to [side, side, …] by averaging."""
    height, width = picture.shape[:2]
    longest = max(height, width)
    if height != width:
        notify(f"it is H×W = {height}×{width}, not square; it was extended to {longest}×{longest} about its middle")
        picture = _square(picture, {"photo": None, "sketch": _WHITE}.get(given, 0))
    if longest != side:
        notify(f"it was scaled from {longest}×{longest} to the engine's {side}×{side}")
        picture = to_bytes(resample(picture, (side, side)))
    return picture


def _square(picture: NDArray[Any], margin: int | None) -> NDArray[Any]:
    """Extend [H, W, …] about its middle with `margin`; None repeats the border."""
    height, width = picture.shape[:2]
    longest = max(height, width)
    margins = [((longest - s) // 2, longest - s - (longest - s) // 2) for s in (height, width)]
    margins += [(0, 0)] * (picture.ndim - 2)
    if margin is None:
        return np.pad(picture, margins, mode="edge")
    return np.pad(picture, margins, constant_values=margin)


def _pixels(image: ArrayLike, given: str) -> NDArray[Any]:
    array = as_array(image, given)
    if array.ndim not in (2, 3) or not array.size or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InputError(
            f"{given} is {array.dtype} {list(array.shape)}, expected uint8 [H, W], [H, W, 3] or [H, W, 4], not empty; "
            "give the pixels of one picture"
        )
    if array.dtype != np.uint8:
        raise InputError(f"{given} is {array.dtype} {list(array.shape)}, expected uint8; {dtype_hint(array)}")
    return array if array.ndim == 3 else array[..., None]


def _opaque(array: NDArray[Any], given: str, notify: Notify) -> NDArray[np.uint8]:
    """Without its fourth channel, if it has one: on white, on black where nothing would show on white."""
    if array.shape[2] < 4:
        return array
    alpha = array[..., 3:].astype(np.float32) / _WHITE
    if alpha.min() == 1:
        return array[..., :3]
    on_white = to_bytes(array[..., :3] * alpha + _WHITE * (1 - alpha))
    if given == "sketch" and _contrast(on_white) < _LEAST_CONTRAST:
        notify("it is light and transparent in places; it was laid on black")
        return to_bytes(array[..., :3] * alpha)
    notify("it is transparent in places; it was laid on white")
    return on_white


def _contrast(picture: NDArray[np.uint8]) -> int:
    return int(picture.max()) - int(picture.min())


def _require_contrast(picture: NDArray[np.uint8], given: str, least: int) -> None:
    if _contrast(picture) < least:
        raise InputError(
            f"{given} is blank: its values lie within {picture.min()} to {picture.max()}, so it is no evidence of "
            f"anything; give one with at least {least} grey levels between its darkest and lightest part"
        )
