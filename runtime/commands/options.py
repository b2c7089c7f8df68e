"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Engine = Annotated[
    Path,
    typer.Argument(metavar="ENGINE", help="The .onnx file that `python -m export onnx` wrote, or a plan (.engine)."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]
Backend = Annotated[str, typer.Option(help="What runs the engine: auto, onnxruntime, tensorrt, …; `info` lists them.")]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Leave out what has its result already.")]
StopAtFirst = Annotated[bool, typer.Option("--stop-at-first", help="End at the first image that fails.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; all cores if not given.")]
