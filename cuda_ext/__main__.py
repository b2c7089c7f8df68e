"""Command line of the operator: python -m cuda_ext. Bad input exits with 2, other failures with 1."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum, auto
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from cuda_ext import bench_gpu, build, resources, tables
from cuda_ext.bench import measure
from cuda_ext.bench_forms import FORMS, Problem

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")
out = Console()
err = Console(stderr=True)


class Device(StrEnum):
    """Where the benchmark runs."""

    cpu = auto()
    cuda = auto()


@app.callback()
def _options() -> None:
    """Patch-swap: measure its forms, compile its kernels.

    Example: `python -m cuda_ext bench --json patch_swap.json`
    """


@app.command()
def bench(
    size: Annotated[str, typer.Option(metavar="HxW", help="Of the feature map.")] = "128x128",
    channels: Annotated[int, typer.Option(min=1, help="Of the features.")] = 256,
    hole: Annotated[int, typer.Option(min=1, help="Side of the square hole.")] = 64,
    runs: Annotated[int, typer.Option(min=1, help="Measured calls of each form.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each form; not on a GPU.")] = 2,
    device: Annotated[Device, typer.Option(help="On cuda, the kernels against the convolution form.")] = Device.cpu,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report there too.")] = None,
) -> None:
    """Measure the forms in turns: time, ratio to the convolution form and, on the CPU, memory beyond inputs and output.

    Example: `python -m cuda_ext bench --device cuda --runs 9`
    """
    height, width = _size(size)
    if hole + 4 > min(height, width):
        raise typer.BadParameter(f"a hole of {hole} in {size} leaves no known patch; at most {min(height, width) - 4}")
    _check_folder(json_file, "--json")
    problem = Problem(height, width, channels, hole)
    on_gpu = device is Device.cuda
    total = len(bench_gpu.PRECISIONS[device]) * runs if on_gpu else len(FORMS) + runs
    columns = (TextColumn("bench"), BarColumn(), MofNCompleteColumn())
    with _failures(), Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("bench", total=total)
        step = partial(progress.advance, task)
        report = bench_gpu.measure(device, problem, runs, step) if on_gpu else measure(problem, runs, threads, step)
    out.print(tables.of_gpu(report) if on_gpu else tables.of_cpu(report))
    _write_json(json_file, report)


@app.command()
def ptx(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    architecture: Annotated[str, typer.Option(help="Virtual architecture, compute_80 or later.")] = build.ARCHITECTURE,
) -> None:
    """Compile the CUDA kernels to PTX; no GPU needed.

    Example: `python -m cuda_ext ptx --architecture compute_90 -o patch_swap.ptx`
    """
    _check_folder(output, "--output")
    with _failures():
        output.write_bytes(build.ptx(architecture).rstrip(b"\0"))


@app.command(name="resources")
def kernel_resources(
    architecture: Annotated[list[str] | None, typer.Option(help="GPU such as sm_90; may be repeated.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report there too.")] = None,
) -> None:
    """Compile the CUDA kernels for many GPUs: registers, spills, shared memory. Needs nvcc and ptxas, no GPU.

    Example: `python -m cuda_ext resources --json tests/cuda_ext/resources.json`
    """
    _check_folder(json_file, "--json")
    with _failures():
        report = resources.measure(tuple(architecture or resources.ARCHITECTURES))
    out.print(tables.of_resources(report))
    _write_json(json_file, report)


def _check_folder(path: Path | None, option: str) -> None:
    if path and not path.parent.is_dir():
        raise typer.BadParameter(f"{path.parent} is not a folder; create it", param_hint=option)


def _write_json(path: Path | None, report: Any) -> None:
    if path:
        with _failures():
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise typer.BadParameter(f"{text!r} is no size; expected height x width such as 128x128", param_hint="--size")
    return int(match[1]), int(match[2])


@contextmanager
def _failures() -> Iterator[None]:
    """What fails for want of memory, room or a compiler is one red line, and exit code 1."""
    try:
        yield
    except (RuntimeError, OSError, MemoryError) as error:
        err.print(Text(str(error) or type(error).__name__, style="red"), soft_wrap=True)
        raise typer.Exit(1) from error


def main() -> None:
    """Entry point of `python -m cuda_ext`."""
    app(prog_name="python -m cuda_ext")


if __name__ == "__main__":
    main()
