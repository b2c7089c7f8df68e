"""One whole scene: plan, painting and the development of the photo."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.scenes.buildings import lay_buildings
from training.data.scenes.camera_and_light import random_camera, random_light
from training.data.scenes.canvas import Canvas
from training.data.scenes.foliage import foliage_palette, make_crown
from training.data.scenes.furniture import lay_furniture
from training.data.scenes.ground import cast_shadows, lay_strips, paint_ground, paint_joints, paint_markings
from training.data.scenes.labels import Label
from training.data.scenes.materials import pick, tiling_noise
from training.data.scenes.people_and_cycles import lay_people
from training.data.scenes.sky import paint_backdrop, paint_sky, random_skyline
from training.data.scenes.street import random_street
from training.data.scenes.vegetation import lay_greenery
from training.data.scenes.vehicles import lay_vehicles, paint_bonnet


@dataclass(frozen=True)
class Scene:
    """One street scene.

    Attributes:
        label_map: uint8 [H, W], label ids of Cityscapes and of parts (`Part`).
        inst_map: int32 [H, W], the class's id for stuff, id * 1000 + n for the n-th thing; parts have their object's.
        photo: uint8 [H, W, 3], RGB.
    """

    label_map: NDArray[np.uint8]
    inst_map: NDArray[np.int32]
    photo: NDArray[np.uint8]


def render_scene(seed: int, size: tuple[int, int] = (1024, 2048)) -> Scene:
    """Renders one street scene.

    The same seed at another size shows the same scene at that scale.

    Args:
        seed: Chooses everything: the street, its buildings and traffic, the light.
        size: Height and width in pixels, best in the ratio 1 : 2.

    Returns:
        The label map, the instance map and the photo, which agree at every edge.
    """
    rng = np.random.default_rng(seed)
    camera = random_camera(rng, size)
    light = random_light(rng)
    noise = tiling_noise(rng, (4, 16, 64, 128, 256), (0.5, 0.6, 0.8, 0.9, 0.6))
    canvas = Canvas(camera, light, noise, [make_crown(rng, noise, light) for _ in range(3)])
    palettes = [foliage_palette(rng, light) for _ in range(3)]
    street = random_street(rng)
    strips = lay_strips(rng, street)
    things = lay_buildings(rng, street) + lay_vehicles(rng, street) + lay_people(rng, street)
    things += lay_greenery(rng, street, palettes) + lay_furniture(rng, street)
    skyline = random_skyline(rng)
    bonnet = pick(rng, ("#20242a", "#2b2f36", "#3a3f45"), 0.02)
    shift = float(rng.uniform(-0.01, 0.015))
    paint_sky(canvas)
    cast_shadows(canvas, things)
    paint_ground(canvas, strips)
    paint_joints(canvas, strips)
    paint_markings(canvas, street)
    paint_backdrop(canvas, skyline, palettes[0])
    for thing in sorted(things, key=lambda item: -item.depth):
        if thing.depth > 3:
            thing.paint(canvas)
    paint_bonnet(canvas, bonnet, shift)
    scene = develop(canvas, rng)
    return frame(scene, np.random.default_rng([seed, 1]))  # apart: the sensor noise drawn above depends on the size


def develop(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """Looks up the maps and develops the photo: haze by distance, a soft lens, vignette and sensor noise."""
    table = np.array(canvas.table, np.float32)
    height, width = canvas.ids.shape
    clear = np.exp(-table[:, 2] / canvas.light.haze_distance).astype(np.float32)[canvas.ids]
    down, across = (np.linspace(-1, 1, n, dtype=np.float32) for n in (height, width))
    vignette = 1 - 0.1 * (down[:, None] ** 2 + across[None] ** 2)
    noise = rng.integers(-3, 4, (height, width), dtype=np.int8).astype(np.float32)
    photo = cv2.GaussianBlur(canvas.photo, (0, 0), max(height / 1500, 0.25)).astype(np.float32)
    haze = canvas.light.haze * 255
    veil = (1 - clear) * vignette
    clear *= vignette
    developed = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        plane = photo[..., channel] * clear + veil * haze[channel] + noise
        np.clip(plane, 0, 255, out=plane)
        developed[..., channel] = plane
    labels, instances = table[:, 0].astype(np.uint8), np.array([row[1] for row in canvas.table], np.int32)
    return Scene(labels[canvas.ids], instances[canvas.ids], developed)


def frame(scene: Scene, rng: np.random.Generator) -> Scene:
    """Gives half of the scenes the unlabelled border of Cityscapes' maps: the photo goes on below it."""
    if rng.random() < 0.5:
        return scene
    height, width = scene.label_map.shape
    rim = max(1, round(0.005 * height))
    inside = np.zeros((height, width), bool)
    top, bottom, left, right = rim + np.round(rng.uniform(0, [0.01, 0.04, 0.003, 0.01]) * height).astype(int)
    inside[top : height - bottom, left : width - right] = True
    outside = np.ones((height, width), bool)
    outside[rim:-rim, rim:-rim] = False
    for label, mask in ((Label.RECTIFICATION_BORDER, ~inside), (Label.OUT_OF_ROI, outside)):
        scene.label_map[mask] = label
        scene.inst_map[mask] = label
    return scene
