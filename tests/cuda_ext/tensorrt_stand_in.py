"""A recording stand-in for tensorrt and tensorrt.plugin: full TensorRT cannot be installed where the tests run.

It keeps what is registered, and its shapes are symbolic: they refuse to be anything but added, multiplied and divided,
and give numbers only when they are evaluated.
"""

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


def stand_in() -> tuple[ModuleType, ModuleType, Registered]:
    """(tensorrt, tensorrt.plugin, what they record)."""
    registered = Registered()

    def recorder(table: dict[str, Callable]) -> Callable[[str], Callable]:
        def register(name: str) -> Callable:
            assert name not in table, f"{name} is registered twice"
            return lambda function: table.setdefault(name, function)

        return register

    tensorrt, plugin = ModuleType("tensorrt"), ModuleType("tensorrt.plugin")
    tensorrt.plugin = plugin
    tensorrt.float32, tensorrt.float16, tensorrt.int32 = "float32", "float16", "int32"
    plugin.register = recorder(registered.describe)
    plugin.autotune = recorder(registered.types)
    plugin.aot_impl = recorder(registered.kernel)
    plugin.TensorDesc, plugin.ShapeExprs, plugin.SymIntExprs = TensorDesc, ShapeExprs, SymIntExprs
    plugin.SymInt32, plugin.KernelLaunchParams, plugin.SymExprs = SymInt32, KernelLaunchParams, SymIntExprs
    plugin.AutoTuneCombination = AutoTuneCombination
    return tensorrt, plugin, registered
