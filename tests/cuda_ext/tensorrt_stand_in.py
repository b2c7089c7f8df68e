"""A recording stand-in for tensorrt and tensorrt.plugin: full TensorRT cannot be installed where the tests run.

It keeps what is registered, after the checks of signatures and annotations that TensorRT 11.4 makes in its
`tensorrt/plugin/_validate.py`. Its shapes are symbolic: they refuse to be anything but added, multiplied and divided,
and give numbers only when they are evaluated.
"""

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any


class ShapeExpr:
    """A symbolic integer."""

    def __init__(self, evaluate: Callable[[dict[str, int]], int]) -> None:
        self.evaluate = evaluate

    @staticmethod
    def of(value: "ShapeExpr | int") -> "ShapeExpr":
        return value if isinstance(value, ShapeExpr) else ShapeExpr(lambda _: value)

    def _with(self, other: "ShapeExpr | int", operation: Callable[[int, int], int]) -> "ShapeExpr":
        right = ShapeExpr.of(other)
        return ShapeExpr(lambda sizes: operation(self.evaluate(sizes), right.evaluate(sizes)))

    def __add__(self, other):
        return self._with(other, lambda a, b: a + b)

    def __mul__(self, other):
        return self._with(other, lambda a, b: a * b)

    def __floordiv__(self, other):
        return self._with(other, lambda a, b: a // b)

    def __bool__(self):
        raise TypeError("a symbolic size has no truth value")


def symbols(*names: str) -> list[ShapeExpr]:
    return [ShapeExpr(lambda sizes, name=name: sizes[name]) for name in names]


class ShapeExprs(list):
    def __init__(self, length: int) -> None:
        super().__init__([None] * length)


class SymIntExprs(ShapeExprs):
    pass


class SymInt32:
    def __init__(self, expression: ShapeExpr | int) -> None:
        self.expression = ShapeExpr.of(expression)


@dataclass
class TensorDesc:
    dtype: str
    shape_expr: list[ShapeExpr]

    def like(self) -> "TensorDesc":
        return TensorDesc(self.dtype, list(self.shape_expr))


@dataclass
class KernelLaunchParams:
    grid_x: Any = 1
    grid_y: Any = 1
    grid_z: Any = 1
    block_x: Any = 1
    block_y: Any = 1
    block_z: Any = 1
    shared_mem: Any = 0


@dataclass
class AutoTuneCombination:
    io_types: str
    layouts: str


@dataclass
class Registered:
    """What was registered, by plugin name."""

    describe: dict[str, Callable] = field(default_factory=dict)
    types: dict[str, Callable] = field(default_factory=dict)
    kernel: dict[str, Callable] = field(default_factory=dict)


def check_description(function: Callable, inputs: list[str]) -> None:
    """All arguments here are tensors, so all annotations are TensorDesc."""
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        require(is_a(parameter.annotation, TensorDesc), f"argument {parameter} of {function.__name__}")
        require(parameter.default is inspect.Parameter.empty, "default values are not supported")
    returned = signature.return_annotation
    parts = typing.get_args(returned) if typing.get_origin(returned) is tuple else [returned]
    require(all(is_a(part, TensorDesc) for part in parts), f"{function.__name__} returns {returned}")


def check_types(function: Callable, inputs: list[str]) -> None:
    check_arguments(function, [*inputs, "outputs"])
    returned = inspect.signature(function).return_annotation
    if returned is not inspect.Signature.empty:  # may be left out, unlike the others
        parts = typing.get_args(returned) if typing.get_origin(returned) is list else [returned]
        require(all(is_a(part, AutoTuneCombination) for part in parts), f"{function.__name__} returns {returned}")


def check_kernel(function: Callable, inputs: list[str]) -> None:
    check_arguments(function, [*inputs, "outputs", "tactic"])
    returned = inspect.signature(function).return_annotation
    parts = typing.get_args(returned)
    require(typing.get_origin(returned) is tuple and len(parts) == 4, f"{function.__name__} returns {returned}")
    for part in parts[:2]:
        is_union = typing.get_origin(part) in (typing.Union, types.UnionType)
        kinds = typing.get_args(part) if is_union else (part,)
        require(all(kind in (str, bytes) for kind in kinds), f"{function.__name__} returns {returned}")
    require(is_a(parts[2], KernelLaunchParams), f"{function.__name__} returns {returned}")
    require(is_a(parts[3], SymIntExprs), f"{function.__name__} returns {returned}")


def check_arguments(function: Callable, expected: list[str]) -> None:
    parameters = inspect.signature(function).parameters
    require(list(parameters) == expected, f"{function.__name__} takes {list(parameters)}, expected {expected}")
    for name, parameter in parameters.items():
        annotation = parameter.annotation
        if name == "outputs":
            parts = typing.get_args(annotation)
            fits = typing.get_origin(annotation) is tuple and all(is_a(part, TensorDesc) for part in parts)
        else:
            fits = is_a(annotation, int if name == "tactic" else TensorDesc)
        require(annotation is inspect.Parameter.empty or fits, f"argument {parameter} of {function.__name__}")


def is_a(annotation: Any, kind: type) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, kind)


def require(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"TensorRT's plugin layer refuses: {what}")


def stand_in() -> tuple[ModuleType, ModuleType, Registered]:
    """(tensorrt, tensorrt.plugin, what they record)."""
    registered = Registered()

    def recorder(table: dict[str, Callable], check: Callable[[Callable, list[str]], None]) -> Callable[[str], Callable]:
        def register(name: str) -> Callable:
            assert name not in table, f"{name} is registered twice"

            def decorate(function: Callable) -> Callable:
                if table is not registered.describe and name not in registered.describe:
                    raise ValueError(f"Plugin {name} is not registered")
                inputs = inspect.signature(registered.describe.get(name, function)).parameters
                check(function, list(inputs))
                return table.setdefault(name, function)

            return decorate

        return register

    tensorrt, plugin = ModuleType("tensorrt"), ModuleType("tensorrt.plugin")
    tensorrt.plugin = plugin
    tensorrt.float32, tensorrt.float16, tensorrt.int32 = "float32", "float16", "int32"
    plugin.register = recorder(registered.describe, check_description)
    plugin.autotune = recorder(registered.types, check_types)
    plugin.aot_impl = recorder(registered.kernel, check_kernel)
    plugin.TensorDesc, plugin.ShapeExprs, plugin.SymIntExprs = TensorDesc, ShapeExprs, SymIntExprs
    plugin.SymInt32, plugin.KernelLaunchParams, plugin.SymExprs = SymInt32, KernelLaunchParams, SymIntExprs
    plugin.AutoTuneCombination = AutoTuneCombination
    return tensorrt, plugin, registered
