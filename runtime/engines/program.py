"""The program of an engine: what its graph computes, in a few coarse layers, for kernels of our own.

`export` writes it as JSON into the ONNX file's metadata under `PROGRAM_KEY`. Weights are named, and lie in the graph.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from runtime.engines.initializers import Initializer, find_initializers
from runtime.engines.onnx_metadata import read_metadata
from runtime.engines.program_fields import name, several, shown
from runtime.engines.program_layer import Layer, Shape, Value
from runtime.engines.program_layers import OPS
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.errors import EngineFormatError, UnknownProgramError

PROGRAM_KEY = "pix2rt.program"
FORMAT = 1

_MAX_DOCUMENT = 4 * 2**20  # characters; the largest network's has some 20 000
_MAX_LAYERS = 10_000
_MAX_SIDE = 2**24
_MAX_ELEMENTS = 2**36  # of a value


@dataclass(frozen=True)
class Program:
    """Layers in the order of execution. A name is given once, and used after that."""

    layers: tuple[Layer, ...]

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
                raise _damaged(_where(index, layer.op), str(error)) from error
        for tensor in spec.outputs:
            value = values[tensor.name]
            if value.dtype != tensor.dtype or not _fits(value.shape, tensor.shape):
                expected = f"{tensor.dtype} {list(tensor.shape)}"
                raise _damaged(f"output {tensor.name}", f"{value.dtype} {list(value.shape)}, expected {expected}")
        return values

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, "layers": [layer.to_json() for layer in self.layers]})


def read_program(engine: str | Path | EngineSource, spec: EngineSpec) -> tuple[Program, dict[str, Initializer]] | None:
    """The program inside an engine and where its weights lie; None where there is none.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        UnknownProgramError: of a newer format, or with layers that this version does not know.
        EngineFormatError: the program or the file is damaged.
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
        raise UnknownProgramError(f"engine {source}: {error}") from error
    except EngineFormatError as error:
        raise EngineFormatError(f"engine {source}: {error}") from error
    return Program(layers)


def _entries(text: str) -> list[Any]:
    if len(text) > _MAX_DOCUMENT:
        raise _damaged("document", f"{len(text)} characters, expected at most {_MAX_DOCUMENT}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged("document", f"it is not JSON ({error})") from error
    version = document.get("format") if isinstance(document, dict) else None
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise _damaged("document", "it names no format")
    if version > FORMAT:
        raise UnknownProgramError(
            f"its program has format {shown(version)}, this pix2rt reads up to {FORMAT}; upgrade pix2rt"
        )
    layers = document.get("layers")
    if not isinstance(layers, list) or not 0 < len(layers) <= _MAX_LAYERS:
        raise _damaged("document", f"it has no list of 1 to {_MAX_LAYERS} layers")
    return layers


def _layer(index: int, entry: object) -> Layer:
    if not isinstance(entry, dict):
        raise _damaged(f"layer {index}", f"{shown(entry)} is no layer")
    op = entry.get("op")
    if not isinstance(op, str):
        raise _damaged(f"layer {index}", f"its op is {shown(op)}")
    if op not in OPS:
        raise UnknownProgramError(
            f"layer {index} of its program is {shown(op)}, which this pix2rt does not know; upgrade pix2rt"
        )
    try:
        return _checked(OPS[op], entry)
    except ValueError as error:
        raise _damaged(_where(index, op), str(error)) from error


_NAMES = {"inputs": several(name, 1, 64), "output": name}


def _checked(kind: type[Layer], entry: Mapping[str, object]) -> Layer:
    checks = {field.name: field.metadata.get("check") or _NAMES[field.name] for field in fields(kind)}
    if foreign := entry.keys() - checks.keys() - {"op"}:
        raise ValueError(f"it has no field {shown(min(foreign))}")
    values = {}
    for key in entry.keys() - {"op"}:
        try:
            values[key] = checks[key](entry[key])
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
    try:
        layer = kind(**values)
    except TypeError as error:
        missing = ", ".join(sorted(checks.keys() - entry.keys()))
        raise ValueError(f"it has no {missing}") from error
    layer.check()
    return layer


def _check_names(layers: tuple[Layer, ...], spec: EngineSpec) -> None:
    """Every name is given once and before its use; engine inputs and outputs are where they may be."""
    inputs, outputs = {tensor.name for tensor in spec.inputs}, {tensor.name for tensor in spec.outputs}
    between: set[str] = set()
    given = set(inputs)
    for index, layer in enumerate(layers):
        for source in layer.inputs:
            if source not in (inputs if layer.is_first else between):
                raise _damaged(_where(index, layer.op), f"no input {shown(source)} is there for it")
        if layer.output in given or (layer.output in outputs) != layer.is_last:
            raise _damaged(_where(index, layer.op), f"{shown(layer.output)} cannot be its output")
        given.add(layer.output)
        if not layer.is_last:
            between.add(layer.output)
    if missing := outputs - given:
        raise _damaged("document", f"nothing gives the output {min(missing)}")


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


def _damaged(where: str, reason: str) -> EngineFormatError:
    return EngineFormatError(f"its program is damaged: {where}: {reason}; export it again")
