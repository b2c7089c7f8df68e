"""What pix2rt makes of the scene that ships with it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from runtime.commands import ASSETS
from runtime.commands.options import Device, Threads
from runtime.console import err, out
from runtime.images import read_inst_map, read_label_map, write_image
from runtime.synthesizer import Synthesizer


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("out"),
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Synthesise the street scene that ships with pix2rt, in two styles.

    Example: `pix2rt demo -o out`
    """
    table = Table("step", "time")

    def timed(step: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        with err.status(step):
            result = work()
        table.add_row(step, f"{1000 * (time.perf_counter() - start):.0f} ms")
        return result

    synthesizer = timed("load the engine", lambda: Synthesizer(ASSETS / "street.onnx", device, threads))
    label_map = read_label_map(ASSETS / "street_labels.png", synthesizer.labels)
    inst_map = read_inst_map(ASSETS / "street_instances.png") if synthesizer.uses_instances else None
    pictures = {
        "street.png": timed("first call", lambda: synthesizer.run(label_map, inst_map)),
        "street_seed1.png": timed("second call, other styles", lambda: synthesizer.run(label_map, inst_map, seed=1)),
        "street_labels.png": synthesizer.labels.colourise(label_map.astype(np.uint8)),
    }
    height, width = label_map.shape
    table.title = f"{width}×{height} on {synthesizer.device}"
    for name, picture in pictures.items():
        write_image(output / name, picture)
    out.print(table)
    for name in pictures:
        print(output / name)
