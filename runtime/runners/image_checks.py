"""The images that a translator takes: validation in the caller's terms, and extension by reflection."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.errors import InputError
from runtime.runners.checks import as_array, require_sides

_LOOKED_AT = 2**28  # values, above which a hint is not worth the look at them
MAX_SEED = 2**31 - 1  # an engine's seed is int32


def check_image(image: ArrayLike, input_nc: int, name: str = "image") -> NDArray[np.uint8]:
    """Return `image` as uint8 [N, H, W, C], a view where numpy allows it.

    Args:
        image: uint8 [H, W, C] or [N, H, W, C]; for one channel also [H, W].
        input_nc: the engine's C.
        name: the caller's name of `image`.

    Raises:
        InputError: another dtype, number of channels or shape, or empty; says how to convert it.
    """
    array = as_array(image, name)
    if array.ndim not in (2, 3, 4) or not array.size:
        raise InputError(
            f"{name} is {array.dtype} {list(array.shape)}, expected {_expected(input_nc)}, not empty; give the pixels "
            "of one picture, or of several of one size"
        )
    if array.dtype != np.uint8:
        raise InputError(
            f"{name} is {array.dtype} {list(array.shape)}, expected {_expected(input_nc)}; {dtype_hint(array, name)}"
        )
    if array.ndim == 2 and input_nc == 1:
        array = array[..., None]
    if array.ndim == 2 or array.shape[-1] != input_nc:
        hint = _channel_hint(array, input_nc, name)
        raise InputError(f"{name} has shape {list(array.shape)}, expected {_expected(input_nc)}; {hint}")
    require_sides(name, array.shape[-3], array.shape[-2])
    return array if array.ndim == 4 else array[None]


def check_image_seed(seed: int | None, stochastic: bool) -> int:
    """The seed an engine gets: `seed`, or 0 for None.

    Raises:
        InputError: no integer from 0 to 2³¹ − 1, or given to an engine that draws nothing.
    """
    if seed is None:
        return 0
    if not stochastic:
        raise InputError(
            f"seed is {seed!r}, but this engine draws nothing at random; leave it out, or export the checkpoint with "
            "`python -m export onnx --stochastic`"
        )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed is {seed!r}, expected an integer from 0 to {MAX_SEED}")
    return int(seed)


def reflect_to(images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Extend [N, H, W, C] to `size` at the bottom and right by reflection, the border itself not repeated.

    An extension longer than the image goes back and forth; a side of one pixel is repeated.
    """
    _, height, width, _ = images.shape
    if (height, width) == size:
        return images
    return np.pad(images, [(0, 0), (0, size[0] - height), (0, size[1] - width), (0, 0)], mode="reflect")


def _expected(input_nc: int) -> str:
    shapes = f"[H, W, {input_nc}] or [N, H, W, {input_nc}]"
    return f"uint8 [H, W], {shapes}" if input_nc == 1 else f"uint8 {shapes}"


def dtype_hint(array: NDArray[Any], name: str = "image") -> str:
    if array.dtype == np.bool_:
        return f"convert it with 255 * {name}.astype(numpy.uint8)"
    if array.dtype.kind not in "iuf" or array.size > _LOOKED_AT:
        return "give the bytes of a picture"
    low, high = float(array.min()), float(array.max())
    if not np.isfinite((low, high)).all():
        return "it holds NaN or infinity; find out where they come from"
    if array.dtype.kind == "f" and low >= -1 and high <= 1:
        formula = f"255 * {name}" if low >= 0 else f"127.5 * {name} + 127.5"
        return f"its values are from {low:g} to {high:g}: convert it with ({formula}).round().astype(numpy.uint8)"
    if low >= 0 and high <= 255:
        rounded = f"{name}.round()" if array.dtype.kind == "f" else name
        return f"its values fit: convert it with {rounded}.astype(numpy.uint8)"
    if array.dtype == np.uint16:
        return f"keep the high byte: ({name} >> 8).astype(numpy.uint8)"
    return f"its values are from {low:g} to {high:g}: scale them to 0..255"


def _channel_hint(array: NDArray[Any], input_nc: int, name: str) -> str:
    if array.ndim > 2 and array.shape[-3] == input_nc:
        return f"its channels come first: give numpy.moveaxis({name}, -3, -1)"
    given = array.shape[-1] if array.ndim > 2 else 1
    if input_nc == 3 and array.ndim == 2:
        return f"a grey image for an RGB engine: numpy.repeat({name}[..., None], 3, axis=-1)"
    if input_nc == 3 and given == 1:
        return f"a grey image for an RGB engine: numpy.repeat({name}, 3, axis=-1)"
    if given == 4 and input_nc == 3:
        return f"it has an alpha channel: drop it with {name}[..., :3], or composite it over a colour"
    if given in (3, 4) and input_nc == 1:
        return f'a colour image for a grey engine: numpy.asarray(PIL.Image.fromarray({name}).convert("L"))'
    return f"this engine takes {input_nc} channels"
