"""Trees along the kerbs and hedges before the houses."""

from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np

from training.data.scenes.canvas import Canvas
from training.data.scenes.foliage import Foliage
from training.data.scenes.labels import Label, Part
from training.data.scenes.materials import Bytes, rgb
from training.data.scenes.shapes import paint_bar
from training.data.scenes.street import STREET_END, Street, Thing


def paint_crown(canvas: Canvas, look: Foliage, box: Sequence[float], z: float) -> None:
    """Paints foliage into the box (x0, x1, y0, y1) in metres at distance z, as part of the current object."""
    index, flipped, palette = look
    camera, crown = canvas.camera, canvas.crowns[index]
    x0, x1, y0, y1 = box
    corners = camera.project([(x0, y1, z), (x1, y0, z)])
    left, top, right, bottom = canvas.window(corners)
    if right <= left or bottom <= top:
        return
    size = len(crown.density)
    scale = (corners[1] - corners[0]) / size
    if flipped:
        scale[0], corners[0, 0] = -scale[0], corners[1, 0]
    matrix = np.array(
        [
            [1 / scale[0], 0, (left + 0.5 - corners[0, 0]) / scale[0] - 0.5],
            [0, 1 / scale[1], (top + 0.5 - corners[0, 1]) / scale[1] - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shape = (right - left, bottom - top)
    density = cv2.warpAffine(crown.density, matrix, shape, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=-4)
    shine = cv2.warpAffine(crown.light, matrix, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    texel = 60 * z / camera.focal
    leaf_matrix = np.array([[texel, 0, left * texel + 31 * x0], [0, texel, top * texel + 17 * z]])
    leaves = cv2.warpAffine(canvas.noise, leaf_matrix, shape, flags=flags, borderMode=cv2.BORDER_WRAP)
    fade = float(np.clip(1.3 - z / 90, 0.2, 1))
    tone = np.clip(118 + 62 * shine + 38 * fade * leaves, 0, 255).astype(np.uint8)
    mask = density + 0.16 * fade * leaves > 0
    canvas.stamp(mask, left, top, np.take(palette[:, 0], tone, axis=0))


def paint_tree(canvas: Canvas, x: float, z: float, size: tuple[float, float, float], look: Foliage) -> None:
    """Paints trunk and crown; `size` is the height of the crown's foot, its width and its height in metres."""
    foot, width, height = size
    canvas.begin(Label.VEGETATION, z)
    if foot > 0.5:
        paint_bar(canvas, (x, 0, z), (x, foot + 0.4 * height, z), 0.1 + 0.035 * height, rgb("#4a4036"), Part.TRUNK)
        for lean in (-1, 1):
            paint_bar(
                canvas,
                (x, foot, z),
                (x + lean * 0.25 * width, foot + 0.4 * height, z),
                0.04 + 0.014 * height,
                rgb("#443a31"),
                Part.TRUNK,
            )
    paint_crown(canvas, look, (x - width / 2, x + width / 2, foot, foot + height), z)


def lay_greenery(rng: np.random.Generator, street: Street, palettes: Sequence[Bytes]) -> list[Thing]:
    """Places rows of trees along the kerbs and hedges before the houses."""
    things = []
    for edge, line in street.sides:
        lined, spacing, z = rng.uniform() < 0.3 + 0.65 * street.greenery, rng.uniform(8, 15), rng.uniform(11, 24)
        hedged = rng.uniform() < 0.45 * street.greenery
        base = rng.uniform(0.7, 1.25)
        while z < STREET_END:
            look = (int(rng.integers(3)), bool(rng.uniform() < 0.5), palettes[int(rng.integers(len(palettes)))])
            grow = base * rng.uniform(0.8, 1.2)
            size = (2.6 + 0.8 * grow, 5.2 * grow, 6.4 * grow)
            keep = rng.uniform() < 0.85
            if lined and keep and not street.is_open(z):
                x = float(edge + 0.22 * (line - edge))
                box = (x - 1.5, x + 1.5, z - 1.5, z + 1.5, 4.0)
                things.append(Thing(float(z), partial(paint_tree, x=x, z=float(z), size=size, look=look), box))
            if hedged and not street.is_open(z, 4):
                x, low = float(line - 0.12 * (line - edge)), float(rng.uniform(1.3, 3.2))
                things.append(
                    Thing(float(z) + 0.5, partial(paint_tree, x=x, z=float(z), size=(-0.5, 3.6, low), look=look))
                )
            z += spacing * rng.uniform(0.7, 1.2) * (0.35 if hedged and not lined else 1)
    return things
