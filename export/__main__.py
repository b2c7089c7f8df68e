"""Command line of the exporter: `pix2rt import | onnx | engine | validate | report | …`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import export.own_packages  # noqa: F401  its check goes before all other imports of ours
from export.errors import ExportError
from export.family_parameters import given_options, with_family_options
from export.measuring import MEASURING
from export.options import engine_paths, parse_size
from export.progress import Steps
from runtime.commands.config import Config
from runtime.commands.console import Commands
from runtime.commands.lazy import REST, Verb, Version
from runtime.engines.names import engine_path
from runtime.files import atomic_path, is_stream
from runtime.media.input_files import refuse_overwriting


class ExportCommands(Commands):
    """All of them need the same extra."""

    def extra_of(self, name: str) -> str:
        return "export"


app = typer.Typer(
    name="export",
    cls=ExportCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
console = Console()


@app.callback()
def _about(version: Version = False) -> None:
    """Turn checkpoints into engines."""


_IMPORT_EXAMPLE = """
**Example**: `pix2rt import latest_net_G.pth --opt opt.txt -o city.safetensors`

`pix2rt import latest_net_G.pth --opt train_opt.txt -o facades.safetensors`
"""
_ONNX_EXAMPLES = """
**Examples**: `pix2rt export city.safetensors --size 1024x2048 -o city.onnx`

`pix2rt export city.safetensors --size 1024x2048 --precision fp16 -o city.fp16.onnx`

`pix2rt export city.safetensors --dynamic -o city.any_size.onnx`

`pix2rt export city.safetensors --size 512x1024 --size 1024x2048 --precision fp32 --precision fp16 -o city.onnx`

`pix2rt export facades.safetensors --size 256x256 --normalization running-stats -o facades.onnx`

`pix2rt export holes.safetensors --size 512x512 --iterations 2 -o inpaint.onnx`

`pix2rt export holes.safetensors --size 512x512 --style-transfer -o restyle.onnx`
"""
_ENGINE_EXAMPLES = """
**Examples**: `python -m export engine city.fp16.onnx -o city.engine`

`python -m export engine city.any_size.onnx --opt 1x512x1024 --max 4x1024x2048 -o city.engine`
"""
_VALIDATE_EXAMPLE = """
**Example**: `pix2rt validate city.safetensors city.onnx city.fp16.onnx`
"""
_PROGRAM_EXAMPLE = """
**Example**: `pix2rt program city.onnx -o city.with_program.onnx`
"""
_TRITON_EXAMPLE = """
**Examples**: `pix2rt triton city.onnx -o model_repository`

`pix2rt triton edges2photo -o model_repository --max-batch 16 --device gpu`
"""


@app.command("import", epilog=_IMPORT_EXAMPLE, cls=Verb)
def import_(
    generator: Annotated[Path, typer.Argument(help="latest_net_G.pth of pix2pixHD, or of junyanz' pix2pix.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write (.safetensors).")],
    encoder: Annotated[
        Path | None, typer.Option(help="latest_net_E.pth, where the model has instance features.")
    ] = None,
    discriminator: Annotated[Path | None, typer.Option(help="latest_net_D.pth; only fine-tuning reads it.")] = None,
    styles: Annotated[
        Path | None, typer.Option(help="features_clustered_010.npy: the style bank.", rich_help_panel=REST)
    ] = None,
    opt: Annotated[
        Path | None, typer.Option(help="opt.txt or train_opt.txt of the training run.", rich_help_panel=REST)
    ] = None,
    label_nc: Annotated[
        int | None, typer.Option(help="Number of classes; 0 where the input is an image.", rich_help_panel=REST)
    ] = None,
    edges: Annotated[
        bool | None,
        typer.Option("--edges/--no-edges", help="Whether instance edges are an input.", rich_help_panel=REST),
    ] = None,
    dropout: Annotated[
        bool | None,
        typer.Option(
            "--dropout/--no-dropout", help="pix2pix: whether it was trained with dropout.", rich_help_panel=REST
        ),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="pix2pix or pix2pixhd, where the file can be either.", rich_help_panel=REST)
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Which network, where the file holds several.", rich_help_panel=REST)
    ] = None,
) -> None:
    """Turn another project's weights into a pix2rt checkpoint."""
    with Steps(console) as report:
        report("import torch")
        from training.checkpoint import save_checkpoint
        from training.imports.detection import import_checkpoint

        if output.suffix != ".safetensors":
            raise ExportError(f"output {output}: a checkpoint's name ends in .safetensors")
        report("read weights")
        checkpoint = import_checkpoint(
            generator,
            encoder=encoder,
            discriminator=discriminator,
            styles=styles,
            opt=opt,
            label_nc=label_nc,
            use_edges=edges,
            use_dropout=dropout,
            family=family,
            key=key,
        )
        report("write checkpoint")
        save_checkpoint(checkpoint, output)
    from export.tables import checkpoint_table

    console.print(checkpoint_table(checkpoint, output))


@app.command("onnx", epilog=_ONNX_EXAMPLES, cls=Verb)
@with_family_options
def onnx(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint (.safetensors).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Engine to write (.onnx).")],
    size: Annotated[
        list[str] | None,
        typer.Option(help="Height x width of the images, such as 1024x2048; an engine each if given again."),
    ] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Any batch and size instead of one.")] = False,
    precision: Annotated[list[str] | None, typer.Option(help="fp32 (default) or fp16; both if given twice.")] = None,
    normalization: Annotated[
        str | None,
        typer.Option(
            help="Statistics of BatchNorm: per-image, running-stats or batch-stats; else the checkpoint's.",
            rich_help_panel=REST,
        ),
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option("--baseline", help="The naive export with float input, to measure against.", rich_help_panel=REST),
    ] = False,
    config: Config = None,
    **options: Any,
) -> None:
    """Export a checkpoint to ONNX and compare the two; an engine that differs is not written."""
    with Steps(console) as report:
        sizes = [parse_size(text, dynamic) for text in size] if size else [parse_size(None, dynamic)]
        targets = engine_paths(output, sizes, precision or ["fp32"])
        report("import torch")
        from export.onnx_from_checkpoint import export_onnx

        exported = []
        for target, (fixed, one_precision) in targets.items():
            report(f"export {target.name}")
            exported += export_onnx(
                checkpoint,
                target,
                size=fixed,
                precision=one_precision,
                baseline=baseline,
                normalization=normalization,
                options=given_options(options),
                report=report,
            )
    from export.tables import engine_table

    for engine in exported:
        console.print(engine_table(engine))


@app.command("engine", epilog=_ENGINE_EXAMPLES)
def engine(
    onnx: Annotated[Path, typer.Argument(help="Engine (.onnx) that `export onnx` wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Plan to write (.engine); its .json comes beside it.")],
    flavor: Annotated[str | None, typer.Option(help="tensorrt or tensorrt-rtx; by default the installed one.")] = None,
    smallest: Annotated[str | None, typer.Option("--min", help="Dynamic: smallest batch x height x width.")] = None,
    best: Annotated[str | None, typer.Option("--opt", help="Dynamic: the one to tune for.")] = None,
    largest: Annotated[str | None, typer.Option("--max", help="Dynamic: the largest; memory grows with it.")] = None,
) -> None:
    """Build a TensorRT or TensorRT-RTX plan from an ONNX engine; `pix2rt build` does the same, without torch."""
    from export.engine_from_onnx import Profile, engine_from_onnx
    from runtime.engines.onnx_metadata import read_spec

    with Steps(console) as report:
        report("build plan")
        path = engine_path(onnx)
        profile = Profile.parse(read_spec(path), smallest, best, largest)
        plan = engine_from_onnx(path, output, flavor=flavor, profile=profile)
    size = f"{plan.path.stat().st_size / 1e6:,.1f} MB"
    console.print(f"{plan.path}: {plan.origin}, {size}", highlight=False)


@app.command("validate", epilog=_VALIDATE_EXAMPLE)
def validate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint (.safetensors).")],
    engines: Annotated[list[Path], typer.Argument(help="Engines (.onnx) made from it, or their names.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the verdicts there too.")] = None,
) -> None:
    """Compare engines with their checkpoint: names, shapes, values. Exit code 1 where one differs."""
    with Steps(console) as report:
        report("import torch")
        from export.tables import parity_table
        from export.validate import validate

        paths = [engine_path(engine) for engine in engines]
        if json_file:
            refuse_overwriting("engine", [checkpoint, *paths], [json_file], "--json")
        rows = validate(checkpoint, paths, report)
    (Console(stderr=True) if json_file and is_stream(json_file) else console).print(parity_table(rows))
    if json_file:
        with atomic_path(json_file) as temporary:
            temporary.write_text(json.dumps({"engines": [row.as_json() for row in rows]}, indent=2), encoding="utf-8")
    failed = [row for row in rows if row.failure]
    for row in failed:
        print(f"{row.engine}: {row.failure}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


@app.command("program", epilog=_PROGRAM_EXAMPLE)
def program(
    engine: Annotated[Path, typer.Argument(help="Engine (.onnx) exported before engines had programs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Engine to write (.onnx).")],
) -> None:
    """Give an engine its program, so that native kernels can run it; graph and weights stay as they are."""
    from export.embedded_program import add_program

    with Steps(console) as report:
        report("find layers")
        layers = add_program(engine_path(engine), output).layers
    console.print(f"{output}: a program of {len(layers)} layers", highlight=False, soft_wrap=True)


@app.command("triton", epilog=_TRITON_EXAMPLE, cls=Verb)
def triton(
    engine: Annotated[Path, typer.Argument(help="Engine (.onnx), its name, or a TensorRT plan (.engine).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model repository; made if it is not there.")],
    name: Annotated[str | None, typer.Option(help="Of the model; the engine's if not given.")] = None,
    version: Annotated[int, typer.Option(min=1, help="Of the model.")] = 1,
    instances: Annotated[int, typer.Option(min=1, help="Copies of the model on each device.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    max_batch: Annotated[
        int, typer.Option(min=1, help="Images of several requests in one call, where the engine's batch is free.")
    ] = 8,
    delay: Annotated[
        int, typer.Option(min=0, help="Microseconds that a request waits for others.", rich_help_panel=REST)
    ] = 1000,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of an instance.", rich_help_panel=REST)
    ] = None,
) -> None:
    """Lay out an engine as a model of Triton Inference Server."""
    from export.triton import Serving, triton_model

    serving = Serving(instances, device, max_batch, delay, threads)
    folder = triton_model(engine_path(engine), output, serving, name=name, version=version)
    console.print(f"{folder}: a model for `tritonserver --model-repository={output}`", highlight=False, soft_wrap=True)


for _name, (_measuring, _example) in MEASURING.items():
    app.command(_name, epilog=_example)(_measuring)


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m export")


if __name__ == "__main__":
    main()
