"""Rows of houses along both sides of the street."""

from functools import partial

import cv2
import numpy as np

from training.data.scenes.camera_and_light import TOWARDS_CAMERA
from training.data.scenes.canvas import SUBPIXEL, Canvas
from training.data.scenes.facade import Facade, facade_texture, random_facade
from training.data.scenes.labels import Label, Part
from training.data.scenes.materials import mix, rgb
from training.data.scenes.street import STREET_END, Street, Thing


def paint_wall(canvas: Canvas, facade: Facade, foot: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """Paints a wall above the line between two points (x, z) of the ground, as part of the current object."""
    camera, light = canvas.camera, canvas.light
    (xa, za), (xb, zb) = foot
    start = 0.0 if za >= 1.5 else (1.5 - za) / (zb - za)
    xs, zs = xa + (xb - xa) * start, za + (zb - za) * start
    corners = camera.project([(xs, facade.height, zs), (xb, facade.height, zb), (xb, 0, zb), (xs, 0, zs)])
    left, top, right, bottom = canvas.window(corners)
    if right <= left or bottom <= top:
        return
    length = float(np.hypot(xb - xa, zb - za))
    bays = max(1, round(length / 3.0))
    seen = max(min(za, zb), 2.0 * camera.focal * min(abs(xa), abs(xb)) / camera.width, 3.0)
    near, far = camera.project([(xa, 0, max(za, seen)), (xb, 0, max(zb, seen))])[:, 0]
    columns = int(np.clip(1.6 * abs(far - near) / bays, 3, 80))
    rows = int(np.clip(camera.focal * 3.2 / seen, 4, 112))
    normal = np.array([zb - za, 0, xa - xb], np.float32) / length
    normal *= -np.sign(normal @ np.array([xa + xb, 0, za + zb], np.float32))
    texture, parts = facade_texture(facade, bays, (columns, rows), canvas.noise, light, normal)
    height, width = texture.shape[:2]
    source = np.array([(start * width, 0), (width, 0), (width, height), (start * width, height)], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(source, corners - np.array([left, top], np.float32) - 0.5)
    shape = (right - left, bottom - top)
    pixels = cv2.warpPerspective(texture, matrix, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    names = cv2.warpPerspective(parts, matrix, shape, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((shape[1], shape[0]), np.uint8)
    inside = canvas.fixed_point(corners - np.array([left, top], np.float32))
    cv2.fillPoly(mask, [inside], 1, shift=SUBPIXEL)
    canvas.stamp(mask > 0, left, top, np.asarray(pixels, np.uint8), np.asarray(names, np.uint8))


def paint_building(canvas: Canvas, facade: Facade, x: float, z0: float, z1: float) -> None:
    """Paints the gable, the side along the street at x from z0 to z1, and a steep roof."""
    canvas.begin(Label.BUILDING, (max(z0, 5) + z1) / 2)
    outward = float(np.sign(x))
    if z0 > 4:
        paint_wall(canvas, facade, ((x, z0), (x + outward * 15, z0)))
    paint_wall(canvas, facade, ((x, z0), (x, z1)))
    if facade.has_mansard:
        foot, top, near = facade.height, facade.height + 3.2, max(z0, 2.0)
        slope = [(x, foot, near), (x, foot, z1), (x + outward * 0.8, top, z1), (x + outward * 0.8, top, near)]
        roof = canvas.light.shade(facade.roof, (-outward * 0.9, 0.43, 0))
        canvas.fill(canvas.camera.project(slope), roof, Part.ROOF)
        gable = [
            (x, foot, near),
            (x + outward * 0.8, top, near),
            (x + outward * 15, top, near),
            (x + outward * 15, foot, near),
        ]
        canvas.fill(canvas.camera.project(gable), canvas.light.shade(facade.roof * 0.8, TOWARDS_CAMERA), Part.ROOF)
        for z in np.arange(near + 1.5, z1 - 1, 3.0):
            dormer = [
                (x, foot + 0.7, z),
                (x, foot + 0.7, z + 1.1),
                (x + outward * 0.5, foot + 2.3, z + 1.1),
                (x + outward * 0.5, foot + 2.3, z),
            ]
            pane = mix(rgb("#20262c"), canvas.light.zenith, 0.3)
            canvas.detail(canvas.camera.project(dormer), pane, Part.WINDOW)


def lay_buildings(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Places rows of houses along both sides with gaps at the crossings; some plots stay empty."""
    things = []
    for _, x in street.sides:
        z = float(rng.uniform(-8, 2))
        while z < STREET_END:
            length, setback = float(rng.choice((9, 12, 15, 18, 21))), float(rng.choice((0, 0, 0, 1.5)))
            facade, empty = random_facade(rng, street.tallness), rng.uniform() < 0.08
            gap = next((g for g in street.crossings if g[0] - 2 < z + length and z < g[1] + 2), None)
            if gap is not None:
                length = min(length, gap[0] - 2.5 - z)
            if length > 4 and not empty:
                at = x + np.sign(x) * setback
                box = (at, at + np.sign(x) * 12, z, z + length, facade.height)
                things.append(Thing(z + length, partial(paint_building, facade=facade, x=at, z0=z, z1=z + length), box))
            z += max(length, 0)
            if gap is not None and z >= gap[0] - 4.5:
                z = gap[1] + 2.5
    return things
