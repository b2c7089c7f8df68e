"""An engine's input made of a photo or a label map, as training made it; and whether a picture is such a raw one."""

import numpy as np
from numpy.typing import NDArray

from runtime.engines.recipe import LABELS, Recipe
from runtime.errors import InputError
from runtime.runners.conditions import CONDITIONS, HOLE_VALUE

_COLOURFUL = 16  # levels between the channels of a pixel that has a colour
_FEW_COLOURED, _MUCH_PAPER, _A_HOLE = 0.02, 0.6, 0.04  # shares of all pixels
_PAPER = 200  # levels, at least, of a drawing's ground


def derive_input(recipe: Recipe, raw: NDArray[np.integer], number: int = 0) -> NDArray[np.uint8]:
    """The input of an engine.

    Args:
        recipe: the engine's.
        raw: a photo, RGB uint8 [H, W, 3]; for "labels" class ids, integers [H, W].
        number: of the picture in its set: it seeds what is random ("incomplete"), as `pix2rt evaluate` does.

    Returns:
        uint8 [H, W, C].

    Raises:
        InputError: `raw` is something else, or has ids that are not in the class table.
        MissingExtraError: OpenCV is not installed, and lines are to be drawn.
    """
    if recipe.derive == LABELS:
        assert recipe.labels  # the recipe's own check
        if raw.ndim != len("HW") or not np.issubdtype(raw.dtype, np.integer):
            raise InputError(
                f"label map has shape {list(raw.shape)} and dtype {raw.dtype}, expected integer ids [H, W]"
            )
        if raw.size and not 0 <= raw.min() <= raw.max() < recipe.labels.label_nc:
            raise InputError(
                f"label map has ids {raw.min()} … {raw.max()}, this engine was trained with 0 … "
                f"{recipe.labels.label_nc - 1}; correct the map, or give it in its colours, with --no-derive"
            )
        return recipe.labels.colourise(raw.astype(np.uint8))
    if raw.dtype != np.uint8 or raw.ndim != len("HWC") or raw.shape[2] != len("RGB"):
        raise InputError(f"photo has shape {list(raw.shape)} and dtype {raw.dtype}, expected RGB uint8 [H, W, 3]")
    draw = np.random.default_rng([0, 0, number])
    draw.uniform(1.0, 1.0), draw.integers(1), draw.integers(1)  # what evaluation draws for a scale and a window
    return CONDITIONS[recipe.derive](raw.astype(np.uint8), draw)


def is_raw(recipe: Recipe, picture: NDArray[np.uint8]) -> bool | None:
    """Whether a picture is what the engine's input is made of, rather than that input itself; None: it is not plain.

    Args:
        recipe: the engine's, not of "labels", where `runtime.media.images.read_label_map` tells ids from colours.
        picture: RGB uint8 [H, W, 3].
    """
    if recipe.derive == "incomplete":
        return False if (picture == HOLE_VALUE).all(-1).mean() >= _A_HOLE else None
    spread = picture.max(-1).astype(np.int16) - picture.min(-1)
    is_coloured = bool((spread > _COLOURFUL).mean() >= _FEW_COLOURED)
    if recipe.derive == "grey":
        return is_coloured
    is_on_paper = bool((picture.min(-1) >= _PAPER).mean() >= _MUCH_PAPER)
    return is_coloured if is_coloured != is_on_paper else None
