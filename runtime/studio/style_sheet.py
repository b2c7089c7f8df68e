"""Small pictures of an object in each of its styles: all of them in one scene, thus one rendering."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import StyleError
from runtime.runners.canvas import sky_over_ground
from runtime.runners.editor import Editor
from runtime.runners.strokes import Box
from runtime.runners.synthesizer import Synthesizer

_SHOWN = 12  # styles
_MARGIN = 0.12  # of a cell, around the object
_SIDE = 96  # of a picture, pixels


@dataclass(frozen=True)
class Swatches:
    """RGB uint8 [N, side, side, 3], one picture a style."""

    pictures: NDArray[np.uint8]


@dataclass(frozen=True)
class StyleSheet:
    """A scene of one object over and over, in another style each time, and where each lies."""

    synthesizer: Synthesizer
    scene: dict[str, Any]
    cells: tuple[Box, ...]

    def render(self) -> Swatches:
        """Run the synthesizer once and cut the pictures out."""
        photo = self.synthesizer.run(**self.scene)
        return Swatches(np.stack([_scaled(photo[cell.slices], (_SIDE, _SIDE)) for cell in self.cells]))


def style_sheet(editor: Editor, instance: int) -> StyleSheet:
    """The sheet of an instance of the scene; raises StyleError where its class has no styles."""
    instance = editor.require(instance)
    region, class_id = editor.pixels_of(instance), editor.instances[instance].class_id
    styles = editor.synthesizer.spec.styles
    count = min(_SHOWN, len(styles.centres.get(class_id, ()))) if styles else 0
    if not count:
        raise StyleError(f"the class {editor.synthesizer.labels.names[class_id]!r} has no styles in this engine")
    labels = sky_over_ground(editor.synthesizer)
    ids = labels.astype(np.int32)
    cells, first = _grid(labels.shape[0], labels.shape[1], count), int(ids.max()) + 1
    for number, cell in enumerate(cells):
        mask = _scaled(region.mask, _fitting(region.mask.shape, cell))
        top = cell.top + (cell.size[0] - mask.shape[0]) // 2
        left = cell.left + (cell.size[1] - mask.shape[1]) // 2
        here = Box(top, left, top + mask.shape[0], left + mask.shape[1]).slices
        labels[here][mask] = class_id
        ids[here][mask] = first + number
    present = np.unique(ids)
    chosen = {first + number: number for number in range(count) if first + number in present}
    scene = {"label_map": labels, "inst_map": ids, "styles": chosen, "seed": editor.seed}
    return StyleSheet(editor.synthesizer, scene, cells)


def _grid(height: int, width: int, count: int) -> tuple[Box, ...]:
    """Square cells, as large as fit."""
    columns = max(range(1, count + 1), key=lambda columns: _side(height, width, columns, count))
    side = _side(height, width, columns, count)
    places = (divmod(number, columns) for number in range(count))
    return tuple(Box(row * side, column * side, (row + 1) * side, (column + 1) * side) for row, column in places)


def _side(height: int, width: int, columns: int, count: int) -> int:
    return min(width // columns, height // math.ceil(count / columns))


def _fitting(shape: tuple[int, ...], cell: Box) -> tuple[int, int]:
    inner = max(1.0, cell.size[0] * (1 - 2 * _MARGIN))
    scale = inner / max(shape)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _scaled(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """By nearest neighbour."""
    rows, columns = (np.arange(new) * old // new for old, new in zip(array.shape, size, strict=False))
    scaled: NDArray[Any] = array[rows[:, None], columns]
    return scaled
