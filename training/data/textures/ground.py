"""Pebbles, sand, marble: stone as nature leaves it."""

import cv2
import numpy as np

from training.data.scenes.materials import pick, rgb
from training.data.textures.cells import stones
from training.data.textures.noise import (
    Floats,
    Shape,
    blend,
    fractal,
    grain,
    moved,
    palette_per_cell,
    per_cell,
    positions,
    smooth_noise,
    step,
    tinted,
)
from training.data.textures.surface import Surface

_PEBBLES = ("#9a948a", "#7f7a74", "#b8ad9b", "#8a7767", "#c9c2b4", "#66655f", "#a68f78", "#70777c")
_SANDS = ("#cdb48a", "#b99a6f", "#d8c7a2", "#a88e6c", "#8d7a62")
_MARBLES = (
    ("#e8e6e1", "#8b8c90"),
    ("#3d4a44", "#c9d2c8"),
    ("#2f2d2e", "#d6cfc4"),
    ("#d8c3a8", "#8c5f43"),
    ("#b9a29a", "#efe4dc"),
)


def gravel(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """Two layers of rounded stones; the lower one shows between the larger ones above."""
    colours = [pick(rng, _PEBBLES, 0.08) for _ in range(int(rng.integers(2, 6)))]
    size = unit * rng.uniform(0.35, 0.8)
    colour, height = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    for layer, scale in enumerate((0.6, 1.0)):
        cells = stones(rng, shape, (size * scale, size * scale * rng.uniform(1, 1.4)), 0.85)
        big = per_cell(rng, cells.row, cells.column)
        inset = cells.inset - size * scale * (0.05 + 0.08 * np.abs(big))
        dome = np.sqrt(np.clip(inset / (0.42 * size * scale), 0, 1)).astype(np.float32) * np.float32(
            0.42 * size * scale
        )
        solid = step(-0.6, 0.8, inset.astype(np.float32))
        solid = solid * (per_cell(rng, cells.row, cells.column) < 0.6) if layer else solid
        veins = 0.06 * fractal(rng, shape, size / 2, 3) + 0.05 * grain(rng, shape)
        tone = (0.18 * big + veins).astype(np.float32)
        face = tinted(palette_per_cell(rng, cells.row, cells.column, colours), np.clip(tone, -0.6, 0.6))
        colour = blend(0.35 * colour if layer == 0 else colour * 0.9, face, solid)
        height = (1 - solid) * height + solid * (0.3 * size * layer + _worn(dome, 0.14 * size * scale))
    soil = tinted(rgb("#4a4038"), 0.15 * grain(rng, shape))
    bare = step(0.0, 0.06 * size, height.astype(np.float32))
    return Surface(blend(soil, colour, bare), height.astype(np.float32), 0.04)


def _worn(height: Floats, radius: float) -> Floats:
    """Rounded as by water: the creases of the domes go."""
    return np.asarray(cv2.GaussianBlur(height, (0, 0), max(radius, 0.5)), np.float32)


def sand(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """Ripples that branch, or flat sand with scattered grains."""
    y, x = positions(shape)
    bend = 1.2 * unit * fractal(rng, shape, (5 * unit, 8 * unit), 3)
    angle = rng.normal(0, 0.3)
    phase = (y * np.cos(angle) + x * np.sin(angle) + bend) * 2 * np.pi / (unit * rng.uniform(0.7, 1.6))
    ripples = (np.sin(phase + 0.5 * np.sin(phase)) + 1) / 2 * float(rng.choice((0.0, 1.0, 1.0)))
    uneven = fractal(rng, shape, 2 * unit, 5, 0.6)
    colour = tinted(pick(rng, _SANDS), 0.05 * uneven + 0.09 * grain(rng, shape) - 0.1 * (1 - ripples))
    height = 0.13 * unit * ripples + 0.7 * uneven + 0.3 * grain(rng, shape)
    return Surface(colour, height.astype(np.float32))


def marble(rng: np.random.Generator, shape: Shape, unit: float) -> Surface:
    """Polished slabs with branching veins."""
    ground, vein = (rgb(code) for code in _MARBLES[int(rng.integers(len(_MARBLES)))])
    y, x = positions(shape)
    bend_y, bend_x = (1.4 * unit * fractal(rng, shape, 4 * unit, 4) for _ in range(2))
    share = np.zeros(shape, np.float32)
    for cell, strength in ((6 * unit, 0.9), (3 * unit, 0.55), (1.6 * unit, 0.4), (unit, 0.25)):
        field = moved(smooth_noise(rng, shape, (cell, 1.8 * cell)), y + bend_y, x + bend_x)
        slope_y, slope_x = np.gradient(field)
        away = np.abs(field) / (np.hypot(slope_y, slope_x) + 0.01)  # pixels to the vein's middle, about
        thin = np.exp(-away / (0.045 * unit)) + 0.35 * np.exp(-away / (0.3 * unit))
        line = thin * step(-0.9, 1.2, smooth_noise(rng, shape, 3 * unit))
        share = np.maximum(share, np.float32(strength) * line)
    clouds = 0.07 * fractal(rng, shape, 4 * unit, 6, 0.65)
    colour = blend(tinted(ground, clouds), vein, np.clip(share, 0, 1))
    return Surface(tinted(colour, 0.012 * grain(rng, shape)), 0.05 * smooth_noise(rng, shape, unit), 0.05)
