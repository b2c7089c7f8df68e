"""The gate: examples, and an engine file against what the checkpoint makes of them."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cuda_ext.onnx_functions import DOMAIN
from export.embedded_program import save_engine
from export.errors import NoProgramError, ParityError
from export.inference_modules import Expected, Graph, Matches
from export.parity import Parity, compare_all, worst
from export.program_from_onnx import program_from_onnx
from runtime.engines.backend import Device, Engine
from runtime.engines.backends import backends
from runtime.engines.engine import why_not
from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import Program, read_program
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec, TensorSpec

_MANY_PIXELS = 512 * 1024  # above it, one example has to do
_SMALL_SIDE = 32
_SEED = 20261121


@dataclass(frozen=True)
class Example:
    """Inputs and what the checkpoint makes of them.

    Attributes:
        inputs: arrays by name.
        expected: the engine's matches → outputs of the checkpoint.
        follows_matches: whether these matter.
    """

    inputs: Mapping[str, NDArray[Any]]
    expected: Expected
    follows_matches: bool = False


def make_examples(graph: Graph, size: tuple[int, int] | None) -> list[Example]:
    """Examples for the gate: at the engine's size; where it is free, two sizes, one of them with two images."""
    rng = np.random.default_rng(_SEED)
    shapes = _example_shapes(graph, size)
    return [_example(graph, graph.examples(count, height, width, rng)) for count, height, width in shapes]


def _example(graph: Graph, inputs: dict[str, NDArray[Any]]) -> Example:
    given = graph.reference_given
    if given is not None:
        return Example(inputs, lambda matches: given(inputs, matches), follows_matches=True)
    assert graph.reference  # a graph has one of the two
    expected = graph.reference(inputs)
    return Example(inputs, lambda matches: expected)


def _example_shapes(graph: Graph, size: tuple[int, int] | None) -> list[tuple[int, int, int]]:
    if size:
        return [(1, *size)] * (1 if size[0] * size[1] >= _MANY_PIXELS else 3)
    m = graph.size_multiple
    side = max(graph.smallest_side, -(-_SMALL_SIDE // m) * m)
    return [(2, side, side + m), (1, 2 * side, side)]


def run_gate(path: Path, examples: Iterable[Example], precision: str) -> dict[str, Parity]:
    """Run the engine file on the examples, in every backend that runs it on this machine's CPU.

    Returns:
        The figures by the backend's name, ONNX Runtime's first.

    Raises:
        ParityError: one does not reproduce the checkpoint.
        EngineFormatError: its program does not fit its graph.
    """
    spec = read_spec(path)
    examples = list(examples)
    _check_program(path, spec, examples)
    figures: dict[str, Parity] = {}
    with _showing_matches(path, examples) as shown:
        for engine in _engines(path, spec):
            matches = _matches(shown, engine.backend, examples)
            expected = (example.expected(given) for example, given in zip(examples, matches, strict=True))
            pairs = zip(examples, expected, strict=True)
            try:
                figures[engine.backend] = worst(
                    compare_all(wanted, engine.run(example.inputs), precision) for example, wanted in pairs
                )
            except ParityError as error:
                raise ParityError(f"in {engine.backend}, {error}") from error
    return figures


def _engines(path: Path, spec: EngineSpec) -> Iterator[Engine]:
    """The engine in ONNX Runtime, and in the other backends that can run it here; one at a time."""
    engine: Engine = OnnxEngine(path, spec, "cpu", threads=None)
    yield engine
    engine.close()
    source, cpu = EngineSource.of(path), Device("cpu")
    for backend in backends().values():
        if backend.name == engine.backend or backend.is_yardstick or cpu.type not in backend.devices:
            continue
        if why_not(backend, source, spec, cpu, is_named=True) is None:
            other = backend.open(source, spec, cpu, None)
            yield other
            other.close()


def _check_program(path: Path, spec: EngineSpec, examples: list[Example]) -> None:
    """A program, where there is one, finds its weights in the file, and its layers fit each other."""
    found = read_program(path, spec)
    if found is None:
        return
    program, weights = found
    for example in examples:
        program.values({name: array.shape for name, array in example.inputs.items()}, spec, weights)


@dataclass(frozen=True)
class _Shown:
    """An engine file whose matches are outputs, too, and their names."""

    path: Path
    spec: EngineSpec
    names: tuple[str, ...]


def _matches(shown: _Shown | None, backend: str, examples: list[Example]) -> list[Matches]:
    """What the engine's `PatchMatch` nodes give for each example in a backend: where keys all but tie, each its own."""
    if shown is None:
        return [()] * len(examples)
    engine = backends()[backend].open(EngineSource.of(shown.path), shown.spec, Device("cpu"), None)
    runs = [engine.run(example.inputs) for example in examples]
    engine.close()
    return [[run[name] for name in shown.names] for run in runs]


@contextmanager
def _showing_matches(path: Path, examples: list[Example]) -> Iterator[_Shown | None]:
    """The engine with what its `PatchMatch` nodes give as outputs of its own; None where no example follows them."""
    if not any(example.follows_matches for example in examples):
        yield None
        return
    model, spec = onnx.load(path), read_spec(path)
    names = [n.output[0] for n in model.graph.node if (n.domain, n.op_type) == (DOMAIN, "PatchMatch")]
    known = {value.name: value for value in model.graph.value_info}
    for name in names:
        value = known[name]
        model.graph.output.append(value)
        axes = tuple(axis.dim_value or axis.dim_param for axis in value.type.tensor_type.shape.dim)
        spec = replace(spec, outputs=(*spec.outputs, TensorSpec(name, "int32", axes)))
    with tempfile.TemporaryDirectory() as folder:
        shown = Path(folder) / path.name
        save_engine(model, spec, _program(model, spec), shown)
        del model
        yield _Shown(shown, spec, tuple(names))


def _program(model: onnx.ModelProto, spec: EngineSpec) -> Program | None:
    try:
        return program_from_onnx(model, spec)
    except NoProgramError:
        return None
