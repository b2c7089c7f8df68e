"""How fast an engine is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from runtime.bench.inputs import BenchInput, demo_input, generated_input, input_from_files, input_from_image
from runtime.bench.layers import profile
from runtime.bench.measure import measure
from runtime.bench.runners import bench_spec
from runtime.commands import ASSETS
from runtime.commands.console import err, note, out, progress_bar
from runtime.commands.lazy import REST
from runtime.commands.options import Backend, Device, Engine, OtherEngine, Threads
from runtime.commands.tables import bench_table, layers_table
from runtime.engines.spec import EngineSpec
from runtime.errors import InputError
from runtime.files import atomic_path, is_stream
from runtime.media.input_files import refuse_overwriting


def bench(
    engine: Engine,
    against: OtherEngine = None,
    labels: Annotated[Path | None, typer.Option(help="Label map to measure a synthesizer with.")] = None,
    instances: Annotated[Path | None, typer.Option(help="Its instance map.")] = None,
    image: Annotated[Path | None, typer.Option(help="Image to measure a translator or inpainter with.")] = None,
    random: Annotated[
        bool,
        typer.Option("--random", "--random-labels", help="Every pixel random: the worst case.", rich_help_panel=REST),
    ] = False,
    runs: Annotated[int, typer.Option(min=1, help="Measured calls.")] = 20,
    warmup: Annotated[int, typer.Option(min=0, help="Calls before them.", rich_help_panel=REST)] = 3,
    device: Device = "auto",
    backend: Backend = "auto",
    against_backend: Annotated[str, typer.Option(help="What runs the other engine.", rich_help_panel=REST)] = "auto",
    threads: Threads = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="The time of every layer in native kernels, against the peak.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report there too.")] = None,
) -> None:
    """Measure an engine end to end: bytes in, bytes out, host work included; or two engines in turns.

    Example: `pix2rt bench city.onnx --against city_naive.onnx --runs 20 --json report.json`

    Example: `pix2rt bench edges2photo.onnx --against edges2photo_naive.onnx --image sketch.png`

    Example: `pix2rt bench city.onnx --against city.onnx --against-backend onnxruntime`

    Example: `pix2rt bench city.onnx --layers`
    """
    paths = [engine] + ([against] if against else [])
    specs = [bench_spec(path) for path in paths]
    _require_one_kind(paths, specs)
    if json_file:
        refuse_overwriting("engine", paths, [json_file], "--json")
    scene = _input(specs, labels, instances, image, random)
    with progress_bar() as progress:
        task = progress.add_task("bench", total=max(warmup, 1) + runs)
        if layers:
            _require_native(against, device, backend)
            profiled = profile(
                engine, scene, max(warmup, 1) + runs, threads=threads, progress=lambda: progress.advance(task)
            )
            _tell(layers_table(profiled), asdict(profiled), json_file)
            return
        report = measure(
            paths,
            scene,
            runs,
            warmup,
            device=device,
            backends=(backend, against_backend),
            threads=threads,
            progress=lambda: progress.advance(task),
        )
    _tell(bench_table(report), report, json_file)


def _tell(table: RenderableType, report: Mapping[str, Any], json_file: Path | None) -> None:
    (err if json_file and is_stream(json_file) else out).print(table)
    if json_file:
        with atomic_path(json_file) as temporary:
            temporary.write_text(json.dumps(report, indent=2), encoding="utf-8")


def _require_native(against: Path | None, device: str, backend: str) -> None:
    if against:
        raise InputError("--layers looks into one engine; leave out --against")
    if backend not in ("auto", "native") or device not in ("auto", "cpu"):
        raise InputError("--layers looks into native kernels on the CPU; leave out --backend and --device")


def _require_one_kind(paths: Sequence[Path], specs: Sequence[EngineSpec]) -> None:
    for path, spec in zip(paths, specs, strict=True):
        if spec.kind != specs[0].kind:
            raise InputError(
                f"engine {path} is a {spec.kind}, engine {paths[0]} a {specs[0].kind}; compare engines of one kind"
            )


def _input(
    specs: Sequence[EngineSpec], labels: Path | None, instances: Path | None, image: Path | None, random: bool
) -> BenchInput:
    spec = specs[0]
    if spec.labels is None and (labels or instances):
        raise InputError("--labels and --instances are for engines with a class table; give --image")
    if spec.labels is not None and image:
        raise InputError("--image is for engines without a class table; give --labels")
    if random:
        return generated_input(*specs, noise=True)
    if image:
        return input_from_image(spec, image, note)
    if labels:
        return input_from_files(spec, labels, instances, note)
    return demo_input(spec, ASSETS) or generated_input(*specs, noise=False)
