"""Images and masks in, completed images out."""

from pathlib import Path
from typing import Annotated

import typer

from runtime.commands.console import note
from runtime.commands.lazy import REST
from runtime.commands.options import Backend, Device, Engine, Ray, SkipExisting, StopAtFirst, Threads
from runtime.commands.results import ImageRun, Notes, Result, threads_of
from runtime.engines.engine import engine_spec
from runtime.files import is_folder
from runtime.media.images import read_image, read_photo
from runtime.media.input_files import (
    IMAGE_SUFFIXES,
    WRITTEN_SUFFIXES,
    find_images,
    output_paths,
    refuse_overwriting,
)
from runtime.media.mask_images import read_hole_mask
from runtime.media.mates import match_masks, without_masks
from runtime.runners.inpainter import Inpainter
from runtime.runners.windows import Strategy

_RGB = 3


def inpaint(
    engine: Engine,
    images: Annotated[
        Path, typer.Argument(metavar="IMAGES", help="An image, a folder, or a list of images (.txt, .parquet).")
    ],
    masks: Annotated[
        Path | None,
        typer.Argument(
            metavar="MASKS",
            help="One mask for all images, or a folder with NAME.png or NAME_mask.png for each: black = known. "
            "If not given, each image's NAME_mask.png beside it; with --style everything is repainted.",
        ),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png or .jpg for one image, else a folder.")],
    style: Annotated[
        Path | None,
        typer.Option(
            help="An image to repaint in the style of, for an engine of --style-transfer.", rich_help_panel=REST
        ),
    ] = None,
    strategy: Annotated[
        Strategy,
        typer.Option(help="crop: full resolution; resize: the whole image; pad: no larger image; auto: what fits."),
    ] = "auto",
    dilate: Annotated[int, typer.Option(help="Pixels that every hole grows by.", rich_help_panel=REST)] = 0,
    feather: Annotated[
        int, typer.Option(help="Pixels at a grown hole's border that fade into the image.", rich_help_panel=REST)
    ] = 0,
    invert_mask: Annotated[
        bool, typer.Option("--invert-mask", help="Black is missing in the masks.", rich_help_panel=REST)
    ] = False,
    skip_existing: SkipExisting = False,
    stop_at_first: StopAtFirst = False,
    ray: Ray = None,
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
    files = find_images([images], IMAGE_SUFFIXES, WRITTEN_SUFFIXES[0])
    if is_folder(images) and (masks or not style):
        files = without_masks(files, masks)
    mask_files = [] if style and not masks else match_masks(files, masks)
    targets = output_paths(files, output, "image", WRITTEN_SUFFIXES)
    refuse_overwriting("mask", mask_files, targets)
    refuse_overwriting("style", [style] if style else [], targets)
    if targets[0].suffix.lower() != WRITTEN_SUFFIXES[0]:
        note("JPEG changes every pixel a little; write a PNG to keep what is known as it is")
    inpainter = Inpainter(engine, device, backend=backend, threads=threads_of(ray, threads))
    run = ImageRun("inpaint", files, targets, output, skip_existing, stop_at_first)
    style_image = read_photo(style, run.notify(style)) if style else None

    def completed(index: int, notes: Notes) -> list[Result]:
        notify = notes(files[index])
        source = read_image(files[index], _RGB, notify)
        hole_mask = None
        if mask_files:
            mask = mask_files[index]
            hole_mask = read_hole_mask(mask, notes(mask), is_inverted=invert_mask)
        image = inpainter.run(
            source.pixels,
            hole_mask,
            style=style_image,
            strategy=strategy,
            dilate=dilate,
            feather=feather,
            notify=notify,
        )
        return [Result(targets[index], image, source.profile)]

    run.make(completed, ray, threads, device)
