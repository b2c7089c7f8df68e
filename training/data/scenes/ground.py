"""The ground: road, parking lanes, sidewalks and verges, with markings, joints and shadows."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from training.data.scenes.camera_and_light import UP
from training.data.scenes.canvas import Canvas
from training.data.scenes.labels import Label, Part
from training.data.scenes.materials import Floats, mix, pick, rgb
from training.data.scenes.street import FAR, Street, Thing


@dataclass(frozen=True)
class Strip:
    """A rectangle of the ground at a height y in metres, with its colour and how rough it looks."""

    label: Label
    x0: float
    x1: float
    z0: float
    z1: float
    colour: Floats
    y: float = 0.0
    rough: float = 0.04
    part: Part | None = None


def lay_strips(rng: np.random.Generator, street: Street) -> list[Strip]:
    """Lays road, parking lanes, kerbs, sidewalks and verges, from below to above."""
    asphalt = np.full(3, rng.uniform(0.25, 0.36), np.float32) * np.array([1, 1.0, 1.02], np.float32)
    paving = pick(rng, ("#a39c92", "#928f8a", "#a5958a"), 0.04)
    grass, kerb, gravel = rgb("#65743a"), rgb("#b4b0a8"), rgb("#8a8072")
    strips = [Strip(Label.ROAD, -300, 300, 1, FAR, asphalt)]
    marked = rng.uniform(size=2) < 0.4
    starts = [1.0, *(z1 for _, z1 in street.crossings)]
    ends = [*(z0 for z0, _ in street.crossings), FAR]
    for side, (edge, line) in enumerate(street.sides):
        outward = np.sign(line - edge)
        for z0, z1 in zip(starts, ends, strict=True):
            if street.parking[side] and marked[side]:
                strips.append(
                    Strip(Label.PARKING, edge, edge - outward * 2.2, z0, z1, asphalt * 0.9 + 0.06, rough=0.08)
                )
            strips.append(Strip(Label.SIDEWALK, edge, edge + outward * 0.22, z0, z1, kerb, 0.1, 0.03, Part.KERB))
            strips.append(Strip(Label.SIDEWALK, edge + outward * 0.22, line, z0, z1, paving, 0.1, 0.05))
            strips.append(Strip(Label.GROUND, line, line + outward * 60, z0, z1, gravel, 0.1, 0.09))
            if street.verge[side]:
                strips.append(
                    Strip(Label.TERRAIN, edge + outward * 0.25, edge + outward * 1.7, z0, z1, grass, 0.1, 0.2)
                )
    return strips


def cast_shadows(canvas: Canvas, things: Sequence[Thing]) -> None:
    """Collects contact shadows and the shadows that the sun casts on the ground."""
    light = canvas.light
    lean = -light.sun[[0, 2]] / light.sun[1]
    strength = 0.5 * (1 - light.clouds)
    for thing in things:
        if thing.box is None or thing.depth < 3:
            continue
        x0, x1, z0, z1, height = thing.box
        reach = min(height, 5.0)
        base = [(x, 0, max(z, 2.0)) for x in (x0, x1) for z in (z0, z1)]
        tip = [(x + lean[0] * reach, 0, max(z + lean[1] * reach, 2.0)) for x, _, z in base]
        canvas.cast([*base, *tip], strength)
        if height < 4:
            canvas.cast(base, 0.62)


def _claim_strip(canvas: Canvas, strip: Strip) -> None:
    """Gives a strip and the face of its kerb to a new object; the photo follows for all strips together."""
    canvas.begin(strip.label, 0.0, strip.part)
    z0, z1, y = max(strip.z0, 3.0), strip.z1, strip.y
    edge = [(strip.x0, y, z1), (strip.x0, y, z0)]
    for corners in ([(strip.x0, 0, z0), (strip.x0, 0, z1), *edge], [*edge, (strip.x1, y, z0), (strip.x1, y, z1)]):
        canvas.claim(canvas.camera.project(corners))


def _ground_noise(noise: Floats, x: Floats, z: Floats) -> Floats:
    """Samples fine grain and broad stains at world positions [h, w]; both fade before they would flicker."""
    fine = cv2.remap(noise, x * 70, z * 70, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    broad = cv2.remap(noise, x * 9, z * 5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    near = z[:, :1]
    return np.asarray(fine * np.clip(1.4 - near / 14, 0, 1) + broad * np.clip(0.5 - near / 180, 0, 0.5), np.float32)


def paint_ground(canvas: Canvas, strips: Sequence[Strip]) -> None:
    """Paints all strips at once: one table of colours by id, times noise in world coordinates, shadow and haze."""
    camera, light = canvas.camera, canvas.light
    first, base = int(np.ceil(camera.horizon)), len(canvas.table)
    for strip in strips:
        _claim_strip(canvas, strip)
    ids = canvas.ids[first:]
    np.maximum(ids, base, out=ids)
    rows = np.arange(first, camera.height, dtype=np.float32) + np.float32(0.5 - camera.horizon)
    z = np.minimum(np.float32(camera.focal * camera.eye) / rows, np.float32(FAR))[:, None]
    x = (np.arange(camera.width, dtype=np.float32)[None] + np.float32(0.5 - camera.centre_x)) * (z / camera.focal)
    grain = _ground_noise(canvas.noise, x.astype(np.float32), np.broadcast_to(z, x.shape).astype(np.float32))
    shadow = cv2.resize(canvas.shadow, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)[first:]
    shadow = cv2.GaussianBlur(shadow, (0, 0), max(camera.height / 400, 0.3))
    colours = np.array([light.shade(strip.colour, UP) for strip in strips], np.float32)[ids - base]
    rough = np.array([strip.rough for strip in strips], np.float32)[ids - base]
    clear = np.exp(-z / np.float32(light.haze_distance))
    tone = (1 + rough * grain) * (1 - shadow * np.float32(1 / 255)) * clear
    pixels = colours * tone[..., None] + light.haze * (1 - clear)[..., None]
    canvas.photo[first:] = np.clip(pixels * 255, 0, 255)


def paint_markings(canvas: Canvas, street: Street) -> None:
    """Paints lane lines, stop lines and zebra crossings on the road, as parts of it."""
    light = canvas.light
    white = light.shade(np.full(3, 0.82, np.float32), UP)

    def line(x0: float, x1: float, z0: float, z1: float) -> None:
        if z1 > 2:
            corners = [(x0, 0, max(z0, 2)), (x0, 0, z1), (x1, 0, z1), (x1, 0, max(z0, 2))]
            clear = np.exp(-z0 / light.haze_distance)
            canvas.mark(canvas.camera.project(corners), mix(light.haze, white, 0.9 * clear), Label.ROAD)

    canvas.begin(Label.ROAD, 0.0, Part.LANE_MARKING)
    for x in street.lanes:
        for z in np.arange(3.0, 130.0, 9.0):
            if not street.is_open(z, 6):
                line(x - 0.07, x + 0.07, z, z + 4)
    for side, edge in ((1, street.left), (-1, street.right)):
        offset = edge + side * (2.3 if street.parking[side < 0] else 0.35)
        for z in np.arange(2.0, 110.0, 6.0):
            if not street.is_open(z, 5):
                line(offset - 0.06, offset + 0.06, z, z + 6)
    left, right = street.left + 0.5, street.right - 0.5
    for z0, _ in street.crossings:
        line(min(street.lanes, key=abs), right, z0 - 5.2, z0 - 4.8)
    canvas.begin(Label.ROAD, 0.0, Part.CROSSING)
    for z0, _ in street.crossings:
        for x in np.arange(left, right - 0.5, 1.0):
            line(x, x + 0.5, z0 - 3.8, z0 - 0.8)


def paint_joints(canvas: Canvas, strips: Sequence[Strip]) -> None:
    """Paints the joints between the slabs of the sidewalks, one metre apart, as far as they can be told apart."""
    light = canvas.light
    for strip in strips:
        x0, x1, y = strip.x0, strip.x1, strip.y
        z0, z1 = max(strip.z0, 2.5), min(strip.z1, 32.0)
        if strip.label != Label.SIDEWALK or z1 <= z0:
            continue
        for z in np.arange(np.ceil(z0), z1):
            dark = light.shade(strip.colour * (0.78 + 0.2 * z / 32), UP)
            corners = canvas.camera.project([(x0, y, z), (x0, y, z + 0.03), (x1, y, z + 0.03), (x1, y, z)])
            canvas.mark(corners, mix(dark, light.haze, 1 - float(np.exp(-z / light.haze_distance))))
        for x in np.arange(min(x0, x1) + 1, max(x0, x1) - 0.4):
            corners = canvas.camera.project([(x, y, z0), (x, y, z1), (x + 0.025, y, z1), (x + 0.025, y, z0)])
            canvas.mark(corners, light.shade(strip.colour * 0.88, UP))
