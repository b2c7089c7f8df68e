"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from runtime.engines.names import engine_path


def _found(engine: Path | None) -> Path | None:
    return None if engine is None else engine_path(engine)


Engine = Annotated[
    Path,
    typer.Argument(
        metavar="ENGINE",
        help="An engine's name (`pix2rt models`), the .onnx file that `pix2rt export` wrote, or a plan (.engine).",
        callback=_found,
    ),
]
OtherEngine = Annotated[
    Path | None, typer.Option(help="Another engine, measured in turns with this one.", callback=_found)
]
Encoder = Annotated[
    Path | None,
    typer.Option(help="Its encoder engine; ENGINE's NAME.encoder.onnx if not given.", callback=_found),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]
Backend = Annotated[str, typer.Option(help="What runs the engine: auto, onnxruntime, tensorrt, …; `info` lists them.")]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Leave out what has its result already.")]
StopAtFirst = Annotated[bool, typer.Option("--stop-at-first", help="End at the first image that fails.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; all cores if not given.")]
