"""Programs inside engine files: written at export, or given to an engine that was exported before there were any."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import uses_external_data

from export.errors import ExportError, NoProgramError
from export.program_from_onnx import program_from_onnx
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import PROGRAM_KEY, Program, read_program
from runtime.engines.spec import SPEC_KEY, EngineSpec
from runtime.errors import EngineFormatError
from runtime.files import atomic_path


def save_engine(model: onnx.ModelProto, spec: EngineSpec, program: Program | None, path: Path) -> None:
    """Write an engine file with its specification, and its program where it has one."""
    del model.metadata_props[:]
    model.metadata_props.add(key=SPEC_KEY, value=spec.to_json())
    if program is not None:
        model.metadata_props.add(key=PROGRAM_KEY, value=program.to_json())
    path.write_bytes(model.SerializeToString(deterministic=True))


def add_program(source: Path, output: Path) -> Program:
    """Write the engine `source` once more, as `output`, with a program; graph and weights stay what they are.

    Raises:
        MissingFileError, EngineFormatError: `source` is not there, or no engine.
        NoProgramError: what the graph computes is not what the layers of a program do.
        ExportError: `output` is no name of an engine.
    """
    if output.suffix != ".onnx":
        raise ExportError(
            f"output {output}: an ONNX engine's name ends in .onnx; pass -o {output.with_suffix('.onnx')}"
        )
    spec = read_spec(source)
    try:
        model = onnx.load(source, load_external_data=False)
    except DecodeError as error:
        raise EngineFormatError(f"engine {source} is no whole ONNX file: {error}; copy or export it again") from error
    if any(uses_external_data(tensor) for tensor in model.graph.initializer):
        raise EngineFormatError(f"engine {source} has weights in another file; export it again, into one")
    try:
        program = program_from_onnx(model, spec)
    except NoProgramError as error:
        raise NoProgramError(f"engine {source} can have no program: {error}; ONNX Runtime runs it as it is") from error
    with atomic_path(output) as temporary:
        save_engine(model, spec, program, temporary)
        read_program(temporary, spec)
    return program
