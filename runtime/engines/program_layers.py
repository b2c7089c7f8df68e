"""The layers of a program: one class each, with its fields, what they mean, and the shape that comes out.

Values between layers are float32 [N, C, H, W].
"""

from dataclasses import dataclass

from runtime.engines.program_completion import COMPLETION_LAYERS
from runtime.engines.program_fields import (
    attribute,
    choice,
    flag,
    name,
    names,
    number,
    optional_name,
    positive,
    whole,
    wholes,
)
from runtime.engines.program_holes import HOLE_LAYERS
from runtime.engines.program_layer import (
    Layer,
    Map,
    Value,
    Weights,
    expect,
    expect_vector,
    given,
    kernel_dims,
    map_of,
    windows,
)

_sides = wholes(2, 1, 1024)
_pads = wholes(4, 0, 1024)
MOST_TIMES = 16  # that an upsampling enlarges


@dataclass(frozen=True)
class LabelFeatures(Layer):
    """Label map u8 [N, H, W], instance map i32 [N, H, W], styles f32 [N, K, F] → [one-hot][edge][features].

    The edge is 1 where any of the four neighbours' instance differs, else 0. Features are row inst_map[n, y, x] of
    styles[n]. A label beyond `label_nc` is 0 in every class.
    """

    op = "label_features"
    arity = (1, 3)
    is_first = True

    label_nc: int = attribute(whole(1, 256))
    has_edges: bool = attribute(flag)
    feat_num: int = attribute(whole(0, 1024))

    def check(self) -> None:
        expected = 3 if self.feat_num else 1 + self.has_edges
        if len(self.inputs) != expected:
            raise ValueError(f"{len(self.inputs)} inputs, expected {expected}")

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        labels, *others = values
        expect(labels, "uint8", 3)
        if others:
            expect(others[0], "int32", 3)
        if len(others) > 1:
            expect(others[1], "float32", 3)
        n, h, w = labels.shape
        if (others and others[0].shape != labels.shape) or (
            len(others) > 1 and (others[1].shape[0] != n or others[1].shape[2] != self.feat_num)
        ):
            raise ValueError(f"inputs of {' and '.join(str(list(value.shape)) for value in values)}")
        return Map(n, self.label_nc + self.has_edges + self.feat_num, h, w).value()


@dataclass(frozen=True)
class FromBytes(Layer):
    """Image u8 [N, H, W, C] → image · scale + shift."""

    op = "from_bytes"
    is_first = True

    scale: float = attribute(number)
    shift: float = attribute(number)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        expect(values[0], "uint8", 4)
        n, h, w, c = values[0].shape
        return Map(n, c, h, w).value()


@dataclass(frozen=True)
class Conv(Layer):
    """A convolution.

    Attributes:
        weights: names of [O, Cᵢ, kh, kw]; the kernel is all of them along the input channels.
        bias: name of [O].
        pads: top, left, bottom, right.
    """

    op = "conv"

    weights: tuple[str, ...] = attribute(names)
    bias: str | None = attribute(optional_name)
    stride: tuple[int, int] = attribute(_sides)
    dilation: tuple[int, int] = attribute(_sides)
    pads: tuple[int, int, int, int] = attribute(_pads)
    pad_mode: str = attribute(choice("zero", "reflect"))

    @property
    def initializers(self) -> tuple[str, ...]:
        return (*self.weights, *given(self.bias))

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x = map_of(values[0])
        kernels = [kernel_dims(weights[part]) for part in self.weights]
        out, _, *kernel = kernels[0]
        if any((k[0], *k[2:]) != (out, *kernel) for k in kernels) or sum(k[1] for k in kernels) != x.c:
            raise ValueError(f"weights of {' and '.join(str(list(k)) for k in kernels)} for {x.c} channels")
        expect_vector(weights, self.bias, out)
        if self.pad_mode == "reflect" and (max(self.pads[::2]) >= x.h or max(self.pads[1::2]) >= x.w):
            raise ValueError(f"reflects {list(self.pads)} pixels of {x.h}×{x.w}")
        reach = [dilation * (side - 1) + 1 for dilation, side in zip(self.dilation, kernel, strict=True)]
        return Map(x.n, out, *windows(x, reach, self.stride, self.pads)).value()


@dataclass(frozen=True)
class ConvTranspose(Layer):
    """A transposed convolution; `weight` names [C, O, kh, kw], `bias` [O]."""

    op = "conv_transpose"

    weight: str = attribute(name)
    bias: str | None = attribute(optional_name)
    stride: tuple[int, int] = attribute(_sides)
    pads: tuple[int, int, int, int] = attribute(_pads)
    output_padding: tuple[int, int] = attribute(wholes(2, 0, 1023))

    @property
    def initializers(self) -> tuple[str, ...]:
        return (self.weight, *given(self.bias))

    def check(self) -> None:
        super().check()
        if any(more >= stride for more, stride in zip(self.output_padding, self.stride, strict=True)):
            raise ValueError(f"output_padding {self.output_padding} is not below the stride {self.stride}")

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x = map_of(values[0])
        into, out, *kernel = kernel_dims(weights[self.weight])
        if into != x.c:
            raise ValueError(f"a weight for {into} channels, given {x.c}")
        expect_vector(weights, self.bias, out)
        sides = [
            (side - 1) * self.stride[axis] + kernel[axis] + self.output_padding[axis] - sum(self.pads[axis::2])
            for axis, side in enumerate(x[2:])
        ]
        return Map(x.n, out, *sides).value()


@dataclass(frozen=True)
class _Norm(Layer):
    """(x − mean) / √(variance + epsilon) · scale + bias with a biased variance; names of [C], or null for 1 and 0."""

    scale: str | None = attribute(optional_name)
    bias: str | None = attribute(optional_name)
    epsilon: float = attribute(positive)

    @property
    def initializers(self) -> tuple[str, ...]:
        return (*given(self.scale), *given(self.bias))

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        expect_vector(weights, self.scale, map_of(values[0]).c)
        expect_vector(weights, self.bias, map_of(values[0]).c)
        return values[0]


@dataclass(frozen=True)
class InstanceNorm(_Norm):
    """Statistics over H and W, of each image and channel."""

    op = "instance_norm"


@dataclass(frozen=True)
class BatchNorm(_Norm):
    """Statistics over N, H and W of a call, of each channel."""

    op = "batch_norm"


@dataclass(frozen=True)
class Affine(Layer):
    """x · scale + bias, names of [C]: a normalisation by statistics of training."""

    op = "affine"

    scale: str = attribute(name)
    bias: str = attribute(name)

    @property
    def initializers(self) -> tuple[str, ...]:
        return (self.scale, self.bias)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        expect_vector(weights, self.scale, map_of(values[0]).c)
        expect_vector(weights, self.bias, map_of(values[0]).c)
        return values[0]


@dataclass(frozen=True)
class Activation(Layer):
    """ReLU, LeakyReLU of slope `alpha` below 0, or tanh."""

    op = "activation"

    kind: str = attribute(choice("relu", "leaky_relu", "tanh"))
    alpha: float = attribute(number, default=0.0)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        return map_of(values[0]).value()


@dataclass(frozen=True)
class Add(Layer):
    """The sum of two values of one shape."""

    op = "add"
    arity = (2, 2)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        if map_of(values[0]) != map_of(values[1]):
            raise ValueError(f"adds {list(values[0].shape)} and {list(values[1].shape)}")
        return values[0]


@dataclass(frozen=True)
class Concat(Layer):
    """Values one after the other along channels."""

    op = "concat"
    arity = (2, 64)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        maps = [map_of(value) for value in values]
        if len({(x.n, x.h, x.w) for x in maps}) > 1:
            raise ValueError(f"joins {' and '.join(str(list(x)) for x in maps)}")
        return maps[0]._replace(c=sum(x.c for x in maps)).value()


@dataclass(frozen=True)
class _Pool(Layer):
    """A window that moves over each channel; `pads` are top, left, bottom, right."""

    kernel: tuple[int, int] = attribute(_sides)
    stride: tuple[int, int] = attribute(_sides)
    pads: tuple[int, int, int, int] = attribute(_pads)

    def check(self) -> None:
        super().check()
        if any(pad >= self.kernel[i % 2] for i, pad in enumerate(self.pads)):
            raise ValueError(f"pads {self.pads} are not below the kernel {self.kernel}")

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x = map_of(values[0])
        return Map(x.n, x.c, *windows(x, self.kernel, self.stride, self.pads)).value()


@dataclass(frozen=True)
class AveragePool(_Pool):
    """The mean of a window; padding is not counted."""

    op = "average_pool"


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The largest of a window; padding does not count."""

    op = "max_pool"


@dataclass(frozen=True)
class DepthToSpace(Layer):
    """Channel (c·block + a)·block + b at (i, j) becomes channel c at (i·block + a, j·block + b)."""

    op = "depth_to_space"

    block: int = attribute(whole(2, 16))

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x = map_of(values[0])
        if x.c % self.block**2:
            raise ValueError(f"{x.c} channels, expected a multiple of {self.block**2}")
        return Map(x.n, x.c // self.block**2, x.h * self.block, x.w * self.block).value()


@dataclass(frozen=True)
class Upsample(Layer):
    """`scale` times the sides: the nearest pixel, or linear between pixels' centres."""

    op = "upsample"

    scale: int = attribute(whole(2, MOST_TIMES))
    mode: str = attribute(choice("nearest", "linear"))

    @property
    def format(self) -> int:  # type: ignore[override]
        return 1 if self.scale == 2 else 2

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x = map_of(values[0])
        return x._replace(h=x.h * self.scale, w=x.w * self.scale).value()


@dataclass(frozen=True)
class ToBytes(Layer):
    """→ image u8 [N, H, W, C], trunc(clip(x · scale + shift, 0, 255))."""

    op = "to_bytes"
    is_last = True

    scale: float = attribute(number)
    shift: float = attribute(number)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x = map_of(values[0])
        return Value("uint8", (x.n, x.h, x.w, x.c))


@dataclass(frozen=True)
class ToFloats(Layer):
    """→ f32 [N, C, H, W] as it is."""

    op = "to_floats"
    is_last = True

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        return map_of(values[0]).value()


_KINDS: tuple[type[Layer], ...] = (
    Activation,
    Add,
    Affine,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    FromBytes,
    InstanceNorm,
    LabelFeatures,
    MaxPool,
    ToBytes,
    ToFloats,
    Upsample,
    *COMPLETION_LAYERS,
    *HOLE_LAYERS,
)
OPS: dict[str, type[Layer]] = {kind.op: kind for kind in _KINDS}
