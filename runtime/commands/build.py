"""A TensorRT plan from an ONNX engine."""

from pathlib import Path
from typing import Annotated

import typer

from runtime.commands.console import note, out, share_bar
from runtime.commands.options import Engine
from runtime.engines.backend import Device
from runtime.engines.local_plans import local_plan, plan_path
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.plan import Profile
from runtime.engines.plan_builder import build_plan, require_plan_name
from runtime.engines.source import EngineSource
from runtime.errors import InputError


def build(
    engine: Engine,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Plan to write (.engine), its .json beside it; else the cache keeps it."),
    ] = None,
    flavor: Annotated[str | None, typer.Option(help="tensorrt or tensorrt-rtx; by default the installed one.")] = None,
    smallest: Annotated[str | None, typer.Option("--min", help="Dynamic: smallest batch x height x width.")] = None,
    best: Annotated[str | None, typer.Option("--opt", help="Dynamic: the one to tune for.")] = None,
    largest: Annotated[str | None, typer.Option("--max", help="Dynamic: the largest; memory grows with it.")] = None,
    device: Annotated[str, typer.Option(help="cuda, or cuda:1 for the second GPU.")] = "cuda",
) -> None:
    """Build a TensorRT plan for this machine's GPU from an .onnx engine; it runs there alone.

    Example: `pix2rt build city.onnx` and then `pix2rt synthesize city.onnx labels/ --backend tensorrt -o photos`

    Example: `pix2rt build city.any_size.onnx --opt 1x512x1024 --max 4x1024x2048 -o city.engine`
    """
    place = Device.parse(device)
    if place.type != "cuda":
        raise InputError(f"device {device!r}: TensorRT plans are for NVIDIA GPUs; give cuda or cuda:1")
    if output is not None:
        require_plan_name(output)
    source = EngineSource.of(engine)
    spec = read_spec(source)
    profile = Profile.parse(spec, smallest, best, largest)
    with share_bar("build plan") as progress:
        if output is None:
            plan = local_plan(source, spec, place, flavor=flavor, profile=profile, progress=progress)
            path = plan_path(source, spec, place, flavor=flavor, profile=profile)
        else:
            plan = build_plan(source, spec, flavor=flavor, profile=profile, gpu=place.index, progress=progress)
            plan.write(output, spec)
            path = output
    if plan.origin.gpu.startswith("none"):
        note("there is no GPU here: whether the plan runs on yours shows when it is opened there")
    out.print(f"{path}: {plan.origin}, {len(plan.data) / 1e6:,.1f} MB", highlight=False, soft_wrap=True)
