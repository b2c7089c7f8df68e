"""What every layer of a program has, the shapes of values between them, and the checks that layers share."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

from runtime.engines.initializers import Initializer
from runtime.engines.program_fields import attribute, name, names

Shape = tuple[int, ...]
Weights = Mapping[str, Initializer]


class Value(NamedTuple):
    """What an engine's input or output, or a value between layers is."""

    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Layer:
    """One step of a program.

    Attributes:
        op: what a program calls it.
        format: the first format of programs that has it.
        arity: how many inputs it may have, from and to.
        is_first: whether its inputs are the engine's.
        is_last: whether its output is one of the engine's.
        inputs: names of earlier outputs, or of engine inputs.
        output: a name of its own, or of an engine output.
    """

    op: ClassVar[str]
    format: ClassVar[int] = 1
    arity: ClassVar[tuple[int, int]] = (1, 1)
    is_first: ClassVar[bool] = False
    is_last: ClassVar[bool] = False

    inputs: tuple[str, ...] = attribute(names)
    output: str = attribute(name)

    def reads_engine(self, index: int) -> bool:
        """Whether the input of this number is one of the engine's."""
        return self.is_first

    @property
    def initializers(self) -> tuple[str, ...]:
        """Names of the graph's initializers that it reads."""
        return ()

    def check(self) -> None:
        """Raise ValueError where fields do not fit each other."""
        least, most = self.arity
        if not least <= len(self.inputs) <= most:
            raise ValueError(f"{len(self.inputs)} inputs, expected {least} to {most}")

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        """What comes out for `values`; raises ValueError where they or the weights do not fit."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """What a program holds of it."""
        return {"op": self.op} | {field.name: getattr(self, field.name) for field in fields(self)}


class Map(NamedTuple):
    """The shape [N, C, H, W] of a value between layers."""

    n: int
    c: int
    h: int
    w: int

    def value(self) -> Value:
        """A value between layers of this shape."""
        return Value("float32", self)


def map_of(value: Value) -> Map:
    """The shape of a value between layers by its axes; raises ValueError where it is a match, see program_holes."""
    if value.dtype != "float32" or len(value.shape) != 4:
        raise ValueError(f"an input of {value.dtype} {list(value.shape)}, expected floats of four axes")
    return Map(*value.shape)


def given(initializer: str | None) -> tuple[str, ...]:
    """The name, if there is one."""
    return () if initializer is None else (initializer,)


def expect(value: Value, dtype: str, axes: int) -> None:
    """Raise ValueError where an engine input is something else."""
    if value.dtype != dtype or len(value.shape) != axes:
        raise ValueError(f"an input of {value.dtype} {list(value.shape)}, expected {dtype} of {axes} axes")


def expect_vector(weights: Weights, initializer: str | None, channels: int) -> None:
    """Raise ValueError where there is an initializer, and it has not one value a channel: [C] or [1, C, 1, 1]."""
    if initializer is not None and weights[initializer].dims not in ((channels,), (1, channels, 1, 1)):
        raise ValueError(f"{initializer} of {list(weights[initializer].dims)}, expected [{channels}]")


def kernel_dims(initializer: Initializer) -> Shape:
    """The four sizes of a convolution's kernel."""
    if len(initializer.dims) != 4:
        raise ValueError(f"{initializer.name} of {list(initializer.dims)}, expected four sizes")
    return initializer.dims


def windows(x: Map, reach: list[int] | Shape, stride: Shape, pads: Shape) -> list[int]:
    """How many windows fit along H and W; 0 or fewer where none does."""
    return [(side + sum(pads[axis::2]) - reach[axis]) // stride[axis] + 1 for axis, side in enumerate(x[2:])]
