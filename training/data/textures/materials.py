"""The materials by name. Each takes a generator, [H, W] and a unit (pixels a brick is high), and gives a `Surface`."""

from collections.abc import Callable

import numpy as np

from training.data.textures.ground import gravel, marble, sand
from training.data.textures.masonry import bricks, paving, plaster, shingles, tiles
from training.data.textures.noise import Shape
from training.data.textures.open_air import sky, water
from training.data.textures.plants import foliage, grass
from training.data.textures.surface import Surface
from training.data.textures.wood_and_cloth import fabric, planks

MATERIALS: dict[str, Callable[[np.random.Generator, Shape, float], Surface]] = {
    "bricks": bricks,
    "paving": paving,
    "tiles": tiles,
    "shingles": shingles,
    "plaster": plaster,
    "planks": planks,
    "fabric": fabric,
    "gravel": gravel,
    "sand": sand,
    "marble": marble,
    "grass": grass,
    "foliage": foliage,
    "water": water,
    "sky": sky,
}
UPRIGHT = ("bricks", "shingles", "grass", "foliage", "water", "planks", "tiles")
"""Materials that are rarely photographed at a slant."""
