"""ONNX graph → program: the coarse layers that its nodes come from, for the native kernels of `runtime`."""

import onnx
import onnx_ir as ir

from export.completion_patterns import as_numbers, as_vector
from export.errors import NoProgramError
from export.graph_patterns import NoFitError, name_of
from export.hole_patterns import as_output
from export.program_rules import rules_of
from export.program_scope import Scope
from runtime.engines.program import Program
from runtime.engines.program_layer import Layer
from runtime.engines.program_layers import ToFloats
from runtime.engines.spec import EngineSpec


def program_from_onnx(model: onnx.ModelProto, spec: EngineSpec) -> Program:
    """The program of an engine.

    Raises:
        NoProgramError: it can have none; the message says what stands in the way.
    """
    if spec.precision != "fp32":
        raise NoProgramError(f"a program computes in fp32, the engine in {spec.precision}")
    graph = ir.from_proto(model).graph
    scope = Scope()
    layers: list[Layer] = []
    for value in graph.inputs:
        vector = as_vector(value)
        if vector:
            scope.add_input(value, vector.output)
            layers.append(vector)
    for node in graph:
        made = _layer(scope, node)
        if made is not None:
            scope.add(node, made)
        if isinstance(made, Layer):
            layers.append(made)
    for value in graph.outputs:
        if value not in scope:
            raise NoProgramError(f"no layer of a program does what the node {_obstacle(scope, value)} does")
        if scope.name(value) != name_of(value):
            shown = as_output(scope, value) or as_numbers(scope, value)
            layers.append(shown or ToFloats((scope.name(value),), name_of(value)))
    return Program(_used(layers))


def _layer(scope: Scope, node: ir.Node) -> Layer | str | None:
    """The layer that ends with a node, or the name of the value that it gives again."""
    for rule in rules_of(node):
        try:
            return rule(scope, node)
        except NoFitError:
            continue
    return None


def _obstacle(scope: Scope, value: ir.Value) -> str:
    """The first node on the way to a value that is in no layer."""
    while True:
        node = value.producer()
        if node is None:
            return name_of(value)
        before = [source for source in node.inputs if source is not None and source.producer() is not None]
        unknown = [source for source in before if source not in scope]
        if not unknown:
            return f"{name_of(value)} ({node.op_type})"
        value = unknown[0]


def _used(layers: list[Layer]) -> tuple[Layer, ...]:
    """Without layers that are part of another."""
    needed: set[str] = set()
    used = []
    for layer in reversed(layers):
        if layer.is_last or layer.output in needed:
            needed.update(layer.inputs)
            used.append(layer)
    return tuple(reversed(used))
