"""Validation of the caller's arrays, once, in the caller's terms. Whatever passes here is trusted further in."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.engines.labels import LabelSpec
from runtime.engines.spec import MAX_SIDE, EngineSpec
from runtime.errors import InputError

_MAX_INSTANCE_ID = 2**31 - 1
_IGNORED_ID = 255
_SHOWN = 6


def check_label_ids(ids: NDArray[Any], labels: LabelSpec, unknown: int | None) -> NDArray[np.uint8]:
    """Return `ids` as uint8 [N, H, W], all below `labels.label_nc`.

    Args:
        ids: integers [N, H, W], from `check_integer_maps`.
        labels: the engine's class table.
        unknown: class id that replaces every id outside the table; None to refuse such ids.

    Raises:
        InputError: ids outside the table.
    """
    _check_unknown(unknown, labels)
    # One pass for the usual uint8 map: it cannot be negative.
    outside = ids.max() >= labels.label_nc or (ids.dtype.kind == "i" and ids.min() < 0)
    if not outside:
        return ids.astype(np.uint8, copy=False)
    wrong = (ids < 0) | (ids >= labels.label_nc)
    if unknown is None:
        raise _unknown_ids(ids[wrong], labels)
    return np.where(wrong, unknown, ids).astype(np.uint8)


def _check_unknown(unknown: int | None, labels: LabelSpec) -> None:
    if unknown is None:
        return
    if isinstance(unknown, bool) or not isinstance(unknown, int | np.integer) or not 0 <= unknown < labels.label_nc:
        raise InputError(f"unknown is {unknown!r}, expected a class id from 0 to {labels.label_nc - 1}")


def _unknown_ids(ids: NDArray[Any], labels: LabelSpec) -> InputError:
    values, counts = np.unique(ids, return_counts=True)
    shown = ", ".join(f"{value} ({count} pixels)" for value, count in list(zip(values, counts, strict=True))[:_SHOWN])
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    hint = ""
    if _IGNORED_ID in values:
        hint = f" {_IGNORED_ID} usually marks pixels to ignore."
    elif values[0] < 0:
        hint = " Negative ids usually mark pixels to ignore (Cityscapes: −1, licence plates)."
    elif values[-1] >= 1000:
        hint = " Ids this large look like an instance map: give that as inst_map."
    return InputError(
        f"label_map has ids outside the engine's {labels.label_nc} classes 0..{labels.label_nc - 1}: "
        f"{shown}{more}.{hint} Correct the map, or pass unknown=<class id> (--unknown) to draw all of them as that "
        "class"
    )


def check_inst_map(
    inst_map: ArrayLike, shape: tuple[int, ...], name: str = "inst_map", like: str = "label_map"
) -> NDArray[np.int32]:
    """Return `inst_map` as int32 [N, H, W].

    Args:
        inst_map: ids of any integer dtype, 0 to 2³¹ − 1.
        shape: [H, W] or [N, H, W], that of the caller's array `like`.
        name: the caller's name of `inst_map`.
        like: the caller's array that it belongs to.

    Raises:
        InputError: not integer ids, ids out of range, or of another shape.
    """
    ids = check_integer_maps(inst_map, name, "instance ids")
    given = ids.shape if np.ndim(inst_map) == 3 else ids.shape[1:]
    if given != shape:
        raise InputError(
            f"{name} has shape {list(given)}, expected {list(shape)} as {like} has: both must show the same scene "
            "pixel for pixel"
        )
    low, high = int(ids.min()) if ids.dtype.kind == "i" else 0, int(ids.max())
    if low < 0 or high > _MAX_INSTANCE_ID:
        raise InputError(
            f"{name} has ids from {low} to {high}, expected 0 to {_MAX_INSTANCE_ID}; renumber the instances"
        )
    return ids.astype(np.int32, copy=False)


def check_seed(seed: int) -> int:
    """Return `seed` if it is an integer ≥ 0; else raise InputError."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed!r}, expected an integer of at least 0")
    return int(seed)


def engine_size(name: str, size: tuple[int, int], spec: EngineSpec, pad: bool) -> tuple[int, int]:
    """The size (H, W) at which the engine runs an array `name` of `size`: its own, or a larger one where `pad` is set.

    Raises:
        InputError: the engine does not take this size; says what to do.
    """
    height, width = size
    require_sides(name, height, width)
    if spec.size:
        if size == spec.size:
            return size
        if height > spec.size[0] or width > spec.size[1]:
            scale = "scale it by nearest neighbour" if spec.labels else "scale it"
            raise InputError(
                f"{name} is H×W = {height}×{width}, larger than this engine's {spec.size[0]}×{spec.size[1]}; the "
                f"runtime never scales: crop it, {scale}, or export an engine of that size, or of any with "
                "`python -m export onnx --dynamic`"
            )
        target, wanted = spec.size, f"exactly {spec.size[0]}×{spec.size[1]}"
    else:
        multiple, least = spec.size_multiple, spec.smallest_side
        target = (-(-max(height, least) // multiple) * multiple, -(-max(width, least) // multiple) * multiple)
        wanted = f"sides that are multiples of {multiple}, at least {least}"
    if target != size and not pad:
        raise InputError(
            f"{name} is H×W = {height}×{width}, this engine takes {wanted}; pass pad=True (--pad) to extend it to "
            f"{target[0]}×{target[1]} and crop the result"
        )
    return target


def require_sides(name: str, height: int, width: int) -> None:
    """Raise InputError where a side of an array `name` is longer than any engine's."""
    if max(height, width) > MAX_SIDE:
        raise InputError(f"{name} is H×W = {height}×{width}, expected sides of up to {MAX_SIDE}; cut it into parts")


def pad_to(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Extend [H, W, …] to `size` at the bottom and right by repeating the last row and column."""
    below, right = size[0] - image.shape[0], size[1] - image.shape[1]
    if not below and not right:
        return image
    return np.pad(image, [(0, below), (0, right)] + [(0, 0)] * (image.ndim - 2), mode="edge")


def check_integer_maps(value: ArrayLike, name: str, what: str) -> NDArray[Any]:
    """Return integers [N, H, W] from the caller's [H, W] or [N, H, W]; what they are is not looked at.

    Args:
        value: the caller's array.
        name: as the caller knows it.
        what: is in it, for messages.

    Raises:
        InputError: not integers, another shape, or empty.
    """
    array = as_array(value, name)
    if array.ndim in (3, 4) and array.shape[-1] in (3, 4):
        raise InputError(
            f"{name} has shape {list(array.shape)}: a colour picture, expected {what} [H, W] or [N, H, W]. A palette "
            "picture or a JPEG? Read a palette PNG's ids with numpy.asarray(PIL.Image.open(…)) while it is in mode P "
            "or L, or let `python -m runtime synthesize` read the file"
        )
    if array.ndim not in (2, 3) or not array.size:
        raise InputError(f"{name} has shape {list(array.shape)}, expected {what} [H, W] or [N, H, W], not empty")
    if array.dtype.kind not in "iu":
        raise InputError(
            f"{name} is {array.dtype}, expected {what} as integers, best "
            f"{'uint8' if name == 'label_map' else 'int32'}; if the values are whole ids, convert them with .astype"
        )
    return array if array.ndim == 3 else array[None]


def as_array(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return `value` as an array; raises InputError where numpy cannot."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise InputError(f"{name} is no array ({error}); give a numpy array") from error
