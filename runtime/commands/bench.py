"""How fast an engine is."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from runtime.bench.inputs import BenchInput, demo_input, generated_input, input_from_files, input_from_image
from runtime.bench.layers import profile
from runtime.bench.measure import measure
from runtime.bench.reports import require_plots, write_csv, write_plot
from runtime.bench.runners import bench_spec
from runtime.commands import ASSETS
from runtime.commands.console import err, note, out, progress_bar
from runtime.commands.lazy import REST
from runtime.commands.options import Backend, Device, Engine, OtherEngines, Threads
from runtime.commands.tables import bench_table, layers_table
from runtime.engines.spec import EngineSpec
from runtime.errors import InputError
from runtime.files import atomic_path, is_stream
from runtime.media.input_files import refuse_overwriting


def bench(
    engine: Engine,
    against: OtherEngines = None,
    labels: Annotated[Path | None, typer.Option(help="Label map to measure a synthesizer with.")] = None,
    instances: Annotated[Path | None, typer.Option(help="Its instance map.")] = None,
    image: Annotated[Path | None, typer.Option(help="Image to measure a translator or inpainter with.")] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(help="HEIGHTxWIDTH, for engines of any size; can be given again.", metavar="HxW"),
    ] = None,
    random: Annotated[
        bool,
        typer.Option("--random", "--random-labels", help="Every pixel random: the worst case.", rich_help_panel=REST),
    ] = False,
    runs: Annotated[int, typer.Option(min=1, help="Measured calls.")] = 20,
    warmup: Annotated[int, typer.Option(min=0, help="Calls before them.", rich_help_panel=REST)] = 3,
    device: Device = "auto",
    backend: Backend = "auto",
    against_backend: Annotated[
        list[str] | None,
        typer.Option(help="What runs the others: once for all, or once each.", rich_help_panel=REST),
    ] = None,
    threads: Threads = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="The time of every layer in native kernels, against the peak.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the reports there too.")] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write a line an engine and size there.", rich_help_panel=REST)
    ] = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Draw latency against size there (PNG).", rich_help_panel=REST)
    ] = None,
) -> None:
    """Measure an engine end to end: bytes in, bytes out, host work included; or several in turns.

    Example: `pix2rt bench city.onnx --against city_naive.onnx --runs 20 --json report.json`

    Example: `pix2rt bench edges2photo --size 256x256 --size 512x1024 --plot latency.png`

    Example: `pix2rt bench city.onnx --against city.onnx --against-backend onnxruntime`

    Example: `pix2rt bench city.onnx --layers`
    """
    paths = [engine, *(against or ())]
    specs = [bench_spec(path) for path in paths]
    _require_one_kind(paths, specs)
    writers = {"--json": json_file, "--csv": csv_file, "--plot": plot_file}
    for option, target in writers.items():
        if target:
            refuse_overwriting("engine", paths, [target], option)
    if plot_file:
        require_plots()
    sizes: list[tuple[int, int] | None] = [_size(text, paths, specs) for text in size or ()] or [None]
    scenes = [_input(specs, labels, instances, image, random, one) for one in sizes]
    if layers:
        _require_native(paths, scenes, device, backend, csv_file or plot_file)
    calls = max(warmup, 1) + runs
    with progress_bar() as progress:
        task = progress.add_task("bench", total=calls * len(scenes))
        advance = lambda: progress.advance(task)  # noqa: E731
        if layers:
            profiled = profile(engine, scenes[0], calls, threads=threads, progress=advance)
        else:
            backends = (backend, *_backends(against_backend or ["auto"], len(paths) - 1))
            options: dict[str, Any] = {"device": device, "backends": backends, "threads": threads}
            reports = [measure(paths, scene, runs, warmup, **options, progress=advance) for scene in scenes]
    console = err if json_file and is_stream(json_file) else out
    if layers:
        console.print(layers_table(profiled))
        _write(json_file, _as_json(asdict(profiled)))
        return
    for report in reports:
        console.print(bench_table(report))
    _write(json_file, _as_json({"reports": reports}))
    _write(csv_file, lambda path: write_csv(reports, path))
    _write(plot_file, lambda path: write_plot(reports, path))


def _write(path: Path | None, write: Callable[[Path], object]) -> None:
    if path:
        with atomic_path(path) as temporary:
            write(temporary)


def _as_json(document: object) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(document, indent=2), encoding="utf-8")


def _size(text: str, paths: Sequence[Path], specs: Sequence[EngineSpec]) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or not int(match[1]) or not int(match[2]):
        raise InputError(f"--size {text!r} is not HEIGHTxWIDTH, such as 512x1024")
    size = int(match[1]), int(match[2])
    for path, spec in zip(paths, specs, strict=True):
        if spec.size and spec.size != size:
            own = "x".join(map(str, spec.size))
            raise InputError(f"--size {text}: engine {path} is of {own} only; export it with --dynamic for other sizes")
    return size


def _backends(given: Sequence[str], count: int) -> tuple[str, ...]:
    """Of the engines that the first one is measured against."""
    if len(given) not in (1, count):
        raise InputError(
            f"--against-backend is given {len(given)} times for {count} engines; give it once, or once each"
        )
    return tuple(given) * (count if len(given) == 1 else 1)


def _require_native(
    paths: Sequence[Path], scenes: Sequence[BenchInput], device: str, backend: str, file: Path | None
) -> None:
    if len(paths) > 1 or len(scenes) > 1 or file:
        raise InputError("--layers looks into one engine at one size; leave out --against, --csv and --plot")
    if backend not in ("auto", "native") or device not in ("auto", "cpu"):
        raise InputError("--layers looks into native kernels on the CPU; leave out --backend and --device")


def _require_one_kind(paths: Sequence[Path], specs: Sequence[EngineSpec]) -> None:
    for path, spec in zip(paths, specs, strict=True):
        if spec.kind != specs[0].kind:
            raise InputError(
                f"engine {path} is a {spec.kind}, engine {paths[0]} a {specs[0].kind}; compare engines of one kind"
            )


def _input(
    specs: Sequence[EngineSpec],
    labels: Path | None,
    instances: Path | None,
    image: Path | None,
    random: bool,
    size: tuple[int, int] | None,
) -> BenchInput:
    spec = specs[0]
    if spec.labels is None and (labels or instances):
        raise InputError("--labels and --instances are for engines with a class table; give --image")
    if spec.labels is not None and image:
        raise InputError("--image is for engines without a class table; give --labels")
    if random:
        return generated_input(*specs, noise=True, size=size)
    if image:
        scene: BenchInput | None = input_from_image(spec, image, note)
    elif labels:
        scene = input_from_files(spec, labels, instances, note)
    else:
        scene = demo_input(spec, ASSETS)
    if scene is None:
        return generated_input(*specs, noise=False, size=size)
    return scene.resized(size) if size else scene
