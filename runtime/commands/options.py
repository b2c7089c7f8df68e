"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from runtime.commands.lazy import REST
from runtime.engines.names import engine_path


def _found(engine: Path | None) -> Path | None:
    return None if engine is None else engine_path(engine)


def _all_found(engines: list[Path] | None) -> list[Path]:
    return [engine_path(engine) for engine in engines or ()]


Engine = Annotated[
    Path,
    typer.Argument(
        metavar="ENGINE",
        help="An engine's name (`pix2rt models`), the .onnx file that `pix2rt export` wrote, or a plan (.engine).",
        callback=_found,
    ),
]
OtherEngines = Annotated[
    list[Path] | None,
    typer.Option(help="Another engine, measured in turns with this one; can be given again.", callback=_all_found),
]
Encoder = Annotated[
    Path | None,
    typer.Option(
        help="Its encoder engine; ENGINE's NAME.encoder.onnx if not given.", callback=_found, rich_help_panel=REST
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]
Backend = Annotated[
    str,
    typer.Option(help="What runs the engine: auto, native, onnxruntime, …; `info` lists them.", rich_help_panel=REST),
]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Leave out what has its result already.", rich_help_panel=REST)
]
StopAtFirst = Annotated[
    bool, typer.Option("--stop-at-first", help="End at the first image that fails.", rich_help_panel=REST)
]
Threads = Annotated[int | None, typer.Option(help="CPU threads; all cores if not given.")]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Spread the images over a Ray cluster: its address, auto, or local for one of this machine; each actor "
        "takes --threads CPUs, 1 if not given.",
        rich_help_panel=REST,
    ),
]
