"""Command line of the runtime: python -m runtime, or pix2rt. Bad input exits with 2, other failures with 1."""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from runtime.bench import demo_input, generated_input, input_from_files, measure
from runtime.checks import check_label_map
from runtime.console import Commands, err, note, out, progress_bar
from runtime.engine import engine_spec
from runtime.errors import InputError, StyleError
from runtime.files import atomic_path, require_file
from runtime.images import read_inst_map, read_label_map, read_photo, write_png
from runtime.map_files import find_label_maps, match_instances, output_paths
from runtime.style_encoder import StyleEncoder
from runtime.styles import Styles
from runtime.synthesizer import Synthesizer
from runtime.tables import bench_table, peak_memory_bytes, spec_tables
from runtime.version import __version__

ASSETS = Path(__file__).parent / "assets"

app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")

Engine = Annotated[Path, typer.Argument(metavar="ENGINE", help="The .onnx file that `python -m export onnx` wrote.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; all cores if not given.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"pix2rt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Run pix2rt engines: label maps in, photos out.

    Example: `pix2rt synthesize city.onnx labels/ --instances instances/ -o photos`
    """


@app.command()
def synthesize(
    engine: Engine,
    labels: Annotated[
        list[Path], typer.Argument(metavar="LABELS...", help="Label maps (PNG with class ids), or folders.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png for one map, else a folder.")],
    instances: Annotated[
        Path | None, typer.Option(help="Instance map, or the folder with those of all label maps.")
    ] = None,
    styles: Annotated[
        str | None,
        typer.Option(help='JSON or a file of it: class name or instance id to style, {"car": 2, "26001": 0}.'),
    ] = None,
    styles_from: Annotated[Path | None, typer.Option(help="Photo of the same scene whose styles to take.")] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="Its encoder engine; ENGINE's NAME.encoder.onnx if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the styles that --styles leaves open.")] = 0,
    unknown: Annotated[int | None, typer.Option(help="Class id to draw ids as that the engine does not know.")] = None,
    edges_from_labels: Annotated[
        bool, typer.Option("--edges-from-labels", help="Without instance maps: areas of equal class are the instances.")
    ] = False,
    pad: Annotated[
        bool, typer.Option("--pad", help="Extend maps to a size the engine takes, crop the result.")
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Turn label maps into photos.

    Example: `pix2rt synthesize city.onnx frame_labelIds.png --instances frame_instanceIds.png -o photo.png`

    Example: `pix2rt synthesize city.onnx labels/ --instances instances/ --styles '{"car": 2}' -o photos`
    """
    label_maps = find_label_maps(labels)
    partners = match_instances(label_maps, instances) if instances else None
    targets = output_paths(label_maps, output)
    chosen = _styles_option(styles)
    synthesizer = Synthesizer(engine, device, threads)
    if styles_from:
        if chosen is not None or len(label_maps) > 1:
            raise InputError("--styles-from takes the styles of one scene: give one label map, and no --styles")
        regions = read_inst_map(partners[0]) if partners else _read_ids(label_maps[0], synthesizer, unknown)
        path = encoder or engine.with_suffix(".encoder.onnx")
        chosen = StyleEncoder(path, device, threads).run(read_photo(styles_from), regions, pad=pad)

    def photo(index: int) -> NDArray[np.uint8]:
        label_map = _read_ids(label_maps[index], synthesizer, unknown)
        inst_map = read_inst_map(partners[index]) if partners else None
        return synthesizer.run(
            label_map, inst_map, styles=chosen, seed=seed, edges_from_labels=edges_from_labels, pad=pad
        )

    start = time.perf_counter()
    _write_all(photo, targets, [str(path) for path in label_maps])
    seconds = time.perf_counter() - start
    plural = "s" * (len(targets) > 1)
    out.print(
        f"{len(targets)} image{plural} in {seconds:.1f} s ({len(targets) / seconds:.2f} images/s) → {output}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _read_ids(path: Path, synthesizer: Synthesizer, unknown: int | None) -> NDArray[np.uint8]:
    ids = read_label_map(path, synthesizer.labels, note)
    try:
        checked: NDArray[np.uint8] = check_label_map(ids, synthesizer.labels, unknown)[0]
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return checked


def _styles_option(text: str | None) -> Styles | None:
    """--styles: JSON, or the name of a JSON file; keys of digits are ids."""
    if text is None:
        return None
    source = "--styles"
    if not text.lstrip().startswith("{"):
        source = f"--styles {text}"
        text = require_file(text, "styles file").read_text(encoding="utf-8", errors="replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StyleError(f'{source} is not JSON ({error}); write it like {{"car": 2, "26001": 0}}') from error
    if not isinstance(document, dict):
        raise StyleError(f'{source} is no JSON object; write it like {{"car": 2, "26001": 0}}')
    return {int(key) if key.isascii() and key.isdecimal() else key: value for key, value in document.items()}


def _write_all(photo: Callable[[int], NDArray[np.uint8]], targets: list[Path], sources: list[str]) -> None:
    """Write every photo; one is compressed while the next is synthesised."""
    writing: Future[None] | None = None
    with progress_bar() as progress, ThreadPoolExecutor(1) as writer:
        task = progress.add_task("synthesize", total=len(targets))
        for index, target in enumerate(targets):
            try:
                image = photo(index)
            except InputError as error:
                raise error if len(targets) == 1 else type(error)(f"{sources[index]}: {error}") from error
            if writing:
                writing.result()
            writing = writer.submit(write_png, target, image)
            progress.advance(task)
        if writing:
            writing.result()


@app.command()
def info(
    engine: Engine, as_json: Annotated[bool, typer.Option("--json", help="Print the specification as JSON.")] = False
) -> None:
    """Show what an engine is, without loading it.

    Example: `pix2rt info city.onnx`
    """
    spec = engine_spec(engine)
    if as_json:
        document = {**json.loads(spec.to_json()), "estimated_peak_memory_bytes": peak_memory_bytes(spec)}
        print(json.dumps(document, indent=2))
        return
    out.print(spec_tables(str(engine), spec))


@app.command()
def bench(
    engine: Engine,
    against: Annotated[Path | None, typer.Option(help="Another engine, measured in turns with this one.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Label map to measure with.")] = None,
    instances: Annotated[Path | None, typer.Option(help="Its instance map.")] = None,
    random_labels: Annotated[
        bool, typer.Option("--random-labels", help="Every pixel of a random class: the worst case.")
    ] = False,
    runs: Annotated[int, typer.Option(min=1, help="Measured calls.")] = 20,
    warmup: Annotated[int, typer.Option(min=0, help="Calls before them.")] = 3,
    device: Device = "auto",
    threads: Threads = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report there too.")] = None,
) -> None:
    """Measure an engine end to end: bytes in, bytes out, host work included; or two engines in turns.

    Example: `pix2rt bench city.onnx --against city_naive.onnx --runs 20 --json report.json`
    """
    paths = [engine] + ([against] if against else [])
    specs = [engine_spec(path) for path in paths]
    if random_labels or specs[0].labels is None:
        scene = generated_input(specs[0], noise=random_labels)
    elif labels:
        scene = input_from_files(specs[0], labels, instances, note)
    else:
        scene = demo_input(specs[0], ASSETS) or generated_input(specs[0], noise=False)
    with progress_bar() as progress:
        task = progress.add_task("bench", total=max(warmup, 1) + runs)
        report = measure(paths, scene, runs, warmup, device, threads, lambda: progress.advance(task))
    out.print(bench_table(report))
    if json_file:
        with atomic_path(json_file) as temporary:
            temporary.write_text(json.dumps(report, indent=2), encoding="utf-8")


@app.command()
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
        write_png(output / name, picture)
    out.print(table)
    for name in pictures:
        print(output / name)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="pix2rt")


if __name__ == "__main__":
    main()
