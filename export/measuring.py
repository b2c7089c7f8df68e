"""Those of the exporter's commands that measure what networks and engines cost."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from export.options import parse_size, parse_sizes
from export.progress import Steps
from runtime.files import atomic_path

console = Console()
_steps = Console(stderr=True)  # tables alone are standard output

_REPORT_EXAMPLE = """
**Example**: `pix2rt report burden --sizes 256x256,512x1024 -o report`
"""
_SUITE_EXAMPLE = """
**Examples**: `python -m export gpu-suite -o gpu.json`

`python -m export gpu-suite -o gpu.json --only shipped,released --seconds 200`
"""
_GPU_REPORT_EXAMPLE = """
**Example**: `python -m export gpu-report gpu.json`
"""
_EAGER_EXAMPLE = """
**Example**: `pix2rt report eager city.safetensors city.onnx --threads 2`
"""
_COMPLETION_EXAMPLE = """
**Example**: `pix2rt report completion --threads 2`
"""


def report_command(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write burden.md into; else it is printed.")
    ] = None,
    sizes: Annotated[str, typer.Option(help="Heights x widths.")] = "256x256,512x1024,1024x2048",
    runs: Annotated[int, typer.Option(help="Measured calls of each engine.")] = 5,
    precision: Annotated[str, typer.Option(help="fp32 or fp16.")] = "fp32",
) -> None:
    """Compare pix2pix and pix2pixHD: parameters, multiply-adds, engine size, latency, memory. Takes minutes."""
    with Steps(_steps) as report:
        wanted = parse_sizes(sizes)
        report("import torch")
        from export.report import cost_rows, markdown

        text = markdown(cost_rows(wanted, runs, report, precision=precision))
    if output is None:
        print(text, end="")
        return
    with atomic_path(output / "burden.md") as temporary:
        temporary.write_text(text, "utf-8")
    console.print(f"{output / 'burden.md'} written", highlight=False)


def completion_report(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="Checkpoint of a Contextual GAN; without one the paper's network.")
    ] = None,
    turns: Annotated[int, typer.Option(help="Turns of five steps, of engine and torch each.")] = 10,
    threads: Annotated[int | None, typer.Option(help="CPU threads of both; their own choice if not given.")] = None,
) -> None:
    """Measure a step of a sketch's completion against torch eager, and a whole search."""
    with Steps(_steps) as report:
        report("import torch")
        from export.completion_benchmark import markdown, step_times

        text = markdown(step_times(checkpoint, turns, threads, report))
    print(text, end="")


def eager_report(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint that the engine was made of.")],
    engine: Annotated[Path, typer.Argument(help="Engine (.onnx).")],
    size: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH, for an engine of any size; 512x512 if not given.")
    ] = None,
    turns: Annotated[int, typer.Option(help="Calls of each.")] = 9,
    threads: Annotated[int | None, typer.Option(help="CPU threads of both; their own choice if not given.")] = None,
) -> None:
    """Measure an engine against its checkpoint's networks in torch eager, bytes to bytes on the CPU."""
    with Steps(_steps) as report:
        wanted = parse_size(size, dynamic=False) if size else None
        report("import torch")
        from export.eager_benchmark import eager_times, markdown

        text = markdown(eager_times(checkpoint, engine, wanted, turns, threads, report))
    print(text, end="")


def gpu_suite(
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file to write, after every figure.")],
    only: Annotated[str | None, typer.Option(help="Names of stages, with commas.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="For everything.")] = 480,
    measured: Annotated[float, typer.Option(min=0.01, help="Seconds of each measurement.")] = 0.7,
    folder: Annotated[Path | None, typer.Option(help="Keep there what is made on the way.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the file that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Every stage on the CPU, at tiny sizes.")] = False,
) -> None:
    """Check and time everything on this machine's GPU; exit code 1 where a stage failed. Needs torch with CUDA and
    onnxruntime-gpu, no network, and under 8 minutes.
    """
    from export.gpu_suite.conduct import conduct, new_folder
    from export.gpu_suite.settings import Settings
    from export.gpu_suite.stages import stage_names

    with new_folder() as made:
        where = folder or Path(made)
        where.mkdir(parents=True, exist_ok=True)
        settings = Settings("cpu" if dry_run else "cuda", str(where.resolve()), dry_run, measured)
        is_done = conduct(
            output,
            settings,
            only=stage_names(only),
            seconds=seconds,
            resume=resume,
            report=lambda step: print(step, file=sys.stderr, flush=True),
        )
    console.print(f"{output} written", highlight=False)
    if not is_done:
        raise typer.Exit(1)


def gpu_report(results: Annotated[Path, typer.Argument(help="JSON file of `gpu-suite`.")]) -> None:
    """Print a GPU's figures as tables."""
    from export.gpu_suite.tables import markdown

    print(markdown(results), end="")


# By name: the command, and the example below its help.
MEASURING: dict[str, tuple[Callable[..., None], str]] = {
    "report": (report_command, _REPORT_EXAMPLE),
    "completion-report": (completion_report, _COMPLETION_EXAMPLE),
    "eager-report": (eager_report, _EAGER_EXAMPLE),
    "gpu-suite": (gpu_suite, _SUITE_EXAMPLE),
    "gpu-report": (gpu_report, _GPU_REPORT_EXAMPLE),
}
