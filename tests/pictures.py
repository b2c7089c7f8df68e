"""python -m tests.pictures: README's pictures, made anew by the engines that ship."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from runtime import Synthesizer
from runtime.__main__ import app
from runtime.commands import ASSETS
from runtime.media.images import read_inst_map, read_label_map
from tests.paths import ROOT
from tests.runtime.studio.studio_page import open_studio

_QUALITY = 88
_SMALL = (1024, 512)  # width and height of each half of the street's picture
# A car, painted on the empty road: its class or part, and the corners of a polygon.
_CAR = (
    ("car", ((560, 800), (580, 735), (660, 715), (705, 655), (880, 655), (935, 715), (1015, 735), (1020, 800))),
    ("glass", ((690, 710), (722, 670), (780, 670), (780, 710))),
    ("glass", ((795, 710), (795, 670), (868, 670), (905, 710))),
)
_WHEELS = ((660, 800), (925, 800))


def street() -> Path:
    """The photo that the shipped engine makes, above its label map."""
    path = ASSETS / "street.jpg"
    with Synthesizer(ASSETS / "street.onnx") as synthesizer:
        label_map = read_label_map(ASSETS / "street_labels.png", synthesizer.labels)
        photo = synthesizer.run(label_map, read_inst_map(ASSETS / "street_instances.png"))
        halves = [Image.fromarray(half) for half in (photo, synthesizer.labels.colourise(label_map.astype(np.uint8)))]
    page = Image.new("RGB", (_SMALL[0], 2 * _SMALL[1]))
    for index, half in enumerate(halves):
        page.paste(half.resize(_SMALL, Image.Resampling.LANCZOS), (0, index * _SMALL[1]))
    page.save(path, quality=_QUALITY)
    return path


def demo() -> Path:
    """The demo's page: what goes into each engine, and what comes out."""
    path = ASSETS / "demo.jpg"
    with tempfile.TemporaryDirectory() as folder:
        result = CliRunner().invoke(app, ["demo", "-o", folder])
        if result.exit_code:
            raise SystemExit(result.output)
        with Image.open(Path(folder) / "demo.png") as page:
            page.save(path, quality=_QUALITY)
    return path


def studio() -> Path:
    """The scene page with a car that was painted part by part, and its styles."""
    path = ROOT / "runtime/studio/studio.jpg"
    with open_studio() as page:
        page.show("scene")
        page.rendered()
        for name, corners in _CAR:
            page.choose(name)
            page.page.press("p")
            for corner in corners:
                page.drag("labels-view", corner)
            page.page.press("Enter")
        page.choose("wheel")
        page.value("studio.pages.scene.brush.value = 34")
        page.page.press("b")
        for wheel in _WHEELS:
            page.drag("labels-view", wheel)
        page.rendered()
        page.page.press("s")
        page.drag("labels-view", (800, 750))
        page.until("document.querySelectorAll('#swatches canvas').length > 1")
        page.value("document.querySelector('#class-search').value = ''; studio.pages.scene.palette.filter()")
        page.value("studio.pages.scene.palette.reveal()")
        page.rendered()
        page.settle()
        page.page.screenshot(path, _QUALITY)
    return path


if __name__ == "__main__":
    for make in (street, demo, studio):
        print(make())
