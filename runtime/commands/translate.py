"""Images or a video in, translated ones out."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from runtime.commands.console import note, progress_bar
from runtime.commands.lazy import REST
from runtime.commands.options import Backend, Device, Engine, Ray, SkipExisting, StopAtFirst, Threads
from runtime.commands.results import ImageRun, Notes, Result, print_result, threads_of
from runtime.engines.engine import engine_spec
from runtime.engines.recipe import Recipe
from runtime.errors import InputError
from runtime.files import is_there
from runtime.media.derived import read_input
from runtime.media.images import PICTURE_CHANNELS
from runtime.media.input_files import (
    ARRAY_SUFFIX,
    IMAGE_SUFFIXES,
    WRITTEN_SUFFIXES,
    find_images,
    find_video,
    output_paths,
    refuse_overwriting,
)
from runtime.runners.translator import Translator


def translate(
    engine: Engine,
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUTS...", help="Images, folders, .txt or .parquet lists, or one video.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .png or .jpg for one image, else a folder; a video for a video.")
    ],
    seed: Annotated[
        int | None, typer.Option(help="Of a stochastic engine's dropout: same for all images, and all frames.")
    ] = None,
    derive: Annotated[
        bool | None,
        typer.Option(
            "--derive/--no-derive",
            help="Make the engine's inputs of photos or label maps, as training did; by itself where that is plain.",
        ),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            help="Encoder of a video, as FFmpeg names it: libx265, ffv1; the suffix decides if not given.",
            rich_help_panel=REST,
        ),
    ] = None,
    skip_existing: SkipExisting = False,
    stop_at_first: StopAtFirst = False,
    ray: Ray = None,
    device: Device = "auto",
    backend: Backend = "auto",
    threads: Threads = None,
) -> None:
    """Turn images, or every frame of a video, into what the engine was trained to make of them.

    Any size: extended by reflection to what the engine takes, and cropped back.

    Example: `pix2rt translate edges2photo.onnx sketch.png -o photo.png`

    Example: `pix2rt translate grey2colour.onnx scans/ -o coloured`

    Example: `pix2rt translate day2night.onnx clip.mp4 -o night.mp4`
    """
    spec = engine_spec(engine, ("translator",))
    video = find_video(inputs, output)
    if video and skip_existing and is_there(output):
        note(f"{output} was there already")
        return
    if derive and spec.recipe is None:
        raise InputError(f"--derive: engine {engine} does not say how its inputs were made; give the inputs themselves")
    if video:
        _require_plain_frames(video, spec.recipe, derive)
        _translate_video(
            lambda: Translator(engine, device, backend=backend, threads=threads), video, output, seed, codec
        )
        return
    if codec:
        raise InputError("--codec is for a video; leave it out for images")
    image, translation = spec.input("image"), spec.output("translation")
    assert image
    assert translation  # engine_spec refuses engines without them
    written = WRITTEN_SUFFIXES if translation.shape[3] in PICTURE_CHANNELS else (ARRAY_SUFFIX,)
    read = IMAGE_SUFFIXES if image.shape[3] in PICTURE_CHANNELS else (ARRAY_SUFFIX,)
    images = find_images(inputs, read, written[0])
    targets = output_paths(images, output, "image", written)
    translator = Translator(engine, device, backend=backend, threads=threads_of(ray, threads))

    def translated(index: int, notes: Notes) -> list[Result]:
        notify = notes(images[index])
        source = read_input(images[index], spec.recipe, translator.input_nc, derive, index, notify)
        profile = source.profile if translator.output_nc == translator.input_nc else None
        if source.profile and not profile:
            notify("its colour profile does not fit the result's channels, and was dropped")
        return [Result(targets[index], translator.run(source.pixels, seed=seed), profile)]

    run = ImageRun("translate", images, targets, output, skip_existing, stop_at_first)
    run.make(translated, ray, threads, device)


def _require_plain_frames(video: Path, recipe: Recipe | None, derive: bool | None) -> None:
    """Frames are given to the engine as they are; that they are grey is no matter of making."""
    if recipe is not None and recipe.derive != "grey" and derive is not False:
        raise InputError(
            f"video {video}: the engine was trained on {recipe.derive} of {recipe.raw}, which are not made of a video; "
            "give a video of them and --no-derive"
        )


def _translate_video(
    opened: Callable[[], Translator], video: Path, output: Path, seed: int | None, codec: str | None
) -> None:
    from runtime.media.video import translate_video  # here, because PyAV is an extra
    from runtime.media.video_writer import require_target

    require_target(output, codec)
    refuse_overwriting("video", [video], [output])
    translator = opened()
    start = time.perf_counter()
    with progress_bar("frames") as progress:
        task = progress.add_task("translate", total=None)
        frame_count = translate_video(
            video,
            output,
            translator,
            seed=seed,
            codec=codec,
            notify=note,
            started=lambda promised: progress.update(task, total=promised or None),
            progress=lambda: progress.advance(task),
        )
    print_result(frame_count, "frame", time.perf_counter() - start, output)
