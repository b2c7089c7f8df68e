"""Water and sky."""

import cv2
import numpy as np

from training.data.scenes.materials import pick, rgb
from training.data.textures.noise import Shape, blend, fractal, grain, smooth_noise, step, tinted
from training.data.textures.surface import Surface

_WATERS = ("#1f4a55", "#23506b", "#3a5a4a", "#1d3a4c", "#4a6a68")
_SKIES = (
    ("#2f66ae", "#b5cfe4"),
    ("#4a86c8", "#d6e2e8"),
    ("#5f83b4", "#d9d2c8"),
    ("#34609c", "#e0c7a4"),
    ("#7f97b2", "#c9d0d4"),
)


def water(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """Waves on a lake: the slopes towards us show the depth, those away from us the sky, some of them the sun."""
    deep, sky = pick(rng, _WATERS), pick(rng, ("#b9cfdc", "#9fb8c9", "#d9dcd8"))
    long = unit * rng.uniform(0.7, 2.0)
    waves = fractal(rng, shape, (0.45 * long, 1.8 * long), 4, 0.6) + 0.8 * smooth_noise(
        rng, shape, (2 * long, 7 * long)
    )
    crests = waves - 0.5 * np.abs(fractal(rng, shape, (0.6 * long, 2.4 * long), 3, 0.5))
    slope = np.gradient(crests, axis=0).astype(np.float32)
    slope /= max(float(slope.std()), 1e-3)
    share = step(-1.2, 2.2, slope + 0.3 * smooth_noise(rng, shape, (3 * long, 9 * long)))
    glint = step(2.2, 3.4, slope) * rng.uniform(0, 0.8)
    colour = blend(blend(deep, sky, 0.85 * share), np.ones(3, np.float32), np.clip(glint, 0, 1))
    return Surface(tinted(colour, 0.012 * grain(rng, shape)))


def sky(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """From the zenith above to the horizon below, with clouds of one kind or none."""
    top, bottom = (rgb(code) for code in _SKIES[int(rng.integers(len(_SKIES)))])
    down = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None] ** 0.8 * np.ones(shape, np.float32)
    colour = blend(top, bottom, down)
    cover = rng.uniform(-1.2, 0.6)
    flat = rng.uniform(1, 2.6)
    density = fractal(rng, shape, (5 * unit, flat * 5 * unit), 6, 0.55)
    cloud = step(-cover - 0.3, -cover + rng.uniform(0.6, 1.6), density)
    # What has more cloud above it lies in the shade.
    above = cv2.GaussianBlur(np.pad(density, ((int(unit), 0), (0, 0)), mode="edge")[: shape[0]], (0, 0), 0.25 * unit)
    shade = step(-cover + 0.1, -cover + 3.0, 0.7 * density + 0.6 * above)
    white = blend(np.array([0.99, 0.98, 0.96], np.float32), rgb("#8791a0"), 0.85 * shade)
    return Surface(tinted(blend(colour, white, 0.95 * cloud), 0.006 * grain(rng, shape)))
