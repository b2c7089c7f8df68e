"""The layers of a program for a step of the search for ẑ (Contextual GAN): losses, gradients, and descent.

A vector is a value [N, C, 1, 1]. Gradients of convolutions are convolutions, so they have no layers of their own.
"""

from dataclasses import dataclass
from typing import ClassVar

from runtime.engines.program_fields import attribute, name, number, optional_name, positive, wholes
from runtime.engines.program_layer import Layer, Map, Value, Weights, expect, given, map_of


@dataclass(frozen=True)
class _CompletionLayer(Layer):
    format: ClassVar[int] = 3


@dataclass(frozen=True)
class FromVector(_CompletionLayer):
    """f32 [N, C] → a vector."""

    op = "from_vector"
    is_first = True

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        expect(values[0], "float32", 2)
        n, c = values[0].shape
        return Map(n, c, 1, 1).value()


@dataclass(frozen=True)
class ToVector(_CompletionLayer):
    """A vector → f32 [N, C] as it is."""

    op = "to_vector"
    is_last = True

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x = _vector_of(values[0])
        return Value("float32", (x.n, x.c))


@dataclass(frozen=True)
class ToScalar(_CompletionLayer):
    """A vector of length 1 → f32 [N]."""

    op = "to_scalar"
    is_last = True

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        return Value("float32", (_scalar_of(values[0]).n,))


@dataclass(frozen=True)
class Expand(_CompletionLayer):
    """A linear layer from a vector of length K to a map: x · weight + bias.

    Attributes:
        weight: name of [K, C·H·W]; where K is 1, [C·H·W, 1] is the same.
        bias: name of [C·H·W].
        shape: C, H, W.
    """

    op = "expand"

    weight: str = attribute(name)
    bias: str | None = attribute(optional_name)
    shape: tuple[int, int, int] = attribute(wholes(3, 1, 2**16))

    @property
    def initializers(self) -> tuple[str, ...]:
        return (self.weight, *given(self.bias))

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x = _vector_of(values[0])
        made = Map(x.n, *self.shape)
        outputs = made.c * made.h * made.w
        if x.c != 1 or weights[self.weight].dims != (outputs, 1):
            _expect_dims(weights, self.weight, (x.c, outputs))
        _expect_dims(weights, self.bias, (outputs,))
        return made.value()


@dataclass(frozen=True)
class Contract(_CompletionLayer):
    """A linear layer from a map to a vector of length K, as `Expand` the other way: weightᵀ is what multiplies.

    Attributes:
        weight: name of [K, C·H·W]; where K is 1, [C·H·W, 1] is the same.
        bias: name of [K].
    """

    op = "contract"

    weight: str = attribute(name)
    bias: str | None = attribute(optional_name)

    @property
    def initializers(self) -> tuple[str, ...]:
        return (self.weight, *given(self.bias))

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x = map_of(values[0])
        inputs, dims = x.c * x.h * x.w, weights[self.weight].dims
        outputs = 1 if dims == (inputs, 1) else dims[0] if dims else 0
        if dims != (inputs, 1):
            _expect_dims(weights, self.weight, (outputs, inputs))
        _expect_dims(weights, self.bias, (outputs,))
        return Map(x.n, outputs, 1, 1).value()


@dataclass(frozen=True)
class LeakyReluGradient(_CompletionLayer):
    """What went into a LeakyReLU, and the gradient by what came out → the gradient by what went in."""

    op = "leaky_relu_gradient"
    arity = (2, 2)

    alpha: float = attribute(number)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        return _of_one_shape(values)


@dataclass(frozen=True)
class TanhGradient(_CompletionLayer):
    """What came out of a tanh, and the gradient by it → the gradient by what went in."""

    op = "tanh_gradient"
    arity = (2, 2)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        return _of_one_shape(values)


@dataclass(frozen=True)
class _Contextual(_CompletionLayer):
    """Of an image [N, C, H, W] in [−1, 1], and the engine's observed u8 [1, H, W, C] and known mask u8 [1, H, W].

    With d(x) = (1 − x) · slope + offset, y = observed / 127.5 − 1 and M = known mask / 255, the distributions are
    p = M·d(y) / ΣM·d(y) and q = M·d(image) / ΣM·d(image), summed over C, H and W.
    """

    arity = (3, 3)

    slope: float = attribute(positive)
    offset: float = attribute(positive)

    def reads_engine(self, index: int) -> bool:
        return index > 0

    def _image(self, values: tuple[Value, ...]) -> Map:
        x = map_of(values[0])
        expect(values[1], "uint8", 4)
        expect(values[2], "uint8", 3)
        if values[1].shape != (1, x.h, x.w, x.c) or values[2].shape != (1, x.h, x.w):
            shapes = " and ".join(str(list(value.shape)) for value in values[1:])
            raise ValueError(f"compares {list(x)} with {shapes}")
        return x


@dataclass(frozen=True)
class ContextualLoss(_Contextual):
    """The Kullback-Leibler divergence of q from p, a vector of length 1 (section 3.2 of the Contextual GAN)."""

    op = "contextual_loss"

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        return self._image(values)._replace(c=1, h=1, w=1).value()


@dataclass(frozen=True)
class ContextualGradient(_Contextual):
    """Its gradient by the image: −slope · (M / ΣM·d(image) − p / d(image))."""

    op = "contextual_gradient"

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        return self._image(values).value()


@dataclass(frozen=True)
class PerceptualLoss(_CompletionLayer):
    """log(1 − D) = −softplus(x) of a score x."""

    op = "perceptual_loss"

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        return _scalar_of(values[0]).value()


@dataclass(frozen=True)
class PerceptualGradient(_CompletionLayer):
    """A score x, and the engine's λ f32 [1]: −λ · sigmoid(x)."""

    op = "perceptual_gradient"
    arity = (2, 2)

    def reads_engine(self, index: int) -> bool:
        return index > 0

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        _expect_numbers(values[1:])
        return _scalar_of(values[0]).value()


@dataclass(frozen=True)
class Momentum(_CompletionLayer):
    """Velocity, gradient, and the engine's momentum and learning rate f32 [1]: the velocity of the next step."""

    op = "momentum"
    arity = (4, 4)

    def reads_engine(self, index: int) -> bool:
        return index > 1

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        _expect_numbers(values[2:])
        _vector_of(values[0])
        return _of_one_shape(values[:2])


@dataclass(frozen=True)
class BoundedSum(_CompletionLayer):
    """z, velocity, and the engine's limit f32 [1]: min(max(z + velocity, −limit), limit)."""

    op = "bounded_sum"
    arity = (3, 3)

    def reads_engine(self, index: int) -> bool:
        return index > 1

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        _expect_numbers(values[2:])
        _vector_of(values[0])
        return _of_one_shape(values[:2])


def _vector_of(value: Value) -> Map:
    x = map_of(value)
    if (x.h, x.w) != (1, 1):
        raise ValueError(f"an input of {list(x)}, expected a vector [N, C, 1, 1]")
    return x


def _scalar_of(value: Value) -> Map:
    x = map_of(value)
    if x[1:] != (1, 1, 1):
        raise ValueError(f"an input of {list(x)}, expected [N, 1, 1, 1]")
    return x


def _of_one_shape(values: tuple[Value, ...]) -> Value:
    first, second = map(map_of, values)
    if first != second:
        raise ValueError(f"inputs of {list(first)} and {list(second)}, expected one shape")
    return first.value()


def _expect_numbers(values: tuple[Value, ...]) -> None:
    for value in values:
        if value != ("float32", (1,)):
            raise ValueError(f"an input of {value.dtype} {list(value.shape)}, expected float32 [1]")


def _expect_dims(weights: Weights, initializer: str | None, dims: tuple[int, ...]) -> None:
    if initializer is not None and weights[initializer].dims != dims:
        raise ValueError(f"{initializer} of {list(weights[initializer].dims)}, expected {list(dims)}")


COMPLETION_LAYERS: tuple[type[Layer], ...] = (
    BoundedSum,
    ContextualGradient,
    ContextualLoss,
    Contract,
    Expand,
    FromVector,
    LeakyReluGradient,
    Momentum,
    PerceptualGradient,
    PerceptualLoss,
    TanhGradient,
    ToScalar,
    ToVector,
)
