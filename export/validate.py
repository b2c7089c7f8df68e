"""Checkpoint ↔ engines that exist already: names, then shapes, then values."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from export.errors import ExportError, ParityError
from export.gate import make_examples, run_gate
from export.inference_modules import Graph, request_of
from export.onnx_from_checkpoint import Report, graphs_of
from export.parity import Parity, worst
from export.torch_to_onnx import static_tensors
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.spec import EngineSpec, TensorSpec
from training.checkpoint import Checkpoint, load_checkpoint


@dataclass(frozen=True)
class ParityRow:
    """The verdict on one engine; what was not reached is None. `failure` is empty where the engine is equal."""

    engine: str
    precision: str
    names_fit: bool
    shapes_fit: bool | None
    parity: Parity | None
    failure: str

    def as_json(self) -> dict[str, Any]:
        """The row as JSON has it: no infinity, 999 dB for equality."""
        return asdict(self) | {"is_equal": not self.failure, "parity": self.parity.figures() if self.parity else None}


def validate(checkpoint_path: str | Path, engines: list[Path], report: Report = lambda step: None) -> list[ParityRow]:
    """Compare engines with the checkpoint that they are said to come from.

    Raises:
        MissingFileError, CheckpointError, EngineFormatError: a file is not there, damaged or of another kind.
        ExportError: an engine is a TensorRT plan, or of a family or kind the checkpoint has no network for.
    """
    report("read checkpoint")
    checkpoint = load_checkpoint(checkpoint_path)
    rows = []
    for path in engines:
        report(f"compare {path}")
        if path.suffix == ".engine":
            raise ExportError(f"engine {path} is a TensorRT plan; validate the .onnx that it was built from")
        rows.append(_row(checkpoint, path, read_spec(path)))
    return rows


def _row(checkpoint: Checkpoint, path: Path, spec: EngineSpec) -> ParityRow:
    graph = graph_of(checkpoint, path, spec)
    expected = (*static_tensors(graph.inputs, spec.size), *static_tensors(graph.outputs, spec.size))
    received = (*spec.inputs, *spec.outputs)
    names_fit = [tensor.name for tensor in received] == [tensor.name for tensor in expected]
    shapes_fit = received == expected if names_fit else None
    if not shapes_fit:
        failure = f"has {_listed(received)}, expected {_listed(expected)}"
        return ParityRow(str(path), spec.precision, names_fit, shapes_fit, None, failure)
    try:
        parity = worst(run_gate(path, make_examples(graph, spec.size), spec.precision).values())
    except ParityError as error:
        return ParityRow(str(path), spec.precision, names_fit, shapes_fit, None, str(error))
    return ParityRow(str(path), spec.precision, names_fit, shapes_fit, parity, "")


def graph_of(checkpoint: Checkpoint, path: Path, spec: EngineSpec) -> Graph:
    """What the checkpoint becomes in the form of the engine `path`; raises ExportError where it has no such form."""
    if checkpoint.family != spec.family:
        raise ExportError(
            f"engine {path} comes from a network of family {spec.family}, this checkpoint holds one of "
            f"{checkpoint.family}; validate it with its own one"
        )
    checkpoint = replace(checkpoint, normalization=spec.normalization)
    graphs = graphs_of(checkpoint, request_of(spec), baseline=spec.kind == "baseline")
    for graph in graphs:
        if graph.kind == spec.kind:
            return graph
    kinds = ", ".join(graph.kind for graph in graphs)
    raise ExportError(
        f"engine {path} is a {spec.kind}, but this checkpoint becomes {kinds}; validate it with its own one"
    )


def _listed(tensors: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{t.name} {t.dtype} {list(t.shape)}" for t in tensors)
