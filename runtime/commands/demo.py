"""What pix2rt makes of the scenes that ship with it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table

from runtime.commands import ASSETS
from runtime.commands.console import err, note, out
from runtime.commands.options import Backend, Device, Threads
from runtime.media.images import read_drawing, read_image, read_inst_map, read_label_map, read_photo, write_image
from runtime.media.mask_images import read_hole_mask
from runtime.runners.inpainter import Inpainter
from runtime.runners.sketch_completer import SketchCompleter
from runtime.runners.synthesizer import Synthesizer
from runtime.runners.translator import Translator

Pictures = dict[str, NDArray[np.uint8]]
Timed = Callable[[str, Callable[[], Any]], Any]
Opened = Callable[[type[Any], str], Any]  # a runner of a shipped engine

_GREY = 127  # what is shown of a hole
# The cells of the contact sheet, each of pictures side by side.
_SHEET = (
    (("street_labels.png",), ("street.png",)),
    (("edges2photo_input.png",), ("edges2photo.png",)),
    (("face.png",), ("inpaint_input.png", "inpaint.png")),
)
_CELL, _GAP = (480, 960), 8  # height and width of a cell, and what is between two, in pixels


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("out"),
    device: Device = "auto",
    backend: Backend = "auto",
    threads: Threads = None,
) -> None:
    """Run the engines that ship: streets from a label map and a drawing, a face from a sketch, a photo with holes.

    All of it is in demo.png, too.

    Example: `pix2rt demo -o out`
    """

    def opened(runner: type[Any], name: str) -> Any:
        return runner(ASSETS / name, device, backend=backend, threads=threads)

    shown: Pictures = {}
    for show in (_synthesis, _translation, _completion, _inpainting):
        table = Table("step", "time")

        def timed(step: str, work: Callable[[], Any], table: Table = table) -> Any:
            start = time.perf_counter()
            with err.status(step):
                result = work()
            table.add_row(step, f"{1000 * (time.perf_counter() - start):.0f} ms")
            return result

        table.title, pictures = show(timed, opened)
        for name, picture in pictures.items():
            write_image(output / name, picture)
        out.print(table)
        for name in pictures:
            print(output / name)
        shown |= pictures
    write_image(output / "demo.png", _contact_sheet(shown))
    print(output / "demo.png")


def _contact_sheet(pictures: Pictures) -> NDArray[np.uint8]:
    """All that is shown on one page, uint8 [H, W, 3]."""
    height, width = _CELL
    size = (len(_SHEET[0]) * (width + _GAP) + _GAP, len(_SHEET) * (height + _GAP) + _GAP)
    page = Image.new("RGB", size, "white")
    for row, cells in enumerate(_SHEET):
        for column, names in enumerate(cells):
            for index, name in enumerate(names):
                rgb = np.broadcast_to(pictures[name], (*pictures[name].shape[:2], 3))
                part = Image.fromarray(rgb).resize((width // len(names), height))
                left = _GAP + column * (width + _GAP) + index * part.width
                page.paste(part, (left, _GAP + row * (height + _GAP)))
    return np.asarray(page)


def _synthesis(timed: Timed, opened: Opened) -> tuple[str, Pictures]:
    """Label map → photo: pix2pixHD."""
    synthesizer = timed("load the engine", lambda: opened(Synthesizer, "street.onnx"))
    label_map = read_label_map(ASSETS / "street_labels.png", synthesizer.labels)
    inst_map = read_inst_map(ASSETS / "street_instances.png") if synthesizer.uses_instances else None
    pictures = {
        "street.png": timed("first call", lambda: synthesizer.run(label_map, inst_map)),
        "street_seed1.png": timed("second call, other styles", lambda: synthesizer.run(label_map, inst_map, seed=1)),
        "street_labels.png": synthesizer.labels.colourise(label_map.astype(np.uint8)),
    }
    height, width = label_map.shape
    return f"label map → photo, {width}×{height} on {synthesizer.device}, {synthesizer.backend}", pictures


def _translation(timed: Timed, opened: Opened) -> tuple[str, Pictures]:
    """Line drawing → photo: pix2pix."""
    translator = timed("load the engine", lambda: opened(Translator, "edges2photo.onnx"))
    drawing = read_image(ASSETS / "edges2photo_input.png", translator.input_nc, note).pixels
    pictures = {
        "edges2photo.png": timed("first call", lambda: translator.run(drawing)),
        "edges2photo_input.png": drawing,
    }
    timed("second call", lambda: translator.run(drawing))
    height, width = drawing.shape[:2]
    return f"line drawing → photo, {width}×{height} on {translator.device}, {translator.backend}", pictures


def _completion(timed: Timed, opened: Opened) -> tuple[str, Pictures]:
    """Sketch → photo by a search: Contextual GAN."""
    completer = timed("load the engine", lambda: opened(SketchCompleter, "faces.onnx"))
    sketch = read_drawing(ASSETS / "faces_sketch.png")
    joint = timed("search", lambda: completer.complete(*completer.joint(sketch)))
    side = completer.side
    return f"sketch → photo by a search, {side}×{side} on {completer.device}, {completer.backend}", {
        "face.png": joint.image
    }


def _inpainting(timed: Timed, opened: Opened) -> tuple[str, Pictures]:
    """Photo with holes → photo: Infer, Match, Translate."""
    inpainter = timed("load the engine", lambda: opened(Inpainter, "inpaint.onnx"))
    photo = read_photo(ASSETS / "inpaint_photo.jpg")
    hole_mask = read_hole_mask(ASSETS / "inpaint_mask.png", note)
    pictures = {
        "inpaint.png": timed("first call", lambda: inpainter.run(photo, hole_mask)),
        "inpaint_input.png": np.where(hole_mask[..., None] > 0, np.uint8(_GREY), photo),
    }
    timed("second call", lambda: inpainter.run(photo, hole_mask))
    height, width = hole_mask.shape
    return f"holes → photo, {width}×{height} on {inpainter.device}, {inpainter.backend}", pictures
