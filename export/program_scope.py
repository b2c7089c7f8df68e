"""What the values of a graph are called in its program, and what a rule from nodes to layers is."""

from collections.abc import Callable

import onnx_ir as ir

from export.graph_patterns import name_of, require
from runtime.engines.program_layer import Layer


class Scope:
    """What the values of a graph are called in its program."""

    def __init__(self) -> None:
        self._names: dict[ir.Value, str] = {}

    def __contains__(self, value: ir.Value) -> bool:
        return value in self._names

    def name(self, value: ir.Value | None) -> str:
        """The name of a value that a layer gives; raises NoFitError where none does."""
        require(value in self._names)
        return self._names[value]  # type: ignore[index]

    def add(self, node: ir.Node, made: Layer | str) -> None:
        """What the node gives is a layer's output, or has a name already."""
        self._names[node.outputs[0]] = made if isinstance(made, str) else made.output

    def add_input(self, value: ir.Value, name: str) -> None:
        """A graph's input has a name in the program."""
        self._names[value] = name


# The layer that ends with a node, or the name of an earlier value that the node gives again.
Rule = Callable[[Scope, ir.Node], Layer | str]


def output(node: ir.Node) -> str:
    """What to call what a node gives, between layers."""
    value = node.outputs[0]
    return f"{value.name} inside" if value.is_graph_output() else name_of(value)
