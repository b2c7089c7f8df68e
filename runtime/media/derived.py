"""Pictures for an engine that knows how its inputs were made: taken as they are, or made so."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from runtime.engines.recipe import LABELS, Recipe
from runtime.errors import ImageFileError, InputError
from runtime.media.decoding import Notify, PictureFile
from runtime.media.images import ImageFile, read_image, read_label_map
from runtime.media.input_files import ARRAY_SUFFIX
from runtime.runners.derivation import derive_input, is_raw

_RGB = 3


def read_input(
    path: PictureFile, recipe: Recipe | None, input_nc: int, derive: bool | None, number: int, notify: Notify
) -> ImageFile:
    """Read an input, or make it.

    Args:
        path: the file.
        recipe: the engine's; None where it has none, and every picture is taken as it is.
        input_nc: the engine's channels.
        derive: True makes it of a photo or label map, False takes it as it is; None makes it where that is plainly
            what the file holds, which is told.
        number: of the file in its set.
        notify: called with a sentence for every conversion.

    Raises:
        MissingFileError, ImageFileError: as `read_image` and `read_label_map`.
        InputError: `derive` is None, and it is not plain which of the two the picture is.
        MissingExtraError: OpenCV is not installed, and lines are to be drawn.
    """
    is_array = isinstance(path, Path) and path.suffix.lower() == ARRAY_SUFFIX
    if recipe is None or derive is False or (is_array and derive is None):
        return read_image(path, input_nc, notify)
    if recipe.derive == LABELS:
        return _of_labels(path, recipe, derive, notify)
    photo = read_image(path, _RGB, lambda sentence: None)
    raw = is_raw(recipe, photo.pixels) if derive is None else derive
    if raw is None:
        raise InputError(
            f"image {path}: this engine was trained on {recipe.derive} of photos, and whether it is a photo or such an "
            "input is not plain; --derive makes the input of it, --no-derive takes it as it is"
        )
    if not raw:
        return read_image(path, input_nc, notify)
    photo = read_image(path, _RGB, notify)
    if derive is None:
        notify(f"it is a photo; {recipe.derive} were made of it, as in training (--no-derive takes it as it is)")
    return replace(photo, pixels=derive_input(recipe, photo.pixels, number), profile=None)


def _of_labels(path: PictureFile, recipe: Recipe, derive: bool | None, notify: Notify) -> ImageFile:
    assert recipe.labels
    try:
        ids = read_label_map(path, recipe.labels, lambda sentence: None)
        pixels = derive_input(recipe, ids)
    except (ImageFileError, InputError) as error:
        raise type(error)(f"{error} (this engine takes label maps; --no-derive takes a picture as it is)") from error
    if derive is None and not np.array_equal(read_image(path, _RGB).pixels, pixels):
        notify("it holds class ids; they got the colours that the engine was trained with")
    return ImageFile(pixels)
