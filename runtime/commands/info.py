"""What an engine is."""

import json
from typing import Annotated

import typer

from runtime.commands.console import out
from runtime.commands.options import Engine
from runtime.commands.tables import least_memory_bytes, spec_tables
from runtime.engines.engine import choices, engine_spec


def info(
    engine: Engine, as_json: Annotated[bool, typer.Option("--json", help="Print the specification as JSON.")] = False
) -> None:
    """Show what an engine is, without loading it.

    Example: `pix2rt info city.onnx`
    """
    spec = engine_spec(engine)
    if as_json:
        document = {**json.loads(spec.to_json()), "least_memory_bytes": least_memory_bytes(spec)}
        print(json.dumps(document, indent=2))
        return
    out.print(spec_tables(str(engine), spec, choices(engine)))
