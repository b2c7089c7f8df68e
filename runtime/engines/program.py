"""The program of an engine: what its graph computes, in a few coarse layers, for kernels of our own.

`export` writes it as JSON into the ONNX file's metadata under `PROGRAM_KEY`. Weights are named, and lie in the graph.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from runtime.engines.document import Document
from runtime.engines.initializers import Initializer, find_initializers
from runtime.engines.onnx_metadata import read_metadata
from runtime.engines.program_fields import name
from runtime.engines.program_layer import Layer, Shape, Value
from runtime.engines.program_layers import OPS
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.errors import EngineFormatError, UnknownProgramError

PROGRAM_KEY = "pix2rt.program"
FORMAT = 3
_MAX_FORMAT = 10**9

_MAX_DOCUMENT = 4 * 2**20  # characters; the largest network's has some 20 000
_MAX_LAYERS = 10_000
_MAX_SIDE = 2**24
_MAX_ELEMENTS = 2**36  # of a value


@dataclass(frozen=True)
class Program:
    """Layers in the order of execution. A name is given once, and used after that.

    Attributes:
        layers: at least one.
        source: the engine, for messages.
    """

    layers: tuple[Layer, ...]
    source: str = field(default="", compare=False)

    @property
    def initializers(self) -> tuple[str, ...]:
        """Names of the graph's initializers that it reads, each once."""
        return tuple(dict.fromkeys(initializer for layer in self.layers for initializer in layer.initializers))

    def values(
        self, inputs: Mapping[str, Shape], spec: EngineSpec, weights: Mapping[str, Initializer]
    ) -> dict[str, Value]:
        """Every value by name, for engine inputs of these shapes.

        Raises:
            EngineFormatError: a layer does not fit its input or its weights, or an output not the specification.
        """
        values = {tensor.name: Value(tensor.dtype, inputs[tensor.name]) for tensor in spec.inputs}
        for index, layer in enumerate(self.layers):
            try:
                values[layer.output] = _bounded(layer.infer(tuple(values[x] for x in layer.inputs), weights))
            except ValueError as error:
                raise _damaged(self.source, f"{_where(index, layer.op)}: {error}") from error
        batch = values[self.layers[0].output].shape[0]
        if strange := [layer.output for layer in self.layers if values[layer.output].shape[0] != batch]:
            raise _damaged(self.source, f"{strange[0]} is not of {batch} images, as what comes before it")
        for tensor in spec.outputs:
            value = values[tensor.name]
            if value.dtype != tensor.dtype or not _fits(value.shape, tensor.shape):
                given, expected = f"{value.dtype} {list(value.shape)}", f"{tensor.dtype} {list(tensor.shape)}"
                raise _damaged(self.source, f"output {tensor.name} is {given}, expected {expected}")
        return values

    def to_json(self) -> str:
        """Of the oldest format that has all its layers, so that older versions run what they can."""
        needed = max((layer.format for layer in self.layers), default=1)
        return json.dumps({"format": needed, "layers": [layer.to_json() for layer in self.layers]})


def read_program(engine: str | Path | EngineSource, spec: EngineSpec) -> tuple[Program, dict[str, Initializer]] | None:
    """The program inside an engine and where its weights lie; None where there is none.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        UnknownProgramError: of a newer format, or with layers that this version does not know.
        EngineFormatError: the program or the engine is damaged.
    """
    source = EngineSource.of(engine)
    text = read_metadata(source).get(PROGRAM_KEY)
    if text is None:
        return None
    program = parse_program(text, spec, str(source))
    return program, find_initializers(source, program.initializers)


def parse_program(text: str, spec: EngineSpec, source: str) -> Program:
    """Read the JSON program of the engine `source`, whose specification is `spec`.

    Raises:
        UnknownProgramError: of a newer format, or with layers that this version does not know.
        EngineFormatError: not JSON, or anything in it is missing, wrong or too large.
    """
    try:
        layers = tuple(_layer(index, entry) for index, entry in enumerate(_entries(text)))
        _check_names(layers, spec)
    except UnknownProgramError as error:
        raise UnknownProgramError(f"engine {source}: {error}; upgrade pix2rt") from error
    except ValueError as error:
        raise _damaged(source, str(error)) from error
    return Program(layers, source)


def _entries(text: str) -> list[Any]:
    if len(text) > _MAX_DOCUMENT:
        raise ValueError(f"{len(text)} characters, expected at most {_MAX_DOCUMENT}")
    document = Document.parse(text)
    version = document.integer("format", 1, _MAX_FORMAT)
    if version > FORMAT:
        raise UnknownProgramError(f"its program has format {version}, this pix2rt reads up to {FORMAT}")
    return document.list("layers", _MAX_LAYERS, least=1)


def _layer(index: int, entry: object) -> Layer:
    document = Document.of(entry, f"layer {index}")
    op = name(document, "op")
    if op not in OPS:
        raise UnknownProgramError(f"layer {index} of its program is {op!r}, which this pix2rt does not know")
    try:
        return _checked(OPS[op], document)
    except ValueError as error:
        raise ValueError(f"{_where(index, op)}: {error}") from error


def _checked(kind: type[Layer], document: Document) -> Layer:
    known = {field.name: field for field in fields(kind)}
    if foreign := document.fields.keys() - known.keys() - {"op"}:
        raise ValueError(f"it has an unknown field {min(foreign)[:60]!r}")
    values = {
        field.name: field.metadata["read"](document, field.name)
        for field in known.values()
        if field.name in document.fields or field.default is MISSING
    }
    layer = kind(**values)
    layer.check()
    return layer


def _check_names(layers: tuple[Layer, ...], spec: EngineSpec) -> None:
    """Every name is given once and before its use; engine inputs and outputs are where they may be."""
    inputs, outputs = {tensor.name for tensor in spec.inputs}, {tensor.name for tensor in spec.outputs}
    between: set[str] = set()
    given = set(inputs)
    for index, layer in enumerate(layers):
        for number, source in enumerate(layer.inputs):
            if source not in (inputs if layer.reads_engine(number) else between):
                raise ValueError(f"{_where(index, layer.op)}: no input {source!r} is there for it")
        if layer.output in given or (layer.output in outputs) != layer.is_last:
            raise ValueError(f"{_where(index, layer.op)}: {layer.output!r} cannot be its output")
        given.add(layer.output)
        if not layer.is_last:
            between.add(layer.output)
    if missing := outputs - given:
        raise ValueError(f"nothing gives the output {min(missing)}")


def _bounded(value: Value) -> Value:
    if not all(0 < side <= _MAX_SIDE for side in value.shape) or math.prod(value.shape) > _MAX_ELEMENTS:
        raise ValueError(f"gives {list(value.shape)}")
    return value


def _fits(shape: Shape, expected: tuple[int | str, ...]) -> bool:
    return len(shape) == len(expected) and all(
        not isinstance(wanted, int) or wanted == side for wanted, side in zip(expected, shape, strict=True)
    )


def _where(index: int, op: str) -> str:
    return f"layer {index} ({op})"


def _damaged(source: str, reason: str) -> EngineFormatError:
    return EngineFormatError(f"engine {source}: its program is damaged: {reason}; export it again")
