"""Templates of tree crowns and the greens to paint them with."""

from dataclasses import dataclass

import cv2
import numpy as np

from training.data.scenes.camera_and_light import Light
from training.data.scenes.materials import Bytes, Floats, pick


@dataclass(frozen=True)
class Crown:
    """A template of a tree crown on a unit square: inside where `density` > 0, with `light` around 0."""

    density: Floats
    light: Floats


Foliage = tuple[int, bool, Bytes]  # which crown, mirrored or not, and its palette


def make_crown(rng: np.random.Generator, noise: Floats, light: Light, size: int = 128) -> Crown:
    """Builds a crown of overlapping leaf clusters, lit from the side of the sun; both maps are [size, size]."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    grid_x, grid_y = np.meshgrid(axis, axis)
    angle, reach = rng.uniform(0, 2 * np.pi, 22), np.sqrt(rng.uniform(0, 1, 22)) * 0.62
    radius = rng.uniform(0.2, 0.38, 22)
    density = np.full((size, size), -4, np.float32)
    shine = np.zeros((size, size), np.float32)
    for bx, by, r in zip(np.cos(angle) * reach, np.sin(angle) * reach * 0.95, radius, strict=True):
        dx, dy = (grid_x - np.float32(bx)) / r, (grid_y - np.float32(by)) / r
        blob = 1 - dx**2 - dy**2
        nearer = blob > density
        density[nearer] = blob[nearer]
        slope = dx * light.sun[0] * 0.6 - dy * 0.8
        shine[nearer] = slope[nearer]
    patch = noise[64 : 64 + size, 64 : 64 + size]
    shine = cv2.GaussianBlur(shine, (0, 0), 2.2) * 0.55 - grid_y * 0.45 + grid_x * light.sun[0] * 0.3
    return Crown(density + 0.22 * patch, np.asarray(shine, np.float32))


def foliage_palette(rng: np.random.Generator, light: Light) -> Bytes:
    """Returns a table [256, 1, 3] of greens from the darkest gap between leaves to sunlit leaves."""
    leaf = pick(rng, ("#5f7038", "#4f6a34", "#6a7440", "#47603a"))
    stops = np.stack([leaf * 0.16, leaf * 0.42, leaf * 0.85, np.clip(leaf * 1.45 + 0.06, 0, 1)])
    stops *= light.ambient + light.sun_colour * 0.75
    ramp = np.stack([np.interp(np.linspace(0, 3, 256), range(4), stops[:, c]) for c in range(3)], 1)
    return np.asarray(np.clip(ramp * 255, 0, 255), np.uint8)[:, None, :]
