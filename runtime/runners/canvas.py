"""The scene that an editing session begins with where none is given."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.runners.examples import example_size
from runtime.runners.synthesizer import Synthesizer

_SKY = ("sky", "clouds", "wall", "background")
_GROUND = ("road", "ground", "terrain", "floor", "grass", "earth", "sea", "water")
_HORIZON = 0.45  # of the height


def sky_over_ground(synthesizer: Synthesizer) -> NDArray[np.uint8]:
    """A label map uint8 [H, W] at the engine's size: sky above the horizon, ground below.

    Where an engine's classes have no such names, its first class above its second.
    """
    height, width = example_size(synthesizer.spec)
    names = synthesizer.labels.names
    canvas = np.full((height, width), _first(names, _GROUND, len(names) - 1 and 1), np.uint8)
    canvas[: round(_HORIZON * height)] = _first(names, _SKY, 0)
    return canvas


def _first(names: Sequence[str], wanted: Sequence[str], other: int) -> int:
    return next((names.index(name) for name in wanted if name in names), other)
