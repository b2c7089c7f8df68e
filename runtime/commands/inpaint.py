"""Images and masks in, completed images out."""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from runtime.commands.console import NoteOnce, note
from runtime.commands.options import Backend, Device, Engine, Threads
from runtime.commands.results import print_result, write_all
from runtime.engines.engine import engine_spec
from runtime.errors import InputError
from runtime.media.input_files import (
    IMAGE_SUFFIXES,
    WRITTEN_SUFFIXES,
    find_images,
    match_masks,
    output_paths,
    refuse_overwriting,
)
from runtime.media.mask_images import read_hole_mask
from runtime.media.translation_images import read_translation_input
from runtime.runners.inpainter import Inpainter
from runtime.runners.windows import Strategy

_RGB = 3


def inpaint(
    engine: Engine,
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="An image, or a folder of images.")],
    masks: Annotated[
        Path | None,
        typer.Argument(
            metavar="MASKS",
            help="One mask for all images, or a folder with one of each image's name: black = known. "
            "Only with --style it may be left out; then everything is repainted.",
        ),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png or .jpg for one image, else a folder.")],
    style: Annotated[
        Path | None, typer.Option(help="An image to repaint in the style of, for an engine of --style-transfer.")
    ] = None,
    strategy: Annotated[
        Strategy,
        typer.Option(help="crop: full resolution; resize: the whole image; pad: no larger image; auto: what fits."),
    ] = "auto",
    dilate: Annotated[int, typer.Option(help="Pixels that every hole grows by.")] = 0,
    feather: Annotated[int, typer.Option(help="Pixels at a grown hole's border that fade into the image.")] = 0,
    invert_mask: Annotated[bool, typer.Option("--invert-mask", help="Black is missing in the masks.")] = False,
    device: Device = "auto",
    backend: Backend = "auto",
    threads: Threads = None,
) -> None:
    """Fill the holes of images, or whatever else their masks mark; what is known stays as it is, bit for bit.

    Any size, any number of holes.

    Example: `pix2rt inpaint scenes.onnx photo.png mask.png -o filled.png`

    Example: `pix2rt inpaint scenes.onnx photos/ masks/ -o filled --dilate 3 --feather 2`

    Example: `pix2rt inpaint restyle.onnx photo.png --style painting.jpg -o painted.png`
    """
    engine_spec(engine, ("inpainter",))
    if masks is None and style is None:
        raise InputError("MASKS is missing; give a mask, or a folder with one of each image's name")
    files = find_images([images], IMAGE_SUFFIXES, WRITTEN_SUFFIXES[0])
    mask_files = match_masks(files, masks) if masks else []
    targets = output_paths(files, output, "image", WRITTEN_SUFFIXES)
    refuse_overwriting("mask", mask_files, targets)
    refuse_overwriting("style", [style] if style else [], targets)
    if targets[0].suffix.lower() != WRITTEN_SUFFIXES[0]:
        note("JPEG changes every pixel a little; write a PNG to keep what is known as it is")
    inpainter = Inpainter(engine, device, backend=backend, threads=threads)
    notes = NoteOnce()
    style_image = read_translation_input(style, _RGB, lambda s: notes.add(style, s)) if style else None

    def completed(index: int) -> NDArray[np.uint8]:
        path = files[index]
        pixels = read_translation_input(path, _RGB, lambda sentence: notes.add(path, sentence))
        hole_mask = None
        if mask_files:
            mask_path = mask_files[index]
            hole_mask = read_hole_mask(mask_path, lambda sentence: notes.add(mask_path, sentence)) != invert_mask
        return inpainter.run(
            pixels,
            hole_mask,
            style=style_image,
            strategy=strategy,
            dilate=dilate,
            feather=feather,
            notify=lambda sentence: notes.add(path, sentence),
        )

    start = time.perf_counter()
    write_all("inpaint", completed, targets, files)
    notes.finish()
    print_result(len(targets), "image", time.perf_counter() - start, output)
