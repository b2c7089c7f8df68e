"""What closes the view: the sky, and houses and trees at the end of the street."""

import cv2
import numpy as np

from training.data.scenes.camera_and_light import TOWARDS_CAMERA
from training.data.scenes.canvas import Canvas
from training.data.scenes.labels import Label, Part
from training.data.scenes.materials import Bytes, Floats, mix, rgb
from training.data.scenes.street import STREET_END
from training.data.scenes.vegetation import paint_crown


def paint_sky(canvas: Canvas) -> None:
    """Paints a gradient with soft clouds, seen in perspective, from the top down to the horizon."""
    camera, light = canvas.camera, canvas.light
    canvas.begin(Label.SKY, 0.0)
    rows = min(int(camera.horizon) + 2, camera.height)
    small = (256, 96)
    height = np.linspace(1, 0.02, small[1], dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, small[0], dtype=np.float32)[None]
    map_x, map_y = across / (height + 0.25) * 8 + 32, 6 / (height + 0.25) + 0 * across
    coarse = cv2.resize(canvas.noise, (64, 64), interpolation=cv2.INTER_AREA)
    cloud = cv2.remap(coarse, map_x, map_y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)
    cover = np.clip((cloud - 0.9 + 1.6 * light.clouds) * 0.7, 0, 1)[..., None] * 0.85
    clear = light.zenith * height[..., None] + light.haze * (1 - height[..., None])
    sky = clear * (1 - cover) + np.clip(light.haze * 1.08, 0, 1) * cover
    large = cv2.resize((np.clip(sky, 0, 1) * 255).astype(np.uint8), (camera.width, rows), interpolation=cv2.INTER_CUBIC)
    canvas.photo[:rows] = large


def random_skyline(rng: np.random.Generator) -> Floats:
    """Draws the houses at the end of the street, float32 [16, 3]: x and height in metres, and tint in [0, 1]."""
    columns = np.arange(-8, 8)
    return np.stack([columns * 16.0, rng.uniform(7, 20, 16), rng.uniform(0, 1, 16)], 1).astype(np.float32)


def paint_backdrop(canvas: Canvas, skyline: Floats, palette: Bytes) -> None:
    """Closes the end of the street with houses and trees; `skyline` is that of `random_skyline`."""
    z = 1.25 * STREET_END
    for x, height, tint in skyline:
        canvas.begin(Label.BUILDING, z)
        wall = canvas.light.shade(mix(rgb("#c4b59a"), rgb("#8f8f92"), tint), TOWARDS_CAMERA)
        foot = canvas.camera.project([(x, 0, z), (x, height, z), (x + 16, height, z), (x + 16, 0, z)])
        canvas.fill(foot, wall)
        for y in np.arange(2.0, height - 2.2, 3.2):
            for across in np.arange(1.0, 15.0, 3.0):
                pane = [
                    (x + across, y, z),
                    (x + across, y + 1.7, z),
                    (x + across + 1.5, y + 1.7, z),
                    (x + across + 1.5, y, z),
                ]
                canvas.detail(canvas.camera.project(pane), wall * 0.55, Part.WINDOW)
    for i, (x, _, tint) in enumerate(skyline):
        canvas.begin(Label.VEGETATION, z - 5)
        crown = (i % len(canvas.crowns), bool(i % 2), palette)
        paint_crown(canvas, crown, (x, x + 13 + 6 * tint, -3, 5 + 7 * tint), z - 5)
