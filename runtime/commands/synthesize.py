"""Label maps in, photos out."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from runtime.commands.lazy import REST
from runtime.commands.options import Backend, Device, Encoder, Engine, Ray, SkipExisting, StopAtFirst, Threads
from runtime.commands.results import ImageRun, Notes, Result, threads_of
from runtime.errors import InputError
from runtime.files import open_input, require_readable
from runtime.media.decoding import Notify
from runtime.media.images import read_inst_map, read_label_map, read_photo
from runtime.media.input_files import find_label_maps, output_paths, refuse_overwriting
from runtime.media.mates import match_instances
from runtime.runners.checks import check_integer_maps, check_label_ids
from runtime.runners.style_encoder import StyleEncoder
from runtime.runners.styles import Styles, styles_from_json
from runtime.runners.synthesizer import Synthesizer


def synthesize(
    engine: Engine,
    labels: Annotated[
        list[Path],
        typer.Argument(
            metavar="LABELS...", help="Label maps (PNG with class ids), folders, or .txt or .parquet lists."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png for one map, else a folder.")],
    instances: Annotated[
        Path | None, typer.Option(help="Instance map, or the folder with those of all label maps.")
    ] = None,
    styles: Annotated[
        str | None,
        typer.Option(help='JSON or a file of it: class name or instance id to style, {"car": 2, "26001": 0}.'),
    ] = None,
    styles_from: Annotated[
        Path | None, typer.Option(help="Photo of the same scene whose styles to take.", rich_help_panel=REST)
    ] = None,
    encoder: Encoder = None,
    seed: Annotated[int, typer.Option(help="Chooses the styles that --styles leaves open.")] = 0,
    unknown: Annotated[
        int | None, typer.Option(help="Class id to draw ids as that the engine does not know.", rich_help_panel=REST)
    ] = None,
    edges_from_labels: Annotated[
        bool,
        typer.Option(
            "--edges-from-labels",
            help="Without instance maps: areas of equal class are the instances.",
            rich_help_panel=REST,
        ),
    ] = False,
    pad: Annotated[
        bool, typer.Option("--pad", help="Extend maps to a size the engine takes, crop the result.")
    ] = False,
    skip_existing: SkipExisting = False,
    stop_at_first: StopAtFirst = False,
    ray: Ray = None,
    device: Device = "auto",
    backend: Backend = "auto",
    threads: Threads = None,
) -> None:
    """Turn label maps into photos.

    Example: `pix2rt synthesize city.onnx frame_labelIds.png --instances frame_instanceIds.png -o photo.png`

    Example: `pix2rt synthesize city.onnx labels/ --instances instances/ --styles '{"car": 2}' -o photos`
    """
    label_maps = find_label_maps(labels)
    partners = match_instances(label_maps, instances) if instances else []
    targets = output_paths(label_maps, output)
    refuse_overwriting("instance map", partners, targets)
    refuse_overwriting("photo", [styles_from] if styles_from else [], targets)
    chosen = _styles_option(styles)
    synthesizer = Synthesizer(engine, device, backend=backend, threads=threads_of(ray, threads))
    run = ImageRun("synthesize", label_maps, targets, output, skip_existing, stop_at_first)

    if styles_from:
        if chosen is not None or len(label_maps) > 1:
            raise InputError("--styles-from takes the styles of one scene: give one label map, and no --styles")
        regions = (
            read_inst_map(partners[0], run.notify(partners[0]))
            if partners
            else _read_ids(label_maps[0], synthesizer, unknown, run.notify(label_maps[0]))
        )
        path = encoder or engine.with_suffix(".encoder.onnx")
        chosen = StyleEncoder(path, device, backend=backend, threads=threads).run(
            read_photo(styles_from, run.notify(styles_from)), regions, pad=pad
        )

    def photo(index: int, notes: Notes) -> list[Result]:
        label_map = _read_ids(label_maps[index], synthesizer, unknown, notes(label_maps[index]))
        inst_map = read_inst_map(partners[index], notes(partners[index])) if partners else None
        image = synthesizer.run(
            label_map, inst_map, styles=chosen, seed=seed, edges_from_labels=edges_from_labels, pad=pad
        )
        return [Result(targets[index], image)]

    run.make(photo, ray, threads, device)


def _read_ids(path: Path, synthesizer: Synthesizer, unknown: int | None, notify: Notify) -> NDArray[np.uint8]:
    ids = read_label_map(path, synthesizer.labels, notify)
    try:
        maps = check_integer_maps(ids, "label_map", "class ids")
        checked: NDArray[np.uint8] = check_label_ids(maps, synthesizer.labels, unknown)[0]
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return checked


def _styles_option(text: str | None) -> Styles | None:
    """--styles: JSON, or the name of a JSON file."""
    if text is None:
        return None
    source = "--styles"
    if not text.lstrip().startswith("{"):
        source = f"--styles {text}"
        with open_input(require_readable(text, "styles file")) as stream:
            text = stream.read().decode("utf-8", errors="replace")
    return styles_from_json(text, source)
