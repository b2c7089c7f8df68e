"""One picture from a seed: a single material, or a scene of several."""

import numpy as np
from numpy.typing import NDArray

from training.data.textures.camera import choose, developed, seen
from training.data.textures.materials import MATERIALS
from training.data.textures.scenes import OPEN_AIR, SCENES
from training.data.textures.surface import random_light

SUBJECTS = (*MATERIALS, *SCENES)
_SCENE_SHARE = 0.45
_PLAIN = ("plaster", "marble", "sand", "sky")  # alone they hold little to learn: half as often
_ALONE = (*MATERIALS, *(name for name in MATERIALS if name not in _PLAIN))
_UNIT, _UNIT_SIDE = 24.0, 288  # pixels a brick is high in a picture of this side
_SALT = 0x7E27  # other numbers than a street or a face of the same seed


def render_texture(seed: int, side: int, subject: str = "") -> NDArray[np.uint8]:
    """Picture `seed`, RGB uint8 [side, side, 3].

    A larger picture shows more of the subject, and all of it larger: its unit grows with the root of the side.

    Args:
        seed: 0 or more; the same picture every time.
        side: pixels.
        subject: of `SUBJECTS`; "" for one that depends on the seed.
    """
    rng = np.random.default_rng([_SALT, seed])
    drawn = choose(rng, tuple(SCENES) if rng.random() < _SCENE_SHARE else _ALONE)
    subject = subject or drawn
    unit = _UNIT * float(np.sqrt(side / _UNIT_SIDE)) * float(np.exp(rng.uniform(-0.5, 0.5)))
    light = random_light(rng)
    if subject in SCENES:
        # A shadow that falls across would fall on the sky too.
        return developed(rng, SCENES[subject](rng, (side, side), unit, light), subject not in OPEN_AIR)
    tilt = rng.uniform(0.2, 0.8) if rng.random() < 0.15 else 0.0
    return developed(rng, seen(rng, subject, (side, side), unit, light, tilt), subject != "sky")
