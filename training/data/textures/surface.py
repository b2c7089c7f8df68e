"""A material's surface, and what it looks like in the light: relief, cast shadows, gaps, gloss."""

from dataclasses import dataclass

import cv2
import numpy as np

from training.data.textures.noise import Floats

_SHADOW_STEPS = 10


@dataclass(frozen=True)
class Surface:
    """A piece of material seen from the front.

    Attributes:
        colour: float32 [H, W, 3], RGB in [0, 1], without light.
        height: float32 [H, W] in pixels; None where the colours hold the light already.
        gloss: strength of highlights, 0 to 1.
    """

    colour: Floats
    height: Floats | None = None
    gloss: float = 0.0


@dataclass(frozen=True)
class Light:
    """One sun and the sky.

    Attributes:
        towards: unit vector to the sun: right, down, out of the picture.
        sun, sky: RGB.
    """

    towards: tuple[float, float, float]
    sun: Floats
    sky: Floats


def random_light(rng: np.random.Generator) -> Light:
    """From above, left or right, 25 to 65 degrees over the surface; warm sun and cool sky, or a grey day."""
    azimuth = rng.uniform(-np.pi, 0) * 0.8 - 0.1 * np.pi
    elevation = rng.uniform(0.45, 1.1)
    warmth, hardness = rng.uniform(-0.06, 0.1), rng.uniform(0.45, 0.9)
    flat = float(np.cos(elevation))
    towards = (flat * float(np.cos(azimuth)), flat * float(np.sin(azimuth)), float(np.sin(elevation)))
    sun = np.array([1 + warmth, 1, 1 - warmth], np.float32) * hardness / towards[2]
    sky = np.array([1 - warmth, 1, 1 + warmth], np.float32) * (1.04 - hardness)
    return Light(towards, sun.astype(np.float32), sky.astype(np.float32))


def lit(surface: Surface, light: Light) -> Floats:
    """Colours [H, W, 3] of the surface under `light`; 1 is white, highlights may exceed it."""
    if surface.height is None:
        return surface.colour
    height = surface.height
    slope_y, slope_x = np.gradient(height)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    right, down, out = light.towards
    facing = np.clip((out - right * slope_x - down * slope_y) / length, 0, None)
    direct = facing * (1 - _shadow(height, light))
    around = cv2.GaussianBlur(height, (0, 0), 3.0)
    open_sky = np.clip(1 + 0.16 * (height - around), 0.35, 1.15)
    colour = surface.colour * (direct[..., None] * light.sun + open_sky[..., None] * light.sky)
    if surface.gloss:
        # Half-way between sun and viewer (Blinn 1977).
        half = np.array([right, down, out + 1]) / np.sqrt(2 * (1 + out))
        mirror = np.clip((half[2] - half[0] * slope_x - half[1] * slope_y) / length, 0, 1) ** 40
        colour = colour + surface.gloss * mirror[..., None] * light.sun
    return np.asarray(colour, np.float32)


def _shadow(height: Floats, light: Light) -> Floats:
    """How much of the sun higher places towards it hide, 0 to 1, soft at the edge."""
    right, down, out = light.towards
    flat = float(np.hypot(right, down))
    rise = out / flat
    hidden = np.zeros_like(height)
    for distance in range(1, _SHADOW_STEPS + 1):
        shift = np.array([[1, 0, distance * right / flat], [0, 1, distance * down / flat]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        there = cv2.warpAffine(height, shift, height.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        np.maximum(hidden, there - height - distance * rise, out=hidden)
    return np.clip(hidden * 0.9, 0, 0.95)
