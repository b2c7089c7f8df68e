"""`scenes`, `faces`, `textures`, `sketches` and `untrained`: what measuring and training can begin with."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from runtime.errors import InputError
from training.checkpoint import save_checkpoint
from training.commands.console import app, console
from training.data.augmentation import parse_size
from training.errors import DataError
from training.networks import FAMILIES
from training.options import resolve
from training.system import family_system


def _numbers(seed: int, count: int) -> Iterable[int]:
    """Of the pictures to draw, with a progress bar; each number is the seed of its picture."""
    return track(range(seed, seed + count), description="drawing", console=console)


@app.command()
def scenes(
    folder: Annotated[Path, typer.Argument(help="data folder to write")],
    count: Annotated[int, typer.Option(min=1, help="number of scenes")] = 64,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH")] = "1024x2048",
    seed: Annotated[int, typer.Option(min=0, help="seed of the first scene")] = 0,
    split: Annotated[str, typer.Option(help="train, val, …")] = "train",
    parts: Annotated[
        bool, typer.Option(help="label windows, wheels, lane markings … apart: 55 classes instead of Cityscapes' 35")
    ] = False,
) -> None:
    """Write procedural street scenes (photo, label ids, instance ids) as a data folder.

    Example: pix2rt data scenes scenes --count 64 --parts
    """
    from training.data.scene_folder import write_scene

    shape = parse_size(size)
    if shape is None:
        raise DataError("give --size HEIGHTxWIDTH")
    for number in _numbers(seed, count):
        write_scene(folder, split, number, shape, parts)
    console.print(f"{count} scenes in {folder} ({split}_label, {split}_inst, {split}_img)")


@app.command()
def faces(
    folder: Annotated[Path, typer.Argument(help="data folder to write")],
    count: Annotated[int, typer.Option(min=1, help="number of faces")] = 4000,
    side: Annotated[int, typer.Option(min=16, help="pixels a side")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="seed of the first face")] = 0,
    split: Annotated[str, typer.Option(help="train, val, …")] = "train",
) -> None:
    """Write procedural faces, photos to train a Contextual GAN with.

    Example: pix2rt data faces faces --count 4000
    """
    from training.data.photo_folder import write_face

    for number in _numbers(seed, count):
        write_face(folder, split, number, side)
    console.print(f"{count} faces in {folder / split}")


@app.command()
def textures(
    folder: Annotated[Path, typer.Argument(help="data folder to write")],
    count: Annotated[int, typer.Option(min=1, help="number of pictures")] = 1200,
    side: Annotated[int, typer.Option(min=64, help="pixels a side")] = 288,
    seed: Annotated[int, typer.Option(min=0, help="seed of the first picture")] = 0,
    split: Annotated[str, typer.Option(help="train, val, …")] = "train",
) -> None:
    """Write procedural pictures of materials and of scenes made of them, photos to train inpainting with.

    Example: pix2rt data textures textures --count 1200
    """
    from training.data.photo_folder import write_texture

    for number in _numbers(seed, count):
        write_texture(folder, split, number, side)
    console.print(f"{count} pictures in {folder / split}")


@app.command()
def sketches(
    photos: Annotated[Path, typer.Argument(help="folder of photos")],
    output: Annotated[Path, typer.Option("--output", "-o", help="folder to write")],
    style: Annotated[str, typer.Option(help="xdog, fdog or photocopy")] = "xdog",
    pairs: Annotated[
        int | None, typer.Option(min=16, help="write pairs sketch | photo of this side instead, as pix2pix reads them")
    ] = None,
) -> None:
    """Turn a folder of photos into sketches, grey pictures of their size.

    Example: pix2rt data sketches photos --style fdog -o sketches

    Example: pix2rt data sketches faces/train --pairs 64 -o pairs/train
    """
    from training.data.joint import find_photos
    from training.data.photo_folder import write_pair, write_sketch
    from training.data.sketches import STYLES

    if style not in STYLES:
        raise InputError(f"style {style!r} is unknown; choose one of {', '.join(STYLES)}")
    if output.resolve() == photos.resolve():
        raise InputError(f"--output {output} is the folder of the photos; sketches would replace them")
    files = find_photos(photos, "")
    for path in track(files, description="sketching", console=console):
        target = output / f"{path.stem}.png"
        if pairs is None:
            write_sketch(path, target, style)
        else:
            write_pair(path, target, style, pairs)
    console.print(f"{len(files)} {'sketches' if pairs is None else 'pairs'} in {output}")


@app.command()
def untrained(
    family: Annotated[str, typer.Argument(help=f"one of {', '.join(FAMILIES)}")],
    preset: Annotated[str, typer.Argument(help="whose architecture")],
    output: Annotated[Path, typer.Option("--output", "-o", help="checkpoint to write")],
) -> None:
    """Write a checkpoint with initial weights, to measure an architecture before it is trained.

    Example: pix2rt untrained pix2pixhd joint -o city.safetensors
    """
    if family not in FAMILIES:
        raise InputError(f"unknown family {family!r}; choose one of {', '.join(FAMILIES)}")
    module = family_system(family)
    save_checkpoint(module.untrained(resolve(module.Options, module.PRESETS, preset, {})), output)
    console.print(f"checkpoint: {output}")
