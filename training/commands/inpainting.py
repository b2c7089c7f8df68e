"""`inpainting-study`: filled holes of every method beside each other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from training.commands.console import app
from training.commands.evaluate import progress_of_items, show
from training.commands.measures import FeaturesNorm, FeaturesPath, FeaturesSize, MeasureOptions
from training.data.augmentation import parse_size
from training.data.holes import KINDS, parse_kinds


@app.command("inpainting-study")
def inpainting_study(
    checkpoints: Annotated[list[Path], typer.Argument(help="one or more checkpoints of inpainting")],
    data: Annotated[Path, typer.Option(help="folder of photos")],
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for table.md, figures.json, grid.png")],
    split: Annotated[str, typer.Option(help="held-out part of the folder")] = "val",
    holes: Annotated[
        str, typer.Option("--holes", "--hole", help=f"one or more of {', '.join(KINDS)}; each photo gets one")
    ] = "centre",
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH; default 512x512 if no photo is smaller, else 256x256")] = "",
    scales: Annotated[int, typer.Option(min=0, help="of the systems; 0: two from 512 pixels on, else one")] = 0,
    iterations: Annotated[int, typer.Option(min=1, help="above 1: a further row that swaps so often")] = 1,
    items: Annotated[int, typer.Option(min=1, help="most photos")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="of the holes")] = 0,
    grid_items: Annotated[int, typer.Option(min=1, help="lines of grid.png")] = 8,
    features: FeaturesPath = None,
    features_norm: FeaturesNorm = "imagenet",
    features_size: FeaturesSize = "",
) -> None:
    """Compare checkpoints with OpenCV's inpainting, with themselves without patch-swap, and with Image2Feature alone.

    Example: pix2rt study inpainting runs/inpaint/checkpoint.safetensors --data textures -o study
    """
    from training.data.holed import HeldOutPhotos
    from training.data.images import find_photos
    from training.evaluation.inpainting_study import Comparison, load_trained, run_study, settings, shown

    chosen = MeasureOptions(features=features, features_norm=features_norm, features_size=features_size)
    photos = HeldOutPhotos(find_photos(data, split)[:items], parse_size(size), parse_kinds(holes), seed)
    comparison = Comparison(load_trained(checkpoints), photos, scales, iterations, chosen.network())
    reports = run_study(comparison, output, grid_items, _progress)
    said = ", ".join(f"{name} {value}" for name, value in settings(comparison).items())
    show("method", shown(reports), [said, f"{output / 'table.md'}, figures.json and grid.png written"])


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str], None]]:
    with progress_of_items() as progress:
        yield lambda name: progress(f"{title}: {name}")
