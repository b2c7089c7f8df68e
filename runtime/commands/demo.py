"""What pix2rt makes of the scenes that ship with it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from runtime.commands import ASSETS
from runtime.commands.options import Device, Threads
from runtime.console import err, note, out
from runtime.images import read_drawing, read_inst_map, read_label_map, write_image
from runtime.sketch_completer import SketchCompleter
from runtime.synthesizer import Synthesizer
from runtime.translation_images import read_translation_input
from runtime.translator import Translator

Pictures = dict[str, NDArray[np.uint8]]
Timed = Callable[[str, Callable[[], Any]], Any]


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("out"),
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Run the engines that ship with pix2rt: a street from its label map and from a line drawing, a face from a sketch.

    Example: `pix2rt demo -o out`
    """
    for show in (_synthesis, _translation, _completion):
        table = Table("step", "time")

        def timed(step: str, work: Callable[[], Any], table: Table = table) -> Any:
            start = time.perf_counter()
            with err.status(step):
                result = work()
            table.add_row(step, f"{1000 * (time.perf_counter() - start):.0f} ms")
            return result

        table.title, pictures = show(timed, device, threads)
        for name, picture in pictures.items():
            write_image(output / name, picture)
        out.print(table)
        for name in pictures:
            print(output / name)


def _synthesis(timed: Timed, device: str, threads: int | None) -> tuple[str, Pictures]:
    """Label map → photo: pix2pixHD."""
    synthesizer = timed("load the engine", lambda: Synthesizer(ASSETS / "street.onnx", device, threads))
    label_map = read_label_map(ASSETS / "street_labels.png", synthesizer.labels)
    inst_map = read_inst_map(ASSETS / "street_instances.png") if synthesizer.uses_instances else None
    pictures = {
        "street.png": timed("first call", lambda: synthesizer.run(label_map, inst_map)),
        "street_seed1.png": timed("second call, other styles", lambda: synthesizer.run(label_map, inst_map, seed=1)),
        "street_labels.png": synthesizer.labels.colourise(label_map.astype(np.uint8)),
    }
    height, width = label_map.shape
    return f"label map → photo, {width}×{height} on {synthesizer.device}", pictures


def _translation(timed: Timed, device: str, threads: int | None) -> tuple[str, Pictures]:
    """Line drawing → photo: pix2pix."""
    translator = timed("load the engine", lambda: Translator(ASSETS / "edges2photo.onnx", device, threads))
    drawing = read_translation_input(ASSETS / "edges2photo_input.png", translator.input_nc, note)
    pictures = {
        "edges2photo.png": timed("first call", lambda: translator.run(drawing)),
        "edges2photo_input.png": drawing,
    }
    timed("second call", lambda: translator.run(drawing))
    height, width = drawing.shape[:2]
    return f"line drawing → photo, {width}×{height} on {translator.device}", pictures


def _completion(timed: Timed, device: str, threads: int | None) -> tuple[str, Pictures]:
    """Sketch → photo by a search: Contextual GAN."""
    completer = timed("load the engine", lambda: SketchCompleter(ASSETS / "faces.onnx", device, threads))
    sketch = read_drawing(ASSETS / "faces_sketch.png")
    joint = timed("search", lambda: completer.complete(*completer.joint(sketch)))
    side = completer.side
    return f"sketch → photo by a search, {side}×{side} on {completer.device}", {"face.png": joint.image}
