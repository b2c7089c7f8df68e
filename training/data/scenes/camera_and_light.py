"""How a scene is seen and lit: the camera, and daylight with haze."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from training.data.scenes.materials import Floats, mix, rgb

UP, TOWARDS_CAMERA = (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks straight ahead; all fields but `eye` (metres) are in pixels."""

    width: int
    height: int
    focal: float
    centre_x: float
    horizon: float
    eye: float

    def project(self, points: ArrayLike) -> Floats:
        """Projects world points [N, 3] in metres to float32 pixel positions [N, 2]."""
        world = np.asarray(points, np.float32)
        scale = self.focal / np.maximum(world[:, 2], 0.5)
        return np.stack([self.centre_x + world[:, 0] * scale, self.horizon - (world[:, 1] - self.eye) * scale], 1)


def random_camera(rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    """Draws a camera of the height of a car's windscreen for pictures of [H, W] = `size`."""
    height, width = size
    return Camera(
        width=width,
        height=height,
        focal=float(rng.uniform(1.9, 2.25)) * height,
        centre_x=(0.5 + float(rng.uniform(-0.07, 0.07))) * width,
        horizon=float(rng.uniform(0.4, 0.45)) * height,
        eye=1.35,
    )


@dataclass(frozen=True)
class Light:
    """Daylight: the direction to the sun (unit vector) and the colours of sun, sky light, sky and haze."""

    sun: Floats
    sun_colour: Floats
    ambient: Floats
    zenith: Floats
    haze: Floats
    haze_distance: float
    clouds: float

    def shade(self, colour: Floats, normal: ArrayLike) -> Floats:
        """Returns the colour of a matt surface [3] under this light; `normal` is a unit vector [3]."""
        facing = np.asarray(normal, np.float32)
        sky = self.ambient * (0.8 + 0.2 * float(facing[1]))
        return np.asarray(colour * (sky + self.sun_colour * max(0.0, float(facing @ self.sun))), np.float32)


def random_light(rng: np.random.Generator) -> Light:
    """Draws one daylight between a bright afternoon and a fully overcast day."""
    azimuth, elevation = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(32, 62))
    clouds, warmth = float(rng.uniform(0, 1)), float(rng.uniform(0, 1))
    sun = np.array(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)], np.float32
    )
    strength = 0.75 * (1 - clouds) ** 0.7 + 0.12
    warm = np.array([1.0, 0.95 - 0.07 * warmth, 0.88 - 0.2 * warmth], np.float32)
    ambient = np.array([0.52, 0.56, 0.61], np.float32) + clouds * np.array([0.22, 0.19, 0.16], np.float32)
    haze = mix(np.array([0.78, 0.83, 0.88], np.float32), np.array([0.86, 0.87, 0.87], np.float32), clouds)
    return Light(
        sun=sun,
        sun_colour=warm * np.float32(strength),
        ambient=ambient,
        zenith=mix(rgb("#5f92cc"), rgb("#b4bcc4"), clouds),
        haze=haze * (0.5 + 0.5 * warm),
        haze_distance=float(rng.uniform(160, 420)),
        clouds=clouds,
    )
