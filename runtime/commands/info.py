"""What an engine is."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from runtime.commands.console import out
from runtime.commands.options import Engine
from runtime.commands.tables import least_memory_bytes, spec_tables
from runtime.engines.engine import choices, engine_spec
from runtime.engines.plan import SUFFIX, read_origin
from runtime.engines.source import EngineSource


def info(
    engine: Engine, as_json: Annotated[bool, typer.Option("--json", help="Print the specification as JSON.")] = False
) -> None:
    """Show what an engine is, without loading it.

    Example: `pix2rt info city.onnx`
    """
    spec = engine_spec(engine)
    origin = read_origin(EngineSource.of(engine)) if engine.suffix == SUFFIX else None
    if as_json:
        document = {**json.loads(spec.to_json()), "least_memory_bytes": least_memory_bytes(spec)}
        if origin:
            document["tensorrt"] = asdict(origin)
        print(json.dumps(document, indent=2))
        return
    out.print(spec_tables(str(engine), spec, choices(engine)))
    if origin:
        out.print(f"plan of {origin}", highlight=False, soft_wrap=True)
