"""Flat shapes that furniture and trees are assembled from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from training.data.scenes.camera_and_light import TOWARDS_CAMERA
from training.data.scenes.canvas import Canvas
from training.data.scenes.labels import Part
from training.data.scenes.materials import Floats


def paint_bar(
    canvas: Canvas,
    start: Sequence[float],
    end: Sequence[float],
    width: float,
    colour: Floats,
    part: Part | None = None,
) -> None:
    """Fills a bar between two world points with a shaded right half, at least one pixel wide."""
    a, b = canvas.camera.project([start, end])
    along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
    size = max(width * canvas.camera.focal / max(start[2], 0.5), canvas.camera.height / 700)
    across = np.array([-along[1], along[0]]) * size / 2
    canvas.fill([a - across, b - across, b + across, a + across], canvas.light.shade(colour, (0, 0.2, -0.8)), part)
    canvas.detail([a, b, b + across, a + across], canvas.light.shade(colour, TOWARDS_CAMERA) * 0.72)


def paint_panel(
    canvas: Canvas,
    points: Sequence[tuple[float, float]],
    z: float,
    colour: ArrayLike,
    solid: bool = True,
    part: Part | None = None,
) -> None:
    """Fills a polygon of points (x, y) that faces the camera at distance z."""
    corners = canvas.camera.project([(x, y, z) for x, y in points])
    lit = canvas.light.shade(np.asarray(colour, np.float32), TOWARDS_CAMERA)
    (canvas.fill if solid else canvas.detail)(corners, lit, part)


def regular_polygon(x: float, y: float, radius: float, corners: int = 16) -> list[tuple[float, float]]:
    """Returns the corners of a regular polygon that stands on a flat side."""
    turn = (np.arange(corners) + 0.5) / corners * 2 * np.pi - np.pi / 2
    return [(x + radius * float(np.cos(t)), y + radius * float(np.sin(t))) for t in turn]


def rectangle(x0: float, x1: float, y0: float, y1: float) -> list[tuple[float, float]]:
    """Returns the corners of a rectangle."""
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
