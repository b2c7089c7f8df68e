"""Patterns of ONNX graphs: what a value must be computed from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

_COMMUTATIVE = ("Add", "Mul", "Max", "Equal")


class NoFitError(Exception):
    """A value is computed in another way than a pattern says. It never leaves the lowering of a graph."""


@dataclass(frozen=True)
class Op:
    """A node of some kind, whose inputs fit patterns of their own, and with some attributes."""

    kind: str
    inputs: "tuple[Pattern, ...]"
    attributes: Mapping[str, object]


# A name stands for any value, the same one wherever the name is; numbers for a constant that is equal.
Pattern = Op | str | float | list[int]
Found = dict[str, ir.Value]


def op(kind: str, *inputs: Pattern, **attributes: object) -> Op:
    """A node of these inputs and no others."""
    return Op(kind, inputs, attributes)


def fit(pattern: Pattern, value: ir.Value | None) -> Found:
    """The values of the names in `pattern`.

    Raises:
        NoFitError: `value` is not computed as it says.
    """
    return _fit(pattern, value, {})


def _fit(pattern: Pattern, value: ir.Value | None, found: Found) -> Found:
    if value is None:
        raise NoFitError
    if isinstance(pattern, str):
        require(found.get(pattern, value) is value)
        return found | {pattern: value}
    if not isinstance(pattern, Op):
        require(np.array_equal(constant(value), pattern))
        return found
    node = value.producer()
    if node is None or node.domain or node.op_type != pattern.kind:
        raise NoFitError
    require(all(attribute(node, name) == wanted for name, wanted in pattern.attributes.items()))
    sources = [source for source in node.inputs if source is not None]
    require(len(sources) == len(pattern.inputs))
    try:
        return _fit_all(pattern.inputs, sources, found)
    except NoFitError:
        require(pattern.kind in _COMMUTATIVE)
        return _fit_all(pattern.inputs, sources[::-1], found)


def _fit_all(patterns: tuple[Pattern, ...], values: list[ir.Value], found: Found) -> Found:
    for pattern, value in zip(patterns, values, strict=True):
        found = _fit(pattern, value, found)
    return found


def require(fits: bool) -> None:
    """Raise NoFitError unless `fits`."""
    if not fits:
        raise NoFitError


def attribute(node: ir.Node, name: str) -> Any:
    """The value of an attribute, lists as tuples; None where there is none."""
    found = node.attributes.get(name)
    value = None if found is None else found.value
    return tuple(value) if isinstance(value, list | tuple) else value


def constant(value: ir.Value | None) -> NDArray[Any]:
    """What a value always is; raises NoFitError where it is computed."""
    if value is None or value.const_value is None:
        raise NoFitError
    return value.const_value.numpy()


def number(value: ir.Value) -> float:
    """Likewise, of a single number."""
    array = constant(value)
    require(array.size == 1)
    return float(array.ravel()[0])


def name_of(value: ir.Value) -> str:
    """A value's name, which every one in a file has."""
    return value.name or ""
